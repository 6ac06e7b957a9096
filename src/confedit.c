/* SPDX-License-Identifier: Apache-2.0 */
/* see confedit.h */
#include "dshard/confedit.h"
#include "confedit_impl.h"
#include "config_impl.h"

#include <assert.h>
#include <stdlib.h>

enum { COMPLAINTS_MAX = 256 * 1024, SHOWN_MAX = 8 * DS_CONFIG_BYTES_MAX };

/* ---- what is wanted ---- */

static bool has(const struct ds_server *servers, size_t n, const char *address)
{
    for (size_t i = 0; i < n; i++) {
        if (ds_address_equal(servers[i].address, address))
            return true;
    }
    return false;
}

/* The servers that are to be listed afterwards: those that stay, then the new ones. */
static struct ds_server *wanted_servers(const struct ds_config *config,
                                        const struct ds_confedit *edit, size_t *n)
{
    size_t n_old = config->pushgateway.n_servers;
    struct ds_server *wanted = ds_xcalloc(n_old + edit->n_add, sizeof *wanted);

    *n = 0;
    for (size_t i = 0; i < n_old; i++) {
        const struct ds_server *server = &config->pushgateway.servers[i];

        if (!has(edit->remove, edit->n_remove, server->address))
            wanted[(*n)++] = *server;
    }
    for (size_t i = 0; i < edit->n_add; i++) {
        if (!has(wanted, *n, edit->add[i].address))
            wanted[(*n)++] = edit->add[i];
    }
    return wanted;
}

static int check_edit(const char *name, const struct ds_confedit *edit, size_t n_wanted,
                      struct ds_error *err)
{
    for (size_t i = 0; i < edit->n_add; i++) {
        if (has(edit->remove, edit->n_remove, edit->add[i].address))
            return ds_fail(err, DS_E_USAGE, "'%s' cannot be added and removed at once",
                           edit->add[i].address);
    }
    if (!n_wanted)
        return ds_fail(err, DS_E_CONFIG,
                       "%s: no server would be left in pushgateway.servers", name);
    return 0;
}

/* ---- before and after ---- */

static int parse(struct ds_config *config, const char *name, const char *text, size_t len,
                 struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(COMPLAINTS_MAX);
    size_t first;

    ds_config_init(config);
    if (len >= 2 &&
        (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0))
        return ds_fail(err, DS_E_CONFIG, "%s: it is in UTF-16: UTF-8 is expected", name);
    if (ds_config_parse(config, name, text, len, &complaints, err) == 0)
        return 0;
    first = strcspn(complaints.data, "\n");
    return first ? ds_fail(err, DS_E_CONFIG, "%.*s", (int)first, complaints.data) : -1;
}

/* Everything but the servers, as it would be shown, and the secrets that are not. */
static bool agree_but_for_servers(struct ds_config *before, const struct ds_config *after)
{
    struct ds_config shown = *before;
    DS_AUTO(buf) struct ds_buf a = DS_BUF_INIT(SHOWN_MAX);
    DS_AUTO(buf) struct ds_buf b = DS_BUF_INIT(SHOWN_MAX);

    shown.pushgateway.servers = after->pushgateway.servers;
    shown.pushgateway.n_servers = after->pushgateway.n_servers;
    ds_config_show(&shown, true, &a);
    ds_config_show(after, true, &b);
    if (a.over || b.over || strcmp(a.data, b.data) != 0)
        return false;
    for (size_t i = 0; i < ds_config_n_keys; i++) {
        const struct ds_config_key *key = &ds_config_keys[i];
        const char *old, *new;

        if (!ds_config_key_is_string(key))
            continue;
        old = *(char *const *)ds_config_cfield(key, before);
        new = *(char *const *)ds_config_cfield(key, after);
        if (!old != !new || (old && strcmp(old, new) != 0))
            return false;
    }
    return true;
}

/* The text that came out says what was wanted, and nothing else has changed. */
static int verify(const char *name, struct ds_config *before,
                  const struct ds_server *wanted, size_t n, const struct ds_buf *text,
                  struct ds_error *err)
{
    DS_AUTO(config) struct ds_config after;
    bool same;

    if (parse(&after, name, text->data, text->len, err) < 0)
        return ds_wrap(err, "the list of servers cannot be edited, for then");
    same = after.pushgateway.n_servers == n;
    for (size_t i = 0; same && i < n; i++)
        same = strcmp(after.pushgateway.servers[i].address, wanted[i].address) == 0 &&
               after.pushgateway.servers[i].weight == wanted[i].weight;
    if (!same || !agree_but_for_servers(before, &after))
        return ds_fail(err, DS_E_CONFIG,
                       "%s: pushgateway.servers is laid out in a way that cannot be "
                       "edited safely: do it by hand",
                       name);
    return 0;
}

/* ---- the page ---- */

/* The last piece of a node that is text of its own: the end of a block map lies behind
   the comments that follow it. */
