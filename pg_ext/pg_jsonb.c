/*
 * pg_jsonb.c - JSON of the core as jsonb, read once and written once.
 *
 * jsonb_in lexes a text into a buffer of its own, pushes each value onto a tree, sorts the names of every
 * object and converts the tree into a buffer that grows; that was more than a third of what the backend
 * did to read a table. The texts of the core have been checked when they came in: they are JSON in
 * well-formed UTF-8 without U+0000, terminated, nested 64 deep at most. What is left is to find where
 * things begin and end, to bring the names into jsonb's order, and to write.
 *
 * Reading makes one node of 16 bytes per name and value. Nodes of containers that are still open lie
 * on one pile; when a container ends, its children move to another in the order in which jsonb has
 * them (an object's names, then its values), and the container becomes one node. So writing is one walk
 * into memory of the right size, as what each node takes at most has been summed up on the way. The
 * layout is that of utils/jsonb.h, which data on disk fixes; the tests compare bytes with jsonb_in's.
 *
 * Names are in an order that the service chose, and jsonb wants shorter before longer. One pass that
 * counts lengths leaves little for insertion to mend; where it is much after all (many names of one length)
 * the server's qsort takes over. Rejected: to remember how the object before had to be rearranged. Custom
 * fields make the next one different, and to verify takes as many comparisons as to mend.
 *
 * A text that is not what it should be, \u (the lexer's rules for surrogates depend on the version)
 * and sizes beyond jsonb's go to jsonb_in, which then also has the error to tell; so does everything in
 * a database that is not UTF-8. Rejected: a tree of JsonbValue for JsonbValueToJsonb (pairs of 56 bytes
 * to sort and walk, and a look at the stack and at the size of the buffer for each value), and walking the
 * core's own document (another form of the same value that would have to agree with both).
 *
 * Ownership: strings are borrowed from the text until the end; what palloc gives for numbers, and for the
 * rest if the text is refused, goes with the current context, which is that of a row or of a call.
 */
#include "pg.h"

#include <limits.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#define MAX_DEPTH 64
#define MAX_DIGITS 18 /* fit an int8 */
#define FEW 320       /* nodes that need no palloc */
#define FEW_MEMBERS 128
#define HANDFUL 8
#define LENGTHS 31 /* of names, told apart in one pass */
#define MOVES 4    /* per member, before a sort that is better at disorder */

typedef struct node {
    union {
        const char *text;
        Numeric number;
        size_t children; /* index of the first among those that are kept */
    } at;
    uint32 n;    /* bytes of a text or a number; the header of a container */
    JEntry kind; /* JENTRY_IS... */
} node;

typedef struct pile {
    node *nodes;
    size_t n, cap;
    node *few; /* where it began, not palloc'ed */
} pile;

typedef struct reader {
    const char *p, *end; /* *end is the terminator, so a look at *p is always one */
    char *plain;         /* room for texts without their escapes; NULL: there is no backslash */
    pile open, kept;
    size_t room; /* that the value takes at most */
    int depth;
} reader;

static bool read_value(reader *r);

/* --- Nodes ------------------------------------------------------------------------------------ */

/* Room for n more; false: more than one piece of memory can hold. */
static bool
reserve(pile *p, size_t n)
{
    size_t cap = p->cap;
    node *more;

    if (n <= cap - p->n)
        return true;
    while (n > cap - p->n)
        cap *= 2;
    if (cap > MaxAllocSize / sizeof *more)
        return false;
    more = palloc(cap * sizeof *more);
    memcpy(more, p->nodes, p->n * sizeof *more);
    if (p->nodes != p->few)
        pfree(p->nodes);
    p->nodes = more;
    p->cap = cap;
    return true;
}

/* Opens a node for what takes `size` bytes at most, its entry aside. NULL as above. */
static inline node *
add(reader *r, JEntry kind, uint32 n, size_t size)
{
    node *v;

    if (r->open.n == r->open.cap && !reserve(&r->open, 1))
        return NULL;
    v = &r->open.nodes[r->open.n++];
    v->kind = kind;
    v->n = n;
    r->room += sizeof(JEntry) + size;
    return v;
}

