/*
 * The search language of GET /lead/?query=...
 *
 *   query  := or            or := and ("or" and)*         and := not+ ("and" allowed between)
 *   not    := "not" not | "(" or ")" | term
 *   term   := name op value | word | "phrase"             op := : > >= < <=
 *   sort:field, sort:-field,other  and  slice:k/n  may stand anywhere at the top and are taken out.
 *
 * A word matches whole words of the lead's name, description, url, its contacts' names, titles,
 * addresses and phones, and its notes, without regard to case; a trailing * makes it a prefix.
 * Unknown fields are refused unless a switch says otherwise: the real service's behaviour is not
 * known, and a silent match would hide mistakes. Words are runs of letters, digits and bytes above
 * 127; letter case is folded for ASCII and the Latin-1 letters of UTF-8.
 *
 * The lower-case text of a lead is made at its first search and kept until one of its rows changes.
 */
#include "standin.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum node_type { N_AND, N_OR, N_NOT, N_TEXT, N_FIELD, N_ALL };

struct node {
    enum node_type type;
    struct node *left, *right;
    char name[96];
    char op[3];
    char *value;
    int64_t us;
    bool is_time, date_only, prefix;
};

struct parser {
    const char *p;
    char *err;
    size_t errcap;
    bool failed, ignore_unknown;
    int depth, terms;
    char sort[200];
    unsigned slice, slices;
};

struct token {
    char *text;
    bool quoted;
};

static void
fail(struct parser *q, const char *what, const char *arg)
{
    if (!q->failed)
        snprintf(q->err, q->errcap, "%s '%.80s'", what, arg);
    q->failed = true;
}

static void
node_free(struct node *n)
{
    if (!n)
        return;
    node_free(n->left);
    node_free(n->right);
    free(n->value);
    free(n);
}

static struct node *
node_new(enum node_type type, struct node *left, struct node *right)
{
    struct node *n = st_alloc(sizeof *n);
    n->type = type;
    n->left = left;
    n->right = right;
    return n;
}

static void
blanks(struct parser *q)
{
    while (isspace((unsigned char)*q->p))
        q->p++;
}

/* Lower case for ASCII and for U+00C0..U+00DE, in place. */
static void
fold(char *s)
{
    for (unsigned char *p = (unsigned char *)s; *p; p++) {
        if (*p < 128)
            *p = (unsigned char)tolower(*p);
        else if (*p == 0xc3 && p[1] >= 0x80 && p[1] <= 0x9e && p[1] != 0x97) {
            p++;
            *p = (unsigned char)(*p + 0x20);
        }
    }
}

/* A quoted text or a bare word that ends at a blank, a parenthesis or an operator. */
static char *
read_text(struct parser *q, bool *quoted, bool value)
{
    struct st_text t = {0};
    st_put(&t, "", 0);
    *quoted = *q->p == '"';
    if (*quoted) {
        for (q->p++; *q->p && *q->p != '"'; q->p++) {
            if (*q->p == '\\' && q->p[1])
                q->p++;
            st_put(&t, q->p, 1);
        }
        if (*q->p != '"')
            fail(q, "missing closing quote after", t.s);
        else
            q->p++;
        return t.s;
    }
    while (*q->p && !isspace((unsigned char)*q->p) && *q->p != '(' && *q->p != ')' &&
           (value || !strchr(":<>", *q->p)))
        st_put(&t, q->p++, 1);
    return t.s;
}

static const char *const fields[] = {
    "name",          "company",    "description",  "url",          "email_address", "email",
    "phone_number",  "status",     "status_id",    "status_label", "lead_id",       "id",
    "date_created",  "created",    "date_updated", "updated",      "contact_name",  "contacts",
    "opportunities", "tasks",      "notes",        "calls",        "emails",        "has",
    "display_name",  "created_by", "updated_by",   "source"};

static bool
known(struct parser *q, const char *name)
{
    for (size_t i = 0; i < ST_LEN(fields); i++)
        if (strcmp(fields[i], name) == 0)
            return true;
    return st_has_prefix(name, "custom.") || q->ignore_unknown;
}

static bool
relative_date(const char *v, int64_t *us)
{
    int64_t today = st_now() / ST_DAY * ST_DAY;
    int days;
    char word[8] = "", ago[8] = "";
    if (strcmp(v, "today") == 0)
        *us = today;
    else if (strcmp(v, "yesterday") == 0)
        *us = today - ST_DAY;
    else if (sscanf(v, "%6d %7s %7s", &days, word, ago) == 3 && st_has_prefix(word, "day") &&
             strcmp(ago, "ago") == 0)
        *us = today - days * ST_DAY;
    else
        return false;
    return true;
}

