/* SPDX-License-Identifier: Apache-2.0 */
/* accord_frontend.c - our own entry among the frontends: written, and written again. */
#include "accord_impl.h"
#include "dshard/clock.h"
#include "dshard/consul_session.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

enum { NAME_TAKEN_MS = 5000 };

static void written(void *arg, struct ds_http_response *response)
{
    struct ds_errand *errand = arg;
    struct ds_accord *accord = errand->accord;

    if (!ds_errand_succeeded(errand, response, 0)) {
        accord->frontend_due = true;
        return;
    }
    if (ds_consul_says_true(response))
        return;
    /* Our own session of before, which ends soon, or somebody else's for good. */
    accord->frontend_due = true;
    errand->due_ms = ds_clock_mono_ms() + NAME_TAKEN_MS;
    snprintf(accord->error, sizeof accord->error,
             "the name '%s' is taken by another frontend, or by this one's last session",
             accord->name);
}

/* Deleted, or not what we wrote: write it again. */
int ds_accord_take_frontend(void *arg, const struct ds_http_response *response,
                            struct ds_error *err)
{
    struct ds_accord *accord = arg;

    (void)err;
    if (!accord->frontend.transfer && accord->frontend_text &&
        (response->status == 404 ||
         strcmp(response->body.data, accord->frontend_text) != 0))
        accord->frontend_due = true;
    return 0;
}

void ds_accord_tend_frontend(struct ds_accord *accord, int64_t now_ms)
{
    DS_AUTO(str) char *query = NULL;
    DS_AUTO(str) char *body = NULL;
    struct ds_consul_call call = {.method = "PUT", .path = accord->frontend_path};
    json_t *root;

    if (!accord->frontend_due || !accord->session || !accord->digest[0] ||
        accord->frontend.transfer || now_ms < accord->frontend.due_ms)
        return;
    root = json_pack("{ss,ss,sI,sI,sI}", "digest", accord->digest, "host", accord->host,
                     "generation", (json_int_t)accord->generation, "at",
                     (json_int_t)ds_clock_wall_ms(), "pid", (json_int_t)getpid());
    body = root ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(root);
    call.body = body;
    call.query = query = ds_xasprintf("acquire=%s", accord->session);
    accord->frontend_due = false;
    ds_set_str(&accord->frontend_text, body);
    ds_errand_start(&accord->frontend, &call, written);
}
