/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "place.h"
#include "state_text.h"

#include <sys/stat.h>

enum { NAME_LEN = 253 };

static void add_names(char (**out)[DS_ADDRESS_MAX], size_t *n_out, const char *a,
                      const char *b)
{
    *n_out = b ? 2 : 1;
    *out = ds_xcalloc(*n_out, sizeof **out);
    memcpy((*out)[0], a, strlen(a) + 1);
    if (b)
        memcpy((*out)[1], b, strlen(b) + 1);
}

static struct ds_health *add(struct ds_state *state, const char *address, unsigned weight,
                             enum ds_intent intent, enum ds_health_state health)
{
    struct ds_standing *standing = ds_state_add(state, address, weight);

    standing->intent = intent;
    standing->health.state = health;
    return &standing->health;
}

static void add_servers(struct ds_state *state)
{
    struct ds_health *health;

    health = add(state, "pg-5.example:80", 100, DS_INTENT_OUT, DS_HEALTH_NEW);
    health = add(state, "pg-4.example:80", 1, DS_INTENT_JOINING, DS_HEALTH_NEW);
    health = add(state, "pg-3.example:9091", 1, DS_INTENT_DRAINING, DS_HEALTH_UP);
    health->since_ms = 1764000000000;
    snprintf(health->why, sizeof health->why, "odd \"why\" \\ \xC3\xA9");
    health = add(state, "[2001:db8::1]:9091", 1, DS_INTENT_IN, DS_HEALTH_HELD);
    health->since_ms = 1764000003000;
    health->hold_until_ms = 1764000013000;
    health->flaps[health->n_flaps++] = 1764000001500;
    health = add(state, "10.0.0.2:9091", 1, DS_INTENT_IN, DS_HEALTH_DOWN);
    health->since_ms = 1764000002000;
    health->flaps[health->n_flaps++] = 1764000002000;
    health->flaps[health->n_flaps++] = 1763999000000;
    snprintf(health->why, sizeof health->why, "connect: refused");
    health = add(state, "10.0.0.1:9091", 2, DS_INTENT_IN, DS_HEALTH_UP);
    health->since_ms = 1764000001000;
}

static void add_history(struct ds_state *state)
{
    state->n_history = 2;
    state->history[0] = (struct ds_change){.at_ms = 1764000003000,
                                           .cause = DS_CAUSE_WEIGHT,
                                           .generation = 7,
                                           .moved_ppm = 1000000};
    state->history[1] = (struct ds_change){.at_ms = 1764000001000,
                                           .cause = DS_CAUSE_HEALTH,
                                           .generation = 6,
                                           .moved_ppm = 210345};
    add_names(&state->history[1].added, &state->history[1].n_added, "10.0.0.2:9091",
              NULL);
    add_names(&state->history[1].removed, &state->history[1].n_removed,
              "[2001:db8::1]:9091", "pg-3.example:9091");
}

/* What tests/data/state/full.json says. */
static void fill(struct ds_state *state)
{
    static const char *const members[] = {"10.0.0.1:9091", "10.0.0.2:9091"};

    ds_state_init(state);
    add_servers(state);
    add_history(state);
    for (size_t i = 0; i < DS_COUNT(members); i++) {
        struct ds_standing *standing = ds_state_find(state, members[i]);

        standing->member = true;
        standing->ring_weight = standing->server.weight;
    }
    state->replicas = 400;
    memcpy(state->scheme, "https", sizeof "https");
    ds_set_str(&state->route_prefix, "/push");
    ds_set_str(&state->frozen_reason, "1 of 3 servers are up, 2 are needed");
    state->frozen_since_ms = 1764000002000;
    ds_set_str(&state->operation_kind, "scale up");
    ds_set_str(&state->operation_step, "move");
    ds_set_str(&state->operation_by, "host:43");
    state->operation_since_ms = 1764000004000;
    state->generation = 7;
    memcpy(state->digest, "fbc61b21d5c7c81f", sizeof state->digest);
    state->consul = true;
    state->checked_at_ms = 1764000030000;
    state->written_at_ms = 1764000030001;
    ds_set_str(&state->written_by, "host:42 dshard/1.0");
}

static void assert_text(const struct ds_state *state, const char *path)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100000), want = DS_BUF_INIT(0);

    ds_state_format(state, &text);
    read_text(&want, path);
    assert_string_equal(text.data, want.data);
}

static void the_text_is_the_golden_one(void **test)
{
    DS_AUTO(state) struct ds_state full, empty;

    (void)test;
    fill(&full);
    assert_text(&full, STATE_FULL);
    ds_state_init(&empty);
    empty.written_at_ms = 1;
    assert_text(&empty, STATE_EMPTY);
}

static void what_was_read_is_written_back(void **test)
{
    static const char *const paths[] = {STATE_FULL, STATE_EMPTY};

    (void)test;
    for (size_t i = 0; i < DS_COUNT(paths); i++) {
        DS_AUTO(state) struct ds_state state = {0};
        struct ds_error err = DS_ERROR_INIT;

        assert_ok(ds_state_load(&state, paths[i], &err), &err);
        assert_text(&state, paths[i]);
    }
}

