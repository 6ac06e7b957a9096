/* SPDX-License-Identifier: Apache-2.0 */
/* page_impl.h - what the parts of page.c share. */
#ifndef DSHARD_PAGE_IMPL_H
#define DSHARD_PAGE_IMPL_H

#include "dshard/page.h"
#include "dshard/status.h"
#include "dshard/svg.h"

/* ds_status_judge() and what only the page knows. */
void ds_page_judge(const struct ds_page *page, struct ds_status *status);

/* Behind an age; not to be broken. */
#define DS_PAGE_AGO                                                                      \
    "\xC2\xA0"                                                                           \
    "ago"

/* Whether there is one to show: not one that a dead process left and that is over. */
bool ds_page_has_operation(const struct ds_page *page);
/* <time> that shows how long ago it was; "never" for 0. */
void ds_page_add_time(const struct ds_page *page, int64_t at_ms, const char *behind,
                      struct ds_buf *out);
void ds_page_add_servers(const struct ds_page *page, const struct ds_svg_shares *shares,
                         struct ds_buf *out);
void ds_page_add_changes(const struct ds_page *page, struct ds_buf *out);
void ds_page_add_troubles(const struct ds_page *page, struct ds_buf *out);

#endif
