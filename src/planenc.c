/*
 * planenc.c - a plan as one line of text, and back.
 *
 *   close_leads_list query=$1 _order_by=sort:date_created _limit=$2 _fields=id,name
 *   close_lead_get lead_id=any($1) _fields=id,name
 *   close_events_list lead_id=$1 date_updated__gte>=$2@3? columns=1f
 *   count(close_leads_list) query=$1 _fields=id
 *
 * The line serves two readers. People see it in EXPLAIN: the tool and the parameters that will be
 * sent. The hosts carry it from their planner to their executor (SQLite's idxStr, PostgreSQL's
 * fdw_private), where it must become the very same plan again.
 *
 * $n is the n-th value that the host hands over: slots first, then LIMIT, then OFFSET. `@q` follows
 * when the slot does not belong to condition number n of the question, `?` when the host still has
 * to check the condition. A parameter that two columns can use is followed by `:column` for the one that
 * is not its namesake. The needed columns are those of _fields (without it, all that are not hidden) and
 * the bound parameter columns. Where that is not so, as for tools that cannot leave fields out,
 * `columns` is the set in hexadecimal, bit 0 = first. each(...) is written for people only.
 *
 * Invariant: decode(encode(p)) == p but for the estimates, and decode accepts nothing else: it
 * parses what it needs, encodes the result again and compares. So there is no second, laxer
 * grammar that could drift away from the first one, and any text at all is safe to feed in.
 *
 * Rejected: a binary or JSON form (unreadable in EXPLAIN QUERY PLAN); keeping a pointer in the
 * planner's structures (PostgreSQL copies plans, SQLite frees idxStr on its own terms).
 */
#include "scan.h"

#include <string.h>

enum { MAX_TEXT = 65536 };

/* ---- columns and _fields -------------------------------------------------------------------- */

void
clo_plan_fetch_set(const clo_plan *plan, clo_colset *out)
{
    const clo_table *t = plan->table;

    memset(out, 0, sizeof *out);
    clo_colset_add(out, clo_table_key(t));
    for (int i = 0; (size_t)i < t->n_columns; i++)
        if (clo_colset_has(&plan->needed, i) && !(t->columns[i].flags & CLO_C_PARAM))
            clo_colset_add(out, i);
    for (int i = 0; i < plan->n_slots; i++)
        if (!(t->columns[plan->slots[i].column].flags & CLO_C_PARAM))
            clo_colset_add(out, plan->slots[i].column);
    if (plan->order >= 0)
        clo_colset_add(out, clo_table_column(t, t->orders[plan->order].column));
    /* Stepping back by date reads the date of every row. */
    if (t->keyset == CLO_KEY_DATE_LTE && plan->access == CLO_BY_LIST)
        clo_colset_add(out, clo_table_column(t, t->key_column));
}

static bool
has_flag(const clo_table *t, const clo_colset *set, unsigned flag)
{
    for (int i = 0; (size_t)i < t->n_columns; i++)
        if ((t->columns[i].flags & flag) && clo_colset_has(set, i))
            return true;
    return false;
}

bool
clo_fields_text(const clo_table *t, const clo_colset *set, clo_buf *out)
{
    bool custom = has_flag(t, set, CLO_C_CUSTOM);
    bool all = true, first = true;

    if (has_flag(t, set, CLO_C_RAW))
        return false;
    for (int i = 0; (size_t)i < t->n_columns; i++)
        if (!(t->columns[i].flags & CLO_C_HIDDEN) && !clo_colset_has(set, i))
            all = false;
    if (all)
        return false;
    for (int i = 0; (size_t)i < t->n_columns; i++) {
        const clo_column *c = &t->columns[i];

        if (!clo_colset_has(set, i) || (c->flags & (CLO_C_PARAM | CLO_C_RAW)))
            continue;
        if (custom && (c->flags & CLO_C_FIELD)) /* `custom` brings them all */
            continue;
        clo_buf_str(out, first ? "" : ",");
        clo_buf_str(out, c->flags & CLO_C_CUSTOM ? "custom" : clo_column_path(c));
        first = false;
    }
    return true;
}

static void
add_bound_params(const clo_plan *plan, clo_colset *out)
{
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->table->columns[plan->slots[i].column].flags & CLO_C_PARAM)
            clo_colset_add(out, plan->slots[i].column);
}

