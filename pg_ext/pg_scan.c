/*
 * pg_scan.c - running a scan.
 *
 * Begin decodes the plan and finds the client of the user whose rights count (the owner of a view,
 * the current user otherwise). The first Iterate computes the values of the conditions and opens a
 * cursor of the core; each Iterate steps it until a row is there, serving interrupts in between,
 * and copies the row's values into per-tuple memory. A rescan opens a new cursor before it lets
 * the old one go, so that answers which the core keeps for the length of a statement stay.
 *
 * Ownership: the cursor, the client reference and a table with custom fields belong to owners in
 * the per-query context. EndForeignScan only lets go early; after an error it is never called.
 *
 * Rows are virtual tuples: their values die at the next Iterate, as with any scan.
 */
#include "pg.h"

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/memutils.h"

struct clo_pg_scan {
    clo_pg_table *t;
    const char *refusal; /* why this plan can't run, NULL: it can */
    clo_plan plan;
    int limit, offset; /* index into values, -1: none */
    Oid user;
    bool relation_below; /* false: count(*), no attributes */
    List *values;        /* ExprStates of fdw_exprs */
    Oid *value_types;
    clo_pg_owner *client;         /* set at the first row */
    clo_pg_owner *cursor, *spare; /* the running one, and the place for the next */
    clo_pg_filler filler;
    MemoryContext binds; /* while a cursor is opened */
    clo_scan_stats past; /* of cursors that are closed */
    bool started;
};

/* --- Rows ------------------------------------------------------------------------------------- */

void
clo_pg_filler_init(clo_pg_filler *f, const clo_pg_table *t, TupleDesc desc,
                   const clo_colset *needed)
{
    f->t = t;
    f->row = NULL;
    f->at = 0;
    f->outs = palloc0(sizeof *f->outs * (size_t)Max(t->n_atts, 1));
    f->column = palloc(sizeof *f->column * (size_t)Max(t->n_atts, 1));
    for (int i = 0; i < t->n_atts; i++) {
        Form_pg_attribute att = TupleDescAttr(desc, i);
        bool wanted = t->column[i] >= 0 && (needed == NULL || clo_colset_has(needed, t->column[i]));

        f->column[i] = wanted ? t->column[i] : -1;
        if (wanted)
            clo_pg_out_init(&f->outs[i], att->atttypid, att->atttypmod,
                            t->table->columns[t->column[i]].type);
    }
}

static void
name_value(void *arg)
{
    const clo_pg_filler *f = arg;
    const clo_table *table = f->t->table;

    for (size_t i = 0; i < table->n_columns; i++)
        if ((table->columns[i].flags & CLO_C_KEY) && f->row[i].type == CLO_T_TEXT)
            errcontext("%s row %s, column %s", table->name, clo_pg_local(f->row[i].text),
                       table->columns[f->column[f->at]].name);
}

void
clo_pg_fill(clo_pg_filler *f, const clo_value *row, Datum *values, bool *nulls)
{
    ErrorContextCallback context = {
        .previous = error_context_stack, .callback = name_value, .arg = f};

    f->row = row;
    error_context_stack = &context;
    for (f->at = 0; f->at < f->t->n_atts; f->at++) {
        int column = f->column[f->at];

        nulls[f->at] = column < 0 || row[column].type == CLO_T_NULL;
        if (!nulls[f->at])
            values[f->at] = clo_pg_datum(&f->outs[f->at], &row[column]);
    }
    error_context_stack = context.previous;
}

/* --- Values of the conditions ----------------------------------------------------------------- */

/* The elements that can match: NULLs never do. */
static clo_bind
bind_of_array(Datum array)
{
    ArrayType *a = DatumGetArrayTypeP(array);
    Oid type = ARR_ELEMTYPE(a);
    clo_value *values;
    clo_bind bind = {NULL, 0};
    int16 len;
    bool by_value;
    char align;
    Datum *elements;
    bool *nulls;
    int n;

    get_typlenbyvalalign(type, &len, &by_value, &align);
    deconstruct_array(a, type, len, by_value, align, &elements, &nulls, &n);
    values = palloc0(sizeof *values * (size_t)Max(n, 1));
    for (int i = 0; i < n; i++)
        if (!nulls[i])
            values[bind.n++] = clo_pg_value(elements[i], type);
    bind.values = values;
    return bind;
}

