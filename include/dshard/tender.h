/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tender.h - keeps the fleet's groups in place while watch follows the servers: runs
 * `dshard groups move|dedupe --once` as a child whenever a pass is due (pacer.h), and
 * lets servers that came back rejoin when a pass has cleaned them.
 *
 * Only where this watch decides, and `watch.groups` is not off.  The child takes the
 * fleet's lock by itself, reads the state file, and dies with us.  Nothing blocks but
 * ds_tender_free().
 */
#ifndef DSHARD_TENDER_H
#define DSHARD_TENDER_H

#include "dshard/base.h"
#include "dshard/child.h"
#include "dshard/error.h"
#include "dshard/follower.h"

struct ds_tender;

/* config_path: what the child reads, NULL: what it finds by itself.  DS_E_CONFIG when the
   configuration cannot be used.  All is borrowed. */
struct ds_tender *ds_tender_new(struct ds_follower *follower, const char *config_path,
                                struct ds_error *err) DS_NODISCARD;
/* Ends the child, which may take some seconds. */
void ds_tender_free(struct ds_tender *tender);
/* The follower has another configuration; on failure the old one stays in use. */
int ds_tender_configure(struct ds_tender *tender, struct ds_error *err) DS_NODISCARD;

/* After the follower has taken its step, and has written what it wants to. */
void ds_tender_step(struct ds_tender *tender);
/* Descriptors to wait for, besides SIGCHLD. */
size_t ds_tender_fds(const struct ds_tender *tender, int fds[DS_CHILD_FDS_MAX]);
/* When the next step is wanted, monotonic. */
int64_t ds_tender_next_ms(const struct ds_tender *tender);

#endif
