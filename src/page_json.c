/* SPDX-License-Identifier: Apache-2.0 */
/* page_json.c - the page for programs; see page.h. */
#include "page_impl.h"
#include "svg_impl.h"

/* Written straight into the buffer: a tree of a thousand servers would be thrown away as
   soon as it is built.  Each appender writes `"name":value,`. */
static void add_text(struct ds_buf *out, const char *name, const char *text)
{
    ds_buf_addf(out, "\"%s\":", name);
    if (text)
        ds_buf_add_json(out, text, strlen(text));
    else
        ds_buf_adds(out, "null");
    ds_buf_addc(out, ',');
}

static void add_number(struct ds_buf *out, const char *name, int64_t number)
{
    ds_buf_addf(out, "\"%s\":%lld,", name, (long long)number);
}

static void add_bool(struct ds_buf *out, const char *name, bool is)
{
    ds_buf_addf(out, "\"%s\":%s,", name, is ? "true" : "false");
}

/* Ends an object or a list; the comma behind its last part goes. */
static void end(struct ds_buf *out, char bracket)
{
    if (out->data[out->len - 1] == ',')
        ds_buf_truncate(out, out->len - 1);
    ds_buf_addc(out, bracket);
    ds_buf_addc(out, ',');
}

static void add_names(struct ds_buf *out, const char *name, char (*names)[DS_ADDRESS_MAX],
                      size_t n)
{
    ds_buf_addf(out, "\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        ds_buf_add_json(out, names[i], strlen(names[i]));
        ds_buf_addc(out, ',');
    }
    end(out, ']');
}

static void add_change(struct ds_buf *out, const struct ds_change *change)
{
    ds_buf_addc(out, '{');
    add_names(out, "added", change->added, change->n_added);
    add_number(out, "at", change->at_ms);
    add_text(out, "cause", ds_cause_name(change->cause));
    add_number(out, "generation", (int64_t)change->generation);
    add_number(out, "moved_ppm", change->moved_ppm);
    add_names(out, "removed", change->removed, change->n_removed);
    end(out, '}');
}

static void add_changes(struct ds_buf *out, const struct ds_state *state)
{
    ds_buf_adds(out, "\"last_change\":");
    if (state->n_history)
        add_change(out, &state->history[0]);
    else
        ds_buf_adds(out, "null,");
    ds_buf_adds(out, "\"changes\":[");
    for (size_t i = 0; i < state->n_history; i++)
        add_change(out, &state->history[i]);
    end(out, ']');
}

static void add_server(struct ds_buf *out, const struct ds_page *page, size_t server,
                       uint64_t share)
{
    const struct ds_standing *standing = &page->state->servers[server];
    const struct ds_health *health = &standing->health;

    ds_buf_addc(out, '{');
    add_text(out, "address", standing->server.address);
    add_number(out, "flaps", (int64_t)health->n_flaps);
    add_text(out, "health", ds_health_name(health->state));
    add_number(out, "hold_until", health->hold_until_ms);
    add_text(out, "intent", ds_intent_name(standing->intent));
    add_bool(out, "member", standing->member);
    if (page->pushes) {
        add_number(out, "pushes", (int64_t)page->pushes[server]);
    }
    add_number(out, "share_ppm", ds_ring_ppm(share));
    add_number(out, "since", health->since_ms);
    add_number(out, "weight", standing->server.weight);
    add_text(out, "why", health->why);
    end(out, '}');
}

static void add_servers(struct ds_buf *out, const struct ds_page *page)
{
    DS_AUTO(svg_shares) struct ds_svg_shares shares;

    ds_svg_shares_init(&shares, page->state, page->ring);
    ds_buf_adds(out, "\"servers\":[");
    for (size_t i = 0; i < page->state->n_servers; i++) {
        add_server(out, page, i, shares.owned[i]);
    }
    end(out, ']');
}

static void add_operation(struct ds_buf *out, const struct ds_page *page)
{
    const struct ds_state *state = page->state;

    ds_buf_adds(out, "\"operation\":");
    if (!ds_page_has_operation(page)) {
        ds_buf_adds(out, "null,");
        return;
    }
    ds_buf_addc(out, '{');
    add_text(out, "by", state->operation_by);
    add_bool(out, "interrupted", page->operation_is_dead);
    add_text(out, "kind", state->operation_kind);
    add_number(out, "since", state->operation_since_ms);
    add_text(out, "step", state->operation_step);
    end(out, '}');
}

static void add_state(struct ds_buf *out, const struct ds_page *page,
                      const struct ds_status *status)
{
    const struct ds_state *state = page->state;
    int64_t age_ms = state->checked_at_ms ? page->now_ms - state->checked_at_ms : -1;

    add_changes(out, state);
    if (page->pushes)
        add_number(out, "counted_since", page->counted_since_ms);
    add_number(out, "checked_age_ms", age_ms);
    add_number(out, "checked_at", state->checked_at_ms);
    add_text(out, "digest", state->digest);
    add_bool(out, "frozen", state->frozen_reason != NULL);
    add_text(out, "frozen_reason", state->frozen_reason);
    add_number(out, "frozen_since", state->frozen_since_ms);
    add_number(out, "generation", (int64_t)state->generation);
    add_number(out, "n_members", (int64_t)status->n_members);
    add_number(out, "n_up", (int64_t)status->n_up);
    add_operation(out, page);
    add_number(out, "replicas", state->replicas);
    add_servers(out, page);
    add_text(out, "source", state->consul ? "consul" : "standalone");
}

static void add_errors(struct ds_buf *out, const struct ds_troubles *troubles)
{
    ds_buf_adds(out, "\"errors\":[");
    for (size_t i = 0; troubles && i < troubles->n; i++) {
        ds_buf_adds(out, "{");
        add_number(out, "since", troubles->items[i].since_ms);
        add_text(out, "text", troubles->items[i].text);
        add_number(out, "until", troubles->items[i].until_ms);
        end(out, '}');
    }
    end(out, ']');
}

void ds_page_json(const struct ds_page *page, struct ds_buf *out)
{
    DS_AUTO(status) struct ds_status status;

    ds_page_judge(page, &status);
    ds_buf_addc(out, '{');
    add_errors(out, page->troubles);
    ds_buf_adds(out, "\"format\":1,");
    add_text(out, "host", page->host);
    if (page->state)
        add_state(out, page, &status);
    ds_buf_adds(out, "\"problems\":[");
    for (size_t i = 0; i < status.n_problems; i++) {
        ds_buf_add_json(out, status.problems[i].data, status.problems[i].len);
        ds_buf_addc(out, ',');
    }
    end(out, ']');
    add_text(out, "verdict", ds_verdict_name(status.verdict));
    end(out, '}');
    ds_buf_truncate(out, out->len - 1);
    ds_buf_addc(out, '\n');
}
