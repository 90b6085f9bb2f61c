/*
 * value.c - from JSON to typed SQL values and back.
 *
 * The one rule: a value either arrives exactly or the statement fails and says which table, row
 * and column had what. Close's rows pass through a service that carries every number as a double
 * and renders timestamps in at least two ways, so "mostly right" would be easy and invisible.
 *
 *  - Integers: at most 2^53 in magnitude. Beyond it the wire cannot tell neighbours apart, so the
 *    digits in the answer may be wrong already. A double without a fraction is an integer (the
 *    service writes either).
 *  - Timestamps: every form becomes UTC microseconds and the one text
 *    YYYY-MM-DDTHH:MM:SS.ffffffZ. Fixed width, so that text order is time order and SQLite can
 *    compare and index it. Digits beyond microseconds are dropped, not rounded (rounding could
 *    move an instant into the next day). Years 0001 to 9999: Close uses year 1 for "never".
 *  - Text: well-formed UTF-8 without U+0000, which neither host can store in text. JSON alike.
 *  - No conversion by guess: a number where text belongs is an error, not its digits.
 *
 * Ownership: texts of strings and JSON point into the document; what has to be made (timestamps,
 * the `custom` object) lies in the arena of the page. The caller keeps both alive as long as the
 * row.
 *
 * The other direction, clo_json_of_value, turns bound values into tool parameters. It is a little
 * more lenient, where a user of SQLite would be surprised otherwise (1 for true, digits for a
 * phone number), and never loses anything.
 *
 * Rejected: timegm/strptime (range, locale and accepted syntax differ between systems), and
 * keeping the service's own timestamp text (two forms of one instant would compare unequal).
 */
#include "clo_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define EXACT_MAX INT64_C(9007199254740992) /* 2^53 */
#define DAY_US (INT64_C(86400) * 1000000)
#define DAYS_TO_EPOCH 719162 /* from 0001-01-01 to 1970-01-01 */
#define FIRST_DAY (-DAYS_TO_EPOCH)
#define LAST_DAY 2932896 /* 9999-12-31 */
#define TIME_LEN 27      /* YYYY-MM-DDTHH:MM:SS.ffffffZ */
#define DATE_LEN 10

/* ---- constructors ---- */

clo_value
clo_null(void)
{
    clo_value v = {.type = CLO_T_NULL};

    return v;
}

clo_value
clo_int(int64_t i)
{
    clo_value v = {.type = CLO_T_INT, .u.i = i};

    return v;
}

clo_value
clo_real(double r)
{
    clo_value v = {.type = CLO_T_REAL, .u.r = r};

    return v;
}

clo_value
clo_bool(bool b)
{
    clo_value v = {.type = CLO_T_BOOL, .u.b = b};

    return v;
}

clo_value
clo_text(const char *s, size_t len)
{
    clo_value v = {.type = CLO_T_TEXT, .text = s, .len = len};

    return v;
}

clo_value
clo_json_value(const char *s, size_t len)
{
    clo_value v = {.type = CLO_T_JSON, .text = s, .len = len};

    return v;
}

const char *
clo_type_name(clo_type type)
{
    static const char *const names[] = {
        [CLO_T_NULL] = "null",      [CLO_T_TEXT] = "text",    [CLO_T_INT] = "integer",
        [CLO_T_REAL] = "number",    [CLO_T_BOOL] = "boolean", [CLO_T_JSON] = "JSON",
        [CLO_T_TIME] = "timestamp", [CLO_T_DATE] = "date",
    };

    return (unsigned)type < CLO_ARRAY_LEN(names) ? names[type] : "null";
}

/* ---- text ---- */