/* --- The order of names ----------------------------------------------------------------------- */

typedef struct members {
    const node *nodes; /* name, value, name, value ... */
    bool twice;        /* two have the same name */
} members;

/* Shorter before longer, then by bytes; the later of two with one name comes first. */
static inline int
compare_members(members *m, uint32 i, uint32 j)
{
    const node *x = &m->nodes[2 * i], *y = &m->nodes[2 * j];
    int order;

    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    order = memcmp(x->at.text, y->at.text, x->n);
    if (order != 0 || i == j)
        return order;
    m->twice = true;
    return i > j ? -1 : 1;
}

static int
compare_for_qsort(const void *a, const void *b, void *arg)
{
    return compare_members(arg, *(const uint32 *)a, *(const uint32 *)b);
}

/* By length up to LENGTHS, in one pass that counts and one that places. A handful stays as it is: to
 * insert them costs less. */
static void
sort_by_length(const members *m, uint32 n, uint32 *order)
{
    uint32 start[LENGTHS + 1] = {0}, sum = 0;

    if (n <= HANDFUL) {
        for (uint32 i = 0; i < n; i++)
            order[i] = i;
        return;
    }
    for (uint32 i = 0; i < n; i++)
        start[Min(m->nodes[2 * i].n, LENGTHS)]++;
    for (uint32 i = 0; i <= LENGTHS; i++) {
        uint32 count = start[i];

        start[i] = sum;
        sum += count;
    }
    for (uint32 i = 0; i < n; i++)
        order[start[Min(m->nodes[2 * i].n, LENGTHS)]++] = i;
}

/* Cheap when little is out of place. False: too much was. */
static bool
sort_by_insertion(members *m, uint32 n, uint32 *order)
{
    uint32 budget = MOVES * n;

    for (uint32 i = 1; i < n; i++) {
        uint32 moved = order[i], to = i;

        while (to > 0 && compare_members(m, order[to - 1], moved) > 0) {
            if (budget-- == 0) {
                order[to] = moved;
                return false;
            }
            order[to] = order[to - 1];
            to--;
        }
        order[to] = moved;
    }
    return true;
}

/* Leaves the first of those with one name. Returns how many are left. */
static uint32
drop_repeated(const node *nodes, uint32 n, uint32 *order)
{
    uint32 left = 1;

    for (uint32 i = 1; i < n; i++) {
        const node *name = &nodes[2 * order[i]], *last = &nodes[2 * order[left - 1]];

        if (name->n != last->n || memcmp(name->at.text, last->at.text, name->n) != 0)
            order[left++] = order[i];
    }
    return left;
}

/* Moves n members to where they are kept, all names before all values. Returns how many names there
 * are. */
static uint32
keep_members(const node *nodes, uint32 n, node *to)
{
    uint32 few[FEW_MEMBERS], *order = n <= FEW_MEMBERS ? few : palloc(n * sizeof *order);
    members m = {nodes, false};

    sort_by_length(&m, n, order);
    if (!sort_by_insertion(&m, n, order))
        qsort_arg(order, n, sizeof *order, compare_for_qsort, &m);
    if (m.twice)
        n = drop_repeated(nodes, n, order);
    for (uint32 i = 0; i < n; i++) {
        to[i] = nodes[2 * order[i]];
        to[n + i] = nodes[2 * order[i] + 1];
    }
    if (order != few)
        pfree(order);
    return n;
}

/* The container whose children lie at `base` and above has ended. */
static bool
close_container(reader *r, size_t base, uint32 flag)
{
    size_t n = r->open.n - base;
    node *children = &r->open.nodes[base], *to, *v;

    if (!reserve(&r->kept, n))
        return false;
    to = &r->kept.nodes[r->kept.n];
    if (flag == JB_FARRAY || n <= 2)
        memcpy(to, children, n * sizeof *to);
    else
        n = 2 * (size_t)keep_members(children, (uint32)(n / 2), to);
    r->open.n = base;
    v = add(r, JENTRY_ISCONTAINER, (uint32)(flag == JB_FOBJECT ? n / 2 : n) | flag,
            sizeof(uint32) + ALIGNOF_INT - 1);
    if (v == NULL)
        return false;
    v->at.children = r->kept.n;
    r->kept.n += n;
    return true;
}

