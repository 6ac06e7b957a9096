/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "fleet_page.h"

static void draw(const struct fleet *fleet, struct ds_buf *out)
{
    ds_buf_init(out, OUT_MAX);
    ds_svg_ring(&fleet->state, fleet->ring, out);
    assert_false(out->over);
}

static void shares_are_of_members_and_sum_up(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(svg_shares) struct ds_svg_shares shares;
    uint64_t owned = 0, fair = 0;

    (void)unused;
    fleet_init(&fleet, 5);
    ds_state_add(&fleet.state, "10.0.0.00:1", 3); /* before all others, and no member */
    ds_svg_shares_init(&shares, &fleet.state, fleet.ring);
    for (size_t i = 0; i < 6; i++) {
        owned += shares.owned[i];
        fair += shares.fair[i];
        assert_true(shares.owned[i] <= shares.largest);
    }
    assert_int_equal(shares.owned[0] + shares.fair[0], 0);
    assert_int_equal(shares.owned[3], ds_ring_share(fleet.ring, 2));
    assert_int_equal(owned, UINT64_C(1) << 32);
    assert_in_range(fair, (UINT64_C(1) << 32) - 5, UINT64_C(1) << 32);
}

static void each_member_has_its_segment_number_and_name(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out;

    (void)unused;
    fleet_init(&fleet, 16);
    draw(&fleet, &out);
    assert_has(&out, "\" width=\"960\" style=\"max-width:100%;height:auto\" ");
    assert_int_equal(count(out.data, "class=\"num"), 16);
    assert_int_equal(count(out.data, "</title></path>"), 16);
    assert_has(&out, "<title>10.0.1.5:9091</title>10.0.1.5:9091</text>");
    assert_has(&out, ">16</text>\n<text x=\"160\" y=\"196\">members</text>");
}

/* An arc from a place to itself would be nothing at all. */
static void a_single_member_is_a_whole_ring(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out;

    (void)unused;
    fleet_init(&fleet, 1);
    draw(&fleet, &out);
    assert_has(&out, "M160 8a152 152 0 1 1 0 304a152 152 0 1 1 0 -304Z");
    assert_has(&out, ">member</text>");
}

static void an_empty_ring_is_drawn_as_one(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out;

    (void)unused;
    fleet_init(&fleet, 0);
    draw(&fleet, &out);
    assert_has(&out, "<circle class=\"none\"");
    assert_lacks(&out, "NaN");
    assert_lacks(&out, "nan");
}

/* Half of the key space lies between the top and the bottom. */
static void segments_follow_the_shares(void **unused)
{
    DS_AUTO(state) struct ds_state state;
    struct ds_server members[] = {{"a:1", 1}, {"b:1", 1}};
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(ring) struct ds_ring *ring = NULL;
    DS_AUTO(svg_shares) struct ds_svg_shares shares;
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(OUT_MAX);

    (void)unused;
    ds_state_init(&state);
    ds_state_add(&state, "a:1", 1);
    ds_state_add(&state, "b:1", 1);
    assert_ok(ds_state_set_ring(&state, members, 2, 500, DS_CAUSE_START, NOW, &err),
              &err);
    ring = ds_state_ring(&state);
    ds_svg_shares_init(&shares, &state, ring);
    shares.owned[0] = shares.owned[1] = UINT64_C(1) << 31;
    ds_svg_donut(&state, &shares, &out);
    assert_has(&out, "d=\"M160.0 8.0A152 152 0 0 1 160.0 312.0L160.0 256.0");
    assert_has(&out, "d=\"M160.0 312.0A152 152 0 0 1 160.0 8.0L160.0 64.0");
    ds_buf_clear(&out);
    shares.owned[0] = UINT64_C(3) << 30;
    shares.owned[1] = UINT64_C(1) << 30;
    ds_svg_donut(&state, &shares, &out);
    assert_has(&out, "d=\"M160.0 8.0A152 152 0 1 1 8.0 160.0L64.0 160.0");
}

static void a_member_that_is_not_up_is_hatched_and_named(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out, well;

    (void)unused;
    fleet_init(&fleet, 3);
    draw(&fleet, &well);
    assert_lacks(&well, "class=\"sick\"");
    fleet_set(&fleet, 1, DS_HEALTH_DOWN, "x");
    ds_set_str(&fleet.state.frozen_reason, "1 < 2 & \"so\" on");
    draw(&fleet, &out);
    assert_int_equal(count(out.data, "class=\"sick\""), 1);
    assert_has(&out, ", down</title>");
    assert_has(&out, "frozen: 1 &#60; 2 &#38; &#34;so&#34; on");
}

