/*
 * view.c - an answer of the service, read in place.
 *
 * Pages of rows are nearly all of the JSON that we see, and a row is looked at once: a few members
 * by name, most of them short texts, and whole sub-objects that pass through to SQL as text. A tree of
 * allocated objects (json-c) costs ten times as much as finding out where things are. So a view keeps the
 * text of the answer and one array of nodes, 16 bytes each, in the order of the text; a value is a place
 * and a length, and a container knows how many nodes to skip to get behind it.
 *
 * The one rule that makes this safe beside json-c: a view is either exactly what json-c would have
 * built, or it is not built at all. Whatever is malformed or merely unusual (a repeated name, a name
 * with escapes, half a surrogate pair, an integer of more than 18 digits, -0, nesting beyond 32) is
 * declined, and json.c parses the text again, which gives the error or the value that it always gave.
 * Hence no error messages here, and one place where each odd rule lives.
 *
 * Text of a part. The text between a bracket and its partner is the compact form already unless it
 * holds white space or an escape that json-c would write otherwise; the reader notes which, per
 * container. Plain ones are copied as they are, others by a small rewriter, which never makes them longer.
 *
 * Strings end with NUL although the text has a quote there: clo_view_str overwrites the quote when a
 * string is asked for. Nothing is lost by that: no JSON text has a NUL, so whoever copies text puts a
 * quote back wherever one stands. Strings with escapes are decoded while reading, into one buffer.
 *
 * Names. The rows of a page have the same names in the same order, nearly. So every object is read along
 * one like it, if there is one: the element before it in an array, or what stood at its place in the row
 * before. A name that comes next there is known without being looked at twice; and names that follow
 * each other there cannot repeat each other here. A few odd ones are compared with all of those and with
 * each other. Where there are more, or an order of their own, all names of the object go to a small hash
 * table that all open objects share. An entry belongs to an object, and counts only as long as that is open.
 * Objects close in reverse order, so an entry that was in the way of another one outlives it, and no
 * chain of probes is ever broken by one that expired.
 *
 * Clean. Outside of strings there is nothing but ASCII, so only strings with a byte beyond it are checked
 * for UTF-8, each when it has been read.
 *
 * Ownership: nodes, text and decoded strings live and die together, counted by references; any node leads
 * to its view, by the index that it knows.
 *
 * Rejected: leaving out the nodes of inner containers (someone may look inside, and then an access could
 * fail); decoding strings in place (their container's text would be gone); a NUL behind each string while
 * reading (every text would need repair); instructions that not every processor of a kind has (inflating
 * the answer costs more than reading it already).
 */
#include "view.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 32
#define MAX_NODES (UINT32_C(1) << 28)
#define NONE UINT32_MAX
#define N_SLOTS 1024 /* of names; a power of two */
#define MAX_NAMES (N_SLOTS / 2)
#define LOOK_AHEAD 8 /* names of a like object that may be missing in a row */
#define MAX_ODD 6    /* names that the like object does not have */

enum { NAME = 7, KIND_MASK = 7, PLAIN = 8, INDEX_SHIFT = 4 };

typedef struct clo_view {
    long refs;
    char *text, *decoded;
    size_t len, decoded_len;
    bool clean;
    clo_arena *made; /* texts that were asked for; NULL: none yet */
    /* Where the last search ended: rows and their members are mostly asked for in order. */
    struct {
        const clo_node *array, *node;
        size_t index;
    } last_at;
    struct {
        const clo_node *object, *next;
    } last_get;
    struct {
        const clo_node *node;
        const char *text;
        size_t len;
    } last_text;
    size_t n;
    clo_node nodes[];
} clo_view;

/* ---- reading -------------------------------------------------------------------------------- */

typedef struct slot {
    uint32_t owner, name; /* nodes; owner NONE: free */
} slot;

typedef struct parser {
    const char *p, *text, *end;
    clo_view *view;
    uint32_t n, cap;
    uint32_t marks; /* things so far that the compact form has otherwise */
    uint32_t depth;
    bool unclean; /* U+0000 or ill-formed UTF-8 somewhere */
    clo_buf decoded;
    uint32_t open[MAX_DEPTH]; /* objects and arrays around p */
    uint32_t n_names;         /* of all open objects */
    slot names[N_SLOTS];
} parser;

