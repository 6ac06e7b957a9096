/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "fleet_page.h"

#include <jansson.h>

static struct ds_page page_of(const struct fleet *fleet)
{
    return (struct ds_page){.state = &fleet->state, .ring = fleet->ring, .now_ms = NOW};
}

static void html(const struct ds_page *page, struct ds_buf *out)
{
    ds_buf_init(out, OUT_MAX);
    ds_page_html(page, out);
    assert_false(out->over);
    assert_memory_equal(out->data, "<!DOCTYPE html>\n", 16);
    assert_string_equal(out->data + out->len - 8, "</html>\n");
}

/* New. */
static json_t *json(const struct ds_page *page)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(OUT_MAX);
    json_error_t err;
    json_t *root;

    ds_page_json(page, &out);
    root = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &err);
    if (!root)
        fail_msg("%s in %s", err.text, out.data);
    return root;
}

static void sixteen_servers_fit_30_KB_and_a_thousand_are_bounded(void **unused)
{
    static const struct {
        size_t n, max;
    } rows[] = {{0, 8000}, {1, 12000}, {16, 30000}, {100, 100000}, {1000, 600000}};

    (void)unused;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(fleet) struct fleet fleet;
        DS_AUTO(buf) struct ds_buf out;
        DS_AUTO(ptr) void *pushes = ds_xcalloc(1001, sizeof(uint64_t));
        struct ds_page page;

        fleet_init(&fleet, rows[i].n);
        memset(pushes, 0x7F, 1000 * sizeof(uint64_t)); /* of 19 digits */
        for (size_t k = 0; k < rows[i].n; k++)
            snprintf(fleet.state.servers[k].health.why, DS_WHY_MAX, "%0100d", 0);
        page = page_of(&fleet);
        page.pushes = pushes;
        html(&page, &out);
        if (out.len > rows[i].max)
            fail_msg("%zu bytes for %zu servers", out.len, rows[i].n);
        assert_int_equal(count(out.data, "<tr><td class=\"r\"><i class=\"k"), rows[i].n);
    }
}

static void nothing_from_outside_is_markup(void **unused)
{
    static const char evil[] =
        "</title><script>alert('\"&')</script>\x01\xFF\x1b[31m\xE2\x80\xAE";
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out;
    struct ds_troubles troubles = {.n = 1, .items[0] = {.since_ms = NOW - 1}};
    struct ds_page page;

    (void)unused;
    fleet_init(&fleet, 3);
    snprintf(fleet.state.servers[1].server.address, DS_ADDRESS_MAX, "%s:1", evil);
    fleet_set(&fleet, 1, DS_HEALTH_DOWN, evil);
    snprintf(fleet.state.history[0].added[0], DS_ADDRESS_MAX, "%s", evil);
    snprintf(troubles.items[0].text, DS_TROUBLE_TEXT_MAX, "%s", evil);
    ds_set_str(&fleet.state.frozen_reason, evil);
    ds_set_str(&fleet.state.operation_kind, evil);
    ds_set_str(&fleet.state.operation_step, evil);
    ds_set_str(&fleet.state.operation_by, evil);
    ds_set_str(&fleet.state.written_by, evil);
    ds_set_str(&fleet.state.route_prefix, evil);
    page = page_of(&fleet);
    page.operation_is_dead = true;
    page.troubles = &troubles;
    page.host = evil;
    html(&page, &out);
    assert_true(count(out.data, "&#60;script&#62;alert(&#39;&#34;&#38;&#39;)") >= 16);
    assert_lacks(&out, "<script");
    assert_lacks(&out, "'\"&'");
    assert_lacks(&out, "\x1b");
    assert_lacks(&out, "\x01");
    assert_lacks(&out, "\xFF");
    assert_lacks(&out, "\xE2\x80\xAE"); /* would turn what follows */
}

