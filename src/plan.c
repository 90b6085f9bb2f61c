/*
 * plan.c - from a SQL-shaped question to the calls that answer it.
 *
 * A plan names the access path, the conditions that travel (slots) and what the host may leave
 * out afterwards. It is a plain value: it is copied into the planners of both hosts, encoded as a
 * line of text (planenc.c) and decoded again when the scan starts.
 *
 * Invariants
 *  - A condition is never lost: it is in a slot, or the host still has it. A slot is `exact` only
 *    when the cursor itself checks each row against it, or when it binds a parameter column, which
 *    shows the bound value by definition. No trust in the service is involved.
 *  - A parameter column is consumed, not in any form, or not at all (IS NULL): anything else would
 *    answer a question nobody asked, so it is an error that says how to write it.
 *  - At most one slot is a list of values that is fanned out. A second list would multiply the
 *    requests; it stays with the host.
 *  - LIMIT and OFFSET travel only when every condition is exact and the order is the service's own
 *    (or none was asked): a limit before a filter loses rows.
 *  - sorted == (unique || order >= 0). planenc.c relies on it.
 *
 * Ownership: nothing is allocated here.
 *
 * Rejected: costing several candidate plans. With one key, one list and one order per table the
 * first path that fits is the best one, and a fixed rule is what EXPLAIN can show. Rejected: sending
 * filters that the reference does not name for a list; the service ignores them without a word.
 */
#include "scan.h"

#include <string.h>

void
clo_colset_add(clo_colset *set, int column)
{
    if (column >= 0 && column < CLO_MAX_COLUMNS)
        set->w[column / 64] |= (uint64_t)1 << (column % 64);
}

bool
clo_colset_has(const clo_colset *set, int column)
{
    if (column < 0 || column >= CLO_MAX_COLUMNS)
        return false;
    return (set->w[column / 64] >> (column % 64) & 1) != 0;
}

/* ---- facts about tables, shared with the encoder and the cursor ---------------------------- */

const char *
clo_column_path(const clo_column *c)
{
    return c->path != NULL ? c->path : c->name;
}

int
clo_table_key(const clo_table *t)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (t->columns[i].flags & CLO_C_KEY)
            return (int)i;
    return -1;
}

int
clo_table_index(const clo_table *t)
{
    size_t n = clo_table_count();

    for (size_t i = 0; i < n; i++)
        if (strcmp(clo_table_at(i)->name, t->name) == 0)
            return (int)i;
    return -1;
}

const clo_filter *
clo_table_filter(const clo_table *t, int column, clo_op op)
{
    clo_op want = op;

    if (op == CLO_OP_IN)
        want = CLO_OP_EQ;
    else if (op == CLO_OP_GT)
        want = CLO_OP_GE;
    else if (op == CLO_OP_LT)
        want = CLO_OP_LE;
    if (column < 0 || (size_t)column >= t->n_columns)
        return NULL;
    for (size_t i = 0; i < t->n_filters; i++)
        if (t->filters[i].op == want && strcmp(t->filters[i].column, t->columns[column].name) == 0)
            return &t->filters[i];
    return NULL;
}

bool
clo_plan_binds(const clo_plan *plan, const char *param)
{
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->slots[i].param != NULL && strcmp(plan->slots[i].param, param) == 0)
            return true;
    return false;
}

bool
clo_plan_walks_parent(const clo_plan *plan)
{
    const clo_table *t = plan->table;

    if (t->parent == NULL || plan->access == CLO_BY_ID)
        return false;
    for (const char *const *p = t->parent_unless; p != NULL && *p != NULL; p++)
        if (clo_plan_binds(plan, *p))
            return false;
    return !clo_plan_binds(plan, t->parent_param);
}

size_t
clo_plan_each(const clo_plan *plan)
{
    const clo_table *t = plan->table;
    size_t n = 0;

    if (t->each_param == NULL || plan->access == CLO_BY_ID || clo_plan_binds(plan, t->each_param))
        return 0;
    while (t->each_values[n] != NULL)
        n++;
    return n;
}

double
clo_known_rows(const clo_client *client, const clo_table *t)
{
    int i = client != NULL ? clo_table_index(t) : -1;

    if (i >= 0 && (size_t)i < CLO_ARRAY_LEN(client->known_rows) && client->known_rows[i] > 0)
        return client->known_rows[i];
    return -1;
}

