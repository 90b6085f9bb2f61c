/*
 * Memory, text, JSON, time and ids.
 *
 * Memory never fails here: a test server that cannot allocate has nothing useful left to say, so
 * it ends at once with a message. Time is kept as microseconds since 1970 in an int64_t; the two
 * forms in which Close writes it (with +00:00, and without any offset) are made in one place.
 * Randomness is splitmix64: any value follows from (seed, table, row), so rows need not be kept.
 */
#include "standin.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void
out_of_memory(void)
{
    static const char msg[] = "close-standin: out of memory\n";
    if (write(2, msg, sizeof msg - 1) < 0)
        _exit(71);
    _exit(70);
}

void *
st_grow(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);
    if (!q)
        out_of_memory();
    return q;
}

void *
st_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p)
        out_of_memory();
    return p;
}

char *
st_dup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = st_alloc(n);
    memcpy(p, s, n);
    return p;
}

void
st_put(struct st_text *t, const char *s, size_t n)
{
    if (t->n + n + 1 > t->cap) {
        t->cap = (t->n + n + 1) * 2;
        t->s = st_grow(t->s, t->cap);
    }
    if (n)
        memcpy(t->s + t->n, s, n);
    t->n += n;
    t->s[t->n] = 0;
}

void
st_puts(struct st_text *t, const char *s)
{
    st_put(t, s, strlen(s));
}

