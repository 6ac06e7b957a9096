/* SPDX-License-Identifier: Apache-2.0 */
/* see svg.h */
#include "svg_impl.h"

#include <stdlib.h>

enum {
    CENTRE = DS_SVG_DONUT_SIZE / 2,
    OUTER = 152, /* radii */
    INNER = 96,
    NUMBERS = 124,
    NUMBER_ROOM = 20, /* along the ring, for a segment to have its number in it */
};

static const double TURN = 6.283185307179586;
static const double HASHES = 4294967296.0;

/* k0 to k7 are the colours of servers, in pictures and in tables.  No CSS variables: not
   every program that draws SVG knows them. */
static const char STYLE[] =
    ".k0{fill:#0072b2;background:#0072b2}.k1{fill:#e69f00;background:#e69f00}"
    ".k2{fill:#007f5c;background:#007f5c}.k3{fill:#56b4e9;background:#56b4e9}"
    ".k4{fill:#b8400a;background:#b8400a}.k5{fill:#ebdd3c;background:#ebdd3c}"
    ".k6{fill:#7d4a86;background:#7d4a86}.k7{fill:#d9a9cc;background:#d9a9cc}"
    ".ring path{stroke:#fff;stroke-width:2}.ring .many path{stroke-width:.6}"
    ".ring text{fill:#1b1f24;font:14px system-ui,sans-serif;text-anchor:middle}"
    ".ring .big{font-size:52px;font-weight:600}.ring .bad{fill:#b3261e;font-weight:600}"
    ".ring .num{font-weight:600;fill:#fff}.ring .odd{fill:#000}"
    ".ring .sick{fill:url(#hatch)}.ring .line{fill:#fff;stroke:none}"
    ".ring .halo{fill:#1b1f24;stroke:#fff;stroke-width:5;paint-order:stroke}"
    ".ring .none{fill:none;stroke:#8b949e;stroke-width:2;stroke-dasharray:6 6}"
    ".bal rect{fill:#0072b2}.bal .fair{stroke:#1b1f24;stroke-dasharray:4 3}"
    ".bal text{fill:#1b1f24;font:13px system-ui,sans-serif}"
    "@media(prefers-color-scheme:dark){.ring path{stroke:#14181d}"
    ".ring text,.bal text{fill:#e6e9ec}.ring .num{fill:#fff}.ring .odd{fill:#000}"
    ".ring .bad{fill:#ff8a80}.ring .line{fill:#14181d}"
    ".ring .halo{fill:#e6e9ec;stroke:#14181d}.bal rect{fill:#56b4e9}"
    ".bal .fair{stroke:#e6e9ec}}";

const char *ds_svg_style(void)
{
    return STYLE;
}

void ds_svg_shares_init(struct ds_svg_shares *shares, const struct ds_state *state,
                        const struct ds_ring *ring)
{
    uint64_t weights = 0;
    size_t member = 0;

    shares->owned = ds_xcalloc(state->n_servers + 1, sizeof *shares->owned);
    shares->fair = ds_xcalloc(state->n_servers + 1, sizeof *shares->fair);
    shares->largest = 1;
    for (size_t i = 0; i < state->n_servers; i++)
        weights += state->servers[i].ring_weight;
    for (size_t i = 0; i < state->n_servers; i++) {
        if (!state->servers[i].member)
            continue;
        shares->owned[i] = ring ? ds_ring_share(ring, member++) : 0;
        shares->fair[i] = (UINT64_C(1) << 32) * state->servers[i].ring_weight / weights;
        if (shares->owned[i] > shares->largest)
            shares->largest = shares->owned[i];
        if (shares->fair[i] > shares->largest)
            shares->largest = shares->fair[i];
    }
}

void ds_svg_shares_release(struct ds_svg_shares *shares)
{
    free(shares->owned);
    free(shares->fair);
    *shares = (struct ds_svg_shares){0};
}

void ds_auto_svg_shares(struct ds_svg_shares *shares)
{
    ds_svg_shares_release(shares);
}

void ds_svg_add_text(struct ds_buf *out, const char *text)
{
    ds_buf_add_html(out, text, strlen(text));
}

