/* SPDX-License-Identifier: Apache-2.0 */
/* see metrics.h */
#include "dshard/metrics.h"
#include "dshard/exposition.h"
#include "dshard/status.h"

enum { SHARE_DECIMALS = 9 };

static void add_build(struct ds_exposition *to)
{
    struct ds_sample_label version = {"version", DS_VERSION};

    ds_exposition_family(to, "dshard_build_info", DS_FAMILY_GAUGE,
                         "Which dshard-fcgi this is; always 1.");
    ds_exposition_sample(to, &version, 1, 1, 0);
}

/* ---- the servers ---------------------------------------------------------------------
 */

/* How many servers, or only members, are in each state; those that are 0, too. */
static void add_standings(struct ds_exposition *to, const struct ds_state *state,
                          bool members_only)
{
    uint64_t n[DS_N_HEALTH_STATES][DS_N_INTENTS] = {{0}};

    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];

        if (standing->member || !members_only)
            n[standing->health.state][standing->intent]++;
    }
    for (int health = 0; health < DS_N_HEALTH_STATES; health++) {
        for (int intent = 0; intent < DS_N_INTENTS; intent++) {
            struct ds_sample_label labels[] = {
                {"health", ds_health_name((enum ds_health_state)health)},
                {"intent", ds_intent_name((enum ds_intent)intent)}};

            ds_exposition_sample(to, labels, DS_COUNT(labels), n[health][intent], 0);
        }
    }
}

static uint64_t up_of(const struct ds_standing *standing)
{
    return standing->health.state == DS_HEALTH_UP;
}

static uint64_t impaired_of(const struct ds_standing *standing)
{
    return up_of(standing) && standing->health.why[0] && !ds_status_is_well(standing);
}

static uint64_t member_of(const struct ds_standing *standing)
{
    return standing->member;
}

static uint64_t weight_of(const struct ds_standing *standing)
{
    return standing->server.weight;
}

static uint64_t since_of(const struct ds_standing *standing)
{
    return (uint64_t)standing->health.since_ms;
}

static const struct {
    const char *name, *help;
    uint64_t (*value)(const struct ds_standing *standing);
    unsigned decimals;
} server_families[] = {
    {"dshard_server_up", "1: it passes its health checks and is not held.", up_of, 0},
    {"dshard_server_impaired",
     "1: it is up, but its health check complains: it is overloaded, or the check is "
     "refused (401, 403, 404).",
     impaired_of, 0},
    {"dshard_server_member", "1: it is in the ring, so pushes are sent to it.", member_of,
     0},
    {"dshard_server_weight", "Its weight, in the ring or to come.", weight_of, 0},
    {"dshard_server_health_change_timestamp_seconds",
     "When its health last changed; 0: it was never checked.", since_of, DS_DECIMALS_MS},
};

/* Parts of the key space.  The members of a ring stand in the order of the servers. */
static void add_ownership(struct ds_exposition *to, const struct ds_state *state,
                          const struct ds_ring *ring)
{
    size_t n = 0, at = 0;
    const struct ds_server *members = ring ? ds_ring_members(ring, &n) : NULL;

    ds_exposition_family(to, "dshard_server_ownership_ratio", DS_FAMILY_GAUGE,
                         "Its share of the key space; 0 unless it is a member.");
    for (size_t i = 0; i < state->n_servers; i++) {
        struct ds_sample_label server = {"server", state->servers[i].server.address};
        uint64_t share = 0;

        if (at < n && strcmp(members[at].address, server.value) == 0)
            share = ds_ring_share(ring, at++);
        ds_exposition_sample(to, &server, 1, (share * 1000000000 + (1U << 31)) >> 32,
                             SHARE_DECIMALS);
    }
}

static void add_servers(struct ds_exposition *to, const struct ds_state *state,
                        const struct ds_ring *ring)
{
    ds_exposition_family(to, "dshard_members", DS_FAMILY_GAUGE,
                         "Members of the ring by their health and what operators want.");
    add_standings(to, state, true);
    ds_exposition_family(to, "dshard_servers", DS_FAMILY_GAUGE,
                         "Servers in the state file, members or not.");
    add_standings(to, state, false);
    for (size_t f = 0; f < DS_COUNT(server_families); f++) {
        ds_exposition_family(to, server_families[f].name, DS_FAMILY_GAUGE,
                             server_families[f].help);
        for (size_t i = 0; i < state->n_servers; i++) {
            const struct ds_standing *standing = &state->servers[i];
            struct ds_sample_label server = {"server", standing->server.address};

            ds_exposition_sample(to, &server, 1, server_families[f].value(standing),
                                 server_families[f].decimals);
        }
    }
    add_ownership(to, state, ring);
}

