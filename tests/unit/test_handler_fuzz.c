/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's checks on its corpus and near it, for machines without libFuzzer. */
#include "test.h"

#include "../fuzz/fuzz_handler.c"
#include "dshard/file.h"
#include "random.h"

#include <glob.h>

enum { INPUT_MAX = 100000, CHANGES = 300 };

/* An exact copy on the heap, so that the sanitizer sees a read behind its end. */
static void feed(const char *data, size_t len)
{
    uint8_t *copy = ds_xmalloc(len);

    memcpy(copy, data, len);
    assert_int_equal(LLVMFuzzerTestOneInput(copy, len), 0);
    free(copy);
}

static void feed_file(struct random *r, const char *path)
{
    DS_AUTO(buf) struct ds_buf input = DS_BUF_INIT(INPUT_MAX);
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_read(&input, path, &err), &err);
    for (size_t len = 0; len < input.len && len < 200; len++)
        feed(input.data, len);
    for (int choice = 0; input.len && choice < 16; choice++) {
        input.data[0] = (char)choice;
        feed(input.data, input.len);
    }
    for (int i = 0; input.len && i < CHANGES; i++) {
        input.data[random_below(r, input.len)] = (char)random_next(r);
        feed(input.data, input.len);
    }
}

static void the_corpus_and_what_is_near_it_pass(void **state)
{
    struct random r = random_start(__func__);
    glob_t found;

    (void)state;
    assert_int_equal(glob("tests/fuzz/corpus/handler/*", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 20);
    for (size_t i = 0; i < found.gl_pathc; i++)
        feed_file(&r, found.gl_pathv[i]);
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_and_what_is_near_it_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
