/* SPDX-License-Identifier: Apache-2.0 */
/* see tender_impl.h */
#include "dshard/log.h"
#include "tender_impl.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NUMBER_MAX = 24,
    REFUSALS_SAID_MAX = 20, /* of one pass; the rest is a number */
    WORDS_SAID_MAX = 2000,
    REFUSALS_KEPT_MAX = 100,
    SAID_AT = 3, /* what passes soon is no news: one that has just died */
};

static void forget_refused(struct ds_tender_log *log)
{
    for (size_t i = 0; i < log->n_refused; i++)
        free(log->refused[i]);
    free(log->refused);
    log->refused = NULL;
    log->n_refused = 0;
}

void ds_tender_log_release(struct ds_tender_log *log)
{
    forget_refused(log);
    ds_set_str(&log->failure, NULL);
    ds_set_str(&log->unreached, NULL);
    ds_set_str(&log->remark, NULL);
}

void ds_tender_log_restart(const char *address)
{
    ds_log(DS_LOG_INFO, "server restarted", "server", address, NULL);
}

/* ---- a pass ---- */

static void say_deeds(const struct ds_pass *pass, int64_t took_ms)
{
    char deleted[NUMBER_MAX], merged[NUMBER_MAX], copied[NUMBER_MAX];
    char misplaced[NUMBER_MAX], copies[NUMBER_MAX], took[NUMBER_MAX];

    snprintf(deleted, sizeof deleted, "%zu", pass->n_deleted);
    snprintf(merged, sizeof merged, "%zu", pass->n_merged);
    snprintf(copied, sizeof copied, "%zu", pass->n_copied);
    snprintf(misplaced, sizeof misplaced, "%zu", pass->n_misplaced);
    snprintf(copies, sizeof copies, "%zu", pass->n_copies);
    snprintf(took, sizeof took, "%lld", (long long)took_ms);
    ds_log(DS_LOG_INFO, "groups tended", "deleted", deleted, "merged", merged, "copied",
           copied, "misplaced", misplaced, "copies", copies, "ms", took, NULL);
}

/* Without the words, which may differ each time. */
static char *refusal_text(const struct ds_pass_refusal *refusal)
{
    return ds_xasprintf("%s\n%s\n%s", refusal->group, refusal->from, refusal->to);
}

static bool is_among(char *const *texts, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(texts[i], text) == 0)
            return true;
    }
    return false;
}

/* A pass that has not come to all of it may have left out what will be refused again. */
static void keep_refused(struct ds_tender_log *log, char **refused, size_t *n)
{
    for (size_t i = 0; i < log->n_refused && *n < REFUSALS_KEPT_MAX; i++) {
        if (!is_among(refused, *n, log->refused[i]))
            refused[(*n)++] = ds_steal(&log->refused[i]);
    }
}

static bool is_whole(const struct ds_pass *pass)
{
    for (size_t i = 0; i < pass->n_servers; i++) {
        if (!pass->servers[i].reached)
            return false;
    }
    return !pass->n_undone && !pass->n_raced;
}

/* Each once, for as long as it is refused; a few of many. */
static void say_refusals(struct ds_tender_log *log, const struct ds_pass *pass)
{
    char **refused = ds_xcalloc(REFUSALS_KEPT_MAX, sizeof *refused);
    size_t n = 0;
    bool news = false;

    for (size_t i = 0; i < pass->n_refusals && i < REFUSALS_SAID_MAX; i++) {
        const struct ds_pass_refusal *refusal = &pass->refusals[i];

        refused[n++] = refusal_text(refusal);
        if (is_among(log->refused, log->n_refused, refused[n - 1]))
            continue;
        news = true;
        ds_log(DS_LOG_WARN, "group refused, it stays where it is", "group",
               refusal->group, "from", refusal->from, "to", refusal->to, "why",
               refusal->why, NULL);
    }
    if (news && pass->n_refusals > n) {
        char more[NUMBER_MAX];

        snprintf(more, sizeof more, "%zu", pass->n_refusals - n);
        ds_log(DS_LOG_WARN, "more groups refused", "groups", more, "remedy",
               "dshard groups move", NULL);
    }
    if (!is_whole(pass))
        keep_refused(log, refused, &n);
    forget_refused(log);
    log->refused = refused;
    log->n_refused = n;
}