static void the_verdict_and_its_problems_come_first(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf well, ill, frozen;
    struct ds_page page;

    (void)unused;
    fleet_init(&fleet, 3);
    page = page_of(&fleet);
    html(&page, &well);
    assert_has(&well, "<title>healthy, 3 of 3 members - dshard</title>");
    assert_has(&well, "<p>3 of 3 servers are members, 3 up</p>");
    assert_lacks(&well, "<li>");
    fleet_set(&fleet, 1, DS_HEALTH_DOWN, "connect: refused")->member = false;
    html(&page, &ill);
    assert_has(&ill, "<h1>! degraded</h1>");
    assert_has(&ill, "<li>10.0.0.1:9091 is down for 1h: connect: refused</li>");
    assert_has(&ill, "<div class=\"why\">connect: refused</div>");
    ds_set_str(&fleet.state.frozen_reason, "too few");
    fleet.state.frozen_since_ms = NOW - 2 * MINUTE;
    fleet.state.checked_at_ms = NOW - 5 * MINUTE;
    html(&page, &frozen);
    assert_has(&frozen, " critical</h1>");
    assert_has(&frozen, "<li>the ring is frozen for 2m: too few</li>");
    assert_has(&frozen, "the last check was 5m ago");
}

/* Several of them stay open side by side, and ages stand still. */
static void a_page_tells_whose_it_is_and_of_when(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out, nobody;
    struct ds_page page;
    json_auto_t *named = NULL, *nameless = NULL;

    (void)unused;
    fleet_init(&fleet, 3);
    page = page_of(&fleet);
    html(&page, &nobody);
    nameless = json(&page);
    page.host = "web1";
    html(&page, &out);
    named = json(&page);
    assert_has(&out, "<title>web1: healthy, 3 of 3 members - dshard</title>");
    assert_has(&out, "</h1>\n<p class=\"at\">dshard on <b>web1</b>, as of "
                     "<time datetime=\"2025-11-24T16:00:00Z\">2025-11-24 16:00:00 "
                     "UTC</time></p>\n");
    assert_has(&nobody, "<p class=\"at\">dshard, as of");
    assert_string_equal(json_string_value(json_object_get(named, "host")), "web1");
    assert_true(json_is_null(json_object_get(nameless, "host")));
}

static void a_page_reloads_only_when_it_is_asked_to(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf still, reloads;
    struct ds_page page;

    (void)unused;
    fleet_init(&fleet, 1);
    page = page_of(&fleet);
    html(&page, &still);
    assert_lacks(&still, "http-equiv");
    assert_has(&still, "<a href=\"status?reload\">");
    page.reloads = true;
    html(&page, &reloads);
    assert_has(&reloads, "<meta http-equiv=\"refresh\" content=\"30\">");
    assert_has(&reloads, "<a href=\"status\">");
}

/* Brackets are where an IPv6 address has them in a URL.  Validators warn of them; but
   escaped they would not be a host any more. */
static void servers_are_links_also_those_of_ipv6(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out;
    struct ds_page page;

    (void)unused;
    fleet_init(&fleet, 1);
    ds_state_add(&fleet.state, "[2001:db8::1]:9091", 1);
    ds_set_str(&fleet.state.route_prefix, "/gw");
    page = page_of(&fleet);
    html(&page, &out);
    assert_has(&out, "href=\"http://10.0.0.0:9091/gw/\"");
    assert_has(&out, "href=\"http://[2001:db8::1]:9091/gw/\"");
}

static void the_mark_in_a_bar_is_explained_where_there_is_one(void **unused)
{
    static const char legend[] = "the mark in a bar is what the weight stands for</p>";
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out, empty;
    struct ds_page page;

    (void)unused;
    fleet_init(&fleet, 1);
    page = page_of(&fleet);
    html(&page, &out);
    assert_has(&out, legend);
    fleet.state.servers[0].member = false;
    page.ring = NULL;
    html(&page, &empty);
    assert_lacks(&empty, legend);
}

