/* SPDX-License-Identifier: Apache-2.0 */
/* see counters.h */
#include "dshard/counters.h"

#include <assert.h>
#include <stdlib.h>

static const char *const method_names[DS_N_METHODS] = {"DELETE", "GET", "HEAD",
                                                       "POST",   "PUT", "other"};
static const unsigned statuses[DS_N_STATUSES] = {200, 307, 400, 403, 404,
                                                 405, 414, 500, 503};
static const struct {
    const char *name;
    unsigned status;
} refusals[DS_N_REFUSALS] = {
    [DS_REFUSAL_NONE] = {"", 200},
    [DS_REFUSAL_BAD_PATH] = {"bad_path", 400},
    [DS_REFUSAL_NOT_FOUND] = {"not_found", 404},
    [DS_REFUSAL_METHOD] = {"method_not_allowed", 405},
    [DS_REFUSAL_TOO_LONG] = {"path_too_long", 414},
    [DS_REFUSAL_MISCONFIGURED] = {"misconfigured", 500},
    [DS_REFUSAL_OVERFLOW] = {"answer_too_long", 500},
    [DS_REFUSAL_NO_MEMBER] = {"no_member", 503},
    [DS_REFUSAL_NO_STATE] = {"no_state", 503},
};

/* Close together where the handler's own work lies, about 10 us. */
const uint64_t ds_duration_bounds[DS_N_BOUNDS] = {
    2500,   5000,   10000,   25000,   50000,    100000,
    250000, 500000, 1000000, 5000000, 25000000, 100000000,
};

enum ds_method ds_method_of(const char *text)
{
    enum ds_method method = 0;

    if (!text)
        return DS_METHOD_OTHER;
    /* The first letter tells most of them apart, without a call. */
    while (method < DS_METHOD_OTHER && (text[0] != method_names[method][0] ||
                                        strcmp(text, method_names[method]) != 0))
        method++;
    return method;
}

const char *ds_method_name(enum ds_method method)
{
    return method_names[method];
}

bool ds_method_is_push(enum ds_method method)
{
    return method == DS_METHOD_PUT || method == DS_METHOD_POST ||
           method == DS_METHOD_DELETE;
}

const char *ds_refusal_name(enum ds_refusal refusal)
{
    return refusals[refusal].name;
}

unsigned ds_refusal_status(enum ds_refusal refusal)
{
    return refusals[refusal].status;
}

unsigned ds_counted_status(size_t index)
{
    assert(index < DS_N_STATUSES);
    return statuses[index];
}

size_t ds_counted_status_index(unsigned status)
{
    size_t i = 0;

    while (statuses[i] != status) {
        i++;
        assert(i < DS_N_STATUSES);
    }
    return i;
}

size_t ds_duration_bucket(uint64_t ns)
{
    size_t i = 0;

    while (i < DS_N_BOUNDS && ns > ds_duration_bounds[i])
        i++;
    return i;
}

void ds_counters_release(struct ds_counters *counters)
{
    free(counters->pushes);
    counters->pushes = NULL;
    counters->n_pushes = 0;
}

void ds_auto_counters(struct ds_counters *counters)
{
    ds_counters_release(counters);
}
