/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole copies, judged by a decoder of the test's own: each series of the group is there
 * with the very bytes of the scrape, nothing else is, and the family's header is right.
 *
 * The answers in tests/data/payload are a real Pushgateway's (1.5.1): /api/v1/metrics and
 * /metrics of one moment, after pushes in hand-made protobuf (tests/e2e/testenv/
 * protobuf.py) of native histograms, exemplars, created times, counts over 2^53, gauge
 * histograms, unknown fields, families called `labels`, help in Latin-1, odd label
 * values, shared families and refused pushes.  Only the families that the server has
 * about itself were taken out of the scrape.  What the code makes of them was pushed to a
 * second server, whose scrape then had the same Metric messages byte by byte.
 */
#include "test.h"

#include "dshard/file.h"
#include "dshard/payload.h"
#include "protobuf.h"
#include "random.h"

#include <jansson.h>
#include <stdlib.h>

enum { INPUT_MAX = 1000000, WORLDS = 60, GROUPS_MAX = 6, FAMILIES = 5 };

static void ds_auto_scrape(struct ds_scrape **scrape)
{
    ds_scrape_free(*scrape);
}

/* ---- the decoder --------------------------------------------------------------- */

struct family {
    struct pb_reader name, help, metrics[200];
    struct ds_buf rest;
    size_t n;
};

/* Of the delimited message that begins there; to be released. */
static struct family read_family(struct pb_reader *body)
{
    struct pb_reader message = pb_read_bytes(body), value;
    struct family family = {.rest = DS_BUF_INIT(PB_MAX)};

    while (message.at < message.end) {
        const char *start = message.at;
        unsigned number = pb_read_field(&message, &value);

        if (number == 4) {
            assert_true(family.n < DS_COUNT(family.metrics));
            family.metrics[family.n++] = value;
        } else if (number == 1) {
            family.name = value;
        } else if (number == 2) {
            family.help = value;
        } else {
            ds_buf_add(&family.rest, start, (size_t)(message.at - start));
        }
    }
    return family;
}

static json_t *labels_of(struct pb_reader metric)
{
    json_t *labels = json_object();
    struct pb_reader pair, value;

    /* Labels come first; what stands behind them need not be readable here. */
    while (metric.at < metric.end && *metric.at == 10 &&
           pb_read_field(&metric, &pair) == 1) {
        struct pb_reader name = {"", ""}, text = {"", ""};
        DS_AUTO(str) char *key = NULL;

        while (pair.at < pair.end) {
            if (pb_read_field(&pair, &value) == 1)
                name = value;
            else
                text = value;
        }
        key = ds_xstrndup(name.at, (size_t)(name.end - name.at));
        json_object_set_new(labels, key,
                            json_stringn(text.at, (size_t)(text.end - text.at)));
    }
    return labels;
}

static bool has_labels(struct pb_reader metric, const json_t *labels)
{
    json_auto_t *found = labels_of(metric);

    return json_equal(found, labels);
}

/* ---- judging a copy ------------------------------------------------------------ */

static bool is_copied(const char *name, const json_t *family)
{
    return strncmp(name, "push_", 5) != 0 &&
           json_array_size(json_object_get(family, "metrics"));
}

static void check_help(const struct family *copy, const struct family *scraped,
                       const json_t *help)
{
    if (!help)
        assert_null(copy->help.at);
    else if (strstr(json_string_value(help), "\xEF\xBF\xBD"))
        assert_true(pb_is(copy->help, scraped->help.at,
                          (size_t)(scraped->help.end - scraped->help.at)));
    else
        assert_true(pb_is(copy->help, json_string_value(help), json_string_length(help)));
}

static void check_metrics(const struct family *copy, const struct family *scraped,
                          const json_t *metrics)
{
    const json_t *metric;
    size_t i;

    assert_int_equal(copy->n, json_array_size(metrics));
    json_array_foreach(metrics, i, metric)
    {
        const json_t *labels = json_object_get(metric, "labels");
        size_t at = 0;

        while (at < scraped->n && !has_labels(scraped->metrics[at], labels))
            at++;
        assert_true(at < scraped->n);
        assert_true(pb_is(copy->metrics[i], scraped->metrics[at].at,
                          (size_t)(scraped->metrics[at].end - scraped->metrics[at].at)));
    }
}

