/* SPDX-License-Identifier: Apache-2.0 */
/* http_response.c - what can be asked of an answer; curl has no part in it. */
#include "dshard/date.h"
#include "dshard/http.h"
#include "dshard/utf8.h"

#include <strings.h>

enum { HEADERS_MAX = 64 * 1024, WORDS_MAX = 400 };

void ds_http_response_init(struct ds_http_response *response)
{
    *response = (struct ds_http_response){.body = DS_BUF_INIT(0),
                                          .headers = DS_BUF_INIT(HEADERS_MAX),
                                          .err = DS_ERROR_INIT};
}

void ds_http_response_release(struct ds_http_response *response)
{
    ds_buf_release(&response->body);
    ds_buf_release(&response->headers);
}

void ds_auto_http_response(struct ds_http_response *response)
{
    ds_http_response_release(response);
}

char *ds_http_header(const struct ds_http_response *response, const char *name)
{
    const char *line = response->headers.data;
    size_t name_len = strlen(name);

    while (line && *line) {
        const char *end = strchr(line, '\n');
        size_t len = end ? (size_t)(end - line) : strlen(line);

        if (len > name_len && strncasecmp(line, name, name_len) == 0 &&
            line[name_len] == ':') {
            const char *value = line + name_len + 1;
            size_t value_len = len - name_len - 1;

            while (value_len && (*value == ' ' || *value == '\t')) {
                value++;
                value_len--;
            }
            while (value_len && strchr(" \t\r", value[value_len - 1]))
                value_len--;
            return ds_xstrndup(value, value_len);
        }
        line = end ? end + 1 : NULL;
    }
    return NULL;
}

int64_t ds_http_date_ms(const struct ds_http_response *response)
{
    DS_AUTO(str) char *text = ds_http_header(response, "Date");

    return text ? ds_date_parse_http(text) : -1;
}

/* The first line, and what it announces: a line that ends in a colon says nothing yet. */
static void add_words(const char *text, struct ds_buf *out)
{
    for (;;) {
        size_t len = strcspn(text, "\r\n");

        ds_buf_add(out, text, len < WORDS_MAX ? len : WORDS_MAX);
        text += len;
        text += strspn(text, "\r\n");
        if (!len || out->data[out->len - 1] != ':' || !*text)
            return;
        ds_buf_addc(out, ' ');
    }
}

int ds_http_fail_status(const struct ds_http_request *request,
                        const struct ds_http_response *response, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf all = DS_BUF_INIT(4 * WORDS_MAX);
    char words[WORDS_MAX];

    add_words(response->body.data, &all);
    ds_utf8_clean(words, sizeof words, all.data, all.len);
    return ds_fail(err, DS_E_PEER, "%s %s: %d%s%s",
                   request->method ? request->method : "GET", request->url,
                   response->status, words[0] ? ": " : "", words);
}
