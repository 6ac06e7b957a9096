/* SPDX-License-Identifier: Apache-2.0 */
/* mover_courier.h - what mover_copy.c and mover_settle.c share; private to them. */
#ifndef DSHARD_MOVER_COURIER_H
#define DSHARD_MOVER_COURIER_H

#include "mover_impl.h"

/* Pushes between two looks at both servers: more of them than DELETEs, where looking
   takes longer than pushing. */
enum { DS_MOVER_PUSHES_MAX = 200 };

/* One move that copies. */
struct ds_mover_job {
    const struct ds_move *move;
    bool over;         /* nothing more is done about it in this pass */
    unsigned n_reads;  /* how often the snapshot was taken anew for it */
    unsigned n_copies; /* how often we have pushed it */
    bool had;          /* the target had something of that name before we did */
    bool made;         /* the target has it by our doing */
    bool unguarded;    /* a guard was refused, and no push is there that it kept */
    char *why;         /* what a refusal of a guarded push said; owned */
    int64_t mine_us;   /* our copy at the target, which a push at the source has made old:
                          to be replaced if it is still this one; 0: none */
    int64_t created_us; /* when that was created */
};

/* All that goes from one server. */
struct ds_mover_courier {
    struct ds_mover *mover;
    size_t from;
    struct ds_mover_job *jobs; /* sorted by target */
    size_t n;
    struct ds_snapshot snapshot;
    int64_t taken_at_ms;            /* when; our clock that never steps */
    bool stale;                     /* it is to be taken (anew) */
    const struct ds_group **wanted; /* those in the snapshot, by identity; owned array */
    size_t n_wanted;
    size_t wanted_end; /* it is good for jobs before this one */
};

/* A push that has been sent, of a batch to one target. */
struct ds_mover_sent {
    struct ds_mover_job *job;
    const struct ds_group *source; /* as it was pushed, of the snapshot */
    const char *json;              /* its text */
    size_t json_len;
    int64_t before_us; /* the target's stamp of before; 0: it had none */
    int64_t began_us;  /* when we pushed, by its clock, at the earliest */
    bool guarded, refused;
};

struct ds_mover_batch {
    struct ds_mover_sent sent[DS_MOVER_PUSHES_MAX];
    size_t n;
    size_t to;
    int64_t push_ms; /* how long the last push took */
};

/* Adds it to the batch, with how it went. */
void ds_mover_push(struct ds_mover *mover, struct ds_mover_batch *batch,
                   struct ds_mover_sent *sent, const struct ds_payload *payload);

/* Reads both servers again, and deletes at the source what has arrived. */
void ds_mover_settle(struct ds_mover_courier *courier, struct ds_mover_batch *batch);

#endif
