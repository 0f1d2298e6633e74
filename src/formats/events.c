/* TensorBoard scalars: records framed as in TFRecord (length, its checksum, bytes, their checksum),
 * each an Event protobuf encoded by hand, since four of its fields are all that a scalar needs.
 *
 * What is worth writing is for train/record.c. The trap: TensorBoard stops reading at the first
 * record that is cut or damaged, so a record goes out in one write, and resuming cuts the file back to
 * the end of a whole one. */
#include <string.h>
#include <time.h>

#include "formats/formats.h"

enum {
    TAG_MAX = 127,
    RECORD_MAX = 256,
    WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, /* protobuf's */
    EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5,
    SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2,
};

/* CRC-32C (Castagnoli), bit by bit: a record has some 60 bytes, a table would not pay. */
uint32_t fv_crc32c(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

/* TFRecord masks checksums, because a checksum of data that holds one is weak. */
static uint32_t masked_crc(const void *bytes, size_t n)
{
    uint32_t crc = fv_crc32c(bytes, n);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* ---- Protobuf ----------------------------------------------------------------------------- */

/* Bytes on their way out. The size of every record is bounded by TAG_MAX, so it needs no heap. */
typedef struct message {
    size_t len;
    uint8_t bytes[RECORD_MAX];
} message;

static void put(message *m, const void *bytes, size_t n)
{
    FV_ASSERT(n <= sizeof m->bytes - m->len);
    memcpy(m->bytes + m->len, bytes, n);
    m->len += n;
}

static void put_varint(message *m, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)(value & 127) | (value > 127 ? 128 : 0);
        put(m, &byte, 1);
        value >>= 7;
    } while (value);
}

static void put_key(message *m, int field, int wire) { put_varint(m, (uint64_t)(field << 3 | wire)); }

static void put_bytes(message *m, int field, const void *bytes, size_t n)
{
    put_key(m, field, WIRE_BYTES);
    put_varint(m, n);
    put(m, bytes, n);
}

static void put_double(message *m, int field, double value)
{
    put_key(m, field, WIRE_64);
    put(m, &value, sizeof value);
}

static void put_float(message *m, int field, float value)
{
    put_key(m, field, WIRE_32);
    put(m, &value, sizeof value);
}

/* ---- Records ------------------------------------------------------------------------------ */

static fv_status add_record(fv_events *events, const message *event, fv_err *err)
{
    message record = {0};
    uint64_t length = event->len;
    uint32_t head_crc = masked_crc(&length, sizeof length), body_crc = masked_crc(event->bytes, event->len);
    put(&record, &length, sizeof length);
    put(&record, &head_crc, sizeof head_crc);
    put(&record, event->bytes, event->len);
    put(&record, &body_crc, sizeof body_crc);
    return fv_appender_add(&events->file, record.bytes, record.len, err);
}

/* The record that every file starts with. */
static fv_status add_version(fv_events *events, fv_err *err)
{
    static const char version[] = "brain.Event:2";
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    message event = {0};
    put_double(&event, EVENT_WALL_TIME, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    put_bytes(&event, EVENT_FILE_VERSION, version, sizeof version - 1);
    return add_record(events, &event, err);
}

fv_status fv_events_open(fv_events *events, const char *path, uint64_t keep_bytes, fv_err *err)
{
    fv_status status = fv_appender_open(&events->file, path, keep_bytes, err);
    if (status != FV_OK || fv_appender_size(&events->file) > 0) return status;
    status = add_version(events, err);
    if (status != FV_OK) fv_events_close(events);
    return status;
}

fv_status fv_events_scalar(fv_events *events, int64_t step, double wall_time, const char *tag, double value, fv_err *err)
{
    size_t tag_bytes = strlen(tag);
    if (tag_bytes > TAG_MAX) return FV_FAIL(err, FV_E_ARGUMENT, "the tag of a scalar has %zu bytes; at most %d are supported", tag_bytes, TAG_MAX);
    message item = {0}, summary = {0}, event = {0};
    put_bytes(&item, VALUE_TAG, tag, tag_bytes);
    put_float(&item, VALUE_SIMPLE, (float)value);
    put_bytes(&summary, SUMMARY_VALUE, item.bytes, item.len);
    put_double(&event, EVENT_WALL_TIME, wall_time);
    put_key(&event, EVENT_STEP, WIRE_VARINT);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, EVENT_SUMMARY, summary.bytes, summary.len);
    return add_record(events, &event, err);
}

uint64_t fv_events_size(const fv_events *events) { return fv_appender_size(&events->file); }

void fv_events_close(fv_events *events) { fv_appender_close(&events->file); }
