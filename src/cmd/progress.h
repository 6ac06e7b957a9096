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
    int64_t due_ms;   /* it waits until then, unix time; INT64_MAX: who knows; 0: no */
    int64_t waits_ms; /* since when it waits, with pauses; 0: never yet */
    int64_t told_ms;  /* when it was last told what waits; 0: never */
    bool bar;         /* there is a terminal */
    bool drawn;       /* the bar stands on the terminal's last line */
};

void ds_cmd_progress_init(struct ds_cmd_progress *progress,
                          const struct ds_cmd_context *ctx, const char *what);
/* Redraws it, at most ten times a second. */
void ds_cmd_progress_show(struct ds_cmd_progress *progress, size_t n_done, size_t n_all);
/* What it waits for (NULL: it does not), in a line once a minute, and in the bar instead
   of the time left, which would be a guess.  Nothing is said of a moment. */
void ds_cmd_progress_wait(struct ds_cmd_progress *progress, const char *text,
                          int64_t due_ms);
/* Wipes the bar off: call it before anything else goes to the terminal, and at the end.
 */
void ds_cmd_progress_clear(struct ds_cmd_progress *progress);

#endif