static void check_family(struct pb_reader *body, struct pb_reader scrape,
                         const char *name, const json_t *json)
{
    struct family copy = read_family(body), scraped = {0};

    assert_true(pb_is(copy.name, name, strlen(name)));
    do {
        ds_buf_release(&scraped.rest);
        assert_true(scrape.at < scrape.end);
        scraped = read_family(&scrape);
    } while (!pb_is(scraped.name, name, strlen(name)));
    assert_true(copy.rest.len == scraped.rest.len);
    assert_memory_equal(copy.rest.data, scraped.rest.data, copy.rest.len);
    check_help(&copy, &scraped, json_object_get(json, "help"));
    check_metrics(&copy, &scraped, json_object_get(json, "metrics"));
    ds_buf_release(&copy.rest);
    ds_buf_release(&scraped.rest);
}

/* Copies the group and checks every byte; how many series there were. */
static size_t check_group(json_t *group, const struct ds_scrape *index,
                          const struct ds_buf *scrape)
{
    char *json = json_dumps(group, 0);
    struct ds_payload payload = {.body = DS_BUF_INIT(DS_PAYLOAD_MAX)};
    struct ds_error err = DS_ERROR_INIT;
    struct pb_reader body;
    const char *name;
    size_t n = 0;
    json_t *family;

    assert_ok(ds_payload_make(&payload, index, json, strlen(json), NULL, 0, &err), &err);
    body = (struct pb_reader){payload.body.data, payload.body.data + payload.body.len};
    json_object_foreach(group, name, family)
    {
        if (!is_copied(name, family))
            continue;
        check_family(&body, (struct pb_reader){scrape->data, scrape->data + scrape->len},
                     name, family);
        n += json_array_size(json_object_get(family, "metrics"));
    }
    assert_ptr_equal(body.at, body.end);
    ds_buf_release(&payload.body);
    free(json);
    return n;
}

static void real_answers_are_copied_byte_by_byte(void **state)
{
    DS_AUTO(buf) struct ds_buf list = DS_BUF_INIT(INPUT_MAX);
    DS_AUTO(buf) struct ds_buf scrape = DS_BUF_INIT(INPUT_MAX);
    DS_AUTO(scrape) struct ds_scrape *index = NULL;
    struct ds_error err = DS_ERROR_INIT;
    json_auto_t *answer = NULL;
    json_t *group;
    size_t i, n = 0;

    (void)state;
    assert_ok(ds_file_read(&list, TEST_DATA_DIR "/payload/list.json", &err), &err);
    assert_ok(ds_file_read(&scrape, TEST_DATA_DIR "/payload/scrape.pb", &err), &err);
    answer = json_loadb(list.data, list.len, JSON_ALLOW_NUL, NULL);
    assert_int_equal(json_array_size(json_object_get(answer, "data")), 10);
    index = ds_scrape_new(scrape.data, scrape.len, &err);
    if (!index)
        fail_msg("%s", err.text);
    json_array_foreach(json_object_get(answer, "data"), i, group)
    {
        n += check_group(group, index, &scrape);
    }
    assert_int_equal(n, 27); /* of 48 in the scrape; 21 are push times */
}

/* ---- random worlds ------------------------------------------------------------- */

struct world {
    struct random *random;
    json_t *groups[GROUPS_MAX];
    size_t n_groups, n_series;
    struct ds_buf scrape;
};

static void add_labels(struct world *world, struct ds_buf *metric, json_t *labels,
                       size_t group)
{
    static const char letters[] = "ab\\\"\n\0{}=,\xC3\xA4";
    const char job[] = {(char)('A' + group), '\0'};
    const char *name;
    json_t *text;

    json_object_set_new(labels, "job", json_string(job));
    json_object_set_new(labels, "instance",
                        json_string(random_below(world->random, 2) ? "" : "i"));
    for (size_t i = random_below(world->random, 4); i-- > 0;) {
        const char key[] = {(char)('l' + i), '\0'};
        size_t from = random_below(world->random, 6), to = from;

        to += random_below(world->random, 10 - from);
        json_object_set_new(labels, key, json_stringn(letters + from, to - from));
    }
    json_object_foreach(labels, name, text)
    {
        pb_label(metric, name, json_string_value(text), json_string_length(text));
    }
}

static void add_unknown(struct random *r, struct ds_buf *out)
{
    static const char noise[] = "\x12\x09\x09\0\0\0\0\0\0\xF0?";

    switch (random_below(r, 5)) {
    case 0:
        pb_integer(out, 200 + (unsigned)random_below(r, 9), random_next(r));
        break;
    case 1:
        pb_double(out, 20, (double)random_next(r));
        break;
    case 2:
        pb_bytes(out, 15 + (unsigned)random_below(r, 9), noise,
                 random_below(r, sizeof noise));
        break;
    case 3:
        pb_varint(out, 30 * 8 + 5);
        ds_buf_add(out, noise, 4);
        break;
    default:
        pb_integer(out, 1, random_next(r)); /* not the type that it should have */
    }
}

