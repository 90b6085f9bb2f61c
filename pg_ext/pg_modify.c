/*
 * pg_modify.c - INSERT, UPDATE and DELETE of foreign tables, row by row.
 *
 * Each row is one call of the table's create, update or delete tool. The core turns columns into
 * parameters and refuses a column that the tool can't set, before anything is sent. An UPDATE
 * sends the columns of its target list (with a BEFORE ROW trigger: those that differ from the old
 * row); NULL is sent as null there, and left out of a create.
 *
 * What has been sent stays sent: a ROLLBACK does not recall it. So the error of one row says what
 * the statement had already done, and a call that was cut off is reported as uncertain
 * (pg_host.c).
 *
 * RETURNING shows what the service answered: its ids, defaults and computed fields. A DELETE,
 * which is answered by nothing, returns the row as it was read.
 *
 * Memory: the values of a row live in m->row until the next row is at work, which is as long as
 * the executor looks at the returned slot.
 */
#include "pg.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#define ID_JUNK "close_id"
#define ROW_JUNK "wholerow"
#define SHOWN_IDS 400 /* bytes */

/* --- Planning --------------------------------------------------------------------------------- */

/* The columns that an UPDATE or DELETE needs to find its row again: the id, and for DELETE ...
 * RETURNING the whole row. */
void
clo_pg_modify_targets(CLO_PG_UPDATE_TARGETS_ARGS)
{
    clo_pg_table *t = clo_pg_table_open(RelationGetRelid(target_relation));
    Form_pg_attribute att;
    Var *var;
    clo_pg_targets_vars;

    if (t->key == 0)
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("foreign table \"%s\" has no id column by which a row could be changed",
                        RelationGetRelationName(target_relation))));
    att = TupleDescAttr(RelationGetDescr(target_relation), t->key - 1);
    var =
        makeVar((clo_pg_varno)rtindex, t->key, att->atttypid, att->atttypmod, att->attcollation, 0);
    clo_pg_add_junk(var, ID_JUNK);
    if (query->commandType == CMD_DELETE && query->returningList != NIL)
        clo_pg_add_junk(clo_pg_whole_row(), ROW_JUNK);
}

/* fdw_private: the attributes that an UPDATE sets. */
List *
clo_pg_modify_plan(PlannerInfo *root, ModifyTable *plan, Index rti, int subplan_index)
{
    List *attrs = NIL;
    int i = -1;

    (void)subplan_index;
    if (plan->onConflictAction != ONCONFLICT_NONE)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("ON CONFLICT is not supported for tables of Close"),
                        errhint("The service has no unique keys but the id, which it gives itself. "
                                "Look for the object first.")));
    if (plan->operation == CMD_UPDATE) {
        Bitmapset *updated = clo_pg_updated_cols(root, rti);

        while ((i = bms_next_member(updated, i)) >= 0) {
            int attno = i + FirstLowInvalidHeapAttributeNumber;

            if (attno > 0)
                attrs = lappend_int(attrs, attno);
        }
    }
    return list_make1(attrs);
}

int
clo_pg_updatable(Relation relation)
{
    const char *option =
        clo_pg_option(GetForeignTable(RelationGetRelid(relation))->options, CLO_PG_OPT_TABLE);
    const clo_table *t =
        clo_table_find(option != NULL ? option : RelationGetRelationName(relation));
    int events = 0;

    if (t == NULL)
        return 0;
    if (t->create != NULL)
        events |= 1 << CMD_INSERT;
    if (t->update != NULL)
        events |= 1 << CMD_UPDATE;
    if (t->remove != NULL)
        events |= 1 << CMD_DELETE;
    return events;
}

/* --- Begin and end ---------------------------------------------------------------------------- */

static clo_kind
kind_of(CmdType operation)
{
    return operation == CMD_UPDATE ? CLO_UPDATE : operation == CMD_DELETE ? CLO_DELETE : CLO_CREATE;
}

static Oid
user_of(ResultRelInfo *rri, EState *estate)
{
    ResultRelInfo *named = clo_pg_named(rri);
    Oid user = InvalidOid;

    if (named != NULL && named->ri_RangeTableIndex > 0) {
        RangeTblEntry *rte = exec_rt_fetch(named->ri_RangeTableIndex, estate);

        (void)rte;
        user = clo_pg_modify_user(named, rte, estate);
    }
    return OidIsValid(user) ? user : GetUserId();
}

