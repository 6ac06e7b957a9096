/* SPDX-License-Identifier: Apache-2.0 */
/* see pages.h */
#include "pages.h"
#include "dshard/exposition.h"
#include "dshard/metrics.h"
#include "dshard/page.h"
#include "dshard/sd.h"
#include "stats.h"

static const char TEXT[] = "text/plain; charset=utf-8";
static const char HTML[] = "text/html; charset=utf-8";
static const char JSON[] = "application/json";

static const char *write_ok(const struct ds_view *view, const struct ds_request *request,
                            struct ds_response *response)
{
    (void)view, (void)request;
    ds_response_begin(response, 200);
    ds_buf_adds(&response->body, "OK\n");
    return TEXT;
}

static const char *write_ready(const struct ds_view *view,
                               const struct ds_request *request,
                               struct ds_response *response)
{
    /* All workers or none: whoever asks does not choose which one answers. */
    if (!view->state || (view->stats && !ds_stats_usable(view->stats)))
        return NULL;
    return write_ok(view, request, response);
}

static const char *write_sd(const struct ds_view *view, const struct ds_request *request,
                            struct ds_response *response)
{
    (void)request;
    /* An empty list would make Prometheus drop every target; after an error it keeps
       what it has. */
    if (!view->state)
        return NULL;
    ds_response_begin(response, 200);
    ds_sd_format(view->state, &response->body);
    return JSON;
}

static const char *write_metrics(const struct ds_view *view,
                                 const struct ds_request *request,
                                 struct ds_response *response)
{
    DS_AUTO(counters) struct ds_counters counters = {0};

    if (view->stats)
        ds_stats_read(view->stats, &counters);
    ds_response_begin(response, 200);
    ds_metrics_format(view->state, view->ring, view->stats ? &counters : NULL,
                      request->now_ms, &response->body);
    return DS_EXPOSITION_TYPE;
}

/* Pushes by server of the state; new. */
static uint64_t *pushes_of(const struct ds_state *state,
                           const struct ds_counters *counters)
{
    uint64_t *pushes = ds_xcalloc(state->n_servers + 1, sizeof *pushes);

    for (size_t i = 0; i < counters->n_pushes; i++) {
        const struct ds_standing *standing =
            ds_state_find(state, counters->pushes[i].server);

        if (standing)
            pushes[standing - state->servers] = counters->pushes[i].n;
    }
    return pushes;
}

/* The one query that means something. */
static bool is_asked_to_reload(const char *target)
{
    const char *query = target ? strchr(target, '?') : NULL;

    return query && strcmp(query, "?reload") == 0;
}

/* A page also when all is wrong, and 503 only when there is nothing to tell. */
static void write_page(const struct ds_view *view, const struct ds_request *request,
                       struct ds_response *response,
                       void (*write)(const struct ds_page *page, struct ds_buf *out))
{
    DS_AUTO(counters) struct ds_counters counters = {0};
    DS_AUTO(ptr) void *pushes = NULL;
    struct ds_page page = {
        .state = view->state,
        .ring = view->ring,
        .host = request->host,
        .now_ms = request->now_ms,
        .reloads = is_asked_to_reload(request->target),
        .troubles = view->troubles,
        .operation_is_dead = view->operation_is_dead,
    };

    if (view->stats && view->state) {
        ds_stats_read(view->stats, &counters);
        pushes = pushes_of(view->state, &counters);
        page.pushes = pushes;
        page.counted_since_ms = counters.started_ms;
    }
    ds_response_begin(response, view->state ? 200 : 503);
    if (!view->state)
        ds_response_header(response, "Retry-After", "2");
    ds_response_header(response, "Cache-Control", "no-store");
    write(&page, &response->body);
}

static const char *write_status(const struct ds_view *view,
                                const struct ds_request *request,
                                struct ds_response *response)
{
    write_page(view, request, response, ds_page_html);
    /* The page escapes what it shows; should it ever fail to, no script would run. */
    ds_response_header(response, "Content-Security-Policy",
                       "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
                       "base-uri 'none'; form-action 'none'");
    ds_response_header(response, "X-Content-Type-Options", "nosniff");
    return HTML;
}

static const char *write_status_json(const struct ds_view *view,
                                     const struct ds_request *request,
                                     struct ds_response *response)
{
    write_page(view, request, response, ds_page_json);
    return JSON;
}

/* With the lengths, because every push is compared with all of them. */
static const struct {
    struct ds_fcgi_page page;
    size_t len;
} pages[] = {
#define PAGE(path, write)                                                                \
    {                                                                                    \
        {path, write}, sizeof path - 1                                                   \
    }
    PAGE("/-/healthy", write_ok),    PAGE("/-/ready", write_ready),
    PAGE("/metrics", write_metrics), PAGE("/sd", write_sd),
    PAGE("/status", write_status),   PAGE("/status.json", write_status_json),
    PAGE("/test/v1", write_ok), /* the seed's own check */
#undef PAGE
};

const struct ds_fcgi_page *ds_fcgi_page_find(const char *path, size_t len)
{
    for (size_t i = 0; i < DS_COUNT(pages); i++) {
        if (pages[i].len == len && memcmp(pages[i].page.path, path, len) == 0)
            return &pages[i].page;
    }
    return NULL;
}
