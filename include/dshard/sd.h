/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sd.h - the servers as Prometheus wants to discover them (http_sd_configs,
 * file_sd_configs).
 *
 * Every server that is not `out` is listed, also joining, down and draining ones: they
 * may still hold groups, and a target that is not listed goes stale at once.  Labels are
 * only
 * __meta_dshard_*, __scheme__ and __metrics_path__, so a series keeps its name wherever
 * its group lies.
 */
#ifndef DSHARD_SD_H
#define DSHARD_SD_H

#include "dshard/buf.h"
#include "dshard/state.h"

/* Appends a JSON array of target groups, one a server. */
void ds_sd_format(const struct ds_state *state, struct ds_buf *out);

#endif
