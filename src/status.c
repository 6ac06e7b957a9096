/* SPDX-License-Identifier: Apache-2.0 */
/* see status.h */
#include "dshard/status.h"
#include "dshard/aim.h"
#include "dshard/num.h"

enum { PROBLEM_MAX = 4096 };

static const char *const names[DS_N_VERDICTS] = {"healthy", "degraded", "critical"};

const char *ds_verdict_name(enum ds_verdict verdict)
{
    return names[verdict];
}

/* The buffer for the next sentence. */
static struct ds_buf *add_problem(struct ds_status *status, enum ds_verdict verdict)
{
    struct ds_buf *problem = &status->problems[status->n_problems];

    if (verdict > status->verdict)
        status->verdict = verdict;
    ds_buf_init(problem, PROBLEM_MAX);
    status->n_problems++;
    return problem;
}

static void judge_ring(struct ds_status *status, const struct ds_state *state,
                       int64_t wall_ms)
{
    char age[DS_DURATION_TEXT_MAX];

    if (state->frozen_reason) {
        ds_duration_format_short(wall_ms - state->frozen_since_ms, age);
        ds_buf_addf(add_problem(status, DS_VERDICT_CRITICAL),
                    "the ring is frozen for %s: %s", age, state->frozen_reason);
    }
    if (!status->n_members)
        ds_buf_adds(add_problem(status, DS_VERDICT_CRITICAL),
                    "no server is a member: every push is answered with 503");
    ds_duration_format_short(wall_ms - state->checked_at_ms, age);
    if (!state->checked_at_ms)
        ds_buf_adds(add_problem(status, DS_VERDICT_CRITICAL),
                    "nothing follows the servers' health: dshard watch has never run");
    else if (state->checked_at_ms > wall_ms && ds_state_is_stale(state, wall_ms))
        ds_buf_adds(
            add_problem(status, DS_VERDICT_CRITICAL),
            "nothing follows the servers' health: the last check is in the future, "
            "so the clock was put back and no watch has written since");
    else if (ds_state_is_stale(state, wall_ms))
        ds_buf_addf(add_problem(status, DS_VERDICT_CRITICAL),
                    "nothing follows the servers' health: the last check was %s ago",
                    age);
}

bool ds_status_is_well(const struct ds_standing *standing)
{
    if (standing->intent == DS_INTENT_OUT)
        return true;
    /* An operator who drains a server may stop it too. */
    if (standing->intent != DS_INTENT_IN && !standing->member)
        return true;
    return standing->member && standing->health.state == DS_HEALTH_UP &&
           !standing->health.why[0];
}

static void judge_server(struct ds_status *status, const struct ds_standing *standing,
                         int64_t wall_ms)
{
    struct ds_buf *problem = add_problem(status, DS_VERDICT_DEGRADED);
    const struct ds_health *health = &standing->health;
    char age[DS_DURATION_TEXT_MAX];

    ds_duration_format_short(wall_ms - health->since_ms, age);
    if (health->state == DS_HEALTH_HELD && health->hold_until_ms <= wall_ms) {
        ds_buf_addf(problem,
                    "%s is back and rejoins when its old groups are cleaned away",
                    standing->server.address);
    } else if (health->state == DS_HEALTH_HELD) {
        ds_duration_format_short(health->hold_until_ms - wall_ms, age);
        ds_buf_addf(problem, "%s is back and rejoins in %s", standing->server.address,
                    age);
    } else if (health->state == DS_HEALTH_NEW) {
        ds_buf_addf(problem, "%s has not been checked yet", standing->server.address);
    } else {
        ds_buf_addf(problem, "%s is %s for %s", standing->server.address,
                    ds_health_name(health->state), age);
        if (health->state == DS_HEALTH_UP && !standing->member)
            ds_buf_adds(problem, " and no member");
    }
    if (health->why[0])
        ds_buf_addf(problem, ": %s", health->why);
}

