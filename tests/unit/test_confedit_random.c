/* SPDX-License-Identifier: Apache-2.0 */
/* Files of random layout, of which the test knows which bytes belong to which item, so
   that it knows what must come out, byte for byte. */
#include "test.h"

#include "dshard/confedit.h"
#include "random.h"

#include <stdio.h>

enum { ITEMS_MAX = 6, FRESH_MAX = 3, ROUNDS = 1500, TEXT_MAX = 20000 };

struct item {
    struct ds_server server;
    char *before; /* lines in front that stay when it goes */
    char *text;   /* in a block list with its dash, line break and comment */
    char *comment;
    bool gone;
};

struct layout {
    struct random *r;
    const char *eol, *indent, *gap, *quote; /* quote: of the last item */
    struct item items[ITEMS_MAX];
    size_t n;
    struct ds_server fresh[FRESH_MAX];
    size_t n_fresh;
    bool trailing; /* a comma behind the last item */
};

static bool toss(struct random *r)
{
    return random_below(r, 2);
}

static const char *pick(struct random *r, const char *const *words, size_t n)
{
    return words[random_below(r, n)];
}
#define PICK(r, words) pick(r, words, DS_COUNT(words))

static const char *comment(struct random *r)
{
    static const char *const words[] = {
        "",       "", "", " # x", "  # - a:1, ]", " # M\xC3\xBCnchen \xE2\x82\xAC [",
        "\t# \"'"};

    return PICK(r, words);
}

/* None, one or two lines that are nobody's. */
static char *between(const struct layout *l)
{
    static const char *const words[] = {"", "# - z:1", "  # \xF0\x9F\x98\x80 \"", "#,",
                                        "      # ]"};
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(TEXT_MAX);

    for (size_t i = random_below(l->r, 3); i-- > 0;)
        ds_buf_addf(&out, "%s%s", PICK(l->r, words), l->eol);
    return ds_buf_steal(&out);
}

static void make_server(struct random *r, struct ds_server *server, size_t i)
{
    static const char *const hosts[] = {"10.0.0.", "host-", "[fd00::"};
    const char *host = PICK(r, hosts);

    *server = (struct ds_server){.weight = random_below(r, 4) ? 1 : 3};
    snprintf(server->address, sizeof server->address, "%s%zu%s:%zu", host, i + 1,
             host[0] == '[' ? "]" : "", 9091 + random_below(r, 3));
}

/* The scalar of an address, and the quote in *quote. */
static char *scalar(struct random *r, const char *address, const char **quote)
{
    static const char *const quotes[] = {"", "\"", "'"};

    *quote = quotes[random_below(r, 3)];
    if (address[0] == '[' && !**quote)
        *quote = "'";
    return ds_xasprintf("%s%s%s", *quote, address, *quote);
}

static char *flow_item(const struct layout *l, const struct ds_server *server,
                       const char **quote)
{
    DS_AUTO(str) char *addr = scalar(l->r, server->address, quote);

    if (server->weight == 1 && random_below(l->r, 4))
        return ds_steal(&addr);
    return ds_xasprintf("{addr: %s, weight: %u}", addr, server->weight);
}

static char *block_item(const struct layout *l, const struct ds_server *server,
                        const char **quote)
{
    DS_AUTO(str) char *addr = NULL;
    DS_AUTO(str) char *flow = NULL;
    size_t pad = strlen(l->indent) + 1 + strlen(l->gap);

    if (toss(l->r)) {
        flow = flow_item(l, server, quote);
        return ds_xasprintf("%s-%s%s%s%s", l->indent, l->gap, flow, comment(l->r),
                            l->eol);
    }
    addr = scalar(l->r, server->address, quote);
    if (toss(l->r))
        return ds_xasprintf("%s-%saddr: %s%s%s%*sweight: %u%s%s", l->indent, l->gap, addr,
                            comment(l->r), l->eol, (int)pad, "", server->weight,
                            comment(l->r), l->eol);
    return ds_xasprintf("%s-%sweight: %u%s%s%*s# in it%s%*saddr: %s%s%s", l->indent,
                        l->gap, server->weight, comment(l->r), l->eol, (int)pad, "",
                        l->eol, (int)pad, "", addr, comment(l->r), l->eol);
}

