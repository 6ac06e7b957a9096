/* SPDX-License-Identifier: Apache-2.0 */
/* pushgateway_status.c - what a server is, and what it tells about itself. */
#include "dshard/date.h"
#include "pushgateway_impl.h"

#include <jansson.h>
#include <stdlib.h>

enum { LINE_MAX_BYTES = 256 };
static const double COUNT_MAX = 9007199254740992.0; /* 2^53 */

/* ---- /api/v1/status ---- */

static bool is_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    }
    return true;
}

/* One that was built without telling it its version says "". */
static int read_version(const json_t *info, char *out, size_t size, struct ds_error *err)
{
    const json_t *item = json_object_get(info, "version");
    const char *text = json_string_value(item);
    size_t len = json_string_length(item);

    if (!text)
        return ds_fail(err, DS_E_FORMAT, "it does not tell its version");
    if (len >= size || !is_printable(text, len))
        return ds_fail(err, DS_E_FORMAT, "what it tells as its version is none");
    memcpy(out, len ? text : "unknown", len ? len + 1 : sizeof "unknown");
    return 0;
}

/* A flag that a version does not have is off. */
static int read_flag(const json_t *flags, const char *name, bool *out,
                     struct ds_error *err)
{
    const json_t *item = json_object_get(flags, name);
    const char *text = json_string_value(item);

    *out = text && strcmp(text, "true") == 0;
    if (item && (!text || (!*out && strcmp(text, "false") != 0)))
        return ds_fail(err, DS_E_FORMAT, "its flag '%s' is neither true nor false", name);
    return 0;
}

static int read_status(const json_t *root, struct ds_pushgateway_status *out,
                       struct ds_error *err)
{
    const json_t *data = json_object_get(root, "data");
    const json_t *flags = json_object_get(data, "flags");
    const json_t *file = json_object_get(flags, "persistence.file");
    const json_t *start = json_object_get(data, "start_time");
    int64_t us = -1;

    if (!json_is_object(flags))
        return ds_fail(err, DS_E_FORMAT, "it is no status of a Pushgateway");
    if (json_is_string(start))
        us = ds_date_parse_rfc3339(json_string_value(start), json_string_length(start));
    if (us < 0)
        return ds_fail(err, DS_E_FORMAT, "it does not tell when it was started");
    out->started_us = us;
    out->persists = json_string_length(file) > 0;
    if (read_flag(flags, "push.disable-consistency-check", &out->unchecked, err) < 0 ||
        read_flag(flags, "web.enable-admin-api", &out->admin_api, err) < 0 ||
        read_flag(flags, "push.enable-utf8-names", &out->utf8_names, err) < 0)
        return -1;
    return read_version(json_object_get(data, "build_information"), out->version,
                        sizeof out->version, err);
}

int ds_pushgateway_parse_status(const char *text, size_t len,
                                struct ds_pushgateway_status *out, struct ds_error *err)
{
    struct ds_pushgateway_status status = {0};
    json_error_t why;
    json_auto_t *root =
        json_loadb(text, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);

    if (!root)
        return ds_fail(err, DS_E_FORMAT, "it is no JSON: line %d: %s", why.line,
                       why.text);
    if (read_status(root, &status, err) < 0)
        return -1;
    *out = status;
    return 0;
}

int ds_pushgateway_status(struct ds_pushgateway *server,
                          struct ds_pushgateway_status *out, struct ds_error *err)
{
    DS_AUTO(str) char *url = ds_pushgateway_url(server, "/api/v1/status");
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_http_request request = ds_pushgateway_request(server, url);

    if (ds_pushgateway_get(server, &request, &response, err) < 0)
        return -1;
    if (ds_pushgateway_parse_status(response.body.data, response.body.len, out, err) < 0)
        return ds_wrap(err, "GET %s", url);
    return 0;
}

int ds_pushgateway_ready(struct ds_pushgateway *server, struct ds_error *err)
{
    DS_AUTO(str) char *url = ds_pushgateway_url(server, "/-/ready");
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_http_request request = ds_pushgateway_request(server, url);

    return ds_pushgateway_get(server, &request, &response, err);
}

/* ---- its own metrics ---- */

/* Adds up the values of the lines that begin so, from a text that comes in pieces. */
struct tally {
    const char *begin; /* name, and labels up to where they differ */
    bool has_code;     /* `NNN"}` follows */
    struct ds_buf line;
    bool found;
    uint64_t sum;
};

static void add_line(struct tally *tally)
{
    const char *at = tally->line.data;
    char *end;
    double value;

    if (tally->line.over || strncmp(at, tally->begin, strlen(tally->begin)) != 0)
        return;
    at += strlen(tally->begin);
    if (tally->has_code) {
        if (strspn(at, "0123456789") != 3 || strncmp(at + 3, "\"}", 2) != 0)
            return;
        at += 5;
    }
    /* Go writes a million as 1e+06. */
    if (at[0] != ' ' || at[1] < '0' || at[1] > '9')
        return;
    value = strtod(at + 1, &end);
    if (*end || value > COUNT_MAX || value != (double)(uint64_t)value)
        return;
    tally->found = true;
    tally->sum += (uint64_t)value;
}

static int take_lines(void *arg, const char *data, size_t len)
{
    struct tally *tally = arg;

    while (len) {
        const char *newline = memchr(data, '\n', len);
        size_t n = newline ? (size_t)(newline - data) : len;

        ds_buf_add(&tally->line, data, n);
        if (!newline)
            return 0;
        add_line(tally);
        ds_buf_clear(&tally->line);
        data += n + 1;
        len -= n + 1;
    }
    return 0;
}

static int read_tally(struct ds_pushgateway *server, struct tally *tally,
                      struct ds_error *err)
{
    DS_AUTO(str) char *url = ds_pushgateway_url(server, "/metrics");
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_http_request request = ds_pushgateway_request(server, url);

    request.headers[0] = "Accept: text/plain; version=0.0.4";
    request.body_max = DS_PUSHGATEWAY_ANSWER_MAX;
    request.sink = take_lines;
    request.sink_arg = tally;
    if (ds_pushgateway_get(server, &request, &response, err) < 0)
        return -1;
    if (!tally->found)
        return ds_fail(err, DS_E_MISSING, "GET %s: there is no '%.*s'", url,
                       (int)strcspn(tally->begin, " {"), tally->begin);
    return 0;
}

/* The counter grows when an answer has been given: this one is not in it. */
int ds_pushgateway_count_scrapes(struct ds_pushgateway *server, uint64_t *n,
                                 struct ds_error *err)
{
    struct tally tally = {.begin = "promhttp_metric_handler_requests_total{code=\"",
                          .has_code = true,
                          .line = DS_BUF_INIT(LINE_MAX_BYTES)};
    int rc = read_tally(server, &tally, err);

    ds_buf_release(&tally.line);
    if (rc == 0)
        *n = tally.sum + 1;
    return rc;
}

int ds_pushgateway_count_open(struct ds_pushgateway *server, uint64_t *n,
                              struct ds_error *err)
{
    struct tally tally = {.begin = "process_open_fds",
                          .line = DS_BUF_INIT(LINE_MAX_BYTES)};
    int rc = read_tally(server, &tally, err);

    ds_buf_release(&tally.line);
    if (rc == 0)
        *n = tally.sum;
    return rc;
}
