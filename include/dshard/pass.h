/* SPDX-License-Identifier: Apache-2.0 */
/* pass.h - what `dshard groups move|dedupe --once -o json` tells of its pass. */
#ifndef DSHARD_PASS_H
#define DSHARD_PASS_H

#include "dshard/base.h"
#include "dshard/error.h"
#include "dshard/server.h"

enum { DS_PASS_BYTES_MAX = 64 * 1024 * 1024, DS_PASS_FORMAT = 1 };

/* A group that a server would not take. */
struct ds_pass_refusal {
    char *group, *from, *to, *why; /* owned; group: as people write it */
};

struct ds_pass_server {
    char address[DS_ADDRESS_MAX];
    bool reached;
    char *why;       /* not reached; owned */
    size_t n_copies; /* left on it, though a copy elsewhere beats them */
    size_t n_ties;   /* of them, that may be as new as what beats them */
};

struct ds_pass {
    bool done; /* all is in place */
    size_t n_groups, n_misplaced, n_copies, n_waiting, n_left;
    size_t n_deleted, n_merged, n_copied, n_raced, n_undone;
    int64_t pause_ms, due_at_ms;      /* Unix time; 0: nothing waits for time alone */
    struct ds_pass_refusal *refusals; /* owned */
    size_t n_refusals;
    struct ds_pass_server *servers; /* owned */
    size_t n_servers;
};

/* `pass` must be released or fresh; on failure (DS_E_FORMAT, DS_E_NEWER) it is empty. */
int ds_pass_parse(struct ds_pass *pass, const char *text, size_t len,
                  struct ds_error *err) DS_NODISCARD;
void ds_pass_release(struct ds_pass *pass);
void ds_auto_pass(struct ds_pass *pass);

/* Whether it deleted, merged or copied anything. */
bool ds_pass_did_something(const struct ds_pass *pass);
/* Borrowed; NULL: it knows no such server. */
const struct ds_pass_server *ds_pass_find(const struct ds_pass *pass,
                                          const char *address);

#endif