void ds_svg_add_percent(struct ds_buf *out, uint64_t hashes)
{
    double percent = (double)hashes * 100 / HASHES;

    /* One of a thousand members has a tenth of a percent. */
    ds_buf_addf(out, hashes && percent < 0.95 ? "%.2f%%" : "%.1f%%", percent);
}

size_t ds_svg_count_members(const struct ds_state *state)
{
    size_t n = 0;

    for (size_t i = 0; i < state->n_servers; i++)
        n += state->servers[i].member;
    return n;
}

unsigned ds_svg_colour(const struct ds_state *state, size_t server)
{
    /* The last one lies beside the first. */
    if (server && server == state->n_servers - 1 && server % DS_SVG_COLOURS == 0)
        return DS_SVG_COLOURS / 2;
    return (unsigned)(server % DS_SVG_COLOURS);
}

bool ds_svg_is_sick(const struct ds_standing *standing)
{
    return standing->member && standing->health.state != DS_HEALTH_UP;
}

/* The sine of 0 to 1 turns, by its series: exact to 1/10,000, which is a hundredth of a
   pixel, and no reason to link a library of mathematics. */
static double sine(double turns)
{
    double sign = 1, x, xx;

    if (turns > 0.5) {
        turns -= 0.5;
        sign = -1;
    }
    if (turns > 0.25)
        turns = 0.5 - turns;
    x = turns * TURN;
    xx = x * x;
    return sign * x * (1 - xx / 6 * (1 - xx / 20 * (1 - xx / 42 * (1 - xx / 72))));
}

struct place {
    double x, y;
};

/* Clockwise from the top. */
static struct place place_at(double turns, double radius)
{
    double quarter = turns > 0.75 ? turns - 0.75 : turns + 0.25;

    return (struct place){CENTRE + radius * sine(turns), CENTRE - radius * sine(quarter)};
}

/* Some members side by side. */
struct segment {
    size_t first, last, n; /* servers; n of them are members */
    uint64_t begin, end;   /* hashes, counted from the top */
    bool sick;
};

static double turns_of(uint64_t hashes)
{
    return (double)hashes / HASHES;
}

/* A circle as a part of a path, in one direction or the other. */
static void add_circle(struct ds_buf *out, int radius, int sweep)
{
    ds_buf_addf(out, "M%d %da%d %d 0 1 %d 0 %da%d %d 0 1 %d 0 -%dZ", CENTRE,
                CENTRE - radius, radius, radius, sweep, 2 * radius, radius, radius, sweep,
                2 * radius);
}

static void add_outline(const struct segment *segment, struct ds_buf *out)
{
    double begin = turns_of(segment->begin), end = turns_of(segment->end);
    struct place a = place_at(begin, OUTER), b = place_at(end, OUTER);
    struct place c = place_at(end, INNER), d = place_at(begin, INNER);
    int large = end - begin > 0.5;

    if (end - begin > 0.9999) { /* an arc that ends where it begins is none */
        add_circle(out, OUTER, 1);
        add_circle(out, INNER, 0);
        return;
    }
    ds_buf_addf(out, "M%.1f %.1fA%d %d 0 %d 1 %.1f %.1f", a.x, a.y, OUTER, OUTER, large,
                b.x, b.y);
    ds_buf_addf(out, "L%.1f %.1fA%d %d 0 %d 0 %.1f %.1fZ", c.x, c.y, INNER, INNER, large,
                d.x, d.y);
}

/* What a pointer that rests on a segment is told. */
static void add_tip(const struct ds_state *state, const struct segment *segment,
                    struct ds_buf *out)
{
    const struct ds_standing *first = &state->servers[segment->first];

    ds_buf_adds(out, "<title>");
    ds_svg_add_text(out, first->server.address);
    if (segment->n > 1) {
        ds_buf_adds(out, " to ");
        ds_svg_add_text(out, state->servers[segment->last].server.address);
        ds_buf_addf(out, ", %zu members", segment->n);
    }
    ds_buf_adds(out, ": ");
    ds_svg_add_percent(out, segment->end - segment->begin);
    if (segment->sick)
        ds_buf_addf(out, ", %s",
                    segment->n > 1 ? "not all up" : ds_health_name(first->health.state));
    ds_buf_adds(out, "</title>");
}