void ds_status_judge(struct ds_status *status, const struct ds_state *state,
                     int64_t wall_ms)
{
    size_t left = 0;

    *status = (struct ds_status){0};
    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];

        status->n_members += standing->member;
        if (standing->intent == DS_INTENT_OUT)
            continue;
        status->n_servers++;
        status->n_up += standing->health.state == DS_HEALTH_UP;
    }
    judge_ring(status, state, wall_ms);
    for (size_t i = 0; i < state->n_servers; i++) {
        if (ds_status_is_well(&state->servers[i]))
            continue;
        if (status->n_problems + 1 < DS_PROBLEMS_MAX)
            judge_server(status, &state->servers[i], wall_ms);
        else
            left++;
    }
    if (left)
        ds_buf_addf(add_problem(status, DS_VERDICT_DEGRADED),
                    "more servers like these: %zu", left);
}

/* ", 16m after the last change of the ring"; false: it is too early to tell. */
static bool add_lateness(const struct ds_state *state,
                         const struct ds_status_groups *groups, int64_t wall_ms,
                         struct ds_buf *out)
{
    char age[DS_DURATION_TEXT_MAX];
    int64_t since_ms;

    if (!state->n_history)
        return true;
    since_ms = wall_ms - state->history[0].at_ms;
    ds_duration_format_short(since_ms, age);
    ds_buf_addf(out, ", %s after the last change of the ring", age);
    return since_ms > groups->patience_ms + DS_STATUS_GROUPS_LATE_MS;
}

void ds_status_judge_groups(struct ds_status *status, const struct ds_state *state,
                            const struct ds_status_groups *groups, int64_t wall_ms)
{
    DS_AUTO(buf) struct ds_buf late = DS_BUF_INIT(PROBLEM_MAX);
    size_t n_misplaced = groups->moves ? groups->n_misplaced : 0;
    size_t n_doubled = groups->moves || groups->dedupes ? groups->n_doubled : 0;

    if (groups->busy &&
        wall_ms - state->operation_since_ms <= groups->patience_ms + DS_STATUS_BUSY_MS)
        return;
    if (!add_lateness(state, groups, wall_ms, &late))
        return;
    if (n_misplaced)
        ds_status_add(status, DS_VERDICT_DEGRADED,
                      "%zu %s misplaced%s: see dshard groups --misplaced, and the log of "
                      "the watch",
                      n_misplaced, n_misplaced == 1 ? "group is" : "groups are",
                      late.data);
    else if (n_doubled)
        ds_status_add(status, DS_VERDICT_DEGRADED,
                      "%zu %s on more than one server%s: see dshard groups, and the log "
                      "of the watch",
                      n_doubled, n_doubled == 1 ? "group is" : "groups are", late.data);
}

void ds_status_add(struct ds_status *status, enum ds_verdict verdict, const char *fmt,
                   ...)
{
    va_list ap;

    if (status->n_problems == DS_PROBLEMS_MAX)
        ds_buf_release(&status->problems[--status->n_problems]); /* "more like these" */
    va_start(ap, fmt);
    ds_buf_vaddf(add_problem(status, verdict), fmt, ap);
    va_end(ap);
}

void ds_status_add_interrupted(struct ds_status *status, const struct ds_state *state,
                               int64_t wall_ms)
{
    DS_AUTO(buf) struct ds_buf advice = DS_BUF_INIT(PROBLEM_MAX);
    char age[DS_DURATION_TEXT_MAX];

    ds_duration_format_short(wall_ms - state->operation_since_ms, age);
    ds_aim_add_advice(state, &advice);
    ds_status_add(status, DS_VERDICT_DEGRADED,
                  "'%s', begun %s ago, was interrupted at '%s': %s",
                  state->operation_kind, age, state->operation_step, advice.data);
}

void ds_status_release(struct ds_status *status)
{
    for (size_t i = 0; i < status->n_problems; i++)
        ds_buf_release(&status->problems[i]);
    *status = (struct ds_status){0};
}

void ds_auto_status(struct ds_status *status)
{
    ds_status_release(status);
}
