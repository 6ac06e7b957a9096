/* SPDX-License-Identifier: Apache-2.0 */
/* see corpus.h */
#include "test.h"

#include "../fuzz/fuzz_consul_health.c"
#include "corpus.h"

enum { CHANGES = 20, SMALL = 2000 };

static void feed(struct random *r, struct ds_buf *input)
{
    static const char odd[] = "\"{}[]:,-.\\ue09 \xC3\xFF";

    corpus_feed_odd(r, input, odd, sizeof odd, input->len < SMALL ? CHANGES : 0);
}

static void the_corpus_and_what_is_near_it_pass(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    corpus_each("tests/fuzz/corpus/consul_health/*", 10, &r, feed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_and_what_is_near_it_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
