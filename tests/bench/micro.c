/* SPDX-License-Identifier: Apache-2.0 */
/*
 * micro.c - what the parts cost without any server: from a push path to its owner, the
 * whole answer of the handler, the building of a ring.  Prints JSON.
 *
 * Time is this process's CPU time; of several rounds the fastest counts: the others were
 * disturbed.
 */
#include "../../fcgi/handler.h"
#include "dshard/groupkey.h"
#include "dshard/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ROUNDS = 15,
    PATHS = 1024, /* different groups, so that the ring's memory is walked as in use */
    PATH_MAX_LEN = 512,
};

static unsigned long n_allocations;

/* The linker puts these before the C library's (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
    n_allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    n_allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    n_allocations++;
    return __real_realloc(p, size);
}

struct paths {
    const char *name, *labels; /* after job and instance */
    char text[PATHS][PATH_MAX_LEN];
    size_t len[PATHS];
};

static struct paths all_paths[] = {
    {.name = "1 label", .labels = ""},
    {.name = "3 labels", .labels = "/region/eu-west-1/team/billing"},
    {.name = "5 labels",
     .labels = "/region/eu-west-1/team/billing/zone/eu-west-1b/env/production"},
    {.name = "5 labels, one of 120 bytes in base64",
     .labels = "/region/eu-west-1/team/billing/zone/eu-west-1b"
               "/path@base64/L3Zhci9saWIvamVua2lucy93b3Jrc3BhY2UvYmlsbGluZy1u"
               "aWdodGx5LXJlcG9ydC9idWlsZC9vdXRwdXQvcmVwb3J0cy8yMDI0LTAxLTAxL3N1bW1hcnkv"
               "YWxsLXJlZ2lvbnMvZmluYWwvdmVyc2lvbi0xMi9leHBvcnQuY3N2"},
};

static const struct {
    unsigned members, replicas;
} ring_sizes[] = {{16, 500}, {64, 500}, {1000, 500}, {1000, 1000}, {10000, 100}};

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double fastest(const double values[ROUNDS])
{
    double least = values[0];

    for (int i = 1; i < ROUNDS; i++)
        least = values[i] < least ? values[i] : least;
    return least;
}

static void die(const struct ds_error *err)
{
    fprintf(stderr, "micro: %s\n", err->text);
    exit(1);
}

static void fill_paths(void)
{
    for (size_t kind = 0; kind < DS_COUNT(all_paths); kind++) {
        struct paths *paths = &all_paths[kind];

        for (unsigned i = 0; i < PATHS; i++) {
            struct ds_buf text = DS_BUF_INIT(PATH_MAX_LEN - 1);

            ds_buf_addf(&text, "/metrics/job/batch_%u/instance/host-%04u%s", i,
                        i * 7919u % 10000u, paths->labels);
            memcpy(paths->text[i], text.data, text.len + 1);
            paths->len[i] = text.len;
            ds_buf_release(&text);
        }
    }
}

static struct ds_server *make_members(unsigned n)
{
    struct ds_server *members = ds_xcalloc(n, sizeof *members);

    for (unsigned i = 0; i < n; i++) {
        snprintf(members[i].address, sizeof members[i].address, "10.%u.%u.%u:9091",
                 i >> 16, (i >> 8) & 255u, i & 255u);
        members[i].weight = 1;
    }
    return members;
}

/* The members' state, for the handler. */
static void fill_state(struct ds_state *state, const struct ds_server *members,
                       unsigned n, unsigned replicas)
{
    struct ds_error err = DS_ERROR_INIT;

    for (unsigned i = 0; i < n; i++)
        ds_state_add(state, members[i].address, members[i].weight);
    if (ds_state_set_ring(state, members, n, replicas, DS_CAUSE_START, 0, &err) < 0)
        die(&err);
}

