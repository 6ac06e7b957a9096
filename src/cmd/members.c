/* SPDX-License-Identifier: Apache-2.0 */
/* see members.h */
#include "members.h"
#include "dshard/num.h"

#include <stdlib.h>

static int parse_one(const char *text, size_t len, unsigned default_port,
                     struct ds_server *out, struct ds_error *err)
{
    DS_AUTO(str) char *word = ds_xstrndup(text, len);
    char *weight_text = strchr(word, '=');
    uint64_t weight = 1;

    if (weight_text) {
        *weight_text++ = '\0';
        if (ds_num_parse(weight_text, 1, DS_WEIGHT_MAX, &weight, err) < 0)
            return ds_wrap(err, "weight of '%s'", word);
    }
    out->weight = (unsigned)weight;
    return ds_address_parse(out->address, word, default_port, err);
}

/* Names that differ by case only are one server and need not be neighbours. */
static bool is_among(const struct ds_server *servers, size_t n, const char *address)
{
    for (size_t i = 0; i < n; i++) {
        if (ds_address_equal(servers[i].address, address))
            return true;
    }
    return false;
}

struct ds_server *ds_cmd_parse_members(const struct ds_opt_list *words,
                                       unsigned default_port, size_t *n,
                                       struct ds_error *err)
{
    DS_AUTO(ptr) void *list = NULL;
    struct ds_server *servers = NULL;

    *n = 0;
    for (size_t i = 0; i < words->n; i++) {
        for (const char *p = words->items[i]; p;) {
            size_t len = strcspn(p, ",");

            servers = list = ds_xreallocarray(list, *n + 1, sizeof *servers);
            if (parse_one(p, len, default_port, &servers[*n], err) < 0) {
                err->code = DS_E_USAGE;
                return NULL;
            }
            ++*n;
            p = p[len] ? p + len + 1 : NULL;
        }
    }
    if (*n)
        qsort(servers, *n, sizeof *servers, ds_server_compare);
    for (size_t i = 1; i < *n; i++) {
        if (is_among(servers, i, servers[i].address)) {
            ds_fail(err, DS_E_USAGE, "'%s' is named twice", servers[i].address);
            return NULL;
        }
    }
    return ds_steal(&list);
}
