/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <ctype.h>
#include <stdlib.h>

#include "dshard/ledger.h"
#include "random.h"

enum { LETTERS = 26, HOLD_MS = 10000, HISTORIES = 200, STEPS = 200 };

static const int64_t START = 5000000;

/*
 * A ledger whose servers are "a:1", "b:1", ..., and what watch has heard from it.  Facts
 * are told as "a+ b-m", words of a letter and what is so:
 *   Consul says   + passing  - failing  ? never probed  ! agent lost  (m: in maintenance)
 *   we find       + answers  - fails    x refuses
 *   watch hears   + OK       - FAIL     x FINAL         = ALIVE
 */
struct book {
    struct ds_ledger ledger;
    int64_t now_ms;
    uint64_t heard[LETTERS]; /* the newest evidence, as watch keeps it */
    uint64_t own_seq;
    struct ds_sighting *items;
    size_t n;
    char text[LETTERS * 4];
};

static void book_init(struct book *book)
{
    *book = (struct book){.now_ms = START};
    ds_ledger_init(&book->ledger, HOLD_MS, START);
}

static void ds_auto_book(struct book *book)
{
    ds_ledger_release(&book->ledger);
    free(book->items);
}

static void set_address(char *address, char letter)
{
    snprintf(address, DS_ADDRESS_MAX, "%c:1", letter);
}

static const char *after(const char *word)
{
    word += strcspn(word, " ");
    return word + strspn(word, " ");
}

static char sign_of(enum ds_sight sight)
{
    switch (sight) {
    case DS_SIGHT_OK:
        return '+';
    case DS_SIGHT_FAIL:
        return '-';
    case DS_SIGHT_FINAL:
        return 'x';
    case DS_SIGHT_ALIVE:
        return '=';
    case DS_SIGHT_NONE:
        break;
    }
    return '0';
}

/* What is new to watch, by its own rule: evidence counts once, and only when newer. */
static const char *hear(struct book *book)
{
    size_t at = 0;

    book->n = ds_ledger_sightings(&book->ledger, &book->items);
    for (size_t i = 0; i < book->n; i++) {
        const struct ds_sighting *item = &book->items[i];
        uint64_t *heard = &book->heard[item->address[0] - 'a'];

        if (item->seq <= *heard)
            continue;
        *heard = item->seq;
        book->text[at++] = item->address[0];
        book->text[at++] = sign_of(item->sight);
        book->text[at++] = ' ';
    }
    book->text[at ? at - 1 : 0] = '\0';
    return book->text;
}

static enum ds_consul_kind kind_of(char sign)
{
    return sign == '+'   ? DS_CONSUL_PASSING
           : sign == '-' ? DS_CONSUL_FAILING
           : sign == '?' ? DS_CONSUL_UNPROBED
                         : DS_CONSUL_AGENT_LOST;
}

/* Consul's answer; what is heard of it. */
static const char *says(struct book *book, const char *words)
{
    struct ds_consul_instance items[LETTERS] = {0};
    struct ds_consul_view view = {.items = items};

    for (const char *p = words; *p; p = after(p)) {
        struct ds_consul_instance *item = &items[view.n++];

        set_address(item->server.address, p[0]);
        item->server.weight = 1;
        item->kind = kind_of(p[1]);
        item->drained = p[2] == 'm';
        item->joining = p[2] == 'j';
        snprintf(item->why, sizeof item->why, "check %c", p[1]);
    }
    ds_ledger_take(&book->ledger, &view, book->now_ms);
    return hear(book);
}

/* What our own checks find, each time anew. */
static const char *we_find(struct book *book, const char *words)
{
    struct ds_sighting items[LETTERS] = {0};
    struct ds_fleet fleet = {.items = items};

    book->own_seq++;
    for (const char *p = words; *p; p = after(p)) {
        struct ds_sighting *item = &items[fleet.n++];

        set_address(item->address, p[0]);
        item->sight = p[1] == '+'   ? DS_SIGHT_OK
                      : p[1] == 'x' ? DS_SIGHT_FINAL
                                    : DS_SIGHT_FAIL;
        item->seq = book->own_seq;
        snprintf(item->why, sizeof item->why, "found %c", p[1]);
    }
    ds_ledger_weigh(&book->ledger, &fleet, book->now_ms);
    return hear(book);
}

