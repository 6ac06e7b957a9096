/* SPDX-License-Identifier: Apache-2.0 */
/* http_wait.c - one request that is waited for; curl has no part in it. */
#include "dshard/http.h"

struct sync {
    struct ds_http_response *response;
    bool done;
};

static void sync_done(void *arg, struct ds_http_response *response)
{
    struct sync *sync = arg;

    *sync->response = *response;
    ds_http_response_init(response); /* its buffers have a new owner */
    sync->done = true;
}

int ds_http_do_on(struct ds_http_loop *loop, const struct ds_http_request *request,
                  struct ds_http_response *response, struct ds_error *err)
{
    struct sync sync = {.response = response};

    ds_http_response_init(response);
    ds_http_start(loop, request, sync_done, &sync);
    while (!sync.done)
        ds_http_loop_run(loop, NULL, 0, 1000);
    if (response->status)
        return 0;
    *err = response->err;
    return -1;
}

int ds_http_do(const struct ds_http_request *request, struct ds_http_response *response,
               struct ds_error *err)
{
    struct ds_http_loop *loop = ds_http_loop_new();
    int rc = ds_http_do_on(loop, request, response, err);

    ds_http_loop_free(loop);
    return rc;
}
