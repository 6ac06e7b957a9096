/* SPDX-License-Identifier: Apache-2.0 */
/* see management.h */
#include "management.h"
#include "frames.h"

#include <assert.h>
#include <stdio.h>

enum { VERSION_1 = 1, TYPE_GET_VALUES = 9, TYPE_VALUES_RESULT = 10, TYPE_UNKNOWN = 11 };
enum { UNKNOWN_BODY = 8 };

static const struct {
    const char *name;
    bool counts; /* how many connections or requests; else whether they are multiplexed */
} variables[] = {
    {"FCGI_MAX_CONNS", true},
    {"FCGI_MAX_REQS", true},
    {"FCGI_MPXS_CONNS", false},
};

static void write_header(unsigned char *out, unsigned type, size_t len)
{
    memset(out, 0, DS_FRAMES_RECORD_HEADER);
    out[0] = VERSION_1;
    out[1] = (unsigned char)type;
    out[5] = (unsigned char)len;
}

/* A bit for the variable of this name, if we know it. */
static unsigned bit_of(const unsigned char *name, size_t len)
{
    for (size_t i = 0; i < DS_COUNT(variables); i++) {
        if (strlen(variables[i].name) == len && memcmp(variables[i].name, name, len) == 0)
            return 1U << i;
    }
    return 0;
}

static int read_names(const unsigned char *at, size_t len, unsigned *asked)
{
    *asked = 0;
    while (len) {
        size_t name, value, used = ds_frames_length(at, len, &name), more;

        more = used ? ds_frames_length(at + used, len - used, &value) : 0;
        if (!more || value || name > len - used - more)
            return -1;
        *asked |= bit_of(at + used + more, name);
        at += used + more + name;
        len -= used + more + name;
    }
    return 0;
}

static unsigned char *add_bytes(unsigned char *out, const void *bytes, size_t len)
{
    memcpy(out, bytes, len);
    return out + len;
}

static size_t add_pair(unsigned char *out, const char *name, const char *value)
{
    size_t name_len = strlen(name), value_len = strlen(value);

    out[0] = (unsigned char)name_len;
    out[1] = (unsigned char)value_len;
    add_bytes(add_bytes(out + 2, name, name_len), value, value_len);
    return 2 + name_len + value_len;
}

static size_t tell_values(unsigned asked, size_t conns_max, unsigned char *out)
{
    char count[24];
    size_t len = DS_FRAMES_RECORD_HEADER;

    snprintf(count, sizeof count, "%zu", conns_max);
    for (size_t i = 0; i < DS_COUNT(variables); i++) {
        if (asked & 1U << i)
            len +=
                add_pair(out + len, variables[i].name, variables[i].counts ? count : "0");
    }
    write_header(out, TYPE_VALUES_RESULT, len - DS_FRAMES_RECORD_HEADER);
    return len;
}

static size_t tell_unknown(unsigned char type, unsigned char *out)
{
    write_header(out, TYPE_UNKNOWN, UNKNOWN_BODY);
    memset(out + DS_FRAMES_RECORD_HEADER, 0, UNKNOWN_BODY);
    out[DS_FRAMES_RECORD_HEADER] = type;
    return DS_FRAMES_RECORD_HEADER + UNKNOWN_BODY;
}

size_t ds_management_answer(const void *record, size_t len, size_t conns_max,
                            unsigned char out[DS_MANAGEMENT_ANSWER_MAX])
{
    const unsigned char *at = record;
    unsigned asked;
    size_t content;

    assert(len >= DS_FRAMES_RECORD_HEADER);
    content = (size_t)at[4] << 8 | at[5];
    assert(content <= len - DS_FRAMES_RECORD_HEADER);
    if (at[1] != TYPE_GET_VALUES)
        return tell_unknown(at[1], out);
    if (read_names(at + DS_FRAMES_RECORD_HEADER, content, &asked) < 0)
        return 0;
    return tell_values(asked, conns_max, out);
}
