/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a protobuf message, one behind the other, each checked against the bounds
 * (encoding: protobuf.dev/programming-guides/encoding).
 */
#include "payload_impl.h"

enum { VARINT_BYTES_MAX = 10 };

int ds_piece_compare(const struct ds_piece *a, const struct ds_piece *b)
{
    size_t len = a->len < b->len ? a->len : b->len;
    int order = len ? memcmp(a->data, b->data, len) : 0;

    return order ? order : (a->len > b->len) - (a->len < b->len);
}

bool ds_varint_take(struct ds_piece *rest, uint64_t *n)
{
    *n = 0;
    for (size_t i = 0; i < rest->len && i < VARINT_BYTES_MAX; i++) {
        uint64_t byte = (unsigned char)rest->data[i];

        if (i == VARINT_BYTES_MAX - 1 && byte > 1)
            return false;
        *n |= (byte & 0x7F) << 7 * i;
        if (byte < 0x80) {
            rest->data += i + 1;
            rest->len -= i + 1;
            return true;
        }
    }
    return false;
}

bool ds_piece_take(struct ds_piece *rest, uint64_t len, struct ds_piece *out)
{
    if (len > rest->len)
        return false;
    *out = (struct ds_piece){rest->data, (size_t)len};
    rest->data += len;
    rest->len -= (size_t)len;
    return true;
}

static bool take_tag(struct ds_piece *rest, struct ds_field *field)
{
    uint64_t tag;

    if (!ds_varint_take(rest, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    field->number = tag >> 3;
    field->wire = (enum ds_wire)(tag & 7);
    return true;
}

static bool take_value(struct ds_piece *rest, struct ds_field *field)
{
    uint64_t n;

    switch (field->wire) {
    case DS_WIRE_VARINT:
        return ds_varint_take(rest, &n);
    case DS_WIRE_I64:
        return ds_piece_take(rest, 8, &field->value);
    case DS_WIRE_LEN:
        return ds_varint_take(rest, &n) && ds_piece_take(rest, n, &field->value);
    case DS_WIRE_I32:
        return ds_piece_take(rest, 4, &field->value);
    case DS_WIRE_GROUP:
    case DS_WIRE_GROUP_END:
        return true;
    }
    return false;
}

bool ds_field_take(struct ds_piece *rest, struct ds_field *field)
{
    const char *start = rest->data;
    struct ds_field inner = {0};
    size_t depth;

    if (!take_tag(rest, field) || field->wire == DS_WIRE_GROUP_END ||
        !take_value(rest, field))
        return false;
    for (depth = field->wire == DS_WIRE_GROUP; depth;) {
        if (!take_tag(rest, &inner) || !take_value(rest, &inner))
            return false;
        if (inner.wire == DS_WIRE_GROUP)
            depth++;
        else if (inner.wire == DS_WIRE_GROUP_END)
            depth--;
    }
    field->whole = (struct ds_piece){start, (size_t)(rest->data - start)};
    return true;
}

bool ds_field_is_bytes(const struct ds_field *field, uint64_t number)
{
    return field->number == number && field->wire == DS_WIRE_LEN;
}

void ds_varint_add(struct ds_buf *out, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        ds_buf_addc(out, (char)(n | 0x80));
    ds_buf_addc(out, (char)n);
}

double ds_field_double(const struct ds_field *field)
{
    uint64_t bits = 0;
    double value;

    for (size_t i = sizeof bits; i-- > 0;)
        bits = bits << 8 | (unsigned char)field->value.data[i];
    memcpy(&value, &bits, sizeof value);
    return value;
}