/* ---- which conditions travel --------------------------------------------------------------- */

/* The first condition of this kind on a column, or -1. */
static int
find_qual(const clo_question *q, int column, clo_op op, bool usable)
{
    for (size_t i = 0; i < q->n_quals; i++)
        if (q->quals[i].column == column && q->quals[i].op == op && q->quals[i].usable == usable)
            return (int)i;
    return -1;
}

static bool
has_list(const clo_plan *plan)
{
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->slots[i].op == CLO_OP_IN)
            return true;
    return false;
}

static bool
add_slot(clo_plan *plan, const clo_question *q, int qual, const char *param, bool exact)
{
    clo_slot *s;

    if (plan->n_slots == CLO_MAX_SLOTS)
        return false;
    s = &plan->slots[plan->n_slots++];
    s->qual = qual;
    s->column = q->quals[qual].column;
    s->op = q->quals[qual].op;
    s->exact = exact;
    s->param = param;
    return true;
}

/* Equality, or a list while none is fanned out yet. -1: nothing that could travel. */
static int
find_equality(const clo_question *q, const clo_plan *plan, int column)
{
    int i = find_qual(q, column, CLO_OP_EQ, true);

    if (i < 0 && !has_list(plan))
        i = find_qual(q, column, CLO_OP_IN, true);
    return i;
}

/* A parameter column without a usable equality: fine only when nobody looks at it, or as IS NULL
 * ("not given"). */
static clo_status
unbound_param(const clo_question *q, const clo_plan *plan, int column, clo_err *err)
{
    const clo_table *t = q->table;
    const char *name = t->columns[column].name;
    bool waits =
        find_qual(q, column, CLO_OP_EQ, false) >= 0 || find_qual(q, column, CLO_OP_IN, false) >= 0;
    bool null = false;

    if (waits)
        return CLO_AGAIN;
    if (find_qual(q, column, CLO_OP_IN, true) >= 0 && has_list(plan))
        return clo_err_set(err, CLO_E_ARG,
                           "%s: only one list of values can be sent at once; use %s = '...' or put "
                           "the other list into a separate query",
                           t->name, name);
    for (size_t i = 0; i < q->n_quals; i++) {
        if (q->quals[i].column != column)
            continue;
        if (q->quals[i].op != CLO_OP_ISNULL)
            return clo_err_set(err, CLO_E_ARG,
                               "%s.%s is a parameter of %s: use it as %s = '...' joined by AND",
                               t->name, name, t->list, name);
        null = true;
    }
    if (!null && clo_colset_has(&q->needed, column))
        return clo_err_set(err, CLO_E_ARG,
                           "%s.%s is a parameter of %s: use it as %s = '...' joined by AND",
                           t->name, name, t->list, name);
    return CLO_OK;
}

static clo_status
bind_params(const clo_question *q, clo_plan *plan, clo_err *err)
{
    const clo_table *t = q->table;

    for (size_t i = 0; i < t->n_columns; i++) {
        const clo_filter *f;
        clo_status st;
        int qual;

        if (!(t->columns[i].flags & CLO_C_PARAM))
            continue;
        qual = find_equality(q, plan, (int)i);
        if (qual < 0) {
            st = unbound_param(q, plan, (int)i, err);
            if (st != CLO_OK)
                return st;
            continue;
        }
        f = clo_table_filter(t, (int)i, CLO_OP_EQ);
        if (!add_slot(plan, q, qual, f != NULL ? f->param : t->columns[i].name, true))
            return clo_err_set(err, CLO_E_ARG, "%s: at most %d parameters can be given at once",
                               t->name, CLO_MAX_SLOTS);
    }
    return CLO_OK;
}

/* ---- combinations that the service documents (close-api.md 11, 13.5) ----------------------- */

/* Events take filters only in these sets; letters: T object_type, O object_id, A action, L lead_id,
 * U user_id. Largest first, and among equals the one that usually leaves fewer rows. */
static const char *const event_sets[] = {"LUTA", "UOA", "LUT", "LTA", "UTA", "UO", "OA", "TO",
                                         "LU",   "LT",  "UT",  "TA",  "L",   "U",  ""};
static const struct {
    char letter;
    const char *column;
} event_letters[] = {
    {'T', "object_type"}, {'O', "object_id"}, {'A', "action"}, {'L', "lead_id"}, {'U', "user_id"}};

