/*
 * err.c - error values and the rule that no text carries a secret.
 *
 * A clo_err is a plain value in the caller's frame: reporting "out of memory" must not need
 * memory, and a host that longjmps must not leak a message. Texts are therefore fixed arrays, cut
 * where they end. The first error wins: cleaning up after a failure may fail again, and the user
 * wants the cause.
 *
 * All texts pass through clo_text_cut, which keeps three promises at once: well-formed UTF-8 (a
 * PostgreSQL client would otherwise get an encoding error instead of ours), no control characters
 * (a service must not be able to write terminal sequences or fake log lines), and termination.
 *
 * Masking replaces every occurrence of a registered secret. It works after cutting, so it also
 * has to find a secret whose tail was cut off: a suffix of the text that begins a secret is
 * masked as well. Rejected: masking by pattern ("looks like a token"), which hides things people
 * need and misses the rest.
 */
#include "clo_int.h"

#include <stdio.h>
#include <string.h>

#define SHORTEST_SECRET 4

static const char *const code_names[] = {
    [CLO_E_NONE] = "NONE",
    [CLO_E_ARG] = "ARG",
    [CLO_E_CONFIG] = "CONFIG",
    [CLO_E_AUTH] = "AUTH",
    [CLO_E_FORBIDDEN] = "FORBIDDEN",
    [CLO_E_NOTFOUND] = "NOTFOUND",
    [CLO_E_REJECTED] = "REJECTED",
    [CLO_E_CONFLICT] = "CONFLICT",
    [CLO_E_RATE] = "RATE",
    [CLO_E_REMOTE] = "REMOTE",
    [CLO_E_NET] = "NET",
    [CLO_E_TIMEOUT] = "TIMEOUT",
    [CLO_E_UNCERTAIN] = "UNCERTAIN",
    [CLO_E_PROTO] = "PROTO",
    [CLO_E_LIMIT] = "LIMIT",
    [CLO_E_NOMEM] = "NOMEM",
    [CLO_E_STOPPED] = "STOPPED",
    [CLO_E_BUG] = "BUG",
};
_Static_assert(CLO_ARRAY_LEN(code_names) == CLO_E__COUNT, "every code has a name");

const char *
clo_code_name(clo_code code)
{
    return (unsigned)code < CLO_E__COUNT ? code_names[code] : "BUG";
}

/* By hand: a memset of the kilobyte would cost more than many of the calls that begin with it. */
void
clo_err_clear(clo_err *err)
{
    err->code = CLO_E_NONE;
    err->http_status = 0;
    err->retry_after_ms = 0;
    err->retryable = err->uncertain = err->provider = false;
    err->msg[0] = err->detail[0] = err->request_id[0] = '\0';
    err->hint = NULL;
}

clo_status
clo_err_set(clo_err *err, clo_code code, const char *fmt, ...)
{
    char text[sizeof err->msg * 2];
    va_list ap;

    CLO_ASSERT(code != CLO_E_NONE);
    if (err->code != CLO_E_NONE)
        return CLO_ERROR;
    clo_err_clear(err);
    err->code = code;
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    clo_text_cut(err->msg, sizeof err->msg, text, strlen(text));
    return CLO_ERROR;
}

void
clo_err_detail(clo_err *err, const char *fmt, ...)
{
    char text[sizeof err->detail * 2];
    va_list ap;

    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    clo_text_cut(err->detail, sizeof err->detail, text, strlen(text));
}

clo_status
clo_err_nomem(clo_err *err)
{
    return clo_err_set(err, CLO_E_NOMEM, "out of memory");
}

/* The table of the Unicode standard (3-7), by first byte: no overlong forms, no surrogates,
 * nothing beyond U+10FFFF. */
size_t
clo_utf8_char(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    unsigned char lo = 0x80, hi = 0xbf;
    size_t len, i;

    if (n == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] == 0xe0)
        lo = 0xa0;
    else if (p[0] == 0xed)
        hi = 0x9f;
    else if (p[0] == 0xf0)
        lo = 0x90;
    else if (p[0] == 0xf4)
        hi = 0x8f;
    if (len > n || p[1] < lo || p[1] > hi)
        return 0;
    for (i = 2; i < len; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    }
    return len;
}

void
clo_text_cut(char *dst, size_t cap, const char *src, size_t len)
{
    size_t i = 0, o = 0;

    if (cap == 0)
        return;
    while (i < len) {
        size_t n = clo_utf8_char(src + i, len - i);
        unsigned char c = (unsigned char)src[i];

        if (o + (n ? n : 1) >= cap)
            break;
        if (n == 0)
            dst[o++] = '?';
        else if (n == 1)
            dst[o++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
        else if (c == 0xc2 && (unsigned char)src[i + 1] < 0xa0)
            dst[o++] = ' '; /* C1 controls */
        else
            memcpy(dst + o, src + i, n), o += n;
        i += n ? n : 1;
    }
    dst[o] = '\0';
}

/* ---- secrets ---- */

void
clo_secrets_set(clo_secrets *s, int slot, char *owned)
{
    CLO_ASSERT(slot >= 0 && (size_t)slot < CLO_ARRAY_LEN(s->items));
    clo_wipe_free(s->items[slot]);
    s->items[slot] = owned;
}

void
clo_secrets_free(clo_secrets *s)
{
    size_t i;

    for (i = 0; i < CLO_ARRAY_LEN(s->items); i++) {
        clo_wipe_free(s->items[i]);
        s->items[i] = NULL;
    }
}

/* How many bytes of `text` are a secret that starts here: the longest of those registered, or the
 * whole rest when it is the beginning of one (cut off). 0: none. */
static size_t
secret_at(const clo_secrets *s, const char *text, size_t rest)
{
    size_t best = 0, i;

    for (i = 0; i < CLO_ARRAY_LEN(s->items); i++) {
        const char *secret = s->items[i];
        size_t n = secret ? strlen(secret) : 0;

        if (n < SHORTEST_SECRET || *secret != *text)
            continue;
        if (n > rest)
            n = rest;
        if (n >= SHORTEST_SECRET && n > best && memcmp(secret, text, n) == 0)
            best = n;
    }
    return best;
}

void
clo_secrets_mask(const clo_secrets *s, char *text)
{
    size_t len = strlen(text), i = 0, o = 0;

    while (i < len) {
        size_t n = secret_at(s, text + i, len - i);

        if (n == 0) {
            text[o++] = text[i++];
            continue;
        }
        memcpy(text + o, "***", 3);
        o += 3;
        i += n;
    }
    text[o] = '\0';
}

void
clo_err_mask(const clo_secrets *s, clo_err *err)
{
    clo_secrets_mask(s, err->msg);
    clo_secrets_mask(s, err->detail);
    clo_secrets_mask(s, err->request_id);
}
