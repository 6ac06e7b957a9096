/* SPDX-License-Identifier: Apache-2.0 */
/* The file, and how Consul's answers are met; with a real Consul it is tested end to end,
   by what takes it. */
#include "test.h"

#include "holder.h"
#include "tiny.h"

#include "dshard/clock.h"
#include "dshard/fleet_lock.h"
#include "dshard/keeper.h"

#include <sys/stat.h>
#include <sys/wait.h>

enum { SOON_MS = 3000 }; /* far below any timeout given here */

struct fixture {
    char dir[64], state[96], lock[96];
    struct ds_config config;
};

static int setup(void **state)
{
    struct fixture *f = ds_xcalloc(1, sizeof *f);

    snprintf(f->dir, sizeof f->dir, "/tmp/dshard-test-fleet.XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->state, sizeof f->state, "%s/ring.json", f->dir);
    snprintf(f->lock, sizeof f->lock, "%s/.ring.json.fleet", f->dir);
    ds_config_init(&f->config);
    ds_set_str(&f->config.state_file, f->state);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ds_config_release(&f->config);
    unlink(f->lock);
    unlink(f->state);
    if (rmdir(f->dir) < 0)
        return -1; /* something was left behind */
    free(f);
    return 0;
}

static struct ds_fleet_lock *take(const struct fixture *f, const char *what)
{
    struct ds_error err = DS_ERROR_INIT;
    struct ds_fleet_lock *lock = ds_fleet_lock_take(&f->config, what, 0, &err);

    if (!lock)
        fail_msg("%s", err.text);
    return lock;
}

static void assert_refused(const struct fixture *f, int64_t timeout_ms, enum ds_code code,
                           const char *words)
{
    struct ds_error err = DS_ERROR_INIT;
    int64_t start_ms = ds_clock_mono_ms();

    assert_null(ds_fleet_lock_take(&f->config, "groups move", timeout_ms, &err));
    if (!strstr(err.text, words))
        fail_msg("'%s' is not in '%s'", words, err.text);
    assert_int_equal(err.code, code);
    assert_true(ds_clock_mono_ms() - start_ms < SOON_MS);
}

/* ---- the file ---- */

static void one_at_a_time_and_the_other_is_told_who(void **state)
{
    struct fixture *f = *state;
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(fleet_lock) struct ds_fleet_lock *lock = take(f, "scale up");
    DS_AUTO(str) char *words = ds_xasprintf(":%ld: scale up", (long)getpid());

    assert_ok(ds_fleet_lock_check(lock, &err), &err);
    assert_refused(f, 0, DS_E_TEMP, words);
    assert_refused(f, 50, DS_E_TEMP, words);
    ds_fleet_lock_free(lock);
    lock = take(f, "groups move");
    assert_refused(f, 0, DS_E_TEMP, ": groups move");
}

static void other_locks_are_not_in_its_way(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(fleet_lock) struct ds_fleet_lock *lock = take(f, "scale up");
    DS_AUTO(keeper) struct ds_keeper keeper;
    struct ds_error err = DS_ERROR_INIT;

    assert_non_null(lock);
    ds_keeper_init(&keeper, f->state);
    assert_ok(ds_keeper_lock(&keeper, 0, &err), &err);
}

struct hold {
    const struct ds_config *config;
    int64_t ms;
};

static void hold_lock(void *arg, int ready)
{
    const struct hold *hold = arg;
    struct ds_error err = DS_ERROR_INIT;
    struct ds_fleet_lock *lock = ds_fleet_lock_take(hold->config, "scale up", 0, &err);

    if (!lock)
        _exit(1);
    holder_ready(ready);
    ds_clock_sleep_ms(hold->ms);
    ds_fleet_lock_free(lock);
}

static pid_t hold_in_child(const struct fixture *f, int64_t ms)
{
    struct hold hold = {.config = &f->config, .ms = ms};

    return holder_start(hold_lock, &hold);
}

static void who_waits_gets_it_when_it_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct ds_error err = DS_ERROR_INIT;
    pid_t child = hold_in_child(f, 100);
    int64_t start_ms = ds_clock_mono_ms();
    DS_AUTO(fleet_lock)
    struct ds_fleet_lock *lock = ds_fleet_lock_take(&f->config, "x", 60000, &err);

    if (!lock)
        fail_msg("%s", err.text);
    assert_true(ds_clock_mono_ms() - start_ms < 20000);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void a_killed_holder_leaves_it_free(void **state)
{
    struct fixture *f = *state;
    pid_t child = hold_in_child(f, 60000);
    DS_AUTO(str) char *words = ds_xasprintf(":%ld: scale up", (long)child);

    assert_refused(f, 0, DS_E_TEMP, words);
    holder_kill(child);
    ds_fleet_lock_free(take(f, "scale up"));
}

static void put(const char *path, const char *data, size_t len)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* The file is anybody's to write who may write the directory. */
static void what_makes_no_sense_there_is_not_repeated(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"by\":7,\"what\":\"x\"}",
        "{\"by\":\"h:1\"}",
        "{\"by\":\"h:1\",\"what\":\"\"}",
        "{\"by\":\"h:1\",\"what\":\"\\u001b[2J\"}",
        "{\"by\":\"h\\n:1\",\"what\":\"x\"}",
        "\xff\xfe",
    };
    struct fixture *f = *state;
    DS_AUTO(fleet_lock) struct ds_fleet_lock *lock = take(f, "scale up");
    DS_AUTO(buf) struct ds_buf large = DS_BUF_INIT(100000);

    assert_non_null(lock);
    for (size_t i = 0; i < DS_COUNT(texts); i++) {
        put(f->lock, texts[i], strlen(texts[i]));
        assert_refused(f, 0, DS_E_TEMP, "is held by another dshard");
    }
    ds_buf_adds(&large, "{\"by\":\"h:1\",\"what\":\"");
    while (large.len < 50000)
        ds_buf_adds(&large, "xxxxxxxxxxxxxxxx");
    ds_buf_adds(&large, "\"}");
    put(f->lock, large.data, large.len);
    assert_refused(f, 0, DS_E_TEMP, "is held by another dshard");
}

