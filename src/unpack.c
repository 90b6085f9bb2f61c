/*
 * unpack.c - answers packed with gzip, unpacked in one piece.
 *
 * libcurl unpacks a body as it arrives, 16 KiB at a time, which costs more than everything else that
 * happens to a page of rows: zlib starts and stops at each piece, keeps a window of its own, and what it
 * gives has to be collected. A page is needed whole anyway. So http.c collects the packed bytes, a sixth of
 * the size, and the page is unpacked once, straight into memory of the right size, by libdeflate, in less than
 * a third of the time. Pages under way take a sixth of the memory too.
 *
 * Built without CLO_LIBDEFLATE, libcurl unpacks as before (and takes other codings than gzip as well).
 *
 * The size that a gzip member states for itself, its last four bytes, is a hint and no more: memory starts
 * with no more than the packed bytes can give at all (1032 for one), grows when it was too small, and
 * never beyond the maximum of the buffer. Length and checksum are verified. Several members are one text
 * (RFC 1952); bytes that are no member are an error.
 *
 * Rejected: zlib in one piece (saves a sixth of the time, not two thirds); unpacking as late as the page
 * is read (an answer that cannot be unpacked is asked for again, and that is decided when it arrives).
 */
#include "clo_int.h"

#include <string.h>

#ifdef CLO_LIBDEFLATE
#include <libdeflate.h>

enum { RATIO_MAX = 1032, ROOM_MIN = 64 };

bool
clo_unpack_here(void)
{
    return true;
}

/* The size to begin with. */
static size_t
first_room(const clo_buf *packed)
{
    const unsigned char *end = (const unsigned char *)packed->data + packed->len;
    size_t room = 0, most = packed->len < SIZE_MAX / RATIO_MAX ? packed->len * RATIO_MAX : SIZE_MAX;

    if (packed->len >= 4)
        room =
            (size_t)end[-4] | (size_t)end[-3] << 8 | (size_t)end[-2] << 16 | (size_t)end[-1] << 24;
    if (room > most)
        room = most;
    if (room < ROOM_MIN)
        room = ROOM_MIN;
    return room < packed->max ? room : packed->max;
}

/* Room for `cap` bytes and the NUL. */
static clo_code
make_room(clo_buf *out, size_t cap)
{
    char *p = clo_realloc(out->data, cap + 1);

    if (p == NULL)
        return CLO_E_NOMEM;
    out->data = p;
    out->cap = cap + 1;
    return CLO_E_NONE;
}

/* Twice the room, up to the maximum. */
static clo_code
more_room(clo_buf *out)
{
    size_t cap = out->cap - 1;

    if (cap >= out->max)
        return CLO_E_LIMIT;
    return make_room(out, cap < out->max / 2 ? cap * 2 : out->max);
}

static clo_code
unpack_members(struct libdeflate_decompressor *d, const clo_buf *packed, clo_buf *out)
{
    clo_code code = make_room(out, first_room(packed));
    size_t at = 0;

    while (code == CLO_E_NONE && at < packed->len) {
        size_t used = 0, made = 0;
        enum libdeflate_result rc = libdeflate_gzip_decompress_ex(
            d, packed->data + at, packed->len - at, out->data + out->len, out->cap - 1 - out->len,
            &used, &made);

        if (rc == LIBDEFLATE_INSUFFICIENT_SPACE) {
            code = more_room(out);
        } else if (rc != LIBDEFLATE_SUCCESS) {
            code = CLO_E_PROTO;
        } else {
            at += used;
            out->len += made;
        }
    }
    if (code == CLO_E_NONE)
        out->data[out->len] = '\0';
    return code;
}

clo_code
clo_unpack(clo_buf *body)
{
    struct libdeflate_decompressor *d;
    clo_code code;
    clo_buf out;

    if (body->error != CLO_E_NONE || body->len == 0)
        return body->error;
    clo_buf_init(&out, body->max);
    d = clo_mem_fault() ? NULL : libdeflate_alloc_decompressor();
    code = d != NULL ? unpack_members(d, body, &out) : CLO_E_NOMEM;
    libdeflate_free_decompressor(d);
    clo_buf_free(body);
    if (code != CLO_E_NONE)
        clo_buf_free(&out);
    else
        *body = out;
    return code;
}

#else

bool
clo_unpack_here(void)
{
    return false;
}

/* Never called: libcurl has unpacked everything. */
clo_code
clo_unpack(clo_buf *body)
{
    return body->error;
}

#endif
