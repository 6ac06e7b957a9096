/* SPDX-License-Identifier: Apache-2.0 */
/* What a pass tells: where each group is, what is left of it, and when the next one is
   due.  What it does is tested with real servers, tests/e2e/test_groups_move.py. */
#include "../../src/mover_impl.h"
#include "dshard/clock.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "report.h"

/* The groups of these fleets: "a" is B's by right, "b" is A's, "c" is C's. */
static struct ds_mover_report *report_of(struct fleet *fleet, const char *a,
                                         const char *b, const char *c)
{
    fleet_start(fleet);
    fleet_add(fleet,
              "job\xff"
              "a",
              fleet_hash(fleet, B), 0, a);
    fleet_add(fleet,
              "job\xff"
              "b",
              fleet_hash(fleet, A), 0, b);
    fleet_add(fleet,
              "job\xff"
              "c",
              fleet_hash(fleet, C), 0, c);
    return report_take(fleet);
}

static const struct ds_group *group_at(const struct ds_mover_report *report,
                                       size_t server, const char *identity)
{
    const struct ds_group *group =
        ds_inventory_find(&report->inventories[server], identity, strlen(identity));

    assert_non_null(group);
    return group;
}

/* "A" where it lies, "A:B" and belongs to B, "A-" a copy beaten by another. */
static void assert_places(const struct ds_mover_report *report, const char *wanted)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1024);
    size_t n;
    DS_AUTO(ptr) void *list = ds_mover_places(report, &n);
    const struct ds_mover_place *places = list;

    for (size_t i = 0; i < n; i++) {
        ds_buf_addf(&text, "%s%c%c", i ? " " : "",
                    places[i].group->identity[places[i].group->identity_len - 1],
                    (char)('A' + (int)places[i].server));
        if (places[i].misplaced)
            ds_buf_addf(&text, ":%c", (char)('A' + (int)places[i].owner));
        if (places[i].beaten)
            ds_buf_addc(&text, '-');
    }
    assert_string_equal(text.data, wanted);
}

static void assert_counts(struct ds_mover_report *report, size_t n_groups,
                          size_t n_misplaced, size_t n_copies)
{
    ds_mover_report_count(report);
    assert_int_equal(report->n_groups, n_groups);
    assert_int_equal(report->n_misplaced, n_misplaced);
    assert_int_equal(report->n_copies, n_copies);
}

static void places_come_by_group_and_server(void **state)
{
    struct fleet fleet;
    struct ds_mover_report *report =
        report_of(&fleet, "C x@-10; A x@-20", "A x@-5", "B x@-9; C x@-30");

    (void)state;
    assert_places(report, "aA:B- aC:B bA cB:C- cC");
    assert_counts(report, 3, 2, 2);
    assert_int_equal(report->servers[A].n_groups, 2);
    assert_int_equal(report->servers[A].n_misplaced, 1);
    assert_int_equal(report->servers[A].n_copies, 1);
    assert_int_equal(report->servers[D].n_groups, 0);
    assert_false(ds_mover_is_done(report, DS_PLAN_MOVE));
    assert_false(ds_mover_is_done(report, DS_PLAN_DEDUPE));
    report_end(&fleet, report);
}

static void what_the_pass_did_counts(void **state)
{
    struct fleet fleet;
    struct ds_mover_report *report =
        report_of(&fleet, "A x@-10", "A x@-5", "B x@-9; C x@-30");

    (void)state;
    ds_mover_report_made(report, B,
                         group_at(report, A,
                                  "job\xff"
                                  "a"));
    assert_places(report, "aA:B- aB bA cB:C- cC");
    ds_mover_report_gone(report, A,
                         group_at(report, A,
                                  "job\xff"
                                  "a"));
    ds_mover_report_gone(report, B,
                         group_at(report, B,
                                  "job\xff"
                                  "c"));
    assert_places(report, "aB bA cC");
    assert_counts(report, 3, 0, 0);
    assert_int_equal(report->servers[B].n_groups, 1);
    assert_true(ds_mover_is_done(report, DS_PLAN_MOVE));
    report_end(&fleet, report);
}

