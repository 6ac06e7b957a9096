/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - Consul's last word about each server, our own checks of what it leaves open,
 * and the evidence that follows from both.
 *
 * Consul's checks are believed when they have run.  Where Consul only lost sight of a
 * server (its agent died or was restarted, most of the fleet vanished, Consul itself is
 * gone), silence takes nobody out: a check of our own must fail too.  And no check of our
 * own brings anybody back.  Pure: time is an argument (monotonic milliseconds).
 */
#ifndef DSHARD_LEDGER_H
#define DSHARD_LEDGER_H

#include "dshard/base.h"
#include "dshard/consul_health.h"
#include "dshard/discovery.h"

enum {
    DS_LEDGER_SETTLE_MS = 1000,    /* how long several that vanish count as one event */
    DS_LEDGER_WINDOW_MS = 30000,   /* "the members of 30 s ago" */
    DS_LEDGER_NEWCOMER_MS = 30000, /* then our own check of one is as good as Consul's */
    DS_LEDGER_UNREACHABLE_MS = 10000, /* then refused connections count */
    DS_LEDGER_FALL = 2,               /* failures of our own check in a row */
};

/* What Consul's last word about a server was. */
enum ds_word {
    DS_WORD_NONE,
    DS_WORD_CHECKED, /* its check has run, or it was never there */
    DS_WORD_UNPROBED,
    DS_WORD_AGENT_LOST,
    DS_WORD_VANISHED,
};

struct ds_ledger_line {
    struct ds_sighting sighting;
    enum ds_word word;
    bool listed;    /* in the last answer */
    bool was_there; /* in an earlier one, or a member when we started */
    bool tracked;   /* watch knows it */
    bool drained, joining, out;
    bool gone; /* it vanished and has been let go */
    bool mass; /* it vanished with most of the others */
    int64_t word_since_ms;
    uint64_t own_seq; /* our own check's evidence that has been weighed */
    unsigned own_fails;
};

struct ds_ledger {
    struct ds_ledger_line *lines; /* sorted by address; owned */
    size_t n;
    int64_t shrink_hold_ms; /* those who vanish together leave no sooner */
    bool reachable;         /* Consul's last answer was good */
    int64_t lost_since_ms;  /* not reachable: since when */
    bool answered;          /* it has answered at least once */
    bool marks_known;       /* so have its marks of who is out */
    uint64_t seq; /* of all evidence: who is forgotten and comes back counts on */
    bool news;    /* evidence or intents changed; the reader resets it */
    bool disputes_changed; /* so may have ds_ledger_is_disputed() */
};

void ds_ledger_init(struct ds_ledger *ledger, int64_t shrink_hold_ms, int64_t now_ms);
void ds_ledger_release(struct ds_ledger *ledger);

/* The servers that watch knows; those it knows no more are forgotten if Consul does not
   have them either. */
void ds_ledger_track(struct ds_ledger *ledger, const struct ds_standing *servers,
                     size_t n, int64_t now_ms);
/* A good answer of Consul, or its loss. */
void ds_ledger_take(struct ds_ledger *ledger, const struct ds_consul_view *view,
                    int64_t now_ms);
void ds_ledger_lose(struct ds_ledger *ledger, int64_t since_ms);
/* The marks of who is out: first all go, then each comes. */
void ds_ledger_clear_marks(struct ds_ledger *ledger);
void ds_ledger_mark(struct ds_ledger *ledger, const char *address);

/* Whether our own check is wanted. */
bool ds_ledger_is_disputed(const struct ds_ledger *ledger,
                           const struct ds_ledger_line *line, int64_t now_ms);
/* What our own checks found. */
void ds_ledger_weigh(struct ds_ledger *ledger, const struct ds_fleet *own,
                     int64_t now_ms);
/* What time alone changes. */
void ds_ledger_tick(struct ds_ledger *ledger, int64_t now_ms);
int64_t ds_ledger_next_ms(const struct ds_ledger *ledger, int64_t now_ms);

/* Somebody was in Consul's last answer. */
bool ds_ledger_lists_any(const struct ds_ledger *ledger);

/* Consul answers and lists nobody, though there were servers and nobody took them out. */
bool ds_ledger_is_deserted(const struct ds_ledger *ledger);

/* Fills items for a fleet; *items is reallocated, the caller's. */
size_t ds_ledger_sightings(const struct ds_ledger *ledger, struct ds_sighting **items);

#endif
