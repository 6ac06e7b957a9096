/* SPDX-License-Identifier: Apache-2.0 */
/* see yaml.h: from text to tree; the only user of libyaml */
#include "dshard/yaml.h"
#include "dshard/buf.h"
#include "dshard/utf8.h"

#include <assert.h>
#include <stdlib.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    struct ds_yaml *yaml;
    const char *text;
    size_t len, n_nodes;
};

static void ds_auto_event(yaml_event_t *event)
{
    yaml_event_delete(event); /* leaves it all zero: a second time does nothing */
}

static void ds_auto_node(struct ds_yaml_node **node)
{
    ds_yaml_node_free(*node);
}

/* ---- problems ---- */

static struct ds_yaml_mark mark_of(yaml_mark_t mark)
{
    return (struct ds_yaml_mark){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

/* Takes the text; always returns -1. */
static int problem_take(struct reader *r, struct ds_yaml_mark mark, char *text)
{
    struct ds_yaml *yaml = r->yaml;

    if (yaml->n_problems == DS_YAML_PROBLEMS_MAX) {
        free(text);
        return -1;
    }
    yaml->problems =
        ds_xreallocarray(yaml->problems, yaml->n_problems + 1, sizeof yaml->problems[0]);
    yaml->problems[yaml->n_problems++] = (struct ds_yaml_problem){mark, text};
    return -1;
}

static int problem(struct reader *r, yaml_mark_t mark, const char *text)
{
    return problem_take(r, mark_of(mark), ds_xstrdup(text));
}

/* The bytes of line number `line` (from 0), without its end. */
static const char *find_line(const struct reader *r, size_t line, size_t *len)
{
    const char *at = r->text, *end = r->text + r->len, *stop;

    while (line-- && at < end) {
        stop = memchr(at, '\n', (size_t)(end - at));
        at = stop ? stop + 1 : end;
    }
    stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    *len = (size_t)((stop ? stop : end) - at);
    return at;
}

static bool has_tab_indent(const char *line, size_t len)
{
    for (size_t i = 0; i < len && (line[i] == ' ' || line[i] == '\t'); i++) {
        if (line[i] == '\t')
            return true;
    }
    return false;
}

/* An IPv6 address in brackets that is not in quotes; YAML takes it for a list. */
static bool has_bare_ipv6(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        size_t n = 1, colons = 0;

        if (line[i] != '[' || (i && strchr("\"'", line[i - 1])))
            continue;
        for (; i + n < len && line[i + n] &&
               strchr("0123456789abcdefABCDEF:.", line[i + n]);
             n++)
            colons += line[i + n] == ':';
        if (colons >= 2 && i + n < len && line[i + n] == ']')
            return true;
    }
    return false;
}

/* What libyaml's words do not say and an operator wants to know; NULL: nothing. */
static const char *syntax_hint(const struct reader *r, const yaml_parser_t *p)
{
    size_t len;
    const char *line = find_line(r, p->problem_mark.line, &len);

    if (has_tab_indent(line, len))
        return "YAML is indented with spaces, not with tabs";
    if (has_bare_ipv6(line, len))
        return "an IPv6 address wants quotes: \"[::1]:9091\"";
    if (strstr(p->problem, "mapping values are not allowed"))
        return "a line is indented too far, or text with ': ' in it is not in quotes";
    if (strstr(p->problem, "cannot start any token"))
        return "text that begins with @, % or ` wants quotes";
    if (strstr(p->problem, "unexpected end of stream"))
        return "a quote or bracket is not closed";
    if (strstr(p->problem, "expected key") || strstr(p->problem, "'-' indicator"))
        return "is this line indented like the others of its list or map?";
    return NULL;
}

/* Bytes that are no text at all: libyaml gives their offset and no mark. */
static int reader_problem(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    struct ds_yaml_mark mark = {1, 1};

    for (size_t i = 0; i < p->problem_offset && i < r->len; i++) {
        if (r->text[i] == '\n')
            mark = (struct ds_yaml_mark){mark.line + 1, 0};
        mark.column += ((unsigned char)r->text[i] & 0xC0) != 0x80; /* not inside UTF-8 */
    }
    return problem_take(r, mark,
                        ds_xasprintf("%s: text in UTF-8 is expected", p->problem));
}

static int syntax_problem(struct reader *r)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1024);
    const yaml_parser_t *p = &r->parser;
    const char *hint;

    if (p->error == YAML_MEMORY_ERROR)
        return problem_take(r, (struct ds_yaml_mark){1, 1}, ds_xstrdup("out of memory"));
    if (p->error == YAML_READER_ERROR)
        return reader_problem(r);
    hint = syntax_hint(r, p);
    ds_buf_adds(&text, p->problem);
    if (p->context && p->context_mark.line == p->problem_mark.line)
        ds_buf_addf(&text, " %s", p->context);
    else if (p->context)
        ds_buf_addf(&text, " %s that begins in line %zu, column %zu", p->context,
                    p->context_mark.line + 1, p->context_mark.column + 1);
    if (hint)
        ds_buf_addf(&text, " (%s)", hint);
    return problem_take(r, mark_of(p->problem_mark), ds_buf_steal(&text));
}