static bool
column_has_equality(const clo_question *q, const char *name)
{
    int c = clo_table_column(q->table, name);

    return c >= 0 &&
           (find_qual(q, c, CLO_OP_EQ, true) >= 0 || find_qual(q, c, CLO_OP_IN, true) >= 0);
}

static char
event_letter(const char *column)
{
    for (size_t i = 0; i < CLO_ARRAY_LEN(event_letters); i++)
        if (strcmp(event_letters[i].column, column) == 0)
            return event_letters[i].letter;
    return '\0';
}

static const char *
event_set(const clo_question *q)
{
    char have[CLO_ARRAY_LEN(event_letters) + 1];
    size_t n = 0;

    for (size_t i = 0; i < CLO_ARRAY_LEN(event_letters); i++)
        if (column_has_equality(q, event_letters[i].column))
            have[n++] = event_letters[i].letter;
    have[n] = '\0';
    for (size_t i = 0; i < CLO_ARRAY_LEN(event_sets); i++)
        if (strspn(event_sets[i], have) == strlen(event_sets[i]))
            return event_sets[i];
    return "";
}

/* False: together with what is already bound the service does not honour this filter. */
static bool
combines(const clo_question *q, const clo_plan *plan, const clo_filter *f)
{
    if (q->table->pager == CLO_PAGE_EVENTS) {
        char letter = event_letter(f->column);
        return letter == '\0' || strchr(event_set(q), letter) != NULL;
    }
    if (strcmp(q->table->name, "close_comments") == 0) /* exactly one of its two */
        return plan->n_slots == 0;
    return true;
}

/* One lead_id by equality that the list honours: what CLO_F_WITH_LEAD asks for. */
static bool
one_lead(const clo_question *q)
{
    int c = clo_table_column(q->table, "lead_id");

    return c >= 0 && clo_table_filter(q->table, c, CLO_OP_EQ) != NULL &&
           find_qual(q, c, CLO_OP_EQ, true) >= 0;
}

static void
bind_filters(const clo_question *q, clo_plan *plan)
{
    const clo_table *t = q->table;
    bool lead = one_lead(q);

    for (size_t i = 0; i < t->n_filters; i++) {
        const clo_filter *f = &t->filters[i];
        int column = clo_table_column(t, f->column);
        int qual;

        if (column < 0 || (t->columns[column].flags & CLO_C_PARAM))
            continue;
        if (((f->flags & CLO_F_WITH_LEAD) && !lead) || !combines(q, plan, f))
            continue;
        if (clo_plan_binds(plan, f->param)) /* given as a parameter column: one value only */
            continue;
        if (f->op == CLO_OP_EQ) {
            qual = find_equality(q, plan, column);
        } else {
            bool lower = f->op == CLO_OP_GE;
            qual = find_qual(q, column, lower ? CLO_OP_GE : CLO_OP_LE, true);
            if (qual < 0)
                qual = find_qual(q, column, lower ? CLO_OP_GT : CLO_OP_LT, true);
        }
        /* Bounds on a timestamp are compared as text by one host and as an instant by the other:
         * the cursor never drops a row that either would keep, and the host decides. */
        if (qual >= 0)
            (void)add_slot(plan, q, qual, f->param, f->op == CLO_OP_EQ);
    }
}

/* ---- order, limit, count ------------------------------------------------------------------- */

static bool
single_list(const clo_plan *plan)
{
    return !has_list(plan) && !clo_plan_walks_parent(plan) && clo_plan_each(plan) <= 1;
}

/* Past the service's cap a list of leads goes on by its key. In any other order it would end there with
 * an error, so it is asked for only when a LIMIT keeps it short; else the host sorts. */
static bool
order_may_end_early(const clo_table *t, const clo_order *o, bool limited)
{
    bool by_key = t->key_column != NULL && strcmp(o->column, t->key_column) == 0;

    return t->keyset == CLO_KEY_LEAD_QUERY && !by_key && !limited;
}

