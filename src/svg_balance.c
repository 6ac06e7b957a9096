/* SPDX-License-Identifier: Apache-2.0 */
/* svg_balance.c - how even a ring of many members is; see svg.h. */
#include "svg_impl.h"

#include <stdlib.h>

enum {
    BARS_MAX = 100,
    PLOT_TOP = 24,
    PLOT_HEIGHT = 100,
    BOTTOM = PLOT_TOP + PLOT_HEIGHT,
};

/* A member, and its share in millionths of what its weight stands for. */
struct load {
    const char *address;
    uint64_t ppm;
};

static int compare_loads(const void *a, const void *b)
{
    const struct load *x = a, *y = b;

    if (x->ppm != y->ppm)
        return x->ppm < y->ppm ? 1 : -1;
    return strcmp(x->address, y->address);
}

/* The members, largest first; new. */
static struct load *sorted_loads(const struct ds_state *state,
                                 const struct ds_svg_shares *shares, size_t n)
{
    struct load *loads = ds_xcalloc(n, sizeof *loads);
    size_t used = 0;

    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];

        if (standing->member)
            loads[used++] = (struct load){standing->server.address,
                                          shares->owned[i] * 1000000 / shares->fair[i]};
    }
    qsort(loads, used, sizeof *loads, compare_loads);
    return loads;
}

static void add_extreme(const struct load *load, const char *what, int y,
                        struct ds_buf *out)
{
    ds_buf_addf(out, "<text x=\"0\" y=\"%d\">%s: %.2f\xC3\x97 its fair share, ", y, what,
                (double)load->ppm / 1e6);
    ds_svg_add_text(out, load->address);
    ds_buf_adds(out, "</text>");
}

void ds_svg_add_balance(const struct ds_state *state, const struct ds_svg_shares *shares,
                        struct ds_buf *out)
{
    size_t n = ds_svg_count_members(state), bars = n < BARS_MAX ? n : BARS_MAX;
    DS_AUTO(ptr) void *owned = n ? sorted_loads(state, shares, n) : NULL;
    const struct load *loads = owned;
    double scale, width = (double)DS_SVG_BALANCE_WIDTH / (double)(bars ? bars : 1);

    if (!n)
        return;
    scale = PLOT_HEIGHT / (double)(loads[0].ppm > 1000000 ? loads[0].ppm : 1000000);
    ds_buf_adds(out, "<text x=\"0\" y=\"12\">shares, largest first; the line is what the "
                     "weight stands for</text>");
    for (size_t i = 0; i < bars; i++) {
        /* The first and the last are always among them. */
        const struct load *load = &loads[bars > 1 ? i * (n - 1) / (bars - 1) : 0];
        double height = (double)load->ppm * scale;

        ds_buf_addf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
                    (double)i * width, BOTTOM - height, width * 0.85, height);
    }
    ds_buf_addf(out, "<path class=\"fair\" d=\"M0 %.1fh%d\"/>", BOTTOM - 1e6 * scale,
                DS_SVG_BALANCE_WIDTH);
    add_extreme(&loads[0], "largest", BOTTOM + 20, out);
    add_extreme(&loads[n - 1], "smallest", BOTTOM + 40, out);
}

void ds_svg_balance(const struct ds_state *state, const struct ds_svg_shares *shares,
                    struct ds_buf *out)
{
    if (!ds_svg_count_members(state))
        return;
    ds_buf_addf(out,
                "<svg class=\"bal\" viewBox=\"0 0 %d %d\" role=\"img\" "
                "aria-label=\"The members' shares against their weights, largest "
                "first\">",
                DS_SVG_BALANCE_WIDTH, DS_SVG_BALANCE_HEIGHT);
    ds_svg_add_balance(state, shares, out);
    ds_buf_adds(out, "</svg>\n");
}
