/* SPDX-License-Identifier: Apache-2.0 */
/* see slots.h */
#include "dshard/slots.h"

enum { NAME_FDS = 3 };

size_t ds_slots_fds(size_t n, bool names)
{
    return n * (names ? NAME_FDS : 1) + DS_SLOTS_SPARE_FDS;
}

struct ds_slots ds_slots_share(uint64_t fds, size_t n, bool names)
{
    uint64_t left = fds > DS_SLOTS_SPARE_FDS ? fds - DS_SLOTS_SPARE_FDS : 0;
    uint64_t slots = names ? left / NAME_FDS : left;
    struct ds_slots share;

    if (slots >= n)
        return (struct ds_slots){.most = n ? n : 1, .most_slow = n ? n : 1};
    share.most = slots ? (size_t)slots : 1;
    share.most_slow = share.most > 1 ? share.most - (share.most + 3) / 4 : 1;
    return share;
}
