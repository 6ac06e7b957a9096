/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload.h - what to push so that another server gets an exact copy of a group.
 *
 * Only the JSON list says which series belong to which group, and only the scrape in
 * protobuf has them in full (native histograms, exemplars, fields that we do not know).
 * So the raw bytes of each Metric message are cut out of the scrape, unparsed, and put
 * under the family's header again.  Where a server cannot be scraped any more, classic
 * types can still be copied from the JSON, as text.
 * Source: Pushgateway 1.5.1; io.prometheus.client.MetricFamily (client_model).
 */
#ifndef DSHARD_PAYLOAD_H
#define DSHARD_PAYLOAD_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/error.h"

enum { DS_PAYLOAD_MAX = 256 * 1024 * 1024 };

#define DS_PAYLOAD_PROTOBUF                                                              \
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "         \
    "encoding=delimited"
#define DS_PAYLOAD_TEXT "text/plain; version=0.0.4; charset=utf-8"

/* The answer of /metrics in delimited protobuf, indexed by series. */
struct ds_scrape;

/* Borrows data.  DS_E_FORMAT when it is cut or no such thing (a cut between two families
   is not seen: then series are missing). */
struct ds_scrape *ds_scrape_new(const char *data, size_t len, struct ds_error *err)
    DS_NODISCARD;
void ds_scrape_free(struct ds_scrape *scrape);

struct ds_payload {
    struct ds_buf body;       /* DS_BUF_INIT(DS_PAYLOAD_MAX) */
    const char *content_type; /* one of the two above; not owned */
};

/*
 * Appends to payload->body (which the caller has initialised or cleared) the families of
 * the group whose JSON text this is, without push_time_seconds and
 * push_failure_time_seconds: all of them when `only` is NULL, else those n_only (sorted)
 * names.  scrape NULL: as text, from the JSON alone; what that does not show (exemplars,
 * created times, units, the native buckets of a histogram that has classic ones too) is
 * lost then.  Families without a series are left out.  On failure the body is as it was.
 *
 * DS_E_TEMP: JSON and scrape are not of one moment (the group's push times differ, or a
 * series is missing in one of them): read both again.  DS_E_FAILED: it cannot be copied
 * exactly in this way (as text: native or gauge histograms, counts over 2^53, names that
 * text cannot write, bytes that are not UTF-8; two groups expose one series), and the
 * text says why.  DS_E_FORMAT: it is no group.
 */
int ds_payload_make(struct ds_payload *payload, const struct ds_scrape *scrape,
                    const char *json, size_t len, const char *const *only, size_t n_only,
                    struct ds_error *err) DS_NODISCARD;

/* Appends the text that restores push_failure_time_seconds, for one more POST
   (Pushgateway takes it as it is given from the second push on); false: there is none to
   restore. */
bool ds_payload_failure_time(struct ds_payload *payload, const char *json, size_t len);

#endif