static clo_pg_modify *
begin(const ModifyTable *plan, ResultRelInfo *rri, EState *estate, CmdType operation)
{
    clo_pg_modify *m = palloc0(sizeof *m);
    TriggerDesc *triggers = rri->ri_TrigDesc;
    clo_pg_owner *client;

    m->cxt = CurrentMemoryContext;
    m->row = AllocSetContextCreate(m->cxt, "close row", ALLOCSET_DEFAULT_SIZES);
    m->kind = kind_of(operation);
    m->t = clo_pg_table_open(RelationGetRelid(rri->ri_RelationDesc));
    client = clo_pg_own(m->cxt, CLO_PG_CLIENT);
    clo_pg_own_set(client, clo_client_ref(clo_pg_client(user_of(rri, estate), m->t->server)));
    m->client = clo_pg_owned(client);
    clo_pg_filler_init(&m->filler, m->t, RelationGetDescr(rri->ri_RelationDesc), NULL);
    initStringInfo(&m->ids);
    /* The executor prepares RETURNING and WITH CHECK OPTION after this call: the plan knows. */
    m->answer =
        (plan != NULL && (plan->returningLists != NIL || plan->withCheckOptionLists != NIL)) ||
        (triggers != NULL && (triggers->trig_insert_after_row || triggers->trig_update_after_row));
    m->batch = 1;
    if (m->kind == CLO_CREATE && !m->answer &&
        (triggers == NULL || !triggers->trig_insert_before_row))
        m->batch = clo_pg_batch_size(m->t->relation);
    return m;
}

void
clo_pg_modify_begin(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private,
                    int subplan_index, int eflags)
{
    TriggerDesc *triggers = rri->ri_TrigDesc;
    clo_pg_modify *m;

    if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
        return;
    m = begin((ModifyTable *)mtstate->ps.plan, rri, mtstate->ps.state, mtstate->operation);
    m->attrs = linitial(fdw_private);
    if (mtstate->operation != CMD_INSERT) {
        Plan *subplan = clo_pg_subplan(mtstate, subplan_index);

        m->key_junk = ExecFindJunkAttributeInTlist(subplan->targetlist, ID_JUNK);
        if (!AttributeNumberIsValid(m->key_junk))
            elog(ERROR, "the plan does not carry the id of the row");
        m->row_junk = ExecFindJunkAttributeInTlist(subplan->targetlist, ROW_JUNK);
    }
    m->compare = m->kind == CLO_UPDATE && triggers != NULL && triggers->trig_update_before_row &&
                 AttributeNumberIsValid(m->row_junk);
    rri->ri_FdwState = m;
}

/* COPY FROM (without a plan), and rows that a partitioned table routes here. */
void
clo_pg_insert_begin(ModifyTableState *mtstate, ResultRelInfo *rri)
{
    ModifyTable *plan = (ModifyTable *)mtstate->ps.plan;

    if (plan != NULL && plan->onConflictAction != ONCONFLICT_NONE)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("ON CONFLICT is not supported for tables of Close")));
    /* An UPDATE that moves a row to a partition that it updates as well has one state for two
     * kinds. */
    if (rri->ri_FdwState != NULL)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot move a row into foreign table \"%s\", which the statement "
                               "updates",
                               RelationGetRelationName(rri->ri_RelationDesc))));
    rri->ri_FdwState = begin(plan, rri, mtstate->ps.state, CMD_INSERT);
}

void
clo_pg_modify_end(EState *estate, ResultRelInfo *rri)
{
    (void)estate;
    rri->ri_FdwState = NULL; /* memory and references go with the query's context */
}

/* --- Rows ------------------------------------------------------------------------------------- */

static clo_value
value_of(TupleTableSlot *slot, int att)
{
    return slot->tts_isnull[att]
               ? clo_null()
               : clo_pg_value(slot->tts_values[att],
                              TupleDescAttr(slot->tts_tupleDescriptor, att)->atttypid);
}

static clo_request *
checked(const clo_pg_modify *m, clo_request *request, const clo_err *err)
{
    if (request == NULL)
        clo_pg_throw_after(err, clo_pg_already(m));
    return request;
}

