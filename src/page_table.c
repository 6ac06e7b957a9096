/* SPDX-License-Identifier: Apache-2.0 */
/* page_table.c - the tables of the page: servers, changes, errors. */
#include "dshard/num.h"
#include "page_impl.h"
#include "svg_impl.h"

enum { NAMES_MAX = 4 }; /* of one change; the rest is counted */

static const char *class_of(const struct ds_standing *standing)
{
    static const char *const classes[DS_N_HEALTH_STATES] = {
        [DS_HEALTH_NEW] = "warn",
        [DS_HEALTH_UP] = "ok",
        [DS_HEALTH_DOWN] = "bad",
        [DS_HEALTH_HELD] = "warn",
    };

    if (standing->intent != DS_INTENT_IN)
        return "dim";
    if (standing->health.state == DS_HEALTH_UP &&
        (!standing->member || standing->health.why[0]))
        return "warn";
    return classes[standing->health.state];
}

/* What operators want comes first: who is drained may be anything. */
static void add_state(const struct ds_page *page, const struct ds_standing *standing,
                      struct ds_buf *out)
{
    const struct ds_health *health = &standing->health;
    const char *name = ds_health_name(health->state);
    bool in = standing->intent == DS_INTENT_IN;
    char age[DS_DURATION_TEXT_MAX];

    ds_buf_addf(out, "<td class=\"w\"><b class=\"%s\">%s</b>", class_of(standing),
                in ? name : ds_intent_name(standing->intent));
    if (!in)
        ds_buf_addf(out, ", %s", name);
    if (health->state == DS_HEALTH_HELD && health->hold_until_ms > page->now_ms) {
        ds_duration_format_short(health->hold_until_ms - page->now_ms, age);
        ds_buf_addf(out, ", rejoins in %s", age);
    }
    if (standing->member && (!in || health->state == DS_HEALTH_DOWN))
        ds_buf_adds(out, ", still a member");
    else if (in && !standing->member && health->state == DS_HEALTH_UP)
        ds_buf_adds(out, ", no member");
    ds_buf_adds(out, "</td><td>");
    if (health->since_ms)
        ds_page_add_time(page, health->since_ms, "", out);
    else
        ds_buf_addc(out, '-');
    ds_buf_adds(out, "</td>");
}

static void add_name(const struct ds_state *state, size_t server, struct ds_buf *out)
{
    const struct ds_standing *standing = &state->servers[server];

    if (standing->member)
        ds_buf_addf(out, "<td class=\"r\"><i class=\"k%u\">",
                    ds_svg_colour(state, server));
    else
        ds_buf_adds(out, "<td class=\"r\"><i class=\"no\">");
    ds_buf_addf(out, "%zu</i></td><td class=\"w\"><a href=\"", server + 1);
    ds_svg_add_text(out, state->scheme);
    ds_buf_adds(out, "://");
    ds_svg_add_text(out, standing->server.address);
    ds_svg_add_text(out, state->route_prefix);
    ds_buf_adds(out, "/\" rel=\"noreferrer\">");
    ds_svg_add_text(out, standing->server.address);
    ds_buf_adds(out, "</a>");
    if (standing->health.why[0]) {
        ds_buf_adds(out, "<div class=\"why\">");
        ds_svg_add_text(out, standing->health.why);
        ds_buf_adds(out, "</div>");
    }
    ds_buf_adds(out, "</td>");
}

static void add_share(const struct ds_state *state, const struct ds_svg_shares *shares,
                      size_t server, struct ds_buf *out)
{
    uint64_t owned = shares->owned[server], fair = shares->fair[server];

    if (!state->servers[server].member) {
        ds_buf_adds(out, "<td class=\"r\">-</td>");
        return;
    }
    ds_buf_addf(out, "<td class=\"r share\" style=\"--p:%u%%;--f:%u%%\" title=\"",
                (unsigned)(owned * 100 / shares->largest),
                (unsigned)(fair * 100 / shares->largest));
    ds_svg_add_percent(out, fair);
    ds_buf_adds(out, " by its weight\">");
    ds_svg_add_percent(out, owned);
    ds_buf_adds(out, "</td>");
}

static void add_server(const struct ds_page *page, const struct ds_svg_shares *shares,
                       size_t server, struct ds_buf *out)
{
    const struct ds_standing *standing = &page->state->servers[server];

    ds_buf_adds(out, "<tr>");
    add_name(page->state, server, out);
    add_state(page, standing, out);
    ds_buf_addf(out, "<td class=\"r\">%u", standing->server.weight);
    if (standing->member && standing->ring_weight != standing->server.weight)
        ds_buf_addf(out, " (in the ring %u)", standing->ring_weight);
    ds_buf_adds(out, "</td>");
    add_share(page->state, shares, server, out);
    if (page->pushes) {
        ds_buf_adds(out, "<td class=\"r\">");
        ds_buf_addu(out, page->pushes[server]);
        ds_buf_adds(out, "</td>");
    }
    ds_buf_adds(out, "</tr>\n");
}

