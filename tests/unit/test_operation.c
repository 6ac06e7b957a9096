/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "place.h"

#include "dshard/operation.h"
#include "dshard/process.h"

#include <sys/stat.h>
#include <sys/wait.h>

static void put(const struct place *place, const struct ds_state *state)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_state_save(state, place->path, &err), &err);
}

static void put_fresh(const struct place *place)
{
    DS_AUTO(state) struct ds_state state;

    ds_state_init(&state);
    ds_state_add(&state, "a:1", 3);
    put(place, &state);
}

static void load(const struct place *place, struct ds_state *state)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_state_load(state, place->path, &err), &err);
}

static void set(const struct place *place, const char *kind, const char *step)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_operation_set(place->path, kind, step, &err), &err);
}

/* As if it had begun long ago, and by another process when `by` is given. */
static void date_back(const struct place *place, const char *by)
{
    DS_AUTO(state) struct ds_state state = {0};

    load(place, &state);
    state.operation_since_ms = 1000;
    if (by)
        ds_set_str(&state.operation_by, by);
    put(place, &state);
}

static char *dead_process(void)
{
    DS_AUTO(str) char *name = ds_process_name();
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    *strrchr(name, ':') = '\0';
    return ds_xasprintf("%s:%ld", name, (long)child);
}

static void it_is_written_beside_what_is_there(void **state)
{
    const struct place *place = *state;
    DS_AUTO(state) struct ds_state found = {0};
    DS_AUTO(str) char *by = ds_process_name();

    put_fresh(place);
    set(place, "scale up", "moving groups");
    load(place, &found);
    assert_string_equal(found.operation_kind, "scale up");
    assert_string_equal(found.operation_step, "moving groups");
    assert_string_equal(found.operation_by, by);
    assert_true(found.operation_since_ms > 1600000000000);
    assert_int_equal(found.servers[0].server.weight, 3);
    assert_non_null(strstr(found.written_by, by));
    assert_false(ds_operation_is_dead(&found));
}

static void the_next_step_keeps_since_when(void **state)
{
    const struct place *place = *state;
    DS_AUTO(state) struct ds_state found = {0};

    put_fresh(place);
    set(place, "scale up", "moving groups");
    date_back(place, NULL);
    set(place, "scale up", "verifying");
    load(place, &found);
    assert_string_equal(found.operation_step, "verifying");
    assert_int_equal(found.operation_since_ms, 1000);
}

static void another_kind_or_process_begins_anew(void **state)
{
    const struct place *place = *state;
    const char *const kinds[] = {"scale down", "scale up"};
    const char *const bys[] = {NULL, "elsewhere:1"};

    for (size_t i = 0; i < DS_COUNT(kinds); i++) {
        DS_AUTO(state) struct ds_state found = {0};

        put_fresh(place);
        set(place, "scale up", "moving groups");
        date_back(place, bys[i]);
        set(place, kinds[i], "moving groups");
        load(place, &found);
        assert_true(found.operation_since_ms > 1600000000000);
    }
}

static void the_same_again_is_not_written(void **state)
{
    const struct place *place = *state;
    struct ds_file_id before, after;

    put_fresh(place);
    set(place, "scale up", "moving groups");
    assert_int_equal(ds_file_id_of_path(place->path, &before), 0);
    set(place, "scale up", "moving groups");
    assert_int_equal(ds_file_id_of_path(place->path, &after), 0);
    assert_true(ds_file_id_equal(&before, &after));
}

static void only_ones_own_is_ended(void **state)
{
    const struct place *place = *state;
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(state) struct ds_state found = {0};

    put_fresh(place);
    assert_ok(ds_operation_end(place->path, &err), &err);
    set(place, "scale up", "x");
    date_back(place, "elsewhere:1");
    assert_ok(ds_operation_end(place->path, &err), &err);
    load(place, &found);
    assert_string_equal(found.operation_kind, "scale up");
    ds_state_release(&found);
    set(place, "scale up", "x");
    assert_ok(ds_operation_end(place->path, &err), &err);
    load(place, &found);
    assert_null(found.operation_kind);
    assert_null(found.operation_by);
}

