/* SPDX-License-Identifier: Apache-2.0 */
/* see frontends.h */
#include "frontends.h"
#include "dshard/num.h"
#include "dshard/table.h"

size_t ds_cmd_frontends_astray(const struct ds_frontends *frontends, const char *digest)
{
    size_t n = 0;

    for (size_t i = 0; i < frontends->n; i++)
        n += strcmp(frontends->items[i].digest, digest) != 0;
    return n;
}

bool ds_cmd_frontends_have_here(const struct ds_frontends *frontends)
{
    for (size_t i = 0; i < frontends->n; i++) {
        if (frontends->items[i].here)
            return true;
    }
    return false;
}

void ds_cmd_frontends_text(const struct ds_frontends *frontends, const char *digest,
                           int64_t now_ms, struct ds_buf *out)
{
    static const char *const headings[] = {"FRONTEND", "DIGEST",  "SAME",
                                           "SINCE",    "DECIDES", "HERE"};
    DS_AUTO(table) struct ds_table table;

    ds_table_init(&table, headings, DS_COUNT(headings));
    for (size_t i = 0; i < frontends->n; i++) {
        const struct ds_frontend *frontend = &frontends->items[i];
        char age[DS_DURATION_TEXT_MAX];

        ds_duration_format_short(now_ms - frontend->at_ms, age);
        ds_table_add(&table, frontend->name);
        ds_table_add(&table, frontend->digest);
        ds_table_add(&table, strcmp(frontend->digest, digest) == 0 ? "yes" : "no");
        ds_table_add(&table, age);
        ds_table_add(&table, frontend->decides ? "yes" : "-");
        ds_table_add(&table, frontend->here ? "yes" : "-");
    }
    ds_table_format(&table, out);
}

json_t *ds_cmd_frontends_json(const struct ds_frontends *frontends)
{
    json_t *list = json_array();

    for (size_t i = 0; i < frontends->n; i++) {
        const struct ds_frontend *frontend = &frontends->items[i];

        json_array_append_new(
            list,
            json_pack("{ss,ss,ss,sI,sI,sb,sb}", "name", frontend->name, "host",
                      frontend->host, "digest", frontend->digest, "generation",
                      (json_int_t)frontend->generation, "at", (json_int_t)frontend->at_ms,
                      "decides", (int)frontend->decides, "here", (int)frontend->here));
    }
    return list;
}