/* ---- the ring and who follows it -----------------------------------------------------
 */

static void add_ring(struct ds_exposition *to, const struct ds_state *state)
{
    struct ds_sample_label digest = {"digest", state->digest};

    ds_exposition_gauge(to, "dshard_ring_generation",
                        "Grows with every change of the ring on this machine.",
                        state->generation, 0);
    ds_exposition_family(to, "dshard_ring_info", DS_FAMILY_GAUGE,
                         "Frontends with the same digest send every push to the same "
                         "server; always 1.");
    ds_exposition_sample(to, &digest, 1, 1, 0);
    if (state->n_history)
        ds_exposition_gauge(to, "dshard_ring_last_change_timestamp_seconds",
                            "When the ring last changed.",
                            (uint64_t)state->history[0].at_ms, DS_DECIMALS_MS);
    ds_exposition_gauge(to, "dshard_ring_frozen",
                        "1: too few servers are up, and the ring stays as it was.",
                        state->frozen_reason != NULL, 0);
}

static void add_watch(struct ds_exposition *to, const struct ds_state *state,
                      int64_t now_ms)
{
    ds_exposition_gauge(to, "dshard_watch_up",
                        "1: the servers' health was looked at within the last 90 s.",
                        !ds_state_is_stale(state, now_ms), 0);
    ds_exposition_gauge(to, "dshard_watch_last_check_timestamp_seconds",
                        "When the servers' health was last looked at; 0: never.",
                        (uint64_t)state->checked_at_ms, DS_DECIMALS_MS);
    ds_exposition_gauge(to, "dshard_state_written_timestamp_seconds",
                        "When the state file in use was written.",
                        (uint64_t)state->written_at_ms, DS_DECIMALS_MS);
}

/* ---- what is counted -----------------------------------------------------------------
 */

static void add_changes(struct ds_exposition *to, const struct ds_counters *counters)
{
    ds_exposition_family(to, "dshard_ring_changes_total", DS_FAMILY_COUNTER,
                         "Changes of the ring since the handler was started, by cause; "
                         "unknown: more came at once than the state file remembers.");
    for (size_t i = 0; i < DS_N_COUNTED_CAUSES; i++) {
        struct ds_sample_label cause = {
            "cause", i == DS_CAUSE_UNKNOWN ? "unknown" : ds_cause_name((enum ds_cause)i)};

        ds_exposition_sample(to, &cause, 1, counters->changes[i], 0);
    }
}

static void add_loads(struct ds_exposition *to, const struct ds_counters *counters)
{
    ds_exposition_counter(to, "dshard_state_loads_total",
                          "State files taken into use; each worker counts its own.",
                          counters->loads);
    ds_exposition_counter(to, "dshard_state_load_errors_total",
                          "State files that could not be used, a missing one included; "
                          "each worker counts its own, and each problem once.",
                          counters->load_errors);
    ds_exposition_gauge(to, "dshard_state_last_load_successful",
                        "1: the state file that is there now is in use; 0: it is bad or "
                        "missing, and the last good one, if any, stays in use.",
                        counters->loaded_well, 0);
    ds_exposition_gauge(to, "dshard_state_last_load_success_timestamp_seconds",
                        "When a state file was last taken into use; 0: never.",
                        (uint64_t)counters->loaded_ms, DS_DECIMALS_MS);
}

static void add_workers(struct ds_exposition *to, const struct ds_counters *counters)
{
    ds_exposition_gauge(to, "dshard_start_timestamp_seconds",
                        "When the counters of this handler began.",
                        (uint64_t)counters->started_ms, DS_DECIMALS_MS);
    ds_exposition_gauge(to, "dshard_workers",
                        "Processes whose counters are added up here.",
                        counters->n_workers, 0);
    ds_exposition_counter(to, "dshard_worker_restarts_total",
                          "Worker processes that have died and were started again.",
                          counters->worker_restarts);
}

