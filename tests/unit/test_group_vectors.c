/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a real Pushgateway with awkward groups: tests/data/groups/capture. */
#include "test.h"

#include "dshard/file.h"
#include "dshard/groupkey.h"
#include "dshard/inventory.h"
#include "dshard/murmur3.h"
#include "random.h"

enum { LIST_MAX = 1000000 };

static void ds_auto_inventory(struct ds_inventory *inventory)
{
    ds_inventory_release(inventory);
}

static int take(void *arg, const char *json, size_t len, struct ds_error *err)
{
    struct ds_group group;

    if (ds_group_parse(&group, json, len, err) < 0)
        return -1;
    ds_inventory_add(arg, &group);
    return 0;
}

static void read_list(struct random *r, struct ds_inventory *inventory)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(LIST_MAX);
    struct ds_group_splitter *splitter = ds_group_splitter_new(take, inventory);
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_read(&text, TEST_DATA_DIR "/groups/list.json", &err), &err);
    for (size_t at = 0, n; at < text.len; at += n) {
        n = 1 + random_below(r, 3000);
        n = n < text.len - at ? n : text.len - at;
        assert_ok(ds_group_splitter_feed(splitter, text.data + at, n, &err), &err);
    }
    assert_ok(ds_group_splitter_end(splitter, &err), &err);
    ds_group_splitter_free(splitter);
    ds_inventory_sort(inventory);
}

/* A line of list.tsv. */
static void add_line(struct ds_buf *out, const struct ds_group *group)
{
    for (size_t i = 0; i < group->identity_len; i++)
        ds_buf_addf(out, "%02x", (unsigned)(unsigned char)group->identity[i]);
    ds_buf_addf(out, "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t",
                group->pushed_us, group->failed_us, group->created_us, group->stamped_us);
    for (size_t i = 0; i < group->n_families; i++)
        ds_buf_addf(out, "%s%s=%" PRId64, i ? " " : "", group->families[i].name,
                    group->families[i].pushed_us);
    ds_buf_addf(out, "\t%zu\t%u\n", group->n_series, group->flags);
}

static void a_real_list_is_read_as_it_was_meant(void **state)
{
    DS_AUTO(buf) struct ds_buf want = DS_BUF_INIT(LIST_MAX), got = DS_BUF_INIT(LIST_MAX);
    struct random r = random_start(__func__);
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_ok(ds_file_read(&want, TEST_DATA_DIR "/groups/list.tsv", &err), &err);
    for (int round = 0; round < 50; round++) {
        DS_AUTO(inventory) struct ds_inventory inventory = {0};

        read_list(&r, &inventory);
        assert_true(inventory.n >= 20);
        ds_buf_clear(&got);
        for (size_t i = 0; i < inventory.n; i++)
            add_line(&got, &inventory.groups[i]);
        assert_string_equal(got.data, want.data);
    }
}

static void each_group_of_a_real_list_has_a_url_and_the_hash_of_its_key(void **state)
{
    DS_AUTO(inventory) struct ds_inventory inventory = {0};
    DS_AUTO(groupkey) struct ds_groupkey key = {0};
    struct random r = random_start(__func__);
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    ds_groupkey_init(&key);
    read_list(&r, &inventory);
    for (size_t i = 0; i < inventory.n; i++) {
        const struct ds_group *group = &inventory.groups[i];

        assert_ok(
            ds_groupkey_from_identity(&key, group->identity, group->identity_len, &err),
            &err);
        assert_int_equal(group->hash, ds_murmur3(key.key.data, key.key.len, 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_list_is_read_as_it_was_meant),
        cmocka_unit_test(each_group_of_a_real_list_has_a_url_and_the_hash_of_its_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
