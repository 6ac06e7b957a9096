/* SPDX-License-Identifier: Apache-2.0 */
/* From the tree to the struct: sections, keys and what is wrong with them. */
#include "config_impl.h"
#include "dshard/utf8.h"

enum { QUOTED_MAX = 64, SCALAR_MAX = 320 };

/* ---- complaints ---- */

struct ds_yaml_mark ds_config_mark(const struct ds_yaml_node *node)
{
    return node->key && ds_yaml_is_null(node) ? node->key->start : node->start;
}

static void complain_take(struct ds_config_reader *r, struct ds_yaml_mark mark,
                          char *text)
{
    if ((r->n_complaints & (r->n_complaints - 1)) == 0) /* full at powers of two */
        r->complaints =
            ds_xreallocarray(r->complaints, r->n_complaints ? r->n_complaints * 2 : 1,
                             sizeof r->complaints[0]);
    r->complaints[r->n_complaints] =
        (struct ds_config_complaint){mark, r->n_complaints, text};
    r->n_complaints++;
}

void ds_config_complain(struct ds_config_reader *r, struct ds_yaml_mark mark,
                        const char *fmt, ...)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_ERROR_TEXT_MAX);
    va_list ap;

    va_start(ap, fmt);
    ds_buf_vaddf(&text, fmt, ap);
    va_end(ap);
    complain_take(r, mark, ds_buf_steal(&text));
}

void ds_config_complain_key(struct ds_config_reader *r, const struct ds_config_key *key,
                            struct ds_yaml_mark mark, const char *problem,
                            const char *hint)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_ERROR_TEXT_MAX);

    ds_buf_addf(&text, "%s: %s", key->name, problem);
    if (!strstr(problem, " is expected")) { /* an address says so itself */
        ds_buf_adds(&text, ": ");
        ds_config_key_expects(key, &text);
        ds_buf_adds(&text, " is expected");
    }
    if (hint && *hint)
        ds_buf_addf(&text, " (%s)", hint);
    complain_take(r, mark, ds_buf_steal(&text));
}

/* ---- values ---- */

static const char *kind_problem(const struct ds_yaml_node *node)
{
    if (node->kind == DS_YAML_LIST)
        return "a list is given";
    return node->kind == DS_YAML_MAP ? "a map is given" : "a text is given";
}

static void complain_null(struct ds_config_reader *r, const struct ds_config_key *key,
                          const struct ds_yaml_node *node)
{
    const char *hint = "leave the key out for the default";

    if (strcmp(key->name, "consul_server") == 0)
        hint = "leave the key out to run without Consul";
    else if (key->flags & DS_CONFIG_REQUIRED)
        hint = NULL;
    else if (!key->preset)
        hint = "leave the key out, or put a value that begins with # in quotes";
    ds_config_complain_key(r, key, ds_config_mark(node), "it has no value", hint);
}

/* [fe80::1], which is a list of one text. */
static bool is_ipv6_list(const struct ds_yaml_node *node)
{
    return node->kind == DS_YAML_LIST && node->flow && node->n_items == 1 &&
           node->items[0]->kind == DS_YAML_SCALAR && strchr(node->items[0]->text, ':');
}

/* Lists and maps where a scalar is wanted, and the other way round. */
void ds_config_complain_kind(struct ds_config_reader *r, const struct ds_config_key *key,
                             const struct ds_yaml_node *node)
{
    const char *hint = NULL;

    if (key->type == DS_CONFIG_SERVERS && node->kind == DS_YAML_SCALAR)
        hint = "each server is an item of its own: \"- 10.0.0.1\"";
    else if (key->type == DS_CONFIG_ADDRESS && is_ipv6_list(node))
        hint = "an IPv6 address wants quotes: \"[::1]:9091\"";
    else if (node->kind == DS_YAML_MAP && node->flow)
        hint = "text in {} is a map unless it is in quotes";
    else if (node->kind == DS_YAML_LIST && node->flow)
        hint = "text in [] is a list unless it is in quotes";
    if (ds_yaml_is_null(node))
        complain_null(r, key, node);
    else
        ds_config_complain_key(r, key, node->start, kind_problem(node), hint);
}

/* The most bytes that a scalar may have. */
static size_t longest(const struct ds_config_key *key)
{
    return ds_config_key_is_string(key) && key->max ? (size_t)key->max : SCALAR_MAX;
}

static bool may_be_empty(const struct ds_config_key *key)
{
    return key->min == 0 &&
           (key->type == DS_CONFIG_TEXT || key->type == DS_CONFIG_ROUTE_PREFIX);
}

/* True for keys of which no value looks like a YAML boolean. */
static bool is_never_bool(const struct ds_config_key *key)
{
    return key->type == DS_CONFIG_FILE || key->type == DS_CONFIG_CONSUL_ADDR ||
           key->type == DS_CONFIG_ROUTE_PREFIX || key->type == DS_CONFIG_URL_PATH ||
           key->type == DS_CONFIG_ADDRESS;
}

