/*
 * json.c - JSON in and out; the only file that knows json-c.
 *
 * A clo_json is a json-c object. One document is one tree with one owner: what `get`, `at` and
 * the texts return is borrowed from it. Nothing is copied on the way: a string column points into
 * the tree, and the text of a double stays the text that the service sent (json-c keeps it), so
 * that JSON passes through to SQL unchanged.
 *
 * Strictness. json-c accepts things that are no JSON or that it cannot hold: NaN and Infinity,
 * names in single quotes, comments, `TRUE`, a comma before a closing bracket, raw control
 * characters, `01` and `1.`, an integer beyond 64 bits (which it silently replaces by the nearest
 * one), a key with U+0000 (which it silently cuts). Each of these would be a wrong value in
 * somebody's table. Its strict mode refuses some of them, which ones depends on the version, and
 * that of 0.18 refuses every character beyond ASCII too. So strict mode is off, and a scanner runs
 * over the text first. It refuses exactly those lexical faults and leaves the nesting to json-c;
 * strings, the bulk of every answer, are skipped eight bytes at a time, which keeps its cost to
 * about a tenth of the parse. Rejected: walking the tree afterwards (costs more, and the evidence
 * is gone by then) and searching for the words (finds them in everybody's notes).
 *
 * Depth is limited to 64, which also bounds the recursion in json-c's serializer and destructor.
 *
 * Null. json-c has no object for null, a NULL pointer is the value. That is fine for members but
 * not for a document, where NULL has to mean failure. So the document `null` is the address of a
 * static object, which every function here translates.
 *
 * Views. Answers are not built as trees but read in place (view.c, which says when and why); such a
 * document is a clo_json like any other, told apart by the lowest bit of its address, which no object of
 * json-c has set. It can be read only. Where a part of one is put into another document it is parsed by
 * json-c first.
 *
 * Member order is whatever the service sent; nothing may rely on it. A duplicate key: the last
 * one wins.
 *
 * json-c allocates with malloc. Debug builds announce its allocations to mem.c, so that the
 * out-of-memory tests reach the callers of this file too.
 */
#include "view.h"

#include <json-c/json.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64
#define TEXT_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

static const uint64_t null_document; /* aligned: its address must not look like a view's */

/* json-c is not const-correct: readers take mutable objects, and serializing caches its text
 * inside the object. The integer conversion says that dropping const is meant. */
static json_object *
native(const clo_json *j)
{
    const void *p = j;

    return p == &null_document ? NULL : (json_object *)(uintptr_t)p;
}

static clo_json *
handle(json_object *o)
{
    return (clo_json *)o;
}

/* The node behind a handle, or NULL where it is json-c's. */
static const clo_node *
node_of(const clo_json *j)
{
    uintptr_t p = (uintptr_t)j;

    return p & 1 ? (const clo_node *)(p - 1) : NULL;
}

/* Null has no address, as in json-c. */
static clo_json *
handle_of(const clo_node *n)
{
    if (!n || clo_view_kind(n) == CLO_J_NULL)
        return NULL;
    return (clo_json *)((uintptr_t)n + 1);
}

clo_json *
clo_json_new_null(void)
{
    return (clo_json *)(uintptr_t)&null_document;
}

/* ---- scanner ---- */

typedef struct scan {
    const char *p, *start, *end;
    const char *fault; /* what is wrong at p */
} scan;

static bool
scan_fault(scan *s, const char *at, const char *fault)
{
    s->p = at;
    s->fault = fault;
    return false;
}

static const char *
skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

/* From the opening quote to behind the closing one. An unfinished string is left to json-c. */
static bool
scan_string(scan *s)
{
    const char *open = s->p, *p = open + 1;
    uint64_t high = 0; /* of no interest here */
    bool nul = false;

    for (;;) {
        p = clo_skip_plain(p, s->end, &high);
        if (p >= s->end || *p == '"')
            break;
        if (*p != '\\')
            return scan_fault(s, p, "control character in a string");
        if (s->end - p >= 6 && memcmp(p, "\\u0000", 6) == 0)
            nul = true;
        p += s->end - p >= 2 ? 2 : 1;
    }
    s->p = p < s->end ? p + 1 : s->end;
    if (nul) {
        p = skip_space(s->p, s->end);
        if (p < s->end && *p == ':')
            return scan_fault(s, open, "U+0000 in a member name");
    }
    return true;
}

