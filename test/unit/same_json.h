/*
 * same_json.h - whether an answer that was read in place (view.c) shows in every way what json-c made of
 * the same text. For test_view.c and the fuzzer.
 */
#ifndef SAME_JSON_H
#define SAME_JSON_H

#include "clo_int.h"

#include <string.h>

static inline bool
same_text(const clo_json *a, const clo_json *b, clo_arena *arena)
{
    size_t n = 0, m = 0;
    const char *s = clo_json_text_in(a, arena, &n), *t = clo_json_text(b, &m);

    return s && t && n == m && memcmp(s, t, n) == 0 && s[n] == '\0';
}

static inline bool
same_scalar(const clo_json *a, const clo_json *b)
{
    double r = clo_json_real(a), q = clo_json_real(b);
    size_t n = 0, m = 0;
    const char *s, *t;

    switch (clo_json_type(a)) {
    case CLO_J_BOOL:
        return clo_json_bool(a) == clo_json_bool(b);
    case CLO_J_INT:
        return clo_json_int(a) == clo_json_int(b) && memcmp(&r, &q, sizeof r) == 0;
    case CLO_J_REAL:
        return memcmp(&r, &q, sizeof r) == 0;
    case CLO_J_STRING:
        s = clo_json_str(a, &n);
        t = clo_json_str(b, &m);
        return s && t && n == m && memcmp(s, t, n) == 0 && s[n] == '\0';
    default:
        return true;
    }
}

static inline bool same_json(const clo_json *a, const clo_json *b, clo_arena *arena);

static inline bool
same_members(const clo_json *a, const clo_json *b, clo_arena *arena)
{
    clo_json_iter i, j;
    size_t n = 0;
    bool more;

    clo_json_iter_init(&i, a);
    clo_json_iter_init(&j, b);
    while ((more = clo_json_iter_next(&i)) == clo_json_iter_next(&j) && more) {
        n++;
        if (strcmp(i.key, j.key) != 0 || !clo_json_has(a, j.key) ||
            clo_json_get(a, j.key) != i.value || !same_json(i.value, j.value, arena))
            return false;
    }
    return !more && n == clo_json_len(b);
}

static inline bool
same_json(const clo_json *a, const clo_json *b, clo_arena *arena)
{
    size_t n = clo_json_len(b);

    if (clo_json_type(a) != clo_json_type(b) || clo_json_len(a) != n || !same_text(a, b, arena) ||
        !same_scalar(a, b))
        return false;
    if (clo_json_type(b) == CLO_J_OBJECT && !same_members(a, b, arena))
        return false;
    for (size_t i = 0; clo_json_type(b) == CLO_J_ARRAY && i < n; i++)
        if (!same_json(clo_json_at(a, i), clo_json_at(b, i), arena) ||
            clo_json_type(clo_json_at(a, n - 1 - i)) != clo_json_type(clo_json_at(b, n - 1 - i)))
            return false;
    return same_text(a, b, arena); /* asking for the strings inside has changed nothing */
}

/* Reads `text` both ways. False: they differ. *in_place (may be NULL): whether it was read in place. */
static inline bool
reads_alike(const char *text, size_t len, bool *in_place)
{
    clo_buf buf;
    clo_err err, other;
    clo_json *a, *b;
    clo_arena *arena = clo_arena_new();
    bool same;

    clo_buf_init(&buf, len + 1);
    if (!arena || !clo_buf_add(&buf, text, len))
        return false;
    a = clo_json_read(&buf, "it", &err);
    b = clo_json_parse(text, len, "it", &other);
    same = (a != NULL) == (b != NULL) && strcmp(err.msg, other.msg) == 0 && err.code == other.code;
    if (a && b && same)
        same = same_json(a, b, arena);
    if (a && clo_json_bytes(a) > 0 && clo_json_clean(a)) { /* it promises what hosts rely on */
        size_t n = 0;
        const char *s = clo_json_text_in(a, arena, &n);

        same = same && s && clo_utf8_ok(s, n);
    }
    if (in_place)
        *in_place = a && clo_json_bytes(a) > 0;
    clo_json_free(a);
    clo_json_free(b);
    clo_arena_free(arena);
    clo_buf_free(&buf);
    return same;
}

#endif