/* What the line says about the needed columns without `columns`. fields: of n bytes; NULL: not there. */
static void
derive_needed(const clo_plan *plan, const char *fields, size_t n, clo_colset *out)
{
    const clo_table *t = plan->table;

    memset(out, 0, sizeof *out);
    add_bound_params(plan, out);
    for (int i = 0; fields == NULL && (size_t)i < t->n_columns; i++)
        if (!(t->columns[i].flags & CLO_C_HIDDEN))
            clo_colset_add(out, i);
    while (fields != NULL && n > 0) {
        const char *comma = memchr(fields, ',', n);
        size_t len = comma != NULL ? (size_t)(comma - fields) : n;

        for (int i = 0; (size_t)i < t->n_columns; i++) {
            const clo_column *c = &t->columns[i];
            const char *name = c->flags & CLO_C_CUSTOM ? "custom" : clo_column_path(c);

            if (!(c->flags & (CLO_C_PARAM | CLO_C_RAW)) && strlen(name) == len &&
                memcmp(name, fields, len) == 0) {
                clo_colset_add(out, i);
                break;
            }
        }
        fields += comma != NULL ? len + 1 : len;
        n -= comma != NULL ? len + 1 : len;
    }
}

void
clo_plan_round_needed(clo_plan *plan)
{
    const clo_tool *tool = clo_tool_find(clo_plan_tool(plan));
    clo_colset fetch;

    add_bound_params(plan, &plan->needed);
    if (tool == NULL || clo_tool_param(tool, "_fields") == NULL)
        return;
    clo_plan_fetch_set(plan, &fetch);
    for (size_t i = 0; i < CLO_ARRAY_LEN(fetch.w); i++)
        plan->needed.w[i] |= fetch.w[i];
}

/* ---- encoding ------------------------------------------------------------------------------- */

const char *
clo_plan_tool(const clo_plan *plan)
{
    const clo_table *t = plan->table;

    if (plan->access == CLO_BY_ID)
        return t->get;
    return t->list != NULL ? t->list : t->get;
}

/* The parameter that carries "column op ..." in the list tool, or NULL. */
static const char *
param_of(const clo_table *t, int column, clo_op op)
{
    const clo_filter *f = clo_table_filter(t, column, op);

    if (f != NULL)
        return f->param;
    if ((op == CLO_OP_EQ || op == CLO_OP_IN) && (t->columns[column].flags & CLO_C_PARAM))
        return t->columns[column].name;
    return NULL;
}

/* The column that a parameter stands for when none is named: its namesake, else the first one. */
static int
usual_column(const clo_table *t, const char *param, clo_op op)
{
    int column = clo_table_column(t, param);

    if (column >= 0 && param_of(t, column, op) != NULL)
        return column;
    for (int i = 0; (size_t)i < t->n_columns; i++) {
        const char *p = param_of(t, i, op);

        if (p != NULL && strcmp(p, param) == 0)
            return i;
    }
    return -1;
}

static void
put_slot(clo_buf *b, const clo_plan *plan, int i)
{
    static const char *const ops[] = {
        [CLO_OP_EQ] = "=",  [CLO_OP_IN] = "=any(", [CLO_OP_LT] = "<",
        [CLO_OP_LE] = "<=", [CLO_OP_GT] = ">",     [CLO_OP_GE] = ">="};
    const clo_slot *s = &plan->slots[i];

    clo_buf_fmt(b, " %s", s->param != NULL ? s->param : plan->table->get_param);
    if (s->param != NULL && s->column != usual_column(plan->table, s->param, s->op))
        clo_buf_fmt(b, ":%s", plan->table->columns[s->column].name);
    clo_buf_fmt(b, "%s$%d%s", ops[s->op], i + 1, s->op == CLO_OP_IN ? ")" : "");
    if (s->qual != i)
        clo_buf_fmt(b, "@%d", s->qual + 1);
    if (!s->exact)
        clo_buf_str(b, "?");
}

static void
put_each(clo_buf *b, const clo_plan *plan)
{
    const clo_table *t = plan->table;
    size_t n = clo_plan_each(plan);

    if (clo_plan_walks_parent(plan))
        clo_buf_fmt(b, " %s=each(%s)", t->parent_param, t->parent);
    if (n == 1)
        clo_buf_fmt(b, " %s=%s", t->each_param, t->each_values[0]);
    if (n > 1) {
        clo_buf_fmt(b, " %s=each(", t->each_param);
        for (size_t i = 0; i < n; i++)
            clo_buf_fmt(b, "%s%s", i > 0 ? "," : "", t->each_values[i]);
        clo_buf_str(b, ")");
    }
}

static void
put_columns(clo_buf *b, const clo_colset *set)
{
    int top = CLO_MAX_COLUMNS / 4 - 1;

    while (top > 0 && (set->w[top / 16] >> (top % 16 * 4) & 15) == 0)
        top--;
    clo_buf_str(b, " columns=");
    for (; top >= 0; top--)
        clo_buf_fmt(b, "%x", (unsigned)(set->w[top / 16] >> (top % 16 * 4) & 15));
}