static bool
is_digit(const scan *s, const char *p)
{
    return p < s->end && *p >= '0' && *p <= '9';
}

static const char *
skip_digits(const scan *s, const char *p)
{
    while (is_digit(s, p))
        p++;
    return p;
}

static bool
integer_fits(const char *digits, size_t n, bool negative)
{
    const char *limit = negative ? "9223372036854775808" : "18446744073709551615";
    size_t most = strlen(limit);

    return n < most || (n == most && memcmp(digits, limit, n) <= 0);
}

static bool
scan_number(scan *s)
{
    const char *p = s->p, *digits;
    bool negative = *p == '-', integer = true;

    digits = negative ? p + 1 : p;
    p = skip_digits(s, digits);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return scan_fault(s, s->p, "malformed number");
    if (!integer_fits(digits, (size_t)(p - digits), negative))
        integer = false;
    if (p < s->end && *p == '.') {
        const char *fraction = p + 1;

        p = skip_digits(s, fraction);
        if (p == fraction)
            return scan_fault(s, s->p, "malformed number");
    } else if (!integer && !(p < s->end && (*p == 'e' || *p == 'E'))) {
        return scan_fault(s, s->p, "integer beyond 64 bits");
    }
    if (p < s->end && (*p == 'e' || *p == 'E')) {
        const char *exponent = p + 1;

        if (exponent < s->end && (*exponent == '+' || *exponent == '-'))
            exponent++;
        p = skip_digits(s, exponent);
        if (p == exponent)
            return scan_fault(s, s->p, "malformed number");
    }
    s->p = p;
    return true;
}

static bool
scan_comma(scan *s)
{
    const char *next = skip_space(s->p + 1, s->end);

    if (next < s->end && (*next == ']' || *next == '}'))
        return scan_fault(s, next, "comma before a closing bracket");
    s->p = next;
    return true;
}

/* An unfinished word at the end of the text is left to json-c, like an unfinished string. */
static bool
scan_word(scan *s)
{
    static const char *const words[] = {"true", "false", "null"};
    size_t left = (size_t)(s->end - s->p), i;

    for (i = 0; i < CLO_ARRAY_LEN(words); i++) {
        size_t whole = strlen(words[i]), n = left < whole ? left : whole;

        if (memcmp(s->p, words[i], n) == 0) {
            s->p += n;
            return true;
        }
    }
    return scan_fault(s, s->p, *s->p ? "not a JSON value" : "NUL byte");
}

static bool
scan_token(scan *s)
{
    switch (*s->p) {
    case '{':
    case '}':
    case '[':
    case ']':
    case ':':
    case ' ':
    case '\n':
    case '\t':
    case '\r':
        s->p++;
        return true;
    case ',':
        return scan_comma(s);
    case '"':
        return scan_string(s);
    default:
        return *s->p == '-' || is_digit(s, s->p) ? scan_number(s) : scan_word(s);
    }
}

static bool
scan_document(scan *s)
{
    while (s->p < s->end)
        if (!scan_token(s))
            return false;
    return true;
}

/* ---- parse ---- */

static clo_json *
bad_json(const char *what, size_t offset, const char *why, clo_err *err)
{
    clo_err_set(err, CLO_E_PROTO, "%s is not valid JSON at byte %zu: %s", what, offset, why);
    return NULL;
}

/* Feeds the text in pieces that json-c's int lengths can hold, then a NUL, which ends a number at
 * top level. *used is the offset of the first byte that json-c did not take. */
static json_object *
feed(json_tokener *tok, const char *text, size_t len, size_t *used)
{
    const size_t piece = (size_t)1 << 30;
    json_object *o = NULL;

    *used = 0;
    do {
        size_t n = len - *used < piece ? len - *used : piece;

        o = json_tokener_parse_ex(tok, text + *used, (int)n);
        *used += json_tokener_get_parse_end(tok);
    } while (json_tokener_get_error(tok) == json_tokener_continue && *used < len);
    if (json_tokener_get_error(tok) == json_tokener_continue)
        o = json_tokener_parse_ex(tok, "", 1);
    return o;
}

