/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - the state file ring.json: what watch and the commands know and the handler
 * reads.  doc/state-format.md is its normative description.
 *
 * The ring is the servers with `member` true and nothing else.  A struct that came from
 * ds_state_load() holds only possible values: addresses canonical, sorted and unique,
 * numbers in range, digest and checksum right.  A file is written only by
 * ds_state_save(), under the lock of its directory, as a whole.
 */
#ifndef DSHARD_STATE_H
#define DSHARD_STATE_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/error.h"
#include "dshard/file.h"
#include "dshard/ring.h"
#include "dshard/roster.h"

enum {
    DS_STATE_FORMAT = 1,
    DS_STATE_BYTES_MAX = 4 * 1024 * 1024,
    DS_HISTORY_MAX = 20,
    DS_STATE_HEARTBEAT_MS = 30000, /* watch renews checked_at at least this often */
    DS_STATE_STALE_MS = 90000,     /* older: the watch is dead */
};

enum ds_cause {
    DS_CAUSE_START,
    DS_CAUSE_HEALTH,
    DS_CAUSE_OPERATOR,
    DS_CAUSE_CONFIG,
    DS_CAUSE_WEIGHT,
    DS_CAUSE_UNFREEZE,
};
enum { DS_N_CAUSES = 6 };
const char *ds_cause_name(enum ds_cause cause);
int ds_cause_parse(const char *text, enum ds_cause *out) DS_NODISCARD;

/* One change of the ring. */
struct ds_change {
    int64_t at_ms; /* Unix time */
    enum ds_cause cause;
    uint64_t generation;
    uint32_t moved_ppm; /* share of the key space that got another owner */
    char (*added)[DS_ADDRESS_MAX];
    char (*removed)[DS_ADDRESS_MAX];
    size_t n_added, n_removed;
};

struct ds_state {
    struct ds_standing *servers; /* sorted by address, at most DS_SERVERS_MAX */
    size_t n_servers;
    unsigned replicas;
    char scheme[6];      /* "http" or "https" */
    char *route_prefix;  /* owned; "" or "/path" without a slash at its end */
    char *frozen_reason; /* owned; NULL: not frozen */
    int64_t frozen_since_ms;
    char *operation_kind;                /* owned; NULL: no operation runs */
    char *operation_step, *operation_by; /* owned */
    int64_t operation_since_ms;
    uint64_t generation; /* 0: there never was a ring */
    char digest[DS_DIGEST_MAX];
    struct ds_change history[DS_HISTORY_MAX]; /* newest first */
    size_t n_history;
    bool consul;                          /* "source" */
    int64_t checked_at_ms, written_at_ms; /* Unix time; checked 0: no watch ran yet */
    char *written_by;                     /* owned; "host:pid dshard/1.0" */
};

void ds_state_init(struct ds_state *state); /* no servers, defaults */
void ds_state_release(struct ds_state *state);
void ds_auto_state(struct ds_state *state);

/* DS_E_MISSING: there is no file; DS_E_NEWER: a later dshard wrote it; DS_E_FORMAT: cut,
   corrupt or impossible, and the text says what and where.  On failure *state is as
   ds_state_init() leaves it.  `state` must be released or fresh. */
int ds_state_load(struct ds_state *state, const char *path, struct ds_error *err)
    DS_NODISCARD;
int ds_state_parse(struct ds_state *state, const char *text, size_t len,
                   struct ds_error *err) DS_NODISCARD;

/* Appends the file's text: compact, keys sorted, newline at the end.  The oldest entries
   of the history are left out when the text would pass DS_STATE_BYTES_MAX. */
void ds_state_format(const struct ds_state *state, struct ds_buf *out);

/* Writes the file.  The caller holds the lock of its directory; written_at_ms and
   written_by are the caller's to set (see ds_state_stamp). */
int ds_state_save(const struct ds_state *state, const char *path, struct ds_error *err)
    DS_NODISCARD;
void ds_state_stamp(struct ds_state *state, int64_t wall_ms); /* written_at and _by */

/* Borrowed; NULL when there is none of that name. */
struct ds_standing *ds_state_find(const struct ds_state *state, const char *address);
/* The server of that name, added in its place with intent `in` when it is not there. */
struct ds_standing *ds_state_add(struct ds_state *state, const char *address,
                                 unsigned weight);
void ds_state_remove(struct ds_state *state, const char *address);

/* The members, a new array (NULL and 0 without any) for ds_ring_new(). */
struct ds_server *ds_state_members(const struct ds_state *state, size_t *n) DS_NODISCARD;
/* The ring, new; NULL without members. */
struct ds_ring *ds_state_ring(const struct ds_state *state) DS_NODISCARD;

/*
 * Makes exactly these servers the members, with their weights, and `replicas` the points
 * of weight 1.  When that changes the ring: generation + 1, the digest, and a history
 * entry with the cause.  1: it changed; 0: it is the ring that was there; -1: a server
 * that the state does not know, or too many points (DS_E_FORMAT), and nothing was done.
 */
int ds_state_set_ring(struct ds_state *state, const struct ds_server *members, size_t n,
                      unsigned replicas, enum ds_cause cause, int64_t wall_ms,
                      struct ds_error *err) DS_NODISCARD;

/* Takes over another's ring: generation, members, replicas, history (which moves).  Every
   member there must be a server here. */
void ds_state_take_ring(struct ds_state *state, struct ds_state *from);

/* True when checked_at is older than DS_STATE_STALE_MS: no watch is alive. */
bool ds_state_is_stale(const struct ds_state *state, int64_t wall_ms);

#endif
