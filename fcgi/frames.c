/* SPDX-License-Identifier: Apache-2.0 */
/* see frames.h; the records are those of the FastCGI specification, version 1.0 */
#include "frames.h"

enum { VERSION_1 = 1, FLAG_KEEP_CONN = 1, ROLE_RESPONDER = 1, ROLE_AUTHORIZER = 2 };
enum {
    TYPE_BEGIN_REQUEST = 1,
    TYPE_PARAMS = 4,
    TYPE_STDIN = 5,
    TYPE_GET_VALUES = 9,
    TYPE_LAST = 11, /* that has a meaning; later ones are told that they have none */
};
enum { BEGIN_BODY = 8 };

void ds_frames_init(struct ds_frames *frames)
{
    memset(frames, 0, sizeof *frames);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static unsigned big_endian_16(const unsigned char *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

size_t ds_frames_length(const unsigned char *at, size_t len, size_t *out)
{
    if (len && at[0] < 0x80) {
        *out = at[0];
        return 1;
    }
    if (len < 4)
        return 0;
    *out =
        (size_t)(at[0] & 0x7F) << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    return 4;
}

/* Both lengths of a pair are there: its name and value come next. */
static bool is_pair_complete(struct ds_frames *f)
{
    size_t name, value, used, more;

    used = ds_frames_length(f->lengths, f->n_lengths, &name);
    if (!used)
        return false;
    more = ds_frames_length(f->lengths + used, f->n_lengths - used, &value);
    if (!more)
        return false;
    f->pair_left = name + value;
    return true;
}

/* Reads on in the lengths of a pair; returns how many bytes it used. */
static size_t read_lengths(struct ds_frames *f, const unsigned char *at, size_t len)
{
    /* Both are short and there, as nearly always: a third of the time this scanner takes
       went into looking at them byte by byte. */
    if (!f->n_lengths && len >= 2 && at[0] < 0x80 && at[1] < 0x80) {
        f->pair_left = (size_t)at[0] + at[1];
        return 2;
    }
    f->lengths[f->n_lengths++] = *at;
    if (is_pair_complete(f))
        f->n_lengths = 0;
    return 1;
}

/* Goes through the pairs, so that libfcgi is not made to allocate 2 GiB for a name. */
static enum ds_frames_stage read_params(struct ds_frames *f, const unsigned char *at,
                                        size_t len)
{
    while (len) {
        size_t used = f->pair_left ? 0 : read_lengths(f, at, len);

        if (f->pair_left > DS_FRAMES_HEAD_MAX)
            return DS_FRAMES_BAD;
        at += used;
        len -= used;
        used = least(len, f->pair_left);
        if (used && memchr(at, '\0', used))
            return DS_FRAMES_BAD; /* it would end the value early, in silence */
        f->pair_left -= used;
        at += used;
        len -= used;
    }
    return DS_FRAMES_PARAMS;
}

static enum ds_frames_stage end_begin(struct ds_frames *f)
{
    unsigned role = big_endian_16(f->small);

    if (role != ROLE_RESPONDER && role != ROLE_AUTHORIZER)
        return DS_FRAMES_BAD;
    f->has_stdin = role == ROLE_RESPONDER;
    f->keep = f->small[2] & FLAG_KEEP_CONN;
    return DS_FRAMES_PARAMS;
}

/* A record of no request; the others of this kind are for us to send. */
static enum ds_frames_stage begin_management(const struct ds_frames *f, unsigned type)
{
    if (type != TYPE_GET_VALUES && type <= TYPE_LAST)
        return DS_FRAMES_BAD;
    if (f->content_left > DS_FRAMES_MANAGEMENT_MAX)
        return DS_FRAMES_BAD;
    return f->content_left || f->padding_left ? DS_FRAMES_BEGIN : DS_FRAMES_ASKED;
}

/* The record's header is there.  Answers the stage after it: an empty record ends a
   stream, and has no padding, since libfcgi would take that for the next header. */
static enum ds_frames_stage read_header(struct ds_frames *f, const unsigned char *header)
{
    unsigned type = header[1], id = big_endian_16(header + 2);

    f->content_left = big_endian_16(header + 4);
    f->padding_left = header[6];
    if (header[0] != VERSION_1)
        return DS_FRAMES_BAD;
    if (!id && f->stage == DS_FRAMES_BEGIN)
        return begin_management(f, type);
    if (!id || (!f->content_left && f->padding_left))
        return DS_FRAMES_BAD;
    if (f->stage == DS_FRAMES_BEGIN) {
        f->id = (uint16_t)id;
        return type == TYPE_BEGIN_REQUEST && f->content_left == BEGIN_BODY
                   ? DS_FRAMES_BEGIN
                   : DS_FRAMES_BAD;
    }
    if (id != f->id || type != (f->stage == DS_FRAMES_PARAMS ? TYPE_PARAMS : TYPE_STDIN))
        return DS_FRAMES_BAD;
    if (f->content_left)
        return f->stage;
    if (f->stage == DS_FRAMES_STDIN)
        return DS_FRAMES_DONE;
    if (f->n_lengths || f->pair_left)
        return DS_FRAMES_BAD; /* PARAMS end within a pair */
    return f->has_stdin ? DS_FRAMES_STDIN : DS_FRAMES_DONE;
}

static size_t take_small(struct ds_frames *f, const unsigned char *at, size_t len)
{
    size_t used = least(len, sizeof f->small - f->n_small);

    memcpy(f->small + f->n_small, at, used);
    f->n_small += used;
    return used;
}

static size_t take_content(struct ds_frames *f, const unsigned char *at, size_t len)
{
    size_t used = least(len, f->content_left);

    if (f->stage == DS_FRAMES_BEGIN)
        take_small(f, at, used);
    else if (f->stage == DS_FRAMES_PARAMS)
        f->stage = read_params(f, at, used);
    f->content_left -= used;
    return used;
}

static size_t take_header(struct ds_frames *f, const unsigned char *at, size_t len)
{
    size_t used = sizeof f->small;

    if (f->n_small || len < sizeof f->small) { /* it comes in parts */
        used = take_small(f, at, len);
        if (f->n_small < sizeof f->small)
            return used;
        f->n_small = 0;
        at = f->small;
    }
    f->stage = read_header(f, at);
    f->in_record = f->content_left || f->padding_left;
    return used;
}

/* Takes one part of a record: some of its header, content or padding. */
static size_t step(struct ds_frames *f, const unsigned char *at, size_t len)
{
    size_t used;

    if (!f->in_record)
        return take_header(f, at, len);
    if (f->content_left) {
        used = take_content(f, at, len);
    } else {
        used = least(len, f->padding_left);
        f->padding_left -= used;
    }
    if (f->content_left || f->padding_left || f->stage == DS_FRAMES_BAD)
        return used;
    f->in_record = false;
    f->n_small = 0;
    if (f->stage == DS_FRAMES_BEGIN)
        f->stage = f->id ? end_begin(f) : DS_FRAMES_ASKED;
    return used;
}

size_t ds_frames_feed(struct ds_frames *frames, const void *data, size_t len)
{
    const unsigned char *at = data;
    enum ds_frames_stage stage = frames->stage;
    size_t used = 0;

    if (stage >= DS_FRAMES_DONE)
        return 0;
    while (used < len && frames->stage == stage)
        used += step(frames, at + used, len - used);
    if (stage != DS_FRAMES_STDIN) {
        frames->head_len += used;
        if (frames->head_len > DS_FRAMES_HEAD_MAX)
            frames->stage = DS_FRAMES_BAD;
    }
    return used;
}

void ds_frames_end_of_stdin(const struct ds_frames *frames,
                            unsigned char out[DS_FRAMES_RECORD_HEADER])
{
    memset(out, 0, DS_FRAMES_RECORD_HEADER);
    out[0] = VERSION_1;
    out[1] = TYPE_STDIN;
    out[2] = (unsigned char)(frames->id >> 8);
    out[3] = (unsigned char)(frames->id & 0xFF);
}
