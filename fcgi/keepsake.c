/* SPDX-License-Identifier: Apache-2.0 */
/* see keepsake.h */
#include "keepsake.h"
#include "dshard/state.h"
#include "shared_lock.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/mman.h>

struct place {
    size_t len; /* 0: empty */
    char text[DS_STATE_BYTES_MAX];
};

struct ds_keepsake {
    struct ds_shared_lock lock;
    atomic_uint in_use; /* of the two; changes when the other one is whole */
    struct place places[2];
};

struct ds_keepsake *ds_keepsake_new(struct ds_error *err)
{
    struct ds_keepsake *keepsake = mmap(NULL, sizeof *keepsake, PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (keepsake == MAP_FAILED) {
        ds_fail_errno(err, "cannot share memory for the state among workers");
        return NULL;
    }
    if (ds_shared_lock_init(&keepsake->lock, err) < 0) {
        ds_keepsake_free(keepsake);
        return NULL;
    }
    return keepsake;
}

void ds_keepsake_free(struct ds_keepsake *keepsake)
{
    if (keepsake)
        munmap(keepsake, sizeof *keepsake);
}

void ds_auto_keepsake(struct ds_keepsake **keepsake)
{
    ds_keepsake_free(*keepsake);
}

void ds_keepsake_put(struct ds_keepsake *keepsake, const char *text, size_t len)
{
    struct place *place;
    unsigned in_use;

    if (!keepsake)
        return;
    assert(len <= sizeof place->text);
    if (!ds_shared_lock_take(&keepsake->lock))
        return;
    in_use = atomic_load(&keepsake->in_use);
    place = &keepsake->places[in_use];
    /* Every worker brings every text. */
    if (place->len != len || memcmp(place->text, text, len) != 0) {
        place = &keepsake->places[!in_use];
        memcpy(place->text, text, len);
        place->len = len;
        atomic_store(&keepsake->in_use, !in_use);
    }
    ds_shared_lock_give(&keepsake->lock);
}

bool ds_keepsake_get(struct ds_keepsake *keepsake, struct ds_buf *out)
{
    const struct place *place;
    bool found;

    if (!keepsake || !ds_shared_lock_take(&keepsake->lock))
        return false;
    place = &keepsake->places[atomic_load(&keepsake->in_use)];
    found = place->len;
    ds_buf_add(out, place->text, place->len);
    ds_shared_lock_give(&keepsake->lock);
    return found;
}