/* Field by field, so that a mistake that reading and writing share is seen. */
static void every_field_is_read(void **test)
{
    DS_AUTO(state) struct ds_state state = {0};
    struct ds_error err = DS_ERROR_INIT;
    const struct ds_standing *one;

    (void)test;
    assert_ok(ds_state_load(&state, STATE_FULL, &err), &err);
    assert_int_equal(state.n_servers, 6);
    assert_int_equal(state.generation, 7);
    assert_int_equal(state.replicas, 400);
    assert_string_equal(state.scheme, "https");
    assert_string_equal(state.route_prefix, "/push");
    assert_string_equal(state.frozen_reason, "1 of 3 servers are up, 2 are needed");
    assert_int_equal(state.frozen_since_ms, 1764000002000);
    assert_string_equal(state.operation_kind, "scale up");
    assert_string_equal(state.operation_step, "move");
    assert_string_equal(state.operation_by, "host:43");
    assert_int_equal(state.operation_since_ms, 1764000004000);
    assert_string_equal(state.digest, "fbc61b21d5c7c81f");
    assert_true(state.consul);
    assert_int_equal(state.checked_at_ms, 1764000030000);
    assert_int_equal(state.written_at_ms, 1764000030001);
    assert_string_equal(state.written_by, "host:42 dshard/1.0");
    one = ds_state_find(&state, "10.0.0.1:9091");
    assert_int_equal(one->server.weight, 2);
    assert_int_equal(one->ring_weight, 2);
    assert_true(one->member);
    one = ds_state_find(&state, "[2001:db8::1]:9091");
    assert_int_equal(one->health.state, DS_HEALTH_HELD);
    assert_int_equal(one->health.hold_until_ms, 1764000013000);
    assert_int_equal(one->health.flaps[0], 1764000001500);
    assert_int_equal(one->ring_weight, 0);
    assert_int_equal(state.servers[3].intent, DS_INTENT_DRAINING);
    assert_int_equal(state.servers[4].intent, DS_INTENT_JOINING);
    assert_int_equal(state.servers[5].intent, DS_INTENT_OUT);
    assert_int_equal(state.n_history, 2);
    assert_int_equal(state.history[1].moved_ppm, 210345);
    assert_string_equal(state.history[1].removed[1], "pg-3.example:9091");
}

static void the_text_is_appended(void **test)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100000);
    DS_AUTO(state) struct ds_state state;

    (void)test;
    ds_state_init(&state);
    ds_buf_adds(&text, "before ");
    ds_state_format(&state, &text);
    assert_memory_equal(text.data, "before {", 8);
}

static void long_name(char out[DS_ADDRESS_MAX], size_t i)
{
    size_t at = 0;

    while (at < NAME_LEN)
        at += (size_t)snprintf(out + at, DS_ADDRESS_MAX - at, "%sn%06zu%.*s",
                               at ? "." : "", i, NAME_LEN - at > 63 ? 55 : 5,
                               "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabc");
    snprintf(out + NAME_LEN, DS_ADDRESS_MAX - NAME_LEN, ":65535");
}

/* The largest of everything that can be. */
static void fill_to_the_brim(struct ds_state *state, const char *why_byte)
{
    struct ds_server members[DS_SERVERS_MAX];
    struct ds_error err = DS_ERROR_INIT;

    ds_state_init(state);
    for (size_t i = 0; i < DS_SERVERS_MAX; i++) {
        struct ds_health *health;

        memset(&members[i], 0, sizeof members[i]);
        long_name(members[i].address, i);
        members[i].weight = 100;
        health = &ds_state_add(state, members[i].address, 100)->health;
        health->n_flaps = DS_FLAPS_MAX;
        for (size_t k = 0; k < DS_FLAPS_MAX; k++)
            health->flaps[k] = INT64_C(1) << 53;
        while (strlen(health->why) + strlen(why_byte) < DS_WHY_MAX)
            memcpy(health->why + strlen(health->why), why_byte, strlen(why_byte) + 1);
    }
    for (size_t i = 0; i < DS_HISTORY_MAX; i++)
        assert_int_equal(ds_state_set_ring(state, members, i % 2 ? 0 : DS_SERVERS_MAX, 1,
                                           DS_CAUSE_OPERATOR, 1764000000000, &err),
                         1);
    assert_int_equal(state->n_history, DS_HISTORY_MAX);
}