static void make_layout(struct layout *l, struct random *r, bool block)
{
    static const char *const eols[] = {"\n", "\n", "\r\n"};
    static const char *const indents[] = {"  ", "    ", "       "};
    static const char *const gaps[] = {" ", "   "};

    *l = (struct layout){.r = r, .trailing = toss(r)};
    l->eol = PICK(r, eols);
    l->indent = PICK(r, indents);
    l->gap = PICK(r, gaps);
    l->n = 1 + random_below(r, ITEMS_MAX);
    for (size_t i = 0; i < l->n; i++) {
        struct item *item = &l->items[i];

        make_server(r, &item->server, i);
        item->before = between(l);
        item->comment = ds_xstrdup(comment(r));
        item->text = block ? block_item(l, &item->server, &l->quote)
                           : flow_item(l, &item->server, &l->quote);
        item->gone = !random_below(r, 3);
    }
    l->n_fresh = random_below(r, FRESH_MAX + 1);
    for (size_t i = 0; i < l->n_fresh; i++)
        make_server(r, &l->fresh[i], ITEMS_MAX + i);
    if (!l->n_fresh) /* somebody stays */
        l->items[random_below(r, l->n)].gone = false;
}

static void release_layout(struct layout *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].before);
        free(l->items[i].comment);
        free(l->items[i].text);
    }
}

static void add_fresh(const struct layout *l, size_t i, struct ds_buf *out)
{
    const struct ds_server *server = &l->fresh[i];
    const char *quote = server->address[0] == '[' && !*l->quote ? "\"" : l->quote;

    if (server->weight == 1)
        ds_buf_addf(out, "%s%s%s", quote, server->address, quote);
    else
        ds_buf_addf(out, "{addr: \"%s\", weight: %u}", server->address, server->weight);
}

/* ---- the three kinds of lists, before (edited: false) and after ---- */

typedef void add_list_fn(const struct layout *l, bool edited, struct ds_buf *out);

static void add_block(const struct layout *l, bool edited, struct ds_buf *out)
{
    ds_buf_addf(out, "  servers:%s", l->eol);
    for (size_t i = 0; i < l->n; i++) {
        ds_buf_adds(out, l->items[i].before);
        if (!edited || !l->items[i].gone)
            ds_buf_adds(out, l->items[i].text);
    }
    for (size_t i = 0; edited && i < l->n_fresh; i++) {
        ds_buf_addf(out, "%s-%s", l->indent, l->gap);
        add_fresh(l, i, out);
        ds_buf_adds(out, l->eol);
    }
}

/* The last item that stays; the last of all when none does. */
static size_t last_kept(const struct layout *l, bool edited)
{
    for (size_t i = l->n; i-- > 0;) {
        if (!edited || !l->items[i].gone)
            return i;
    }
    return l->n;
}

static void add_fresh_lines(const struct layout *l, struct ds_buf *out)
{
    for (size_t i = 0; i < l->n_fresh; i++) {
        ds_buf_adds(out, l->indent);
        add_fresh(l, i, out);
        ds_buf_addf(out, "%s%s", i + 1 < l->n_fresh || l->trailing ? "," : "", l->eol);
    }
}

static void add_lines(const struct layout *l, bool edited, struct ds_buf *out)
{
    size_t last = last_kept(l, edited);
    bool more = edited && l->n_fresh;

    ds_buf_addf(out, "  servers: [%s", l->eol);
    for (size_t i = 0; i < l->n; i++) {
        const struct item *item = &l->items[i];

        ds_buf_adds(out, item->before);
        if (!edited || !item->gone)
            ds_buf_addf(out, "%s%s%s%s%s", l->indent, item->text,
                        i != last || l->trailing || more ? "," : "", item->comment,
                        l->eol);
        if (more && (i == last || (last == l->n && i + 1 == l->n)))
            add_fresh_lines(l, out);
    }
    ds_buf_addf(out, "    ]%s", l->eol);
}