static void a_lock_file_that_was_removed_is_a_lost_lock(void **state)
{
    struct fixture *f = *state;
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(fleet_lock) struct ds_fleet_lock *lock = take(f, "scale up");
    struct ds_fleet_lock *other;

    assert_int_equal(unlink(f->lock), 0);
    assert_int_equal(ds_fleet_lock_check(lock, &err), -1);
    assert_int_equal(err.code, DS_E_TEMP);
    assert_non_null(strstr(err.text, f->lock));
    other = take(f, "groups move");
    assert_int_equal(ds_fleet_lock_check(lock, &err), -1);
    assert_ok(ds_fleet_lock_check(other, &err), &err);
    /* Whoever lost it does not wipe the other's name. */
    ds_fleet_lock_free(ds_steal(&lock));
    assert_refused(f, 0, DS_E_TEMP, ": groups move");
    ds_fleet_lock_free(other);
}

static void a_place_that_cannot_have_it_is_named(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(symlink("elsewhere", f->lock), 0);
    assert_refused(f, 0, DS_E_SYSTEM, f->lock);
    ds_set_str(&f->config.state_file, "/nonexistent/ring.json");
    assert_refused(f, 60000, DS_E_MISSING, "/nonexistent/.ring.json.fleet");
}

/* ---- Consul ---- */

#define KEY              "/v1/kv/dshard/pushgateway/fleet"
#define OK(body)         "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" body
#define NO(status, body) "HTTP/1.1 " #status " x\r\nConnection: close\r\n\r\n" body

static const struct tiny_rule free_key[] = {
    {NULL, "GET " KEY, OK("[]"), TINY_CLOSE},
    {NULL, "/v1/session/create", OK("{\"ID\":\"ab\"}"), TINY_CLOSE},
    {NULL, "PUT " KEY, OK("true"), TINY_CLOSE},
    {NULL, "/v1/session/destroy/ab", OK("true"), TINY_CLOSE},
};

static struct tiny *serve(struct fixture *f, const struct tiny_rule *rules, size_t n)
{
    struct tiny *tiny = tiny_start(rules, n, NULL);

    f->config.consul = true;
    free(f->config.consul_server.addr);
    f->config.consul_server.addr = ds_xasprintf("http://127.0.0.1:%u", tiny->port);
    ds_set_str(&f->config.consul_server.service, "pushgateway");
    return tiny;
}

static void a_free_key_is_taken_and_given_back(void **state)
{
    struct fixture *f = *state;
    struct ds_error err = DS_ERROR_INIT;
    struct tiny *tiny = serve(f, free_key, DS_COUNT(free_key));
    struct ds_fleet_lock *lock = take(f, "scale up");
    DS_AUTO(str) char *acquired = tiny_last(tiny);
    DS_AUTO(str) char *ended = NULL;

    assert_non_null(strstr(acquired, KEY "?acquire=ab HTTP"));
    assert_non_null(strstr(acquired, ",\"what\":\"scale up\"}"));
    assert_ok(ds_fleet_lock_check(lock, &err), &err);
    assert_int_equal(tiny->n_requests, 3); /* it is fresh: nobody is asked */
    ds_fleet_lock_free(lock);
    assert_int_equal(tiny->n_requests, 5);
    ended = tiny_last(tiny);
    assert_non_null(strstr(ended, "PUT /v1/session/destroy/ab HTTP"));
    tiny_stop(tiny);
}