clo_json *
clo_json_parse(const char *text, size_t len, const char *what, clo_err *err)
{
    scan s = {text, text, text + len, NULL};
    enum json_tokener_error code;
    json_tokener *tok;
    json_object *o;
    size_t used;
    const char *rest;

    clo_err_clear(err);
    if (!scan_document(&s))
        return bad_json(what, (size_t)(s.p - text), s.fault, err);
    tok = clo_mem_fault() ? NULL : json_tokener_new_ex(MAX_DEPTH);
    if (!tok) {
        clo_err_nomem(err);
        return NULL;
    }
    o = feed(tok, text, len, &used);
    code = json_tokener_get_error(tok);
    json_tokener_free(tok);
    if (code != json_tokener_success) {
        json_object_put(o);
        return bad_json(what, used, json_tokener_error_desc(code), err);
    }
    rest = skip_space(text + used, text + len);
    if (rest < text + len) {
        json_object_put(o);
        return bad_json(what, (size_t)(rest - text), "text after the end", err);
    }
    if (o)
        return handle(o);
    /* Success without an object: null, or json-c ran out of memory and did not say so. */
    if (*skip_space(text, text + len) == 'n')
        return clo_json_new_null();
    clo_err_nomem(err);
    return NULL;
}

clo_json *
clo_json_read(clo_buf *text, const char *what, clo_err *err)
{
    const clo_node *n = NULL;

    clo_err_clear(err);
    if (text->data)
        n = clo_view_new(text->data, text->len);
    if (!n)
        return clo_json_parse(text->data ? text->data : "", text->len, what, err);
    (void)clo_buf_take(text, NULL, what, err);
    return handle_of(n);
}

/* ---- reading ---- */

clo_json *
clo_json_ref(clo_json *j)
{
    const clo_node *n = node_of(j);
    json_object *o = n ? NULL : native(j);

    if (n)
        clo_view_ref(n);
    if (o)
        json_object_get(o);
    return j;
}

void
clo_json_free(clo_json *j)
{
    const clo_node *n = node_of(j);

    if (n)
        clo_view_unref(n);
    else
        json_object_put(native(j));
}

size_t
clo_json_bytes(const clo_json *j)
{
    const clo_node *n = node_of(j);

    return n ? clo_view_bytes(n) : 0;
}

bool
clo_json_clean(const clo_json *j)
{
    const clo_node *n = node_of(j);

    return n && clo_view_clean(n);
}

clo_json_kind
clo_json_type(const clo_json *j)
{
    const clo_node *n = node_of(j);

    if (n)
        return clo_view_kind(n);
    switch (json_object_get_type(native(j))) {
    case json_type_boolean:
        return CLO_J_BOOL;
    case json_type_int:
        return CLO_J_INT;
    case json_type_double:
        return CLO_J_REAL;
    case json_type_string:
        return CLO_J_STRING;
    case json_type_array:
        return CLO_J_ARRAY;
    case json_type_object:
        return CLO_J_OBJECT;
    case json_type_null:
        break;
    }
    return CLO_J_NULL;
}

const char *
clo_json_kind_name(clo_json_kind kind)
{
    static const char *const names[] = {"null",     "a boolean", "an integer", "a number",
                                        "a string", "an array",  "an object"};

    return (unsigned)kind < CLO_ARRAY_LEN(names) ? names[kind] : "null";
}

const clo_json *
clo_json_get(const clo_json *obj, const char *key)
{
    const clo_node *n = node_of(obj);
    json_object *o, *v = NULL;

    if (n)
        return handle_of(clo_view_get(n, key));
    o = native(obj);
    if (!json_object_is_type(o, json_type_object))
        return NULL;
    return json_object_object_get_ex(o, key, &v) ? handle(v) : NULL;
}

bool
clo_json_has(const clo_json *obj, const char *key)
{
    const clo_node *n = node_of(obj);
    json_object *o;

    if (n)
        return clo_view_get(n, key) != NULL;
    o = native(obj);
    return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, NULL);
}

size_t
clo_json_len(const clo_json *j)
{
    const clo_node *n = node_of(j);
    json_object *o;

    if (n)
        return clo_view_len(n);
    o = native(j);
    if (json_object_is_type(o, json_type_array))
        return json_object_array_length(o);
    if (json_object_is_type(o, json_type_object))
        return (size_t)json_object_object_length(o);
    return 0;
}