void ds_page_add_servers(const struct ds_page *page, const struct ds_svg_shares *shares,
                         struct ds_buf *out)
{
    ds_buf_adds(out, "<h2>Servers</h2>\n");
    if (!page->state->n_servers) {
        ds_buf_adds(out, "<p>None yet: dshard register adds them.</p>\n");
        return;
    }
    if (ds_svg_count_members(page->state))
        ds_buf_adds(out, "<p class=\"why\">share of the key space; the mark in a bar is "
                         "what the weight stands for</p>\n");
    ds_buf_adds(
        out,
        "<table class=\"rows servers\">\n<thead><tr><th class=\"r\">#</th><th>server</th>"
        "<th>state</th><th>since</th><th class=\"r\">weight</th>"
        "<th class=\"r\">share</th>");
    if (page->pushes)
        ds_buf_adds(out, "<th class=\"r\">pushes</th>");
    ds_buf_adds(out, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < page->state->n_servers; i++)
        add_server(page, shares, i, out);
    ds_buf_adds(out, "</tbody>\n</table>\n");
}

static void add_names(const char *sign, char (*names)[DS_ADDRESS_MAX], size_t n,
                      struct ds_buf *out)
{
    size_t shown = n > NAMES_MAX ? NAMES_MAX - 1 : n;

    for (size_t i = 0; i < shown; i++) {
        ds_buf_adds(out, sign);
        ds_svg_add_text(out, names[i]);
        ds_buf_adds(out, i + 1 < n ? " " : "");
    }
    if (n > shown)
        ds_buf_addf(out, "and %s%zu more", sign, n - shown);
}

static void add_change(const struct ds_page *page, const struct ds_change *change,
                       struct ds_buf *out)
{
    ds_buf_adds(out, "<tr><td>");
    ds_page_add_time(page, change->at_ms, DS_PAGE_AGO, out);
    ds_buf_addf(out, "</td><td>%s</td><td class=\"w\">", ds_cause_name(change->cause));
    add_names("+", change->added, change->n_added, out);
    if (change->n_added && change->n_removed)
        ds_buf_addc(out, ' ');
    add_names("\xE2\x88\x92", change->removed, change->n_removed, out);
    if (!change->n_added && !change->n_removed)
        ds_buf_adds(out, "weights");
    ds_buf_addf(out, "</td><td class=\"r\">%.1f%%</td><td class=\"r\">",
                change->moved_ppm / 10000.0);
    ds_buf_addu(out, change->generation);
    ds_buf_adds(out, "</td></tr>\n");
}

void ds_page_add_changes(const struct ds_page *page, struct ds_buf *out)
{
    const struct ds_state *state = page->state;

    if (!state->n_history)
        return;
    ds_buf_adds(
        out,
        "<h2>Last changes of the ring</h2>\n<table class=\"rows changes\">\n<thead><tr>"
        "<th>when</th><th>cause</th><th>what</th><th class=\"r\">moved</th>"
        "<th class=\"r\">generation</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < state->n_history; i++)
        add_change(page, &state->history[i], out);
    ds_buf_adds(out, "</tbody>\n</table>\n");
}

void ds_page_add_troubles(const struct ds_page *page, struct ds_buf *out)
{
    const struct ds_troubles *troubles = page->troubles;

    if (!troubles || !troubles->n)
        return;
    ds_buf_adds(out, "<h2>Errors with the state file</h2>\n<table>\n<thead><tr>"
                     "<th>when</th><th>until</th><th>what</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < troubles->n; i++) {
        const struct ds_trouble *trouble = &troubles->items[i];

        ds_buf_adds(out, "<tr><td>");
        ds_page_add_time(page, trouble->since_ms, DS_PAGE_AGO, out);
        ds_buf_adds(out, "</td><td>");
        if (trouble->until_ms)
            ds_page_add_time(page, trouble->until_ms, DS_PAGE_AGO, out);
        else
            ds_buf_adds(out, "<b class=\"bad\">now</b>");
        ds_buf_adds(out, "</td><td class=\"w\">");
        ds_svg_add_text(out, trouble->text);
        ds_buf_adds(out, "</td></tr>\n");
    }
    ds_buf_adds(out, "</tbody>\n</table>\n");
}