clo_request *
clo_pg_insert_request(clo_pg_modify *m, TupleTableSlot *slot)
{
    int *cols = palloc(sizeof *cols * (size_t)Max(m->t->n_atts, 1));
    clo_value *vals = palloc(sizeof *vals * (size_t)Max(m->t->n_atts, 1));
    size_t n = 0;
    clo_err err;

    slot_getallattrs(slot);
    for (int i = 0; i < m->t->n_atts; i++)
        if (m->t->column[i] >= 0 && !slot->tts_isnull[i]) {
            cols[n] = m->t->column[i];
            vals[n++] = value_of(slot, i);
        }
    clo_err_clear(&err);
    return checked(m, clo_request_row(m->t->table, CLO_CREATE, NULL, n, cols, vals, &err), &err);
}

/* The id of the row at work, in UTF-8. */
static const char *
junk_id(clo_pg_modify *m, TupleTableSlot *plan_slot)
{
    bool null;
    Datum d = ExecGetJunkAttribute(plan_slot, m->key_junk, &null);
    Oid type = TupleDescAttr(plan_slot->tts_tupleDescriptor, m->key_junk - 1)->atttypid;

    if (null)
        elog(ERROR, "a row of %s has no id", m->t->table->name);
    return clo_pg_value(d, type).text;
}

/* The row as it was read, deformed; false when the plan does not carry it. */
static bool
old_row(clo_pg_modify *m, TupleTableSlot *plan_slot, TupleDesc desc, Datum *values, bool *nulls)
{
    HeapTupleData tuple;
    bool null;
    Datum d;

    if (!AttributeNumberIsValid(m->row_junk))
        return false;
    d = ExecGetJunkAttribute(plan_slot, m->row_junk, &null);
    if (null)
        return false;
    tuple.t_data = DatumGetHeapTupleHeader(d);
    tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
    ItemPointerSetInvalid(&tuple.t_self);
    tuple.t_tableOid = m->t->relation;
    heap_deform_tuple(&tuple, desc, values, nulls);
    return true;
}

static bool
same(Form_pg_attribute att, Datum a, bool a_null, Datum b, bool b_null)
{
    if (a_null || b_null)
        return a_null && b_null;
    return datum_image_eq(a, b, att->attbyval, att->attlen);
}

/* The update request of a row, or NULL when nothing changes. */
static clo_request *
update_request(clo_pg_modify *m, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
    TupleDesc desc = slot->tts_tupleDescriptor;
    size_t room = (size_t)Max(desc->natts, 1);
    int *cols = palloc(sizeof *cols * room);
    clo_value *vals = palloc(sizeof *vals * room);
    Datum *old = palloc(sizeof *old * room);
    bool *old_nulls = palloc(sizeof *old_nulls * room);
    bool compare = m->compare && old_row(m, plan_slot, desc, old, old_nulls);
    size_t n = 0;
    clo_err err;

    slot_getallattrs(slot);
    for (int i = 0; i < m->t->n_atts; i++) {
        bool changed = list_member_int(m->attrs, i + 1);

        if (m->t->column[i] < 0)
            continue;
        if (compare && !changed)
            changed = !same(TupleDescAttr(desc, i), slot->tts_values[i], slot->tts_isnull[i],
                            old[i], old_nulls[i]);
        if (!changed)
            continue;
        cols[n] = m->t->column[i];
        vals[n++] = value_of(slot, i);
    }
    if (n == 0)
        return NULL;
    clo_err_clear(&err);
    return checked(
        m, clo_request_row(m->t->table, CLO_UPDATE, junk_id(m, plan_slot), n, cols, vals, &err),
        &err);
}

void
clo_pg_note_created(clo_pg_modify *m, const char *id)
{
    m->done++;
    if (id == NULL || m->ids.len > SHOWN_IDS)
        return;
    appendStringInfo(&m->ids, "%s%s", m->ids.len > 0 ? ", " : "", clo_pg_local(id));
    if (m->ids.len > SHOWN_IDS)
        appendStringInfoString(&m->ids, ", ...");
}

const char *
clo_pg_already(const clo_pg_modify *m)
{
    const char *done = m->kind == CLO_CREATE   ? "created"
                       : m->kind == CLO_UPDATE ? "updated"
                                               : "deleted";

    if (m->done == 0)
        return NULL;
    return psprintf(
        "Rows that this statement had already %s and that stay: " INT64_FORMAT "%s%s%s.", done,
        m->done, m->ids.len > 0 ? " (" : "", m->ids.data, m->ids.len > 0 ? ")" : "");
}