static void
put_plan(clo_buf *b, const clo_plan *plan)
{
    const clo_table *t = plan->table;
    const clo_tool *tool = clo_tool_find(clo_plan_tool(plan));
    int next = plan->n_slots + 1;
    size_t mark, fields = 0;
    clo_colset set;

    clo_buf_fmt(b, plan->access == CLO_BY_COUNT ? "count(%s)" : "%s", clo_plan_tool(plan));
    for (int i = 0; i < plan->n_slots; i++)
        put_slot(b, plan, i);
    put_each(b, plan);
    if (plan->order >= 0)
        clo_buf_fmt(b, " _order_by=%s",
                    plan->order_desc ? t->orders[plan->order].desc : t->orders[plan->order].asc);
    if (plan->limit)
        clo_buf_fmt(b, " _limit=$%d", next++);
    if (plan->offset)
        clo_buf_fmt(b, " _skip=$%d", next);
    if (tool != NULL && clo_tool_param(tool, "_fields") != NULL) {
        mark = b->len;
        clo_plan_fetch_set(plan, &set);
        clo_buf_str(b, " _fields=");
        fields = b->len;
        if (!clo_fields_text(t, &set, b) && b->error == CLO_E_NONE) {
            b->len = mark;
            b->data[mark] = '\0';
            fields = 0;
        }
    }
    if (b->error != CLO_E_NONE)
        return;
    derive_needed(plan, fields > 0 ? b->data + fields : NULL, b->len - fields, &set);
    if (memcmp(&set, &plan->needed, sizeof set) != 0)
        put_columns(b, &plan->needed);
}

char *
clo_plan_encode(const clo_plan *plan, clo_err *err)
{
    clo_buf b;
    char *text;

    clo_err_clear(err);
    clo_buf_init(&b, MAX_TEXT);
    put_plan(&b, plan);
    text = clo_buf_take(&b, NULL, "plan", err);
    clo_buf_free(&b);
    return text;
}

/* ---- decoding ------------------------------------------------------------------------------- */

/* One token of the line, as a counted string. */
typedef struct token {
    const char *s;
    size_t n;
} token;

static bool
next_token(const char **p, token *t)
{
    while (**p == ' ')
        (*p)++;
    t->s = *p;
    t->n = strcspn(*p, " ");
    *p += t->n;
    return t->n > 0;
}

static bool
token_is(const token *t, const char *s)
{
    return s != NULL && strlen(s) == t->n && memcmp(t->s, s, t->n) == 0;
}

/* A number from 1 to 9999 without leading zeros; advances. 0: none. */
static int
take_number(token *t)
{
    int v = 0;

    while (t->n > 0 && *t->s >= '0' && *t->s <= '9' && v < 1000) {
        v = v * 10 + (*t->s - '0');
        t->s++;
        t->n--;
    }
    return v;
}

static bool
take(token *t, const char *s)
{
    size_t n = strlen(s);

    if (t->n < n || memcmp(t->s, s, n) != 0)
        return false;
    t->s += n;
    t->n -= n;
    return true;
}

static bool
take_op(token *t, clo_op *op)
{
    static const struct {
        const char *text;
        clo_op op;
    } ops[] = {{"=any(", CLO_OP_IN}, {"=", CLO_OP_EQ}, {"<=", CLO_OP_LE},
               {">=", CLO_OP_GE},    {"<", CLO_OP_LT}, {">", CLO_OP_GT}};

    for (size_t i = 0; i < CLO_ARRAY_LEN(ops); i++)
        if (take(t, ops[i].text)) {
            *op = ops[i].op;
            return true;
        }
    return false;
}

/* The column and the catalogue's own spelling of a parameter. */
static bool
resolve(const clo_plan *plan, token name, clo_slot *s)
{
    const clo_table *t = plan->table;
    token column = name;

    if (plan->access == CLO_BY_ID) {
        s->column = clo_table_key(t);
        s->param = NULL;
        return (s->op == CLO_OP_EQ || s->op == CLO_OP_IN) && token_is(&name, t->get_param);
    }
    name.n = 0;
    while (name.n < column.n && column.s[name.n] != ':')
        name.n++;
    if (name.n < column.n) { /* param:column */
        column.s += name.n + 1;
        column.n -= name.n + 1;
    } else {
        column.n = 0;
    }
    for (int i = 0; (size_t)i < t->n_columns; i++) {
        const char *param = param_of(t, i, s->op);

        if (!token_is(&name, param))
            continue;
        if (column.n > 0 ? token_is(&column, t->columns[i].name)
                         : i == usual_column(t, param, s->op)) {
            s->column = i;
            s->param = param;
            return true;
        }
    }
    return false;
}