/* At START + after_ms; what time alone brings. */
static const char *wait_until(struct book *book, int64_t after_ms)
{
    book->now_ms = START + after_ms;
    ds_ledger_tick(&book->ledger, book->now_ms);
    return hear(book);
}

/* The servers that watch knows: members in small letters, others in capitals. */
static const char *track(struct book *book, const char *letters)
{
    struct ds_standing servers[LETTERS] = {0};
    size_t n = strlen(letters);

    for (size_t i = 0; i < n; i++) {
        set_address(servers[i].server.address, (char)tolower(letters[i]));
        servers[i].server.weight = 1;
        servers[i].member = islower(letters[i]);
    }
    ds_ledger_track(&book->ledger, servers, n, book->now_ms);
    return hear(book);
}

static void mark(struct book *book, const char *letters)
{
    ds_ledger_clear_marks(&book->ledger);
    for (size_t i = 0; letters[i]; i++) {
        char address[DS_ADDRESS_MAX];

        set_address(address, letters[i]);
        ds_ledger_mark(&book->ledger, address);
    }
}

/* The letters of those that our own checks are wanted of. */
static const char *disputed(struct book *book)
{
    size_t at = 0;

    for (size_t i = 0; i < book->ledger.n; i++) {
        const struct ds_ledger_line *line = &book->ledger.lines[i];

        if (ds_ledger_is_disputed(&book->ledger, line, book->now_ms))
            book->text[at++] = line->sighting.address[0];
    }
    book->text[at] = '\0';
    return book->text;
}

static const struct ds_sighting *sighting(struct book *book, char letter)
{
    book->n = ds_ledger_sightings(&book->ledger, &book->items);
    for (size_t i = 0; i < book->n; i++) {
        if (book->items[i].address[0] == letter)
            return &book->items[i];
    }
    return NULL;
}

/* ---- Consul's checks ---- */

static void checks_that_have_run_are_believed(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    assert_string_equal(says(&book, "a+ b-"), "a+ b-");
    assert_string_equal(sighting(&book, 'b')->why, "check -");
    assert_string_equal(says(&book, "a- b+"), "a- b+");
    assert_string_equal(says(&book, "a- b+"), "a- b+"); /* each answer is evidence */
    assert_string_equal(disputed(&book), "");
    assert_string_equal(we_find(&book, "ax b-"), ""); /* and ours is not asked */
}

static void a_newcomer_that_was_never_probed_waits_half_a_minute(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+");
    assert_string_equal(says(&book, "a+ b+ n?"), "a+ b+");
    assert_string_equal(disputed(&book), "n");
    assert_string_equal(we_find(&book, "n+"), "");
    wait_until(&book, DS_LEDGER_NEWCOMER_MS - 1);
    assert_string_equal(we_find(&book, "n+"), "");
    says(&book, "a+ b+ n?"); /* that is no news */
    wait_until(&book, DS_LEDGER_NEWCOMER_MS);
    assert_string_equal(we_find(&book, "n+"), "n=");
    assert_string_equal(says(&book, "a+ b+ n+"), "a+ b+ n+");
    assert_string_equal(disputed(&book), "");
}

static void a_newcomer_that_refuses_us_is_down_at_once(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ n?");
    assert_string_equal(we_find(&book, "nx"), "nx");
}

static void a_member_that_is_not_probed_yet_stays_unless_it_fails_us(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+");
    assert_string_equal(says(&book, "a? b? c?"), "");
    assert_string_equal(disputed(&book), "abc");
    assert_string_equal(we_find(&book, "a+ b- cx"), "cx"); /* refused: no second try */
    assert_string_equal(we_find(&book, "a+ b+"), "");
    assert_string_equal(we_find(&book, "a+ b-"), ""); /* not two in a row */
    assert_string_equal(we_find(&book, "a+ b-"), "bx");
    assert_non_null(strstr(sighting(&book, 'b')->why, "found -"));
    assert_non_null(strstr(sighting(&book, 'b')->why, "agent started"));
}

