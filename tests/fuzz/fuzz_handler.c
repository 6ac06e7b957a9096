/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a request: the first byte chooses the mode and what is known of the ring,
 * the rest are fields, told apart by the byte 0xFE: target, method, Accept header,
 * prefix. The answer must always be a response that a web server understands, without a
 * header that the request made. `make fuzz` runs it under libFuzzer;
 * tests/unit/test_handler_fuzz.c replays the corpus.
 */
#include "../../fcgi/handler.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS = 4 };

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_handler: %s\n", what);
    abort();
}

/* The names of headers that we give, and nothing else. */
static void check_name(const char *line, size_t len)
{
    static const char *const names[] = {
        "Status",
        "Content-Type",
        "Content-Length",
        "Allow",
        "Location",
        "Retry-After",
        "Vary",
        "X-Accel-Redirect",
        "X-Dshard-Scheme",
        "X-Dshard-Server",
        "X-Dshard-Uri",
        "X-Dshard-Reason",
        "X-Dshard-Status",
        "X-Dshard-Generation",
        "Cache-Control",
        "Content-Security-Policy",
        "X-Content-Type-Options",
    };
    const char *colon = memchr(line, ':', len);
    bool known = false;

    check(colon && colon[1] == ' ', "a line of the head is no header");
    for (size_t i = 0; i < DS_COUNT(names); i++)
        known |= strlen(names[i]) == (size_t)(colon - line) &&
                 memcmp(names[i], line, (size_t)(colon - line)) == 0;
    check(known, "a header that is not ours");
    for (size_t i = 0; i < len; i++)
        check(line[i] >= 0x20 && line[i] < 0x7F,
              "a header has a byte that none may have");
}

static void check_response(const struct ds_response *response, const char *method)
{
    const char *at = response->head.data, *end = strstr(at, "\r\n\r\n");

    check(!response->head.over && !response->body.over, "an answer is cut");
    check(response->status >= 200 && response->status < 600, "no status");
    check(end && end + 4 == response->head.data + response->head.len,
          "the head does not end in the first empty line");
    while (at < end) {
        const char *stop = strstr(at, "\r\n");

        check_name(at, (size_t)(stop - at));
        at = stop + 2;
    }
    check(strstr(response->head.data, "\r\nContent-Length: ") != NULL, "no length");
    check(!method || strcmp(method, "HEAD") != 0 || !response->body.len,
          "a body for HEAD");
}

static void answer(unsigned choice, char *const fields[FIELDS])
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(handler) struct ds_handler handler;
    DS_AUTO(response) struct ds_response response;
    DS_AUTO(ring) struct ds_ring *ring = NULL;
    struct ds_server members[] = {{"10.0.0.1:9091", 1}, {"10.0.0.2:9091", 1}};
    struct ds_error err = DS_ERROR_INIT;
    struct ds_request request = {.target = fields[0],
                                 .method = fields[1],
                                 .accept = fields[2],
                                 .prefix = fields[3],
                                 .default_mode = (enum ds_mode)(choice % DS_N_MODES)};
    struct ds_view view = {.state = choice & 4 ? NULL : &state};

    ds_state_init(&state);
    ds_state_add(&state, members[0].address, 1);
    ring = choice & 12 ? NULL : ds_ring_new(members, DS_COUNT(members), 2, &err);
    view.ring = ring;
    ds_handler_init(&handler);
    ds_response_init(&response);
    ds_handler_answer(&handler, &view, &request, &response);
    check_response(&response, request.method);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    DS_AUTO(str) char *text = NULL;
    char *fields[FIELDS] = {NULL}, *at;

    if (!size)
        return 0;
    text = ds_xstrndup((const char *)data + 1, size - 1);
    at = text;
    for (size_t i = 0; i < FIELDS && at; i++) {
        fields[i] = at;
        at = strchr(at, '\xFE');
        if (at)
            *at++ = '\0';
    }
    answer(data[0], fields);
    return 0;
}
