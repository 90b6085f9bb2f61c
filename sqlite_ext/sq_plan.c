/*
 * sq_plan.c - xBestIndex: SQLite's question to the core's planner, and the plan back to SQLite.
 *
 * The plan travels as idxStr, the text of clo_plan_encode, so EXPLAIN QUERY PLAN shows the tool and
 * the parameters that will be sent:
 *
 *      SCAN close_leads VIRTUAL TABLE INDEX 1:close_leads_list query=$1 _limit=$2 _fields=id,name ...
 *
 * argv of xFilter: the slots of the plan in order, then LIMIT, then OFFSET as idxNum says (sq.h).
 *
 * What is handed to the core, and why not more
 *  - Text conditions only under the BINARY collation; Close knows no other, a NOCASE one stays with
 *    SQLite. Bounds only on timestamps and dates: the core knows them as texts.
 *  - `x IS 'constant'` is `x = 'constant'` as a filter. With anything else on the right it is not.
 *  - One IN is taken whole (sqlite3_vtab_in), so that its values are fetched concurrently. A second IN
 *    on a parameter column is offered as equality: SQLite then runs one scan per value.
 *  - LIMIT is a hint to us, never a promise: before 3.46 SQLite offers it although conditions that it
 *    does not show (a = f(a), b = c) drop rows afterwards. So xNext goes on after the limit when
 *    SQLite still asks (sq_vtab.c). OFFSET cannot be a hint. Before 3.46 SQLite loses count of
 *    an OFFSET that a table consumed in the first part of a UNION ALL; there it skips the rows
 *    itself and we only ask for LIMIT + OFFSET of them.
 *  - Only what the core calls exact is omitted from SQLite's own checks.
 *  - count(*) has no place in xBestIndex, but colUsed tells: when every used column is fixed by an exact
 *    equality (its value is known without reading a row) all that SQLite can see of the rows is how
 *    many they are. Then the core is asked for the number, and the cursor delivers that many rows
 *    (sq_vtab.c). Conditions that SQLite does not show use columns as well, so they need no rule of
 *    their own; nor do SELECT 1, EXISTS and cross joins. Not so under an equality that leaves few
 *    rows (lead_id): there the list costs one request as well, and a loop over keys reads ahead.
 *    Newer SQLite (seen in 3.52) sets the bit of the key in any case. Where the id is the only column
 *    in doubt the list is read, and the cursor sees from the first row whether the id matters.
 *
 * Cost: a request is worth REQUEST_COST rows, which makes SQLite put the side with few rows outside
 * and look the other up by key, but scan a table that one or two requests bring whole. How many keys a
 * loop will ask for, SQLite mostly guesses: it takes any table without ANALYZE for a million rows. The core
 * keeps such a loop within twice the calls of the best plan, whatever its length (lookup.c), while nothing
 * bounds what a scan of the whole table costs too much for three keys. So a lookup is priced for the
 * loop to win up to LOOP_ROWS rows. A million keys then take longer than one scan, for the calls before the
 * core starts it come one after the other: that price was preferred to a thousand calls for three rows.
 * No other price is better: SQLite multiplies it by its number of rows outside, so one that lets a scan win for
 * a thousand rows that ANALYZE has counted does the same for three that it has not. Who knows that there are many keys
 * says so with IN (SELECT ...) in a sub-select, which arrives here as one list.
 */
#include "sq.h"

#include <string.h>

#define REQUEST_COST 1e6
#define LOOP_ROWS 4194304.0 /* a few times what SQLite takes for the size of any table */
#define FEW_REQUESTS 2
#define OFFSET_IS_SAFE 3046000 /* the first version that keeps OFFSET away from compound queries */

/* The question with what belongs to it. One block of memory: `quals` and the arrays behind it. */
typedef struct ask {
    clo_question q;
    clo_qual *quals;
    int *from; /* constraint of each qual */
    clo_sort *sorts;
    clo_colset used;   /* what SQLite says it reads */
    int limit, offset; /* constraint, -1: none */
    bool own_offset;   /* the core may skip rows */
} ask;

static bool
is_binary(sqlite3_index_info *info, int i)
{
    const char *name = sqlite3_vtab_collation(info, i);

    return name == NULL || sqlite3_stricmp(name, "BINARY") == 0;
}

static bool
is_text(clo_type type)
{
    return type != CLO_T_INT && type != CLO_T_REAL && type != CLO_T_BOOL;
}

/* IS with a constant; a value that is only known later may turn out NULL. */
static clo_op
op_of_is(sqlite3_index_info *info, int i)
{
    sqlite3_value *v = NULL;

    if (sqlite3_vtab_rhs_value(info, i, &v) != SQLITE_OK || v == NULL)
        return CLO_OP_OTHER;
    return sqlite3_value_type(v) == SQLITE_NULL ? CLO_OP_ISNULL : CLO_OP_EQ;
}

/* The second IN on parameter columns is left to SQLite, which asks value by value. */
static clo_op
op_of_eq(sqlite3_index_info *info, int i, const clo_column *col, bool *list_taken)
{
    bool param = (col->flags & CLO_C_PARAM) != 0;

    if (!sqlite3_vtab_in(info, i, -1) || (param && *list_taken))
        return CLO_OP_EQ;
    *list_taken = *list_taken || param;
    return CLO_OP_IN;
}

