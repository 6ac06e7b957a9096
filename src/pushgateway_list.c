/* SPDX-License-Identifier: Apache-2.0 */
/* pushgateway_list.c - which groups servers hold. */
#include "dshard/clock.h"
#include "pushgateway_impl.h"

#include <stdlib.h>

enum { AT_ONCE_MAX = 8 };

static int take(void *arg, const char *data, size_t len)
{
    struct ds_listing *listing = arg;

    return ds_group_splitter_feed(listing->splitter, data, len, &listing->err);
}

void ds_listing_begin(struct ds_listing *listing, const struct ds_pushgateway *server,
                      ds_group_text_fn *each, void *arg, struct ds_http_request *request)
{
    *listing = (struct ds_listing){
        .url = ds_pushgateway_url(server, "/api/v1/metrics"),
        .splitter = ds_group_splitter_new(each, arg),
        .err = DS_ERROR_INIT,
        .sent_ms = ds_clock_wall_ms(),
    };
    *request = ds_pushgateway_request(server, listing->url);
    request->body_max = DS_PUSHGATEWAY_ANSWER_MAX;
    request->sink = take;
    request->sink_arg = listing;
}

static int judge(struct ds_listing *listing, const struct ds_http_response *response,
                 struct ds_error *err)
{
    struct ds_http_request request = {.url = listing->url};

    if (response->stopped) {
        *err = listing->err;
        return ds_wrap(err, "GET %s", listing->url);
    }
    if (!response->status)
        return ds_pushgateway_fail(response, err);
    if (response->status != 200)
        return ds_http_fail_status(&request, response, err);
    if (ds_group_splitter_end(listing->splitter, err) < 0)
        return ds_wrap(err, "GET %s", listing->url);
    return 0;
}

int ds_listing_end(struct ds_listing *listing, const struct ds_http_response *response,
                   struct ds_error *err)
{
    int rc = judge(listing, response, err);

    ds_group_splitter_free(listing->splitter);
    free(listing->url);
    return rc;
}

/* The header was written before the first byte of the body came; the clock that cannot
   step says how long that took. */
void ds_listing_fill(const struct ds_listing *listing,
                     const struct ds_http_response *response, struct ds_inventory *out)
{
    int64_t date_ms = ds_http_date_ms(response);

    out->reached = true;
    out->bytes = (int64_t)response->sunk;
    out->taken_ms = response->elapsed_ms;
    if (date_ms >= 0)
        ds_inventory_set_clock(out, date_ms, listing->sent_ms,
                               listing->sent_ms + response->begun_ms);
}

void ds_listing_fail(struct ds_inventory *out, const struct ds_error *err)
{
    char address[DS_ADDRESS_MAX];

    memcpy(address, out->address, sizeof address);
    ds_inventory_release(out);
    ds_inventory_init(out, address);
    out->err = *err;
}

static int add_group(void *arg, const char *json, size_t len, struct ds_error *err)
{
    struct ds_group group = {0};

    if (ds_group_parse(&group, json, len, err) < 0) {
        ds_group_release(&group);
        return -1;
    }
    ds_inventory_add(arg, &group);
    return 0;
}

static int finish(struct ds_listing *listing, const struct ds_http_response *response,
                  struct ds_inventory *out, struct ds_error *err)
{
    ds_listing_fill(listing, response, out);
    if (ds_listing_end(listing, response, err) < 0) {
        ds_listing_fail(out, err);
        return -1;
    }
    ds_inventory_sort(out);
    return 0;
}

int ds_pushgateway_list(struct ds_pushgateway *server, struct ds_inventory *out,
                        struct ds_error *err)
{
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_http_request request;
    struct ds_listing listing;

    ds_inventory_init(out, server->address);
    ds_listing_begin(&listing, server, add_group, out, &request);
    ds_ignore(ds_pushgateway_do(server, &request, &response, err)); /* the end says it */
    return finish(&listing, &response, out, err);
}

/* ---- many ---- */

struct round {
    struct ds_http_loop *loop;
    struct ds_pushgateway *const *servers;
    struct ds_inventory *out;
    size_t n, started, running;
};

struct turn {
    struct round *round;
    struct ds_inventory *out;
    struct ds_listing listing;
};

static void start_next(struct round *round);

static void turn_done(void *arg, struct ds_http_response *response)
{
    struct turn *turn = arg;
    struct round *round = turn->round;
    struct ds_error err = DS_ERROR_INIT;

    ds_ignore(finish(&turn->listing, response, turn->out, &err)); /* out->err has it */
    free(turn);
    round->running--;
    start_next(round);
}

static void start_next(struct round *round)
{
    while (round->started < round->n && round->running < AT_ONCE_MAX) {
        struct turn *turn = ds_xcalloc(1, sizeof *turn);
        const struct ds_pushgateway *server = round->servers[round->started];
        struct ds_http_request request;

        turn->round = round;
        turn->out = &round->out[round->started];
        ds_inventory_init(turn->out, server->address);
        ds_listing_begin(&turn->listing, server, add_group, turn->out, &request);
        ds_http_start(round->loop, &request, turn_done, turn);
        round->started++;
        round->running++;
    }
}

void ds_pushgateway_list_all(struct ds_pushgateway *const *servers, size_t n,
                             struct ds_inventory *out)
{
    struct round round = {
        .loop = ds_http_loop_new(), .servers = servers, .out = out, .n = n};

    start_next(&round);
    while (round.running)
        ds_http_loop_run(round.loop, NULL, 0, 1000);
    ds_http_loop_free(round.loop);
}

/* ---- their number ---- */

static int count(void *arg, const char *json, size_t len, struct ds_error *err)
{
    size_t *n = arg;

    (void)json;
    (void)len;
    (void)err;
    ++*n;
    return 0;
}

int ds_pushgateway_count_groups(const struct ds_config *config, const char *address,
                                int64_t timeout_ms, size_t *n, struct ds_error *err)
{
    DS_AUTO(pushgateway)
    struct ds_pushgateway *server = ds_pushgateway_new(config, address, timeout_ms, err);
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_http_request request;
    struct ds_listing listing;

    ds_http_response_init(&response);
    if (!server)
        return -1;
    *n = 0;
    ds_listing_begin(&listing, server, count, n, &request);
    ds_ignore(ds_pushgateway_do(server, &request, &response, err)); /* the end says it */
    if (ds_listing_end(&listing, &response, err) == 0)
        return 0;
    if (err->code == DS_E_NET && *n)
        err->code = DS_E_PEER;
    return -1;
}