static void the_last_colour_is_not_that_of_the_first(void **unused)
{
    (void)unused;
    for (size_t n = 2; n <= 32; n++) {
        DS_AUTO(fleet) struct fleet fleet;
        DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(OUT_MAX);
        DS_AUTO(svg_shares) struct ds_svg_shares shares;
        const char *at;

        fleet_init(&fleet, n);
        ds_svg_shares_init(&shares, &fleet.state, fleet.ring);
        ds_svg_donut(&fleet.state, &shares, &out);
        assert_has(&out, "<path class=\"k0\"");
        for (at = out.data; strstr(at, "<path class=\"k"); at++)
            at = strstr(at, "<path class=\"k");
        assert_int_not_equal(at[strlen("<path class=\"k") - 1], '0');
    }
}

static void a_picture_of_any_fleet_is_bounded(void **unused)
{
    static const size_t sizes[] = {1, 2, 16, 32, 33, 96, 97, 100, 192, 193, 999, 1000};

    (void)unused;
    for (size_t i = 0; i < DS_COUNT(sizes); i++) {
        DS_AUTO(fleet) struct fleet fleet;
        DS_AUTO(buf) struct ds_buf out;
        size_t segments;

        fleet_init(&fleet, sizes[i]);
        draw(&fleet, &out);
        segments = count(out.data, "</title></path>");
        assert_in_range(segments, 1, DS_SVG_SEGMENTS_MAX);
        if (sizes[i] <= DS_SVG_SEGMENTS_MAX)
            assert_int_equal(segments, sizes[i]);
        assert_in_range(out.len, 1000, 30000);
        assert_int_equal(count(out.data, "largest: "), sizes[i] > DS_SVG_ROWS_MAX);
    }
}

static void the_balance_names_the_extremes_and_weights_count(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(OUT_MAX);
    DS_AUTO(svg_shares) struct ds_svg_shares shares;

    (void)unused;
    fleet_init(&fleet, 3);
    ds_svg_shares_init(&shares, &fleet.state, fleet.ring);
    shares.owned[0] = shares.fair[0] / 2;
    shares.owned[1] = shares.fair[1] * 3 / 2;
    shares.fair[2] *= 4;
    shares.owned[2] = shares.fair[2];
    ds_svg_balance(&fleet.state, &shares, &out);
    assert_has(&out, "largest: 1.50\xC3\x97 its fair share, 10.0.0.1:9091");
    assert_has(&out, "smallest: 0.50\xC3\x97 its fair share, 10.0.0.0:9091");
    assert_int_equal(count(out.data, "<rect"), 3);
    ds_buf_clear(&out);
    fleet_release(&fleet);
    fleet_init(&fleet, 0);
    ds_svg_balance(&fleet.state, &shares, &out);
    assert_int_equal(out.len, 0);
}

static void a_long_name_is_cut_in_the_list_and_whole_in_its_tip(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out;

    (void)unused;
    fleet_init(&fleet, 1);
    ds_state_add(&fleet.state, "pushgateway-with-a-long-name.example.com:9091", 1);
    draw(&fleet, &out);
    assert_has(&out, "<title>pushgateway-with-a-long-name.example.com:9091</title>"
                     "pushgateway-wi\xE2\x80\xA6"
                     "mple.com:9091</text>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_of_members_and_sum_up),
        cmocka_unit_test(each_member_has_its_segment_number_and_name),
        cmocka_unit_test(a_single_member_is_a_whole_ring),
        cmocka_unit_test(an_empty_ring_is_drawn_as_one),
        cmocka_unit_test(segments_follow_the_shares),
        cmocka_unit_test(a_member_that_is_not_up_is_hatched_and_named),
        cmocka_unit_test(the_last_colour_is_not_that_of_the_first),
        cmocka_unit_test(a_picture_of_any_fleet_is_bounded),
        cmocka_unit_test(the_balance_names_the_extremes_and_weights_count),
        cmocka_unit_test(a_long_name_is_cut_in_the_list_and_whole_in_its_tip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