static void what_a_dead_process_left_can_be_ended(void **state)
{
    const struct place *place = *state;
    DS_AUTO(str) char *dead = dead_process();
    const struct {
        const char *by, *kind;
        bool ended;
    } rows[] = {
        {NULL, "groups move", false}, /* we live */
        {"elsewhere:1", "groups move", false},
        {dead, "scale up", false},
        {dead, "groups move", true},
    };

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;
        DS_AUTO(state) struct ds_state found = {0};

        put_fresh(place);
        set(place, "groups move", "x");
        date_back(place, rows[i].by);
        assert_ok(ds_operation_end_dead(place->path, rows[i].kind, &err), &err);
        load(place, &found);
        assert_int_equal(!found.operation_kind, rows[i].ended);
    }
}

static bool is_there(const struct place *place, const char *kind)
{
    DS_AUTO(state) struct ds_state found = {0};

    load(place, &found);
    if (kind && found.operation_kind)
        assert_string_equal(found.operation_kind, kind);
    return found.operation_kind != NULL;
}

/* An operation of that kind with a server of that intent. */
static void put_one(const struct place *place, const char *kind, enum ds_intent intent,
                    const char *by)
{
    DS_AUTO(state) struct ds_state state;

    ds_state_init(&state);
    ds_state_add(&state, "a:1", 3)->intent = intent;
    put(place, &state);
    set(place, kind, "x");
    if (by)
        date_back(place, by);
}

/* The watch's passes come seconds after a kill. */
static void passes_leave_a_dead_one_alone_that_is_not_over(void **state)
{
    const struct place *place = *state;
    DS_AUTO(str) char *dead = dead_process();
    const struct {
        const char *kind, *by, *then, *stays;
        enum ds_intent intent;
    } rows[] = {
        {"scale down a:1", dead, "groups move", "scale down a:1", DS_INTENT_DRAINING},
        {"scale up a:1", dead, "groups move", "scale up a:1", DS_INTENT_IN},
        {"scale up a:1", dead, "groups move", "groups move", DS_INTENT_OUT},
        {"scale down a:1", dead, "scale up a:1", "scale up a:1", DS_INTENT_DRAINING},
        {"scale down a:1", NULL, "groups move", "groups move", DS_INTENT_DRAINING},
        {"groups move", dead, "groups dedupe", "groups dedupe", DS_INTENT_DRAINING},
    };

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;

        put_one(place, rows[i].kind, rows[i].intent, rows[i].by);
        set(place, rows[i].then, "moving groups");
        assert_true(is_there(place, rows[i].stays));
        assert_ok(ds_operation_end(place->path, &err), &err);
        assert_int_equal(is_there(place, NULL), strcmp(rows[i].stays, rows[i].then) != 0);
    }
}

static void who_leaves_it_unfinished_leaves_it_to_be_told(void **state)
{
    const struct place *place = *state;
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_operation_leave(place->path, &err), &err);
    put_one(place, "scale up a:1", DS_INTENT_JOINING, NULL);
    assert_ok(ds_operation_leave(place->path, &err), &err);
    assert_true(is_there(place, "scale up a:1"));
    put_one(place, "scale up a:1", DS_INTENT_OUT, NULL);
    assert_ok(ds_operation_leave(place->path, &err), &err);
    assert_false(is_there(place, NULL));
}

static void groups_in_place_end_a_dead_one_that_waited_for_them(void **state)
{
    const struct place *place = *state;
    DS_AUTO(str) char *dead = dead_process();
    const struct {
        const char *kind, *by;
        enum ds_intent intent;
        bool stays;
    } rows[] = {
        {"scale up a:1", dead, DS_INTENT_IN, false},
        {"drain a:1", dead, DS_INTENT_DRAINING, false},
        {"scale up a:1", dead, DS_INTENT_JOINING, true},
        {"scale down a:1", dead, DS_INTENT_DRAINING, true},
        {"scale up a:1", NULL, DS_INTENT_IN, true},
        {"groups move", dead, DS_INTENT_IN, true},
    };
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_operation_groups_done(place->path, &err), &err);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        put_one(place, rows[i].kind, rows[i].intent, rows[i].by);
        assert_ok(ds_operation_groups_done(place->path, &err), &err);
        assert_int_equal(is_there(place, NULL), rows[i].stays);
    }
}