/* What fits loads, and has the newest changes; the oldest have made room. */
static void a_long_history_makes_room_for_the_servers(void **test)
{
    static const char *const bytes[] = {"x", "\"", "\xE2\x82\xAC"};

    (void)test;
    for (size_t i = 0; i < DS_COUNT(bytes); i++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
        DS_AUTO(state) struct ds_state state, again = {0};
        struct ds_error err = DS_ERROR_INIT;

        fill_to_the_brim(&state, bytes[i]);
        ds_state_format(&state, &text);
        assert_ok(ds_buf_check(&text, "the state", &err), &err);
        assert_ok(ds_state_parse(&again, text.data, text.len, &err), &err);
        assert_int_equal(again.n_servers, DS_SERVERS_MAX);
        assert_in_range(again.n_history, 2, DS_HISTORY_MAX - 1);
        for (size_t k = 0; k < again.n_history; k++)
            assert_int_equal(again.history[k].generation, DS_HISTORY_MAX - k);
    }
}

static void a_file_larger_than_the_limit_is_not_read(void **test)
{
    const struct place *place = *test;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX + 10);
    DS_AUTO(state) struct ds_state state = {0};
    struct ds_error err = DS_ERROR_INIT;

    ds_buf_adds(&text, "{");
    while (text.len <= DS_STATE_BYTES_MAX)
        ds_buf_addc(&text, ' ');
    assert_ok(ds_file_replace(place->path, text.data, text.len, 0644, &err), &err);
    assert_int_equal(ds_state_load(&state, place->path, &err), -1);
    assert_int_equal(err.code, DS_E_FORMAT);
    assert_non_null(strstr(err.text, "is larger than 4194304 bytes"));
    assert_non_null(strstr(err.text, place->path));
}

static void a_saved_state_is_loaded_again(void **test)
{
    const struct place *place = *test;
    DS_AUTO(state) struct ds_state state, again = {0};
    struct ds_error err = DS_ERROR_INIT;
    struct stat st;

    fill(&state);
    assert_ok(ds_state_save(&state, place->path, &err), &err);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_ok(ds_state_load(&again, place->path, &err), &err);
    assert_text(&again, STATE_FULL);
}

static void a_state_that_cannot_be_written_says_where(void **test)
{
    DS_AUTO(state) struct ds_state state;
    struct ds_error err = DS_ERROR_INIT;

    (void)test;
    ds_state_init(&state);
    assert_int_equal(ds_state_save(&state, "/nonexistent/ring.json", &err), -1);
    assert_non_null(strstr(err.text, "/nonexistent/"));
}

/* It would not be read back: better none than that, and the old file stays. */
static void a_state_that_is_not_utf8_is_not_written(void **test)
{
    const struct place *place = *test;
    struct ds_error err = DS_ERROR_INIT;

    for (int i = 0; i < 3; i++) {
        DS_AUTO(state) struct ds_state state;

        ds_state_init(&state);
        if (i == 0)
            ds_set_str(&state.written_by, "\xFF");
        else if (i == 1)
            ds_set_str(&state.operation_kind, "\xC3");
        else
            memcpy(ds_state_add(&state, "a:1", 1)->health.why, "\xFF", 2);
        assert_int_equal(ds_state_save(&state, place->path, &err), -1);
        assert_non_null(strstr(err.text, "the state is"));
        assert_int_equal(count_entries(place->dir), 0);
    }
}

static void loading_wraps_the_error_with_the_path(void **test)
{
    const struct place *place = *test;
    DS_AUTO(state) struct ds_state state = {0};
    struct ds_error err = DS_ERROR_INIT;
    char want[200];

    assert_int_equal(ds_state_load(&state, place->path, &err), -1);
    assert_int_equal(err.code, DS_E_MISSING);
    ds_state_release(&state);
    assert_ok(ds_file_replace(place->path, "{}", 2, 0644, &err), &err);
    assert_int_equal(ds_state_load(&state, place->path, &err), -1);
    snprintf(want, sizeof want, "'%s': \"format\" is missing or no whole number",
             place->path);
    assert_string_equal(err.text, want);
    assert_int_equal(state.replicas, DS_REPLICAS_DEFAULT);
}

static void the_stamp_says_who_and_when(void **test)
{
    DS_AUTO(state) struct ds_state state;
    char want[64];

    (void)test;
    ds_state_init(&state);
    ds_state_stamp(&state, 1764000000123);
    assert_int_equal(state.written_at_ms, 1764000000123);
    snprintf(want, sizeof want, ":%ld dshard/%s", (long)getpid(), DS_VERSION);
    assert_non_null(strstr(state.written_by, want));
    assert_true(state.written_by[0] != ':');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_the_golden_one),
        cmocka_unit_test(what_was_read_is_written_back),
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(the_text_is_appended),
        cmocka_unit_test(a_long_history_makes_room_for_the_servers),
        IN_A_PLACE(a_file_larger_than_the_limit_is_not_read),
        IN_A_PLACE(a_saved_state_is_loaded_again),
        cmocka_unit_test(a_state_that_cannot_be_written_says_where),
        IN_A_PLACE(a_state_that_is_not_utf8_is_not_written),
        IN_A_PLACE(loading_wraps_the_error_with_the_path),
        cmocka_unit_test(the_stamp_says_who_and_when),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