/* ---- nodes ---- */

static int next(struct reader *r, yaml_event_t *event)
{
    yaml_event_delete(event);
    return yaml_parser_parse(&r->parser, event) ? 0 : syntax_problem(r);
}

/* Tags and anchors are noted and the node is kept. */
static void refuse_extras(struct reader *r, const yaml_event_t *event,
                          const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor)
        problem(r, event->start_mark,
                "an anchor (&NAME) is not accepted: the value itself is expected (text "
                "that begins with & wants quotes)");
    if (tag)
        problem(r, event->start_mark,
                "a tag (!NAME) is not accepted: the value itself is expected (text that "
                "begins with ! wants quotes)");
}

static void fill_scalar(struct reader *r, const yaml_event_t *event,
                        struct ds_yaml_node *node)
{
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->len = event->data.scalar.length;
    node->text = ds_xmalloc(node->len + 1);
    memcpy(node->text, event->data.scalar.value, node->len + 1);
    refuse_extras(r, event, event->data.scalar.anchor, event->data.scalar.tag);
}

static struct ds_yaml_node *new_node(struct reader *r, const yaml_event_t *event)
{
    struct ds_yaml_node *node = ds_xcalloc(1, sizeof *node);

    node->start = mark_of(event->start_mark);
    node->end = mark_of(event->end_mark);
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        node->kind = DS_YAML_LIST;
        node->flow = event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
        refuse_extras(r, event, event->data.sequence_start.anchor,
                      event->data.sequence_start.tag);
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        node->kind = DS_YAML_MAP;
        node->flow = event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        refuse_extras(r, event, event->data.mapping_start.anchor,
                      event->data.mapping_start.tag);
    } else if (event->type == YAML_SCALAR_EVENT) {
        fill_scalar(r, event, node);
    } else { /* an alias: whatever it stands for is not looked up */
        node->plain = node->bad = true;
        node->text = ds_xstrdup("");
        problem(r, event->start_mark,
                "an alias (*NAME) is not accepted: the value itself is expected (text "
                "that begins with * wants quotes)");
    }
    return node;
}

/* Takes the item. */
static void append_take(struct ds_yaml_node *node, struct ds_yaml_node *item)
{
    if ((node->n_items & (node->n_items - 1)) == 0) /* full at every power of two */
        node->items = ds_xreallocarray(node->items, node->n_items ? node->n_items * 2 : 1,
                                       sizeof(node->items[0]));
    node->items[node->n_items++] = item;
}

static struct ds_yaml_node *read_node(struct reader *r, yaml_event_t *event,
                                      unsigned depth);

/* Both let the reading go on. */
static int refuse_key(struct reader *r, yaml_mark_t mark, const char *text)
{
    problem(r, mark, text);
    return 0;
}

static int refuse_twin(struct reader *r, const struct ds_yaml_node *key,
                       const struct ds_yaml_node *first)
{
    problem_take(r, key->start,
                 ds_xasprintf("the key '%.*s' stands twice, first in line %u, column %u: "
                              "once is expected",
                              (int)ds_utf8_cut(key->text, key->len, 64), key->text,
                              first->start.line, first->start.column));
    return 0;
}

