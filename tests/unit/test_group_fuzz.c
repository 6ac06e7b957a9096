/* SPDX-License-Identifier: Apache-2.0 */
/* see corpus.h */
#include "test.h"

#include "../fuzz/fuzz_group.c"
#include "corpus.h"

static void the_corpus_and_what_is_near_it_pass(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    corpus_each("tests/fuzz/corpus/group/*", 20, &r, corpus_feed_json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_and_what_is_near_it_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
