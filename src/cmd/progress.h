/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h - how far a long command is: a bar with count, rate and the time left, on a
 * terminal.  Without one, or with --verbose, a line now and then; with --quiet, nothing.
 */
#ifndef DSHARD_CMD_PROGRESS_H
#define DSHARD_CMD_PROGRESS_H

#include "cmd.h"

struct ds_cmd_progress {
    const struct ds_cmd_context *ctx;
    const char *what; /* "moving groups"; borrowed */
    size_t n_done, n_all;
    int64_t began_ms; /* when the first was begun; our clock that never steps */
    int64_t shown_ms; /* when it was drawn */
    bool bar;         /* there is a terminal */
    bool drawn;       /* the bar stands on the terminal's last line */
};

void ds_cmd_progress_init(struct ds_cmd_progress *progress,
                          const struct ds_cmd_context *ctx, const char *what);
/* Redraws it, at most ten times a second. */
void ds_cmd_progress_show(struct ds_cmd_progress *progress, size_t n_done, size_t n_all);
/* Wipes the bar off: call it before anything else goes to the terminal, and at the end.
 */
void ds_cmd_progress_clear(struct ds_cmd_progress *progress);

#endif
