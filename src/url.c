/* SPDX-License-Identifier: Apache-2.0 */
/* see url.h */
#include "dshard/url.h"
#include "dshard/num.h"

const unsigned char ds_url_kinds[256] = {
    /* clang-format off */
    [0x20] =
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0,
    0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 3,
    0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 2, 0,
    /* clang-format on */
};

ptrdiff_t ds_url_decode(char *out, const char *in, size_t len)
{
    const char *end = in + len;
    char *at = out;

    while (in < end) {
        const char *escape = memchr(in, '%', (size_t)(end - in));
        size_t plain = (size_t)((escape ? escape : end) - in);
        int high, low;

        memmove(at, in, plain);
        at += plain;
        if (!escape)
            break;
        if (end - escape < 3)
            return -1;
        high = ds_num_hex(escape[1]);
        low = ds_num_hex(escape[2]);
        if (high < 0 || low < 0)
            return -1;
        *at++ = (char)(high << 4 | low);
        in = escape + 3;
    }
    return at - out;
}

void ds_url_encode(struct ds_buf *out, const char *data, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        char escape[3] = {'%', digits[c >> 4], digits[c & 15]};

        if (ds_url_is_unreserved(data[i]))
            ds_buf_addc(out, data[i]);
        else
            ds_buf_add(out, escape, sizeof escape);
    }
}

/* An empty, "." or ".." component, which cleaning a path would remove. */
static bool is_removable(const char *component, size_t len)
{
    if (len > 2)
        return false;
    return len == 0 || (component[0] == '.' && component[len - 1] == '.');
}

/* True when a '/' has a '/' or a '.' behind it, as before every component that may be
   removable; also when it only looks so, hardly ever.  Eight bytes at once: nearly every
   path is done with here, in a quarter of the time that looking at components takes. */
static bool has_odd_component(const char *path, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t here, behind;
    size_t i = 0;

    for (; len - i > sizeof here; i += sizeof here) {
        memcpy(&here, path + i, sizeof here);
        memcpy(&behind, path + i + 1, sizeof behind);
        here ^= '/' * ones;                    /* 0 for a '/' */
        behind = (behind | ones) ^ '/' * ones; /* 0 for both: they differ in one bit */
        if ((here - ones) & ~here & (behind - ones) & ~behind & 0x80 * ones)
            return true;
    }
    for (; len - i > 1; i++) {
        if (path[i] == '/' && (path[i + 1] == '/' || path[i + 1] == '.'))
            return true;
    }
    return false;
}

bool ds_url_path_is_clean(const char *path, size_t len)
{
    const char *at = path + 1, *end = path + len;

    if (!len || path[0] != '/')
        return false;
    if (!has_odd_component(path, len))
        return true;
    while (at < end) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        size_t n = (size_t)((slash ? slash : end) - at);

        if (is_removable(at, n))
            return false;
        if (!slash)
            break;
        at = slash + 1;
    }
    return true;
}
