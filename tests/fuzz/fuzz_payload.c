/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes copies of a group: the JSON of a group, a NUL byte, a scrape.  A copy in
 * protobuf can be read again and holds no more than the scrape; a copy as text has whole
 * lines and nothing in them that JSON did not hold; what is refused leaves nothing
 * behind. `make fuzz` runs it under libFuzzer, tests/unit/test_payload_fuzz.c replays the
 * corpus without it.
 */
#include "dshard/payload.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

static void check_text(const struct ds_buf *body)
{
    must(!body->len || body->data[body->len - 1] == '\n');
    for (const char *line = body->data; line < body->data + body->len;) {
        const char *end = memchr(line, '\n', (size_t)(body->data + body->len - line));
        bool is_comment =
            strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0;

        must(end && end > line && (is_comment || (*line != '#' && *line != ' ')));
        must(line != body->data || is_comment);
        line = end + 1;
    }
}

static void check_protobuf(const struct ds_buf *body)
{
    struct ds_error err = DS_ERROR_INIT;
    struct ds_scrape *again = ds_scrape_new(body->data, body->len, &err);

    must(again != NULL);
    ds_scrape_free(again);
}

static void make(const struct ds_scrape *scrape, const char *json, size_t len,
                 const char *const *only, size_t n_only)
{
    struct ds_payload payload = {.body = DS_BUF_INIT(DS_PAYLOAD_MAX)};
    struct ds_error err = DS_ERROR_INIT;

    if (ds_payload_make(&payload, scrape, json, len, only, n_only, &err) < 0)
        must((err.code == DS_E_FORMAT || err.code == DS_E_FAILED ||
              (scrape && err.code == DS_E_TEMP)) &&
             err.text[0] && !payload.body.len);
    else if (scrape)
        check_protobuf(&payload.body);
    else
        check_text(&payload.body);
    ds_buf_release(&payload.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const only[] = {"labels", "m"};
    const char *json = (const char *)data;
    const char *nul = size ? memchr(json, '\0', size) : NULL;
    size_t len = nul ? (size_t)(nul - json) : size;
    struct ds_payload payload = {.body = DS_BUF_INIT(DS_PAYLOAD_MAX)};
    struct ds_error err = DS_ERROR_INIT;
    struct ds_scrape *scrape = nul ? ds_scrape_new(nul + 1, size - len - 1, &err) : NULL;

    if (scrape)
        make(scrape, json, len, NULL, 0);
    else
        must(!nul || (err.code == DS_E_FORMAT && err.text[0]));
    make(scrape, json, len, only, 2);
    make(NULL, json, len, NULL, 0);
    if (ds_payload_failure_time(&payload, json, len))
        check_text(&payload.body);
    else
        must(!payload.body.len);
    ds_buf_release(&payload.body);
    ds_scrape_free(scrape);
    return 0;
}
