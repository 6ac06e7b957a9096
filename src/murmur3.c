/* SPDX-License-Identifier: Apache-2.0 */
/* see murmur3.h */
#include "dshard/murmur3.h"

#include <inttypes.h>
#include <stdio.h>

static uint32_t rotl(uint32_t x, unsigned by)
{
    return x << by | x >> (32 - by);
}

static uint32_t scramble(uint32_t k)
{
    return rotl(k * 0xcc9e2d51u, 15) * 0x1b873593u;
}

/* Four bytes, least significant first, whatever the machine's own order. */
static uint32_t load32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

uint32_t ds_murmur3(const void *data, size_t len, uint32_t seed)
{
    const unsigned char *p = data;
    uint32_t h = seed, tail = 0;
    size_t left = len;

    for (; left >= 4; p += 4, left -= 4)
        h = rotl(h ^ scramble(load32(p)), 13) * 5 + 0xe6546b64u;
    while (left)
        tail = tail << 8 | p[--left];
    h ^= scramble(tail);

    h ^= (uint32_t)len;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

void ds_murmur3_digest(const void *data, size_t len, char out[DS_DIGEST_MAX])
{
    snprintf(out, DS_DIGEST_MAX, "%08" PRIx32 "%08" PRIx32, ds_murmur3(data, len, 0),
             ds_murmur3(data, len, 1));
}