static clo_op
neutral_op(sqlite3_index_info *info, int i, const clo_column *col, bool *list_taken)
{
    bool range = col->type == CLO_T_TIME || col->type == CLO_T_DATE;
    clo_op op;

    switch (info->aConstraint[i].op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
        op = op_of_eq(info, i, col, list_taken);
        break;
    case SQLITE_INDEX_CONSTRAINT_LT:
        op = range ? CLO_OP_LT : CLO_OP_OTHER;
        break;
    case SQLITE_INDEX_CONSTRAINT_LE:
        op = range ? CLO_OP_LE : CLO_OP_OTHER;
        break;
    case SQLITE_INDEX_CONSTRAINT_GT:
        op = range ? CLO_OP_GT : CLO_OP_OTHER;
        break;
    case SQLITE_INDEX_CONSTRAINT_GE:
        op = range ? CLO_OP_GE : CLO_OP_OTHER;
        break;
    case SQLITE_INDEX_CONSTRAINT_ISNULL:
        return CLO_OP_ISNULL;
    case SQLITE_INDEX_CONSTRAINT_IS:
        op = op_of_is(info, i);
        break;
    default:
        return CLO_OP_OTHER;
    }
    return is_text(col->type) && !is_binary(info, i) ? CLO_OP_OTHER : op;
}

static void
ask_quals(ask *a, const clo_table *t, sqlite3_index_info *info)
{
    bool list_taken = false;

    a->limit = a->offset = -1;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &info->aConstraint[i];
        clo_qual *qual = &a->quals[a->q.n_quals];

        if (c->op == SQLITE_INDEX_CONSTRAINT_LIMIT || c->op == SQLITE_INDEX_CONSTRAINT_OFFSET) {
            if (c->usable)
                *(c->op == SQLITE_INDEX_CONSTRAINT_LIMIT ? &a->limit : &a->offset) = i;
            continue;
        }
        if (c->iColumn < 0 || (size_t)c->iColumn >= t->n_columns)
            continue;
        qual->column = c->iColumn;
        qual->op = neutral_op(info, i, &t->columns[c->iColumn], &list_taken);
        qual->usable = c->usable != 0;
        a->from[a->q.n_quals++] = i;
    }
}

static bool
has_condition(const ask *a, int column)
{
    for (size_t i = 0; i < a->q.n_quals; i++)
        if (a->quals[i].column == column)
            return true;
    return false;
}

/* colUsed has 64 bits, the last one for all columns from 63 on; UPDATE sets all of them, whatever it
 * reads. Where it cannot be trusted, parameter columns are asked for only under a condition: without
 * one they have no value, and xColumn says so should anybody read them. */
static void
ask_columns(ask *a, const clo_table *t, const sqlite3_index_info *info)
{
    const sqlite3_uint64 all = ~(sqlite3_uint64)0;

    for (size_t i = 0; i < t->n_columns; i++) {
        bool used = (info->colUsed >> (i < 63 ? i : 63) & 1) != 0;
        bool vague = i >= 63 || info->colUsed == all;

        if (vague && (t->columns[i].flags & CLO_C_PARAM) != 0)
            used = used && has_condition(a, (int)i);
        if (used)
            clo_colset_add(&a->used, (int)i);
        /* The id always: UPDATE and DELETE read it without a word in colUsed. */
        if (used || (t->columns[i].flags & CLO_C_KEY) != 0)
            clo_colset_add(&a->q.needed, (int)i);
    }
}

static bool
ask_make(ask *a, const clo_table *t, sqlite3_index_info *info)
{
    size_t n = (size_t)info->nConstraint, n_sorts = (size_t)info->nOrderBy;

    memset(a, 0, sizeof *a);
    a->q.table = t;
    a->quals = sqlite3_malloc64((n + 1) * (sizeof *a->quals + sizeof *a->from) +
                                (n_sorts + 1) * sizeof *a->sorts);
    if (a->quals == NULL)
        return false;
    a->from = (int *)(a->quals + n + 1);
    a->sorts = (clo_sort *)(a->from + n + 1);
    ask_quals(a, t, info);
    ask_columns(a, t, info);
    for (size_t i = 0; i < n_sorts; i++) {
        a->sorts[i].column = info->aOrderBy[i].iColumn;
        a->sorts[i].desc = info->aOrderBy[i].desc != 0;
    }
    a->own_offset = sqlite3_libversion_number() >= OFFSET_IS_SAFE;
    a->q.quals = a->quals;
    a->q.sorts = a->sorts;
    a->q.n_sorts = n_sorts;
    /* SQLite offers LIMIT only when all conditions are conditions on this table. */
    a->q.complete = a->q.has_limit = a->limit >= 0;
    a->q.has_offset = a->own_offset && a->limit >= 0 && a->offset >= 0;
    return true;
}

static void
use_constraint(sqlite3_index_info *info, int constraint, int place, bool omit)
{
    info->aConstraintUsage[constraint].argvIndex = place;
    info->aConstraintUsage[constraint].omit = omit;
}

