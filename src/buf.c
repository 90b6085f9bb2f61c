/*
 * buf.c - growable bytes with a stated maximum.
 *
 * Every place that collects data of unknown size (a response, a URL, a JSON text) does it here,
 * and had to say at init how large it may become. The error is sticky: the first append that
 * fails frees the content, later appends do nothing, and one clo_buf_check or clo_buf_take at the
 * end tells the caller. A half-built URL or document can therefore never be used by mistake.
 *
 * Invariants
 *  - data is NULL or holds len bytes and a NUL; cap counts the NUL.
 *  - len <= max. max does not count the NUL.
 *  - error != NONE implies data == NULL and len == 0.
 *
 * The buffer owns its bytes until clo_buf_take hands them over. Growth doubles: a body of n bytes
 * is copied at most twice in all, and a caller that knows the size beforehand gets one allocation
 * by appending once, and one who has an idea of it says so with clo_buf_expect.
 */
#include "clo_int.h"

#include <stdio.h>
#include <string.h>

void
clo_buf_init(clo_buf *b, size_t max)
{
    memset(b, 0, sizeof *b);
    b->max = max < PTRDIFF_MAX / 2 ? max : PTRDIFF_MAX / 2;
}

void
clo_buf_free(clo_buf *b)
{
    clo_free(b->data);
    clo_buf_init(b, b->max);
}

void
clo_buf_reset(clo_buf *b)
{
    b->len = 0;
    b->error = CLO_E_NONE;
    if (b->data)
        b->data[0] = '\0';
}

static bool
buf_fail(clo_buf *b, clo_code code)
{
    clo_buf_free(b);
    b->error = code;
    return false;
}

/* Room for n more bytes and the NUL. */
static bool
buf_room(clo_buf *b, size_t n)
{
    size_t need, cap;
    char *p;

    if (b->error != CLO_E_NONE)
        return false;
    if (n > b->max - b->len)
        return buf_fail(b, CLO_E_LIMIT);
    need = b->len + n + 1;
    if (b->data && need <= b->cap)
        return true;
    cap = b->cap * 2;
    if (cap > b->max + 1)
        cap = b->max + 1;
    if (cap < need)
        cap = need;
    if (cap < 64 && b->max >= 64)
        cap = 64;
    p = clo_realloc(b->data, cap);
    if (!p)
        return buf_fail(b, CLO_E_NOMEM);
    b->data = p;
    b->cap = cap;
    return true;
}

bool
clo_buf_add(clo_buf *b, const void *p, size_t n)
{
    if (!buf_room(b, n))
        return false;
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
    return true;
}

void
clo_buf_expect(clo_buf *b, size_t n)
{
    size_t cap = (n < b->max ? n : b->max) + 1;
    char *p = b->error == CLO_E_NONE && cap > b->cap ? clo_realloc(b->data, cap) : NULL;

    if (!p)
        return;
    p[b->len] = '\0';
    b->data = p;
    b->cap = cap;
}

bool
clo_buf_str(clo_buf *b, const char *s)
{
    return clo_buf_add(b, s, strlen(s));
}

bool
clo_buf_fmt(clo_buf *b, const char *fmt, ...)
{
    va_list ap;
    size_t room;
    int n;

    if (!buf_room(b, 0))
        return false;
    room = b->cap - b->len;
    va_start(ap, fmt);
    n = vsnprintf(b->data + b->len, room, fmt, ap);
    va_end(ap);
    if (n < 0)
        return buf_fail(b, CLO_E_NOMEM);
    if ((size_t)n >= room) {
        b->data[b->len] = '\0';
        if (!buf_room(b, (size_t)n))
            return false;
        va_start(ap, fmt);
        n = vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
        va_end(ap);
        if (n < 0)
            return buf_fail(b, CLO_E_NOMEM);
    }
    /* The first try may have fitted into spare capacity; the limit holds all the same. */
    if ((size_t)n > b->max - b->len)
        return buf_fail(b, CLO_E_LIMIT);
    b->len += (size_t)n;
    return true;
}

static bool
uri_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

bool
clo_buf_uri(clo_buf *b, const char *s, size_t n)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t i, plain = 0;

    for (i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        char esc[3] = {'%', hex[c >> 4], hex[c & 15]};

        if (uri_unreserved(c))
            continue;
        if (!clo_buf_add(b, s + plain, i - plain) || !clo_buf_add(b, esc, sizeof esc))
            return false;
        plain = i + 1;
    }
    return clo_buf_add(b, s + plain, n - plain);
}

clo_status
clo_buf_check(const clo_buf *b, const char *what, clo_err *err)
{
    if (b->error == CLO_E_NONE)
        return CLO_OK;
    if (b->error == CLO_E_LIMIT)
        return clo_err_set(err, CLO_E_LIMIT, "%s is larger than the limit of %zu bytes", what,
                           b->max);
    return clo_err_nomem(err);
}

char *
clo_buf_take(clo_buf *b, size_t *len, const char *what, clo_err *err)
{
    char *p;

    if (len)
        *len = 0;
    /* An empty text is a text as well. */
    if (b->error == CLO_E_NONE && !b->data)
        clo_buf_add(b, "", 0);
    if (clo_buf_check(b, what, err) != CLO_OK)
        return NULL;
    p = b->data;
    if (len)
        *len = b->len;
    b->data = NULL;
    clo_buf_init(b, b->max);
    return p;
}