static struct node *
field_node(struct parser *q, const char *name)
{
    struct node *n = node_new(N_FIELD, NULL, NULL);
    bool quoted;
    snprintf(n->name, sizeof n->name, "%s", name);
    n->op[0] = *q->p++;
    if (*q->p == '=' && n->op[0] != ':')
        n->op[1] = *q->p++;
    blanks(q);
    n->value = read_text(q, &quoted, true);
    if (!*n->value && !quoted)
        fail(q, "no value for", name);
    if (!known(q, name))
        fail(q, "unknown field", name);
    n->is_time = st_time_parse(n->value, 0, &n->us, &n->date_only);
    if (!n->is_time && relative_date(n->value, &n->us))
        n->is_time = n->date_only = true;
    size_t len = strlen(n->value);
    if (!quoted && len > 1 && n->value[len - 1] == '*') {
        n->prefix = true;
        n->value[len - 1] = 0;
    }
    return n;
}

static struct node *parse_or(struct parser *q);

static struct node *
directive(struct parser *q, const char *name)
{
    bool quoted;
    q->p++;
    char *v = read_text(q, &quoted, true);
    if (strcmp(name, "sort") == 0)
        snprintf(q->sort, sizeof q->sort, "%s", v);
    else if (sscanf(v, "%4u/%4u", &q->slice, &q->slices) != 2 || !q->slices || !q->slice ||
             q->slice > q->slices)
        fail(q, "bad slice", v);
    free(v);
    return node_new(N_ALL, NULL, NULL);
}

static struct node *
parse_term(struct parser *q)
{
    bool quoted;
    blanks(q);
    if (++q->terms > 2000) { /* trees are walked by recursion */
        fail(q, "too many terms at", q->p);
        return node_new(N_ALL, NULL, NULL);
    }
    if (*q->p == '(') {
        q->p++;
        if (++q->depth > 50) {
            fail(q, "too many parentheses at", q->p);
            return node_new(N_ALL, NULL, NULL);
        }
        struct node *n = parse_or(q);
        q->depth--;
        blanks(q);
        if (*q->p == ')')
            q->p++;
        else
            fail(q, "missing parenthesis at", q->p);
        return n;
    }
    const char *start = q->p;
    char *word = read_text(q, &quoted, false);
    if (!quoted && strcmp(word, "not") == 0) {
        free(word);
        return node_new(N_NOT, parse_term(q), NULL);
    }
    const char *after = q->p;
    blanks(q);
    struct node *n = NULL;
    if (*q->p == ':' || *q->p == '<' || *q->p == '>') {
        bool dir = !quoted && (strcmp(word, "sort") == 0 || strcmp(word, "slice") == 0);
        n = dir ? directive(q, word) : field_node(q, word);
    } else {
        q->p = after;
        if (q->p == start)
            fail(q, "cannot understand", start);
        n = node_new(N_TEXT, NULL, NULL);
        if (!quoted && strcmp(word, "*") == 0)
            n->type = N_ALL;
        size_t len = strlen(word);
        n->prefix = !quoted && len > 1 && word[len - 1] == '*';
        if (n->prefix)
            word[len - 1] = 0;
        fold(word);
        n->value = word;
        return n;
    }
    free(word);
    return n;
}

static bool
keyword(struct parser *q, const char *word)
{
    blanks(q);
    size_t n = strlen(word);
    if (strncasecmp(q->p, word, n) || !(isspace((unsigned char)q->p[n]) || q->p[n] == '('))
        return false;
    q->p += n;
    return true;
}

static struct node *
parse_and(struct parser *q)
{
    struct node *n = parse_term(q);
    for (;;) {
        keyword(q, "and");
        blanks(q);
        if (q->failed || !*q->p || *q->p == ')')
            return n;
        const char *here = q->p;
        if (keyword(q, "or")) {
            q->p = here;
            return n;
        }
        n = node_new(N_AND, n, parse_term(q));
    }
}

static struct node *
parse_or(struct parser *q)
{
    struct node *n = parse_and(q);
    while (!q->failed && keyword(q, "or"))
        n = node_new(N_OR, n, parse_and(q));
    return n;
}

/* ---- evaluation ---- */

