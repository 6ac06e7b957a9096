/* SPDX-License-Identifier: Apache-2.0 */
/* see base64.h */
#include "dshard/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Of each byte its place in the alphabet, and 1 more; 0: it is not in there.  No
   branches: letters come in no order that a processor could guess. */
static const unsigned char places[256] = {
    /* clang-format off */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63, 0, 0,
    53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 0, 0, 0, 0, 0, 0,
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 0, 0, 0, 0, 64,
    0, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41,
    42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 0, 0, 0, 0, 0,
    /* clang-format on */
};

static int value_of(char c)
{
    return places[(unsigned char)c] - 1;
}

/* Whole groups of four up to the first odd byte; returns how many bytes it took. */
static size_t decode_fours(char *out, const char *in, size_t len)
{
    size_t i = 0;

    for (; len - i >= 4; i += 4) {
        int a = value_of(in[i]), b = value_of(in[i + 1]);
        int c = value_of(in[i + 2]), d = value_of(in[i + 3]);

        if ((a | b | c | d) < 0)
            break;
        *out++ = (char)(a << 2 | b >> 4);
        *out++ = (char)(b << 4 | c >> 2);
        *out++ = (char)(c << 6 | d);
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

/* All in one go: the length is known, and a label is encoded for every push. */
static void encode(struct ds_buf *out, const char *data, size_t len)
{
    const unsigned char *p = (const unsigned char *)data, *end = p + len;
    size_t n = len / 3 * 4 + (len % 3 ? len % 3 + 1 : 0);
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
