/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consul_health.h - what an answer of /v1/health/service/NAME says about each server.
 *
 * Pure.  Everything an agent accepts may be in there: absurd ports, no address, the same
 * server on two agents.  What cannot be a server is counted and left out.
 * Source: doc/operations.md has the table; measured on Consul 1.8.7.
 */
#ifndef DSHARD_CONSUL_HEALTH_H
#define DSHARD_CONSUL_HEALTH_H

#include "dshard/base.h"
#include "dshard/error.h"
#include "dshard/health.h"
#include "dshard/roster.h"
#include "dshard/server.h"

enum ds_consul_kind {
    DS_CONSUL_FAILING,  /* a check has run and failed: it is down */
    DS_CONSUL_UNPROBED, /* critical, and its check has not run since the agent started */
    DS_CONSUL_AGENT_LOST, /* the agent is dead; that says nothing about the server */
    DS_CONSUL_PASSING,    /* passing, or warning (an overloaded server answers 429) */
};

struct ds_consul_instance {
    struct ds_server server; /* weight from Meta "dshard-weight", 1 without it */
    enum ds_consul_kind kind;
    bool drained;         /* in maintenance, itself or its node */
    bool joining;         /* Meta "dshard-intent" says so, wherever it is registered */
    char why[DS_WHY_MAX]; /* the check's name and the first line of its output */
};

/* What operators want with it, as far as its registration tells. */
enum ds_intent ds_consul_instance_intent(const struct ds_consul_instance *instance);

struct ds_consul_view {
    struct ds_consul_instance *items; /* sorted by address, unique; owned */
    size_t n;
    size_t n_refused;         /* instances that can be no server */
    char refused[DS_WHY_MAX]; /* why the last of them was refused */
};

/* DS_E_FORMAT when it is no such answer at all; *view must be fresh or released. */
int ds_consul_view_parse(struct ds_consul_view *view, const char *text, size_t len,
                         struct ds_error *err) DS_NODISCARD;
void ds_consul_view_release(struct ds_consul_view *view);
void ds_auto_consul_view(struct ds_consul_view *view);

#endif
