/* SPDX-License-Identifier: Apache-2.0 */
/* see cgi.h */
#include "cgi.h"
#include "dshard/clock.h"
#include "dshard/num.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CHUNK = 64 * 1024,
    CHUNKS_LEFT_MAX = 64, /* more than any buffer of a socket holds */
};

bool ds_cgi_is_wanted(void)
{
    return getenv("REQUEST_METHOD") != NULL;
}

/* How much there is to read.  RFC 3875 lets a server leave stdin open behind the body, so
   its end is waited for only where no length can be given. */
static uint64_t body_len(void)
{
    const char *length = getenv("CONTENT_LENGTH");
    struct ds_error err = DS_ERROR_INIT;
    uint64_t len = DS_CGI_BODY_MAX;

    if (!length || !*length)
        return getenv("HTTP_TRANSFER_ENCODING") ? len : 0;
    if (ds_num_parse(length, 0, DS_CGI_BODY_MAX, &len, &err) < 0)
        return DS_CGI_BODY_MAX;
    return len;
}

/* Drops what comes on stdin: true while there may be more. */
static bool read_some(uint64_t *left, int64_t until_ms)
{
    char dropped[CHUNK];
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    int64_t wait_ms = until_ms - ds_clock_mono_ms();
    ssize_t n;

    if (!*left || wait_ms <= 0)
        return false;
    n = poll(&in, 1, (int)wait_ms);
    if (n > 0)
        n = read(STDIN_FILENO, dropped, *left < sizeof dropped ? *left : sizeof dropped);
    else if (n == 0)
        return false;
    if (n < 0)
        return errno == EINTR;
    *left -= (uint64_t)n;
    return n > 0;
}

static void drain_stdin(void)
{
    int64_t until_ms = ds_clock_mono_ms() + DS_CGI_BODY_BUDGET_MS;
    uint64_t left = body_len();
    char dropped[CHUNK];

    while (read_some(&left, until_ms))
        ;
    /* mod_cgid has one socket for both ways, and to end with something unread on it would
       take the answer along.  From here on Apache cannot write, and reads the answer. */
    if (shutdown(STDIN_FILENO, SHUT_RD) < 0)
        return; /* a pipe */
    for (int i = 0; i < CHUNKS_LEFT_MAX; i++) {
        if (recv(STDIN_FILENO, dropped, sizeof dropped, MSG_DONTWAIT) <= 0)
            return;
    }
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
                                 .host = config->host};

    drain_stdin();
    ds_cache_look(config->cache);
    request.now_ms = ds_clock_wall_ms();
    ds_handler_init(&handler);
    ds_response_init(&response);
    for (char **variable = environ; *variable; variable++)
        ds_request_param(&request, *variable);
    ds_handler_answer(&handler, ds_cache_view(config->cache), &request, &response);
    if (write_all(&response.head, err) < 0)
        return -1;
    return write_all(&response.body, err);
}