static void one_finding_is_weighed_once(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a?");
    for (int i = 0; i < 5; i++) {
        assert_string_equal(we_find(&book, "a-"), "");
        book.own_seq--; /* the same one again */
    }
    book.own_seq++;
    assert_string_equal(we_find(&book, "a-"), "ax");
}

/* ---- the agent is lost ---- */

static void a_lost_agent_takes_out_only_who_fails_us_too(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+");
    assert_string_equal(says(&book, "a! b! c+"), "c+");
    assert_string_equal(disputed(&book), "ab");
    assert_string_equal(we_find(&book, "a+ b-"), "a=");
    wait_until(&book, 60000);
    assert_string_equal(we_find(&book, "a+ b-"), "a= bx");
    assert_non_null(strstr(sighting(&book, 'b')->why, "agent is lost"));
    assert_string_equal(says(&book, "a+ b+ c+"), "a+ b+ c+"); /* it is back */
}

static void our_own_check_never_brings_a_down_server_back(void **state)
{
    static const struct ds_health_config config = {.rise = 1, .fall = 1};
    DS_AUTO(book) struct book book;
    struct ds_health health = {0};

    (void)state;
    book_init(&book);
    says(&book, "a- b+");
    ds_health_step(&config, &health, sighting(&book, 'a')->sight, NULL, START);
    assert_int_equal(health.state, DS_HEALTH_DOWN);
    says(&book, "a! b+");
    for (int64_t after_ms = 0; after_ms < 120000; after_ms += 1000) {
        wait_until(&book, after_ms);
        assert_string_equal(we_find(&book, "a+"), "a=");
        ds_health_step(&config, &health, sighting(&book, 'a')->sight, NULL, book.now_ms);
        assert_int_equal(health.state, DS_HEALTH_DOWN);
    }
}

/* ---- servers that vanish ---- */

static void one_of_four_that_vanishes_leaves_after_a_second(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+ d+");
    assert_string_equal(says(&book, "b+ c+ d+"), "b+ c+ d+");
    assert_string_equal(disputed(&book), "");
    assert_string_equal(wait_until(&book, DS_LEDGER_SETTLE_MS - 1), "");
    book.ledger.news = book.ledger.disputes_changed = false;
    assert_int_equal(ds_ledger_next_ms(&book.ledger, book.now_ms),
                     START + DS_LEDGER_SETTLE_MS);
    assert_string_equal(wait_until(&book, DS_LEDGER_SETTLE_MS), "a-");
    assert_string_equal(sighting(&book, 'a')->why, "no longer registered in Consul");
    assert_false(sighting(&book, 'a')->listed);
    assert_string_equal(wait_until(&book, 60000), ""); /* said once */
}

static void who_comes_back_within_the_second_has_not_left(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+ d+");
    says(&book, "b+ c+ d+");
    wait_until(&book, 500);
    assert_string_equal(says(&book, "a+ b+ c+ d+"), "a+ b+ c+ d+");
    assert_string_equal(wait_until(&book, 60000), "");
}

static void two_of_four_are_no_mass_loss(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+ d+");
    says(&book, "c+ d+");
    assert_string_equal(disputed(&book), "");
    assert_string_equal(wait_until(&book, DS_LEDGER_SETTLE_MS), "a- b-");
}

static void most_that_vanish_stay_while_they_answer_us(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+ d+ e+");
    assert_string_equal(says(&book, "d+ e+"), "d+ e+");
    assert_string_equal(disputed(&book), "abc");
    for (int64_t after_ms = 1000; after_ms <= 120000; after_ms += 1000) {
        assert_string_equal(wait_until(&book, after_ms), "");
        assert_string_equal(we_find(&book, "a+ b+ c+"), "a= b= c=");
    }
    assert_true(sighting(&book, 'a')->listed);
    assert_string_equal(says(&book, "a+ b+ c+ d+ e+"), "a+ b+ c+ d+ e+");
    assert_string_equal(disputed(&book), "");
}

