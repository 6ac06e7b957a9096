/* SPDX-License-Identifier: Apache-2.0 */
/* What is said about passes; that they run is shown by tests/e2e/test_watch_groups.py. */
#include "test.h"

#include "journal.h"

#include "../../src/tender_impl.h"
#include "dshard/file.h"
#include "dshard/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct scene {
    struct ds_tender_log log;
    struct ds_state state;
    struct ds_pass_server servers[2];
    struct ds_pass_refusal refusals[30];
    struct ds_pass pass; /* borrows these */
    struct ds_child child;
    int saved, captured;
};

static int setup(void **state)
{
    struct scene *s = ds_xcalloc(1, sizeof *s);

    ds_log_set_level(DS_LOG_INFO);
    ds_state_init(&s->state);
    for (size_t i = 0; i < DS_COUNT(s->servers); i++) {
        char address[] = {(char)('a' + i), ':', '1', '\0'};

        ds_state_add(&s->state, address, 1)->health.state = DS_HEALTH_UP;
        memcpy(s->servers[i].address, address, sizeof address);
        s->servers[i].reached = true;
    }
    s->pass.servers = s->servers;
    s->pass.n_servers = DS_COUNT(s->servers);
    s->pass.refusals = s->refusals;
    ds_child_init(&s->child, 1000);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    ds_tender_log_release(&s->log);
    ds_state_release(&s->state);
    ds_child_release(&s->child);
    for (size_t i = 0; i < DS_COUNT(s->refusals); i++) {
        free(s->refusals[i].group);
        free(s->refusals[i].from);
        free(s->refusals[i].to);
        free(s->refusals[i].why);
    }
    for (size_t i = 0; i < DS_COUNT(s->servers); i++)
        free(s->servers[i].why);
    free(s);
    return 0;
}

static void refuse(struct scene *s, size_t i, const char *job, const char *why)
{
    s->refusals[i] = (struct ds_pass_refusal){
        .group = ds_xasprintf("{job=\"%s\"}", job),
        .from = ds_xstrdup("a:1"),
        .to = ds_xstrdup("b:1"),
        .why = ds_xstrdup(why),
    };
}

/* What is said until assert_said(). */
static void listen_to(struct scene *s)
{
    char name[] = "/tmp/dshard-test-tender.XXXXXX";

    s->saved = dup(STDERR_FILENO);
    s->captured = mkstemp(name);
    assert_true(s->captured >= 0);
    unlink(name);
    dup2(s->captured, STDERR_FILENO);
    journal_is_stderr();
}

static void assert_said(struct scene *s, const char *want)
{
    DS_AUTO(buf) struct ds_buf said = DS_BUF_INIT(100000);
    struct ds_error err = DS_ERROR_INIT;

    dup2(s->saved, STDERR_FILENO);
    close(s->saved);
    assert_int_equal(lseek(s->captured, 0, SEEK_SET), 0);
    assert_ok(ds_file_read_fd(&said, s->captured, "stderr", &err), &err);
    close(s->captured);
    assert_string_equal(said.data, want);
}

static void pass(struct scene *s, const char *want)
{
    listen_to(s);
    ds_tender_log_pass(&s->log, &s->pass, &s->state, 12);
    assert_said(s, want);
}

/* The child has said this, and ended with that status of waitpid(). */
static void end(struct scene *s, enum ds_pass_end end, const char *words, int status,
                const char *result_error, const char *want)
{
    struct ds_error err = DS_ERROR_INIT;

    ds_buf_clear(&s->child.words);
    ds_buf_adds(&s->child.words, words);
    s->child.status = status;
    snprintf(err.text, sizeof err.text, "%s", result_error);
    listen_to(s);
    ds_tender_log_end(&s->log, end, &s->child, &err);
    assert_said(s, want);
}

static void idle_passes_say_nothing(void **state)
{
    struct scene *s = *state;

    s->pass.n_groups = 100;
    s->pass.n_misplaced = s->pass.n_waiting = 7;
    pass(s, "");
    pass(s, "");
}

static void deeds_are_one_line(void **state)
{
    struct scene *s = *state;

    s->pass.n_deleted = 3;
    s->pass.n_copied = 1;
    s->pass.n_misplaced = 2;
    pass(s, "<6>level=info msg=\"groups tended\" deleted=3 merged=0 copied=1 misplaced=2 "
            "copies=0 ms=12\n");
}

static void a_refusal_is_said_once_for_as_long_as_it_lasts(void **state)
{
    static const char line[] =
        "<4>level=warn msg=\"group refused, it stays where it is\" "
        "group=\"{job=\\\"0\\\"}\" from=a:1 to=b:1 why=\"400: \\nno\"\n";
    struct scene *s = *state;

    refuse(s, 0, "0", "400: \nno");
    s->pass.n_refusals = 1;
    pass(s, line);
    pass(s, "");
    s->pass.n_refusals = 0;
    pass(s, "");
    s->pass.n_refusals = 1;
    pass(s, line);
}

