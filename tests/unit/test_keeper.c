/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "config_text.h"
#include "dshard/keeper.h"
#include "dshard/log.h"
#include "holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t NOW = 1764000000000;

/* A directory with the state file of a keeper and of another writer. */
struct fixture {
    char dir[64];
    char path[96], bad[128], claim[128];
    struct ds_keeper keeper;
    struct ds_state theirs;
    int err; /* what is really stderr */
};

static int setup(void **state)
{
    struct fixture *f = ds_xcalloc(1, sizeof *f);

    snprintf(f->dir, sizeof f->dir, "/tmp/dshard-test-keeper.XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/ring.json", f->dir);
    snprintf(f->bad, sizeof f->bad, "%s.bad", f->path);
    snprintf(f->claim, sizeof f->claim, "%s/.ring.json.watch", f->dir);
    ds_keeper_init(&f->keeper, f->path);
    ds_state_init(&f->theirs);
    *state = f;
    return 0;
}

/* Removes what may be there; what else is there makes the test fail. */
static int teardown(void **state)
{
    struct fixture *f = *state;

    ds_keeper_release(&f->keeper);
    ds_keeper_release(&f->keeper);
    ds_state_release(&f->theirs);
    unlink(f->path);
    unlink(f->bad);
    unlink(f->claim);
    if (rmdir(f->bad) < 0 && access(f->bad, F_OK) == 0)
        return -1;
    if (rmdir(f->dir) < 0)
        return -1;
    free(f);
    return 0;
}

static void put(const struct fixture *f, const char *text)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_replace(f->path, text, strlen(text), 0644, &err), &err);
}

static void assert_content(const char *path, const char *want)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_read(&text, path, &err), &err);
    assert_string_equal(text.data, want);
}

static void load(struct fixture *f)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_keeper_load(&f->keeper, false, &err), &err);
}

static void save(struct fixture *f)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_keeper_lock(&f->keeper, 0, &err), &err);
    assert_ok(ds_keeper_save(&f->keeper, &err), &err);
    ds_keeper_unlock(&f->keeper);
}

/* The other writer writes what it has. */
static void write_theirs(struct fixture *f)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_state_save(&f->theirs, f->path, &err), &err);
}

static void set_ring(struct ds_state *state, const char *const *names, size_t n)
{
    struct ds_server members[4];
    struct ds_error err = DS_ERROR_INIT;

    memset(members, 0, sizeof members);
    for (size_t i = 0; i < n; i++)
        members[i] = ds_state_find(state, names[i])->server;
    assert_ok(ds_state_set_ring(state, members, n, 500, DS_CAUSE_OPERATOR, NOW, &err),
              &err);
}

/* Ours and theirs have a:1 and b:1, both members, and ours knows how they are. */
static void agree(struct fixture *f)
{
    static const char *const both[] = {"a:1", "b:1"};
    struct ds_state *states[] = {&f->keeper.state, &f->theirs};

    for (size_t i = 0; i < DS_COUNT(states); i++) {
        for (size_t k = 0; k < DS_COUNT(both); k++)
            ds_state_add(states[i], both[k], 1)->health.state = DS_HEALTH_UP;
        set_ring(states[i], both, 2);
    }
    save(f);
    assert_false(ds_keeper_is_behind(&f->keeper));
}

/* Log lines of what is expected are not to be seen. */
static void quiet(struct fixture *f)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    f->err = dup(STDERR_FILENO);
    assert_true(null >= 0 && f->err >= 0);
    assert_true(dup2(null, STDERR_FILENO) >= 0);
    close(null);
}

static void loud(struct fixture *f)
{
    assert_true(dup2(f->err, STDERR_FILENO) >= 0);
    close(f->err);
}

static enum ds_keeper_news sync_quietly(struct fixture *f)
{
    enum ds_keeper_news news;

    quiet(f);
    news = ds_keeper_sync(&f->keeper);
    loud(f);
    return news;
}

static void a_missing_file_is_an_empty_state(void **state)
{
    struct fixture *f = *state;

    load(f);
    assert_int_equal(f->keeper.state.n_servers, 0);
    assert_false(ds_keeper_is_behind(&f->keeper));
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_SAME);
}

static void what_is_saved_is_loaded(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(keeper) struct ds_keeper other;
    struct ds_error err = DS_ERROR_INIT;

    ds_keeper_init(&other, f->path);
    agree(f);
    assert_true(ds_keeper_is_behind(&other));
    assert_ok(ds_keeper_load(&other, false, &err), &err);
    assert_int_equal(other.state.n_servers, 2);
    assert_int_equal(other.state.generation, 1);
    assert_true(other.state.written_at_ms > NOW);
    assert_false(ds_keeper_is_behind(&other));
}

