/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opt.h - command lines from tables.
 *
 * Options stand in any order with the operands, until `--`.  Long ones are never
 * abbreviated: `--name VALUE` or `--name=VALUE`; some have a letter too: `-o VALUE`.  The
 * same tables write the help texts, so there is no second list to keep.
 */
#ifndef DSHARD_OPT_H
#define DSHARD_OPT_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/error.h"

enum ds_opt_kind {
    DS_OPT_FLAG,     /* bool */
    DS_OPT_TEXT,     /* const char *, borrowed from argv */
    DS_OPT_LIST,     /* struct ds_opt_list: may be given several times */
    DS_OPT_DURATION, /* int64_t milliseconds */
    DS_OPT_NUMBER,   /* unsigned, from 1 */
};

struct ds_opt_list {
    const char **items; /* borrowed texts in an owned array */
    size_t n;
};

struct ds_opt {
    const char *name; /* without the dashes */
    char letter;      /* '\0': none */
    enum ds_opt_kind kind;
    size_t offset;     /* of the value in the struct of options */
    const char *value; /* what its value is called in the help; NULL for a flag */
    const char *help;  /* one line */
};

struct ds_opt_set {
    const struct ds_opt *opts;
    size_t n;
    void *values; /* the struct that the offsets are about */
};

/*
 * Reads argv[0 .. argc-1] (no program name in it) by several sets.  What is no option is
 * appended to operands.  With `stop_at_operand` the first operand ends the reading, and
 * *used says how many words were read.  Errors are DS_E_USAGE with a near name if there
 * is one.
 */
int ds_opt_parse(const struct ds_opt_set *sets, size_t n_sets, int argc, char **argv,
                 bool stop_at_operand, struct ds_opt_list *operands, int *used,
                 struct ds_error *err) DS_NODISCARD;

void ds_opt_list_release(struct ds_opt_list *list);
void ds_opt_release(const struct ds_opt_set *set); /* the lists in the values */

/* Appends one line an option: "  -o, --output FORMAT   ...". */
void ds_opt_help(const struct ds_opt *opts, size_t n, struct ds_buf *out);

/* The nearest of n names within two edits, or NULL; names are read through name_of. */
const char *ds_opt_nearest(const char *word, const char *(*name_of)(const void *, size_t),
                           const void *names, size_t n);

#endif
