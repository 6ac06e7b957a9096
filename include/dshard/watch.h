/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - follows the servers' health and what operators want, and keeps the ring in
 * the state file in step.
 */
#ifndef DSHARD_WATCH_H
#define DSHARD_WATCH_H

#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/error.h"

struct ds_watch_options {
    const char *config_path;  /* read again on SIGHUP; NULL: never */
    int64_t claim_timeout_ms; /* how long to wait for another watch to end */
};

/* Runs until SIGTERM or SIGINT, then 0.  DS_E_TEMP when another watch runs.  *config is
   replaced when it is read again. */
int ds_watch_run(struct ds_config *config, const struct ds_watch_options *options,
                 struct ds_error *err) DS_NODISCARD;

/* As many checks as a verdict on every server needs (at most rise or fall), one write. */
int ds_watch_once(struct ds_config *config, const struct ds_watch_options *options,
                  struct ds_error *err) DS_NODISCARD;

#endif
