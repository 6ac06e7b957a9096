/* SPDX-License-Identifier: Apache-2.0 */
/* see stall.h */
#include "dshard/stall.h"

bool ds_stall_lasts(struct ds_stall *stall, uint64_t generation, size_t n_open,
                    int64_t limit_ms, int64_t now_ms)
{
    if (!stall->began || stall->generation != generation || n_open < stall->n_least) {
        *stall = (struct ds_stall){.generation = generation,
                                   .n_least = n_open,
                                   .since_ms = now_ms,
                                   .began = true};
        return false;
    }
    return n_open && now_ms - stall->since_ms >= limit_ms;
}
