/* SPDX-License-Identifier: Apache-2.0 */
/* svg_impl.h - what the parts of svg.c share. */
#ifndef DSHARD_SVG_IMPL_H
#define DSHARD_SVG_IMPL_H

#include "dshard/svg.h"

enum { DS_SVG_DONUT_SIZE = 320 };

/* Text as it may stand in SVG and HTML. */
void ds_svg_add_text(struct ds_buf *out, const char *text);
/* "6.3%" of the key space. */
void ds_svg_add_percent(struct ds_buf *out, uint64_t hashes);
size_t ds_svg_count_members(const struct ds_state *state);
unsigned ds_svg_colour(const struct ds_state *state, size_t server);
bool ds_svg_is_sick(const struct ds_standing *standing); /* a member, and not up */

/* Without <svg> around them: in the square, or the rectangle, at the origin. */
void ds_svg_add_segments(const struct ds_state *state, const struct ds_svg_shares *shares,
                         struct ds_buf *out);
enum { DS_SVG_BALANCE_WIDTH = 420, DS_SVG_BALANCE_HEIGHT = 170 };
void ds_svg_add_balance(const struct ds_state *state, const struct ds_svg_shares *shares,
                        struct ds_buf *out);

#endif