const clo_json *
clo_json_at(const clo_json *arr, size_t i)
{
    const clo_node *n = node_of(arr);
    json_object *o;

    if (n)
        return handle_of(clo_view_at(n, i));
    o = native(arr);
    if (!json_object_is_type(o, json_type_array))
        return NULL;
    return handle(json_object_array_get_idx(o, i));
}

const char *
clo_json_str(const clo_json *j, size_t *len)
{
    const clo_node *n = node_of(j);
    json_object *o;
    size_t ignored;

    if (len)
        *len = 0;
    if (n)
        return clo_view_str(n, len ? len : &ignored);
    o = native(j);
    if (!json_object_is_type(o, json_type_string))
        return NULL;
    if (len)
        *len = (size_t)json_object_get_string_len(o);
    return json_object_get_string(o);
}

int64_t
clo_json_int(const clo_json *j)
{
    const clo_node *n = node_of(j);

    return n ? clo_view_int(n) : json_object_get_int64(native(j));
}

double
clo_json_real(const clo_json *j)
{
    const clo_node *n = node_of(j);

    return n ? clo_view_real(n) : json_object_get_double(native(j));
}

bool
clo_json_bool(const clo_json *j)
{
    const clo_node *n = node_of(j);

    return n ? clo_view_bool(n) : json_object_get_boolean(native(j));
}

/* it->p is the entry to come. */
void
clo_json_iter_init(clo_json_iter *it, const clo_json *obj)
{
    const clo_node *n = node_of(obj);
    json_object *o;

    memset(it, 0, sizeof *it);
    it->view = n;
    if (n) {
        it->p = clo_view_first(n);
        return;
    }
    o = native(obj);
    if (json_object_is_type(o, json_type_object))
        it->p = lh_table_head(json_object_get_object(o));
}

bool
clo_json_iter_next(clo_json_iter *it)
{
    const struct lh_entry *e = it->p;
    size_t ignored;

    if (!e)
        return false;
    if (it->view) {
        const clo_node *name = it->p;

        it->key = clo_view_str(name, &ignored);
        it->value = handle_of(name + 1);
        it->p = clo_view_next(it->view, name);
        return true;
    }
    it->key = lh_entry_k(e);
    it->value = lh_entry_v(e);
    it->p = lh_entry_next(e);
    return true;
}

/* As far as a byte tells; the longer ones share one. */
static unsigned char
short_len(size_t len)
{
    return len < UCHAR_MAX ? (unsigned char)len : UCHAR_MAX;
}

void
clo_members_of(const clo_json *obj, clo_members *m)
{
    const clo_node *n = node_of(obj);

    m->object = obj;
    m->n = n ? clo_view_names(n, m->names, CLO_MEMBERS_MAX) : 0;
    for (size_t i = 0; i < m->n; i++)
        m->lens[i] = short_len(m->names[i]->len);
}

/* A member that an object does not have is the dear case, and few of the others are as long as it. */
const clo_json *
clo_member(const clo_members *m, const char *key, uint16_t *place)
{
    const unsigned char *end = m->lens + m->n, *p = m->lens;
    size_t len = strlen(key), at = *place;

    if (m->n == 0)
        return clo_json_get(m->object, key);
    if (at < m->n && clo_view_is_named(m->names[at], key, len))
        return handle_of(m->names[at] + 1);
    while ((p = memchr(p, short_len(len), (size_t)(end - p))) != NULL) {
        at = (size_t)(p++ - m->lens);
        if (!clo_view_is_named(m->names[at], key, len))
            continue;
        *place = (uint16_t)at;
        return handle_of(m->names[at] + 1);
    }
    return NULL;
}

bool
clo_members_some(const clo_members *m, const char *prefix, clo_arena *a, const char **text,
                 size_t *len)
{
    if (m->n > 0)
        *text = clo_view_some(m->names, m->n, prefix, a, len);
    return m->n > 0;
}

/* ---- building ---- */

clo_json *
clo_json_object(void)
{
    return clo_mem_fault() ? NULL : handle(json_object_new_object());
}

