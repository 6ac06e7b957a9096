/* SPDX-License-Identifier: Apache-2.0 */
/* Which groups are to be deleted.  How is tested with real servers,
   tests/e2e/test_groups_delete.py. */
#include "dshard/remover.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "report.h"

static const int64_t HOUR_MS = 3600000;

enum { TOLD_MAX = 256 };

/* One group, which B owns; where its copies are that are chosen: "AB", "" for none. */
static void assert_chosen(const struct ds_mover_report *report, int64_t older_than_ms,
                          const char *wanted)
{
    size_t n_places, n;
    DS_AUTO(ptr) void *places = ds_mover_places(report, &n_places);
    DS_AUTO(ptr)
    void *list = ds_remover_choose(report, places, n_places, older_than_ms, NOW_MS, &n);
    const struct ds_removal *removals = list;
    char told[TOLD_MAX] = "";
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < removals[i].n_copies; k++)
            told[at++] = (char)('A' + (int)removals[i].copies[k].server);
        if (removals[i].end == DS_REMOVAL_UNNAMED)
            told[at++] = '!';
    }
    assert_string_equal(told, wanted);
}

static void assert_old(const char *copies, const char *wanted)
{
    struct fleet fleet;
    struct ds_mover_report *report;

    fleet_start(&fleet);
    fleet_add(&fleet, "job\xffx", fleet_hash(&fleet, B), 0, copies);
    report = report_take(&fleet);
    assert_chosen(report, HOUR_MS, wanted);
    report_end(&fleet, report);
}

static void a_group_is_as_old_as_its_newest_copy(void **test)
{
    (void)test;
    assert_old("B x@-3601", "B");
    assert_old("B x@-3600", "");
    assert_old("A x@-3601", "A");
    assert_old("A x@-9000; B x@-3601; D x@-5000", "ABD");
    assert_old("A x@-9000; B x@-3599", "");
    assert_old("A x@-10; B x@-9000", "");
    assert_old("B x@-9000 y@-10", ""); /* the time of the last push counts */
}

static void a_failure_counts_where_no_push_worked(void **test)
{
    (void)test;
    assert_old("B fail@-3601", "B");
    assert_old("B fail@-3599", "");
    assert_old("A fail@-3601; B fail@-10", "");
    assert_old("B x@-3601 fail@-10", "B");
    assert_old("A x@-3601; B fail@-10", "AB");
    assert_old("B", ""); /* no time is told */
}

static void a_time_in_the_future_is_never_old(void **test)
{
    (void)test;
    assert_old("B x@10", "");
    assert_old("A x@3600; B x@-9000", "");
    assert_old("A x@-9000; B x@999999999", "");
}

static void the_clock_of_the_server_counts(void **test)
{
    struct fleet fleet;
    struct ds_mover_report *report;

    (void)test;
    fleet_start(&fleet);
    fleet_add(&fleet, "job\xffx", fleet_hash(&fleet, B), 0, "B x@-3601");
    report = report_take(&fleet);
    /* Its clock is behind: that was a minute later by ours. */
    report->inventories[B].skew_least_ms = -61000;
    report->inventories[B].skew_most_ms = -59000;
    assert_chosen(report, HOUR_MS, "");
    report->inventories[B].skew_least_ms = 59000;
    report->inventories[B].skew_most_ms = 61000;
    assert_chosen(report, HOUR_MS + 50000, "B");
    report_end(&fleet, report);
}

static void a_silent_owner_may_have_a_newer_copy(void **test)
{
    struct fleet fleet;
    struct ds_mover_report *report;

    (void)test;
    fleet_start(&fleet);
    fleet_add(&fleet, "job\xffx", fleet_hash(&fleet, B), 0, "A x@-9000");
    report = report_take(&fleet);
    report->servers[B].reached = false;
    assert_chosen(report, HOUR_MS, "");
    assert_chosen(report, 0, "A"); /* asked for by name */
    report->servers[B].reached = true;
    report->servers[C].reached = false;
    assert_chosen(report, HOUR_MS, "A");
    ds_ring_free(report->ring);
    report->ring = NULL; /* nobody owns anything */
    assert_chosen(report, HOUR_MS, "A");
    report_end(&fleet, report);
}

static void without_an_age_all_are_chosen(void **test)
{
    struct fleet fleet;
    struct ds_mover_report *report;

    (void)test;
    fleet_start(&fleet);
    fleet_add(&fleet, "job\xffx", fleet_hash(&fleet, B), 0, "A x@10; B x@-1; C fail@0");
    fleet_add(&fleet, "job\xffy", fleet_hash(&fleet, B), 0, "D");
    report = report_take(&fleet);
    assert_chosen(report, 0, "ABCD");
    report_end(&fleet, report);
    fleet_start(&fleet);
    report = report_take(&fleet);
    assert_chosen(report, 0, "");
    report_end(&fleet, report);
}

static void what_no_url_can_say_is_known_before(void **test)
{
    struct fleet fleet;
    struct ds_mover_report *report;

    (void)test;
    fleet_start(&fleet);
    fleet_add(&fleet,
              "a.b\xff"
              "1\xffjob\xffx",
              1, DS_GROUP_ODD_NAME, "B x@-1");
    fleet_add(&fleet, "job\xff", 1, DS_GROUP_ODD_NAME, "B x@-1");
    fleet_add(&fleet, "job\xff/", 1, 0, "B x@-1");
    fleet_add(&fleet, "job\xffx\xffx\xff", 1, 0, "B x@-1");
    report = report_take(&fleet);
    assert_chosen(report, 0, "B!B!BB");
    report_end(&fleet, report);
}

static void ends_have_names(void **test)
{
    (void)test;
    assert_string_equal(ds_removal_end_name(DS_REMOVAL_OPEN), "open");
    assert_string_equal(ds_removal_end_name(DS_REMOVAL_GONE), "deleted");
    assert_string_equal(ds_removal_end_name(DS_REMOVAL_UNREACHED), "unreached");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_as_old_as_its_newest_copy),
        cmocka_unit_test(a_failure_counts_where_no_push_worked),
        cmocka_unit_test(a_time_in_the_future_is_never_old),
        cmocka_unit_test(the_clock_of_the_server_counts),
        cmocka_unit_test(a_silent_owner_may_have_a_newer_copy),
        cmocka_unit_test(without_an_age_all_are_chosen),
        cmocka_unit_test(what_no_url_can_say_is_known_before),
        cmocka_unit_test(ends_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
