/* SPDX-License-Identifier: Apache-2.0 */
/* see opt.h */
#include "dshard/opt.h"
#include "dshard/num.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_LEN = 32, HELP_COLUMN = 28 };

struct reader {
    const struct ds_opt_set *sets;
    size_t n_sets;
    int argc, at;
    char **argv;
};

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

/* Levenshtein's distance; long words are far from everything. */
static unsigned distance(const char *a, const char *b)
{
    size_t n_a = strlen(a), n_b = strlen(b);
    unsigned row[NAME_MAX_LEN + 1];

    if (n_a > NAME_MAX_LEN || n_b > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    for (unsigned k = 0; k <= n_b; k++)
        row[k] = k;
    for (unsigned i = 1; i <= n_a; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned k = 1; k <= n_b; k++) {
            unsigned above = row[k];

            row[k] = min3(row[k] + 1, row[k - 1] + 1, diagonal + (a[i - 1] != b[k - 1]));
            diagonal = above;
        }
    }
    return row[n_b];
}

const char *ds_opt_nearest(const char *word, const char *(*name_of)(const void *, size_t),
                           const void *names, size_t n)
{
    const char *best = NULL;
    unsigned best_distance = 3;

    for (size_t i = 0; i < n; i++) {
        const char *name = name_of(names, i);
        unsigned d = distance(word, name);

        if (d < best_distance && d < strlen(name)) {
            best = name;
            best_distance = d;
        }
    }
    return best;
}

static const char *opt_name(const void *opts, size_t i)
{
    return ((const struct ds_opt *)opts)[i].name;
}

static const struct ds_opt *find(const struct reader *reader, const char *name,
                                 size_t len, char letter, void **values)
{
    for (size_t s = 0; s < reader->n_sets; s++) {
        for (size_t i = 0; i < reader->sets[s].n; i++) {
            const struct ds_opt *opt = &reader->sets[s].opts[i];
            bool same = name ? strlen(opt->name) == len && !strncmp(opt->name, name, len)
                             : letter && opt->letter == letter;

            if (same) {
                *values = reader->sets[s].values;
                return opt;
            }
        }
    }
    return NULL;
}

static int unknown(const struct reader *reader, const char *word, struct ds_error *err)
{
    size_t len = strcspn(word, "=");
    DS_AUTO(str) char *name = ds_xstrndup(word, len);
    const char *bare = name + strspn(name, "-");
    const char *near = NULL;

    for (size_t s = 0; s < reader->n_sets && !near; s++)
        near = ds_opt_nearest(bare, opt_name, reader->sets[s].opts, reader->sets[s].n);
    if (near && strncmp(word, "--", 2) == 0)
        return ds_fail(err, DS_E_USAGE, "'%s' is no option; did you mean --%s?", name,
                       near);
    return ds_fail(err, DS_E_USAGE, "'%s' is no option", name);
}

static void list_add(struct ds_opt_list *list, const char *item)
{
    list->items = ds_xreallocarray(list->items, list->n + 1, sizeof *list->items);
    list->items[list->n++] = item;
}

static int store(const struct ds_opt *opt, void *values, const char *text,
                 struct ds_error *err)
{
    void *field = (char *)values + opt->offset;
    uint64_t number;

    switch (opt->kind) {
    case DS_OPT_FLAG:
        *(bool *)field = true;
        return 0;
    case DS_OPT_TEXT:
        *(const char **)field = text;
        return 0;
    case DS_OPT_LIST:
        list_add(field, text);
        return 0;
    case DS_OPT_DURATION:
        if (ds_duration_parse(text, field, err) < 0)
            break;
        return 0;
    case DS_OPT_NUMBER:
        if (ds_num_parse(text, 1, UINT32_MAX, &number, err) < 0)
            break;
        *(unsigned *)field = (unsigned)number;
        return 0;
    }
    err->code = DS_E_USAGE;
    return ds_wrap(err, "--%s", opt->name);
}

/* attached: the value behind '=' or behind the letter, or NULL. */
static int take(struct reader *reader, const struct ds_opt *opt, void *values,
                const char *attached, struct ds_error *err)
{
    if (opt->kind == DS_OPT_FLAG) {
        if (attached)
            return ds_fail(err, DS_E_USAGE, "--%s takes no value", opt->name);
        return store(opt, values, NULL, err);
    }
    if (!attached) {
        if (reader->at >= reader->argc)
            return ds_fail(err, DS_E_USAGE, "--%s wants a value: %s", opt->name,
                           opt->value);
        attached = reader->argv[reader->at++];
    }
    return store(opt, values, attached, err);
}

static int take_long(struct reader *reader, const char *word, struct ds_error *err)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    void *values = NULL;
    const struct ds_opt *opt = find(reader, name, len, '\0', &values);

    if (!opt)
        return unknown(reader, word, err);
    return take(reader, opt, values, name[len] ? name + len + 1 : NULL, err);
}

/* "-qv" is "-q -v"; "-ojson" is "-o json". */
static int take_letters(struct reader *reader, const char *word, struct ds_error *err)
{
    for (const char *p = word + 1; *p; p++) {
        void *values = NULL;
        const struct ds_opt *opt = find(reader, NULL, 0, *p, &values);

        if (!opt)
            return unknown(reader, word, err);
        if (opt->kind != DS_OPT_FLAG)
            return take(reader, opt, values, p[1] ? p + 1 : NULL, err);
        if (take(reader, opt, values, NULL, err) < 0)
            return -1;
    }
    return 0;
}

int ds_opt_parse(const struct ds_opt_set *sets, size_t n_sets, int argc, char **argv,
                 bool stop_at_operand, struct ds_opt_list *operands, int *used,
                 struct ds_error *err)
{
    struct reader reader = {.sets = sets, .n_sets = n_sets, .argc = argc, .argv = argv};
    bool only_operands = false;

    while (reader.at < argc) {
        const char *word = argv[reader.at];
        bool is_option = !only_operands && word[0] == '-' && word[1];
        int rc = 0;

        if (!is_option && stop_at_operand)
            break;
        reader.at++;
        if (!is_option)
            list_add(operands, word);
        else if (strcmp(word, "--") == 0)
            only_operands = true;
        else if (word[1] == '-')
            rc = take_long(&reader, word, err);
        else
            rc = take_letters(&reader, word, err);
        if (rc < 0)
            return -1;
    }
    if (used)
        *used = reader.at;
    return 0;
}

void ds_opt_list_release(struct ds_opt_list *list)
{
    free(list->items);
    *list = (struct ds_opt_list){0};
}

void ds_opt_release(const struct ds_opt_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->opts[i].kind == DS_OPT_LIST)
            ds_opt_list_release((void *)((char *)set->values + set->opts[i].offset));
    }
}

void ds_opt_help(const struct ds_opt *opts, size_t n, struct ds_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        DS_AUTO(buf) struct ds_buf left = DS_BUF_INIT(256);

        if (opts[i].letter)
            ds_buf_addf(&left, "  -%c, ", opts[i].letter);
        else
            ds_buf_adds(&left, "      ");
        ds_buf_addf(&left, "--%s", opts[i].name);
        if (opts[i].value)
            ds_buf_addf(&left, " %s", opts[i].value);
        ds_buf_addf(out, "%-*s %s\n", HELP_COLUMN, left.data, opts[i].help);
    }
}