static clo_bind
bind_of_value(Datum value, bool null, Oid type)
{
    clo_value *one = palloc0(sizeof *one);
    clo_bind bind = {one, 1};

    *one = null ? clo_null() : clo_pg_value(value, type);
    return bind;
}

/* LIMIT and OFFSET as the executor's own Limit node takes them. */
static int64_t
row_count(const clo_pg_scan *s, ExprContext *econtext, int index, const char *word, int code)
{
    bool null;
    Datum d;

    if (index < 0)
        return -1;
    d = ExecEvalExpr((ExprState *)list_nth(s->values, index), econtext, &null);
    if (null)
        return -1;
    if (DatumGetInt64(d) < 0)
        ereport(ERROR, (errcode(code), errmsg("%s must not be negative", word)));
    return DatumGetInt64(d);
}

static void
open_cursor(ForeignScanState *node, clo_pg_scan *s)
{
    ExprContext *econtext = node->ss.ps.ps_ExprContext;
    clo_bind binds[CLO_MAX_SLOTS];
    clo_pg_owner *previous = s->cursor;
    MemoryContext old;
    int64_t limit, offset;
    clo_err err;

    old = MemoryContextSwitchTo(s->binds);
    for (int i = 0; i < s->plan.n_slots; i++) {
        bool null;
        Datum d = ExecEvalExpr((ExprState *)list_nth(s->values, i), econtext, &null);

        if (s->plan.slots[i].op != CLO_OP_IN)
            binds[i] = bind_of_value(d, null, s->value_types[i]);
        else if (null)
            binds[i] = (clo_bind){NULL, 0};
        else
            binds[i] = bind_of_array(d);
    }
    limit = row_count(s, econtext, s->limit, "LIMIT", ERRCODE_INVALID_ROW_COUNT_IN_LIMIT_CLAUSE);
    offset = row_count(s, econtext, s->offset, "OFFSET",
                       ERRCODE_INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE);
    MemoryContextSwitchTo(old);
    clo_err_clear(&err);
    clo_pg_own_set(s->spare, clo_cursor_open(clo_pg_owned(s->client), &s->plan, binds, limit,
                                             Max(offset, 0), &err));
    MemoryContextReset(s->binds);
    if (clo_pg_owned(s->spare) == NULL)
        clo_pg_throw(&err);
    s->cursor = s->spare;
    s->spare = previous;
    clo_pg_release(s->spare);
}

/* --- Callbacks -------------------------------------------------------------------------------- */

static Oid
user_of(ForeignScanState *node)
{
    ForeignScan *plan = (ForeignScan *)node->ss.ps.plan;
    int rti = plan->scan.scanrelid > 0 ? (int)plan->scan.scanrelid
                                       : bms_next_member(clo_pg_scan_relids(plan), -1);
    RangeTblEntry *rte = exec_rt_fetch((Index)rti, node->ss.ps.state);
    Oid user = clo_pg_scan_user(plan, rte);

    (void)rte;
    return OidIsValid(user) ? user : GetUserId();
}

static void
decode(clo_pg_scan *s, ForeignScan *plan)
{
    clo_err err;

    clo_err_clear(&err);
    if (clo_plan_decode(s->t->table, clo_pg_scan_text(plan->fdw_private), &s->plan, &err) != CLO_OK)
        clo_pg_throw(&err);
    if (s->plan.n_slots != clo_pg_scan_int(plan->fdw_private, CLO_PG_NUM_SLOTS))
        elog(ERROR, "plan of %s does not fit its values", s->t->table->name);
}