static void a_row_says_what_is_with_a_server(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out;
    struct ds_standing *servers;
    struct ds_page page;

    (void)unused;
    fleet_init(&fleet, 7);
    servers = fleet.state.servers;
    fleet_set(&fleet, 0, DS_HEALTH_HELD, "")->member = false;
    servers[0].health.hold_until_ms = NOW + 8000;
    fleet_set(&fleet, 1, DS_HEALTH_DOWN, "x");
    servers[2].member = false;
    servers[3].intent = DS_INTENT_DRAINING;
    servers[4].intent = DS_INTENT_OUT;
    servers[4].member = false;
    servers[5].server.weight = 3;
    fleet_set(&fleet, 6, DS_HEALTH_NEW, "")->health.since_ms = 0;
    page = page_of(&fleet);
    page.ring = NULL;
    html(&page, &out);
    assert_has(&out, "<b class=\"warn\">held</b>, rejoins in 8s</td>");
    assert_has(&out, "<b class=\"bad\">down</b>, still a member</td>");
    assert_has(&out, "<b class=\"warn\">up</b>, no member</td>");
    assert_has(&out, "<b class=\"dim\">draining</b>, up, still a member</td>");
    assert_has(&out, "<b class=\"dim\">out</b>, up</td>");
    assert_has(&out, "<td class=\"r\">3 (in the ring 1)</td>");
    assert_has(&out, "<b class=\"warn\">new</b></td><td>-</td>");
}

static void changes_tell_what_moved_and_count_the_rest(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out;
    struct ds_page page;

    (void)unused;
    fleet_init(&fleet, 100);
    fleet.state.history[0].moved_ppm = 123456;
    page = page_of(&fleet);
    html(&page, &out);
    assert_has(&out, "<td>operator</td><td class=\"w\">+10.0.2.0:9091 ");
    assert_has(&out, "and +77 more</td><td class=\"r\">12.3%</td>");
    assert_int_equal(count(out.data, "1m\xC2\xA0"
                                     "ago</time></td><td>"),
                     DS_HISTORY_MAX);
}

static void without_history_servers_and_operation_there_is_a_page(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf out;
    struct ds_page page;

    (void)unused;
    fleet_init(&fleet, 0);
    fleet.state.checked_at_ms = 0;
    page = page_of(&fleet);
    html(&page, &out);
    assert_has(&out, "<tr><th>last check</th><td>never</td></tr>");
    assert_has(&out, "dshard register adds them");
    assert_lacks(&out, "Last changes");
    assert_lacks(&out, "operation");
    assert_lacks(&out, "Errors");
}

static void an_operation_runs_or_was_interrupted(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf runs, dead, stale, over;
    struct ds_page page;

    (void)unused;
    fleet_init(&fleet, 2);
    page = page_of(&fleet);
    page.operation_is_dead = true; /* of one that has ended meanwhile */
    html(&page, &stale);
    assert_has(&stale, " healthy</h1>");
    page.operation_is_dead = false;
    ds_set_str(&fleet.state.operation_kind, "scale up");
    ds_set_str(&fleet.state.operation_step, "moving groups");
    ds_set_str(&fleet.state.operation_by, "host:1");
    fleet.state.operation_since_ms = NOW - 2 * MINUTE;
    html(&page, &runs);
    assert_has(&runs, " healthy</h1>");
    assert_has(&runs, "scale up: moving groups <span class=\"dim\">begun <time");
    page.operation_is_dead = true;
    html(&page, &dead);
    assert_has(&dead, "<li>&#39;scale up&#39;, begun 2m ago, was interrupted at");
    ds_set_str(&fleet.state.operation_kind, "scale up gone:1"); /* it was given up */
    html(&page, &over);
    assert_has(&over, " healthy</h1>");
    assert_lacks(&over, "scale up");
}

static void errors_have_their_age_and_the_present_one_counts(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    DS_AUTO(buf) struct ds_buf past, present;
    struct ds_troubles troubles = {
        .n = 1, .items[0] = {NOW - 5 * MINUTE, NOW - 4 * MINUTE, "cut"}};
    struct ds_page page;

    (void)unused;
    fleet_init(&fleet, 2);
    page = page_of(&fleet);
    page.troubles = &troubles;
    html(&page, &past);
    assert_has(&past, " healthy</h1>");
    assert_has(&past, ">5m\xC2\xA0"
                      "ago</time></td><td><time");
    troubles.items[0].until_ms = 0;
    html(&page, &present);
    assert_has(&present, "<li>the state file cannot be used for 5m: cut</li>");
}