/* "name op $n": a slot. Other tokens are left to the comparison at the end. */
static bool
read_slot(clo_plan *plan, token t)
{
    clo_slot s = {0};
    token name = {t.s, 0};
    int n;

    while (name.n < t.n && strchr("=<>", t.s[name.n]) == NULL)
        name.n++;
    t.s += name.n;
    t.n -= name.n;
    if (!take_op(&t, &s.op) || !take(&t, "$"))
        return true;
    if (token_is(&name, "_limit") || token_is(&name, "_skip")) {
        plan->limit = plan->limit || name.n == strlen("_limit");
        plan->offset = plan->offset || name.n == strlen("_skip");
        return true;
    }
    n = take_number(&t);
    if (plan->n_slots == CLO_MAX_SLOTS || n != plan->n_slots + 1)
        return false;
    if (s.op == CLO_OP_IN && !take(&t, ")"))
        return false;
    s.qual = take(&t, "@") ? take_number(&t) - 1 : n - 1;
    s.exact = !take(&t, "?");
    if (s.qual < 0 || t.n != 0 || !resolve(plan, name, &s))
        return false;
    plan->slots[plan->n_slots++] = s;
    return true;
}

static bool
read_order(clo_plan *plan, const token *t)
{
    for (size_t i = 0; i < plan->table->n_orders; i++) {
        const clo_order *o = &plan->table->orders[i];

        if (token_is(t, o->asc) || token_is(t, o->desc)) {
            plan->order = (int)i;
            plan->order_desc = token_is(t, o->desc);
            return true;
        }
    }
    return false;
}

static bool
read_columns(clo_plan *plan, const token *t)
{
    if (t->n == 0 || t->n > CLO_MAX_COLUMNS / 4)
        return false;
    for (size_t i = 0; i < t->n; i++) {
        const char *digits = "0123456789abcdef";
        const char *d = strchr(digits, t->s[t->n - 1 - i]);

        if (d == NULL)
            return false;
        plan->needed.w[i / 16] |= (uint64_t)(d - digits) << (i % 16 * 4);
    }
    for (int c = (int)plan->table->n_columns; c < CLO_MAX_COLUMNS; c++)
        if (clo_colset_has(&plan->needed, c))
            return false;
    return true;
}

static bool
read_tool(clo_plan *plan, token t)
{
    const clo_table *tab = plan->table;

    if (take(&t, "count(")) {
        plan->access = CLO_BY_COUNT;
        return t.n > 0 && t.s[t.n - 1] == ')' && tab->totals;
    }
    if (tab->pager == CLO_PAGE_ONE)
        plan->access = CLO_BY_ONE;
    else if (token_is(&t, tab->get))
        plan->access = CLO_BY_ID;
    else
        plan->access = CLO_BY_LIST;
    return true;
}

static bool
read_plan(clo_plan *plan, const char *text)
{
    const char *p = text;
    token t, fields = {NULL, 0};
    bool columns = false;

    if (!next_token(&p, &t) || !read_tool(plan, t))
        return false;
    while (next_token(&p, &t)) {
        token rest = t;
        bool ok = true;

        if (take(&rest, "_order_by="))
            ok = read_order(plan, &rest);
        else if (take(&rest, "columns="))
            columns = ok = read_columns(plan, &rest);
        else if (take(&rest, "_fields="))
            fields = rest;
        else
            ok = read_slot(plan, t);
        if (!ok)
            return false;
    }
    if (!columns)
        derive_needed(plan, fields.s, fields.n, &plan->needed);
    clo_plan_derive(plan);
    return true;
}

clo_status
clo_plan_decode(const clo_table *table, const char *text, clo_plan *plan, clo_err *err)
{
    clo_err ignored;
    char *again = NULL;
    bool same = false;

    clo_err_clear(err);
    memset(plan, 0, sizeof *plan);
    plan->table = table;
    plan->order = -1;
    if (text != NULL && strlen(text) < MAX_TEXT && read_plan(plan, text)) {
        again = clo_plan_encode(plan, &ignored);
        if (again == NULL && ignored.code == CLO_E_NOMEM)
            return clo_err_nomem(err);
        same = again != NULL && strcmp(again, text) == 0;
    }
    clo_free(again);
    if (!same)
        return clo_err_set(err, CLO_E_BUG, "%s: this is not a plan of this table: %.120s",
                           table->name, text != NULL ? text : "(null)");
    return CLO_OK;
}