static bool
word_char(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c > 127 || c == '_';
}

/* Both are folded; the words of needle must stand in order and whole (the last may be a prefix). */
static bool
has_words(const char *text, const char *needle, bool prefix)
{
    size_t len = strlen(needle);
    if (!len)
        return true;
    for (const char *p = strstr(text, needle); p; p = strstr(p + 1, needle)) {
        bool start = p == text || !word_char(p[-1]) || !word_char(*needle);
        bool end = prefix || !word_char(p[len]) || !word_char(needle[len - 1]);
        if (start && end)
            return true;
    }
    return false;
}

static void
add_folded(struct st_text *t, const char *s)
{
    if (!s || !*s)
        return;
    size_t from = t->n;
    st_puts(t, s);
    st_puts(t, "\n");
    fold(t->s + from);
}

static void
add_items(struct st_text *t, js *o, const char *list, const char *key)
{
    js *a = js_ref(o, list);
    for (size_t i = 0; js_is(a, json_type_array) && i < json_object_array_length(a); i++)
        add_folded(t, js_str(json_object_array_get_idx(a, i), key));
}

static void
lead_children_text(struct st_dataset *ds, uint32_t lead, struct st_text *t)
{
    uint32_t *rows, n = st_children(ds, T_CONTACT, lead, &rows);
    for (uint32_t i = 0; i < n; i++) {
        js *c = st_stored(ds, T_CONTACT, &ds->t[T_CONTACT].rows[rows[i]]);
        add_folded(t, js_str(c, "name"));
        add_folded(t, js_str(c, "title"));
        add_items(t, c, "emails", "email");
        add_items(t, c, "phones", "phone");
        add_items(t, c, "urls", "url");
        json_object_put(c);
    }
    free(rows);
    n = st_children(ds, T_ACTIVITY, lead, &rows);
    for (uint32_t i = 0; i < n; i++) {
        const struct st_row *row = &ds->t[T_ACTIVITY].rows[rows[i]];
        if (row->kind != A_NOTE)
            continue;
        js *c = st_stored(ds, T_ACTIVITY, row);
        add_folded(t, js_str(c, "note"));
        json_object_put(c);
    }
    free(rows);
}

static char *
lead_text(struct st_dataset *ds, uint32_t lead)
{
    struct st_text t = {0};
    st_put(&t, "", 0);
    js *o = st_stored(ds, T_LEAD, &ds->t[T_LEAD].rows[lead]);
    add_folded(&t, js_str(o, "name"));
    add_folded(&t, js_str(o, "description"));
    add_folded(&t, js_str(o, "url"));
    json_object_put(o);
    lead_children_text(ds, lead, &t);
    return t.s;
}

static bool
match_text(struct st_dataset *ds, uint32_t lead, const char *needle, bool prefix)
{
    char *text = lead < ds->n_search ? ds->search[lead] : NULL;
    if (!text)
        text = lead_text(ds, lead);
    bool ok = has_words(text, needle, prefix);
    if (lead < ds->n_search)
        ds->search[lead] = text;
    else
        free(text);
    return ok;
}

static bool
compare(const struct node *n, double a, double b)
{
    if (n->op[0] == ':')
        return a >= b && a <= b;
    if (n->op[0] == '>')
        return n->op[1] ? a >= b : a > b;
    return n->op[1] ? a <= b : a < b;
}

static bool
match_time(const struct node *n, int64_t us)
{
    if (strcmp(n->value, "*") == 0)
        return true;
    if (!n->is_time)
        return false;
    if (n->op[0] == ':' && n->date_only)
        return us >= n->us && us < n->us + ST_DAY;
    return compare(n, (double)us, (double)n->us);
}

static double
count_children(struct st_dataset *ds, uint32_t lead, enum st_tab t, int kind)
{
    uint32_t *rows, n = st_children(ds, t, lead, &rows), count = 0;
    for (uint32_t i = 0; i < n; i++)
        count += kind < 0 || ds->t[t].rows[rows[i]].kind == kind;
    free(rows);
    return count;
}

