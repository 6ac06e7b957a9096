/* SPDX-License-Identifier: Apache-2.0 */
/* see lookup.h */
#include "lookup.h"

#include <strings.h>

bool ds_lookup_wants_json(const char *accept)
{
    static const char json[] = "application/json";

    while (accept && *accept) {
        size_t len;

        accept += strspn(accept, " \t,");
        len = strcspn(accept, " \t,;");
        if (len == sizeof json - 1 && strncasecmp(accept, json, len) == 0)
            return true;
        accept += strcspn(accept, ",");
    }
    return false;
}

static void add_text(struct ds_buf *out, const char *name, const char *value)
{
    ds_buf_addf(out, "\"%s\":", name);
    ds_buf_add_json(out, value, strlen(value));
}

static void add_labels(struct ds_buf *out, const struct ds_groupkey *group)
{
    ds_buf_adds(out, "\"labels\":{\"job\":");
    ds_buf_add_json(out, group->job.value, group->job.value_len);
    for (size_t i = 0; i < group->n_labels; i++) {
        const struct ds_label *label = &group->labels[i];

        ds_buf_addc(out, ',');
        ds_buf_add_json(out, label->name, label->name_len);
        ds_buf_addc(out, ':');
        ds_buf_add_json(out, label->value, label->value_len);
    }
    ds_buf_adds(out, "},");
}

void ds_lookup_format(const struct ds_state *state, const struct ds_groupkey *group,
                      const struct ds_server *owner, const char *url, struct ds_buf *out)
{
    ds_buf_addc(out, '{');
    add_text(out, "digest", state->digest);
    ds_buf_adds(out, ",\"generation\":");
    ds_buf_addu(out, state->generation);
    ds_buf_adds(out, ",\"key\":");
    ds_buf_add_json(out, group->key.data, group->key.len);
    ds_buf_addc(out, ',');
    add_labels(out, group);
    add_text(out, "owner", owner->address);
    ds_buf_addc(out, ',');
    add_text(out, "url", url);
    ds_buf_adds(out, "}\n");
}
