/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's checks on its corpus, on the configurations of the test data, and on what
   is near them, for machines without libFuzzer. */
#include "test.h"

#include "../fuzz/fuzz_confedit.c"
#include "dshard/file.h"
#include "random.h"

#include <glob.h>

enum { INPUT_MAX = 100000, CHANGES = 20, SMALL = 2000 };

static void ds_auto_glob(glob_t *found)
{
    globfree(found);
}

/* An exact copy on the heap, so that the sanitizer sees a read behind its end. */
static void feed(uint8_t how, const char *text, size_t len)
{
    uint8_t *copy = ds_xmalloc(len + 1);

    copy[0] = how;
    memcpy(copy + 1, text, len);
    assert_int_equal(LLVMFuzzerTestOneInput(copy, len + 1), 0);
    free(copy);
}

/* skip: the byte that says how is in the file already. */
static void feed_file(struct random *r, const char *path, size_t skip)
{
    static const char odd[] = "\"'{}[]:,-#? \n\r\t";
    static const uint8_t hows[] = {0x00, 0x41, 0x82, 0x3F, 0x7F, 0x44};
    DS_AUTO(buf) struct ds_buf input = DS_BUF_INIT(INPUT_MAX);
    struct ds_error err = DS_ERROR_INIT;
    char *text;
    size_t len;

    assert_ok(ds_file_read(&input, path, &err), &err);
    text = input.data + skip;
    len = input.len - skip;
    for (size_t i = 0; i < DS_COUNT(hows); i++)
        feed(hows[i], text, len);
    for (int i = 0; len && len < SMALL && i < CHANGES; i++) {
        size_t at = random_below(r, len);
        char was = text[at];

        text[at] = odd[random_below(r, sizeof odd - 1)];
        feed(hows[random_below(r, DS_COUNT(hows))], text, len);
        if (i % 2) /* one change, or several */
            text[at] = was;
    }
}

static void the_corpus_and_what_is_near_it_pass(void **state)
{
    struct random r = random_start(__func__);
    DS_AUTO(glob) glob_t own = {0};
    DS_AUTO(glob) glob_t others = {0};

    (void)state;
    assert_int_equal(glob("tests/fuzz/corpus/confedit/*", 0, NULL, &own), 0);
    assert_true(own.gl_pathc >= 8);
    for (size_t i = 0; i < own.gl_pathc; i++)
        feed_file(&r, own.gl_pathv[i], 1);
    assert_int_equal(glob(TEST_DATA_DIR "/config/valid/*", 0, NULL, &others), 0);
    assert_int_equal(glob("tests/fuzz/corpus/config/*", GLOB_APPEND, NULL, &others), 0);
    for (size_t i = 0; i < others.gl_pathc; i++)
        feed_file(&r, others.gl_pathv[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_and_what_is_near_it_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