static void tidying_takes_only_a_dead_one_that_is_over(void **unused)
{
    DS_AUTO(str) char *dead = dead_process();
    DS_AUTO(str) char *live = ds_process_name();
    const struct {
        const char *by;
        enum ds_intent intent;
        bool stays;
    } rows[] = {
        {dead, DS_INTENT_OUT, false},
        {dead, DS_INTENT_JOINING, true},
        {dead, DS_INTENT_IN, true}, /* its groups may be anywhere */
        {live, DS_INTENT_OUT, true},
    };

    (void)unused;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(state) struct ds_state state;

        ds_state_init(&state);
        ds_operation_tidy(&state);
        ds_state_add(&state, "a:1", 1)->intent = rows[i].intent;
        ds_set_str(&state.operation_kind, "scale up a:1");
        ds_set_str(&state.operation_by, rows[i].by);
        ds_operation_tidy(&state);
        assert_int_equal(state.operation_kind != NULL, rows[i].stays);
    }
}

static void only_a_process_of_this_host_is_known_to_be_dead(void **state)
{
    DS_AUTO(str) char *dead = dead_process();
    DS_AUTO(state) struct ds_state odd;

    (void)state;
    ds_state_init(&odd);
    assert_false(ds_operation_is_dead(&odd));
    ds_set_str(&odd.operation_by, "elsewhere:999999");
    assert_false(ds_operation_is_dead(&odd));
    ds_set_str(&odd.operation_by, "");
    assert_false(ds_operation_is_dead(&odd));
    ds_set_str(&odd.operation_by, dead);
    assert_true(ds_operation_is_dead(&odd));
}

static void a_file_that_is_not_there_or_bad_is_an_error_and_left_alone(void **state)
{
    const struct place *place = *state;
    struct ds_error err = DS_ERROR_INIT;
    struct stat st;

    assert_int_equal(ds_operation_set(place->path, "scale up", "x", &err), -1);
    assert_int_equal(err.code, DS_E_MISSING);
    assert_int_equal(stat(place->path, &st), -1);
    assert_ok(ds_operation_end(place->path, &err), &err);
    assert_ok(ds_operation_end_dead(place->path, "scale up", &err), &err);
    assert_ok(ds_file_replace(place->path, "{", 1, 0644, &err), &err);
    assert_int_equal(ds_operation_set(place->path, "scale up", "x", &err), -1);
    assert_int_equal(err.code, DS_E_FORMAT);
    assert_non_null(strstr(err.text, place->path));
    assert_int_equal(ds_operation_end(place->path, &err), -1);
    assert_int_equal(ds_operation_end_dead(place->path, "scale up", &err), -1);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_size, 1);
    assert_int_equal(ds_operation_set("/nonexistent/ring.json", "a", "b", &err), -1);
    assert_non_null(strstr(err.text, "/nonexistent"));
}

/* A file that no reader takes would be worse than no step. */
static void words_that_are_too_long_are_refused(void **state)
{
    const struct place *place = *state;
    struct ds_error err = DS_ERROR_INIT;
    char words[300];

    put_fresh(place);
    memset(words, 'x', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    assert_int_equal(ds_operation_set(place->path, "scale up", words, &err), -1);
    assert_int_equal(ds_operation_set(place->path, words, "x", &err), -1);
    words[200] = '\0';
    assert_ok(ds_operation_set(place->path, words, words, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(it_is_written_beside_what_is_there),
        IN_A_PLACE(the_next_step_keeps_since_when),
        IN_A_PLACE(another_kind_or_process_begins_anew),
        IN_A_PLACE(the_same_again_is_not_written),
        IN_A_PLACE(only_ones_own_is_ended),
        IN_A_PLACE(what_a_dead_process_left_can_be_ended),
        IN_A_PLACE(passes_leave_a_dead_one_alone_that_is_not_over),
        IN_A_PLACE(who_leaves_it_unfinished_leaves_it_to_be_told),
        IN_A_PLACE(groups_in_place_end_a_dead_one_that_waited_for_them),
        IN_A_PLACE(tidying_takes_only_a_dead_one_that_is_over),
        IN_A_PLACE(only_a_process_of_this_host_is_known_to_be_dead),
        IN_A_PLACE(a_file_that_is_not_there_or_bad_is_an_error_and_left_alone),
        IN_A_PLACE(words_that_are_too_long_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