static void ones_own_write_is_no_news(void **state)
{
    struct fixture *f = *state;

    agree(f);
    for (int i = 0; i < 20; i++) {
        f->keeper.state.checked_at_ms = NOW + i;
        save(f);
        assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_SAME);
    }
}

static void intents_and_weights_are_taken_over_and_health_is_kept(void **state)
{
    struct fixture *f = *state;
    struct ds_standing *a, *b;

    agree(f);
    a = ds_state_find(&f->keeper.state, "a:1");
    a->health = (struct ds_health){
        .state = DS_HEALTH_DOWN, .run = 1, .since_ms = NOW, .why = "connect: refused"};
    ds_state_find(&f->theirs, "a:1")->intent = DS_INTENT_DRAINING;
    ds_state_find(&f->theirs, "b:1")->server.weight = 7;
    set_ring(&f->theirs, (const char *const[]){"b:1"}, 1);
    write_theirs(f);
    assert_true(ds_keeper_is_behind(&f->keeper));
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_INTENT);
    assert_int_equal(a->intent, DS_INTENT_DRAINING);
    assert_int_equal(a->health.state, DS_HEALTH_DOWN);
    assert_int_equal(a->health.run, 1);
    assert_int_equal(a->health.since_ms, NOW);
    assert_string_equal(a->health.why, "connect: refused");
    b = ds_state_find(&f->keeper.state, "b:1");
    assert_int_equal(b->server.weight, 7);
    assert_false(ds_keeper_is_behind(&f->keeper));
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_SAME);
}

static void a_newer_generation_is_adopted(void **state)
{
    struct fixture *f = *state;

    agree(f);
    set_ring(&f->theirs, (const char *const[]){"b:1"}, 1);
    write_theirs(f);
    ds_keeper_sync(&f->keeper);
    assert_int_equal(f->keeper.state.generation, 2);
    assert_int_equal(f->keeper.state.n_history, 2);
    assert_string_equal(f->keeper.state.digest, f->theirs.digest);
    assert_false(ds_state_find(&f->keeper.state, "a:1")->member);
    assert_true(ds_state_find(&f->keeper.state, "b:1")->member);
}

static void an_older_generation_is_not(void **state)
{
    struct fixture *f = *state;

    agree(f);
    set_ring(&f->keeper.state, (const char *const[]){"a:1"}, 1); /* not written yet */
    ds_state_find(&f->theirs, "b:1")->intent = DS_INTENT_OUT;
    write_theirs(f);
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_INTENT);
    assert_int_equal(f->keeper.state.generation, 2);
    assert_true(ds_state_find(&f->keeper.state, "a:1")->member);
    assert_int_equal(ds_state_find(&f->keeper.state, "b:1")->intent, DS_INTENT_OUT);
}

static void who_is_taken_back_in_is_asked_anew(void **state)
{
    struct fixture *f = *state;
    struct ds_standing *a;

    agree(f);
    a = ds_state_find(&f->keeper.state, "a:1");
    ds_state_find(&f->theirs, "a:1")->intent = DS_INTENT_OUT;
    write_theirs(f);
    ds_keeper_sync(&f->keeper);
    assert_int_equal(a->health.state, DS_HEALTH_UP); /* nobody looks any more */
    a->health.n_flaps = 3;
    ds_state_find(&f->theirs, "a:1")->intent = DS_INTENT_IN;
    write_theirs(f);
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_INTENT);
    assert_int_equal(a->health.state, DS_HEALTH_NEW);
    assert_int_equal(a->health.n_flaps, 0);
}

static void an_undrained_server_keeps_its_health(void **state)
{
    struct fixture *f = *state;

    agree(f);
    f->keeper.state.servers[0].intent = DS_INTENT_DRAINING;
    write_theirs(f);
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_INTENT);
    assert_int_equal(f->keeper.state.servers[0].intent, DS_INTENT_IN);
    assert_int_equal(f->keeper.state.servers[0].health.state, DS_HEALTH_UP);
}