bool
clo_utf8_ok(const char *s, size_t n)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    size_t i = 0;

    while (i < n) {
        size_t len;

        /* Eight plain bytes at a time: no top bit, no zero. */
        while (n - i >= 8) {
            uint64_t w;

            memcpy(&w, s + i, 8);
            if ((w | (w - ones)) & tops)
                break;
            i += 8;
        }
        if (i == n)
            break;
        len = s[i] ? clo_utf8_char(s + i, n - i) : 0;
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

/* Whether JSON text made by json.c has the escape of U+0000: an odd number of backslashes before
 * u0000. */
static bool
json_has_nul(const char *s, size_t n)
{
    const char *p = s, *hit;

    while ((hit = memmem(p, n - (size_t)(p - s), "\\u0000", 6)) != NULL) {
        const char *q = hit;

        while (q > s && q[-1] == '\\')
            q--;
        if ((hit - q) % 2 == 0)
            return true;
        p = hit + 1;
    }
    return false;
}

/* ---- dates and times ---- */

typedef struct reader { /* over the bytes of one date or time */
    const char *p, *end;
} reader;

static bool
read_char(reader *r, const char *any_of)
{
    if (r->p >= r->end || !*r->p || !strchr(any_of, *r->p))
        return false;
    r->p++;
    return true;
}

/* Exactly `digits` digits with a value of lo..hi. */
static bool
read_number(reader *r, int digits, int lo, int hi, int *out)
{
    int value = 0;

    if (r->end - r->p < digits)
        return false;
    while (digits-- > 0) {
        if (*r->p < '0' || *r->p > '9')
            return false;
        value = value * 10 + (*r->p++ - '0');
    }
    *out = value;
    return value >= lo && value <= hi;
}

static bool
is_leap(int y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Days of a year before each month. */
static const int16_t month_start[2][13] = {
    {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365},
    {0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366},
};

static int32_t
year_start(int y) /* days from 0001-01-01 */
{
    y--;
    return 365 * y + y / 4 - y / 100 + y / 400;
}

static bool
read_date(reader *r, int32_t *days)
{
    int y, m, d, leap;

    if (!read_number(r, 4, 1, 9999, &y) || !read_char(r, "-") || !read_number(r, 2, 1, 12, &m) ||
        !read_char(r, "-") || !read_number(r, 2, 1, 31, &d))
        return false;
    leap = is_leap(y);
    if (d > month_start[leap][m] - month_start[leap][m - 1])
        return false;
    *days = year_start(y) + month_start[leap][m - 1] + d - 1 - DAYS_TO_EPOCH;
    return true;
}

/* HH:MM[:SS[.fraction]] as microseconds of the day. */
static bool
read_clock(reader *r, int64_t *us)
{
    int h, m, s = 0;
    int64_t fraction = 0, unit = 100000;

    if (!read_number(r, 2, 0, 23, &h) || !read_char(r, ":") || !read_number(r, 2, 0, 59, &m))
        return false;
    if (read_char(r, ":")) {
        if (!read_number(r, 2, 0, 59, &s))
            return false;
        if (read_char(r, ".")) {
            if (r->p >= r->end || *r->p < '0' || *r->p > '9')
                return false;
            for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++, unit /= 10)
                fraction += (*r->p - '0') * unit;
        }
    }
    *us = ((int64_t)h * 3600 + (int64_t)m * 60 + s) * 1000000 + fraction;
    return true;
}

/* Nothing, Z, +HH, +HHMM or +HH:MM as microseconds east of UTC. */
static bool
read_offset(reader *r, int64_t *us)
{
    int sign = 1, h, m = 0;

    *us = 0;
    if (r->p == r->end || read_char(r, "Zz"))
        return true;
    if (*r->p == '-')
        sign = -1;
    if (!read_char(r, "+-") || !read_number(r, 2, 0, 23, &h))
        return false;
    if (r->p < r->end) {
        (void)read_char(r, ":");
        if (!read_number(r, 2, 0, 59, &m))
            return false;
    }
    *us = sign * ((int64_t)h * 3600 + (int64_t)m * 60) * 1000000;
    return true;
}

bool
clo_time_parse(const char *s, size_t n, int64_t *us)
{
    reader r = {s, s + n};
    int32_t days;
    int64_t clock = 0, offset = 0, t;

    if (!read_date(&r, &days))
        return false;
    if (r.p < r.end &&
        (!read_char(&r, "Tt ") || !read_clock(&r, &clock) || !read_offset(&r, &offset)))
        return false;
    t = days * DAY_US + clock - offset;
    /* An offset may have carried it out of the years that the format can show. */
    if (r.p != r.end || t < FIRST_DAY * DAY_US || t >= (LAST_DAY + 1) * DAY_US)
        return false;
    *us = t;
    return true;
}

bool
clo_date_parse(const char *s, size_t n, int32_t *days)
{
    reader r = {s, s + n};

    return read_date(&r, days) && r.p == r.end;
}

static void
put_digits(char *out, int digits, int64_t value)
{
    while (digits-- > 0) {
        out[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

void
clo_date_format(int32_t days, char out[16])
{
    int32_t n = days < FIRST_DAY ? 0 : (days > LAST_DAY ? LAST_DAY : days) + DAYS_TO_EPOCH;
    int y = (int)((int64_t)n * 400 / 146097) + 1, m = 1, leap;

    /* By the mean length of a year: right or one off. */
    if (year_start(y) > n)
        y--;
    else if (year_start(y + 1) <= n)
        y++;
    n -= year_start(y);
    leap = is_leap(y);
    while (month_start[leap][m] <= n)
        m++;
    put_digits(out, 4, y);
    out[4] = '-';
    put_digits(out + 5, 2, m);
    out[7] = '-';
    put_digits(out + 8, 2, n - month_start[leap][m - 1] + 1);
    out[DATE_LEN] = '\0';
}

void
clo_time_format(int64_t us, char out[32])
{
    int64_t days, rest;

    if (us < FIRST_DAY * DAY_US)
        us = FIRST_DAY * DAY_US;
    if (us >= (LAST_DAY + 1) * DAY_US)
        us = (LAST_DAY + 1) * DAY_US - 1;
    rest = us % DAY_US;
    if (rest < 0)
        rest += DAY_US;
    days = (us - rest) / DAY_US;
    clo_date_format((int32_t)days, out);
    out[10] = 'T';
    put_digits(out + 11, 2, rest / 3600000000);
    out[13] = ':';
    put_digits(out + 14, 2, rest / 60000000 % 60);
    out[16] = ':';
    put_digits(out + 17, 2, rest / 1000000 % 60);
    out[19] = '.';
    put_digits(out + 20, 6, rest % 1000000);
    out[26] = 'Z';
    out[TIME_LEN] = '\0';
}

/* ---- JSON to values ---- */

/* Which value is being read: for the value, and for the message if it does not fit. */
typedef struct place {
    const clo_table *table;
    const clo_column *column;
    const char *row_id;
    clo_err *err;
} place;

/* "close_opportunities row oppo_x: column value holds "x", which is not an integer" */
static clo_status
misfit(const place *at, const clo_json *j, const char *why)
{
    char shown[80];
    size_t len;
    const char *text = clo_json_text(j, &len);

    if (at->column->flags & CLO_C_SECRET)
        text = NULL;
    clo_text_cut(shown, sizeof shown, text ? text : "a value", text ? len : 7);
    clo_err_clear(at->err);
    return clo_err_set(at->err, CLO_E_PROTO, "%s row %.64s: column %s holds %s, which is %s",
                       at->table->name, at->row_id ? at->row_id : "?", at->column->name, shown,
                       why);
}

static clo_status
no_memory(const place *at)
{
    clo_err_clear(at->err);
    return clo_err_nomem(at->err);
}

static clo_status
bad_text(const place *at, const char *what)
{
    clo_err_clear(at->err);
    return clo_err_set(at->err, CLO_E_PROTO, "%s row %.64s: column %s holds %s", at->table->name,
                       at->row_id ? at->row_id : "?", at->column->name, what);
}

static const char not_utf8[] = "text that is not valid UTF-8";
static const char has_nul[] = "text with the character U+0000";

static clo_status
text_of_json(const clo_json *j, const place *at, clo_value *out)
{
    size_t len;
    const char *s = clo_json_str(j, &len);

    if (!s)
        return misfit(at, j, "not text");
    if (!clo_json_clean(j) && !clo_utf8_ok(s, len))
        return bad_text(at, memchr(s, '\0', len) ? has_nul : not_utf8);
    *out = clo_text(s, len);
    return CLO_OK;
}

static clo_status
int_of_json(const clo_json *j, const place *at, clo_value *out)
{
    clo_json_kind kind = clo_json_type(j);
    double r;

    if (kind == CLO_J_INT) {
        int64_t i = clo_json_int(j);

        if (i > EXACT_MAX || i < -EXACT_MAX)
            return misfit(at, j, "beyond exact integers");
        *out = clo_int(i);
        return CLO_OK;
    }
    if (kind != CLO_J_REAL)
        return misfit(at, j, "not an integer");
    r = clo_json_real(j);
    if (!(fabs(r) <= (double)EXACT_MAX))
        return misfit(at, j, "beyond exact integers");
    if (trunc(r) != r)
        return misfit(at, j, "not an integer");
    *out = clo_int((int64_t)r);
    return CLO_OK;
}

static clo_status
real_of_json(const clo_json *j, const place *at, clo_value *out)
{
    clo_json_kind kind = clo_json_type(j);
    double r;

    if (kind != CLO_J_INT && kind != CLO_J_REAL)
        return misfit(at, j, "not a number");
    r = clo_json_real(j);
    if (!isfinite(r))
        return misfit(at, j, "beyond the range of numbers");
    *out = clo_real(r);
    return CLO_OK;
}

static clo_status
time_of_json(const clo_json *j, const place *at, clo_arena *a, clo_value *out)
{
    size_t len;
    const char *s = clo_json_str(j, &len);
    char *text;
    int64_t us;

    if (!s || !clo_time_parse(s, len, &us))
        return misfit(at, j, "not a timestamp");
    text = clo_arena_alloc(a, 32);
    if (!text)
        return no_memory(at);
    clo_time_format(us, text);
    *out = clo_text(text, TIME_LEN);
    out->type = CLO_T_TIME;
    out->u.i = us;
    return CLO_OK;
}

/* A timestamp at midnight UTC is a date as well: nothing is lost. */
static clo_status
date_of_json(const clo_json *j, const place *at, clo_value *out)
{
    size_t len;
    const char *s = clo_json_str(j, &len);
    int32_t days;
    int64_t us;

    if (!s)
        return misfit(at, j, "not a date");
    if (!clo_date_parse(s, len, &days)) {
        if (!clo_time_parse(s, len, &us) || us % DAY_US != 0)
            return misfit(at, j, "not a date");
        days = (int32_t)(us / DAY_US);
    }
    *out = clo_text(s, len);
    out->type = CLO_T_DATE;
    out->u.i = days;
    return CLO_OK;
}

/* Dates point into the document when they are as long as a date, else get their own ten bytes. */
static clo_status
own_date(const place *at, clo_arena *a, clo_value *out)
{
    char text[16];
    char *copy;

    if (out->len == DATE_LEN)
        return CLO_OK;
    clo_date_format((int32_t)out->u.i, text);
    copy = clo_arena_strndup(a, text, DATE_LEN);
    if (!copy)
        return no_memory(at);
    out->text = copy;
    out->len = DATE_LEN;
    return CLO_OK;
}

static clo_status
check_json_text(const place *at, const char *s, size_t len)
{
    if (!clo_utf8_ok(s, len))
        return bad_text(at, not_utf8);
    if (json_has_nul(s, len))
        return bad_text(at, has_nul);
    return CLO_OK;
}

static clo_status
document_of_json(const clo_json *j, const place *at, clo_arena *a, clo_value *out)
{
    size_t len;
    const char *s = clo_json_text_in(j, a, &len);

    if (!s)
        return no_memory(at);
    *out = clo_json_value(s, len);
    return clo_json_clean(j) ? CLO_OK : check_json_text(at, s, len);
}

static clo_status
convert(const clo_json *j, const place *at, clo_arena *a, clo_value *out)
{
    clo_status st = CLO_OK;

    *out = clo_null();
    if (clo_json_type(j) == CLO_J_NULL)
        return CLO_OK;
    switch (at->column->type) {
    case CLO_T_TEXT:
        if ((at->column->flags & CLO_C_LOOSE) && clo_json_type(j) != CLO_J_STRING) {
            st = document_of_json(j, at, a, out);
            out->type = CLO_T_TEXT;
            return st;
        }
        return text_of_json(j, at, out);
    case CLO_T_INT:
        return int_of_json(j, at, out);
    case CLO_T_REAL:
        return real_of_json(j, at, out);
    case CLO_T_BOOL:
        if (clo_json_type(j) != CLO_J_BOOL)
            return misfit(at, j, "not a boolean");
        *out = clo_bool(clo_json_bool(j));
        return CLO_OK;
    case CLO_T_JSON:
        return document_of_json(j, at, a, out);
    case CLO_T_TIME:
        return time_of_json(j, at, a, out);
    case CLO_T_DATE:
        st = date_of_json(j, at, out);
        return st == CLO_OK ? own_date(at, a, out) : st;
    case CLO_T_NULL:
        break;
    }
    clo_err_clear(at->err);
    return clo_err_set(at->err, CLO_E_BUG, "column %s has no type", at->column->name);
}

clo_status
clo_value_of_json(const clo_json *j, const clo_table *t, const clo_column *c, const char *row_id,
                  clo_arena *a, clo_value *out, clo_err *err)
{
    place at = {t, c, row_id, err};

    return convert(j, &at, a, out);
}

/* Appends "key": value. Ids of custom fields need no escaping; json-c escapes anything else. */
static bool
add_member(clo_buf *b, const char *key, const clo_json *value, clo_arena *a)
{
    size_t len,
        plain = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    const char *text;

    clo_buf_str(b, b->len > 1 ? "," : "");
    if (!key[plain]) {
        clo_buf_str(b, "\"");
        clo_buf_add(b, key, plain);
        clo_buf_str(b, "\":");
    } else {
        clo_json *name = clo_json_new_str(key, strlen(key));

        text = name ? clo_json_text(name, &len) : NULL;
        if (text)
            clo_buf_add(b, text, len), clo_buf_str(b, ":");
        clo_json_free(name);
        if (!text)
            return false;
    }
    text = clo_json_text_in(value, a, &len);
    return text && clo_buf_add(b, text, len);
}

static const char prefix[] = "custom.";

static clo_status
custom_of_tree(const clo_json *row, const place *at, clo_arena *a, clo_value *out)
{
    clo_status st = CLO_OK;
    clo_json_iter it;
    clo_buf b;
    char *copy;
    bool ok = true;

    *out = clo_json_value("{}", 2);
    clo_buf_init(&b, SIZE_MAX);
    clo_json_iter_init(&it, row);
    while (ok && clo_json_iter_next(&it)) {
        if (strncmp(it.key, prefix, sizeof prefix - 1) != 0)
            continue;
        if (b.len == 0)
            clo_buf_str(&b, "{");
        ok = add_member(&b, it.key + sizeof prefix - 1, it.value, a);
    }
    if (ok && b.len == 0 && b.error == CLO_E_NONE)
        return CLO_OK;
    ok = ok && clo_buf_str(&b, "}");
    if (ok && !clo_json_clean(row))
        st = check_json_text(at, b.data, b.len);
    copy = ok && st == CLO_OK ? clo_arena_strndup(a, b.data, b.len) : NULL;
    if (copy)
        *out = clo_json_value(copy, b.len);
    clo_buf_free(&b);
    if (st == CLO_OK && !copy)
        return no_memory(at);
    return st;
}

/* All custom values of a row as one object. Close sends them as flat keys "custom.cf_..."; SQL
 * reads custom->>'cf_...'. The deprecated nested `custom` object (by field name) is left out. */
static clo_status
custom_of_row(const clo_members *row, const place *at, clo_arena *a, clo_value *out)
{
    const char *text;
    size_t len;

    if (!clo_members_some(row, prefix, a, &text, &len))
        return custom_of_tree(row->object, at, a, out);
    if (!text)
        return no_memory(at);
    *out = clo_json_value(text, len);
    return clo_json_clean(row->object) ? CLO_OK : check_json_text(at, text, len);
}

clo_status
clo_row_of_json(const clo_json *row, const clo_table *t, const clo_colset *needed, clo_arena *a,
                uint16_t *places, clo_value *vals, clo_err *err)
{
    place at = {t, NULL, clo_json_str(clo_json_get(row, "id"), NULL), err};
    clo_status st = CLO_OK;
    clo_members members;
    size_t i;

    if (clo_json_type(row) != CLO_J_OBJECT) {
        clo_err_clear(err);
        return clo_err_set(err, CLO_E_PROTO, "%s: a row is %s instead of an object", t->name,
                           clo_json_kind_name(clo_json_type(row)));
    }
    clo_members_of(row, &members);
    memset(vals, 0, t->n_columns * sizeof *vals); /* NULL, all of them */
    for (i = 0; i < t->n_columns && st == CLO_OK; i++) {
        const clo_column *c = &t->columns[i];

        if (needed->w[i / 64] >> (i % 64) == 0) { /* none of this word is left */
            i |= 63;
            continue;
        }
        if (!(needed->w[i / 64] >> (i % 64) & 1) || (c->flags & CLO_C_PARAM))
            continue;
        at.column = c;
        if (c->flags & CLO_C_RAW)
            st = document_of_json(row, &at, a, &vals[i]);
        else if (c->flags & CLO_C_CUSTOM)
            st = custom_of_row(&members, &at, a, &vals[i]);
        else
            st = convert(clo_member(&members, c->path ? c->path : c->name, &places[i]), &at, a,
                         &vals[i]);
    }
    return st;
}

/* ---- equality ---- */

static bool
is_number(const clo_value *v)
{
    return v->type == CLO_T_INT || v->type == CLO_T_REAL || v->type == CLO_T_BOOL;
}

static int64_t
int_of(const clo_value *v)
{
    return v->type == CLO_T_BOOL ? v->u.b : v->u.i;
}

/* Exact, also where a double cannot hold the integer. */
static bool
int_equals_real(int64_t i, double r)
{
    const double limit = 9223372036854775808.0; /* 2^63 */

    return r >= -limit && r < limit && trunc(r) == r && (int64_t)r == i;
}

static bool
same_text(const char *a, size_t alen, const char *b, size_t blen)
{
    return alen == blen && memcmp(a, b, alen) == 0;
}

static bool
text_equals_int(const clo_value *text, int64_t i)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRId64, i);

    return same_text(text->text, text->len, digits, (size_t)n);
}

bool
clo_value_equal(const clo_value *a, const clo_value *b)
{
    if (a->type == CLO_T_NULL || b->type == CLO_T_NULL)
        return false;
    if (is_number(a) && is_number(b)) {
        if (a->type == CLO_T_REAL && b->type == CLO_T_REAL)
            return a->u.r == b->u.r; /* NaN equals nothing */
        if (a->type == CLO_T_REAL)
            return int_equals_real(int_of(b), a->u.r);
        if (b->type == CLO_T_REAL)
            return int_equals_real(int_of(a), b->u.r);
        return int_of(a) == int_of(b);
    }
    /* SQLite gives digits to a text column as an integer; the parameter was sent as text. */
    if (a->type == CLO_T_TEXT && b->type == CLO_T_INT)
        return text_equals_int(a, b->u.i);
    if (is_number(a) || is_number(b))
        return false;
    if (a->type == b->type && (a->type == CLO_T_TIME || a->type == CLO_T_DATE))
        return a->u.i == b->u.i;
    if (a->type == CLO_T_TIME && b->type == CLO_T_DATE)
        return a->u.i == b->u.i * DAY_US;
    if (a->type == CLO_T_DATE && b->type == CLO_T_TIME)
        return a->u.i * DAY_US == b->u.i;
    return same_text(a->text, a->len, b->text, b->len);
}

/* ---- values to parameters ---- */

typedef struct argument {
    const char *tool;
    const clo_param *param;
    clo_err *err;
} argument;

static clo_json *refuse(const argument *arg, const char *fmt, ...) CLO_PRINTF(2, 3);

static clo_json *
refuse(const argument *arg, const char *fmt, ...)
{
    char why[200];
    va_list ap;

    va_start(ap, fmt);
    if (vsnprintf(why, sizeof why, fmt, ap) < 0)
        why[0] = '\0';
    va_end(ap);
    clo_err_set(arg->err, CLO_E_ARG, "%s: argument %s: %s", arg->tool, arg->param->name, why);
    return NULL;
}

static clo_json *
refuse_type(const argument *arg, const char *expected, const clo_value *v)
{
    return refuse(arg, "expected %s, got %s", expected, clo_type_name(v->type));
}

static clo_json *
made(const argument *arg, clo_json *j)
{
    if (!j)
        clo_err_nomem(arg->err);
    return j;
}

/* Why a text cannot be sent; NULL when it can. */
static const char *
unsendable(const clo_value *v)
{
    if (clo_utf8_ok(v->text, v->len))
        return NULL;
    return memchr(v->text, '\0', v->len) ? "the text has the character U+0000"
                                         : "the text is not valid UTF-8";
}

static clo_json *
text_param(const clo_value *v, const argument *arg)
{
    char digits[24];
    const char *why;
    int n;

    switch (v->type) {
    case CLO_T_TEXT:
    case CLO_T_TIME:
    case CLO_T_DATE:
        why = unsendable(v);
        return why ? refuse(arg, "%s", why) : made(arg, clo_json_new_str(v->text, v->len));
    case CLO_T_INT:
        n = snprintf(digits, sizeof digits, "%" PRId64, v->u.i);
        return made(arg, clo_json_new_str(digits, (size_t)n));
    default:
        return refuse_type(arg, "text", v);
    }
}

static clo_json *
int_param(const clo_value *v, const argument *arg)
{
    int64_t i = v->u.i;

    if (v->type == CLO_T_REAL) {
        if (trunc(v->u.r) != v->u.r)
            return refuse(arg, "expected integer, got %.17g", v->u.r);
        if (!(fabs(v->u.r) <= (double)EXACT_MAX))
            return refuse(arg, "%.17g is beyond exact integers", v->u.r);
        i = (int64_t)v->u.r;
    } else if (v->type != CLO_T_INT) {
        return refuse_type(arg, "integer", v);
    }
    if (i > EXACT_MAX || i < -EXACT_MAX)
        return refuse(arg, "%" PRId64 " is beyond exact integers", i);
    return made(arg, clo_json_new_int(i));
}

static clo_json *
bool_param(const clo_value *v, const argument *arg)
{
    if (v->type == CLO_T_BOOL)
        return made(arg, clo_json_new_bool(v->u.b));
    if (v->type == CLO_T_INT) {
        if (v->u.i != 0 && v->u.i != 1)
            return refuse(arg, "expected boolean (1 or 0), got %" PRId64, v->u.i);
        return made(arg, clo_json_new_bool(v->u.i == 1));
    }
    if (v->type != CLO_T_TEXT)
        return refuse_type(arg, "boolean", v);
    if (same_text(v->text, v->len, "true", 4))
        return made(arg, clo_json_new_bool(true));
    if (same_text(v->text, v->len, "false", 5))
        return made(arg, clo_json_new_bool(false));
    return refuse(arg, "expected true or false, got other text");
}

/* JSON of the kind that the parameter wants, as it goes over the wire. Takes ownership of `j`. */
static clo_json *
json_for_wire(clo_json *j, const argument *arg)
{
    clo_json_kind kind = clo_json_type(j);
    unsigned flags = arg->param->flags;
    bool object = flags & (CLO_P_OBJECT | CLO_P_JSONTEXT),
         array = flags & (CLO_P_ARRAY | CLO_P_JSONTEXT);
    clo_json *text;
    const char *s;
    size_t len;

    if (!(flags & (CLO_P_OBJECT | CLO_P_ARRAY | CLO_P_JSONTEXT)))
        object = array = true;
    if (!(kind == CLO_J_OBJECT && object) && !(kind == CLO_J_ARRAY && array)) {
        clo_json_free(j);
        return refuse(arg, "expected a JSON %s, got %s",
                      object && array ? "array or object" : (object ? "object" : "array"),
                      clo_json_kind_name(kind));
    }
    s = clo_json_text(j, &len);
    if (s && json_has_nul(s, len)) {
        clo_json_free(j);
        return refuse(arg, "the JSON has the character U+0000");
    }
    if (s && !(flags & CLO_P_JSONTEXT))
        return j;
    text = s ? clo_json_new_str(s, len) : NULL;
    clo_json_free(j);
    return made(arg, text);
}

static clo_json *
json_param(const clo_value *v, const argument *arg)
{
    const char *why;
    clo_json *j;

    if (v->type != CLO_T_JSON && v->type != CLO_T_TEXT)
        return refuse_type(arg, "JSON", v);
    why = unsendable(v);
    if (why)
        return refuse(arg, "%s", why);
    j = clo_json_parse(v->text, v->len, "the value", arg->err);
    if (!j) {
        clo_err cause = *arg->err;

        if (cause.code == CLO_E_NOMEM)
            return NULL;
        clo_err_clear(arg->err);
        return refuse(arg, "%s", cause.msg);
    }
    return json_for_wire(j, arg);
}

clo_json *
clo_json_of_value(const clo_value *v, const clo_param *p, const char *tool, clo_err *err)
{
    argument arg = {tool, p, err};

    clo_err_clear(err);
    if (v->type == CLO_T_NULL)
        return clo_json_new_null();
    switch (p->type) {
    case CLO_T_INT:
        return int_param(v, &arg);
    case CLO_T_BOOL:
        return bool_param(v, &arg);
    case CLO_T_JSON:
        return json_param(v, &arg);
    default:
        return text_param(v, &arg);
    }
}

clo_status
clo_params_native(clo_json *params, const clo_tool *tool, clo_err *err)
{
    size_t i;

    clo_err_clear(err);
    for (i = 0; i < tool->n_params; i++) {
        const clo_param *p = &tool->params[i];
        size_t len;
        const char *s = clo_json_str(clo_json_get(params, p->name), &len);
        clo_json *j;

        if (!(p->flags & CLO_P_JSONTEXT) || !s)
            continue;
        j = clo_json_parse(s, len, p->name, err);
        if (!j)
            return CLO_ERROR;
        if (!clo_json_put(params, p->name, j))
            return clo_err_nomem(err);
    }
    return CLO_OK;
}
