/* SPDX-License-Identifier: Apache-2.0 */
/* see pages.h */
#include "pages.h"
#include "dshard/exposition.h"
#include "dshard/metrics.h"
#include "dshard/sd.h"
#include "stats.h"

static const char TEXT[] = "text/plain; charset=utf-8";
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
    return view->state ? write_ok(view, request, response) : NULL;
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

static const struct ds_fcgi_page pages[] = {
    {"/-/healthy", write_ok}, {"/-/ready", write_ready}, {"/metrics", write_metrics},
    {"/sd", write_sd},        {"/test/v1", write_ok}, /* the seed's own check */
};

const struct ds_fcgi_page *ds_fcgi_page_find(const char *path, size_t len)
{
    for (size_t i = 0; i < DS_COUNT(pages); i++) {
        if (strlen(pages[i].path) == len && memcmp(pages[i].path, path, len) == 0)
            return &pages[i];
    }
    return NULL;
}
