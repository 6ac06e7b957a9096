/* SPDX-License-Identifier: Apache-2.0 */
/*
 * svg.h - the ring as a picture: how the key space is divided, as a ring of segments in
 * the order of the names.  The points themselves would be a grey noise.
 *
 * A segment has the number that its server has in the state (from 1), and the colour that
 * goes with the number, so both stay when others leave the ring.  Colours alternate
 * between dark and light, so that neighbours can be told apart without seeing colours; a
 * member that is not up is hatched.  However many members there are, the size is bounded:
 * neighbours share a segment then.
 */
#ifndef DSHARD_SVG_H
#define DSHARD_SVG_H

#include "dshard/buf.h"
#include "dshard/state.h"

enum {
    DS_SVG_COLOURS = 8,
    DS_SVG_SEGMENTS_MAX = 96,
    DS_SVG_ROWS_MAX = 32, /* servers that a picture lists one by one */
};

/* Of the 2^32 hashes, for each server of a state: what it owns, and what it would own if
   its weight were all that counts.  Zeros for one that is no member. */
struct ds_svg_shares {
    uint64_t *owned, *fair;
    uint64_t largest; /* of both, 1 at least: what a bar is drawn to scale with */
};

/* ring: of this state, NULL without a member. */
void ds_svg_shares_init(struct ds_svg_shares *shares, const struct ds_state *state,
                        const struct ds_ring *ring);
void ds_svg_shares_release(struct ds_svg_shares *shares); /* may be called twice */
void ds_auto_svg_shares(struct ds_svg_shares *shares);

/* A picture for inside HTML, without a list of names.  Colours are those of the style. */
void ds_svg_donut(const struct ds_state *state, const struct ds_svg_shares *shares,
                  struct ds_buf *out);

/* The members' shares against what their weights stand for, largest first: how even the
   ring is when there are too many members to list.  Writes nothing without one. */
void ds_svg_balance(const struct ds_state *state, const struct ds_svg_shares *shares,
                    struct ds_buf *out);

/* CSS for both, which follows the reader's colour scheme. */
const char *ds_svg_style(void);

/* The whole picture as a document of its own: the ring, who is who, and how even it is.
 */
void ds_svg_ring(const struct ds_state *state, const struct ds_ring *ring,
                 struct ds_buf *out);

#endif