static void servers_come_and_go(void **state)
{
    struct fixture *f = *state;

    agree(f);
    ds_state_remove(&f->theirs, "a:1");
    ds_state_add(&f->theirs, "c:1", 3)->intent = DS_INTENT_JOINING;
    set_ring(&f->theirs, (const char *const[]){"b:1"}, 1);
    write_theirs(f);
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_INTENT);
    assert_null(ds_state_find(&f->keeper.state, "a:1"));
    assert_int_equal(ds_state_find(&f->keeper.state, "c:1")->server.weight, 3);
    assert_int_equal(ds_state_find(&f->keeper.state, "c:1")->intent, DS_INTENT_JOINING);
    assert_int_equal(ds_state_find(&f->keeper.state, "c:1")->health.state, DS_HEALTH_NEW);
}

/* A write of what matters only to others, such as the time of the last check. */
static void the_same_again_is_no_news(void **state)
{
    struct fixture *f = *state;

    agree(f);
    f->theirs.checked_at_ms = NOW + 1;
    write_theirs(f);
    assert_true(ds_keeper_is_behind(&f->keeper));
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_SAME);
    assert_false(ds_keeper_is_behind(&f->keeper));
}

/* The watch writes all the time; what a command says about itself must survive that. */
static void the_operation_of_others_is_kept_and_no_news(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(state) struct ds_state written = {0};
    struct ds_error err = DS_ERROR_INIT;

    agree(f);
    ds_set_str(&f->theirs.operation_kind, "scale up");
    ds_set_str(&f->theirs.operation_step, "moving groups");
    ds_set_str(&f->theirs.operation_by, "host:43");
    f->theirs.operation_since_ms = NOW;
    write_theirs(f);
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_SAME);
    save(f);
    assert_ok(ds_state_load(&written, f->path, &err), &err);
    assert_non_null(written.operation_kind);
    assert_string_equal(written.operation_kind, "scale up");
    assert_string_equal(written.operation_step, "moving groups");
    assert_string_equal(written.operation_by, "host:43");
    assert_int_equal(written.operation_since_ms, NOW);
}

static void an_operation_that_has_ended_does_not_come_back(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(state) struct ds_state written = {0};
    struct ds_error err = DS_ERROR_INIT;

    ds_set_str(&f->keeper.state.operation_kind, "scale up");
    ds_set_str(&f->keeper.state.operation_by, "host:43");
    agree(f);
    write_theirs(f);
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_SAME);
    save(f);
    assert_ok(ds_state_load(&written, f->path, &err), &err);
    assert_null(written.operation_kind);
    assert_null(written.operation_by);
}

static void a_lost_file_is_noticed_once(void **state)
{
    struct fixture *f = *state;

    agree(f);
    assert_int_equal(unlink(f->path), 0);
    assert_true(ds_keeper_is_behind(&f->keeper));
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_LOST);
    assert_int_equal(f->keeper.state.n_servers, 2); /* what is known stays known */
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_SAME);
    save(f);
    assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_SAME);
}

/* Damaged, of a newer format, empty. */
static const char *const BAD[] = {"{\"format\":1", "{\"format\":2}", "", "\xFF\xFE"};

static void a_bad_file_is_set_aside(void **state)
{
    struct fixture *f = *state;

    agree(f);
    for (size_t i = 0; i < DS_COUNT(BAD); i++) {
        put(f, BAD[i]);
        assert_int_equal(sync_quietly(f), DS_KEEPER_LOST);
        assert_content(f->bad, BAD[i]); /* the last one is kept */
        assert_int_equal(access(f->path, F_OK), -1);
        assert_int_equal(f->keeper.state.n_servers, 2);
        save(f);
        assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_SAME);
    }
}

/* What cannot be read at all, whoever runs the test: a directory. */
static void a_thing_that_cannot_be_read_is_set_aside(void **state)
{
    struct fixture *f = *state;

    agree(f);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0755), 0);
    assert_int_equal(sync_quietly(f), DS_KEEPER_LOST);
    assert_int_equal(access(f->path, F_OK), -1);
    assert_int_equal(access(f->bad, F_OK), 0);
    save(f);
}

static void the_first_load_may_set_aside(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < DS_COUNT(BAD); i++) {
        struct ds_error err = DS_ERROR_INIT;

        put(f, BAD[i]);
        quiet(f);
        assert_ok(ds_keeper_load(&f->keeper, true, &err), &err);
        loud(f);
        assert_content(f->bad, BAD[i]);
        assert_int_equal(f->keeper.state.n_servers, 0);
        assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_SAME);
    }
}