static void of_most_that_vanish_the_dead_leave_after_shrink_hold(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+ d+ e+");
    says(&book, "d+ e+");
    assert_string_equal(we_find(&book, "a+ b- cx"), "a=");
    wait_until(&book, HOLD_MS - 1);
    assert_string_equal(we_find(&book, "a+ b- cx"), "a=");
    wait_until(&book, HOLD_MS);
    assert_string_equal(we_find(&book, "a+ b- cx"), "a= bx cx");
    assert_non_null(strstr(sighting(&book, 'c')->why, "vanished"));
    assert_false(sighting(&book, 'c')->listed);
    assert_true(sighting(&book, 'a')->listed);
}

static void an_empty_answer_takes_nobody_out(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    track(&book, "abcd");
    assert_string_equal(says(&book, ""), "");
    assert_string_equal(disputed(&book), "abcd");
    assert_string_equal(wait_until(&book, 60000), "");
    assert_string_equal(says(&book, ""), "");
    assert_string_equal(disputed(&book), "abcd");
}

/* One restart of an agent: 5, 4, 2, 0 within 60 ms, and back one after another. */
static void a_fleet_that_vanishes_bit_by_bit_is_one_event(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+ d+ e+");
    wait_until(&book, 20);
    assert_string_equal(says(&book, "b+ c+ d+ e+"), "b+ c+ d+ e+");
    wait_until(&book, 40);
    assert_string_equal(says(&book, "d+ e+"), "d+ e+");
    wait_until(&book, 60);
    assert_string_equal(says(&book, ""), "");
    assert_string_equal(disputed(&book), "abcde");
    assert_string_equal(wait_until(&book, 2000), "");
    assert_string_equal(says(&book, "c?"), "");
    assert_string_equal(says(&book, "a? c+"), "c+");
    assert_string_equal(says(&book, "a+ b+ c+ d+ e+"), "a+ b+ c+ d+ e+");
    assert_string_equal(wait_until(&book, 60000), "");
}

static void who_was_let_go_before_is_not_called_back(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+ d+ e+");
    says(&book, "b+ c+ d+ e+");
    assert_string_equal(wait_until(&book, 1000), "a-");
    wait_until(&book, 5000);
    says(&book, "d+ e+"); /* with a, three of the five of 30 s ago */
    assert_string_equal(disputed(&book), "bc");
    assert_string_equal(wait_until(&book, 7000), "");
    assert_string_equal(we_find(&book, "ax b+ c+"), "b= c=");
}

static void who_left_long_ago_is_no_part_of_a_mass_loss(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+ d+ e+");
    says(&book, "b+ c+ d+ e+");
    wait_until(&book, 1000);
    wait_until(&book, DS_LEDGER_WINDOW_MS + 1);
    says(&book, "d+ e+"); /* two of four */
    assert_string_equal(disputed(&book), "");
    assert_string_equal(wait_until(&book, DS_LEDGER_WINDOW_MS + 2000), "b- c-");
}

static void whom_operators_take_out_is_no_loss(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+ d+ e+");
    mark(&book, "abc");
    says(&book, "d+ e+");
    assert_string_equal(disputed(&book), "");
    wait_until(&book, 2000);
    says(&book, "e+"); /* one of two */
    assert_string_equal(disputed(&book), "");
    assert_string_equal(wait_until(&book, 3000), "d-");
}

/* ---- Consul itself is lost ---- */

