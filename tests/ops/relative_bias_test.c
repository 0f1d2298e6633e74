/* Buckets of distances against those that Transformers 5.23's T5Attention._relative_position_bucket gives with 32 buckets and
 * a largest distance of 128. Values and gradients are ops_test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "ops.h"

enum { SPAN = 150, BUCKETS = 32 };

/* Where a bucket begins, going up from -150. */
typedef struct start { int distance, bucket; } start;

static const start two_ways[] = {
    {-150, 15}, {-90, 14}, {-63, 13}, {-45, 12}, {-31, 11}, {-22, 10}, {-15, 9}, {-11, 8}, {-7, 7}, {-6, 6}, {-5, 5}, {-4, 4}, {-3, 3}, {-2, 2}, {-1, 1}, {0, 0},
    {1, 17}, {2, 18}, {3, 19}, {4, 20}, {5, 21}, {6, 22}, {7, 23}, {8, 24}, {12, 25}, {16, 26}, {23, 27}, {32, 28}, {46, 29}, {64, 30}, {91, 31}, {SPAN + 1, -1},
};
static const start one_way[] = {
    {-150, 31}, {-112, 30}, {-98, 29}, {-86, 28}, {-76, 27}, {-66, 26}, {-58, 25}, {-51, 24}, {-45, 23}, {-39, 22}, {-34, 21}, {-30, 20}, {-26, 19}, {-23, 18},
    {-20, 17}, {-18, 16}, {-15, 15}, {-14, 14}, {-13, 13}, {-12, 12}, {-11, 11}, {-10, 10}, {-9, 9}, {-8, 8}, {-7, 7}, {-6, 6}, {-5, 5}, {-4, 4}, {-3, 3},
    {-2, 2}, {-1, 1}, {0, 0}, {SPAN + 1, -1},
};

/* A table that holds its row's number, and 100 more for the second head. */
static void check(const start *starts, bool both_ways)
{
    fv_err err = {0};
    float table[BUCKETS][2];
    for (int r = 0; r < BUCKETS; r++) table[r][0] = (float)r, table[r][1] = (float)(100 + r);
    fv_graph *g = fv_graph_new(NULL, NULL);
    assert_non_null(g);
    fv_graph_reset(g, false);
    fv_tensor *y = fv_relative_bias(g, fv_graph_input(g, "table", table[0], BUCKETS, 2, 2), SPAN, 128, both_ways);
    fv_graph_keep(g, y);
    if (fv_graph_plan(g, y, &err) != FV_OK) fail_msg("%s", err.text);
    fv_graph_forward(g, 1);
    for (int distance = -SPAN; distance <= SPAN; distance++) {
        if (starts[1].distance == distance) starts++;
        for (int h = 0; h < 2; h++) {
            int found = (int)y->data[h * y->stride + SPAN + distance];
            if (found != 100 * h + starts->bucket) fail_msg("distance %d, head %d: bucket %d, expected %d", distance, h, found - 100 * h, starts->bucket);
        }
    }
    fv_graph_free(g);
}

static void buckets_are_t5s(void **state)
{
    (void)state;
    check(two_ways, true);
    check(one_way, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(buckets_are_t5s)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