static void
choose_order(const clo_question *q, clo_plan *plan, bool limited)
{
    const clo_table *t = q->table;

    if (q->n_sorts != 1 || plan->access != CLO_BY_LIST || !single_list(plan))
        return;
    for (size_t i = 0; i < t->n_orders; i++) {
        const clo_order *o = &t->orders[i];
        const char *value = q->sorts[0].desc ? o->desc : o->asc;

        if (clo_table_column(t, o->column) != q->sorts[0].column || value == NULL)
            continue;
        if ((o->flags & CLO_F_WITH_LEAD) && !one_lead(q))
            continue;
        if (order_may_end_early(t, o, limited))
            continue;
        /* The text of a user's query is not known yet and may hold a sort of its own. */
        if (strncmp(value, "sort:", 5) == 0 && clo_plan_binds(plan, "query"))
            continue;
        plan->order = (int)i;
        plan->order_desc = q->sorts[0].desc;
        return;
    }
}

/* Every condition of the statement is met by each row that the cursor delivers. */
static bool
all_exact(const clo_question *q, const clo_plan *plan)
{
    if (!q->complete)
        return false;
    for (size_t i = 0; i < q->n_quals; i++) {
        const clo_qual *u = &q->quals[i];
        bool met = false, bound = false;

        for (int s = 0; s < plan->n_slots; s++) {
            met = met || (plan->slots[s].qual == (int)i && plan->slots[s].exact);
            bound = bound || plan->slots[s].column == u->column;
        }
        if (u->op == CLO_OP_ISNULL && !bound && (q->table->columns[u->column].flags & CLO_C_PARAM))
            met = true;
        if (!met)
            return false;
    }
    return true;
}

/* total_results can be believed: every filter that travels is documented as honoured. */
static bool
countable(const clo_question *q, const clo_plan *plan)
{
    if (!q->count_only || !q->table->totals || plan->access != CLO_BY_LIST || q->has_limit ||
        q->has_offset || q->n_sorts > 0 || !single_list(plan))
        return false;
    for (int s = 0; s < plan->n_slots; s++) {
        int column = plan->slots[s].column;
        const clo_filter *f = clo_table_filter(q->table, column, plan->slots[s].op);

        if (!(q->table->columns[column].flags & CLO_C_PARAM) &&
            (f == NULL || !(f->flags & CLO_F_EXACT)))
            return false;
    }
    return true;
}

static void
finish(const clo_question *q, clo_plan *plan)
{
    bool exact = all_exact(q, plan);

    choose_order(q, plan, exact && q->has_limit);
    if (exact && countable(q, plan))
        plan->access = CLO_BY_COUNT;
    clo_plan_derive(plan);
    if (exact && (q->n_sorts == 0 || plan->sorted)) {
        plan->limit = q->has_limit;
        plan->offset = q->has_offset;
    }
}

void
clo_plan_derive(clo_plan *plan)
{
    plan->unique =
        plan->access == CLO_BY_ONE || plan->access == CLO_BY_COUNT ||
        (plan->access == CLO_BY_ID && plan->n_slots > 0 && plan->slots[0].op == CLO_OP_EQ);
    plan->sorted = plan->unique || plan->order >= 0;
}

void
clo_plan_rows(clo_plan *plan, const clo_colset *more)
{
    if (plan->access == CLO_BY_COUNT)
        plan->access = CLO_BY_LIST;
    for (size_t i = 0; i < CLO_ARRAY_LEN(more->w); i++)
        plan->needed.w[i] |= more->w[i];
    clo_plan_derive(plan);
    clo_plan_round_needed(plan);
}

/* ---- estimates ----------------------------------------------------------------------------- */

#define EST_VALUES 8   /* of a list */
#define EST_CHILDREN 8 /* rows below one parent */

static double
est_total(const clo_client *client, const clo_table *t)
{
    double known = clo_known_rows(client, t);

    return known > 0 ? known : t->guess_rows > 0 ? t->guess_rows : 100;
}

bool
clo_column_narrows(const clo_column *c)
{
    size_t n = strlen(c->name);

    return strcmp(c->name, "user_id") != 0 && strcmp(c->name, "status_id") != 0 && n > 3 &&
           strcmp(c->name + n - 3, "_id") == 0;
}