static void without_a_state_the_page_says_why(void **unused)
{
    DS_AUTO(buf) struct ds_buf out;
    struct ds_troubles troubles = {.n = 1, .items[0] = {NOW - 3000, 0, "no such file"}};
    struct ds_page page = {.now_ms = NOW, .troubles = &troubles};
    json_auto_t *root = json(&page);

    (void)unused;
    html(&page, &out);
    assert_has(&out, " critical</h1>");
    assert_has(&out, "no state of the ring is known");
    assert_has(&out, "cannot be used for 3s: no such file");
    assert_string_equal(json_string_value(json_object_get(root, "verdict")), "critical");
    assert_int_equal(json_array_size(json_object_get(root, "problems")), 2);
    assert_int_equal(json_array_size(json_object_get(root, "errors")), 1);
    assert_null(json_object_get(root, "servers"));
}

static void json_has_what_the_page_has(void **unused)
{
    static const uint64_t pushes[] = {7, 8, 9};
    DS_AUTO(fleet) struct fleet fleet;
    struct ds_page page;
    json_auto_t *root = NULL;
    json_t *servers, *server;

    (void)unused;
    fleet_init(&fleet, 3);
    fleet_set(&fleet, 1, DS_HEALTH_DOWN, "\"\\\x01\xFF");
    page = page_of(&fleet);
    page.pushes = pushes;
    root = json(&page);
    servers = json_object_get(root, "servers");
    server = json_array_get(servers, 1);
    assert_int_equal(json_array_size(servers), 3);
    assert_int_equal(json_integer_value(json_object_get(server, "pushes")), 8);
    assert_int_equal(json_integer_value(json_object_get(server, "share_ppm")),
                     ds_ring_ppm(ds_ring_share(fleet.ring, 1)));
    assert_string_equal(json_string_value(json_object_get(server, "why")),
                        "\"\\\x01\xEF\xBF\xBD");
    assert_int_equal(json_array_size(json_object_get(root, "changes")),
                     fleet.state.n_history);
    assert_int_equal(json_integer_value(json_object_get(root, "checked_age_ms")), 1000);
    assert_true(json_is_null(json_object_get(root, "operation")));
}

static void json_of_an_empty_fleet_is_json(void **unused)
{
    DS_AUTO(fleet) struct fleet fleet;
    struct ds_page page;
    json_auto_t *root = NULL;

    (void)unused;
    fleet_init(&fleet, 0);
    page = page_of(&fleet);
    root = json(&page);
    assert_int_equal(json_array_size(json_object_get(root, "servers")), 0);
    assert_true(json_is_null(json_object_get(root, "last_change")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_servers_fit_30_KB_and_a_thousand_are_bounded),
        cmocka_unit_test(nothing_from_outside_is_markup),
        cmocka_unit_test(the_verdict_and_its_problems_come_first),
        cmocka_unit_test(a_page_tells_whose_it_is_and_of_when),
        cmocka_unit_test(a_page_reloads_only_when_it_is_asked_to),
        cmocka_unit_test(servers_are_links_also_those_of_ipv6),
        cmocka_unit_test(the_mark_in_a_bar_is_explained_where_there_is_one),
        cmocka_unit_test(a_row_says_what_is_with_a_server),
        cmocka_unit_test(changes_tell_what_moved_and_count_the_rest),
        cmocka_unit_test(without_history_servers_and_operation_there_is_a_page),
        cmocka_unit_test(an_operation_runs_or_was_interrupted),
        cmocka_unit_test(errors_have_their_age_and_the_present_one_counts),
        cmocka_unit_test(without_a_state_the_page_says_why),
        cmocka_unit_test(json_has_what_the_page_has),
        cmocka_unit_test(json_of_an_empty_fleet_is_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
