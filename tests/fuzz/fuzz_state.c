/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a state file: they are refused, and leave nothing behind, or they are a
 * state whose values are possible and that is written and read again as it stands.
 * Checksum and digest would stop nearly every input at the door, so it is tried a second
 * time with a right checksum and a third time with a right digest.  `make fuzz` runs it
 * under libFuzzer; tests/unit/test_state_fuzz.c replays the corpus without it.
 */
#include "../../src/state_json.h"
#include "dshard/state.h"
#include "dshard/utf8.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_state: %s\n", what);
    abort();
}

static void check_refusal(const struct ds_state *state, const struct ds_error *err)
{
    check(err->code == DS_E_FORMAT || err->code == DS_E_NEWER,
          "a refusal has another code");
    check(ds_utf8_is_valid(err->text, strlen(err->text)), "a reason is not UTF-8");
    for (const char *c = err->text; *c; c++)
        check((unsigned char)*c >= ' ' && *c != 0x7F, "a reason has a control character");
    check(!state->n_servers && !state->n_history && !state->frozen_reason &&
              !state->operation_kind && !state->generation,
          "something is left of a state that was refused");
}

static void check_servers(const struct ds_state *state)
{
    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *one = &state->servers[i];
        const struct ds_health *health = &one->health;

        check(one->server.weight >= 1 && one->server.weight <= DS_WEIGHT_MAX,
              "a weight is impossible");
        check(one->member ? one->ring_weight == one->server.weight : !one->ring_weight,
              "a weight in the ring is another");
        check(!health->hold_until_ms || health->state == DS_HEALTH_HELD,
              "a server is held that is not held");
        check(health->n_flaps <= DS_FLAPS_MAX, "there are too many flaps");
        check(!i || ds_standing_compare(one - 1, one) < 0,
              "servers are not sorted and unique");
        check(ds_state_find(state, one->server.address) == one,
              "a server is not found by its name");
    }
}

static void check_state(const struct ds_state *state)
{
    DS_AUTO(ring) struct ds_ring *ring = NULL;
    size_t n;
    DS_AUTO(ptr) void *members = ds_state_members(state, &n);

    check(state->n_servers <= DS_SERVERS_MAX && state->n_history <= DS_HISTORY_MAX,
          "there are too many");
    check(!n || state->generation, "there are members and never was a ring");
    check_servers(state);
    ring = ds_state_ring(state);
    check((members != NULL) == (ring != NULL), "the members make no ring");
}

static void check_again(const struct ds_state *state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    DS_AUTO(buf) struct ds_buf text_again = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    DS_AUTO(state) struct ds_state again = {0};
    struct ds_error err = DS_ERROR_INIT;

    ds_state_format(state, &text);
    check(!text.over, "a state cannot be written");
    check(ds_state_parse(&again, text.data, text.len, &err) == 0,
          "what was written is refused");
    ds_state_format(&again, &text_again);
    check(strcmp(text.data, text_again.data) == 0, "it is written another way");
}

/* Returns what is wrong, in err. */
static void try_text(const char *text, size_t len, struct ds_error *err)
{
    DS_AUTO(state) struct ds_state state = {0};

    if (ds_state_parse(&state, text, len, err) < 0) {
        check_refusal(&state, err);
        return;
    }
    check_state(&state);
    check_again(&state);
}

static void try_json(json_t *root, struct ds_error *err)
{
    char checksum[DS_DIGEST_MAX];
    char *text;

    json_object_del(root, "checksum");
    ds_state_checksum(root, checksum);
    json_object_set_new(root, "checksum", json_string(checksum));
    text = json_dumps(root, JSON_COMPACT);
    check(text != NULL, "what was read as JSON cannot be written");
    try_text(text, strlen(text), err);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char hint[] = "but its members give '";
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(json) json_t *root = NULL;
    const char *digest;

    try_text((const char *)data, size, &err);
    root = json_loadb((const char *)data, size, 0, NULL);
    if (!json_is_object(root))
        return 0;
    try_json(root, &err);
    digest = strstr(err.text, hint);
    if (!digest)
        return 0;
    json_object_set_new(root, "digest",
                        json_stringn(digest + strlen(hint), DS_DIGEST_MAX - 1));
    try_json(root, &err);
    return 0;
}
