/* SPDX-License-Identifier: Apache-2.0 */
/* see utf8.h */
#include "dshard/utf8.h"

static bool is_tail(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t ds_utf8_len(const char *s, size_t len)
{
    const unsigned char *u = (const unsigned char *)s;

    if (!len)
        return 0;
    if (u[0] < 0x80)
        return 1;
    if (u[0] >= 0xC2 && u[0] <= 0xDF)
        return len >= 2 && is_tail(u[1]) ? 2 : 0;
    if (u[0] >= 0xE0 && u[0] <= 0xEF) {
        if (len < 3 || !is_tail(u[1]) || !is_tail(u[2]))
            return 0;
        if (u[0] == 0xE0 && u[1] < 0xA0) /* overlong */
            return 0;
        if (u[0] == 0xED && u[1] > 0x9F) /* surrogates */
            return 0;
        return 3;
    }
    if (u[0] >= 0xF0 && u[0] <= 0xF4) {
        if (len < 4 || !is_tail(u[1]) || !is_tail(u[2]) || !is_tail(u[3]))
            return 0;
        if (u[0] == 0xF0 && u[1] < 0x90) /* overlong */
            return 0;
        if (u[0] == 0xF4 && u[1] > 0x8F) /* above U+10FFFF */
            return 0;
        return 4;
    }
    return 0;
}

/* How many bytes from the first on are ASCII, in steps of eight. */
static size_t skip_ascii(const char *s, size_t len)
{
    uint64_t word;
    size_t i = 0;

    for (; len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, s + i, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    return i;
}

bool ds_utf8_is_valid(const char *s, size_t len)
{
    for (size_t i = skip_ascii(s, len); i < len;) {
        size_t n = ds_utf8_len(s + i, len - i);

        if (!n)
            return false;
        i += n;
    }
    return true;
}

bool ds_utf8_is_turning(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;

    if (n == 2)
        return u[0] == 0xD8 && u[1] == 0x9C;
    if (n != 3 || u[0] != 0xE2)
        return false;
    if (u[1] == 0x80)
        return u[2] == 0x8E || u[2] == 0x8F || (u[2] >= 0xAA && u[2] <= 0xAE);
    return u[1] == 0x81 && u[2] >= 0xA6 && u[2] <= 0xA9;
}

size_t ds_utf8_cut(const char *s, size_t len, size_t max)
{
    if (len <= max)
        return len;
    while (max && is_tail((unsigned char)s[max]))
        max--;
    return max;
}

void ds_utf8_clean(char *out, size_t size, const char *text, size_t len)
{
    size_t at = 0;

    for (size_t i = 0; i < len;) {
        size_t n = ds_utf8_len(text + i, len - i);
        bool shown = n && (unsigned char)text[i] >= ' ' && text[i] != 0x7F &&
                     !ds_utf8_is_turning(text + i, n);
        const char *from = shown ? text + i : "?";

        i += n ? n : 1;
        n = shown ? n : 1;
        if (at + n >= size)
            break;
        memcpy(out + at, from, n);
        at += n;
    }
    out[at] = '\0';
}
