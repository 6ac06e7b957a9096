/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/url.h"
#include "random.h"

static void escapes_are_decoded_once(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } rows[] = {
        {"", ""},
        {"/metrics/job/a", "/metrics/job/a"},
        {"%61%62", "ab"},
        {"a%2Fb%2fc", "a/b/c"},
        {"%2525", "%25"},
        {"a+b", "a+b"},
        {"%c3%A4", "\xC3\xA4"},
        {"\xC3\xA4", "\xC3\xA4"},
        {"%", NULL},
        {"a%", NULL},
        {"a%4", NULL},
        {"a%4/", NULL},
        {"%zz", NULL},
        {"%4g", NULL},
        {"%%41", NULL},
        {"ok%41%", NULL},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        char out[64];
        ptrdiff_t len = ds_url_decode(out, rows[i].in, strlen(rows[i].in));

        if (len != (rows[i].out ? (ptrdiff_t)strlen(rows[i].out) : -1))
            fail_msg("'%s' gives %td bytes", rows[i].in, len);
        if (len > 0)
            assert_memory_equal(out, rows[i].out, (size_t)len);
    }
}

static void a_nul_byte_is_a_byte(void **state)
{
    char out[8];

    (void)state;
    assert_int_equal(ds_url_decode(out, "a%00b", 5), 3);
    assert_memory_equal(out, "a\0b", 3);
}

static void exactly_the_unreserved_characters_mean_themselves(void **state)
{
    static const char unreserved[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    (void)state;
    for (int c = 0; c < 256; c++) {
        DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(8);
        char byte = (char)c, want[8];
        bool plain = c && strchr(unreserved, c);

        snprintf(want, sizeof want, plain ? "%c" : "%%%02X", c);
        ds_url_encode(&out, &byte, 1);
        assert_string_equal(out.data, want);
        assert_int_equal(ds_url_is_unreserved(byte), plain);
    }
}

static void what_is_encoded_decodes_back_in_place(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int round = 0; round < 5000; round++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1000);
        size_t len = random_below(&r, 60);
        char data[60];

        for (size_t i = 0; i < len; i++)
            data[i] = (char)random_next(&r);
        ds_url_encode(&text, data, len);
        assert_int_equal(ds_url_decode(text.data, text.data, text.len), len);
        assert_memory_equal(text.data, data, len);
    }
}

static void only_clean_paths_are_clean(void **state)
{
    static const struct {
        const char *path;
        bool clean;
    } rows[] = {
        {"/", true},        {"/a", true},      {"/a/", true},      {"/a/b", true},
        {"/...", true},     {"/..a", true},    {"/.a/b", true},    {"/a./b", true},
        {"/a../", true},    {"/~", true},      {"", false},        {"a", false},
        {"./a", false},     {"//", false},     {"//a", false},     {"/a//", false},
        {"/a//b", false},   {"/.", false},     {"/..", false},     {"/./", false},
        {"/../", false},    {"/a/.", false},   {"/a/..", false},   {"/a/./b", false},
        {"/a/../b", false}, {"/a/b//", false}, {"/a/b/./", false}, {"/a///b", false},
        {"/a.b", true},     {"/-.", true},     {"/.-", true},      {"/x./", true},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        if (ds_url_path_is_clean(rows[i].path, strlen(rows[i].path)) != rows[i].clean)
            fail_msg("'%s'", rows[i].path);
    }
}

/* Of every length, because eight bytes are looked at together. */
static void random_paths_are_clean_by_their_components(void **state)
{
    static const char letters[] = "/./.aA0\xAF\xAE\x0F/-";
    struct random r = random_start(__func__);
    unsigned n_clean = 0;

    (void)state;
    for (int round = 0; round < 100000; round++) {
        size_t len = 1 + random_below(&r, 30), n_letters = 5 + random_below(&r, 8);
        char path[32] = "/";
        bool clean = true;

        for (size_t i = 1; i < len; i++)
            path[i] = random_below(&r, 4) ? 'b' : letters[random_below(&r, n_letters)];
        for (const char *at = path + 1; at && at < path + len;) {
            size_t n = strcspn(at, "/");

            clean = clean && n && !(n == 1 && *at == '.') &&
                    !(n == 2 && at[0] == '.' && at[1] == '.');
            at = at[n] ? at + n + 1 : NULL;
        }
        if (ds_url_path_is_clean(path, len) != clean)
            fail_msg("'%s'", path);
        n_clean += clean;
    }
    assert_in_range(n_clean, 10000, 90000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_decoded_once),
        cmocka_unit_test(a_nul_byte_is_a_byte),
        cmocka_unit_test(exactly_the_unreserved_characters_mean_themselves),
        cmocka_unit_test(what_is_encoded_decodes_back_in_place),
        cmocka_unit_test(only_clean_paths_are_clean),
        cmocka_unit_test(random_paths_are_clean_by_their_components),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