static void without_consul_only_refused_connections_count(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c-");
    ds_ledger_lose(&book.ledger, START);
    book.ledger.news = book.ledger.disputes_changed = false;
    assert_string_equal(wait_until(&book, DS_LEDGER_UNREACHABLE_MS - 1), "");
    assert_string_equal(disputed(&book), "");
    assert_string_equal(we_find(&book, "ax"), "");
    assert_int_equal(ds_ledger_next_ms(&book.ledger, book.now_ms),
                     START + DS_LEDGER_UNREACHABLE_MS);
    assert_string_equal(wait_until(&book, DS_LEDGER_UNREACHABLE_MS), "");
    assert_string_equal(disputed(&book), "abc");
    for (int i = 0; i < 5; i++)
        assert_string_equal(we_find(&book, "a- b+ c+"), ""); /* nobody is added either */
    assert_string_equal(we_find(&book, "ax b+ c+"), "ax");
    assert_non_null(strstr(sighting(&book, 'a')->why, "Consul cannot be reached"));
    assert_true(sighting(&book, 'a')->listed);
    assert_string_equal(says(&book, "a+ b+ c+"), "a+ b+ c+");
    assert_string_equal(disputed(&book), "");
}

static void each_loss_of_consul_has_its_own_ten_seconds(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+");
    ds_ledger_lose(&book.ledger, START);
    wait_until(&book, 9000);
    says(&book, "a+");
    ds_ledger_lose(&book.ledger, START + 9000);
    wait_until(&book, 18000);
    assert_string_equal(disputed(&book), "");
    wait_until(&book, 19000);
    assert_string_equal(disputed(&book), "a");
}

static void who_was_never_there_is_not_asked_without_consul(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    track(&book, "aB");
    ds_ledger_lose(&book.ledger, START);
    wait_until(&book, DS_LEDGER_UNREACHABLE_MS);
    assert_string_equal(disputed(&book), "a"); /* a member before we started */
    assert_string_equal(we_find(&book, "ax"), "ax");
}

/* ---- what operators want ---- */

static void marks_of_who_is_out_are_shown_and_go(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b!");
    mark(&book, "bz"); /* also of one that Consul does not have */
    assert_int_equal(sighting(&book, 'a')->intent, DS_INTENT_IN);
    assert_int_equal(sighting(&book, 'b')->intent, DS_INTENT_OUT);
    assert_int_equal(sighting(&book, 'z')->intent, DS_INTENT_OUT);
    assert_string_equal(disputed(&book), "");
    mark(&book, "");
    assert_int_equal(sighting(&book, 'b')->intent, DS_INTENT_IN);
    assert_string_equal(disputed(&book), "b");
}

static void what_the_state_says_is_out_is_out_until_the_marks_are_known(void **state)
{
    struct ds_standing server = {.intent = DS_INTENT_OUT};
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    set_address(server.server.address, 'a');
    ds_ledger_track(&book.ledger, &server, 1, START);
    says(&book, "a+");
    assert_int_equal(sighting(&book, 'a')->intent, DS_INTENT_OUT);
    mark(&book, "");
    assert_int_equal(sighting(&book, 'a')->intent, DS_INTENT_IN);
}

static void a_drained_server_is_drained_while_consul_says_so(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    assert_string_equal(says(&book, "a+m b+"), "a+ b+");
    assert_int_equal(sighting(&book, 'a')->intent, DS_INTENT_DRAINING);
    mark(&book, "a");
    assert_int_equal(sighting(&book, 'a')->intent, DS_INTENT_OUT); /* which weighs more */
    mark(&book, "");
    says(&book, "a+ b+");
    assert_int_equal(sighting(&book, 'a')->intent, DS_INTENT_IN);
}

static void who_vanishes_is_drained_or_joining_until_it_is_let_go(void **state)
{
    static const struct {
        const char *words;
        enum ds_intent intent;
    } rows[] = {{"a+m b+ c+", DS_INTENT_DRAINING}, {"a+j b+ c+", DS_INTENT_JOINING}};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(book) struct book book;

        book_init(&book);
        says(&book, rows[i].words);
        assert_int_equal(sighting(&book, 'a')->intent, rows[i].intent);
        says(&book, "b+ c+");
        assert_int_equal(sighting(&book, 'a')->intent, rows[i].intent);
        assert_string_equal(wait_until(&book, DS_LEDGER_SETTLE_MS), "a-");
        assert_int_equal(sighting(&book, 'a')->intent, DS_INTENT_IN); /* and down */
    }
}

