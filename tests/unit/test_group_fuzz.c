/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's checks on its corpus, for machines without libFuzzer. */
#include "test.h"

#include "../fuzz/fuzz_group.c"
#include "dshard/file.h"
#include "random.h"

#include <glob.h>

enum { INPUT_MAX = 100000, CHANGES = 60 };

static void ds_auto_glob(glob_t *found)
{
    globfree(found);
}

/* An exact copy on the heap, so that the sanitizer sees a read behind its end. */
static void feed(const char *data, size_t len)
{
    uint8_t *copy = ds_xmalloc(len);

    memcpy(copy, data, len);
    assert_int_equal(LLVMFuzzerTestOneInput(copy, len), 0);
    free(copy);
}

/* A digit, a letter or a bracket for another keeps it JSON more often than any byte. */
static char near(struct random *r, char c)
{
    static const char odd[] = "0123456789-.,:\"{}[]\\aeinoruw";

    return c >= '0' && c <= '9' ? (char)('0' + random_below(r, 10))
                                : odd[random_below(r, sizeof odd - 1)];
}

static void feed_file(struct random *r, const char *path)
{
    DS_AUTO(buf) struct ds_buf input = DS_BUF_INIT(INPUT_MAX);
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_read(&input, path, &err), &err);
    feed(input.data, input.len);
    for (int i = 0; input.len && i < CHANGES; i++) {
        size_t at = random_below(r, input.len);
        char before = input.data[at];

        input.data[at] = i % 4 ? near(r, before) : (char)random_next(r);
        feed(input.data, input.len);
        if (i % 8)
            input.data[at] = before;
        feed(input.data, random_below(r, input.len));
    }
}

static void the_corpus_and_what_is_near_it_pass(void **state)
{
    struct random r = random_start(__func__);
    DS_AUTO(glob) glob_t found = {0};

    (void)state;
    assert_int_equal(glob("tests/fuzz/corpus/group/*", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 20);
    for (size_t i = 0; i < found.gl_pathc; i++)
        feed_file(&r, found.gl_pathv[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_and_what_is_near_it_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