static bool
match_value(const struct node *n, js *v)
{
    if (strcmp(n->value, "*") == 0)
        return v != NULL;
    if (!v)
        return false;
    if (js_is(v, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(v); i++)
            if (match_value(n, json_object_array_get_idx(v, i)))
                return true;
        return false;
    }
    const char *s = json_object_get_string(v);
    int64_t us;
    bool date_only;
    if (js_is(v, json_type_int) || js_is(v, json_type_double))
        return compare(n, json_object_get_double(v), strtod(n->value, NULL));
    if (n->is_time && st_time_parse(s, 0, &us, &date_only))
        return match_time(n, us);
    char *a = st_dup(s), *b = st_dup(n->value);
    fold(a);
    fold(b);
    bool ok = n->op[0] == ':' && has_words(a, b, n->prefix);
    free(a);
    free(b);
    return ok;
}

static js *
custom_value(struct st_dataset *ds, js *o, const char *name)
{
    js *v = js_ref(o, name);
    static const enum st_tab tabs[] = {T_CF_LEAD, T_CF_SHARED};
    for (size_t k = 0; !v && k < ST_LEN(tabs); k++) {
        const struct st_table *tab = &ds->t[tabs[k]];
        for (uint32_t i = 0; !v && i < tab->n_live; i++) {
            js *f = tab->rows[tab->order[i]].obj;
            char key[80];
            snprintf(key, sizeof key, "custom.%s", js_str(f, "id"));
            if (strcasecmp(js_str(f, "name"), name + 7) == 0)
                v = js_ref(o, key);
        }
    }
    return v;
}

static bool
match_contacts(struct st_dataset *ds, uint32_t lead, const struct node *n)
{
    bool phone = strcmp(n->name, "phone_number") == 0, name = strcmp(n->name, "contact_name") == 0;
    uint32_t *rows, count = st_children(ds, T_CONTACT, lead, &rows);
    bool ok = false;
    for (uint32_t i = 0; i < count && !ok; i++) {
        js *c = st_stored(ds, T_CONTACT, &ds->t[T_CONTACT].rows[rows[i]]);
        if (name)
            ok = match_value(n, js_ref(c, "name"));
        js *a = name ? NULL : js_ref(c, phone ? "phones" : "emails");
        for (size_t k = 0; js_is(a, json_type_array) && k < json_object_array_length(a) && !ok; k++)
            ok = match_value(n, js_ref(json_object_array_get_idx(a, k), phone ? "phone" : "email"));
        json_object_put(c);
    }
    free(rows);
    return ok;
}

/* has:emails, has:phone_numbers */
static bool
match_has(struct st_dataset *ds, uint32_t lead, const char *what)
{
    char any[] = "*";
    struct node n = {.type = N_FIELD, .op = ":", .value = any};
    snprintf(n.name, sizeof n.name, "%s", *what == 'p' ? "phone_number" : "email");
    return match_contacts(ds, lead, &n);
}

static bool
match_count(struct st_dataset *ds, uint32_t lead, const struct node *n, bool *known_field)
{
    static const struct {
        const char *name;
        enum st_tab t;
        int kind;
    } counts[] = {{"contacts", T_CONTACT, -1},   {"opportunities", T_OPP, -1},
                  {"tasks", T_TASK, -1},         {"notes", T_ACTIVITY, A_NOTE},
                  {"calls", T_ACTIVITY, A_CALL}, {"emails", T_ACTIVITY, A_EMAIL}};
    for (size_t i = 0; i < ST_LEN(counts); i++)
        if (strcmp(counts[i].name, n->name) == 0) {
            double have = count_children(ds, lead, counts[i].t, counts[i].kind);
            *known_field = true;
            return strcmp(n->value, "*") == 0 ? have > 0 : compare(n, have, strtod(n->value, NULL));
        }
    return false;
}

static bool
match_field(struct st_dataset *ds, uint32_t lead, const struct node *n)
{
    const struct st_row *row = &ds->t[T_LEAD].rows[lead];
    const char *name = n->name;
    bool counted = false;
    if (strcmp(name, "date_created") == 0 || strcmp(name, "created") == 0)
        return match_time(n, row->created);
    if (strcmp(name, "date_updated") == 0 || strcmp(name, "updated") == 0)
        return match_time(n, row->updated);
    if (strcmp(name, "id") == 0 || strcmp(name, "lead_id") == 0)
        return n->op[0] == ':' && strcmp(row->id, n->value) == 0;
    bool ok = match_count(ds, lead, n, &counted);
    if (counted)
        return ok;
    if (strcmp(name, "has") == 0)
        return match_has(ds, lead, n->value);
    if (strcmp(name, "email_address") == 0 || strcmp(name, "email") == 0 ||
        strcmp(name, "phone_number") == 0 || strcmp(name, "contact_name") == 0)
        return match_contacts(ds, lead, n);
    const char *want = name;
    if (strcmp(name, "company") == 0)
        want = "name";
    if (strcmp(name, "status") == 0)
        want = "status_label";
    bool custom = st_has_prefix(name, "custom.");
    js *o = st_render(ds, T_LEAD, row, custom ? "custom" : want);
    ok = match_value(n, custom ? custom_value(ds, o, name) : js_ref(o, want));
    json_object_put(o);
    return ok;
}

