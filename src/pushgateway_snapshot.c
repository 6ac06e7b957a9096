/* SPDX-License-Identifier: Apache-2.0 */
/* pushgateway_snapshot.c - what is needed to copy groups from a server. */
#include "pushgateway_impl.h"

#include <stdlib.h>

#define ACCEPT                                                                           \
    "Accept: application/vnd.google.protobuf;"                                           \
    "proto=io.prometheus.client.MetricFamily;encoding=delimited"

/* A wanted group and its text, which must stay together while they are sorted. */
struct kept {
    struct ds_group group; /* first: so that groups' comparison compares these */
    char *json;
    size_t len;
};

struct keeping {
    ds_group_wanted_fn *wanted;
    void *arg;
    struct kept *items;
    size_t n, cap;
};

void ds_snapshot_init(struct ds_snapshot *snapshot, const char *address)
{
    *snapshot = (struct ds_snapshot){.scrape_err = DS_ERROR_INIT};
    ds_inventory_init(&snapshot->inventory, address);
    ds_buf_init(&snapshot->scrape_body, 0);
}

void ds_snapshot_release(struct ds_snapshot *snapshot)
{
    for (size_t i = 0; snapshot->json && i < snapshot->inventory.n; i++)
        free(snapshot->json[i]);
    free(snapshot->json);
    free(snapshot->json_len);
    snapshot->json = NULL;
    snapshot->json_len = NULL;
    ds_inventory_release(&snapshot->inventory);
    ds_scrape_free(snapshot->scrape);
    snapshot->scrape = NULL;
    ds_buf_release(&snapshot->scrape_body);
}

void ds_auto_snapshot(struct ds_snapshot *snapshot)
{
    ds_snapshot_release(snapshot);
}

static int keep_wanted(void *arg, const char *json, size_t len, struct ds_error *err)
{
    struct keeping *keeping = arg;
    struct ds_group group = {0};

    if (ds_group_parse(&group, json, len, err) < 0) {
        ds_group_release(&group);
        return -1;
    }
    if (!keeping->wanted(keeping->arg, &group)) {
        ds_group_release(&group);
        return 0;
    }
    if (keeping->n == keeping->cap) {
        keeping->cap = keeping->cap ? 2 * keeping->cap : 64;
        keeping->items =
            ds_xreallocarray(keeping->items, keeping->cap, sizeof *keeping->items);
    }
    keeping->items[keeping->n++] =
        (struct kept){.group = group, .json = ds_xstrndup(json, len), .len = len};
    return 0;
}

static void drop(struct kept *item)
{
    ds_group_release(&item->group);
    free(item->json);
}

/* Makes one of two that look the same, as ds_inventory_sort() does. */
static void merge(struct kept *kept, struct kept *other)
{
    unsigned flags = kept->group.flags | other->group.flags | DS_GROUP_GUESSED;

    if (other->group.pushed_us > kept->group.pushed_us) {
        struct kept swapped = *kept;

        *kept = *other;
        *other = swapped;
    }
    kept->group.flags = flags;
    drop(other);
}

static void hand_over(struct keeping *keeping, struct ds_snapshot *out)
{
    struct kept *items = keeping->items;
    size_t n = 0;

    if (keeping->n)
        qsort(items, keeping->n, sizeof *items, ds_group_compare);
    for (size_t i = 0; i < keeping->n; i++) {
        if (n && ds_group_compare(&items[n - 1].group, &items[i].group) == 0)
            merge(&items[n - 1], &items[i]);
        else
            items[n++] = items[i];
    }
    out->json = ds_xcalloc(n + 1, sizeof *out->json);
    out->json_len = ds_xcalloc(n + 1, sizeof *out->json_len);
    for (size_t i = 0; i < n; i++) {
        out->json[i] = items[i].json;
        out->json_len[i] = items[i].len;
        ds_inventory_add(&out->inventory, &items[i].group);
    }
    keeping->n = 0;
}

static int read_groups(struct ds_pushgateway *server, struct keeping *keeping,
                       struct ds_snapshot *out, struct ds_error *err)
{
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_http_request request;
    struct ds_listing listing;

    ds_listing_begin(&listing, server, keep_wanted, keeping, &request);
    ds_ignore(ds_pushgateway_do(server, &request, &response, err)); /* the end says it */
    ds_listing_fill(&listing, &response, &out->inventory);
    if (ds_listing_end(&listing, &response, err) < 0) {
        ds_listing_fail(&out->inventory, err);
        return -1;
    }
    hand_over(keeping, out);
    return 0;
}

/* A proxy may have passed over what we accept. */
static int check_type(const struct ds_http_response *response, struct ds_error *err)
{
    static const char want[] = "application/vnd.google.protobuf";
    DS_AUTO(str) char *type = ds_http_header(response, "Content-Type");

    if (type && strncmp(type, want, strlen(want)) == 0 &&
        strstr(type, "encoding=delimited"))
        return 0;
    return ds_fail(err, DS_E_FORMAT, "the answer is not in protobuf");
}

static int read_scrape(struct ds_pushgateway *server, struct ds_snapshot *out,
                       struct ds_error *err)
{
    DS_AUTO(str) char *url = ds_pushgateway_url(server, "/metrics");
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_http_request request = ds_pushgateway_request(server, url);

    request.headers[0] = ACCEPT;
    request.body_max = DS_PUSHGATEWAY_ANSWER_MAX;
    if (ds_pushgateway_get(server, &request, &response, err) < 0)
        return -1;
    if (check_type(&response, err) < 0)
        return ds_wrap(err, "GET %s", url);
    out->scrape_body = response.body;
    ds_buf_init(&response.body, 0);
    out->scrape = ds_scrape_new(out->scrape_body.data, out->scrape_body.len, err);
    return out->scrape ? 0 : ds_wrap(err, "GET %s", url);
}

int ds_pushgateway_snapshot(struct ds_pushgateway *server, ds_group_wanted_fn *wanted,
                            void *arg, struct ds_snapshot *out, struct ds_error *err)
{
    struct keeping keeping = {.wanted = wanted, .arg = arg};
    int rc;

    ds_snapshot_init(out, server->address);
    rc = read_groups(server, &keeping, out, err);
    for (size_t i = 0; i < keeping.n; i++)
        drop(&keeping.items[i]);
    free(keeping.items);
    /* A server that cannot be scraped can still be read. */
    if (rc == 0)
        ds_ignore(read_scrape(server, out, &out->scrape_err));
    return rc;
}
