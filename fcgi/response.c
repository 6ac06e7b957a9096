/* SPDX-License-Identifier: Apache-2.0 */
/* see response.h */
#include "response.h"

enum {
    HEAD_MAX = 128 * 1024, /* headers may repeat the URL, at most 24 KiB */
    BODY_MAX = 4 * 1024 * 1024,
};

void ds_response_init(struct ds_response *response)
{
    response->status = 0;
    ds_buf_init(&response->head, HEAD_MAX);
    ds_buf_init(&response->body, BODY_MAX);
}

void ds_response_release(struct ds_response *response)
{
    ds_buf_release(&response->head);
    ds_buf_release(&response->body);
}

void ds_auto_response(struct ds_response *response)
{
    ds_response_release(response);
}

static const char *status_line(unsigned status)
{
    switch (status) {
    case 200:
        return "Status: 200 OK\r\n";
    case 307:
        return "Status: 307 Temporary Redirect\r\n";
    case 400:
        return "Status: 400 Bad Request\r\n";
    case 403:
        return "Status: 403 Forbidden\r\n";
    case 404:
        return "Status: 404 Not Found\r\n";
    case 405:
        return "Status: 405 Method Not Allowed\r\n";
    case 414:
        return "Status: 414 URI Too Long\r\n";
    case 503:
        return "Status: 503 Service Unavailable\r\n";
    default:
        return "Status: 500 Internal Server Error\r\n";
    }
}

void ds_response_begin(struct ds_response *response, unsigned status)
{
    response->status = status;
    ds_buf_clear(&response->head);
    ds_buf_clear(&response->body);
}

void ds_response_header(struct ds_response *response, const char *name, const char *value)
{
    ds_buf_adds(&response->head, name);
    ds_buf_adds(&response->head, ": ");
    ds_buf_adds(&response->head, value);
    ds_buf_adds(&response->head, "\r\n");
}

/* How many bytes from the first on may stand in a header, in steps of eight.  Of a byte
   that may not, the highest bit of itself, of one more or of 0x21 less is set; the carry
   or borrow of such a byte reaches only those behind it. */
static size_t skip_plain(const char *data, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    size_t i = 0;

    for (; len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, data + i, sizeof word);
        if ((word | (word + ones) | (word - 0x21 * ones)) & 0x80 * ones)
            break;
    }
    return i;
}

/* A URL's bytes: the parser lets no control byte through, and this does not rely on it.
 */
void ds_response_add_url(struct ds_buf *out, const char *data, size_t len)
{
    size_t plain = 0;

    for (size_t i = skip_plain(data, len); i < len; i++) {
        unsigned char c = (unsigned char)data[i];

        if (c > 0x20 && c < 0x7F)
            continue;
        ds_buf_add(out, data + plain, i - plain);
        ds_buf_addf(out, "%%%02X", (unsigned)c);
        plain = i + 1;
    }
    ds_buf_add(out, data + plain, len - plain);
}

void ds_response_finish(struct ds_response *response, const char *type,
                        uint64_t generation, enum ds_response_part part)
{
    struct ds_buf *head = &response->head;

    ds_buf_adds(head, "Content-Type: ");
    ds_buf_adds(head, type);
    ds_buf_adds(head, "\r\nContent-Length: ");
    ds_buf_addu(head, response->body.len);
    ds_buf_adds(head, "\r\nX-Dshard-Generation: ");
    ds_buf_addu(head, generation);
    ds_buf_adds(head, "\r\n");
    /* Behind the others: of HAProxy's FastCGI a Location after it would make a 302. */
    ds_buf_adds(head, status_line(response->status));
    ds_buf_adds(head, "\r\n");
    if (part == DS_RESPONSE_HEAD)
        ds_buf_clear(&response->body);
}
