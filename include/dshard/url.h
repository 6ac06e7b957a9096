/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.h - percent-escapes and path cleaning, as Go's net/http does them.
 */
#ifndef DSHARD_URL_H
#define DSHARD_URL_H

#include "dshard/base.h"
#include "dshard/buf.h"

/* Decodes %XX once into out, which may be the same memory; '+' stays '+'.  The length, or
   -1 when a '%' is not followed by two hexadecimal digits. */
ptrdiff_t ds_url_decode(char *out, const char *in, size_t len) DS_NODISCARD;

/* Of each byte: bit 0 for A-Z a-z 0-9 _, bit 1 for - . ~ too. */
extern const unsigned char ds_url_kinds[256];

/* True for A-Z a-z 0-9 - . _ ~, which mean themselves anywhere in a URL (RFC 3986, 2.3).
 */
static inline bool ds_url_is_unreserved(char c)
{
    return ds_url_kinds[(unsigned char)c];
}

/* True for A-Z a-z 0-9 _. */
static inline bool ds_url_is_word(char c)
{
    return ds_url_kinds[(unsigned char)c] & 1;
}

/* Appends with everything but A-Z a-z 0-9 - . _ ~ escaped. */
void ds_url_encode(struct ds_buf *out, const char *data, size_t len);

/* True when Go's ServeMux would not redirect it: begins with '/', and has no empty, "."
   or ".." component (one '/' at the end is fine). */
bool ds_url_path_is_clean(const char *path, size_t len);

#endif
