/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/frames.h"
#include "dshard/buf.h"
#include "random.h"

static void add_record(struct ds_buf *out, unsigned type, unsigned id, const char *data,
                       size_t len, unsigned padding)
{
    const unsigned char header[] = {1,
                                    (unsigned char)type,
                                    (unsigned char)(id >> 8),
                                    (unsigned char)id,
                                    (unsigned char)(len >> 8),
                                    (unsigned char)len,
                                    (unsigned char)padding,
                                    0};

    ds_buf_add(out, (const char *)header, sizeof header);
    ds_buf_add(out, data, len);
    ds_buf_add(out, "\0\0\0\0\0\0\0", padding);
}

static void add_begin(struct ds_buf *out, unsigned role, unsigned flags)
{
    const char body[] = {0, (char)role, (char)flags, 0, 0, 0, 0, 0};

    add_record(out, 1, 1, body, sizeof body, 0);
}

#define PAIR                                                                             \
    "\x01\x01"                                                                           \
    "ab" /* the parameter a=b */

/* A whole request with two parameters in three records, and a body. */
static void add_request(struct ds_buf *out, unsigned flags)
{
    add_begin(out, 1, flags);
    add_record(out, 4, 1, PAIR "\x02", 5, 3);
    add_record(out, 4, 1,
               "\x80\0\0\x03"
               "cd",
               6, 2);
    add_record(out, 4, 1, "efg", 3, 0);
    add_record(out, 4, 1, "", 0, 0);
    add_record(out, 5, 1, "hello", 5, 3);
    add_record(out, 5, 1, "", 0, 0);
}

/* Feeds in portions; returns the bytes that were used. */
static size_t feed(struct ds_frames *frames, const struct ds_buf *bytes, size_t portion)
{
    size_t used = 0;

    while (used < bytes->len && frames->stage < DS_FRAMES_DONE) {
        size_t len = bytes->len - used < portion ? bytes->len - used : portion;

        used += ds_frames_feed(frames, bytes->data + used, len);
    }
    return used;
}

static void a_whole_request_is_recognised_in_any_portions(void **state)
{
    DS_AUTO(buf) struct ds_buf bytes = DS_BUF_INIT(4096);

    (void)state;
    add_request(&bytes, 1);
    for (size_t portion = 1; portion <= bytes.len; portion++) {
        struct ds_frames frames;

        ds_frames_init(&frames);
        assert_int_equal(feed(&frames, &bytes, portion), bytes.len);
        assert_int_equal(frames.stage, DS_FRAMES_DONE);
        assert_true(frames.keep);
        assert_int_equal(frames.id, 1);
        assert_int_equal(frames.head_len, bytes.len - 8 - 8 - 8);
    }
}

static void no_part_of_a_request_is_taken_for_a_whole_one(void **state)
{
    DS_AUTO(buf) struct ds_buf bytes = DS_BUF_INIT(4096);

    (void)state;
    add_request(&bytes, 0);
    for (size_t len = 0; len < bytes.len; len++) {
        struct ds_frames frames;
        struct ds_buf part = bytes;

        part.len = len;
        ds_frames_init(&frames);
        assert_int_equal(feed(&frames, &part, SIZE_MAX), len);
        assert_true(frames.stage < DS_FRAMES_DONE);
    }
}

static void what_follows_a_request_is_left_alone(void **state)
{
    DS_AUTO(buf) struct ds_buf bytes = DS_BUF_INIT(4096);
    struct ds_frames frames;
    size_t len;

    (void)state;
    add_request(&bytes, 0);
    len = bytes.len;
    add_request(&bytes, 0);
    ds_frames_init(&frames);
    assert_int_equal(feed(&frames, &bytes, SIZE_MAX), len);
    assert_int_equal(frames.stage, DS_FRAMES_DONE);
    assert_false(frames.keep);
    assert_int_equal(ds_frames_feed(&frames, bytes.data, 1), 0);
}

static void an_authorizer_has_no_body(void **state)
{
    DS_AUTO(buf) struct ds_buf bytes = DS_BUF_INIT(4096);
    struct ds_frames frames;

    (void)state;
    add_begin(&bytes, 2, 1);
    add_record(&bytes, 4, 1, PAIR, 4, 4);
    add_record(&bytes, 4, 1, "", 0, 0);
    ds_frames_init(&frames);
    feed(&frames, &bytes, SIZE_MAX);
    assert_int_equal(frames.stage, DS_FRAMES_DONE);
    assert_false(frames.has_stdin);
}

