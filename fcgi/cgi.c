/* SPDX-License-Identifier: Apache-2.0 */
/* see cgi.h */
#include "cgi.h"
#include "dshard/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

bool ds_cgi_is_wanted(void)
{
    return getenv("REQUEST_METHOD") != NULL;
}

static int write_all(const struct ds_buf *buf, struct ds_error *err)
{
    const char *at = buf->data;
    size_t left = buf->len;

    while (left) {
        ssize_t n = write(STDOUT_FILENO, at, left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ds_fail_errno(err, "cannot write the answer");
        at += n;
        left -= (size_t)n;
    }
    return 0;
}

int ds_cgi_run(const struct ds_responder_config *config, struct ds_error *err)
{
    DS_AUTO(handler) struct ds_handler handler;
    DS_AUTO(response) struct ds_response response;
    struct ds_request request = {.default_mode = config->mode,
                                 .default_prefix = config->prefix,
                                 .now_ms = ds_clock_wall_ms()};

    ds_handler_init(&handler);
    ds_response_init(&response);
    for (char **variable = environ; *variable; variable++)
        ds_request_param(&request, *variable);
    ds_handler_answer(&handler, ds_cache_view(config->cache), &request, &response);
    if (write_all(&response.head, err) < 0)
        return -1;
    return write_all(&response.body, err);
}