static void add_inline(const struct layout *l, bool edited, struct ds_buf *out)
{
    const char *sep = "", *pad = strlen(l->gap) > 1 ? " " : "";

    ds_buf_addf(out, "  \"servers\": [%s", pad);
    for (size_t i = 0; i < l->n; i++) {
        if (edited && l->items[i].gone)
            continue;
        ds_buf_addf(out, "%s%s", sep, l->items[i].text);
        sep = ", ";
    }
    for (size_t i = 0; edited && i < l->n_fresh; i++) {
        ds_buf_adds(out, sep);
        add_fresh(l, i, out);
        sep = ", ";
    }
    ds_buf_addf(out, "%s%s]%s%s", l->trailing ? "," : "", pad, l->items[0].comment,
                l->eol);
}

/* ---- the file around it ---- */

struct frame {
    const char *bom, *head, *tail;
    char *front, *back;
    bool cut; /* no line break at the end */
};

static void make_file(const struct layout *l, const struct frame *frame, bool edited,
                      add_list_fn *add_list, struct ds_buf *out)
{
    ds_buf_addf(out, "%s%s%s%spushgateway:%s", frame->bom, frame->front, frame->head,
                *frame->head ? l->eol : "", l->eol);
    add_list(l, edited, out);
    ds_buf_addf(out, "%s%s%s", frame->back, frame->tail, *frame->tail ? l->eol : "");
    if (frame->cut)
        ds_buf_truncate(out, out->len - strlen(l->eol));
}

static void check(const struct layout *l, const struct ds_buf *before,
                  const struct ds_buf *want)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(TEXT_MAX);
    struct ds_server removed[ITEMS_MAX];
    struct ds_confedit edit = {.add = l->fresh, .n_add = l->n_fresh, .remove = removed};
    struct ds_error err = DS_ERROR_INIT;
    bool changed;

    memset(removed, 0, sizeof removed);
    for (size_t i = 0; i < l->n; i++) {
        if (l->items[i].gone)
            removed[edit.n_remove++] = l->items[i].server;
    }
    if (ds_confedit_text("f.yml", before->data, before->len, &edit, &out, &changed,
                         &err) < 0)
        fail_msg("%s\nin:\n%s", err.text, before->data);
    if (strcmp(out.data, want->data) != 0)
        fail_msg("from:\n%s\nwant:\n%s\ngot:\n%s", before->data, want->data, out.data);
    assert_int_equal(changed, strcmp(before->data, want->data) != 0);
}

static void run(const char *name, add_list_fn *add_list, bool block)
{
    static const char *const heads[] = {"", "ring: {replicas: 7}",
                                        "consul_server: {tags: [\"\xC3\xA4\", b]}",
                                        "consul_server: {token: s3cret} # servers: [x]"};
    static const char *const tails[] = {"", "  port: 9091", "watch: {groups: off} # end"};
    struct random r = random_start(name);

    for (int i = 0; i < ROUNDS; i++) {
        DS_AUTO(buf) struct ds_buf before = DS_BUF_INIT(TEXT_MAX);
        DS_AUTO(buf) struct ds_buf after = DS_BUF_INIT(TEXT_MAX);
        struct layout l;
        struct frame frame;

        make_layout(&l, &r, block);
        frame = (struct frame){.bom = random_below(&r, 8) ? "" : "\xEF\xBB\xBF",
                               .head = PICK(&r, heads),
                               .tail = PICK(&r, tails),
                               .front = between(&l),
                               .back = between(&l),
                               .cut = !random_below(&r, 3)};
        make_file(&l, &frame, false, add_list, &before);
        make_file(&l, &frame, true, add_list, &after);
        check(&l, &before, &after);
        free(frame.front);
        free(frame.back);
        release_layout(&l);
    }
}

static void block_lists_change_by_whole_items(void **state)
{
    (void)state;
    run(__func__, add_block, true);
}

static void lists_in_brackets_change_by_whole_lines(void **state)
{
    (void)state;
    run(__func__, add_lines, false);
}

static void lists_on_one_line_change_by_whole_items(void **state)
{
    (void)state;
    run(__func__, add_inline, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_lists_change_by_whole_items),
        cmocka_unit_test(lists_in_brackets_change_by_whole_lines),
        cmocka_unit_test(lists_on_one_line_change_by_whole_items),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