/* Nanoseconds from a path to its owner. */
static double time_lookup(const struct ds_ring *ring, const struct paths *paths)
{
    DS_AUTO(groupkey) struct ds_groupkey group;
    struct ds_error err = DS_ERROR_INIT;
    double rounds[ROUNDS];
    uintptr_t sum = 0;

    ds_groupkey_init(&group);
    for (int round = 0; round < ROUNDS; round++) {
        double began = cpu_ns();

        for (unsigned i = 0; i < 16 * PATHS; i++) {
            unsigned at = i % PATHS;

            if (ds_groupkey_parse(&group, paths->text[at], paths->len[at], &err) < 0)
                die(&err);
            sum += (uintptr_t)ds_ring_owner(ring, group.key.data, group.key.len);
        }
        rounds[round] = (cpu_ns() - began) / (16 * PATHS);
    }
    if (!sum)
        abort(); /* so that the compiler may not leave the work out */
    return fastest(rounds);
}

/* Nanoseconds of a whole answer; counts what was allocated once the buffers were warm. */
static double time_answer(const struct ds_view *view, const struct paths *paths,
                          double *allocations)
{
    DS_AUTO(handler) struct ds_handler handler;
    DS_AUTO(response) struct ds_response response;
    struct ds_request request = {.method = "PUT"};
    double rounds[ROUNDS];

    ds_handler_init(&handler);
    ds_response_init(&response);
    for (int round = 0; round < ROUNDS; round++) {
        double began = cpu_ns();

        if (round == 1)
            n_allocations = 0;
        for (unsigned i = 0; i < 16 * PATHS; i++) {
            request.target = paths->text[i % PATHS];
            ds_handler_answer(&handler, view, &request, &response);
            if (response.status != 307)
                abort();
        }
        rounds[round] = (cpu_ns() - began) / (16 * PATHS);
    }
    *allocations = (double)n_allocations / ((ROUNDS - 1) * 16.0 * PATHS);
    return fastest(rounds);
}

static double time_build(const struct ds_server *members, unsigned n, unsigned replicas,
                         struct ds_ring **out)
{
    struct ds_error err = DS_ERROR_INIT;
    double rounds[ROUNDS];

    *out = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        double began;

        ds_ring_free(*out);
        began = cpu_ns();
        *out = ds_ring_new(members, n, replicas, &err);
        rounds[round] = cpu_ns() - began;
        if (!*out)
            die(&err);
    }
    return fastest(rounds);
}

static void print_ring(unsigned n, unsigned replicas, const char *end)
{
    struct ds_server *members = make_members(n);
    struct ds_ring *ring;
    double build_ns = time_build(members, n, replicas, &ring);

    printf("{\"members\": %u, \"replicas\": %u, \"build_ms\": %.3f, \"lookup_ns\": {", n,
           replicas, build_ns / 1e6);
    for (size_t i = 0; i < DS_COUNT(all_paths); i++)
        printf("%s\"%s\": %.1f", i ? ", " : "", all_paths[i].name,
               time_lookup(ring, &all_paths[i]));
    printf("}}%s\n", end);
    ds_ring_free(ring);
    free(members);
}

static void print_answers(void)
{
    DS_AUTO(state) struct ds_state state;
    struct ds_server *members = make_members(16);
    struct ds_view view = {.state = &state};
    struct ds_ring *ring;

    ds_state_init(&state);
    fill_state(&state, members, 16, 500);
    view.ring = ring = ds_state_ring(&state);
    for (size_t i = 0; i < DS_COUNT(all_paths); i++) {
        double allocations, ns = time_answer(&view, &all_paths[i], &allocations);

        printf("%s\"%s\": {\"ns\": %.1f, \"allocations\": %.4f}", i ? ", " : "",
               all_paths[i].name, ns, allocations);
    }
    ds_ring_free(ring);
    free(members);
}

int main(void)
{
    fill_paths();
    printf("{\"rings\": [\n");
    for (size_t i = 0; i < DS_COUNT(ring_sizes); i++)
        print_ring(ring_sizes[i].members, ring_sizes[i].replicas,
                   i + 1 < DS_COUNT(ring_sizes) ? "," : "");
    printf("], \"answer\": {");
    print_answers();
    printf("}}\n");
    return 0;
}