static void
use_limit(const ask *a, const clo_plan *plan, sqlite3_index_info *info)
{
    int place = plan->n_slots + 1;

    if (!plan->limit)
        return;
    use_constraint(info, a->limit, place++, false); /* 3.40 drops another condition on omit */
    info->idxNum |= SQ_HAS_LIMIT;
    if (a->offset < 0)
        return;
    use_constraint(info, a->offset, place, plan->offset);
    info->idxNum |= plan->offset ? SQ_HAS_OFFSET : SQ_ADD_OFFSET;
}

static double
scan_cost(const clo_plan *plan, double rows)
{
    double cost = plan->requests * REQUEST_COST + rows;
    double share = plan->walk * REQUEST_COST / LOOP_ROWS;
    bool list = false;

    for (int i = 0; i < plan->n_slots; i++)
        list = list || plan->slots[i].op == CLO_OP_IN;
    return plan->walk > FEW_REQUESTS && !list && share < cost ? share : cost;
}

static int
use_plan(const ask *a, const clo_plan *plan, sqlite3_index_info *info, clo_err *err)
{
    char *text = clo_plan_encode(plan, err);
    double rows = plan->rows < 1 ? 1 : plan->rows;

    if (text == NULL)
        return SQLITE_ERROR;
    info->idxStr = sqlite3_mprintf("%s", text);
    clo_free(text);
    if (info->idxStr == NULL)
        return SQLITE_NOMEM;
    info->needToFreeIdxStr = 1;
    for (int i = 0; i < plan->n_slots; i++) {
        const clo_slot *slot = &plan->slots[i];

        use_constraint(info, a->from[slot->qual], i + 1, slot->exact);
        if (slot->op == CLO_OP_IN)
            sqlite3_vtab_in(info, a->from[slot->qual], 1);
    }
    use_limit(a, plan, info);
    info->orderByConsumed = info->nOrderBy > 0 && plan->sorted;
    if (plan->unique && plan->access != CLO_BY_COUNT)
        info->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
    info->estimatedCost = scan_cost(plan, rows);
    info->estimatedRows = rows < 1e15 ? (sqlite3_int64)rows : (sqlite3_int64)1e15;
    return SQLITE_OK;
}

static int
key_of(const clo_table *t)
{
    int i = 0;

    while ((size_t)i < t->n_columns && (t->columns[i].flags & CLO_C_KEY) == 0)
        i++;
    return i;
}

static const clo_slot *
fixing_slot(const clo_plan *plan, int column)
{
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->slots[i].column == column && plan->slots[i].op == CLO_OP_EQ &&
            plan->slots[i].exact)
            return &plan->slots[i];
    return NULL;
}

/* Whether the rows of the plan differ in nothing that SQLite will read, but perhaps the id. */
static bool
rows_look_alike(const ask *a, const clo_plan *plan)
{
    int key = key_of(plan->table);

    for (int i = 0; (size_t)i < plan->table->n_columns; i++) {
        const clo_slot *slot = fixing_slot(plan, i);

        if (clo_colset_has(&a->used, i) && slot == NULL && i != key)
            return false;
        if (slot != NULL && clo_column_narrows(&plan->table->columns[i]))
            return false;
    }
    return plan->access == CLO_BY_LIST && a->limit < 0;
}

/* Counts the rows where that is all there is to know, and can be had for one request. */
static clo_status
choose_plan(const clo_client *client, const ask *a, clo_plan *plan, bool *countable, clo_err *err)
{
    clo_status st = clo_plan_make(client, &a->q, plan, err);
    clo_question q = a->q;
    clo_plan count;
    clo_err ignored;

    *countable = false;
    if (st != CLO_OK || !rows_look_alike(a, plan))
        return st;
    memset(&q.needed, 0, sizeof q.needed);
    q.count_only = q.complete = true;
    if (clo_plan_make(client, &q, &count, &ignored) != CLO_OK || count.access != CLO_BY_COUNT)
        return CLO_OK;
    *countable = clo_colset_has(&a->used, key_of(plan->table));
    if (*countable)
        return CLO_OK;
    count.rows = plan->rows;
    *plan = count;
    return CLO_OK;
}

int
sq_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
    const sq_table *t = (const sq_table *)vtab;
    clo_plan plan;
    bool countable;
    clo_err err;
    ask a;
    int rc;

    clo_err_clear(&err);
    if (!ask_make(&a, t->table, info))
        return SQLITE_NOMEM;
    switch (choose_plan(t->state->client, &a, &plan, &countable, &err)) {
    case CLO_OK:
        rc = use_plan(&a, &plan, info, &err);
        if (countable)
            info->idxNum |= SQ_COUNTABLE;
        break;
    case CLO_AGAIN: /* no answer in this join order; SQLite tries another one */
        rc = SQLITE_CONSTRAINT;
        break;
    default:
        rc = SQLITE_ERROR;
        break;
    }
    sqlite3_free(a.quals);
    if (rc == SQLITE_ERROR)
        rc = sq_vtab_error(vtab, &err, t->table->name);
    return rc;
}
