/* SPDX-License-Identifier: Apache-2.0 */
/* svg_whole.c - the picture with its names, as a document; see svg.h. */
#include "svg_impl.h"

enum {
    WIDTH = 960,
    MARGIN = 24,
    LEFT = 380,  /* where the names begin */
    ROW = 24,    /* height */
    TOP = 72,    /* base line of the first row */
    SHARE = 756, /* where the percentages end */
    BAR = 772,
    BAR_WIDTH = 164,
    NAME_MAX = 28, /* characters; the whole name is in the tip */
    NAME_END = 13, /* of them from the end of one that is longer */
};

static const char STYLE[] =
    "text{fill:#1b1f24;font:14px system-ui,sans-serif}.m{font:13px "
    "ui-monospace,monospace}"
    ".dim{fill:#57606a}.bad{fill:#b3261e;font-weight:600}.end{text-anchor:end}"
    ".page{fill:#fff}.fair{stroke:#1b1f24;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#e6e9ec}.dim{fill:#9aa4ae}"
    ".bad{fill:#ff8a80}.page{fill:#14181d}.fair{stroke:#e6e9ec}}";

/* The name, or as much of it as there is room for. */
static void add_name(const char *address, struct ds_buf *out)
{
    size_t len = strlen(address);

    if (len <= NAME_MAX) {
        ds_svg_add_text(out, address);
        return;
    }
    ds_buf_add_html(out, address, NAME_MAX - NAME_END - 1);
    ds_svg_add_text(out, "\xE2\x80\xA6");
    ds_svg_add_text(out, address + len - NAME_END);
}

static void add_share(const struct ds_state *state, const struct ds_svg_shares *shares,
                      size_t server, int y, struct ds_buf *out)
{
    int at = BAR + (int)(shares->fair[server] * BAR_WIDTH / shares->largest);

    ds_buf_addf(out, "<text class=\"end\" x=\"%d\" y=\"%d\">", SHARE, y);
    ds_svg_add_percent(out, shares->owned[server]);
    ds_buf_addf(out,
                "</text><rect class=\"k%u\" x=\"%d\" y=\"%d\" width=\"%d\" "
                "height=\"12\"/>",
                ds_svg_colour(state, server), BAR, y - 11,
                (int)(shares->owned[server] * BAR_WIDTH / shares->largest));
    ds_buf_addf(out, "<path class=\"fair\" d=\"M%d %dv16\"/>", at, y - 13);
}

static void add_row(const struct ds_state *state, const struct ds_svg_shares *shares,
                    size_t server, int y, struct ds_buf *out)
{
    const struct ds_standing *standing = &state->servers[server];
    const char *health = ds_health_name(standing->health.state);

    ds_buf_addf(out, "<text class=\"end dim\" x=\"%d\" y=\"%d\">%zu</text>", LEFT + 22, y,
                server + 1);
    if (standing->member)
        ds_buf_addf(out,
                    "<rect class=\"k%u\" x=\"%d\" y=\"%d\" width=\"12\" "
                    "height=\"12\"/>",
                    ds_svg_colour(state, server), LEFT + 32, y - 11);
    ds_buf_addf(out, "<text class=\"m%s\" x=\"%d\" y=\"%d\"><title>",
                standing->member ? "" : " dim", LEFT + 52, y);
    ds_svg_add_text(out, standing->server.address);
    ds_buf_adds(out, "</title>");
    add_name(standing->server.address, out);
    ds_buf_adds(out, "</text>");
    if (standing->member)
        add_share(state, shares, server, y, out);
    else if (standing->intent == DS_INTENT_IN)
        ds_buf_addf(out, "<text class=\"dim\" x=\"%d\" y=\"%d\">no member: %s</text>",
                    BAR, y, health);
    else
        ds_buf_addf(out, "<text class=\"dim\" x=\"%d\" y=\"%d\">no member: %s, %s</text>",
                    BAR, y, ds_intent_name(standing->intent), health);
    if (ds_svg_is_sick(standing))
        ds_buf_addf(out, "<text class=\"bad end\" x=\"%d\" y=\"%d\">%s</text>",
                    SHARE - 56, y, health);
    ds_buf_addc(out, '\n');
}

static void add_rows(const struct ds_state *state, const struct ds_svg_shares *shares,
                     struct ds_buf *out)
{
    if (state->n_servers)
        ds_buf_addf(out,
                    "<text class=\"dim\" x=\"%d\" y=\"%d\">share of the key space; the "
                    "mark is what the weight stands for</text>",
                    LEFT + 52, TOP - 32);
    for (size_t i = 0; i < state->n_servers; i++)
        add_row(state, shares, i, TOP + (int)i * ROW, out);
}

static void add_foot(const struct ds_state *state, int y, struct ds_buf *out)
{
    ds_buf_addf(out, "<text class=\"dim\" x=\"%d\" y=\"%d\">generation ", MARGIN, y);
    ds_buf_addu(out, state->generation);
    ds_buf_adds(out, " \xC2\xB7 digest ");
    ds_svg_add_text(out, state->digest);
    if (state->frozen_reason) {
        ds_buf_adds(out, " \xC2\xB7 <tspan class=\"bad\">frozen: ");
        ds_svg_add_text(out, state->frozen_reason);
        ds_buf_adds(out, "</tspan>");
    }
    ds_buf_adds(out, "</text>\n");
}

void ds_svg_ring(const struct ds_state *state, const struct ds_ring *ring,
                 struct ds_buf *out)
{
    DS_AUTO(svg_shares) struct ds_svg_shares shares;
    bool few = state->n_servers <= DS_SVG_ROWS_MAX;
    int rows = few ? TOP + (int)state->n_servers * ROW : TOP + DS_SVG_BALANCE_HEIGHT;
    int bottom = rows > DS_SVG_DONUT_SIZE + MARGIN ? rows : DS_SVG_DONUT_SIZE + MARGIN;

    ds_svg_shares_init(&shares, state, ring);
    ds_buf_addf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" "
        "viewBox=\"0 0 %d %d\" width=\"%d\" style=\"max-width:100%%;height:auto\" "
        "role=\"img\" "
        "aria-labelledby=\"title\"><title id=\"title\">The ring: %zu members, "
        "generation ",
        WIDTH, bottom + 48, WIDTH, ds_svg_count_members(state));
    ds_buf_addu(out, state->generation);
    ds_buf_adds(out, "</title><style>");
    ds_buf_adds(out, ds_svg_style());
    ds_buf_adds(out, STYLE);
    ds_buf_adds(out, "</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>"
                     "<g class=\"ring\" transform=\"translate(24 16)\">");
    ds_svg_add_segments(state, &shares, out);
    ds_buf_adds(out, "</g>\n");
    if (few) {
        add_rows(state, &shares, out);
    } else {
        ds_buf_addf(out, "<g class=\"bal\" transform=\"translate(%d %d)\">", LEFT + 52,
                    TOP);
        ds_svg_add_balance(state, &shares, out);
        ds_buf_adds(out, "</g>\n");
    }
    add_foot(state, bottom + 28, out);
    ds_buf_adds(out, "</svg>\n");
}
