/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8.h - which bytes are UTF-8, judged as Go's utf8.ValidString does: no overlong
 * forms, no surrogates, nothing above U+10FFFF (RFC 3629).  Pushgateway uses that
 * function, and one invalid label value breaks every later push to it.
 */
#ifndef DSHARD_UTF8_H
#define DSHARD_UTF8_H

#include "dshard/base.h"

/* How many bytes (1 to 4) the character at s takes; 0: it is not valid (or len is 0). */
size_t ds_utf8_len(const char *s, size_t len);

bool ds_utf8_is_valid(const char *s, size_t len);

/* Whether the character of n bytes at s (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066
   to U+2069) can change the direction of what stands beside it: text that is shown beside
   other text must not have one. */
bool ds_utf8_is_turning(const char *s, size_t n);

/* The longest length <= max that does not cut a character of the valid text s. */
size_t ds_utf8_cut(const char *s, size_t len, size_t max);

/* Copies what of the text fits, with its NUL, into out[size] (1 or more), as valid text
   of one line: `?` stands for each byte that is not valid, for control characters and for
   those that turn the text. */
void ds_utf8_clean(char *out, size_t size, const char *text, size_t len);

#endif
