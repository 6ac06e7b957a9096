/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "journal.h"

#include "dshard/buf.h"
#include "dshard/file.h"
#include "dshard/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int saved_stderr = -1, captured = -1;

/* Everything written to stderr between the two calls ends up in out. */
static void capture_file(void)
{
    char name[] = "/tmp/dshard-test-log.XXXXXX";

    saved_stderr = dup(STDERR_FILENO);
    captured = mkstemp(name);
    assert_true(captured >= 0);
    unlink(name);
    dup2(captured, STDERR_FILENO);
}

static void capture(void)
{
    capture_file();
    journal_is_stderr();
}

static void release(struct ds_buf *out)
{
    struct ds_error err = DS_ERROR_INIT;

    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    assert_int_equal(lseek(captured, 0, SEEK_SET), 0);
    assert_ok(ds_file_read_fd(out, captured, "stderr", &err), &err);
    close(captured);
}

static int at_info(void **state)
{
    (void)state;
    ds_log_set_level(DS_LOG_INFO);
    return 0;
}

static void a_line_has_level_message_and_fields(void **state)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(10000);

    (void)state;
    capture();
    ds_log(DS_LOG_INFO, "ring changed", "members", "4", "moved", "0.21", NULL);
    ds_log(DS_LOG_WARN, "down", "server", "10.0.0.1:9091", NULL);
    ds_log(DS_LOG_ERROR, "plain", NULL);
    release(&out);
    assert_string_equal(out.data,
                        "<6>level=info msg=\"ring changed\" members=4 moved=0.21\n"
                        "<4>level=warn msg=down server=10.0.0.1:9091\n"
                        "<3>level=error msg=plain\n");
}

static void bytes_from_outside_cannot_make_a_line(void **state)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(10000);

    (void)state;
    capture();
    ds_log(DS_LOG_INFO, "x", "path", "/a\r\nlevel=error msg=forged", NULL);
    ds_log(DS_LOG_INFO, "x", "a", "", "b", "k=v", "c", "say \"hi\"", "d", "\x1b[31m\xFF",
           NULL);
    release(&out);
    assert_string_equal(out.data,
                        "<6>level=info msg=x path=\"/a\\r\\nlevel=error msg=forged\"\n"
                        "<6>level=info msg=x a=\"\" b=\"k=v\" c=\"say \\\"hi\\\"\""
                        " d=\"\\x1b[31m\\xff\"\n");
}

static void a_null_value_leaves_its_pair_out(void **state)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(10000);
    const char *none = NULL;

    (void)state;
    capture();
    ds_log(DS_LOG_INFO, "x", "a", none, "b", "1", NULL);
    release(&out);
    assert_string_equal(out.data, "<6>level=info msg=x b=1\n");
}

static void lines_above_the_level_are_dropped(void **state)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(10000);

    (void)state;
    capture();
    ds_log(DS_LOG_DEBUG, "hidden", NULL);
    ds_log_set_level(DS_LOG_DEBUG);
    ds_log(DS_LOG_DEBUG, "shown", NULL);
    ds_log_set_level(DS_LOG_ERROR);
    ds_log(DS_LOG_WARN, "hidden", NULL);
    ds_log_set_level(DS_LOG_INFO);
    release(&out);
    assert_string_equal(out.data, "<7>level=debug msg=shown\n");
}

static void a_field_that_does_not_fit_is_said_to_be_missing(void **state)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(100000);
    char huge[9000];

    (void)state;
    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    capture();
    ds_log(DS_LOG_INFO, "x", "huge", huge, "after", "1", NULL);
    release(&out);
    assert_in_range(out.len, 1, 8192);
    assert_int_equal(out.data[out.len - 1], '\n');
    assert_non_null(strstr(out.data, " cut=true\n"));
    assert_ptr_equal(strchr(out.data, '\n'), out.data + out.len - 1);
}

static void a_line_full_of_escapes_stays_one_line(void **state)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(1000000);

    (void)state;
    capture();
    for (size_t n = 2020; n < 2060; n++) { /* four bytes each: around the limit */
        char bad[2100];

        memset(bad, '\x01', n);
        bad[n] = '\0';
        ds_log(DS_LOG_INFO, "x", "bad", bad, NULL);
        memset(bad, '\n', n);
        ds_log(DS_LOG_INFO, "x", "bad", bad, NULL);
    }
    release(&out);
    for (char *line = out.data, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        assert_true(end - line <= 8192);
        assert_memory_equal(line, "<6>level=info msg=x", 19);
    }
}

/* Its environment may tell of a journal that somebody else's stderr led to. */
static void without_journald_a_time_stands_in_front(void **state)
{
    static const char *const streams[] = {NULL, "", "8:1", "x", "1:"};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(streams); i++) {
        DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(10000);

        unsetenv("JOURNAL_STREAM");
        if (streams[i])
            setenv("JOURNAL_STREAM", streams[i], 1);
        capture_file();
        ds_log(DS_LOG_INFO, "x", NULL);
        release(&out);
        assert_int_equal(out.len,
                         strlen("time=2026-01-31T12:00:00.123Z level=info msg=x\n"));
        assert_memory_equal(out.data, "time=20", 7);
        assert_string_equal(out.data + 28, "Z level=info msg=x\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_has_level_message_and_fields, at_info),
        cmocka_unit_test_setup(bytes_from_outside_cannot_make_a_line, at_info),
        cmocka_unit_test_setup(a_null_value_leaves_its_pair_out, at_info),
        cmocka_unit_test_setup(lines_above_the_level_are_dropped, at_info),
        cmocka_unit_test_setup(a_field_that_does_not_fit_is_said_to_be_missing, at_info),
        cmocka_unit_test_setup(a_line_full_of_escapes_stays_one_line, at_info),
        cmocka_unit_test(without_journald_a_time_stands_in_front),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