static void the_end_of_stdin_completes_a_head(void **state)
{
    DS_AUTO(buf) struct ds_buf bytes = DS_BUF_INIT(4096);
    struct ds_frames frames;
    unsigned char end[DS_FRAMES_RECORD_HEADER];

    (void)state;
    add_begin(&bytes, 1, 0);
    add_record(&bytes, 4, 1, PAIR, 4, 0);
    add_record(&bytes, 4, 1, "", 0, 0);
    ds_frames_init(&frames);
    feed(&frames, &bytes, SIZE_MAX);
    assert_int_equal(frames.stage, DS_FRAMES_STDIN);
    ds_frames_end_of_stdin(&frames, end);
    assert_int_equal(ds_frames_feed(&frames, end, sizeof end), sizeof end);
    assert_int_equal(frames.stage, DS_FRAMES_DONE);
}

/* With content and padding, either, or none; nothing behind it is taken, and no part of
   it for the whole. */
static void a_management_record_is_recognised_in_any_portions(void **state)
{
    static const struct {
        unsigned type;
        size_t len;
        unsigned padding;
    } rows[] = {{9, 0, 0},   {9, 5, 0},  {9, 0, 7}, {9, DS_FRAMES_MANAGEMENT_MAX, 3},
                {12, 20, 1}, {255, 0, 0}};
    static const char content[DS_FRAMES_MANAGEMENT_MAX];

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf bytes = DS_BUF_INIT(4096);
        size_t len;

        add_record(&bytes, rows[i].type, 0, content, rows[i].len, rows[i].padding);
        len = bytes.len;
        add_request(&bytes, 0);
        for (size_t portion = 1; portion <= bytes.len; portion++) {
            struct ds_frames frames;
            struct ds_buf part = bytes;

            ds_frames_init(&frames);
            assert_int_equal(feed(&frames, &bytes, portion), len);
            assert_int_equal(frames.stage, DS_FRAMES_ASKED);
            assert_int_equal(ds_frames_feed(&frames, bytes.data, 1), 0);
            if (portion >= len)
                continue;
            part.len = portion;
            ds_frames_init(&frames);
            assert_int_equal(feed(&frames, &part, SIZE_MAX), portion);
            assert_int_equal(frames.stage, DS_FRAMES_BEGIN);
        }
    }
}

/* What libfcgi would block on, answer wrongly or allocate too much for. */
static void anything_else_is_bad(void **state)
{
    static const struct {
        const char *what;
        unsigned type, id;
        const char *data;
        size_t len;
        unsigned padding;
    } cases[] = {
        {"params of another request", 4, 2, PAIR, 4, 0},
        {"request id 0", 4, 0, PAIR, 4, 0},
        {"a management record within a request", 9, 0, "", 0, 0},
        {"a body before the params have ended", 5, 1, "x", 1, 0},
        {"an abort", 2, 1, "", 0, 0},
        {"a second begin", 1, 1, "\0\1\0\0\0\0\0\0", 8, 0},
        {"an end with padding", 4, 1, "", 0, 4},
        {"a name of 2 GiB", 4, 1, "\xff\xff\xff\xff\x01", 5, 0},
        {"a value of 2 GiB", 4, 1, "\x01\xff\xff\xff\xff", 5, 0},
        {"a NUL in a value", 4, 1,
         "\x01\x03"
         "ab\0c",
         6, 0},
        {"a NUL in a name", 4, 1,
         "\x02\x01"
         "\0ab",
         5, 0},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        DS_AUTO(buf) struct ds_buf bytes = DS_BUF_INIT(4096);
        struct ds_frames frames;

        add_begin(&bytes, 1, 0);
        add_record(&bytes, cases[i].type, cases[i].id, cases[i].data, cases[i].len,
                   cases[i].padding);
        ds_frames_init(&frames);
        feed(&frames, &bytes, 1);
        if (frames.stage != DS_FRAMES_BAD)
            fail_msg("%s: stage %d", cases[i].what, (int)frames.stage);
    }
}

static void a_request_begins_with_a_begin_for_a_role_we_play(void **state)
{
    static const unsigned char starts[][16] = {
        {2, 1, 0, 1, 0, 8, 0, 0, 0, 1}, /* another version */
        {1, 4, 0, 1, 0, 8, 0, 0, 0, 1}, /* no BEGIN_REQUEST */
        {1, 1, 0, 1, 0, 7, 0, 0, 0, 1}, /* of another length */
        {1, 1, 0, 0, 0, 8, 0, 0, 0, 1}, /* without an id */
        {1, 0, 0, 0, 0, 0, 0, 0},       /* a management record without a type */
        {1, 5, 0, 0, 0, 0, 0, 0},       /* of a request's type */
        {1, 9, 0, 1, 0, 0, 0, 0},       /* GET_VALUES of a request */
        {1, 10, 0, 0, 0, 0, 0, 0},      /* an answer that is ours to give */
        {1, 11, 0, 0, 0, 8, 0, 0},      /* likewise */
        {1, 9, 0, 0, 4, 1, 0, 0},       /* longer than it may be */
        {1, 12, 0, 0, 0xFF, 0xFF, 0, 0},
        {2, 9, 0, 0, 0, 0, 0, 0},       /* of another version */
        {1, 1, 0, 1, 0, 8, 0, 0, 0, 3}, /* a filter */
        {1, 1, 0, 1, 0, 8, 0, 0, 1, 1}, /* role 257 */
        {'G', 'E', 'T', ' ', '/', ' ', 'H', 'T', 'T', 'P', '/', '1', '.', '1', '\r',
         '\n'},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(starts); i++) {
        struct ds_frames frames;

        ds_frames_init(&frames);
        ds_frames_feed(&frames, starts[i], sizeof starts[i]);
        assert_int_equal(frames.stage, DS_FRAMES_BAD);
    }
}