/* Answers that are to be expected are there from the beginning, so that the first one is
   seen as an increase; the others from their first on. */
static bool is_expected(enum ds_method method, unsigned status)
{
    switch (status) {
    case 200:
    case 503:
        return method != DS_METHOD_OTHER;
    case 307:
    case 400:
        return ds_method_is_push(method);
    case 405:
        return method == DS_METHOD_OTHER;
    default:
        return false;
    }
}

static void add_requests(struct ds_exposition *to, const struct ds_counters *counters)
{
    char code[8];
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(sizeof code);

    ds_exposition_family(to, "dshard_requests_total", DS_FAMILY_COUNTER,
                         "Requests by HTTP method and by the status of the answer.");
    for (int method = 0; method < DS_N_METHODS; method++) {
        for (size_t i = 0; i < DS_N_STATUSES; i++) {
            struct ds_sample_label labels[] = {
                {"method", ds_method_name((enum ds_method)method)}, {"code", NULL}};
            uint64_t n = counters->requests[method][i];

            if (!n && !is_expected((enum ds_method)method, ds_counted_status(i)))
                continue;
            ds_buf_clear(&text);
            ds_buf_addu(&text, ds_counted_status(i));
            labels[1].value = text.data;
            ds_exposition_sample(to, labels, DS_COUNT(labels), n, 0);
        }
    }
}

static const char *const work_names[DS_N_WORKS] = {"push", "other"};

static void add_refusals(struct ds_exposition *to, const struct ds_counters *counters)
{
    ds_exposition_family(to, "dshard_requests_refused_total", DS_FAMILY_COUNTER,
                         "Requests that were refused, by kind of request and reason.");
    for (int work = 0; work < DS_N_WORKS; work++) {
        for (int i = DS_REFUSAL_NONE + 1; i < DS_N_REFUSALS; i++) {
            struct ds_sample_label labels[] = {
                {"kind", work_names[work]},
                {"reason", ds_refusal_name((enum ds_refusal)i)}};

            ds_exposition_sample(to, labels, DS_COUNT(labels), counters->refused[work][i],
                                 0);
        }
    }
}

static void add_pushes(struct ds_exposition *to, const struct ds_counters *counters)
{
    ds_exposition_family(to, "dshard_pushes_total", DS_FAMILY_COUNTER,
                         "Pushes that were sent to a server, for each that has been a "
                         "member since the handler was started; whether they arrived is "
                         "not known here.");
    for (size_t i = 0; i < counters->n_pushes; i++) {
        struct ds_sample_label server = {"server", counters->pushes[i].server};

        ds_exposition_sample(to, &server, 1, counters->pushes[i].n, 0);
    }
}

static void add_durations(struct ds_exposition *to, const struct ds_counters *counters)
{
    ds_exposition_family(to, "dshard_request_duration_seconds", DS_FAMILY_HISTOGRAM,
                         "The handler's own work: from a whole request to its answer, "
                         "by kind of request.");
    for (int i = 0; i < DS_N_WORKS; i++) {
        struct ds_sample_label kind = {"kind", work_names[i]};
        struct ds_histogram histogram = {.bounds = ds_duration_bounds,
                                         .counts = counters->durations[i],
                                         .n_bounds = DS_N_BOUNDS,
                                         .sum = counters->duration_ns[i],
                                         .decimals = DS_DECIMALS_NS};

        ds_exposition_histogram(to, &kind, &histogram);
    }
}

void ds_metrics_format(const struct ds_state *state, const struct ds_ring *ring,
                       const struct ds_counters *counters, int64_t now_ms,
                       struct ds_buf *out)
{
    struct ds_exposition to = DS_EXPOSITION_INIT(out);

    add_build(&to);
    ds_exposition_gauge(&to, "dshard_state_usable",
                        "1: a good state file was read, now or earlier, and is in use by "
                        "every worker.",
                        state && (!counters || counters->usable), 0);
    if (state) {
        add_servers(&to, state, ring);
        add_ring(&to, state);
        add_watch(&to, state, now_ms);
    }
    if (counters) {
        add_changes(&to, counters);
        add_loads(&to, counters);
        add_workers(&to, counters);
        add_requests(&to, counters);
        add_refusals(&to, counters);
        add_pushes(&to, counters);
        add_durations(&to, counters);
    }
}