/* Sends the request that `request` owns; the finished call belongs to m->row. */
static clo_call *
send_row(clo_pg_modify *m, clo_pg_owner *request)
{
    clo_pg_owner *call = clo_pg_own(m->row, CLO_PG_CALL);
    clo_err err;

    clo_err_clear(&err);
    clo_pg_own_set(call, clo_call_new(m->client, clo_pg_own_take(request), &err));
    m->calls++;
    if (clo_pg_owned(call) == NULL)
        clo_pg_throw_after(&err, clo_pg_already(m));
    if (clo_pg_step(call, &err) != CLO_DONE) {
        clo_pg_release(call);
        clo_pg_throw_after(&err, clo_pg_already(m));
    }
    return clo_pg_owned(call);
}

/* Puts the object that the service answered with into the slot; an answer without one leaves it. */
static void
answer_into(clo_pg_modify *m, const clo_call *call, TupleTableSlot *slot)
{
    clo_pg_owner *cursor = clo_pg_own(m->row, CLO_PG_CURSOR);
    Bitmapset *whole = bms_make_singleton(0 - FirstLowInvalidHeapAttributeNumber);
    clo_colset needed = {{0}};
    const clo_value *row;
    const char *json;
    size_t len;
    clo_err err;

    clo_pg_columns_of(m->t, whole, &needed);
    json = clo_call_result(call, &len);
    clo_err_clear(&err);
    clo_pg_own_set(cursor, clo_cursor_of_json(m->t->table, &needed, json, len, &err));
    if (clo_pg_owned(cursor) == NULL || clo_pg_step(cursor, &err) == CLO_ERROR)
        clo_pg_throw_after(&err, clo_pg_already(m));
    row = clo_cursor_row(clo_pg_owned(cursor));
    if (row == NULL || (m->t->key > 0 && row[m->t->column[m->t->key - 1]].type == CLO_T_NULL))
        return;
    ExecClearTuple(slot);
    clo_pg_fill(&m->filler, row, slot->tts_values, slot->tts_isnull);
    ExecStoreVirtualTuple(slot);
    clo_pg_release(cursor);
}

TupleTableSlot *
clo_pg_insert(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
    clo_pg_modify *m = rri->ri_FdwState;
    MemoryContext old;
    clo_pg_owner *request;
    clo_call *call;

    (void)estate;
    (void)plan_slot;
    MemoryContextReset(m->row);
    old = MemoryContextSwitchTo(m->row);
    request = clo_pg_own(m->row, CLO_PG_REQUEST);
    clo_pg_own_set(request, clo_pg_insert_request(m, slot));
    call = send_row(m, request);
    clo_pg_note_created(m, clo_client_last_id(m->client));
    if (m->answer)
        answer_into(m, call, slot);
    MemoryContextSwitchTo(old);
    return slot;
}

TupleTableSlot *
clo_pg_update(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
    clo_pg_modify *m = rri->ri_FdwState;
    MemoryContext old;
    clo_pg_owner *request;

    (void)estate;
    MemoryContextReset(m->row);
    old = MemoryContextSwitchTo(m->row);
    request = clo_pg_own(m->row, CLO_PG_REQUEST);
    clo_pg_own_set(request, update_request(m, slot, plan_slot));
    if (clo_pg_owned(request) != NULL) {
        clo_call *call = send_row(m, request);

        m->done++;
        if (m->answer)
            answer_into(m, call, slot);
    }
    MemoryContextSwitchTo(old);
    return slot;
}

TupleTableSlot *
clo_pg_delete(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
    clo_pg_modify *m = rri->ri_FdwState;
    MemoryContext old;
    clo_pg_owner *request;
    clo_err err;

    (void)estate;
    MemoryContextReset(m->row);
    old = MemoryContextSwitchTo(m->row);
    request = clo_pg_own(m->row, CLO_PG_REQUEST);
    clo_err_clear(&err);
    clo_pg_own_set(request, checked(m,
                                    clo_request_row(m->t->table, CLO_DELETE, junk_id(m, plan_slot),
                                                    0, NULL, NULL, &err),
                                    &err));
    (void)send_row(m, request);
    m->done++;
    ExecClearTuple(slot);
    if (old_row(m, plan_slot, slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull))
        ExecStoreVirtualTuple(slot);
    else
        ExecStoreAllNullTuple(slot);
    MemoryContextSwitchTo(old);
    return slot;
}