void
clo_pg_scan_begin(ForeignScanState *node, int eflags)
{
    ForeignScan *plan = (ForeignScan *)node->ss.ps.plan;
    MemoryContext cxt = node->ss.ps.state->es_query_cxt;
    clo_pg_scan *s;
    ListCell *cell;
    int i = 0;

    if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
        return;
    s = palloc0(sizeof *s);
    node->fdw_state = s;
    s->user = user_of(node);
    s->limit = clo_pg_scan_int(plan->fdw_private, CLO_PG_NUM_LIMIT);
    s->offset = clo_pg_scan_int(plan->fdw_private, CLO_PG_NUM_OFFSET);
    s->relation_below = plan->scan.scanrelid > 0;
    s->t = clo_pg_table_open(clo_pg_scan_oid(plan->fdw_private, CLO_PG_NUM_RELATION));
    if (clo_pg_scan_int(plan->fdw_private, CLO_PG_NUM_REFUSED))
        s->refusal = clo_pg_scan_text(plan->fdw_private);
    else
        decode(s, plan);
    s->values = ExecInitExprList(plan->fdw_exprs, (PlanState *)node);
    s->value_types = palloc0(sizeof(Oid) * (size_t)Max(list_length(plan->fdw_exprs), 1));
    foreach (cell, plan->fdw_exprs)
        s->value_types[i++] = exprType(lfirst(cell));
    s->binds = AllocSetContextCreate(cxt, "close conditions", ALLOCSET_SMALL_SIZES);
    /* Freed in reverse order: cursors before the client. The table came first of all. */
    s->client = clo_pg_own(cxt, CLO_PG_CLIENT);
    s->cursor = clo_pg_own(cxt, CLO_PG_CURSOR);
    s->spare = clo_pg_own(cxt, CLO_PG_CURSOR);
    if (s->relation_below)
        clo_pg_filler_init(&s->filler, s->t, node->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
                           &s->plan.needed);
}

static void
start(ForeignScanState *node, clo_pg_scan *s)
{
    if (s->refusal != NULL)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", s->refusal)));
    if (clo_pg_owned(s->client) == NULL)
        clo_pg_own_set(s->client, clo_client_ref(clo_pg_client(s->user, s->t->server)));
    open_cursor(node, s);
    s->started = true;
}

TupleTableSlot *
clo_pg_scan_next(ForeignScanState *node)
{
    clo_pg_scan *s = node->fdw_state;
    TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
    const clo_value *row;
    clo_status status;
    clo_err err;

    ExecClearTuple(slot);
    if (!s->started)
        start(node, s);
    status = clo_pg_step(s->cursor, &err);
    if (status == CLO_DONE)
        return slot;
    if (status != CLO_ROW) {
        clo_pg_release(s->cursor);
        clo_pg_throw(&err);
    }
    row = clo_cursor_row(clo_pg_owned(s->cursor));
    if (s->relation_below) {
        clo_pg_fill(&s->filler, row, slot->tts_values, slot->tts_isnull);
    } else {
        for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++) {
            slot->tts_values[i] = Int64GetDatum(row[0].u.i);
            slot->tts_isnull[i] = false;
        }
    }
    return ExecStoreVirtualTuple(slot);
}

static void
add_stats(clo_scan_stats *to, const clo_scan_stats *more)
{
    to->requests += more->requests;
    to->retries += more->retries;
    to->bytes_in += more->bytes_in;
    to->rows_received += more->rows_received;
    to->rows_delivered += more->rows_delivered;
    to->cache_hits += more->cache_hits;
    to->max_in_flight = Max(to->max_in_flight, more->max_in_flight);
}

static void
keep_stats(clo_pg_scan *s)
{
    clo_scan_stats now;

    if (clo_pg_owned(s->cursor) == NULL)
        return;
    clo_cursor_stats(clo_pg_owned(s->cursor), &now);
    add_stats(&s->past, &now);
}

void
clo_pg_scan_again(ForeignScanState *node)
{
    clo_pg_scan *s = node->fdw_state;

    if (s->started)
        keep_stats(s);
    s->started = false; /* the next row opens a new cursor, with new values if they changed */
}

void
clo_pg_scan_end(ForeignScanState *node)
{
    clo_pg_scan *s = node->fdw_state;

    if (s == NULL)
        return;
    clo_pg_release(s->cursor);
    clo_pg_release(s->spare);
    clo_pg_release(s->client);
}

bool
clo_pg_scan_stats(ForeignScanState *node, clo_scan_stats *stats)
{
    clo_pg_scan *s = node->fdw_state;

    if (s == NULL)
        return false;
    *stats = s->past;
    if (s->started && clo_pg_owned(s->cursor) != NULL) {
        clo_scan_stats now;

        clo_cursor_stats(clo_pg_owned(s->cursor), &now);
        add_stats(stats, &now);
    }
    return true;
}