/* Reads the value behind a key and puts it into the map unless the key is no good. */
static int read_pair(struct reader *r, struct ds_yaml_node *map, yaml_event_t *event,
                     unsigned depth)
{
    yaml_mark_t mark = event->start_mark;
    DS_AUTO(node) struct ds_yaml_node *key = read_node(r, event, depth);
    DS_AUTO(node) struct ds_yaml_node *value = NULL;
    const struct ds_yaml_node *twin;

    if (!key || next(r, event) < 0)
        return -1;
    value = read_node(r, event, depth);
    if (!value)
        return -1;
    if (key->kind != DS_YAML_SCALAR)
        return refuse_key(r, mark,
                          "a list or map is no key: text is expected (is this a {{...}} "
                          "that a template should have filled in?)");
    if (!ds_yaml_is_printable(key))
        return refuse_key(r, mark,
                          "this key holds a control character: text is expected");
    twin = ds_yaml_get(map, key->text);
    if (twin)
        return refuse_twin(r, key, twin->key);
    if (map->n_items == DS_YAML_KEYS_MAX)
        return problem(r, mark, "this map has more than 200 keys");
    value->key = ds_steal(&key);
    append_take(map, ds_steal(&value));
    return 0;
}

static int read_item(struct reader *r, struct ds_yaml_node *node, yaml_event_t *event,
                     unsigned depth)
{
    struct ds_yaml_node *item;

    if (node->kind == DS_YAML_MAP)
        return read_pair(r, node, event, depth);
    item = read_node(r, event, depth);
    if (!item)
        return -1;
    append_take(node, item);
    return 0;
}

/* The node that begins with this event; NULL when a problem ends the reading. */
static struct ds_yaml_node *read_node(struct reader *r, yaml_event_t *event,
                                      unsigned depth)
{
    DS_AUTO(node) struct ds_yaml_node *node = NULL;

    if (++r->n_nodes > DS_YAML_NODES_MAX) {
        problem(r, event->start_mark, "this file holds more than 20000 values");
        return NULL;
    }
    if (depth > DS_YAML_DEPTH_MAX) {
        problem(r, event->start_mark, "lists and maps are nested more than 16 deep");
        return NULL;
    }
    node = new_node(r, event);
    if (node->kind == DS_YAML_SCALAR)
        return ds_steal(&node);
    for (;;) {
        if (next(r, event) < 0)
            return NULL;
        if (event->type == YAML_SEQUENCE_END_EVENT ||
            event->type == YAML_MAPPING_END_EVENT)
            break;
        if (read_item(r, node, event, depth + 1) < 0)
            return NULL;
    }
    node->end = mark_of(event->end_mark);
    return ds_steal(&node);
}

static int read_stream(struct reader *r)
{
    DS_AUTO(event) yaml_event_t event = {0};
    DS_AUTO(node) struct ds_yaml_node *root = NULL;

    if (next(r, &event) < 0 || next(r, &event) < 0)
        return -1;
    if (event.type == YAML_STREAM_END_EVENT)
        return 0;
    if (next(r, &event) < 0)
        return -1;
    root = read_node(r, &event, 0);
    if (!root || next(r, &event) < 0 || next(r, &event) < 0)
        return -1;
    if (event.type != YAML_STREAM_END_EVENT)
        problem(r, event.start_mark,
                "a second document begins here: one document is expected");
    r->yaml->root = ds_steal(&root);
    return 0;
}

int ds_yaml_parse(struct ds_yaml *yaml, const char *text, size_t len)
{
    struct reader r = {.yaml = yaml, .text = text, .len = len};

    assert(len <= INT32_MAX);
    if (!yaml_parser_initialize(&r.parser))
        return syntax_problem(&r);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    ds_ignore(read_stream(&r) < 0); /* whatever failed is among the problems */
    yaml_parser_delete(&r.parser);
    return yaml->n_problems ? -1 : 0;
}