static void a_copy_made_where_a_phantom_lay_is_one(void **state)
{
    struct fleet fleet;
    struct ds_mover_report *report =
        report_of(&fleet, "A x@-10; B fail@-3", "A x@-5", "C x@-30");

    (void)state;
    assert_places(report, "aA:B aB- bA cC");
    ds_mover_report_made(report, B,
                         group_at(report, A,
                                  "job\xff"
                                  "a"));
    ds_mover_report_gone(report, A,
                         group_at(report, A,
                                  "job\xff"
                                  "a"));
    assert_places(report, "aB bA cC");
    assert_counts(report, 3, 0, 0);
    report_end(&fleet, report);
}

static void nothing_that_counts_is_on_a_server_about_to_come_in(void **state)
{
    struct fleet fleet;
    struct ds_mover_report *report =
        report_of(&fleet, "A x@-10; D x@-1", "D x@-5", "C x@-30; D x@-1");

    (void)state;
    report->servers[D].intent = DS_INTENT_JOINING;
    assert_places(report, "aA:B aD:B- bD:A cC cD:C-");
    report->servers[D].intent = DS_INTENT_DRAINING;
    assert_places(report, "aA:B- aD:B bD:A cC cD:C-");
    report_end(&fleet, report);
}

static void who_is_no_member_settles_unless_it_drains(void **state)
{
    struct ds_mover_server server = {.intent = DS_INTENT_JOINING};

    (void)state;
    assert_true(ds_mover_settles(&server));
    server.intent = DS_INTENT_IN; /* held */
    assert_true(ds_mover_settles(&server));
    server.intent = DS_INTENT_DRAINING;
    assert_false(ds_mover_settles(&server));
    server = (struct ds_mover_server){.intent = DS_INTENT_IN, .member = true};
    assert_false(ds_mover_settles(&server));
}

static void without_a_ring_nothing_is_misplaced(void **state)
{
    struct fleet fleet;
    struct ds_mover_report *report =
        report_of(&fleet, "A x@-10; B x@-1", "D x@-5", "C x@-30");

    (void)state;
    ds_ring_free(report->ring);
    report->ring = NULL;
    assert_places(report, "aA- aB bD cC");
    assert_counts(report, 3, 0, 1);
    report_end(&fleet, report);
}

static void a_server_is_found_by_its_whole_address(void **state)
{
    struct fleet fleet;
    struct ds_mover_report *report = report_of(&fleet, "A x@-10", "A x@-5", "C x@-30");
    struct ds_mover_report empty;

    (void)state;
    ds_mover_report_init(&empty);
    assert_null(ds_mover_report_find(&empty, report->servers[A].address));
    for (size_t i = 0; i < FLEET; i++)
        assert_ptr_equal(ds_mover_report_find(report, report->servers[i].address),
                         &report->servers[i]);
    assert_null(ds_mover_report_find(report, "10.0.0.1"));
    assert_null(ds_mover_report_find(report, "10.0.0.1:90910"));
    assert_null(ds_mover_report_find(report, "10.0.0.9:9091"));
    assert_null(ds_mover_report_find(report, ""));
    report_end(&fleet, report);
}

static void what_is_left_by_wish_is_in_place(void **state)
{
    struct fleet fleet;
    struct ds_mover_report *report = report_of(&fleet, "A x@-10", "A x@-5", "C x@-30");

    (void)state;
    assert_counts(report, 3, 1, 0);
    assert_false(ds_mover_is_done(report, DS_PLAN_MOVE));
    assert_true(ds_mover_is_done(report, DS_PLAN_DEDUPE));
    report->plan.n_left = 1;
    assert_true(ds_mover_is_done(report, DS_PLAN_MOVE));
    report_end(&fleet, report);
}