static void params_that_end_within_a_pair_are_bad(void **state)
{
    DS_AUTO(buf) struct ds_buf bytes = DS_BUF_INIT(4096);
    struct ds_frames frames;

    (void)state;
    add_begin(&bytes, 1, 0);
    add_record(&bytes, 4, 1,
               "\x01\x05"
               "abc",
               5, 0);
    add_record(&bytes, 4, 1, "", 0, 0);
    ds_frames_init(&frames);
    feed(&frames, &bytes, SIZE_MAX);
    assert_int_equal(frames.stage, DS_FRAMES_BAD);
}

static void a_head_has_a_limit_and_a_body_has_none(void **state)
{
    DS_AUTO(buf) struct ds_buf head = DS_BUF_INIT(1024 * 1024);
    DS_AUTO(buf) struct ds_buf body = DS_BUF_INIT(1024 * 1024);
    static char zeros[60000];
    struct ds_frames frames;

    (void)state;
    add_begin(&head, 1, 0);
    for (size_t i = 0; i < DS_FRAMES_HEAD_MAX / 12; i++)
        add_record(&head, 4, 1, PAIR, 4, 0);
    ds_frames_init(&frames);
    feed(&frames, &head, 4096);
    assert_int_equal(frames.stage, DS_FRAMES_BAD);

    ds_buf_clear(&head);
    add_begin(&head, 1, 0);
    add_record(&head, 4, 1, "", 0, 0);
    ds_frames_init(&frames);
    feed(&frames, &head, SIZE_MAX);
    add_record(&body, 5, 1, zeros, sizeof zeros, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(feed(&frames, &body, 4096), body.len);
    assert_int_equal(frames.stage, DS_FRAMES_STDIN);
}

/* Damaged requests: nothing is read behind the end (the sanitizer looks), and how the
   bytes come changes nothing about what is found. */
static void portions_never_matter(void **state)
{
    DS_AUTO(buf) struct ds_buf whole = DS_BUF_INIT(4096);
    struct random r = random_start(__func__);

    (void)state;
    add_record(&whole, 9, 0, PAIR, 4, 2);
    add_request(&whole, 1);
    for (int i = 0; i < 20000; i++) {
        size_t skip = i % 2 ? 14 : 0; /* the management record */
        size_t len = 1 + random_below(&r, whole.len - skip), one, many = 0;
        char *bytes = ds_xmalloc(len);
        struct ds_frames a, b;

        memcpy(bytes, whole.data + skip, len);
        for (uint64_t n = random_below(&r, 4); n; n--)
            bytes[random_below(&r, len)] = (char)random_below(&r, 10);
        ds_frames_init(&a);
        ds_frames_init(&b);
        one = feed(&a, &(struct ds_buf){bytes, len, 0, 0, false}, SIZE_MAX);
        while (many < len && b.stage < DS_FRAMES_DONE)
            many += ds_frames_feed(&b, bytes + many, 1 + random_below(&r, len - many));
        assert_int_equal(a.stage, b.stage);
        if (a.stage != DS_FRAMES_BAD) /* how far a bad one is read does not matter */
            assert_int_equal(one, many);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_request_is_recognised_in_any_portions),
        cmocka_unit_test(no_part_of_a_request_is_taken_for_a_whole_one),
        cmocka_unit_test(what_follows_a_request_is_left_alone),
        cmocka_unit_test(an_authorizer_has_no_body),
        cmocka_unit_test(the_end_of_stdin_completes_a_head),
        cmocka_unit_test(a_management_record_is_recognised_in_any_portions),
        cmocka_unit_test(anything_else_is_bad),
        cmocka_unit_test(a_request_begins_with_a_begin_for_a_role_we_play),
        cmocka_unit_test(params_that_end_within_a_pair_are_bad),
        cmocka_unit_test(a_head_has_a_limit_and_a_body_has_none),
        cmocka_unit_test(portions_never_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