/* --- Reading ---------------------------------------------------------------------------------- */

static void
skip_space(reader *r)
{
    /* The core's texts have next to none. */
    if ((unsigned char)*r->p <= ' ')
        r->p += strspn(r->p, " \n\t\r");
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

/* Moves over the string that begins at p and writes what it means to `plain`. False: an escape that is
 * not ours, or no end. */
static bool
unescape(reader *r)
{
    static const char meant[UCHAR_MAX + 1] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

    while (*r->p != '"') {
        char c = *r->p++;

        if (c == '\\')
            c = meant[(unsigned char)*r->p++];
        if (c == '\0')
            return false;
        *r->plain++ = c;
    }
    r->p++;
    return true;
}

/* At the quote. */
static inline bool
read_string(reader *r)
{
    const char *text = r->p + 1;
    const char *close = memchr(text, '"', (size_t)(r->end - text));
    node *v;

    if (close == NULL)
        return false;
    r->p = close + 1;
    if (r->plain != NULL && memchr(text, '\\', (size_t)(close - text)) != NULL) {
        r->p = text;
        text = r->plain;
        if (!unescape(r))
            return false;
        close = r->plain;
    }
    v = add(r, JENTRY_ISSTRING, (uint32)(close - text), (size_t)(close - text));
    if (v == NULL)
        return false;
    v->at.text = text;
    return true;
}

/* Whole numbers of ordinary size need no text of their own. */
static Numeric
number_of(const char *text, const char *digits, const char *end)
{
    if (end - digits <= MAX_DIGITS) {
        int64 value = 0;

        while (digits < end && *digits >= '0' && *digits <= '9')
            value = value * 10 + (*digits++ - '0');
        if (digits == end)
            return DatumGetNumeric(
                DirectFunctionCall1(int8_numeric, Int64GetDatum(*text == '-' ? -value : value)));
    }
    return DatumGetNumeric(DirectFunctionCall3(numeric_in,
                                               CStringGetDatum(pnstrdup(text, (Size)(end - text))),
                                               ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static bool
read_number(reader *r)
{
    const char *start = r->p, *digits = *start == '-' ? start + 1 : start;
    Numeric number;
    node *v;

    if (*digits < '0' || *digits > '9')
        return false;
    r->p = digits;
    while ((*r->p >= '0' && *r->p <= '9') || *r->p == '.' || *r->p == 'e' || *r->p == 'E' ||
           *r->p == '+' || *r->p == '-')
        r->p++;
    number = number_of(start, digits, r->p);
    v = add(r, JENTRY_ISNUMERIC, (uint32)VARSIZE(number), VARSIZE(number) + ALIGNOF_INT - 1);
    if (v == NULL)
        return false;
    v->at.number = number;
    return true;
}

static bool
read_word(reader *r, const char *word, size_t len, JEntry kind)
{
    if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
        return false;
    r->p += len;
    return add(r, kind, 0, 0) != NULL;
}

static bool
read_members(reader *r)
{
    size_t base = r->open.n;

    if (!take(r, '}')) {
        do {
            skip_space(r);
            if (*r->p != '"' || !read_string(r))
                return false;
            if (!take(r, ':') || !read_value(r))
                return false;
        } while (take(r, ','));
        if (!take(r, '}'))
            return false;
    }
    return close_container(r, base, JB_FOBJECT);
}

static bool
read_elements(reader *r)
{
    size_t base = r->open.n;

    if (!take(r, ']')) {
        do {
            if (!read_value(r))
                return false;
        } while (take(r, ','));
        if (!take(r, ']'))
            return false;
    }
    return close_container(r, base, JB_FARRAY);
}

static bool
read_container(reader *r)
{
    bool ok;

    if (++r->depth > MAX_DEPTH)
        return false;
    ok = *r->p++ == '{' ? read_members(r) : read_elements(r);
    r->depth--;
    return ok;
}

static bool
read_value(reader *r)
{
    skip_space(r);
    switch (*r->p) {
    case '"':
        return read_string(r);
    case '{':
    case '[':
        return read_container(r);
    case 'n':
        return read_word(r, "null", 4, JENTRY_ISNULL);
    case 't':
        return read_word(r, "true", 4, JENTRY_ISBOOL_TRUE);
    case 'f':
        return read_word(r, "false", 5, JENTRY_ISBOOL_FALSE);
    default:
        return read_number(r);
    }
}

/* --- Writing ---------------------------------------------------------------------------------- */

/* Up to where an int may lie; what is skipped is zero, as jsonb's own is. */
static char *
align(char *to)
{
    while ((uintptr_t)to % ALIGNOF_INT != 0)
        *to++ = '\0';
    return to;
}

static char *write_container(const node *kept, const node *v, char *to);

static char *
write_node(const node *kept, const node *v, char *to)
{
    switch (v->kind) {
    case JENTRY_ISSTRING:
        memcpy(to, v->at.text, v->n);
        return to + v->n;
    case JENTRY_ISNUMERIC:
        to = align(to);
        memcpy(to, v->at.number, v->n);
        return to + v->n;
    case JENTRY_ISCONTAINER:
        return write_container(kept, v, to);
    default:
        return to;
    }
}

/* Each entry has the length of its child, each JB_OFFSET_STRIDE'th where it ends. */
static char *
write_container(const node *kept, const node *v, char *to)
{
    const node *child = &kept[v->at.children];
    uint32 n = (v->n & JB_CMASK) * (v->n & JB_FOBJECT ? 2 : 1);
    JEntry *entries;
    char *start;

    to = align(to);
    entries = (JEntry *)to;
    *entries++ = v->n;
    start = to = (char *)(entries + n);
    for (uint32 i = 0; i < n; i++) {
        char *end = write_node(kept, &child[i], to);

        entries[i] =
            child[i].kind | (i % JB_OFFSET_STRIDE == 0 ? (JEntry)(end - start) | JENTRY_HAS_OFF
                                                       : (JEntry)(end - to));
        to = end;
    }
    return to;
}

/* NULL: this one is for jsonb_in. */
static Jsonb *
read_plain(const char *text, size_t len)
{
    node open[FEW], kept[FEW];
    reader r = {.p = text,
                .end = text + len,
                .open = {open, 0, FEW, open},
                .kept = {kept, 0, FEW, kept},
                .room = VARHDRSZ};
    char *plain = NULL, *end;
    Jsonb *made;

    if (strlen(text) != len)
        return NULL;
    check_stack_depth(); /* for all of MAX_DEPTH */
    if (memchr(text, '\\', len) != NULL)
        r.plain = plain = palloc(len);
    skip_space(&r);
    if ((*r.p != '{' && *r.p != '[') || !read_container(&r) || r.room > JENTRY_OFFLENMASK)
        return NULL;
    skip_space(&r);
    if (r.p != r.end)
        return NULL;
    made = palloc(r.room);
    end = write_container(r.kept.nodes, r.open.nodes, VARDATA(made));
    SET_VARSIZE(made, (Size)(end - (char *)made));
    if (r.open.nodes != open)
        pfree(r.open.nodes);
    if (r.kept.nodes != kept)
        pfree(r.kept.nodes);
    if (plain != NULL)
        pfree(plain);
    return made;
}

/* The text is terminated, as texts of the core are. */
Datum
clo_pg_jsonb(const char *utf8, size_t len)
{
    Jsonb *made =
        len <= JENTRY_OFFLENMASK && clo_pg_as_is(utf8, len) ? read_plain(utf8, len) : NULL;

    if (made != NULL)
        return JsonbPGetDatum(made);
    return DirectFunctionCall1(jsonb_in,
                               CStringGetDatum(pg_any_to_server(utf8, (int)len, PG_UTF8)));
}
