/* SPDX-License-Identifier: Apache-2.0 */
/* see base64.h */
#include "dshard/base64.h"

#include <arpa/inet.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum { NO = -1 };

/* Of each byte its place in the alphabet.  No branches: letters come in no order that a
   processor could guess. */
static const signed char places[256] = {
    /* clang-format off */
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62, NO, NO,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, NO, NO, NO,
    NO, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NO, NO, NO, NO, 63,
    NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    /* clang-format on */
};

static int value_of(char c)
{
    return places[(unsigned char)c];
}

/* How many bytes of text are n bytes of data. */
static size_t encoded_len(size_t n)
{
    return n / 3 * 4 + (n % 3 ? n % 3 + 1 : 0);
}

/* Whole groups of four up to the first odd byte; returns how many bytes it took. */
static size_t decode_fours(char *out, const char *in, size_t len)
{
    size_t i = 0;

    for (; len - i >= 4; i += 4) {
        int a = value_of(in[i]), b = value_of(in[i + 1]);
        int c = value_of(in[i + 2]), d = value_of(in[i + 3]);

        uint32_t bits;

        if ((a | b | c | d) < 0)
            break;
        bits =
            htonl((uint32_t)a << 26 | (uint32_t)b << 20 | (uint32_t)(c << 14 | d << 8));
        memcpy(out, &bits, sizeof bits); /* three bytes, and one that is in the way */
        out += 3;
    }
    return i;
}

ptrdiff_t ds_base64_decode(char *out, const char *in, size_t len)
{
    uint32_t bits = 0;
    unsigned n_chars = 0; /* of the current group of four */
    ptrdiff_t written;
    size_t fours;

    while (len && in[len - 1] == '=')
        len--;
    fours = decode_fours(out, in, len);
    written = (ptrdiff_t)(fours / 4 * 3);
    for (size_t i = fours; i < len; i++) {
        int value = value_of(in[i]);

        if (value < 0 && (in[i] == '\r' || in[i] == '\n'))
            continue;
        if (value < 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        if (++n_chars == 4) {
            out[written++] = (char)(bits >> 16);
            out[written++] = (char)(bits >> 8);
            out[written++] = (char)bits;
            n_chars = 0;
        }
    }
    if (n_chars == 1)
        return -1;
    if (n_chars >= 2)
        out[written++] = (char)(bits >> (n_chars == 2 ? 4 : 10));
    if (n_chars == 3)
        out[written++] = (char)(bits >> 2);
    return written;
}

size_t ds_base64_exact_len(const char *in, size_t len, size_t n)
{
    static const int left_over[3] = {0, 15, 3}; /* bits of the last byte of text */

    while (len && in[len - 1] == '=')
        len--;
    if (!len || len != encoded_len(n) || value_of(in[len - 1]) & left_over[n % 3])
        return 0;
    return len;
}

/* All in one go: the length is known, and a label is encoded for every push. */
static void encode(struct ds_buf *out, const char *data, size_t len)
{
    const unsigned char *p = (const unsigned char *)data, *end = p + len;
    size_t n = encoded_len(len);
    char *at;

    if (out->over || n > out->max - out->len) {
        out->over = true;
        return;
    }
    ds_buf_reserve(out, n);
    if (!n)
        return;
    at = out->data + out->len;
    for (; end - p >= 3; p += 3) {
        uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | (uint32_t)p[2];

        *at++ = alphabet[bits >> 18];
        *at++ = alphabet[bits >> 12 & 63];
        *at++ = alphabet[bits >> 6 & 63];
        *at++ = alphabet[bits & 63];
    }
    if (p < end) {
        uint32_t bits = (uint32_t)p[0] << 16 | (end - p > 1 ? (uint32_t)p[1] << 8 : 0);

        *at++ = alphabet[bits >> 18];
        *at++ = alphabet[bits >> 12 & 63];
        if (end - p > 1)
            *at++ = alphabet[bits >> 6 & 63];
    }
    *at = '\0';
    out->len += n;
}

void ds_base64_encode_label(struct ds_buf *out, const char *data, size_t len)
{
    if (!len)
        ds_buf_addc(out, '=');
    encode(out, data, len);
}

/* From one alphabet to the other; the rest is the same. */
static void exchange(char *text, size_t len, const char *from, const char *to)
{
    for (size_t i = 0; i < len; i++) {
        const char *at = text[i] ? strchr(from, text[i]) : NULL;

        if (at)
            text[i] = to[at - from];
    }
}

void ds_base64_encode(struct ds_buf *out, const char *data, size_t len)
{
    size_t start = out->len;

    encode(out, data, len);
    exchange(out->data + start, out->len - start, "-_", "+/");
    while ((out->len - start) % 4 && !out->over)
        ds_buf_addc(out, '=');
}

int ds_base64_decode_standard(struct ds_buf *out, const char *text)
{
    size_t len = strlen(text);
    DS_AUTO(str) char *copy = ds_xstrdup(text);
    ptrdiff_t n;

    exchange(copy, len, "+/", "-_");
    n = ds_base64_decode(copy, copy, len);
    if (n < 0)
        return -1;
    ds_buf_add(out, copy, (size_t)n);
    return 0;
}
