/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exposition.h - writes Prometheus' text format, version 0.0.4.
 *
 * A family is begun once, with its HELP and TYPE, and its samples follow; the format
 * wants all lines of a family together.  Values are whole numbers with a decimal point
 * put in: 1500 with 3 decimals is 1.5, without rounding and without the locale's comma.
 * Label values and help texts are escaped; names are ours and are not.
 */
#ifndef DSHARD_EXPOSITION_H
#define DSHARD_EXPOSITION_H

#include "dshard/base.h"
#include "dshard/buf.h"

#define DS_EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum ds_family_type { DS_FAMILY_COUNTER, DS_FAMILY_GAUGE, DS_FAMILY_HISTOGRAM };

struct ds_exposition {
    struct ds_buf *out; /* borrowed */
    const char *family; /* the one that was begun last; borrowed */
};
#define DS_EXPOSITION_INIT(buf)                                                          \
    {                                                                                    \
        (buf), NULL                                                                      \
    }

struct ds_sample_label {
    const char *name, *value;
};

enum { DS_DECIMALS_MS = 3, DS_DECIMALS_NS = 9, DS_DECIMALS_MAX = 18 };

void ds_exposition_family(struct ds_exposition *exposition, const char *name,
                          enum ds_family_type type, const char *help);

/* One sample of the family: value / 10^decimals; n labels may be 0. */
void ds_exposition_sample(struct ds_exposition *exposition,
                          const struct ds_sample_label *labels, size_t n, uint64_t value,
                          unsigned decimals);

/* A family of one sample without labels. */
void ds_exposition_gauge(struct ds_exposition *exposition, const char *name,
                         const char *help, uint64_t value, unsigned decimals);
void ds_exposition_counter(struct ds_exposition *exposition, const char *name,
                           const char *help, uint64_t value);

/* Of a family of type histogram, the samples that have these labels. */
struct ds_histogram {
    const uint64_t *bounds; /* upper ones, ascending, without +Inf; / 10^decimals */
    const uint64_t *counts; /* n_bounds + 1 of them, each bucket by itself */
    size_t n_bounds;
    uint64_t sum; /* / 10^decimals */
    unsigned decimals;
};
void ds_exposition_histogram(struct ds_exposition *exposition,
                             const struct ds_sample_label *label,
                             const struct ds_histogram *histogram);

#endif