clo_json *
clo_json_array(void)
{
    return clo_mem_fault() ? NULL : handle(json_object_new_array());
}

clo_json *
clo_json_new_str(const char *s, size_t n)
{
    if (n > INT_MAX || clo_mem_fault())
        return NULL;
    return handle(json_object_new_string_len(s, (int)n));
}

clo_json *
clo_json_new_int(int64_t i)
{
    return clo_mem_fault() ? NULL : handle(json_object_new_int64(i));
}

clo_json *
clo_json_new_bool(bool b)
{
    return clo_mem_fault() ? NULL : handle(json_object_new_boolean(b));
}

/* The shortest decimal text that reads back as the same double, whatever the host's locale. */
static void
real_text(double r, char out[40])
{
    size_t i, o = 0;
    int digits;

    for (digits = 15; digits <= 17; digits++) {
        snprintf(out, 40, "%.*g", digits, r);
        if (strtod(out, NULL) == r)
            break;
    }
    for (i = 0; out[i]; i++) {
        if (strchr("0123456789eE+-", out[i]))
            out[o++] = out[i];
        else if (o == 0 || out[o - 1] != '.')
            out[o++] = '.'; /* a decimal point may have several bytes */
    }
    out[o] = '\0';
}

/* A part of a view as json-c has it, in *v instead of the view. False: no memory. */
static bool
make_native(clo_json **v)
{
    const clo_node *n = node_of(*v);
    clo_err ignored;
    clo_json *made;
    const char *s;
    size_t len;

    if (!n)
        return true;
    s = clo_view_text(n, NULL, &len);
    made = s ? clo_json_parse(s, len, "a part", &ignored) : NULL;
    if (!made)
        return false;
    clo_json_free(*v);
    *v = made;
    return true;
}

bool
clo_json_put(clo_json *obj, const char *key, clo_json *v)
{
    json_object *o = native(obj);

    CLO_ASSERT(!node_of(obj) && json_object_is_type(o, json_type_object));
    if (!make_native(&v) || clo_mem_fault() ||
        json_object_object_add_ex(o, key, native(v), 0) != 0) {
        clo_json_free(v);
        return false;
    }
    return true;
}

bool
clo_json_put_str(clo_json *obj, const char *key, const char *s, size_t n)
{
    clo_json *v = clo_json_new_str(s, n);

    return v && clo_json_put(obj, key, v);
}

bool
clo_json_put_int(clo_json *obj, const char *key, int64_t i)
{
    clo_json *v = clo_json_new_int(i);

    return v && clo_json_put(obj, key, v);
}

bool
clo_json_put_real(clo_json *obj, const char *key, double r)
{
    char text[40];
    clo_json *v;

    /* JSON has no such number; callers check their input before they come here. */
    CLO_ASSERT(isfinite(r));
    real_text(r, text);
    v = clo_mem_fault() ? NULL : handle(json_object_new_double_s(r, text));
    return v && clo_json_put(obj, key, v);
}

bool
clo_json_put_bool(clo_json *obj, const char *key, bool b)
{
    clo_json *v = clo_json_new_bool(b);

    return v && clo_json_put(obj, key, v);
}

bool
clo_json_put_null(clo_json *obj, const char *key)
{
    return clo_json_put(obj, key, clo_json_new_null());
}

bool
clo_json_push(clo_json *arr, clo_json *v)
{
    json_object *o = native(arr);

    CLO_ASSERT(!node_of(arr) && json_object_is_type(o, json_type_array));
    if (!make_native(&v) || clo_mem_fault() || json_object_array_add(o, native(v)) != 0) {
        clo_json_free(v);
        return false;
    }
    return true;
}

const char *
clo_json_text(const clo_json *j, size_t *len)
{
    return clo_json_text_in(j, NULL, len);
}

const char *
clo_json_text_in(const clo_json *j, clo_arena *a, size_t *len)
{
    const clo_node *view = node_of(j);
    size_t n = 4;
    const char *s = "null";
    json_object *o = view ? NULL : native(j);

    if (view)
        s = clo_view_text(view, a, &n);
    if (o)
        s = clo_mem_fault() ? NULL : json_object_to_json_string_length(o, TEXT_FLAGS, &n);
    if (len)
        *len = s ? n : 0;
    return s;
}
