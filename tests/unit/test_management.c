/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/frames.h"
#include "../../fcgi/management.h"
#include "dshard/buf.h"
#include "random.h"

#define CONNS                                                                            \
    "\x0E\0"                                                                             \
    "FCGI_MAX_CONNS"
#define REQS                                                                             \
    "\x0D\0"                                                                             \
    "FCGI_MAX_REQS"
#define MPXS                                                                             \
    "\x0F\0"                                                                             \
    "FCGI_MPXS_CONNS"

static void add_record(struct ds_buf *out, unsigned char type, const char *data,
                       size_t len)
{
    const char header[] = {1, (char)type, 0, 0, (char)(len >> 8), (char)len, 2, 0};

    ds_buf_add(out, header, sizeof header);
    ds_buf_add(out, data, len);
    ds_buf_add(out, "\xFF\xFF", 2); /* padding, which nobody may look at */
}

/* The content of the answer in text; the length of all of it. */
static size_t answer(unsigned char type, const char *data, size_t len, unsigned answers,
                     struct ds_buf *content)
{
    DS_AUTO(buf) struct ds_buf record = DS_BUF_INIT(70000);
    unsigned char out[DS_MANAGEMENT_ANSWER_MAX] = {0};
    size_t n;

    add_record(&record, type, data, len);
    n = ds_management_answer(record.data, record.len, 16384, out);
    ds_buf_clear(content);
    if (!n)
        return 0;
    assert_in_range(n, DS_FRAMES_RECORD_HEADER, sizeof out);
    assert_int_equal(out[0], 1);
    assert_int_equal(out[1], answers);
    assert_memory_equal(out + 2, "\0\0\0", 3); /* no request's */
    assert_int_equal(out[5], n - DS_FRAMES_RECORD_HEADER);
    assert_memory_equal(out + 6, "\0", 2);
    ds_buf_add(content, (const char *)out + DS_FRAMES_RECORD_HEADER,
               n - DS_FRAMES_RECORD_HEADER);
    return n;
}

static void the_variables_that_are_asked_for_are_told(void **state)
{
#define ASK(asked, told)                                                                 \
    {                                                                                    \
        asked, sizeof(asked) - 1, told, sizeof(told) - 1                                 \
    }
#define COUNT(len, name) len "\x05" name "16384"
    static const struct {
        const char *asked;
        size_t len;
        const char *told;
        size_t told_len;
    } rows[] = {
        ASK("", ""),
        ASK(CONNS, COUNT("\x0E", "FCGI_MAX_CONNS")),
        ASK(REQS MPXS, COUNT("\x0D", "FCGI_MAX_REQS") "\x0F\x01"
                                                      "FCGI_MPXS_CONNS0"),
        ASK(MPXS MPXS, "\x0F\x01"
                       "FCGI_MPXS_CONNS0"), /* once */
        ASK("\x80\0\0\x0D\x80\0\0\0"
            "FCGI_MAX_REQS",
            COUNT("\x0D", "FCGI_MAX_REQS")),
        ASK("\x0D\0"
            "FCGI_MAX_REQX" CONNS "\0\0\x01\0x",
            COUNT("\x0E", "FCGI_MAX_CONNS")),
        ASK("\x0C\0"
            "FCGI_MAX_REQ",
            ""), /* not by its beginning */
    };
    DS_AUTO(buf) struct ds_buf content = DS_BUF_INIT(200);

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        assert_int_not_equal(answer(9, rows[i].asked, rows[i].len, 10, &content), 0);
        assert_int_equal(content.len, rows[i].told_len);
        assert_memory_equal(content.data, rows[i].told, rows[i].told_len);
    }
}

static void the_longest_answer_fits_and_the_longest_question_too(void **state)
{
    DS_AUTO(buf) struct ds_buf question = DS_BUF_INIT(DS_FRAMES_MANAGEMENT_MAX);
    unsigned char out[DS_MANAGEMENT_ANSWER_MAX];
    DS_AUTO(buf) struct ds_buf record = DS_BUF_INIT(2000);

    (void)state;
    while (!question.over)
        ds_buf_add(&question, CONNS REQS MPXS, sizeof(CONNS REQS MPXS) - 1);
    add_record(&record, 9, question.data, question.len);
    assert_int_equal(ds_management_answer(record.data, record.len, SIZE_MAX, out),
                     8 + 36 + 35 + 18);
}

static void an_unknown_type_is_told_that_it_is(void **state)
{
    DS_AUTO(buf) struct ds_buf content = DS_BUF_INIT(200);

    (void)state;
    for (unsigned type = 12; type < 256; type++) {
        assert_int_equal(answer((unsigned char)type, "what?", 5, 11, &content), 16);
        assert_int_equal((unsigned char)content.data[0], type);
        assert_memory_equal(content.data + 1, "\0\0\0\0\0\0\0", 7);
    }
}

static void a_question_that_is_none_gets_no_answer(void **state)
{
    static const struct {
        const char *data;
        size_t len;
    } rows[] = {
        {"\x0E", 1},                   /* one length */
        {"\x80\0\0", 3},               /* a part of one */
        {"\x0E\x80\0\0", 4},           /* likewise */
        {"\x0E\0FCGI", 6},             /* ends within a name */
        {"\xFF\xFF\xFF\xFF\0FCGI", 9}, /* of 2 GiB */
        {"\x80\0\0\x05\0FCGI", 9},     /* longer than there is by one */
        {"\x0D\x01"
         "FCGI_MAX_REQS1",
         16},                         /* tells instead of asking */
        {"\x01\xFF\xFF\xFF\xFFx", 6}, /* likewise, 2 GiB */
        {CONNS "\x01", sizeof CONNS}, /* behind a good one */
    };
    DS_AUTO(buf) struct ds_buf content = DS_BUF_INIT(200);

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        if (answer(9, rows[i].data, rows[i].len, 10, &content))
            fail_msg("row %zu was answered", i);
    }
}

/* Nothing is read behind the record (the sanitizer looks) or written behind the answer.
 */
static void damage_does_no_harm(void **state)
{
    static const char names[] = CONNS REQS MPXS;
    struct random r = random_start(__func__);

    (void)state;
    for (int i = 0; i < 20000; i++) {
        size_t len = random_below(&r, sizeof names);
        unsigned char *record = ds_xmalloc(DS_FRAMES_RECORD_HEADER + len);
        unsigned char out[DS_MANAGEMENT_ANSWER_MAX];

        memcpy(record, "\x01\x09\0\0\0\0\0\0", DS_FRAMES_RECORD_HEADER);
        record[5] = (unsigned char)len;
        memcpy(record + DS_FRAMES_RECORD_HEADER, names, len);
        for (uint64_t n = random_below(&r, 4); len && n; n--)
            record[DS_FRAMES_RECORD_HEADER + random_below(&r, len)] =
                (unsigned char)random_below(&r, 256);
        assert_true(ds_management_answer(record, DS_FRAMES_RECORD_HEADER + len, 8, out) <=
                    sizeof out);
        free(record);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_variables_that_are_asked_for_are_told),
        cmocka_unit_test(the_longest_answer_fits_and_the_longest_question_too),
        cmocka_unit_test(an_unknown_type_is_told_that_it_is),
        cmocka_unit_test(a_question_that_is_none_gets_no_answer),
        cmocka_unit_test(damage_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