static const struct ds_yaml_node *tail(const struct ds_yaml_node *node)
{
    while (node->kind != DS_YAML_SCALAR && !node->flow && node->n_items)
        node = node->items[node->n_items - 1];
    return node;
}

static const struct ds_yaml_node *addr_of(const struct ds_yaml_node *item)
{
    return item->kind == DS_YAML_MAP ? ds_yaml_get(item, "addr") : item;
}

static bool is_block_text(struct ds_page *page, const struct ds_yaml_node *node)
{
    char c = page->text[ds_page_offset(page, node->start)];

    return node->kind == DS_YAML_SCALAR && !node->plain && (c == '|' || c == '>');
}

static const char *find_items(struct ds_page *page, const struct ds_yaml_node *list,
                              const struct ds_config *config,
                              const struct ds_confedit *edit, size_t *at)
{
    assert(list->n_items == config->pushgateway.n_servers);
    page->n_items = list->n_items;
    page->items = ds_xcalloc(page->n_items, sizeof page->items[0]);
    for (size_t i = 0; i < page->n_items; i++) {
        const struct ds_yaml_node *last = tail(list->items[i]);
        struct ds_page_item *item = &page->items[i];

        item->start = *at = ds_page_offset(page, list->items[i]->start);
        item->end = ds_page_offset(page, last->end);
        item->gone =
            has(edit->remove, edit->n_remove, config->pushgateway.servers[i].address);
        if (is_block_text(page, last))
            return "an item is a text of several lines (| or >)";
    }
    return NULL;
}

/* quote: '"', '\'' or anything else for none; json: keys are quoted too. */
static char *item_text(const struct ds_server *server, char quote, bool json)
{
    const char *k = json ? "\"" : "";

    if (server->weight != 1)
        return ds_xasprintf("{%saddr%s: \"%s\", %sweight%s: %u}", k, k, server->address,
                            k, k, server->weight);
    if (quote != '"' && quote != '\'')
        quote = server->address[0] == '[' ? '"' : '\0'; /* IPv6 would be a list */
    if (!quote)
        return ds_xstrdup(server->address);
    return ds_xasprintf("%c%s%c", quote, server->address, quote);
}

static void write_items(struct ds_page *page, const struct ds_yaml_node *list, bool json,
                        const struct ds_server *fresh, size_t n)
{
    const struct ds_yaml_node *addr = addr_of(list->items[list->n_items - 1]);
    char quote = page->text[ds_page_offset(page, addr->start)];

    page->fresh = ds_xcalloc(n, sizeof page->fresh[0]);
    for (; page->n_fresh < n; page->n_fresh++)
        page->fresh[page->n_fresh] = item_text(&fresh[page->n_fresh], quote, json);
}

static int edit_page(struct ds_page *page, const char *name, const char *text, size_t len,
                     struct ds_config *config, const struct ds_confedit *edit,
                     struct ds_buf *out, struct ds_error *err)
{
    DS_AUTO(yaml) struct ds_yaml yaml = DS_YAML_INIT;
    DS_AUTO(ptr) void *wanted = NULL;
    const struct ds_yaml_node *list;
    const char *why;
    size_t n, n_kept = 0, at = 0;

    wanted = wanted_servers(config, edit, &n);
    if (check_edit(name, edit, n, err) < 0)
        return -1;
    if (ds_yaml_parse(&yaml, text, len) < 0) /* it was good a moment ago */
        return ds_fail(err, DS_E_CONFIG, "%s: it cannot be read", name);
    list = ds_yaml_get(ds_yaml_get(yaml.root, "pushgateway"), "servers");
    why = find_items(page, list, config, edit, &at);
    for (size_t i = 0; i < page->n_items; i++)
        n_kept += !page->items[i].gone;
    write_items(page, list, yaml.root->flow, (struct ds_server *)wanted + n_kept,
                n - n_kept);
    if (!why && list->flow)
        why = ds_page_edit_flow(page, &at);
    else if (!why)
        why = ds_page_edit_block(page, ds_page_offset(page, list->start), &at);
    if (why)
        return ds_fail(err, DS_E_CONFIG,
                       "%s:%u: pushgateway.servers cannot be edited: %s: do it by hand",
                       name, ds_page_line_number(page, at), why);
    ds_page_write(page, out);
    if (ds_buf_check(out, name, err) < 0)
        return -1;
    return verify(name, config, wanted, n, out, err);
}

int ds_confedit_text(const char *name, const char *text, size_t len,
                     const struct ds_confedit *edit, struct ds_buf *out, bool *changed,
                     struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(buf) struct ds_buf edited = DS_BUF_INIT(DS_CONFIG_BYTES_MAX);
    DS_AUTO(page) struct ds_page page = {0};

    if (parse(&config, name, text, len, err) < 0)
        return -1;
    ds_page_init(&page, text, len);
    if (edit_page(&page, name, text, len, &config, edit, &edited, err) < 0)
        return -1;
    *changed = edited.len != len || memcmp(edited.data, text, len) != 0;
    ds_buf_add(out, edited.data, edited.len);
    return ds_buf_check(out, name, err);
}