/* Rows left of `rows` by one value of a slot. */
static double
est_slot(const clo_table *t, const clo_slot *s, double rows)
{
    const char *name = t->columns[s->column].name;

    if (s->op != CLO_OP_EQ && s->op != CLO_OP_IN)
        return rows * 0.3;
    if (strcmp(name, "user_id") == 0 || strcmp(name, "status_id") == 0 ||
        strcmp(name, "assigned_to") == 0)
        return rows * 0.2;
    if (clo_column_narrows(&t->columns[s->column]))
        return rows < EST_CHILDREN ? rows : EST_CHILDREN;
    if (t->columns[s->column].flags & CLO_C_PARAM)
        return rows * 0.05;
    return rows * 0.4;
}

static double
whole(double x)
{
    return (double)(int64_t)x;
}

static void
estimate(const clo_client *client, clo_plan *plan)
{
    const clo_table *t = plan->table;
    double page = t->pager == CLO_PAGE_EVENTS ? 50 : t->page_max;
    double lists = 1, extra = 0, rows = est_total(client, t);

    if (plan->access == CLO_BY_ONE || plan->access == CLO_BY_COUNT || plan->unique) {
        plan->requests = plan->rows = 1;
        return;
    }
    if (plan->access == CLO_BY_ID) {
        plan->requests = plan->rows = EST_VALUES;
        return;
    }
    for (int i = 0; i < plan->n_slots; i++) {
        rows = est_slot(t, &plan->slots[i], rows);
        if (plan->slots[i].op == CLO_OP_IN)
            lists *= EST_VALUES;
    }
    if (clo_plan_walks_parent(plan)) {
        const clo_table *parent = clo_table_find(t->parent);
        double parents = est_total(client, parent);

        lists *= parents;
        rows /= parents;
        extra = 1 + whole(parents / (parent->page_max > 0 ? parent->page_max : 100));
    } else if (clo_plan_each(plan) > 1) {
        lists *= (double)clo_plan_each(plan);
        rows /= (double)clo_plan_each(plan);
    }
    if (rows < 0.01)
        rows = 0.01;
    plan->requests = extra + lists * (page > 0 ? 1 + whole(rows / page) : 1);
    plan->rows = lists * rows < 1 ? 1 : lists * rows;
}

/* What reading the whole table costs, where that is what many scans of this plan come to; else 0. */
static double
est_walk(const clo_client *client, const clo_plan *plan)
{
    clo_plan all = {.table = plan->table, .access = CLO_BY_LIST, .order = -1};

    if (!clo_lookup_serves(client, plan))
        return 0;
    estimate(client, &all);
    return all.requests;
}

/* ---- the entry ------------------------------------------------------------------------------ */

static clo_status
check_question(const clo_question *q, clo_err *err)
{
    for (size_t i = 0; i < q->n_quals; i++)
        if (q->quals[i].column < 0 || (size_t)q->quals[i].column >= q->table->n_columns)
            return clo_err_set(err, CLO_E_BUG, "%s: condition on column %d, which does not exist",
                               q->table->name, q->quals[i].column);
    if (q->table->n_columns > CLO_MAX_COLUMNS)
        return clo_err_set(err, CLO_E_BUG, "%s: too many columns", q->table->name);
    return CLO_OK;
}

clo_status
clo_plan_make(const clo_client *client, const clo_question *q, clo_plan *plan, clo_err *err)
{
    const clo_table *t = q->table;
    int key = clo_table_key(t);
    clo_status st;

    clo_err_clear(err);
    memset(plan, 0, sizeof *plan);
    plan->table = t;
    plan->order = -1;
    for (int i = 0; (size_t)i < t->n_columns; i++)
        if (clo_colset_has(&q->needed, i))
            clo_colset_add(&plan->needed, i);
    if (check_question(q, err) != CLO_OK)
        return CLO_ERROR;
    plan->access = t->pager == CLO_PAGE_ONE ? CLO_BY_ONE : CLO_BY_LIST;
    if (plan->access == CLO_BY_LIST) {
        int qual;

        st = bind_params(q, plan, err);
        if (st != CLO_OK)
            return st;
        /* A parameter only has a meaning for the list, so it wins over the key. */
        qual = plan->n_slots == 0 && t->get != NULL ? find_equality(q, plan, key) : -1;
        if (qual >= 0) {
            plan->access = CLO_BY_ID;
            (void)add_slot(plan, q, qual, NULL, true);
        } else {
            bind_filters(q, plan);
        }
    }
    finish(q, plan);
    clo_plan_round_needed(plan);
    estimate(client, plan);
    plan->walk = est_walk(client, plan);
    return CLO_OK;
}
