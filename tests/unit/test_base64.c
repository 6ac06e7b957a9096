/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/base64.h"
#include "random.h"

static void texts_are_read_as_pushgateway_reads_them(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } rows[] = {
        {"", ""},         {"=", ""},          {"====", ""},
        {"YQ", "a"},      {"YR", "a"},        {"YQ==", "a"},
        {"YQ=====", "a"}, {"YWI", "ab"},      {"YWI=", "ab"},
        {"YWJj", "abc"},  {"YWJjZA", "abcd"}, {"L3Zhci90bXA", "/var/tmp"},
        {"Pz8_", "???"},  {"Pj4-", ">>>"},    {"\nY\rQ\r\n", "a"},
        {"YQ\n==", "a"},  {"Y", NULL},        {"YWJjZ", NULL},
        {"YQ=Q", NULL},   {"YWE=YWE=", NULL}, {"Pz8/", NULL},
        {"Pj4+", NULL},   {" YQ", NULL},      {"YQ ", NULL},
        {"!!", NULL},     {"YQ\t", NULL},     {"Y\xC3\xA4", NULL},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        char out[64];
        ptrdiff_t len = ds_base64_decode(out, rows[i].in, strlen(rows[i].in));

        if (len != (rows[i].out ? (ptrdiff_t)strlen(rows[i].out) : -1))
            fail_msg("'%s' gives %td bytes", rows[i].in, len);
        if (len > 0)
            assert_memory_equal(out, rows[i].out, (size_t)len);
    }
}

static void every_byte_outside_the_alphabet_is_refused(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    (void)state;
    for (int c = 0; c < 256; c++) {
        char in[4] = {'A', (char)c, 'A', 'A'}, out[8];
        bool skipped = c == '\r' || c == '\n';
        bool known = c && strchr(alphabet, c);
        ptrdiff_t want = known ? 3 : skipped ? 2 : -1;

        if (ds_base64_decode(out, in, 4) != want)
            fail_msg("byte %d", c);
    }
}

static void a_line_break_counts_nowhere_and_another_byte_never(void **state)
{
    static const char in[] = "L3Zhci9saWIvYQ", out[] = "/var/lib/a";

    (void)state;
    for (size_t at = 0; at < sizeof in; at++) {
        char text[sizeof in + 1], decoded[sizeof text];

        memcpy(text, in, at);
        memcpy(text + at + 1, in + at, sizeof in - at);
        text[at] = '\n';
        assert_int_equal(ds_base64_decode(decoded, text, strlen(text)), strlen(out));
        assert_memory_equal(decoded, out, strlen(out));
        text[at] = '.';
        assert_int_equal(ds_base64_decode(decoded, text, strlen(text)), -1);
    }
}

static void values_are_written_without_padding(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", "="},       {"a", "YQ"},     {"ab", "YWI"},
        {"abc", "YWJj"}, {"???", "Pz8_"}, {"/var/tmp", "L3Zhci90bXA"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(64);

        ds_base64_encode_label(&out, rows[i].in, strlen(rows[i].in));
        assert_string_equal(out.data, rows[i].out);
    }
}

static void what_does_not_fit_is_not_begun(void **state)
{
    (void)state;
    for (size_t max = 0; max < 10; max++) {
        DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(max);

        ds_base64_encode_label(&out, "abcde", 5);
        assert_string_equal(out.data, max >= 7 ? "YWJjZGU" : "");
        assert_int_equal(out.over, max < 7);
        ds_base64_encode_label(&out, "", 0);
        assert_string_equal(out.data, max < 7 ? "" : max > 7 ? "YWJjZGU=" : "YWJjZGU");
    }
}

static void what_is_written_reads_back_in_place(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int round = 0; round < 5000; round++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1000);
        size_t len = random_below(&r, 60);
        char data[60];
        ptrdiff_t back;

        for (size_t i = 0; i < len; i++)
            data[i] = (char)random_next(&r);
        ds_base64_encode_label(&text, data, len);
        back = ds_base64_decode(text.data, text.data, text.len);
        assert_int_equal(back, len);
        assert_memory_equal(text.data, data, len);
        assert_true(len <= DS_BASE64_DECODED_MAX(text.len));
    }
}

/* With a few letters and everything that is read over, so that all cases come up. */
static void a_text_is_exact_when_encoding_gives_it_again(void **state)
{
    static const char letters[] = "ABQgwx_9=\n";
    struct random r = random_start(__func__);
    unsigned n_exact = 0;

    (void)state;
    for (int round = 0; round < 50000; round++) {
        DS_AUTO(buf) struct ds_buf again = DS_BUF_INIT(100);
        size_t len = random_below(&r, 14), exact, want;
        char text[16], data[16];
        ptrdiff_t n;

        for (size_t i = 0; i < len; i++)
            text[i] = letters[random_below(&r, i > 8 ? 10 : 8)];
        n = ds_base64_decode(data, text, len);
        if (n < 0)
            continue;
        exact = ds_base64_exact_len(text, len, (size_t)n);
        if (n)
            ds_base64_encode_label(&again, data, (size_t)n);
        for (want = len; want && text[want - 1] == '=';)
            want--;
        if (want != again.len || memcmp(again.data, text, want) != 0)
            want = 0;
        if (exact != want)
            fail_msg("'%.*s': %zu, not %zu", (int)len, text, exact, want);
        n_exact += exact > 0;
    }
    assert_in_range(n_exact, 5000, 45000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_as_pushgateway_reads_them),
        cmocka_unit_test(every_byte_outside_the_alphabet_is_refused),
        cmocka_unit_test(a_line_break_counts_nowhere_and_another_byte_never),
        cmocka_unit_test(values_are_written_without_padding),
        cmocka_unit_test(what_does_not_fit_is_not_begun),
        cmocka_unit_test(what_is_written_reads_back_in_place),
        cmocka_unit_test(a_text_is_exact_when_encoding_gives_it_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
