/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counters.h - what the handler counts, added up over its workers, and the words for it.
 *
 * A struct ds_counters is a copy of one moment.  The words are label values of metrics:
 * they never change their meaning.
 */
#ifndef DSHARD_COUNTERS_H
#define DSHARD_COUNTERS_H

#include "dshard/base.h"
#include "dshard/state.h"

enum ds_method {
    DS_METHOD_DELETE,
    DS_METHOD_GET,
    DS_METHOD_HEAD,
    DS_METHOD_POST,
    DS_METHOD_PUT,
    DS_METHOD_OTHER, /* whatever clients think of */
};
enum { DS_N_METHODS = 6 };
enum ds_method ds_method_of(const char *text); /* NULL: other */
const char *ds_method_name(enum ds_method method);
bool ds_method_is_push(enum ds_method method);

/* Why a request was refused. */
enum ds_refusal {
    DS_REFUSAL_NONE,
    DS_REFUSAL_BAD_PATH,      /* 400: a push path that no Pushgateway may see */
    DS_REFUSAL_NOT_FOUND,     /* 404: a path that is none of ours */
    DS_REFUSAL_METHOD,        /* 405 */
    DS_REFUSAL_TOO_LONG,      /* 414 */
    DS_REFUSAL_MISCONFIGURED, /* 500: the web server says too little, or nonsense */
    DS_REFUSAL_OVERFLOW,      /* 500: the answer is too long */
    DS_REFUSAL_NO_MEMBER,     /* 503: the ring is empty */
    DS_REFUSAL_NO_STATE,      /* 503: no good state file was there yet */
};
enum { DS_N_REFUSALS = 9 };
const char *ds_refusal_name(enum ds_refusal refusal); /* "bad_path", ... */
unsigned ds_refusal_status(enum ds_refusal refusal);  /* of HTTP */

/* The statuses that the handler answers with, and how many; an index into them, for one
   that is there. */
enum { DS_N_STATUSES = 9 };
unsigned ds_counted_status(size_t index);
size_t ds_counted_status_index(unsigned status);

/* Durations: upper bounds of the buckets in ns; the last bucket has none. */
enum { DS_N_BOUNDS = 12, DS_N_BUCKETS = DS_N_BOUNDS + 1 };
extern const uint64_t ds_duration_bounds[DS_N_BOUNDS];
size_t ds_duration_bucket(uint64_t ns);
enum ds_work { DS_WORK_PUSH, DS_WORK_OTHER };
enum { DS_N_WORKS = 2 };

/* Changes of the ring by cause, and those of which the history no longer tells. */
enum { DS_CAUSE_UNKNOWN = DS_N_CAUSES, DS_N_COUNTED_CAUSES };

/* What became of one request. */
struct ds_outcome {
    enum ds_method method;
    enum ds_refusal refusal;
    unsigned status; /* of HTTP; one of those above */
    int place; /* in the table of servers, of the one that a push was sent to; -1: none */
};

struct ds_push_count {
    const char *server; /* borrowed */
    uint64_t n;
};

struct ds_counters {
    unsigned n_workers;
    int64_t started_ms; /* Unix time */
    uint64_t worker_restarts;
    uint64_t requests[DS_N_METHODS][DS_N_STATUSES];
    uint64_t refused[DS_N_WORKS][DS_N_REFUSALS]; /* at NONE: 0 */
    uint64_t durations[DS_N_WORKS][DS_N_BUCKETS];
    uint64_t duration_ns[DS_N_WORKS]; /* their sum */
    uint64_t changes[DS_N_COUNTED_CAUSES];
    uint64_t loads, load_errors;
    bool usable;                  /* every worker has a state to answer by */
    bool loaded_well;             /* what lies at the path is in use, in every worker */
    int64_t loaded_ms;            /* Unix time of the last load; 0: none */
    struct ds_push_count *pushes; /* owned; each server once */
    size_t n_pushes;
};

void ds_counters_release(struct ds_counters *counters); /* may be called twice */
void ds_auto_counters(struct ds_counters *counters);

#endif