/* Who is down is known, and told elsewhere. */
static const struct ds_pass_server *first_unreached(const struct ds_pass *pass,
                                                    const struct ds_state *state)
{
    for (size_t i = 0; i < pass->n_servers; i++) {
        const struct ds_standing *standing =
            ds_state_find(state, pass->servers[i].address);

        if (!pass->servers[i].reached && standing &&
            standing->health.state != DS_HEALTH_DOWN)
            return &pass->servers[i];
    }
    return NULL;
}

static void say_unreached(struct ds_tender_log *log, const struct ds_pass *pass,
                          const struct ds_state *state)
{
    const struct ds_pass_server *server = first_unreached(pass, state);
    const char *address = server ? server->address : NULL;

    log->n_unreached = server ? log->n_unreached + 1 : 0;
    if (server && log->n_unreached < SAID_AT)
        return;
    if (server && (!log->unreached || strcmp(log->unreached, address) != 0))
        ds_log(DS_LOG_WARN, "server does not tell its groups", "server", address, "why",
               server->why, NULL);
    if (!server && log->unreached)
        ds_log(DS_LOG_INFO, "all servers tell their groups again", NULL);
    ds_set_str(&log->unreached, address);
}

void ds_tender_log_pass(struct ds_tender_log *log, const struct ds_pass *pass,
                        const struct ds_state *state, int64_t took_ms)
{
    if (log->failure)
        ds_log(DS_LOG_INFO, "groups are tended again", NULL);
    ds_set_str(&log->failure, NULL);
    if (ds_pass_did_something(pass))
        say_deeds(pass, took_ms);
    say_refusals(log, pass);
    say_unreached(log, pass, state);
}

/* ---- words of its own ---- */

/* What it said, without what main() puts in front of an error. */
static char *words_of(const struct ds_child *child)
{
    static const char front[] = "dshard: ";
    const char *text = child->words.data;
    size_t len = strlen(text);

    if (strncmp(text, front, strlen(front)) == 0) {
        text += strlen(front);
        len -= strlen(front);
    }
    while (len && text[len - 1] == '\n')
        len--;
    return ds_xstrndup(text, len < WORDS_SAID_MAX ? len : WORDS_SAID_MAX);
}

void ds_tender_log_held_up(const char *address, const struct ds_child *child)
{
    DS_AUTO(str) char *words = words_of(child);

    ds_log(DS_LOG_INFO, "server stays held until its groups can be cleaned", "server",
           address, "why", words, NULL);
}

void ds_tender_log_remark(struct ds_tender_log *log, const struct ds_child *child)
{
    DS_AUTO(str) char *words = child ? words_of(child) : NULL;

    if (words && (!log->remark || strcmp(log->remark, words) != 0))
        ds_log(DS_LOG_WARN, "not all groups can be tended", "why", words, NULL);
    ds_set_str(&log->remark, words);
}

void ds_tender_log_failure(struct ds_tender_log *log, enum ds_pass_end end,
                           const char *why)
{
    if (log->failure && strcmp(log->failure, why) == 0)
        return;
    ds_log(end == DS_PASS_BUSY ? DS_LOG_INFO : DS_LOG_WARN, "groups not tended now",
           "why", why, NULL);
    ds_set_str(&log->failure, why);
}

void ds_tender_log_end(struct ds_tender_log *log, enum ds_pass_end end,
                       const struct ds_child *child, const struct ds_error *err)
{
    DS_AUTO(str) char *words = words_of(child);
    char status[DS_CHILD_END_MAX];
    DS_AUTO(str) char *why = NULL;

    ds_child_format_end(child, status);
    if (*words)
        why = end == DS_PASS_BUSY ? ds_xstrdup(words)
                                  : ds_xasprintf("%s: %s", status, words);
    else
        why = err->text[0] ? ds_xasprintf("%s: its result: %s", status, err->text)
                           : ds_xstrdup(status);
    ds_tender_log_failure(log, end, why);
}
