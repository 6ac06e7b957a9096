/* SPDX-License-Identifier: Apache-2.0 */
/* What an operation would do, and what it refuses before anything is changed; the rest is
   tried on real servers in tests/e2e/test_scale.py. */
#include "test.h"

#include "../../src/scale_impl.h"
#include "dshard/keeper.h"
#include "place.h"

static const int64_t NOW = 1764000000000;

struct fixture {
    struct place *place;
    char *config_path;
    struct ds_config config;
    struct ds_registry *registry;
    struct ds_scale scale;
};

static struct ds_server server(char letter, unsigned weight)
{
    struct ds_server result = {.weight = weight};

    snprintf(result.address, sizeof result.address, "127.0.0.1:%d", letter - 'a' + 1);
    return result;
}

/* The configuration has a, b and c; nobody listens at any of them. */
static void load(struct fixture *f, const char *more)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(10000);
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(10000);
    struct ds_error err = DS_ERROR_INIT;

    ds_buf_addf(&text,
                "state_file: %s\n%spushgateway:\n  servers:\n    - 127.0.0.1:1\n"
                "    - 127.0.0.1:2\n    - 127.0.0.1:3\n",
                f->place->path, more);
    f->config_path = ds_xasprintf("%s.yml", f->place->path);
    assert_ok(ds_file_replace(f->config_path, text.data, text.len, 0644, &err), &err);
    ds_config_init(&f->config);
    if (ds_config_load(&f->config, f->config_path, &complaints, &err) < 0)
        fail_msg("%s%s", complaints.data, err.text);
}

/* a, b and c are members; capitals are down. */
static void save(struct fixture *f, const char *letters)
{
    DS_AUTO(state) struct ds_state state;
    struct ds_server members[8];
    struct ds_error err = DS_ERROR_INIT;
    size_t n = strlen(letters), n_members = 0;

    ds_state_init(&state);
    for (size_t i = 0; i < n; i++) {
        bool down = letters[i] < 'a';
        struct ds_server one = server(down ? (char)(letters[i] + 32) : letters[i], 1);

        ds_state_add(&state, one.address, 1)->health.state =
            down ? DS_HEALTH_DOWN : DS_HEALTH_UP;
        if (!down)
            members[n_members++] = one;
    }
    assert_int_equal(
        ds_state_set_ring(&state, members, n_members, 500, DS_CAUSE_START, NOW, &err), 1);
    assert_ok(ds_state_save(&state, f->place->path, &err), &err);
}

static void begin(struct fixture *f, const char *letters, const char *more)
{
    struct ds_error err = DS_ERROR_INIT;

    load(f, more);
    save(f, letters);
    f->registry = ds_registry_new(&f->config, 50, &err);
    assert_ok(ds_scale_init(&f->scale, &f->config, f->registry, "scale to", &err), &err);
    f->scale.options.timeout_ms = 200;
}

static void add(struct fixture *f, char letter, unsigned weight)
{
    struct ds_server one = server(letter, weight);

    ds_scale_add(&f->scale, &one);
}

static void take_out(struct fixture *f, char letter)
{
    struct ds_server one = server(letter, 1);

    ds_scale_remove(&f->scale, &one);
}

/* "a1 b1 d2": the members that there would be, with their weights. */
static void assert_after(struct fixture *f, const char *wanted)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1000);
    DS_AUTO(ptr) void *list = NULL;
    struct ds_server *members;
    size_t n;

    members = list = ds_scale_members_after(&f->scale, &f->scale.known, &n);
    for (size_t i = 0; i < n; i++)
        ds_buf_addf(&text, "%s%c%u", i ? " " : "",
                    'a' - '1' + members[i].address[strlen("127.0.0.1:")],
                    members[i].weight);
    assert_string_equal(text.data, wanted);
}

static void assert_refused(struct fixture *f, enum ds_code code, const char *words)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_int_equal(ds_scale_check(&f->scale, &err), -1);
    assert_int_equal(err.code, code);
    if (!strstr(err.text, words))
        fail_msg("'%s' is not in '%s'", words, err.text);
}

static void members_come_and_go(void **test)
{
    struct fixture *f = *test;

    begin(f, "abc", "");
    assert_after(f, "a1 b1 c1");
    add(f, 'e', 1);
    add(f, 'd', 3);
    assert_after(f, "a1 b1 c1 d3 e1");
    take_out(f, 'b');
    take_out(f, 'z');
    assert_after(f, "a1 c1 d3 e1");
    add(f, 'c', 2); /* a member that gets another weight */
    assert_after(f, "a1 c2 d3 e1");
}

static void who_is_down_is_no_member_afterwards(void **test)
{
    struct fixture *f = *test;

    begin(f, "aBc", "");
    assert_after(f, "a1 c1");
    take_out(f, 'a');
    take_out(f, 'c');
    assert_after(f, "");
}

