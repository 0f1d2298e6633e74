/* How high a best hit scores by chance: what is measured is the best hit of texts that have nothing to do with the items. Their mean and deviation say
 * more than their highest: of some dozens one or two always do have to do with the items. docs/decisions.md has the rates. */
#include "index/index.h"

#include <math.h>

#define DEVIATIONS 2.5 /* above the mean: what one text in 160 reaches by chance, were scores normal */

/* Each of another subject, so that whatever the items are about few are about it; the second half says the same in Chinese. */
#define T(literal) {.text = literal, .len = sizeof literal - 1}
static const fv_text unrelated[] = {
    T("The comet will not return for another seventy years."),
    T("Fold the egg whites into the dough and bake it slowly."),
    T("The goalkeeper reached the ball with the tips of his fingers."),
    T("Lava had covered the valley long before anyone lived there."),
    T("She tuned the cello once more before the second movement."),
    T("The treaty ended a war that nobody remembered beginning."),
    T("Roses should be cut back at the end of winter."),
    T("He gave up a knight for two pawns and a draw."),
    T("Thick fog is expected along the coast until noon."),
    T("The painter mixed his blues from crushed stone."),
    T("Old bones knit slowly, said the doctor to the shepherd."),
    T("They reefed the sails and waited for the storm to pass."),
    T("In this language verbs stand at the end of the sentence."),
    T("A queen bee may lay two thousand eggs in a day."),
    T("The night train crosses the bridge without slowing down."),
    T("The giant was turned to stone by the rising sun."),
    T("Dancers in the square kept time with wooden shoes."),
    T("The joints of the chair were made without glue or nails."),
    T("I dreamt that the stairs went on for ever."),
    T("The proof assumes that there are only finitely many primes."),
    T("Wolves have come back to the forests in the north."),
    T("His first novel is set in a lighthouse."),
    T("Salt is won by letting sea water dry in shallow ponds."),
    T("The children built a snowman with a carrot for a nose."),
    T("这颗彗星要再过七十年才会回来。"),
    T("把打发的蛋白拌进面团，用小火慢慢烤。"),
    T("守门员用指尖碰到了球。"),
    T("早在有人居住之前，熔岩就盖住了山谷。"),
    T("第二乐章开始前，她又调了一次大提琴。"),
    T("条约结束了一场没人记得如何开始的战争。"),
    T("月季要在冬末修剪。"),
    T("他用一个马换了两个兵，下成了和棋。"),
    T("沿海地区的大雾要到中午才散。"),
    T("画家用磨碎的石头调出蓝色。"),
    T("老人的骨头长得慢，大夫对牧羊人说。"),
    T("他们收起船帆，等风暴过去。"),
    T("在这种语言里，动词放在句子的末尾。"),
    T("蜂王一天能产两千个卵。"),
    T("夜里的火车不减速就过了桥。"),
    T("巨人被初升的太阳变成了石头。"),
    T("广场上跳舞的人用木鞋打着拍子。"),
    T("这把椅子的榫头没有用胶，也没有用钉子。"),
    T("我梦见楼梯没有尽头。"),
    T("证明先假设素数只有有限多个。"),
    T("北方的森林里又有了狼。"),
    T("他的第一部小说写的是一座灯塔。"),
    T("让海水在浅池里晒干，就得到盐。"),
    T("孩子们堆了一个雪人，用胡萝卜做鼻子。"),
};

const fv_text *fv_unrelated_texts(size_t *n)
{
    *n = FV_COUNT(unrelated);
    return unrelated;
}

/* Best scores of the queries that found something: how many. */
static size_t best_scores(fv_index *x, float *scores, const fv_query *queries, size_t n, fv_find by, fv_err *err)
{
    fv_find_options o;
    fv_find_options_init(&o);
    o.by = by;
    o.top = 1;
    size_t found = 0;
    fv_hit *hits = fv_alloc(n * sizeof *hits, err);
    size_t *counts = fv_alloc(n * sizeof *counts, err);
    if (hits && counts && fv_index_search(x, queries, n, &o, hits, counts, err) == FV_OK)
        for (size_t i = 0; i < n; i++)
            if (counts[i]) scores[found++] = hits[i].score;
    fv_free(hits);
    fv_free(counts);
    return found;
}

fv_status fv_index_chance(fv_index *x, const fv_query *queries, size_t n, fv_find by, float *level, fv_err *err)
{
    fv_err said = {0};
    double mean = 0, square = 0;
    if (by == FV_FIND_WORDS) return FV_FAIL(err, FV_E_ARGUMENT, "what hits score by chance is known of meaning, alone or with words; by words alone any text finds the little ones");
    if (n < 2) return FV_FAIL(err, FV_E_ARGUMENT, "chance from %zu queries; expected 2 or more, such as fv_unrelated_texts", n);
    float *scores = fv_alloc(n * sizeof *scores, err);
    if (!scores) return FV_E_MEMORY;
    size_t found = best_scores(x, scores, queries, n, by, &said);
    for (size_t i = 0; i < found; i++) mean += (double)scores[i] / (double)found;
    for (size_t i = 0; i < found; i++) square += ((double)scores[i] - mean) * ((double)scores[i] - mean) / (double)found;
    fv_free(scores);
    if (said.status) return FV_FAIL(err, said.status, "%s", said.text);
    *level = found ? (float)(mean + DEVIATIONS * sqrt(square)) : -INFINITY;
    return FV_OK;
}