static bool read_value(parser *ps, uint32_t like);

static bool
is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void
skip_spaces(parser *ps)
{
    for (; is_space(*ps->p); ps->p++)
        ps->marks++;
}

static inline void
skip_space(parser *ps)
{
    if ((unsigned char)*ps->p <= ' ')
        skip_spaces(ps);
}

/* Room for a name and its value. */
static bool
grow(parser *ps)
{
    uint32_t cap = ps->cap + ps->cap / 2;
    clo_view *view;

    if (cap > MAX_NODES)
        return false;
    view = clo_realloc(ps->view, sizeof *view + cap * sizeof(clo_node));
    if (view == NULL)
        return false;
    ps->view = view;
    ps->cap = cap;
    return true;
}

static inline void
add_node(parser *ps, unsigned kind, const char *at, size_t len)
{
    clo_node *n = &ps->view->nodes[ps->n];

    n->at = (uint32_t)(at - ps->text);
    n->len = (uint32_t)len;
    n->skip = 1;
    n->meta = (ps->n++ << INDEX_SHIFT) | kind;
}

static inline bool
is_kind(const clo_node *n, clo_json_kind kind)
{
    return (n->meta & KIND_MASK) == (unsigned)kind;
}

/* Nodes from this one to its next sibling. */
static inline uint32_t
step(const clo_node *n)
{
    return is_kind(n, CLO_J_STRING) ? 1 : n->skip;
}

/* ---- strings */

/* A string, or a name, has been read. */
static inline void
check_text(parser *ps, const char *s, const char *end, uint64_t high)
{
    if (high != 0 && !clo_utf8_ok(s, (size_t)(end - s)))
        ps->unclean = true;
}

/* The rest of a string from its first escape on. `n` is its node. */
static bool
read_escaped(parser *ps, uint32_t n, const char *open, const char *p, uint64_t high)
{
    uint32_t len, head = (uint32_t)ps->decoded.len;

    if (ps->decoded.len > NONE - 64 || !clo_buf_add(&ps->decoded, &head, sizeof head) ||
        !clo_buf_add(&ps->decoded, open, (size_t)(p - open)))
        return false;
    while (*p == '\\') {
        char utf8[4], canonical[8];
        const char *plain;
        int used;
        long c = clo_escape_get(p, &used);

        if (c < 0 || !clo_buf_add(&ps->decoded, utf8, clo_escape_utf8(utf8, c)))
            return false;
        ps->unclean = ps->unclean || c == 0;
        if (clo_escape_put(canonical, c) != (size_t)used || memcmp(canonical, p, (size_t)used) != 0)
            ps->marks++;
        plain = p + used;
        p = clo_skip_plain(plain, ps->end, &high);
        if (!clo_buf_add(&ps->decoded, plain, (size_t)(p - plain)))
            return false;
    }
    check_text(ps, open, p, high);
    if (*p != '"' || !clo_buf_add(&ps->decoded, "", 1))
        return false;
    len = (uint32_t)(ps->decoded.len - head - sizeof len - 1);
    memcpy(ps->decoded.data + head, &len, sizeof len);
    ps->view->nodes[n].len = (uint32_t)(p - open);
    ps->view->nodes[n].skip = head;
    ps->p = p + 1;
    return true;
}

static bool
read_string(parser *ps)
{
    uint64_t high = 0;
    const char *open = ps->p + 1, *p = clo_skip_plain(open, ps->end, &high);

    if (*p == '\\') {
        add_node(ps, CLO_J_STRING, open, 0);
        return read_escaped(ps, ps->n - 1, open, p, high);
    }
    add_node(ps, CLO_J_STRING | PLAIN, open, (size_t)(p - open));
    check_text(ps, open, p, high);
    ps->p = p + 1;
    return *p == '"';
}

/* ---- names */

/* Of the length, the first bytes and the last ones. */
static uint32_t
hash_name(const char *s, size_t len)
{
    uint64_t a = 0, b = 0;

    if (len >= 8) {
        memcpy(&a, s, 8);
        memcpy(&b, s + len - 8, 8);
    } else if (len >= 4) {
        uint32_t x, y;

        memcpy(&x, s, 4);
        memcpy(&y, s + len - 4, 4);
        a = x;
        b = y;
    } else if (len > 0) {
        a = (unsigned char)s[0];
        b = (uint64_t)(unsigned char)s[len / 2] << 8 | (unsigned char)s[len - 1];
    }
    a = (a ^ (b << 17 | b >> 47) ^ len) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(a >> 40);
}

