/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.h - what a program is told that asks for a group's owner.
 */
#ifndef DSHARD_FCGI_LOOKUP_H
#define DSHARD_FCGI_LOOKUP_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/groupkey.h"
#include "dshard/state.h"

/* True when one of the media types of an Accept header (may be NULL) is JSON. */
bool ds_lookup_wants_json(const char *accept);

/* Appends {"digest","generation","key","labels","owner","url"}. */
void ds_lookup_format(const struct ds_state *state, const struct ds_groupkey *group,
                      const struct ds_server *owner, const char *url, struct ds_buf *out);

#endif
