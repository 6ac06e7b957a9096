/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protobuf.h - writes and reads protobuf for tests of payload, on its own: nothing of
 * what it tests is used.  The reader takes only what is well-formed, and asserts it.
 */
#ifndef DSHARD_TEST_PROTOBUF_H
#define DSHARD_TEST_PROTOBUF_H

#include "dshard/buf.h"

enum { PB_MAX = 1 << 24 };

static inline void pb_varint(struct ds_buf *out, uint64_t n)
{
    do {
        ds_buf_addc(out, (char)(n % 128 + (n > 127 ? 128 : 0)));
        n /= 128;
    } while (n);
}

static inline void pb_integer(struct ds_buf *out, unsigned number, uint64_t n)
{
    pb_varint(out, number * 8);
    pb_varint(out, n);
}

static inline void pb_double(struct ds_buf *out, unsigned number, double value)
{
    unsigned char bytes[8];

    memcpy(bytes, &value, sizeof bytes); /* tests run on little-endian machines only */
    pb_varint(out, number * 8 + 1);
    ds_buf_add(out, (const char *)bytes, sizeof bytes);
}

static inline void pb_bytes(struct ds_buf *out, unsigned number, const char *data,
                            size_t len)
{
    pb_varint(out, number * 8 + 2);
    pb_varint(out, len);
    ds_buf_add(out, data, len);
}

static inline void pb_text(struct ds_buf *out, unsigned number, const char *text)
{
    pb_bytes(out, number, text, strlen(text));
}

/* The LabelPair as the field 1 of a Metric. */
static inline void pb_label(struct ds_buf *out, const char *name, const char *value,
                            size_t value_len)
{
    DS_AUTO(buf) struct ds_buf pair = DS_BUF_INIT(PB_MAX);

    pb_text(&pair, 1, name);
    pb_bytes(&pair, 2, value, value_len);
    pb_bytes(out, 1, pair.data, pair.len);
}

static inline void pb_delimited(struct ds_buf *out, const struct ds_buf *message)
{
    pb_varint(out, message->len);
    ds_buf_add(out, message->data, message->len);
}

struct pb_reader {
    const char *at, *end;
};

static inline uint64_t pb_read_varint(struct pb_reader *reader)
{
    uint64_t n = 0, factor = 1;

    for (;; factor *= 128) {
        unsigned char byte;

        assert_true(reader->at < reader->end);
        byte = (unsigned char)*reader->at++;
        n += byte % 128 * factor;
        if (byte < 128)
            return n;
    }
}

/* A length and as many bytes. */
static inline struct pb_reader pb_read_bytes(struct pb_reader *reader)
{
    uint64_t len = pb_read_varint(reader);
    struct pb_reader bytes = {reader->at, reader->at + len};

    assert_true(len <= (uint64_t)(reader->end - reader->at));
    reader->at += len;
    return bytes;
}

/* The next field's number; its value, when it is length-delimited, else all bytes behind
   the tag.  No groups. */
static inline unsigned pb_read_field(struct pb_reader *reader, struct pb_reader *value)
{
    uint64_t tag = pb_read_varint(reader);
    const char *start = reader->at;

    if (tag % 8 == 2) {
        *value = pb_read_bytes(reader);
        return (unsigned)(tag / 8);
    }
    if (tag % 8 == 0)
        pb_read_varint(reader);
    else
        reader->at += tag % 8 == 1 ? 8 : 4;
    assert_true(tag % 8 == 0 || tag % 8 == 1 || tag % 8 == 5);
    assert_true(reader->at <= reader->end);
    *value = (struct pb_reader){start, reader->at};
    return (unsigned)(tag / 8);
}

static inline bool pb_is(struct pb_reader bytes, const char *data, size_t len)
{
    return (size_t)(bytes.end - bytes.at) == len && memcmp(bytes.at, data, len) == 0;
}

#endif