void
st_putf(struct st_text *t, const char *fmt, ...)
{
    char buf[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    if (n > 0)
        st_put(t, buf, (size_t)n < sizeof buf ? (size_t)n : sizeof buf - 1);
}

void
st_text_free(struct st_text *t)
{
    free(t->s);
    memset(t, 0, sizeof *t);
}

/* ---- JSON ---- */

js *
js_ref(js *o, const char *key)
{
    js *v = NULL;
    if (!o || !json_object_is_type(o, json_type_object))
        return NULL;
    return json_object_object_get_ex(o, key, &v) ? v : NULL;
}

const char *
js_str(js *o, const char *key)
{
    js *v = js_ref(o, key);
    return js_is(v, json_type_string) ? json_object_get_string(v) : NULL;
}

int64_t
js_int(js *o, const char *key, int64_t dflt)
{
    js *v = js_ref(o, key);
    if (js_is(v, json_type_int) || js_is(v, json_type_double))
        return json_object_get_int64(v);
    return dflt;
}

bool
js_true(js *o, const char *key, bool dflt)
{
    js *v = js_ref(o, key);
    return js_is(v, json_type_boolean) ? json_object_get_boolean(v) : dflt;
}

void
js_add(js *o, const char *key, js *value)
{
    if (json_object_object_add(o, key, value) < 0)
        out_of_memory();
}

js *
js_new_str(const char *s)
{
    return s ? json_object_new_string(s) : NULL;
}

void
js_adds(js *o, const char *key, const char *value)
{
    js_add(o, key, js_new_str(value));
}

void
js_addi(js *o, const char *key, int64_t value)
{
    js_add(o, key, json_object_new_int64(value));
}

void
js_addb(js *o, const char *key, bool value)
{
    js_add(o, key, json_object_new_boolean(value));
}

void
js_addf(js *o, const char *key, const char *fmt, ...)
{
    char buf[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    js_adds(o, key, buf);
}

js *
js_copy(js *o)
{
    js *out = NULL;
    if (o && json_object_deep_copy(o, &out, NULL) < 0)
        out_of_memory();
    return out;
}

/* The strict mode of json-c 0.18 refuses every character beyond ASCII. */
static int
parser_flags(void)
{
    bool broken = json_c_version_num() == ((0 << 16) | (18 << 8));
    return JSON_TOKENER_VALIDATE_UTF8 | (broken ? 0 : JSON_TOKENER_STRICT);
}

/* s[n] must be 0: the parser needs the terminator to know that a bare number has ended. */
js *
js_parse(const char *s, size_t n)
{
    if (n >= INT32_MAX)
        return NULL;
    struct json_tokener *tok = json_tokener_new_ex(64);
    json_tokener_set_flags(tok, parser_flags());
    js *o = json_tokener_parse_ex(tok, s, (int)n + 1);
    enum json_tokener_error e = json_tokener_get_error(tok);
    size_t used = json_tokener_get_parse_end(tok);
    json_tokener_free(tok);
    while (e == json_tokener_success && used < n && isspace((unsigned char)s[used]))
        used++;
    if (e != json_tokener_success || used < n) {
        json_object_put(o);
        return NULL;
    }
    return o;
}

bool
js_is(js *o, enum json_type t)
{
    return o && json_object_is_type(o, t);
}

const char *
js_text(js *o)
{
    return json_object_to_json_string_ext(o,
                                          JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* ---- time ---- */

int64_t
st_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * ST_SECOND + ts.tv_nsec / 1000;
}

static int64_t
days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static bool
digits(const char **p, int n, int *out)
{
    int v = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (!isdigit((unsigned char)**p))
            return false;
        v = v * 10 + (**p - '0');
    }
    *out = v;
    return true;
}

static bool
parse_clock(const char **p, int64_t *us)
{
    int h, m, s = 0, micro = 0;
    if (!digits(p, 2, &h) || *(*p)++ != ':' || !digits(p, 2, &m) || h > 23 || m > 59)
        return false;
    if (**p == ':') {
        (*p)++;
        if (!digits(p, 2, &s) || s > 60)
            return false;
    }
    if (**p == '.') {
        int scale = 100000;
        for ((*p)++; isdigit((unsigned char)**p); (*p)++, scale /= 10)
            micro += (**p - '0') * scale;
    }
    *us = ((int64_t)h * 3600 + m * 60 + s) * ST_SECOND + micro;
    return true;
}

static bool
parse_zone(const char **p, int64_t *us)
{
    int h, m = 0;
    if (**p == 0)
        return true; /* no offset: UTC */
    if (**p == 'Z' || **p == 'z') {
        (*p)++;
        return true;
    }
    int sign = **p == '+' ? 1 : **p == '-' ? -1 : 0;
    if (!sign)
        return false;
    (*p)++;
    if (!digits(p, 2, &h))
        return false;
    if (**p == ':')
        (*p)++;
    if (**p && !digits(p, 2, &m))
        return false;
    *us -= sign * ((int64_t)h * 3600 + m * 60) * ST_SECOND;
    return true;
}

bool
st_time_parse(const char *s, int tz_hours, int64_t *us, bool *date_only)
{
    int y, m, d;
    const char *p = s;
    if (!digits(&p, 4, &y) || *p++ != '-' || !digits(&p, 2, &m) || *p++ != '-' ||
        !digits(&p, 2, &d) || m < 1 || m > 12 || d < 1 || d > 31)
        return false;
    *us = days_from_civil(y, m, d) * ST_DAY;
    *date_only = *p == 0;
    if (*date_only) {
        *us -= tz_hours * 3600 * ST_SECOND;
        return true;
    }
    int64_t clock;
    if (*p != 'T' && *p != ' ')
        return false;
    p++;
    if (!parse_clock(&p, &clock))
        return false;
    *us += clock;
    return parse_zone(&p, us) && *p == 0;
}

static void
broken(int64_t us, struct tm *tm, int *micro)
{
    int64_t sec = us / ST_SECOND, rest = us % ST_SECOND;
    if (rest < 0) {
        rest += ST_SECOND;
        sec--;
    }
    time_t t = (time_t)sec;
    gmtime_r(&t, tm);
    *micro = (int)rest;
}

static void
time_text(int64_t us, const char *zone, char out[40])
{
    struct tm tm;
    int micro;
    char frac[16] = "", full[96];
    broken(us, &tm, &micro);
    if (micro)
        snprintf(frac, sizeof frac, ".%06d", micro);
    int n = snprintf(full, sizeof full, "%04d-%02d-%02dT%02d:%02d:%02d%s%s", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, frac, zone);
    size_t keep = n < 39 ? (size_t)n : 39;
    memcpy(out, full, keep);
    out[keep] = 0;
}

void
st_time_classic(int64_t us, char out[40])
{
    time_text(us, "+00:00", out);
}

void
st_time_naive(int64_t us, char out[40])
{
    time_text(us, "", out);
}

void
st_time_date(int64_t us, char out[16])
{
    char full[40];
    time_text(us, "", full);
    snprintf(out, 16, "%.10s", full);
}

/* ---- numbers and names ---- */

uint64_t
st_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t
st_rand(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return st_mix(*state);
}

uint64_t
st_hash(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
    return st_mix(h);
}

void
st_id(char *out, const char *prefix, int len, uint64_t seed)
{
    static const char set[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    out[n++] = '_';
    uint64_t r = 0;
    for (int i = 0; i < len; i++, r /= 62) {
        if (i % 10 == 0)
            r = st_rand(&seed);
        out[n++] = set[r % 62];
    }
    out[n] = 0;
}

bool
st_has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool
st_comma(const char **list, char *out, size_t cap)
{
    const char *p = *list;
    while (*p == ',' || *p == ' ')
        p++;
    if (!*p) {
        *list = p;
        return false;
    }
    size_t n = strcspn(p, ",");
    *list = p + n;
    while (n && p[n - 1] == ' ')
        n--;
    if (n >= cap)
        n = cap - 1;
    memcpy(out, p, n);
    out[n] = 0;
    return true;
}