static bool
is_open(const parser *ps, uint32_t owner)
{
    uint32_t depth = owner != NONE ? ps->view->nodes[owner].len : NONE; /* see read_container */

    return depth < MAX_DEPTH && ps->open[depth] == owner;
}

/* False: the object that is being read has this name already, or too many. */
static bool
add_name(parser *ps, uint32_t name)
{
    const clo_node *n = &ps->view->nodes[name], *other;
    const char *s = ps->text + n->at;
    uint32_t owner = ps->open[ps->depth - 1], i = hash_name(s, n->len) + owner * 31;

    if (ps->n_names >= MAX_NAMES)
        return false;
    for (;; i++) {
        slot *sl = &ps->names[i & (N_SLOTS - 1)];

        if (!is_open(ps, sl->owner)) {
            sl->owner = owner;
            sl->name = name;
            ps->n_names++;
            return true;
        }
        other = &ps->view->nodes[sl->name];
        if (sl->owner == owner && other->len == n->len &&
            memcmp(ps->text + other->at, s, n->len) == 0)
            return false;
    }
}

/* The names of the object that is being read. */
typedef struct names {
    uint32_t owner;
    uint32_t first, like,
        end;               /* those of an object like it: all, and from `like` on those to come */
    uint32_t odd[MAX_ODD]; /* those that the like object does not have */
    int n_odd;
    bool listed; /* they are in the table */
} names;

static inline bool
same_bytes(const char *a, const char *b, size_t len)
{
    uint64_t x, y;
    size_t i;

    if (len < 8) {
        for (i = 0; i < len && a[i] == b[i]; i++)
            ;
        return i == len;
    }
    for (i = 0; i < len; i = i + 16 <= len ? i + 8 : i + 8 < len ? len - 8 : len) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y)
            return false;
    }
    return true;
}

/* Whether the name at the opening quote p is one of the next in the like object; *names moves there. */
static bool
is_alike(const parser *ps, names *o, const char *p)
{
    const clo_node *nodes = ps->view->nodes;
    size_t room = (size_t)(ps->end - p) - 1;
    uint32_t at = o->like;

    for (int i = 0; i < LOOK_AHEAD && at < o->end; i++, at += 1 + step(&nodes[at + 1])) {
        const clo_node *n = &nodes[at];

        if (n->len < room && p[1 + n->len] == '"' && same_bytes(p + 1, ps->text + n->at, n->len)) {
            o->like = at;
            return true;
        }
    }
    return false;
}

static bool
is_name(const parser *ps, uint32_t name, const char *s, size_t len)
{
    const clo_node *n = &ps->view->nodes[name];

    return n->len == len && same_bytes(ps->text + n->at, s, len);
}

/* A name that does not come next in the like object: whether it is new for sure. Its node will be the next. */
static bool
is_odd(const parser *ps, names *o, const char *s, size_t len)
{
    if (o->n_odd == MAX_ODD)
        return false;
    for (int i = 0; i < o->n_odd; i++)
        if (is_name(ps, o->odd[i], s, len))
            return false;
    for (uint32_t at = o->first; at < o->end; at += 1 + step(&ps->view->nodes[at + 1]))
        if (is_name(ps, at, s, len))
            return false;
    o->odd[o->n_odd++] = ps->n;
    return true;
}

/* The names that were read go to the table, as will the others. */
static bool
list_names(parser *ps, names *o)
{
    o->listed = true;
    for (uint32_t i = o->owner + 1; i < ps->n; i += 1 + step(&ps->view->nodes[i + 1]))
        if (!add_name(ps, i))
            return false;
    return true;
}