/* A session whose body went out in chunks would have no TTL. */
static void the_session_is_asked_for_with_a_length(void **state)
{
    static const struct tiny_rule rules[] = {
        {NULL, "GET " KEY, OK("[]"), TINY_CLOSE},
        {NULL, "/v1/session/create", OK("{}"), TINY_CLOSE},
    };
    struct fixture *f = *state;
    struct tiny *tiny = serve(f, rules, DS_COUNT(rules));
    DS_AUTO(str) char *asked = NULL;

    assert_refused(f, 0, DS_E_TEMP, "/v1/session/create: no session came back");
    asked = tiny_last(tiny);
    assert_non_null(strstr(asked, "Content-Length: 8"));
    assert_non_null(strstr(asked, "\"TTL\":\"10s\""));
    tiny_stop(tiny);
}

/* What the calls to the free key answer instead: PATH (NULL: any) and all behind it. */
static const struct {
    const char *path, *answer;
    enum ds_code code;
    const char *words;
} refusals[] = {
    /* {"by":"h:1","what":"scale up"} */
    {KEY,
     OK("[{\"Session\":\"x\",\"Value\":\"eyJieSI6Img6MSIsIndoYXQiOiJzY2FsZSB1cCJ9\"}]"),
     DS_E_TEMP, "is held by h:1: scale up"},
    {KEY, OK("[{\"Session\":\"x\"}]"), DS_E_TEMP, "is held by another dshard"},
    {"PUT " KEY, OK("false"), DS_E_TEMP, "is not free yet"},
    {"PUT " KEY, NO(500, "invalid session"), DS_E_TEMP, "500: invalid session"},
    {"PUT " KEY, NO(403, "Permission denied"), DS_E_PEER, "403: Permission denied"},
    {"/v1/session/create", NO(403, "x"), DS_E_PEER, "session/create: 403: x"},
    {"/v1/session/create", OK("{\"ID\":\"a/b\"}"), DS_E_TEMP, "no session"},
    {NULL, NO(403, "ACL not found"), DS_E_PEER, KEY ": 403: ACL not found"},
    {NULL, NO(500, "No cluster leader"), DS_E_TEMP, KEY ": 500: No cluster leader"},
    {NULL, OK("nonsense"), DS_E_TEMP, "no entry of the KV store"},
    {NULL, OK("{}"), DS_E_TEMP, "no entry of the KV store"},
    {NULL, "", DS_E_TEMP, KEY},
};

static void what_consul_may_answer_instead(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < DS_COUNT(refusals); i++) {
        struct tiny_rule rules[DS_COUNT(free_key) + 1] = {
            {NULL, refusals[i].path, refusals[i].answer, TINY_CLOSE}};
        struct tiny *tiny;

        memcpy(rules + 1, free_key, sizeof free_key);
        tiny = serve(f, rules, DS_COUNT(rules));
        assert_refused(f, 0, refusals[i].code, refusals[i].words);
        tiny_stop(tiny);
    }
}

static void a_consul_that_is_not_there_is_said_at_once(void **state)
{
    struct fixture *f = *state;
    int fd;
    unsigned port = tiny_closed_port(&fd);

    f->config.consul = true;
    f->config.consul_server.addr = ds_xasprintf("http://127.0.0.1:%u", port);
    ds_set_str(&f->config.consul_server.service, "pushgateway");
    assert_refused(f, 60000, DS_E_TEMP, "cannot connect");
    close(fd);
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILES(one_at_a_time_and_the_other_is_told_who),
        WITH_FILES(other_locks_are_not_in_its_way),
        WITH_FILES(who_waits_gets_it_when_it_is_given_back),
        WITH_FILES(a_killed_holder_leaves_it_free),
        WITH_FILES(what_makes_no_sense_there_is_not_repeated),
        WITH_FILES(a_lock_file_that_was_removed_is_a_lost_lock),
        WITH_FILES(a_place_that_cannot_have_it_is_named),
        WITH_FILES(a_free_key_is_taken_and_given_back),
        WITH_FILES(the_session_is_asked_for_with_a_length),
        WITH_FILES(what_consul_may_answer_instead),
        WITH_FILES(a_consul_that_is_not_there_is_said_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
