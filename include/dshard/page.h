/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h - the fleet for who looks at it: the status page as HTML, for a browser of any
 * width, in light and dark, or in a terminal, and the same as JSON.
 *
 * No script, nothing to load, and nothing from outside that is not escaped.
 */
#ifndef DSHARD_PAGE_H
#define DSHARD_PAGE_H

#include "dshard/buf.h"
#include "dshard/state.h"

enum { DS_PAGE_RELOAD_S = 30 };
enum { DS_TROUBLES_MAX = 5, DS_TROUBLE_TEXT_MAX = 512 };

/* Something that went wrong, and was noted with its time. */
struct ds_trouble {
    int64_t since_ms, until_ms;     /* Unix time; until 0: it lasts */
    char text[DS_TROUBLE_TEXT_MAX]; /* UTF-8, one line */
};

/* The newest of them first. */
struct ds_troubles {
    struct ds_trouble items[DS_TROUBLES_MAX];
    size_t n;
};

/* What is known; all of it borrowed. */
struct ds_page {
    const struct ds_state *state;       /* NULL: no usable one has been seen */
    const struct ds_ring *ring;         /* of that state; NULL without a member */
    const char *host;                   /* of the frontend that tells; NULL: not known */
    int64_t now_ms;                     /* Unix time */
    const struct ds_troubles *troubles; /* with the state file; NULL: none */
    const uint64_t *pushes;             /* by server of the state; NULL: not counted */
    int64_t counted_since_ms;           /* Unix time; `pushes` has none from before */
    bool reloads;                       /* by itself, every DS_PAGE_RELOAD_S */
    bool operation_is_dead; /* the process that the state's `operation` names */
};

/* Appends <!DOCTYPE html> and so on. */
void ds_page_html(const struct ds_page *page, struct ds_buf *out);

/* Appends one object, format 1: what `dshard status -o json` has (but the frontends), and
   more; without a state only the verdict, the problems and the errors. */
void ds_page_json(const struct ds_page *page, struct ds_buf *out);

#endif