/* A series of some group, unless the group has one with these labels already. */
static void add_metric(struct world *world, struct ds_buf *family, json_t **lists)
{
    size_t group = random_below(world->random, world->n_groups), i;
    json_t *metric = json_object(), *labels = json_object(), *other;
    DS_AUTO(buf) struct ds_buf bytes = DS_BUF_INIT(PB_MAX);

    add_labels(world, &bytes, labels, group);
    json_object_set_new(metric, "labels", labels);
    json_array_foreach(lists[group], i, other)
    {
        if (!json_equal(other, metric))
            continue;
        json_decref(metric);
        return;
    }
    for (i = random_below(world->random, 4); i-- > 0;)
        add_unknown(world->random, &bytes);
    pb_bytes(family, 4, bytes.data, bytes.len);
    /* The list has them in another order. */
    json_array_insert_new(lists[group],
                          random_below(world->random, json_array_size(lists[group]) + 1),
                          metric);
    world->n_series++;
}

static void add_family(struct world *world, const char *name)
{
    DS_AUTO(buf) struct ds_buf family = DS_BUF_INIT(PB_MAX);
    json_t *lists[GROUPS_MAX];

    pb_text(&family, 1, name);
    if (random_below(world->random, 2))
        pb_text(&family, 2, "help of anybody");
    for (size_t g = 0; g < world->n_groups; g++)
        lists[g] = json_array();
    for (size_t i = random_below(world->random, 30); i-- > 0;) {
        if (!random_below(world->random, 5))
            pb_integer(&family, 3 + 2 * (unsigned)random_below(world->random, 9), i);
        add_metric(world, &family, lists);
    }
    pb_delimited(&world->scrape, &family);
    for (size_t g = 0; g < world->n_groups; g++) {
        json_t *listed = json_pack("{s:o}", "metrics", lists[g]);

        if (random_below(world->random, 2))
            json_object_set_new(listed, "help", json_string(name));
        json_object_set_new(world->groups[g], name, listed);
    }
}

static void add_push_times(struct world *world)
{
    DS_AUTO(buf) struct ds_buf family = DS_BUF_INIT(PB_MAX);

    pb_text(&family, 1, "push_time_seconds");
    for (size_t g = 0; g < world->n_groups; g++) {
        DS_AUTO(buf) struct ds_buf metric = DS_BUF_INIT(PB_MAX);
        DS_AUTO(buf) struct ds_buf gauge = DS_BUF_INIT(PB_MAX);
        const char job[] = {(char)('A' + g), '\0'};

        pb_label(&metric, "job", job, 1);
        pb_double(&gauge, 1, 1.7953728471263752e+09);
        pb_bytes(&metric, 2, gauge.data, gauge.len);
        pb_bytes(&family, 4, metric.data, metric.len);
        json_object_set_new(world->groups[g], "push_time_seconds",
                            json_pack("{s:[{s:{s:s},s:s}]}", "metrics", "labels", "job",
                                      job, "value", "1.7953728471263752e+09"));
    }
    pb_delimited(&world->scrape, &family);
}

static void any_group_is_copied_byte_by_byte(void **state)
{
    static const char *const names[FAMILIES] = {"m", "labels", "m_count", "",
                                                "last_push_successful"};
    struct random r = random_start(__func__);
    size_t n = 0, n_all = 0;

    (void)state;
    for (int round = 0; round < WORLDS; round++) {
        struct world world = {.random = &r, .scrape = DS_BUF_INIT(PB_MAX)};
        DS_AUTO(scrape) struct ds_scrape *index = NULL;
        struct ds_error err = DS_ERROR_INIT;

        world.n_groups = 1 + random_below(&r, GROUPS_MAX);
        for (size_t g = 0; g < world.n_groups; g++)
            world.groups[g] = json_object();
        for (size_t i = 0; i < FAMILIES; i++)
            add_family(&world, names[i]);
        add_push_times(&world);
        index = ds_scrape_new(world.scrape.data, world.scrape.len, &err);
        if (!index)
            fail_msg("%s", err.text);
        for (size_t g = 0; g < world.n_groups; g++) {
            n += check_group(world.groups[g], index, &world.scrape);
            json_decref(world.groups[g]);
        }
        n_all += world.n_series;
        ds_buf_release(&world.scrape);
    }
    assert_int_equal(n, n_all);
    assert_true(n > WORLDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_answers_are_copied_byte_by_byte),
        cmocka_unit_test(any_group_is_copied_byte_by_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