static void it_knows_who_is_new(void **test)
{
    static const struct {
        enum ds_intent was;
        bool is_newcomer;
    } rows[] = {{DS_INTENT_IN, false},
                {DS_INTENT_JOINING, true},
                {DS_INTENT_DRAINING, false},
                {DS_INTENT_OUT, true}};
    struct fixture *f = *test;

    begin(f, "abc", "");
    add(f, 'a', 1);
    add(f, 'd', 1);
    assert_int_equal(f->scale.add[0].was, DS_INTENT_IN);
    assert_int_equal(f->scale.add[1].was, DS_INTENT_OUT);
    assert_false(f->scale.add[1].known);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_scale_server one = {.was = rows[i].was};

        assert_int_equal(ds_scale_is_newcomer(&one), rows[i].is_newcomer);
    }
}

static void a_stranger_cannot_go(void **test)
{
    struct fixture *f = *test;

    begin(f, "abc", "");
    take_out(f, 'd');
    f->scale.options.force = true;
    assert_refused(f, DS_E_FAILED, "'127.0.0.1:4' is not registered");
}

static void too_few_may_not_remain(void **test)
{
    struct fixture *f = *test;

    begin(f, "abC", "ring: {min_healthy: 2}\n");
    take_out(f, 'a');
    assert_refused(f, DS_E_REFUSED, "1 healthy server would remain");
    /* Who comes counts, and so the next check is asked. */
    add(f, 'd', 1);
    assert_refused(f, DS_E_TEMP, "127.0.0.1:4");
}

static void whoever_is_down_already_is_no_loss(void **test)
{
    struct fixture *f = *test;

    begin(f, "aBC", "ring: {min_healthy: 2}\n");
    take_out(f, 'b');
    assert_refused(f, DS_E_REFUSED, "127.0.0.1:2 does not answer");
}

static void somebody_must_stay(void **test)
{
    struct fixture *f = *test;

    begin(f, "abc", "");
    take_out(f, 'a');
    take_out(f, 'b');
    take_out(f, 'c');
    f->scale.options.force = true;
    assert_refused(f, DS_E_FAILED, "no server would be left");
}

static void adopting_and_wiping_exclude_each_other(void **test)
{
    struct fixture *f = *test;

    begin(f, "abc", "");
    f->scale.options.adopt = f->scale.options.wipe = true;
    assert_refused(f, DS_E_USAGE, "--adopt and --wipe");
}

static void a_configuration_that_cannot_be_edited_is_found_first(void **test)
{
    struct fixture *f = *test;
    struct ds_error err = DS_ERROR_INIT;

    begin(f, "abc", "");
    add(f, 'd', 1);
    assert_ok(ds_file_replace(f->config_path, "pushgateway: 7\n", 15, 0644, &err), &err);
    assert_refused(f, DS_E_CONFIG, f->config_path);
}

static int setup(void **test)
{
    struct fixture *f = ds_xcalloc(1, sizeof *f);
    void *place;

    if (make_place(&place) < 0)
        return -1;
    f->place = place;
    *test = f;
    return 0;
}

static int teardown(void **test)
{
    struct fixture *f = *test;
    void *place = f->place;

    ds_scale_release(&f->scale);
    f->registry->ops->free(f->registry);
    ds_config_release(&f->config);
    unlink(f->config_path);
    free(f->config_path);
    free(f);
    return remove_place(&place);
}

#define WITH(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- what was there when it began ---- */

/* Two groups whose names differ only behind a NUL byte. */
static void the_census_keeps_whole_names(void **state)
{
    static const char names[][13] = {"job\xff"
                                     "a\xff"
                                     "x\xff"
                                     "n\0l1",
                                     "job\xff"
                                     "a\xff"
                                     "x\xff"
                                     "n\0l2"};
    DS_AUTO(mover_report) struct ds_mover_report report;
    DS_AUTO(census) struct ds_census census = {0};
    struct ds_inventory *inventory;

    (void)state;
    ds_mover_report_init(&report);
    report.n_servers = 1;
    report.servers = ds_xcalloc(1, sizeof *report.servers);
    report.inventories = inventory = ds_xcalloc(1, sizeof *inventory);
    ds_inventory_init(inventory, "10.0.0.1:9091");
    inventory->n = DS_COUNT(names);
    inventory->groups = ds_xcalloc(inventory->n, sizeof *inventory->groups);
    for (size_t i = 0; i < inventory->n; i++)
        inventory->groups[i] =
            (struct ds_group){.identity = ds_xmemdup(names[i], sizeof names[i] - 1),
                              .identity_len = sizeof names[i] - 1,
                              .pushed_us = 1};
    ds_scale_take_census(&census, &report);
    assert_int_equal(census.n, DS_COUNT(names));
    for (size_t i = 0; i < census.n; i++) {
        assert_int_equal(census.groups[i].identity_len, sizeof names[i] - 1);
        assert_memory_equal(census.groups[i].identity, names[i], sizeof names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(members_come_and_go),
        WITH(who_is_down_is_no_member_afterwards),
        WITH(it_knows_who_is_new),
        WITH(a_stranger_cannot_go),
        WITH(too_few_may_not_remain),
        WITH(whoever_is_down_already_is_no_loss),
        WITH(somebody_must_stay),
        WITH(adopting_and_wiping_exclude_each_other),
        WITH(a_configuration_that_cannot_be_edited_is_found_first),
        cmocka_unit_test(the_census_keeps_whole_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
