/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/reading.h"

#include <stdlib.h>

/* Of n members a:1, b:1...; the reading has no ring yet. */
static struct ds_reading *new_reading(size_t n)
{
    struct ds_reading *reading = ds_xcalloc(1, sizeof *reading);
    struct ds_server members[] = {{"a:1", 1}, {"b:1", 1}, {"c:1", 1}};
    struct ds_error err = DS_ERROR_INIT;

    ds_state_init(&reading->state);
    for (size_t i = 0; i < n; i++)
        ds_state_add(&reading->state, members[i].address, 1);
    assert_ok(
        ds_state_set_ring(&reading->state, members, n, 10, DS_CAUSE_START, 1000, &err),
        &err);
    return reading;
}

static void a_ring_outlives_the_readings_but_its_last(void **unused)
{
    struct ds_reading *first = new_reading(2), *second = new_reading(2);
    struct ds_shared_ring *ring = ds_shared_ring_new(&first->state, NULL);

    (void)unused;
    assert_string_equal(ring->digest, first->state.digest);
    assert_null(ring->places);
    first->ring = ds_shared_ring_share(ring);
    second->ring = ds_shared_ring_share(ring);
    ds_reading_free(first);
    ds_shared_ring_drop(ring);
    assert_int_equal(second->ring->users, 1);
    assert_string_equal(ds_ring_owner(second->ring->ring, "x", 1)->address,
                        ds_ring_owner(ring->ring, "x", 1)->address);
    ds_reading_free(second); /* the sanitizer looks at what is left */
}

static void members_have_their_places(void **unused)
{
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(stats) struct ds_stats *stats = ds_stats_new(1, 0, &err);
    DS_AUTO(reading) struct ds_reading *reading = new_reading(3);

    (void)unused;
    reading->ring = ds_shared_ring_new(&reading->state, stats);
    for (uint16_t i = 0; i < 3; i++)
        assert_int_equal(reading->ring->places[i], i);
}

static void without_members_there_is_no_ring(void **unused)
{
    DS_AUTO(reading) struct ds_reading *reading = new_reading(0);

    (void)unused;
    reading->ring = ds_shared_ring_new(&reading->state, NULL);
    assert_null(reading->ring->ring);
}

static void nothing_and_half_of_one_can_be_let_go(void **unused)
{
    (void)unused;
    ds_shared_ring_drop(NULL);
    ds_reading_free(NULL);
    ds_reading_free(new_reading(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_outlives_the_readings_but_its_last),
        cmocka_unit_test(members_have_their_places),
        cmocka_unit_test(without_members_there_is_no_ring),
        cmocka_unit_test(nothing_and_half_of_one_can_be_let_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
