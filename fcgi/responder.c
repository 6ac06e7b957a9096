/* SPDX-License-Identifier: Apache-2.0 */
/* see responder.h */
#include "responder.h"
#include "dshard/clock.h"

#include <fcgiapp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Answers up to here fit into the empty send buffer of any connection. */
enum { DIRECT_MAX = 16 * 1024 };

struct ds_responder {
    struct ds_responder_config config;
    FCGX_Request fcgi;
    struct ds_handler handler;
    struct ds_response response;
};

struct ds_responder *ds_responder_new(const struct ds_responder_config *config,
                                      struct ds_error *err)
{
    struct ds_responder *responder;

    if (FCGX_Init() != 0) {
        ds_fail(err, DS_E_FAILED, "libfcgi cannot be initialised");
        return NULL;
    }
    responder = ds_xcalloc(1, sizeof *responder);
    responder->config = *config;
    if (FCGX_InitRequest(&responder->fcgi, -1, 0) != 0) {
        free(responder);
        ds_fail(err, DS_E_FAILED, "libfcgi cannot make a request");
        return NULL;
    }
    ds_handler_init(&responder->handler);
    ds_response_init(&responder->response);
    return responder;
}

void ds_responder_free(struct ds_responder *responder)
{
    if (!responder)
        return;
    ds_handler_release(&responder->handler);
    ds_response_release(&responder->response);
    free(responder);
}

void ds_auto_responder(struct ds_responder **responder)
{
    ds_responder_free(*responder);
}

/* Makes libfcgi leave the descriptor open whatever the request says, and not linger two
   seconds if an error makes it close after all. */
static void hold(FCGX_Request *fcgi)
{
    fcgi->keepConnection = 1;
    FCGX_Detach(fcgi);
}

static bool read_request(FCGX_Request *fcgi, int *in)
{
    char body[4096];

    fcgi->ipcFd = *in;
    hold(fcgi);
    if (FCGX_Accept_r(fcgi) != 0) {
        *in = -1; /* closed: the request was not what we took it for */
        return false;
    }
    /* What is left of the body would be taken for the next request. */
    while (FCGX_GetStr(body, sizeof body, fcgi->in) > 0)
        ;
    return true;
}

static void decide(struct ds_responder *responder, int64_t began_ns)
{
    const struct ds_responder_config *config = &responder->config;
    struct ds_request request = {.default_mode = config->mode,
                                 .default_prefix = config->prefix,
                                 .host = config->host,
                                 .now_ms = ds_clock_wall_tick_ms()};

    for (char **param = responder->fcgi.envp; *param; param++)
        ds_request_param(&request, *param);
    ds_handler_answer(&responder->handler, ds_cache_view(config->cache), &request,
                      &responder->response);
    if (config->stats)
        ds_stats_count(config->stats, &responder->handler.outcome,
                       (uint64_t)(ds_clock_mono_ns() - began_ns));
}

int ds_responder_answer(struct ds_responder *responder, int *in, int *out, int *rest)
{
    FCGX_Request *fcgi = &responder->fcgi;
    const struct ds_buf *head = &responder->response.head;
    const struct ds_buf *body = &responder->response.body;
    int64_t began_ns = ds_clock_mono_ns();
    int *to = out;

    *rest = -1;
    if (!read_request(fcgi, in))
        return -1;
    decide(responder, began_ns);
    if (head->len + body->len > DIRECT_MAX)
        *rest = memfd_create("answer", MFD_CLOEXEC);
    if (*rest >= 0)
        to = rest;
    fcgi->ipcFd = *to;
    FCGX_PutStr(head->data, (int)head->len, fcgi->out);
    FCGX_PutStr(body->data, (int)body->len, fcgi->out);
    hold(fcgi);
    FCGX_Finish_r(fcgi);
    if (fcgi->ipcFd < 0) {
        *to = -1;
        return -1;
    }
    fcgi->ipcFd = -1;
    return 0;
}
