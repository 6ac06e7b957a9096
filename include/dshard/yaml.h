/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml.h - one YAML document as a tree of nodes that know where they stand.
 *
 * A small part of YAML on purpose: maps with text keys, lists and scalars.  Anchors,
 * aliases, tags and further documents are refused, because what they do to a
 * configuration is rarely what its author meant.  Scalars stay text; whether `off` or
 * `09091` is a word or a number is for the reader of the tree to say.
 *
 * Marks count lines and characters (not bytes) from 1.  `end` lies behind the last
 * character of a scalar or of a list or map in brackets; that of a block list or map lies
 * where the next thing begins, so behind the comments that follow it: to edit, go by the
 * last item.
 */
#ifndef DSHARD_YAML_H
#define DSHARD_YAML_H

#include "dshard/base.h"

enum {
    DS_YAML_DEPTH_MAX = 16,
    DS_YAML_NODES_MAX = 20000,
    DS_YAML_KEYS_MAX = 200, /* of one map */
    DS_YAML_PROBLEMS_MAX = 100,
};

struct ds_yaml_mark {
    unsigned line, column; /* 0, 0: nowhere in a file */
};

enum ds_yaml_kind { DS_YAML_SCALAR, DS_YAML_LIST, DS_YAML_MAP };

struct ds_yaml_node {
    enum ds_yaml_kind kind;
    bool plain; /* a scalar without quotes, which other readers may take for a number */
    bool flow;  /* a list or map in brackets */
    bool bad;   /* an alias stood here: a problem that has been noted already */
    struct ds_yaml_mark start, end;
    char *text; /* of a scalar; len counts the NULs that may be in it */
    size_t len;
    struct ds_yaml_node *key;    /* of an item of a map: its key, a scalar */
    struct ds_yaml_node **items; /* of a list or map, in the order of the text */
    size_t n_items;
};

struct ds_yaml_problem {
    struct ds_yaml_mark mark;
    char *text; /* never holds a value of the file */
};

struct ds_yaml {
    struct ds_yaml_node *root; /* NULL: nothing there, or it could not be read */
    struct ds_yaml_problem *problems;
    size_t n_problems;
};

#define DS_YAML_INIT                                                                     \
    {                                                                                    \
        NULL, NULL, 0                                                                    \
    }

void ds_yaml_node_free(struct ds_yaml_node *node); /* with all below it; NULL is fine */
void ds_yaml_release(struct ds_yaml *yaml);        /* may be called twice */
void ds_auto_yaml(struct ds_yaml *yaml);

/*
 * Reads a text of at most INT32_MAX bytes into a fresh *yaml.  Returns 0, or -1 when
 * there are problems: bad syntax (the last problem then, and there is no root), or things
 * that are YAML and not accepted (there is a root, without them, so that its reader can
 * go on complaining).  A key that stands twice in one map is a problem and keeps its
 * first value.
 */
int ds_yaml_parse(struct ds_yaml *yaml, const char *text, size_t len) DS_NODISCARD;

/* The value of a key in a map, borrowed; NULL when it is not there (or map is NULL or not
   a map). */
const struct ds_yaml_node *ds_yaml_get(const struct ds_yaml_node *map, const char *key);

/* True for what YAML takes for null (nothing at all, ~, null) and for a boolean (yes, no,
   on, off, true, false); never in quotes. */
bool ds_yaml_is_null(const struct ds_yaml_node *node);
bool ds_yaml_is_bool(const struct ds_yaml_node *node);

/* True for a scalar without control characters (those above ASCII too). */
bool ds_yaml_is_printable(const struct ds_yaml_node *node);

#endif