static bool
match(struct st_dataset *ds, uint32_t lead, const struct node *n)
{
    switch (n->type) {
    case N_AND:
        return match(ds, lead, n->left) && match(ds, lead, n->right);
    case N_OR:
        return match(ds, lead, n->left) || match(ds, lead, n->right);
    case N_NOT:
        return !match(ds, lead, n->left);
    case N_TEXT:
        return match_text(ds, lead, n->value, n->prefix);
    case N_FIELD:
        return match_field(ds, lead, n);
    case N_ALL:
        return true;
    }
    return false;
}

/* ---- order and slices ---- */

struct keyed {
    uint32_t row, pos;
    int64_t num;
    char text[48];
};

static int
keyed_cmp(const void *pa, const void *pb)
{
    const struct keyed *a = pa, *b = pb;
    int c = a->num < b->num ? -1 : a->num > b->num ? 1 : strcmp(a->text, b->text);
    return c ? c : a->pos < b->pos ? -1 : a->pos > b->pos;
}

static void
sort_by(struct st_dataset *ds, const char *field, uint32_t *rows, uint32_t n)
{
    bool desc = *field == '-';
    field += desc;
    bool updated = strcmp(field, "date_updated") == 0 || strcmp(field, "updated") == 0;
    bool created = strcmp(field, "date_created") == 0 || strcmp(field, "created") == 0;
    struct keyed *k = st_alloc(sizeof *k * n);
    for (uint32_t i = 0; i < n; i++) {
        const struct st_row *row = &ds->t[T_LEAD].rows[rows[i]];
        k[i].row = rows[i];
        k[i].pos = desc ? n - i : i;
        if (updated || created) {
            k[i].num = updated ? row->updated : row->created;
            continue;
        }
        js *o = st_render(ds, T_LEAD, row, field);
        const char *s = js_str(o, field);
        snprintf(k[i].text, sizeof k[i].text, "%s", s ? s : "");
        fold(k[i].text);
        json_object_put(o);
    }
    qsort(k, n, sizeof *k, keyed_cmp);
    for (uint32_t i = 0; i < n; i++)
        rows[desc ? n - 1 - i : i] = k[i].row;
    free(k);
}

/* Several keys: sorting is stable, so the last key is applied first. */
static void
sort_all(struct st_dataset *ds, const char *keys, uint32_t *rows, uint32_t n)
{
    char list[8][96];
    int count = 0;
    while (count < 8 && st_comma(&keys, list[count], sizeof list[0]))
        count++;
    while (count-- > 0 && n > 1)
        sort_by(ds, list[count], rows, n);
}

bool
st_query_run(struct st_dataset *ds, const char *text, bool ignore_unknown, uint32_t **rows,
             uint32_t *n, char *err, size_t errcap)
{
    struct parser q = {.p = text, .err = err, .errcap = errcap, .ignore_unknown = ignore_unknown};
    blanks(&q);
    struct node *root = *q.p ? parse_or(&q) : node_new(N_ALL, NULL, NULL);
    blanks(&q);
    if (!q.failed && *q.p)
        fail(&q, "cannot understand", q.p);
    if (q.failed) {
        node_free(root);
        return false;
    }
    const struct st_table *tab = &ds->t[T_LEAD];
    int64_t now = st_now();
    *rows = st_alloc(sizeof **rows * (tab->n_live + 1));
    *n = 0;
    st_until(ds, (now / ST_DAY + 1) * ST_DAY); /* "today" may stand in it */
    for (uint32_t i = 0; i < tab->n_live; i++) {
        const struct st_row *row = &tab->rows[tab->order[i]];
        if (row->visible_at > now) {
            st_until(ds, row->visible_at);
            continue;
        }
        if (!match(ds, tab->order[i], root))
            continue;
        if (q.slices && st_hash(row->id) % q.slices != q.slice - 1)
            continue;
        (*rows)[(*n)++] = tab->order[i];
    }
    node_free(root);
    sort_all(ds, q.sort, *rows, *n);
    return true;
}