/* Reads a name and the colon. *like: the value that a like object has here, NONE: there is none. */
static bool
read_name(parser *ps, names *o, uint32_t *like)
{
    const char *open = ps->p + 1, *p;
    uint64_t high = 0;

    *like = NONE;
    if (*ps->p != '"')
        return false;
    if (is_alike(ps, o, ps->p)) {
        p = open + ps->view->nodes[o->like].len;
        *like = o->like + 1;
        o->like += 1 + step(&ps->view->nodes[*like]);
    } else {
        p = clo_skip_plain(open, ps->end, &high);
        if (*p != '"')
            return false;
        check_text(ps, open, p, high);
        if (!o->listed && !is_odd(ps, o, open, (size_t)(p - open)) && !list_names(ps, o))
            return false;
    }
    add_node(ps, NAME | PLAIN, open, (size_t)(p - open));
    if (o->listed && !add_name(ps, ps->n - 1))
        return false;
    ps->p = p + 1;
    skip_space(ps);
    if (*ps->p++ != ':')
        return false;
    skip_space(ps);
    return true;
}

/* ---- numbers, words, containers */

static const char *
skip_digits(const char *p)
{
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

static bool
read_number(parser *ps)
{
    const char *start = ps->p, *digits = start + (*start == '-'), *p = skip_digits(digits), *part;
    bool real = false;

    if (p == digits || (*digits == '0' && p - digits > 1))
        return false;
    if (*p == '.') {
        part = p + 1;
        p = skip_digits(part);
        real = true;
        if (p == part)
            return false;
    }
    if (*p == 'e' || *p == 'E') {
        part = p + 1;
        part += *part == '+' || *part == '-';
        p = skip_digits(part);
        real = true;
        if (p == part)
            return false;
    }
    if (!real && (p - digits > 18 || (*digits == '0' && *start == '-')))
        return false;
    add_node(ps, (real ? CLO_J_REAL : CLO_J_INT) | PLAIN, start, (size_t)(p - start));
    ps->p = p;
    return true;
}

static bool
read_word(parser *ps, const char *word, clo_json_kind kind)
{
    size_t len = strlen(word);

    if ((size_t)(ps->end - ps->p) < len || memcmp(ps->p, word, len) != 0)
        return false;
    add_node(ps, (unsigned)kind | PLAIN, ps->p, len);
    ps->p += len;
    return true;
}

/* After a member or an element: whether a comma follows, and with it another one. */
static inline bool
take_comma(parser *ps)
{
    skip_space(ps);
    if (*ps->p != ',')
        return false;
    ps->p++;
    skip_space(ps);
    return true;
}

/* What is between the brackets; `like` is an object or array like this one, or NONE. */
static bool
read_members(parser *ps, uint32_t self, uint32_t like)
{
    const clo_node *other = like != NONE ? &ps->view->nodes[like] : NULL;
    bool alike = other != NULL && is_kind(other, CLO_J_OBJECT);
    names o = {.owner = self, .first = like + 1, .like = like + 1, .end = like + 1};

    if (alike)
        o.end = like + other->skip;
    do {
        if (!read_name(ps, &o, &like) || !read_value(ps, like))
            return false;
    } while (take_comma(ps));
    return true;
}

static bool
read_elements(parser *ps, uint32_t like)
{
    const clo_node *other = like != NONE ? &ps->view->nodes[like] : NULL;

    like = other != NULL && is_kind(other, CLO_J_ARRAY) && other->skip > 1 ? like + 1 : NONE;
    do {
        uint32_t element = ps->n;

        if (!read_value(ps, like))
            return false;
        like = element;
    } while (take_comma(ps));
    return true;
}

/* While a container is open its length is not known, and the field holds its depth. */
static bool
read_container(parser *ps, clo_json_kind kind, uint32_t like)
{
    const char *start = ps->p++, close = kind == CLO_J_OBJECT ? '}' : ']';
    uint32_t self = ps->n, marks = ps->marks, n_names = ps->n_names;
    clo_node *n;

    if (ps->depth == MAX_DEPTH)
        return false;
    add_node(ps, (unsigned)kind, start, ps->depth);
    ps->open[ps->depth++] = self;
    skip_space(ps);
    if (*ps->p != close &&
        (!(kind == CLO_J_OBJECT ? read_members(ps, self, like) : read_elements(ps, like)) ||
         *ps->p != close))
        return false;
    ps->p++;
    ps->open[--ps->depth] = NONE;
    ps->n_names = n_names;
    n = &ps->view->nodes[self];
    n->len = (uint32_t)(ps->p - start);
    n->skip = ps->n - self;
    if (ps->marks == marks)
        n->meta |= PLAIN;
    return true;
}

static bool
read_value(parser *ps, uint32_t like)
{
    if (ps->cap - ps->n < 2 && !grow(ps))
        return false;
    switch (*ps->p) {
    case '"':
        return read_string(ps);
    case '{':
        return read_container(ps, CLO_J_OBJECT, like);
    case '[':
        return read_container(ps, CLO_J_ARRAY, like);
    case 't':
        return read_word(ps, "true", CLO_J_BOOL);
    case 'f':
        return read_word(ps, "false", CLO_J_BOOL);
    case 'n':
        return read_word(ps, "null", CLO_J_NULL);
    default:
        return read_number(ps);
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

static bool
read_document(parser *ps, size_t len)
{
    const char *space = ps->text;

    while (is_space(*space))
        space++;
    if (*space != '{')
        return false;
    ps->p = space;
    memset(ps->open, 0xff, sizeof ps->open);   /* NONE */
    memset(ps->names, 0xff, sizeof ps->names); /* NONE */
    clo_buf_init(&ps->decoded, len + len / 2 + 64);
    if (!read_value(ps, NONE))
        return false;
    skip_space(ps);
    return ps->p == ps->end;
}

const clo_node *
clo_view_new(char *text, size_t len)
{
    parser ps;
    clo_view *view, *fit;

    if (len < 2 || len >= NONE)
        return NULL;
    ps.text = text;
    ps.end = text + len;
    ps.n = ps.marks = ps.depth = ps.n_names = 0;
    ps.unclean = false;
    ps.cap = (uint32_t)(len / 16 < MAX_NODES / 2 ? len / 16 + 16 : MAX_NODES / 2);
    clo_buf_init(&ps.decoded, 0);
    ps.view = clo_malloc(sizeof *view + ps.cap * sizeof(clo_node));
    if (ps.view == NULL)
        return NULL;
    if (!read_document(&ps, len)) {
        clo_buf_free(&ps.decoded);
        clo_free(ps.view);
        return NULL;
    }
    fit = clo_realloc(ps.view, sizeof *view + ps.n * sizeof(clo_node));
    view = fit != NULL ? fit : ps.view;
    memset(view, 0, sizeof *view);
    view->refs = 1;
    view->text = text;
    view->len = len;
    view->decoded = ps.decoded.data;
    view->decoded_len = ps.decoded.len;
    view->n = ps.n;
    view->clean = !ps.unclean;
    return view->nodes;
}

/* Readers take const nodes. What they change (quotes, hints, references) shows in no value. */
static clo_view *
view_of(const clo_node *n)
{
    const clo_node *first = n - (n->meta >> INDEX_SHIFT);

    return (clo_view *)((uintptr_t)first - offsetof(clo_view, nodes));
}

void
clo_view_ref(const clo_node *n)
{
    view_of(n)->refs++;
}

void
clo_view_unref(const clo_node *n)
{
    clo_view *view = view_of(n);

    if (--view->refs > 0)
        return;
    clo_arena_free(view->made);
    clo_free(view->decoded);
    clo_free(view->text);
    clo_free(view);
}

size_t
clo_view_bytes(const clo_node *n)
{
    const clo_view *view = view_of(n);

    return sizeof *view + view->n * sizeof(clo_node) + view->len + 1 + view->decoded_len;
}

bool
clo_view_clean(const clo_node *n)
{
    return view_of(n)->clean;
}

/* ---- looking -------------------------------------------------------------------------------- */

clo_json_kind
clo_view_kind(const clo_node *n)
{
    return (clo_json_kind)(n->meta & KIND_MASK);
}

const clo_node *
clo_view_first(const clo_node *obj)
{
    return is_kind(obj, CLO_J_OBJECT) && obj->skip > 1 ? obj + 1 : NULL;
}

const clo_node *
clo_view_next(const clo_node *obj, const clo_node *name)
{
    const clo_node *next = name + 1 + step(name + 1);

    return next < obj + obj->skip ? next : NULL;
}

size_t
clo_view_len(const clo_node *n)
{
    bool object = is_kind(n, CLO_J_OBJECT);
    size_t count = 0;

    if (!object && !is_kind(n, CLO_J_ARRAY))
        return 0;
    for (const clo_node *c = n + 1; c < n + n->skip; c += object ? 1 + step(c + 1) : step(c))
        count++;
    return count;
}

size_t
clo_view_names(const clo_node *obj, const clo_node **list, size_t max)
{
    const clo_node *end = obj + obj->skip;
    size_t n = 0;

    if (!is_kind(obj, CLO_J_OBJECT))
        return 0;
    for (const clo_node *name = obj + 1; name < end; name += 1 + step(name + 1)) {
        if (n == max)
            return 0;
        list[n++] = name;
    }
    return n;
}

bool
clo_view_is_named(const clo_node *name, const char *key, size_t len)
{
    return name->len == len && same_bytes(view_of(name)->text + name->at, key, len);
}

static const clo_node *
find(const clo_view *view, const clo_node *from, const clo_node *to, const char *key, size_t len)
{
    for (; from < to; from += 1 + step(from + 1))
        if (from->len == len && memcmp(view->text + from->at, key, len) == 0)
            return from;
    return NULL;
}

const clo_node *
clo_view_get(const clo_node *obj, const char *key)
{
    clo_view *view = view_of(obj);
    const clo_node *first = obj + 1, *end, *from, *name;
    size_t len = strlen(key);

    if (!is_kind(obj, CLO_J_OBJECT))
        return NULL;
    end = obj + obj->skip;
    from = view->last_get.object == obj ? view->last_get.next : first;
    name = find(view, from, end, key, len);
    if (name == NULL)
        name = find(view, first, from, key, len);
    if (name == NULL)
        return NULL;
    view->last_get.object = obj;
    view->last_get.next = name + 1 + step(name + 1);
    return name + 1;
}

const clo_node *
clo_view_at(const clo_node *arr, size_t i)
{
    clo_view *view = view_of(arr);
    const clo_node *c = arr + 1, *end = arr + arr->skip;
    size_t at = 0;

    if (!is_kind(arr, CLO_J_ARRAY))
        return NULL;
    if (view->last_at.array == arr && view->last_at.index <= i) {
        c = view->last_at.node;
        at = view->last_at.index;
    }
    for (; at < i && c < end; at++)
        c += step(c);
    if (c >= end)
        return NULL;
    view->last_at.array = arr;
    view->last_at.node = c;
    view->last_at.index = i;
    return c;
}

const char *
clo_view_str(const clo_node *n, size_t *len)
{
    clo_view *view = view_of(n);
    int kind = (int)(n->meta & KIND_MASK);
    uint32_t decoded_len;

    if (kind != CLO_J_STRING && kind != NAME)
        return NULL;
    if (n->meta & PLAIN) {
        view->text[n->at + n->len] = '\0';
        *len = n->len;
        return view->text + n->at;
    }
    memcpy(&decoded_len, view->decoded + n->skip, sizeof decoded_len);
    *len = decoded_len;
    return view->decoded + n->skip + sizeof decoded_len;
}

int64_t
clo_view_int(const clo_node *n)
{
    const char *s = view_of(n)->text + n->at;
    int64_t value = 0;

    if (!is_kind(n, CLO_J_INT))
        return 0;
    for (uint32_t i = *s == '-'; i < n->len; i++)
        value = value * 10 + (s[i] - '0');
    return *s == '-' ? -value : value;
}

/* At most 15 digits and a small power of ten: both are exact doubles, so one division rounds right. */
static bool
short_real(const char *s, size_t len, double *r)
{
    static const double tens[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool negative = *s == '-';
    int64_t digits = 0;
    size_t places = 0;
    bool fraction = false;

    if (len > 16)
        return false;
    for (size_t i = negative; i < len; i++) {
        if (s[i] == '.') {
            fraction = true;
            continue;
        }
        if (s[i] == 'e' || s[i] == 'E')
            return false;
        digits = digits * 10 + (s[i] - '0');
        places += fraction;
    }
    *r = (double)digits / tens[places];
    if (negative)
        *r = -*r;
    return true;
}

double
clo_view_real(const clo_node *n)
{
    const clo_view *view = view_of(n);
    const char *s = view->text + n->at;
    locale_t c, old;
    double r;

    if (!is_kind(n, CLO_J_REAL) && !is_kind(n, CLO_J_INT))
        return 0;
    if (short_real(s, n->len, &r))
        return r;
    /* The host may have a locale with another decimal point. What ends the number in the text ends it for
     * strtod as well. */
    c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* no allocation: a constant of the C library */
    old = c != (locale_t)0 ? uselocale(c) : (locale_t)0;
    r = strtod(s, NULL);
    if (c != (locale_t)0) {
        uselocale(old);
        freelocale(c);
    }
    return r;
}

bool
clo_view_bool(const clo_node *n)
{
    return is_kind(n, CLO_J_BOOL) && n->len == 4;
}

/* ---- text ----------------------------------------------------------------------------------- */

/* The bytes as they were, with the quotes that clo_view_str has overwritten. */
static void
copy_plain(char *out, const char *s, size_t len)
{
    char *nul = out;

    memcpy(out, s, len);
    while ((nul = memchr(nul, '\0', (size_t)(out + len - nul))) != NULL)
        *nul++ = '"';
}

/* A string with its quotes, as json-c writes it; `s` is at the opening one, and moves behind the other. */
static char *
copy_string(char *out, const char **s, const char *end)
{
    const char *p = *s + 1;
    uint64_t high = 0; /* of no interest here */

    *out++ = '"';
    for (;;) {
        const char *plain = p;
        int used;

        p = clo_skip_plain(plain, end, &high);
        memcpy(out, plain, (size_t)(p - plain));
        out += p - plain;
        if (*p != '\\')
            break;
        out += clo_escape_put(out, clo_escape_get(p, &used));
        p += used;
    }
    *out++ = '"';
    *s = p + 1;
    return out;
}

/* Without white space, and every string in its compact form. Never longer than what it came from. */
static size_t
copy_compact(char *out, const char *s, size_t len)
{
    const char *end = s + len;
    char *start = out;

    while (s < end) {
        if (*s == '"')
            out = copy_string(out, &s, end);
        else if (is_space(*s))
            s++;
        else
            *out++ = *s++;
    }
    return (size_t)(out - start);
}

static size_t
text_room(const clo_node *n)
{
    return (size_t)n->len + (is_kind(n, CLO_J_STRING) ? 2 : 0);
}

/* Returns its length, which is not more than text_room. */
static size_t
put_text(char *out, const clo_node *n)
{
    const char *s = view_of(n)->text + n->at - (is_kind(n, CLO_J_STRING) ? 1 : 0);
    size_t len = text_room(n);

    if (!(n->meta & PLAIN))
        return copy_compact(out, s, len);
    copy_plain(out, s, len);
    return len;
}

static bool
begins_with(const clo_node *name, const char *prefix, size_t len)
{
    return name->len >= len && same_bytes(view_of(name)->text + name->at, prefix, len);
}

const char *
clo_view_some(const clo_node *const *list, size_t n, const char *prefix, clo_arena *a, size_t *len)
{
    size_t skip = strlen(prefix), room = sizeof "{}";
    char *out, *p;

    for (size_t i = 0; i < n; i++)
        if (begins_with(list[i], prefix, skip))
            room += list[i]->len - skip + strlen("\"\":,") + text_room(list[i] + 1);
    out = p = clo_arena_alloc(a, room);
    if (out == NULL)
        return NULL;
    *p++ = '{';
    for (size_t i = 0; i < n; i++) {
        if (!begins_with(list[i], prefix, skip))
            continue;
        if (p > out + 1)
            *p++ = ',';
        *p++ = '"';
        memcpy(p, view_of(list[i])->text + list[i]->at + skip, list[i]->len - skip);
        p += list[i]->len - skip;
        *p++ = '"';
        *p++ = ':';
        p += put_text(p, list[i] + 1);
    }
    *p++ = '}';
    *p = '\0';
    *len = (size_t)(p - out);
    return out;
}

const char *
clo_view_text(const clo_node *n, clo_arena *a, size_t *len)
{
    clo_view *view = view_of(n);
    char *out;

    if (a == NULL && view->last_text.node == n) {
        *len = view->last_text.len;
        return view->last_text.text;
    }
    if (a == NULL && view->made == NULL)
        view->made = clo_arena_new();
    a = a != NULL ? a : view->made;
    out = a != NULL ? clo_arena_alloc(a, text_room(n) + 1) : NULL;
    if (out == NULL)
        return NULL;
    *len = put_text(out, n);
    out[*len] = '\0';
    if (a == view->made) {
        view->last_text.node = n;
        view->last_text.text = out;
        view->last_text.len = *len;
    }
    return out;
}
