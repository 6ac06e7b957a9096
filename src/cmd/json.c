/* SPDX-License-Identifier: Apache-2.0 */
/* see json.h */
#include "json.h"
#include "dshard/utf8.h"

#include <stdlib.h>

void ds_cmd_add_json(struct ds_cmd_context *ctx, json_t *root_take)
{
    DS_AUTO(str) char *text = NULL;

    json_object_set_new(root_take, "format", json_integer(1));
    text = json_dumps(root_take, JSON_INDENT(2) | JSON_SORT_KEYS);
    json_decref(root_take);
    ds_buf_adds(&ctx->out, text ? text : "{}");
    ds_buf_addc(&ctx->out, '\n');
}

json_t *ds_cmd_json_string(const char *data, size_t len)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(len * 3 + 1);

    for (size_t i = 0; i < len;) {
        size_t n = ds_utf8_len(data + i, len - i);

        if (n)
            ds_buf_add(&text, data + i, n);
        else
            ds_buf_adds(&text, "\xEF\xBF\xBD");
        i += n ? n : 1;
    }
    return json_stringn(text.data, text.len);
}
