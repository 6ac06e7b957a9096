/* SPDX-License-Identifier: Apache-2.0 */
/*
 * murmur3.h - MurmurHash3_x86_32 (Austin Appleby, public domain algorithm): the hash that
 * places points and keys on the ring, the same as in the program dshard takes over from.
 */
#ifndef DSHARD_MURMUR3_H
#define DSHARD_MURMUR3_H

#include "dshard/base.h"

uint32_t ds_murmur3(const void *data, size_t len, uint32_t seed);

/* 16 hexadecimal digits: seed 0, then seed 1.  Short and stable, not cryptographic. */
enum { DS_DIGEST_MAX = 17 };
void ds_murmur3_digest(const void *data, size_t len, char out[DS_DIGEST_MAX]);

#endif