static void a_command_refuses_a_bad_file_and_leaves_it(void **state)
{
    static const enum ds_code codes[] = {DS_E_FORMAT, DS_E_NEWER, DS_E_FORMAT,
                                         DS_E_FORMAT};
    struct fixture *f = *state;

    for (size_t i = 0; i < DS_COUNT(BAD); i++) {
        struct ds_error err = DS_ERROR_INIT;

        put(f, BAD[i]);
        assert_int_equal(ds_keeper_load(&f->keeper, false, &err), -1);
        assert_int_equal(err.code, codes[i]);
        assert_non_null(strstr(err.text, f->path));
        assert_content(f->path, BAD[i]);
        assert_int_equal(access(f->bad, F_OK), -1);
    }
}

/* Two versions of one size, written within one tick of the file system's clock, the
   second one where the first was: all that tells them apart is that the first is held
   open, so that its inode is not free. */
static void a_reused_inode_does_not_hide_a_change(void **state)
{
    struct fixture *f = *state;
    struct timespec stamp[2] = {{.tv_sec = 1764000000}, {.tv_sec = 1764000000}};

    agree(f);
    for (int i = 0; i < 50; i++) {
        struct ds_error err = DS_ERROR_INIT;

        ds_state_find(&f->theirs, "a:1")->intent = i % 2 ? DS_INTENT_IN : DS_INTENT_OUT;
        ds_set_str(&f->theirs.written_by, i % 2 ? "xx" : "x");
        assert_ok(ds_state_save(&f->theirs, f->path, &err), &err);
        assert_int_equal(utimensat(AT_FDCWD, f->path, stamp, 0), 0);
        assert_true(ds_keeper_is_behind(&f->keeper));
        assert_int_equal(ds_keeper_sync(&f->keeper), DS_KEEPER_INTENT);
        assert_int_equal(f->keeper.state.servers[0].intent,
                         ds_state_find(&f->theirs, "a:1")->intent);
    }
}

static void one_watch_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct ds_error err = DS_ERROR_INIT;

    assert_false(ds_keeper_is_claimed(f->path));
    assert_ok(ds_keeper_claim(&f->keeper, 0, &err), &err);
    assert_true(ds_keeper_is_claimed(f->path));
    {
        DS_AUTO(keeper) struct ds_keeper other;

        ds_keeper_init(&other, f->path);
        assert_int_equal(ds_keeper_claim(&other, 30, &err), -1);
        assert_int_equal(err.code, DS_E_TEMP);
        assert_non_null(strstr(err.text, "another watch keeps '"));
        assert_non_null(strstr(err.text, f->path));
        /* Writes are not in its way. */
        assert_ok(ds_keeper_lock(&other, 0, &err), &err);
        assert_int_equal(ds_keeper_lock(&f->keeper, 0, &err), -1);
        assert_int_equal(err.code, DS_E_TEMP);
        ds_keeper_unlock(&other);
        assert_ok(ds_keeper_lock(&f->keeper, 0, &err), &err);
        ds_keeper_unlock(&f->keeper);
    }
    assert_true(ds_keeper_is_claimed(f->path));
    ds_keeper_release(&f->keeper);
    assert_false(ds_keeper_is_claimed(f->path));
    ds_keeper_init(&f->keeper, f->path);
}

static void hold_claim(void *arg, int ready)
{
    struct fixture *f = arg;
    struct ds_error err = DS_ERROR_INIT;

    if (ds_keeper_claim(&f->keeper, 0, &err) < 0)
        _exit(1);
    holder_ready(ready);
    for (;;)
        pause();
}

static void a_killed_watch_leaves_no_claim(void **state)
{
    struct fixture *f = *state;
    struct ds_error err = DS_ERROR_INIT;
    pid_t child = holder_start(hold_claim, f);

    assert_true(ds_keeper_is_claimed(f->path));
    holder_kill(child);
    assert_false(ds_keeper_is_claimed(f->path));
    assert_ok(ds_keeper_claim(&f->keeper, 0, &err), &err);
}

static void the_claim_of_a_relative_path(void **state)
{
    struct fixture *f = *state;
    struct ds_error err = DS_ERROR_INIT;
    char before[4096];

    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(f->dir), 0);
    ds_keeper_release(&f->keeper);
    ds_keeper_init(&f->keeper, "ring.json");
    assert_ok(ds_keeper_claim(&f->keeper, 0, &err), &err);
    agree(f);
    assert_int_equal(chdir(before), 0);
    assert_true(ds_keeper_is_claimed(f->path));
    assert_int_equal(access(f->path, F_OK), 0);
}

