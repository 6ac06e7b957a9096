/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet_lock.h - one at a time writes to the fleet's Pushgateways: scale, drain --wait,
 * groups, and the passes of a watch.
 *
 * With Consul it is the key dshard/SERVICE/fleet, held with a session of our own that
 * ends by its TTL when we die; standalone a lock on a hidden file beside the state file,
 * which the kernel frees.  The holder asks ds_fleet_lock_check() before each batch: it
 * renews the session when that is due, and says when the lock may be somebody else's by
 * now.
 */
#ifndef DSHARD_FLEET_LOCK_H
#define DSHARD_FLEET_LOCK_H

#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/error.h"

struct ds_fleet_lock;

/* what: "scale up", "groups move", for those who wait.  Waits at most timeout_ms;
   DS_E_TEMP when somebody else has it by then: the text says who, and what for; also when
   Consul does not answer. */
struct ds_fleet_lock *ds_fleet_lock_take(const struct ds_config *config, const char *what,
                                         int64_t timeout_ms, struct ds_error *err)
    DS_NODISCARD;
enum { DS_FLEET_LOCK_SAFE_MS = 3000 };
/* 0: it is ours for at least DS_FLEET_LOCK_SAFE_MS more.  DS_E_TEMP: it is lost: stop at
   once. */
int ds_fleet_lock_check(struct ds_fleet_lock *lock, struct ds_error *err) DS_NODISCARD;
void ds_fleet_lock_free(struct ds_fleet_lock *lock); /* gives it back */
void ds_auto_fleet_lock(struct ds_fleet_lock **lock);

#endif