static void a_refusal_outlives_the_pass_and_is_about_one_way(void **state)
{
    struct fleet fleet;
    struct ds_mover_report *report = report_of(&fleet, "A x@-10", "A x@-5", "C x@-30");
    const struct ds_group group = {.identity = (char[]){"job\xff"
                                                        "a\0b"},
                                   .identity_len = 7};
    struct ds_move move = {.group = &group, .from = A, .to = B};
    struct ds_mover mover = {.report = report};
    struct ds_mover_server *servers;

    (void)state;
    ds_mover_refuse(&mover, &move, "PUT http://b: 400: no");
    servers = report->servers;
    report->servers = NULL; /* for the next pass */
    for (size_t i = 0; i < FLEET; i++)
        ds_inventory_release(&report->inventories[i]);
    report->n_servers = 0;
    ds_mover_report_clear(report);
    assert_int_equal(report->n_refusals, 1);
    assert_memory_equal(report->refusals[0].identity, group.identity, 7);
    report->servers = servers;
    report->n_servers = FLEET;
    report->inventories = ds_xcalloc(FLEET, sizeof *report->inventories);
    assert_true(ds_mover_report_has_refused(report, &move));
    move.to = C;
    assert_false(ds_mover_report_has_refused(report, &move));
    report_end(&fleet, report);
}

static void the_pause_grows_with_reading_and_ends_when_something_is_due(void **state)
{
    struct ds_mover_report report;

    (void)state;
    ds_mover_report_init(&report);
    assert_int_equal(ds_mover_pause_ms(&report), 1000);
    report.read_ms = 800;
    assert_int_equal(ds_mover_pause_ms(&report), 3200);
    report.plan.due_ms = ds_clock_wall_ms() + 60000;
    assert_int_equal(ds_mover_pause_ms(&report), 3200);
    report.plan.due_ms = ds_clock_wall_ms() + 2000;
    assert_in_range(ds_mover_pause_ms(&report), 200, 2000);
    report.plan.due_ms = 1;
    assert_int_equal(ds_mover_pause_ms(&report), 200);
}

static void a_guard_is_a_family_with_one_series_twice(void **state)
{
    struct ds_payload payload = {.body = DS_BUF_INIT(1024),
                                 .content_type = DS_PAYLOAD_PROTOBUF};

    (void)state;
    ds_mover_guard(&payload);
    assert_int_equal(payload.body.len, 1 + payload.body.data[0]);
    assert_memory_equal(payload.body.data + 3, "push_failure_time_seconds", 25);
    assert_memory_equal(payload.body.data + 30, payload.body.data + 43, 13);
    ds_buf_clear(&payload.body);
    payload.content_type = DS_PAYLOAD_TEXT;
    ds_mover_guard(&payload);
    assert_string_equal(payload.body.data,
                        "# TYPE push_failure_time_seconds gauge\n"
                        "push_failure_time_seconds 0\npush_failure_time_seconds 0\n");
    ds_buf_release(&payload.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_come_by_group_and_server),
        cmocka_unit_test(what_the_pass_did_counts),
        cmocka_unit_test(a_copy_made_where_a_phantom_lay_is_one),
        cmocka_unit_test(nothing_that_counts_is_on_a_server_about_to_come_in),
        cmocka_unit_test(who_is_no_member_settles_unless_it_drains),
        cmocka_unit_test(without_a_ring_nothing_is_misplaced),
        cmocka_unit_test(a_server_is_found_by_its_whole_address),
        cmocka_unit_test(what_is_left_by_wish_is_in_place),
        cmocka_unit_test(a_refusal_outlives_the_pass_and_is_about_one_way),
        cmocka_unit_test(the_pause_grows_with_reading_and_ends_when_something_is_due),
        cmocka_unit_test(a_guard_is_a_family_with_one_series_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