static void who_joined_when_watch_was_stopped_joins_still(void **state)
{
    struct ds_standing server = {.intent = DS_INTENT_JOINING, .server.weight = 1};
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    set_address(server.server.address, 'a');
    ds_ledger_track(&book.ledger, &server, 1, START);
    assert_int_equal(sighting(&book, 'a')->intent, DS_INTENT_JOINING);
    says(&book, "a+j");
    assert_int_equal(sighting(&book, 'a')->intent, DS_INTENT_JOINING);
    says(&book, "a+");
    assert_int_equal(sighting(&book, 'a')->intent, DS_INTENT_IN);
}

/* ---- who is in the book ---- */

static void who_was_never_registered_is_down_once_consul_has_answered(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    assert_string_equal(track(&book, "aB"), "");
    assert_string_equal(says(&book, "a+"), "a+ b-");
    assert_string_equal(sighting(&book, 'b')->why, "not registered in Consul");
    assert_false(sighting(&book, 'b')->listed);
    assert_string_equal(track(&book, "aBC") + 3, "c-"); /* "b- c-": told again, too */
    assert_string_equal(says(&book, "a+ b+"), "a+ b+ c-");
    assert_true(sighting(&book, 'b')->listed);
}

/* Consul has it no more, and in the end nobody counts it any longer. */
static void let_go_of_b(struct book *book, int64_t after_ms)
{
    wait_until(book, after_ms);
    says(book, "a+");
    assert_string_equal(wait_until(book, after_ms + DS_LEDGER_SETTLE_MS), "b-");
    wait_until(book, after_ms + DS_LEDGER_WINDOW_MS + 1);
    track(book, "a");
    assert_null(sighting(book, 'b'));
}

static void a_forgotten_server_that_comes_again_is_heard_at_once(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    track(&book, "ab");
    for (int i = 0; i < 50; i++)
        says(&book, "a+ b+");
    let_go_of_b(&book, 0);
    assert_string_equal(says(&book, "a+ b+"), "a+ b+");
    track(&book, "ab");
    let_go_of_b(&book, 60000);
    assert_string_equal(track(&book, "aB"), "b-"); /* named again, not registered yet */
    assert_string_equal(says(&book, "a+ b-"), "a+ b-");
    assert_string_equal(says(&book, "a+ b+"), "a+ b+");
}

static void who_is_listed_or_marked_is_not_forgotten(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+");
    mark(&book, "z");
    track(&book, "");
    assert_int_equal(book.ledger.n, 3);
    mark(&book, "");
    track(&book, "");
    assert_int_equal(book.ledger.n, 2);
}

static void a_consul_without_our_servers_is_deserted(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "");
    assert_false(ds_ledger_is_deserted(&book.ledger)); /* there never were any */
    says(&book, "a+ b+ c+");
    assert_false(ds_ledger_is_deserted(&book.ledger));
    says(&book, "");
    assert_true(ds_ledger_is_deserted(&book.ledger));
    ds_ledger_lose(&book.ledger, START);
    assert_false(ds_ledger_is_deserted(&book.ledger)); /* it does not answer at all */
    says(&book, "c!");
    assert_false(ds_ledger_is_deserted(&book.ledger));
    mark(&book, "abc");
    says(&book, "");
    assert_false(ds_ledger_is_deserted(&book.ledger)); /* operators took them out */
}

static void lines_are_sorted_and_unique(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    track(&book, "gc");
    mark(&book, "eca");
    says(&book, "a+ b+ f+ g+");
    assert_int_equal(book.ledger.n, 6);
    for (size_t i = 0; i < book.ledger.n; i++)
        assert_int_equal(book.ledger.lines[i].sighting.address[0], "abcefg"[i]);
}