static void many_refusals_are_some_lines_and_a_number(void **state)
{
    struct scene *s = *state;
    DS_AUTO(buf) struct ds_buf want = DS_BUF_INIT(100000);

    for (size_t i = 0; i < DS_COUNT(s->refusals); i++) {
        char job[] = {(char)('A' + i), '\0'};

        refuse(s, i, job, "no");
        if (i < 20)
            ds_buf_addf(&want,
                        "<4>level=warn msg=\"group refused, it stays where it is\" "
                        "group=\"{job=\\\"%s\\\"}\" from=a:1 to=b:1 why=no\n",
                        job);
    }
    ds_buf_adds(&want, "<4>level=warn msg=\"more groups refused\" groups=10 "
                       "remedy=\"dshard groups move\"\n");
    s->pass.n_refusals = DS_COUNT(s->refusals);
    pass(s, want.data);
    pass(s, "");
}

static void who_does_not_answer_is_said_once(void **state)
{
    struct scene *s = *state;

    s->servers[1].reached = false;
    ds_set_str(&s->servers[1].why, "GET ...: no");
    pass(s, "");
    pass(s, "");
    pass(s, "<4>level=warn msg=\"server does not tell its groups\" server=b:1 "
            "why=\"GET ...: no\"\n");
    ds_set_str(&s->servers[1].why, "GET ...: other words");
    pass(s, "");
    s->servers[1].reached = true;
    pass(s, "<6>level=info msg=\"all servers tell their groups again\"\n");
    pass(s, "");
    s->servers[1].reached = false;
    pass(s, "");
    ds_state_find(&s->state, "b:1")->health.state = DS_HEALTH_DOWN;
    for (int i = 0; i < 5; i++)
        pass(s, ""); /* that is told elsewhere */
    ds_state_remove(&s->state, "b:1");
    for (int i = 0; i < 5; i++)
        pass(s, "");
}

static void a_failure_is_said_once_and_so_is_its_end(void **state)
{
    struct scene *s = *state;

    end(s, DS_PASS_FAILED, "dshard: 'x.yml': line 3: no\n", 2 << 8, "",
        "<4>level=warn msg=\"groups not tended now\" "
        "why=\"exit status 2: 'x.yml': line 3: no\"\n");
    end(s, DS_PASS_FAILED, "dshard: 'x.yml': line 3: no\n", 2 << 8, "", "");
    end(s, DS_PASS_FAILED, "", 9, "",
        "<4>level=warn msg=\"groups not tended now\" why=\"signal 9\"\n");
    end(s, DS_PASS_FAILED, "", 0, "line 1: oh",
        "<4>level=warn msg=\"groups not tended now\" "
        "why=\"exit status 0: its result: line 1: oh\"\n");
    pass(s, "<6>level=info msg=\"groups are tended again\"\n");
    pass(s, "");
}

static void a_lock_is_said_once_with_who_waits_for_it(void **state)
{
    static const char words[] = "dshard: the fleet's lock is held by h:7: scale up\n";
    static const char line[] = "<6>level=info msg=\"groups not tended now\" why=\"the "
                               "fleet's lock is held by h:7: "
                               "scale up\"\n";
    struct scene *s = *state;

    end(s, DS_PASS_BUSY, words, 75 << 8, "no JSON", line);
    end(s, DS_PASS_BUSY, words, 75 << 8, "no JSON", "");
    listen_to(s);
    ds_tender_log_held_up("a:1", &s->child);
    assert_said(s,
                "<6>level=info msg=\"server stays held until its groups can be cleaned\" "
                "server=a:1 why=\"the fleet's lock is held by h:7: scale up\"\n");
    end(s, DS_PASS_BUSY, words, 75 << 8, "no JSON", "");
    pass(s, "<6>level=info msg=\"groups are tended again\"\n");
    end(s, DS_PASS_BUSY, words, 75 << 8, "no JSON", line);
}

static void a_refusal_is_not_forgotten_by_a_pass_that_left_something_out(void **state)
{
    struct scene *s = *state;

    refuse(s, 0, "0", "no");
    s->pass.n_refusals = 1;
    pass(s, "<4>level=warn msg=\"group refused, it stays where it is\" "
            "group=\"{job=\\\"0\\\"}\" from=a:1 to=b:1 why=no\n");
    s->pass.n_refusals = 0;
    s->pass.n_undone = 1;
    pass(s, "");
    s->pass.n_undone = 0;
    s->servers[1].reached = false;
    pass(s, "");
    s->servers[1].reached = true;
    s->pass.n_refusals = 1;
    free(s->refusals[0].why);
    s->refusals[0].why = ds_xstrdup("no, in other words");
    pass(s, "");
}

static void a_remark_is_said_once(void **state)
{
    struct scene *s = *state;

    ds_buf_adds(&s->child.words, "dshard: 2 groups have labels that no URL can say\n");
    listen_to(s);
    for (int i = 0; i < 3; i++)
        ds_tender_log_remark(&s->log, &s->child);
    assert_said(s, "<4>level=warn msg=\"not all groups can be tended\" "
                   "why=\"2 groups have labels that no URL can say\"\n");
    listen_to(s);
    ds_tender_log_remark(&s->log, NULL);
    assert_said(s, "");
}

#define SAID(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAID(idle_passes_say_nothing),
        SAID(deeds_are_one_line),
        SAID(a_refusal_is_said_once_for_as_long_as_it_lasts),
        SAID(many_refusals_are_some_lines_and_a_number),
        SAID(who_does_not_answer_is_said_once),
        SAID(a_failure_is_said_once_and_so_is_its_end),
        SAID(a_lock_is_said_once_with_who_waits_for_it),
        SAID(a_refusal_is_not_forgotten_by_a_pass_that_left_something_out),
        SAID(a_remark_is_said_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
