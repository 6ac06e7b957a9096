/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's checks on its corpus, for machines without libFuzzer. */
#include "test.h"

#include "../fuzz/fuzz_groupkey.c"
#include "dshard/file.h"
#include "random.h"

#include <dirent.h>

enum { INPUT_MAX = 100000, CHANGES = 300 };

static const char CORPUS[] = "tests/fuzz/corpus/groupkey";

/* An exact copy on the heap, so that the sanitizer sees a read behind its end. */
static void feed(const char *data, size_t len)
{
    uint8_t *copy = ds_xmalloc(len);

    memcpy(copy, data, len);
    assert_int_equal(LLVMFuzzerTestOneInput(copy, len), 0);
    free(copy);
}

static void feed_file(struct random *r, const char *name)
{
    DS_AUTO(buf) struct ds_buf input = DS_BUF_INIT(INPUT_MAX);
    DS_AUTO(str) char *path = ds_xasprintf("%s/%s", CORPUS, name);
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_read(&input, path, &err), &err);
    for (size_t len = 0; len <= input.len && len < 300; len++)
        feed(input.data, len);
    feed(input.data, input.len);
    for (int i = 0; input.len && i < CHANGES; i++) {
        input.data[random_below(r, input.len)] = (char)random_next(r);
        feed(input.data, input.len);
    }
}

static void the_corpus_and_what_is_near_it_pass(void **state)
{
    struct random r = random_start(__func__);
    DIR *dir = opendir(CORPUS);
    const struct dirent *entry;
    size_t n = 0;

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        feed_file(&r, entry->d_name);
        n++;
    }
    closedir(dir);
    assert_true(n >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_and_what_is_near_it_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