/* Why a scalar cannot be a value of the key, whatever it says; NULL: it can. */
static const char *scalar_problem(const struct ds_config_key *key,
                                  const struct ds_yaml_node *node)
{
    if (!ds_yaml_is_printable(node))
        return "it holds a control character or a line break";
    if (node->plain && node->start.line != node->end.line)
        return "it goes on in the next line";
    if (!node->len && !may_be_empty(key))
        return "it is empty";
    if (node->len > longest(key))
        return "it is too long";
    if (is_never_bool(key) && ds_yaml_is_bool(node))
        return "it is a boolean, because it is not in quotes";
    if (key->type == DS_CONFIG_NUMBER && !node->plain)
        return "it is text, because it is in quotes";
    return NULL;
}

const char *ds_config_read_text(struct ds_config_reader *r,
                                const struct ds_config_key *key,
                                const struct ds_yaml_node *node)
{
    const char *problem;

    if (node->bad)
        return NULL;
    if (node->kind != DS_YAML_SCALAR) {
        ds_config_complain_kind(r, key, node);
        return NULL;
    }
    if (ds_yaml_is_null(node)) {
        if (!(key->flags & DS_CONFIG_NULL_OK))
            complain_null(r, key, node);
        return NULL;
    }
    problem = scalar_problem(key, node);
    if (!problem)
        return node->text;
    ds_config_complain_key(
        r, key, node->start, problem,
        node->start.line == node->end.line ? NULL : "is the next line indented too far?");
    return NULL;
}

void ds_config_read_scalar(struct ds_config_reader *r, const struct ds_config_key *key,
                           void *base, const struct ds_yaml_node *node)
{
    struct ds_config_trouble trouble = DS_CONFIG_TROUBLE_INIT;
    const char *text = ds_config_read_text(r, key, node);

    if (text && ds_config_convert(key, base, text, &trouble) < 0)
        ds_config_complain_key(r, key, node->start, trouble.problem.text, trouble.hint);
}

static void read_texts(struct ds_config_reader *r, const struct ds_config_key *key,
                       const struct ds_yaml_node *node)
{
    struct ds_config *config = r->config;

    if (node->bad)
        return;
    if (node->kind != DS_YAML_LIST) {
        ds_config_complain_kind(r, key, node);
        return;
    }
    if (node->n_items > (size_t)key->max) {
        ds_config_complain_key(r, key, node->start, "the list is too long", NULL);
        return;
    }
    config->consul_server.tags = ds_xcalloc(node->n_items, sizeof(char *));
    for (size_t i = 0; i < node->n_items; i++) {
        const char *text = ds_config_read_text(r, key, node->items[i]);

        if (text)
            config->consul_server.tags[config->consul_server.n_tags++] = ds_xstrdup(text);
    }
}

/* ---- sections ---- */

void ds_config_complain_unknown(struct ds_config_reader *r, const char *section,
                                const struct ds_yaml_node *item)
{
    const char *name = item->key->text;
    const struct ds_config_key *guess = ds_config_key_guess(section, name);
    const struct ds_config_key *elsewhere = ds_config_key_elsewhere(name);
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_ERROR_TEXT_MAX);

    ds_buf_addf(&text, "unknown key '%.*s'",
                (int)ds_utf8_cut(name, item->key->len, QUOTED_MAX), name);
    if (*section)
        ds_buf_addf(&text, " in %s", section);
    ds_buf_adds(&text, ": ");
    ds_config_section_keys(section, &text);
    ds_buf_adds(&text, " is expected");
    if (guess) {
        ds_buf_addf(&text, " (did you mean '%s'?)", ds_config_key_leaf(guess));
        r->nodes[guess - ds_config_keys] = item; /* so it is not missing as well */
    } else if (elsewhere) {
        ds_buf_addf(&text, " (there is a key '%s')", elsewhere->name);
    }
    complain_take(r, item->key->start, ds_buf_steal(&text));
}

static void read_value(struct ds_config_reader *r, const struct ds_config_key *key,
                       const struct ds_yaml_node *node)
{
    bool may_be_null = key->type == DS_CONFIG_MAP && key->absent &&
                       strcmp(key->name, "consul_server") != 0;

    r->nodes[key - ds_config_keys] = node;
    if (key->type == DS_CONFIG_SERVERS)
        return; /* read at the end: the default port may stand behind it */
    if (key->type == DS_CONFIG_TEXTS)
        read_texts(r, key, node);
    else if (key->type != DS_CONFIG_MAP)
        ds_config_read_scalar(r, key, r->config, node);
    else if (node->kind == DS_YAML_MAP)
        ds_config_read_map(r, key->name, node);
    else if (!node->bad && !(may_be_null && ds_yaml_is_null(node)))
        ds_config_complain_kind(r, key, node);
}

void ds_config_read_map(struct ds_config_reader *r, const char *section,
                        const struct ds_yaml_node *map)
{
    for (size_t i = 0; i < map->n_items; i++) {
        const struct ds_yaml_node *item = map->items[i];
        const struct ds_config_key *key = ds_config_key_find(section, item->key->text);

        if (key)
            read_value(r, key, item);
        else
            ds_config_complain_unknown(r, section, item);
    }
}
