/*
 * pg_jsonb.c - JSON of the core as jsonb, without lexing it a second time.
 *
 * jsonb_in copies every string byte by byte into a buffer of its own, because it may hold escapes, and
 * again into a value, and that is a third of what a function call costs the backend. The texts of the core
 * have been checked when they came in: they are JSON, terminated, nested 64 deep at most, and no string
 * in them has a raw control character. What is left is to find where things begin and end, and a string
 * without an escape is a value where it stands.
 *
 * So a text without \u, in a database of UTF-8, is read here; whatever else, or is not what it should
 * be, goes to jsonb_in, which then also has the error to tell. Both push the same sequence of values,
 * hence the same jsonb. Rejected: decoding \u here as well (the lexer's rules for surrogates and U+0000
 * depend on the version), and walking the core's own document (a third form of the same value that
 * would have to agree with both).
 *
 * Strings are borrowed from the text until the end, where jsonb is made in one piece. Numbers and the
 * state of the parse are palloc'ed in the current context.
 */
#include "pg.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#define MAX_DEPTH 64
#define SHORT_DIGITS 18 /* fit an int8 */

typedef struct reader {
    const char *p, *end; /* *end is the terminator, so a look at *p is always one */
    clo_pg_jsonb_in made;
    bool escapes; /* there is a backslash somewhere */
    int depth;
} reader;

static bool read_value(reader *r, JsonbIteratorToken as);

static void
skip_space(reader *r)
{
    while (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r')
        r->p++;
}

/* After any space. */
static bool
take(reader *r, char c)
{
    skip_space(r);
    if (*r->p != c)
        return false;
    r->p++;
    return true;
}

/* Decodes the string that begins at `text`. Returns its closing quote, or NULL. */
static const char *
unescape(const char *text, JsonbValue *v)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char *to;
    const char *end = text;

    while (*end != '"' && *end != '\0')
        end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
    if (*end == '\0')
        return NULL;
    v->val.string.val = to = palloc((Size)(end - text) + 1);
    while (text < end) {
        if (*text == '\\') {
            const char *name = strchr(names, *++text);

            if (name == NULL)
                return NULL;
            *to++ = meant[name - names];
            text++;
        } else {
            *to++ = *text++;
        }
    }
    v->val.string.len = (int)(to - v->val.string.val);
    return end;
}

/* At the quote. */
static bool
read_string(reader *r, JsonbValue *v)
{
    const char *text = r->p + 1;
    const char *close = memchr(text, '"', (size_t)(r->end - text));

    if (close == NULL)
        return false;
    v->type = jbvString;
    v->val.string.val = (char *)(uintptr_t)text; /* jsonb's readers are not const-correct */
    v->val.string.len = (int)(close - text);
    if (r->escapes && memchr(text, '\\', (size_t)(close - text)) != NULL)
        close = unescape(text, v);
    if (close == NULL)
        return false;
    r->p = close + 1;
    return true;
}

/* Whole numbers of ordinary size need no text of their own. */
static bool
read_number(reader *r, JsonbValue *v)
{
    const char *start = r->p;
    const char *digits = *start == '-' ? start + 1 : start;
    size_t n = strspn(digits, "0123456789");
    Datum number;

    r->p = digits + strspn(digits, "0123456789.eE+-");
    if (n == 0)
        return false;
    if (r->p == digits + n && n <= SHORT_DIGITS) {
        int64 value = 0;

        for (size_t i = 0; i < n; i++)
            value = value * 10 + (digits[i] - '0');
        number = DirectFunctionCall1(int8_numeric, Int64GetDatum(digits > start ? -value : value));
    } else {
        char *text = pnstrdup(start, (Size)(r->p - start));

        number = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
                                     ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
    }
    v->type = jbvNumeric;
    v->val.numeric = DatumGetNumeric(number);
    return true;
}

static bool
read_word(reader *r, JsonbValue *v)
{
    static const struct {
        const char *word;
        size_t len;
        enum jbvType type;
    } words[] = {{"null", 4, jbvNull}, {"true", 4, jbvBool}, {"false", 5, jbvBool}};

    for (size_t i = 0; i < lengthof(words); i++) {
        if (strncmp(r->p, words[i].word, words[i].len) != 0)
            continue;
        v->type = words[i].type;
        v->val.boolean = i == 1;
        r->p += words[i].len;
        return true;
    }
    return false;
}

static bool
read_members(reader *r)
{
    JsonbValue key;

    clo_pg_push_jsonb(&r->made, WJB_BEGIN_OBJECT, NULL);
    if (!take(r, '}')) {
        do {
            skip_space(r);
            if (*r->p != '"' || !read_string(r, &key))
                return false;
            clo_pg_push_jsonb(&r->made, WJB_KEY, &key);
            if (!take(r, ':') || !read_value(r, WJB_VALUE))
                return false;
        } while (take(r, ','));
        if (!take(r, '}'))
            return false;
    }
    clo_pg_push_jsonb(&r->made, WJB_END_OBJECT, NULL);
    return true;
}

static bool
read_elements(reader *r)
{
    clo_pg_push_jsonb(&r->made, WJB_BEGIN_ARRAY, NULL);
    if (!take(r, ']')) {
        do {
            if (!read_value(r, WJB_ELEM))
                return false;
        } while (take(r, ','));
        if (!take(r, ']'))
            return false;
    }
    clo_pg_push_jsonb(&r->made, WJB_END_ARRAY, NULL);
    return true;
}

static bool
read_container(reader *r)
{
    bool object = *r->p == '{', ok;

    check_stack_depth();
    if (++r->depth > MAX_DEPTH)
        return false;
    r->p++;
    ok = object ? read_members(r) : read_elements(r);
    r->depth--;
    return ok;
}

static bool
read_value(reader *r, JsonbIteratorToken as)
{
    JsonbValue v;
    bool ok;

    skip_space(r);
    if (*r->p == '{' || *r->p == '[')
        return read_container(r);
    if (*r->p == '"')
        ok = read_string(r, &v);
    else if (*r->p == '-' || (*r->p >= '0' && *r->p <= '9'))
        ok = read_number(r, &v);
    else
        ok = read_word(r, &v);
    if (ok)
        clo_pg_push_jsonb(&r->made, as, &v);
    return ok;
}

/* NULL: this one is for jsonb_in. */
static Jsonb *
read_plain(const char *text, size_t len)
{
    reader r = {.p = text, .end = text + len};

    if (len > JENTRY_OFFLENMASK || strlen(text) != len)
        return NULL;
    r.escapes = memchr(text, '\\', len) != NULL;
    if (r.escapes && strstr(text, "\\u") != NULL)
        return NULL;
    skip_space(&r);
    if ((*r.p != '{' && *r.p != '[') || !read_container(&r))
        return NULL;
    skip_space(&r);
    return r.p == r.end ? JsonbValueToJsonb(r.made.result) : NULL;
}

/* The text is terminated, as texts of the core are. */
Datum
clo_pg_jsonb(const char *utf8, size_t len)
{
    char *local = pg_any_to_server(utf8, (int)len, PG_UTF8);
    Jsonb *made = GetDatabaseEncoding() == PG_UTF8 ? read_plain(local, len) : NULL;

    if (made != NULL)
        return JsonbPGetDatum(made);
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(local));
}
