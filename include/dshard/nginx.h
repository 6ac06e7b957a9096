/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nginx.h - the servers as nginx wants them for proxying over connections that it keeps:
 * an `upstream` for each, and a map from $dshard_server to its name.
 *
 * Every server that is not `out` is there, members or not, and nothing that changes with
 * their health: so the text changes, and nginx has to be reloaded, only when servers come
 * or go.  One that the text does not know yet is its own value in the map, and is proxied
 * to over a new connection.
 */
#ifndef DSHARD_NGINX_H
#define DSHARD_NGINX_H

#include "dshard/buf.h"
#include "dshard/state.h"

/* Appends what may stand in `http {}`. */
void ds_nginx_format(const struct ds_state *state, struct ds_buf *out);

#endif