static void news_wants_a_tick_at_once_and_peace_none(void **state)
{
    DS_AUTO(book) struct book book;

    (void)state;
    book_init(&book);
    says(&book, "a+ b+ c+");
    assert_true(book.ledger.news);
    assert_int_equal(ds_ledger_next_ms(&book.ledger, START), START);
    book.ledger.news = book.ledger.disputes_changed = false;
    assert_true(ds_ledger_next_ms(&book.ledger, START) == INT64_MAX);
}

/* Whatever Consul's agents do, and Consul itself: who answers us stays. */
static void silence_takes_nobody_out(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int history = 0; history < HISTORIES; history++) {
        DS_AUTO(book) struct book book;

        book_init(&book);
        says(&book, "a+ b+ c+ d+");
        for (int step = 0; step < STEPS; step++) {
            char words[] = "a+ b+ c+ d+";

            for (size_t i = 1; i < sizeof words; i += 3)
                words[i] = "+++?!"[random_below(&r, 5)];
            wait_until(&book, book.now_ms - START + (int64_t)random_below(&r, 4000));
            if (random_below(&r, 4) == 0)
                ds_ledger_lose(&book.ledger, book.now_ms - 20000);
            else
                says(&book, random_below(&r, 8) ? words : "");
            assert_null(strpbrk(book.text, "-x"));
            assert_null(strpbrk(we_find(&book, "a+ b+ c+ d+"), "-x"));
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_that_have_run_are_believed),
        cmocka_unit_test(a_newcomer_that_was_never_probed_waits_half_a_minute),
        cmocka_unit_test(a_newcomer_that_refuses_us_is_down_at_once),
        cmocka_unit_test(a_member_that_is_not_probed_yet_stays_unless_it_fails_us),
        cmocka_unit_test(one_finding_is_weighed_once),
        cmocka_unit_test(a_lost_agent_takes_out_only_who_fails_us_too),
        cmocka_unit_test(our_own_check_never_brings_a_down_server_back),
        cmocka_unit_test(one_of_four_that_vanishes_leaves_after_a_second),
        cmocka_unit_test(who_comes_back_within_the_second_has_not_left),
        cmocka_unit_test(two_of_four_are_no_mass_loss),
        cmocka_unit_test(most_that_vanish_stay_while_they_answer_us),
        cmocka_unit_test(of_most_that_vanish_the_dead_leave_after_shrink_hold),
        cmocka_unit_test(an_empty_answer_takes_nobody_out),
        cmocka_unit_test(a_fleet_that_vanishes_bit_by_bit_is_one_event),
        cmocka_unit_test(who_was_let_go_before_is_not_called_back),
        cmocka_unit_test(who_left_long_ago_is_no_part_of_a_mass_loss),
        cmocka_unit_test(whom_operators_take_out_is_no_loss),
        cmocka_unit_test(without_consul_only_refused_connections_count),
        cmocka_unit_test(each_loss_of_consul_has_its_own_ten_seconds),
        cmocka_unit_test(who_was_never_there_is_not_asked_without_consul),
        cmocka_unit_test(marks_of_who_is_out_are_shown_and_go),
        cmocka_unit_test(what_the_state_says_is_out_is_out_until_the_marks_are_known),
        cmocka_unit_test(a_drained_server_is_drained_while_consul_says_so),
        cmocka_unit_test(who_vanishes_is_drained_or_joining_until_it_is_let_go),
        cmocka_unit_test(who_joined_when_watch_was_stopped_joins_still),
        cmocka_unit_test(who_was_never_registered_is_down_once_consul_has_answered),
        cmocka_unit_test(a_forgotten_server_that_comes_again_is_heard_at_once),
        cmocka_unit_test(who_is_listed_or_marked_is_not_forgotten),
        cmocka_unit_test(a_consul_without_our_servers_is_deserted),
        cmocka_unit_test(lines_are_sorted_and_unique),
        cmocka_unit_test(news_wants_a_tick_at_once_and_peace_none),
        cmocka_unit_test(silence_takes_nobody_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