static void add_segment(const struct ds_state *state, const struct segment *segment,
                        size_t index, struct ds_buf *out)
{
    bool single = segment->n == 1;
    unsigned colour = single ? ds_svg_colour(state, segment->first)
                             : (unsigned)(index % DS_SVG_COLOURS);
    double turns = turns_of(segment->end - segment->begin);
    struct place place = place_at(turns_of((segment->begin + segment->end) / 2), NUMBERS);

    ds_buf_addf(out, "<path class=\"k%u\" d=\"", colour);
    add_outline(segment, out);
    ds_buf_adds(out, "\">");
    add_tip(state, segment, out);
    ds_buf_adds(out, "</path>");
    if (segment->sick) { /* the hatching lets the colour and the pointer through */
        ds_buf_adds(out, "<path class=\"sick\" d=\"");
        add_outline(segment, out);
        ds_buf_adds(out, "\"/>");
    }
    if (!single || turns * TURN * NUMBERS < NUMBER_ROOM)
        return;
    ds_buf_addf(out, "<text class=\"num%s\" x=\"%.1f\" y=\"%.1f\">%zu</text>\n",
                segment->sick ? " halo"
                : colour % 2  ? " odd"
                              : "",
                place.x, place.y + 5, segment->first + 1);
}

static void add_members(const struct ds_state *state, const struct ds_svg_shares *shares,
                        size_t left, struct ds_buf *out)
{
    size_t each = (left + DS_SVG_SEGMENTS_MAX - 1) / DS_SVG_SEGMENTS_MAX, index = 0;
    struct segment segment = {0};

    for (size_t i = 0; i < state->n_servers; i++) {
        if (!state->servers[i].member)
            continue;
        if (!segment.n)
            segment.first = i;
        segment.last = i;
        segment.end += shares->owned[i];
        segment.sick |= ds_svg_is_sick(&state->servers[i]);
        segment.n++;
        left--;
        if (segment.n < each && left)
            continue;
        add_segment(state, &segment, index++, out);
        segment = (struct segment){.begin = segment.end, .end = segment.end};
    }
}

void ds_svg_add_segments(const struct ds_state *state, const struct ds_svg_shares *shares,
                         struct ds_buf *out)
{
    size_t n = ds_svg_count_members(state);

    ds_buf_adds(out, "<defs><pattern id=\"hatch\" width=\"9\" height=\"9\" "
                     "patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">"
                     "<path d=\"M0 0H4V9H0Z\" class=\"line\"/>"
                     "</pattern></defs>");
    /* What a browser in a terminal makes of the text: "3 members 1 2 3". */
    ds_buf_addf(out, "<text class=\"big\" x=\"%d\" y=\"%d\">%zu</text>\n", CENTRE,
                CENTRE + 12, n);
    ds_buf_addf(out, "<text x=\"%d\" y=\"%d\">%s</text>\n", CENTRE, CENTRE + 36,
                n == 1 ? "member" : "members");
    if (state->frozen_reason)
        ds_buf_addf(out, "<text class=\"bad\" x=\"%d\" y=\"%d\">frozen</text>\n", CENTRE,
                    CENTRE + 58);
    if (!n) {
        ds_buf_addf(out, "<circle class=\"none\" cx=\"%d\" cy=\"%d\" r=\"%d\"/>", CENTRE,
                    CENTRE, NUMBERS);
        return;
    }
    ds_buf_adds(out, n > DS_SVG_ROWS_MAX ? "<g class=\"many\">" : "<g>");
    add_members(state, shares, n, out);
    ds_buf_adds(out, "</g>");
}

void ds_svg_donut(const struct ds_state *state, const struct ds_svg_shares *shares,
                  struct ds_buf *out)
{
    ds_buf_addf(out,
                "<svg class=\"ring\" viewBox=\"0 0 %d %d\" role=\"img\" "
                "aria-label=\"The ring: how the members share the key space, as in the "
                "table of servers\">",
                DS_SVG_DONUT_SIZE, DS_SVG_DONUT_SIZE);
    ds_svg_add_segments(state, shares, out);
    ds_buf_adds(out, "</svg>\n");
}
