/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64.h - base64 for URLs (RFC 4648 section 5) as Pushgateway reads it: any number of
 * '=' at the end, CR and LF ignored anywhere, left-over bits ignored ("YQ" and "YR" are
 * both "a"); '+', '/', an inner '=' and a length of 4n+1 are errors.
 */
#ifndef DSHARD_BASE64_H
#define DSHARD_BASE64_H

#include "dshard/base.h"
#include "dshard/buf.h"

/* The most bytes that ds_base64_decode() writes for len bytes of input. */
#define DS_BASE64_DECODED_MAX(len) ((len) / 4 * 3 + 3)

/* Decodes into out, which may be the same memory as in; returns the length or -1. */
ptrdiff_t ds_base64_decode(char *out, const char *in, size_t len) DS_NODISCARD;

/* How much of a text that was decoded to n bytes is what ds_base64_encode_label() makes
   of these: all but the padding; 0 when it is spelled otherwise (line breaks, left-over
   bits that are set) and when there is nothing. */
size_t ds_base64_exact_len(const char *in, size_t len, size_t n) DS_NODISCARD;

/* Appends the encoding without padding; "=" for no bytes at all, which is how a
   Pushgateway's URL spells an empty value. */
void ds_base64_encode_label(struct ds_buf *out, const char *data, size_t len);

/* The standard alphabet with padding (RFC 4648 section 4), as Consul's KV store has it.
 */
void ds_base64_encode(struct ds_buf *out, const char *data, size_t len);
/* The same and back; -1 when it is none. */
int ds_base64_decode_standard(struct ds_buf *out, const char *text) DS_NODISCARD;

#endif
