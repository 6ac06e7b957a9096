/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confedit.h - adds servers to the list in the configuration file, or takes them out, and
 * touches nothing else: comments, layout, line ends, quotes, order and the missing
 * newline at the end stay.  A removed item takes along the comment at the end of its own
 * line, and those inside it when it spans several; a comment line above it stays, for it
 * may be about others.  An added one looks like the last one (indent, quotes, commas) and
 * stands right behind it.
 *
 * The text that comes out is checked by loading it: a change that would not leave exactly
 * the wanted servers, and everything else as it was, is an error and nothing is written.
 */
#ifndef DSHARD_CONFEDIT_H
#define DSHARD_CONFEDIT_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/config.h"
#include "dshard/error.h"

struct ds_confedit {
    const struct ds_server *add;    /* those that are listed already stay as they are */
    const struct ds_server *remove; /* those that are not listed are passed over */
    size_t n_add, n_remove;
};

/* The edited text, appended to out; `name` stands for the file in errors.  *changed:
   whether it differs.  DS_E_CONFIG: the text is no valid configuration, or its list
   cannot be edited (the text says where, and what to do by hand). */
int ds_confedit_text(const char *name, const char *text, size_t len,
                     const struct ds_confedit *edit, struct ds_buf *out, bool *changed,
                     struct ds_error *err) DS_NODISCARD;

/* The same for a file, replaced atomically (a symbolic link stays one; mode, owner and
   group stay).  When it changes meanwhile, what it is then is edited.  Checks first that
   it could be written: see ds_confedit_check(). */
int ds_confedit_file(const char *path, const struct ds_confedit *edit, bool *changed,
                     struct ds_error *err) DS_NODISCARD;
/* Whether ds_confedit_file() would work now: before a long operation begins. */
int ds_confedit_check(const char *path, const struct ds_confedit *edit, bool *changed,
                      struct ds_error *err) DS_NODISCARD;

#endif