static void a_directory_that_is_not_there_is_named(void **state)
{
    DS_AUTO(keeper) struct ds_keeper keeper;
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    ds_keeper_init(&keeper, "/nonexistent/ring.json");
    assert_int_equal(ds_keeper_claim(&keeper, 0, &err), -1);
    assert_non_null(strstr(err.text, "/nonexistent"));
    assert_int_equal(ds_keeper_lock(&keeper, 0, &err), -1);
    assert_non_null(strstr(err.text, "/nonexistent"));
    assert_false(ds_keeper_is_claimed("/nonexistent/ring.json"));
}

static void a_failed_write_leaves_the_memory_alone(void **state)
{
    struct fixture *f = *state;
    struct ds_error err = DS_ERROR_INIT;

    agree(f);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0755), 0);
    assert_int_equal(ds_keeper_save(&f->keeper, &err), -1);
    assert_int_equal(f->keeper.state.n_servers, 2);
    assert_int_equal(rmdir(f->path), 0);
}

/* ---- configuration ---- */

static void what_is_configured_is_taken_over(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(config) struct ds_config config;
    const struct ds_state *kept = &f->keeper.state;

    config_from(&config, "pushgateway:\n  scheme: https\n  route_prefix: /push\n"
                         "  servers: [\"b:1\", {addr: \"a:1\", weight: 4}]\n");
    assert_true(ds_keeper_configure(&f->keeper, &config));
    assert_int_equal(kept->n_servers, 2);
    assert_string_equal(kept->servers[0].server.address, "a:1");
    assert_int_equal(kept->servers[0].server.weight, 4);
    assert_int_equal(kept->servers[0].intent, DS_INTENT_IN);
    assert_int_equal(kept->servers[0].health.state, DS_HEALTH_NEW);
    assert_string_equal(kept->scheme, "https");
    assert_string_equal(kept->route_prefix, "/push");
    assert_false(kept->consul);
    assert_false(ds_keeper_configure(&f->keeper, &config));
}

static void the_configuration_does_not_undo_what_operators_want(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(config) struct ds_config config;

    agree(f);
    f->keeper.state.servers[0].intent = DS_INTENT_OUT;
    f->keeper.state.servers[1].intent = DS_INTENT_DRAINING;
    config_from(&config, "pushgateway:\n  servers: [\"a:1\", \"b:1\"]\n");
    assert_false(ds_keeper_configure(&f->keeper, &config));
    assert_int_equal(f->keeper.state.servers[0].intent, DS_INTENT_OUT);
    assert_int_equal(f->keeper.state.servers[1].intent, DS_INTENT_DRAINING);
}

static void who_is_not_configured_any_more_is_kept(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(config) struct ds_config config;

    agree(f);
    config_from(&config, "pushgateway:\n  servers: [\"a:1\"]\n");
    assert_false(ds_keeper_configure(&f->keeper, &config));
    assert_true(ds_state_find(&f->keeper.state, "b:1")->member);
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILES(a_missing_file_is_an_empty_state),
        WITH_FILES(what_is_saved_is_loaded),
        WITH_FILES(ones_own_write_is_no_news),
        WITH_FILES(intents_and_weights_are_taken_over_and_health_is_kept),
        WITH_FILES(a_newer_generation_is_adopted),
        WITH_FILES(an_older_generation_is_not),
        WITH_FILES(who_is_taken_back_in_is_asked_anew),
        WITH_FILES(an_undrained_server_keeps_its_health),
        WITH_FILES(servers_come_and_go),
        WITH_FILES(the_same_again_is_no_news),
        WITH_FILES(the_operation_of_others_is_kept_and_no_news),
        WITH_FILES(an_operation_that_has_ended_does_not_come_back),
        WITH_FILES(a_lost_file_is_noticed_once),
        WITH_FILES(a_bad_file_is_set_aside),
        WITH_FILES(a_thing_that_cannot_be_read_is_set_aside),
        WITH_FILES(the_first_load_may_set_aside),
        WITH_FILES(a_command_refuses_a_bad_file_and_leaves_it),
        WITH_FILES(a_reused_inode_does_not_hide_a_change),
        WITH_FILES(one_watch_at_a_time),
        WITH_FILES(a_killed_watch_leaves_no_claim),
        WITH_FILES(the_claim_of_a_relative_path),
        WITH_FILES(a_directory_that_is_not_there_is_named),
        WITH_FILES(a_failed_write_leaves_the_memory_alone),
        WITH_FILES(what_is_configured_is_taken_over),
        WITH_FILES(the_configuration_does_not_undo_what_operators_want),
        WITH_FILES(who_is_not_configured_any_more_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
