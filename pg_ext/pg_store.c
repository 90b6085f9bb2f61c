/*
 * pg_store.c - the short way of a row into close_outbox, for triggers that enqueue thousands of them.
 *
 * An INSERT of one row through SPI spends most of its time on starting and ending the executor: a plan to
 * be checked, nodes, projections, a search path to be set and taken back. close_enqueue knows the row,
 * and the table is the extension's own, so this builds the tuple and has it stored the way that logical
 * replication stores one: triggers BEFORE ROW, constraints, the tuple, every index.
 *
 * It is taken only for a table that is as the extension made it (look_at_table). With triggers, rules, columns,
 * constraints or forced row security of somebody's own, without the owner's right to INSERT, or with
 * an index that computes something that is not built in, the row takes the long way, where the executor
 * sees to all of that. Rows with a reference take it, too: they may conflict. What was found holds until
 * the relation cache says that the table changed; this also comes for each index that is made or dropped.
 *
 * Rights are those of the long way: the owner's, so policies do not apply; the caller was checked before. The
 * search path stays the caller's, because nothing that runs looks names up: our trigger and built-in functions.
 *
 * The numbers of the rows come from the sequence of the identity column, as the executor takes them.
 *
 * Rejected: keeping the indexes open from one call to the next (a lock and a reference would have to outlive
 * the statement, and each subtransaction); leaving out our own trigger (a switched off, dropped or replaced one
 * must be noticed all the same, and it costs next to nothing).
 */
#include "pg.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Columns that a new row fills, and those that it leaves to the workers. */
enum {
    C_ID,
    C_TOOL,
    C_PARAMS,
    C_KEY,
    C_STATE,
    C_ATTEMPTS,
    C_NEXT,
    C_CREATED,
    C_ROLE,
    C_SERVER,
    C_FILLED,
    C_REST = 10,
    C_COUNT = C_FILLED + C_REST
};

static const struct {
    const char *name;
    Oid type; /* InvalidOid: a domain, over text */
} columns[C_COUNT] = {
    [C_ID] = {"id", INT8OID},
    [C_TOOL] = {"tool", TEXTOID},
    [C_PARAMS] = {"params", JSONBOID},
    [C_KEY] = {"ordering_key", TEXTOID},
    [C_STATE] = {"state", InvalidOid},
    [C_ATTEMPTS] = {"attempts", INT4OID},
    [C_NEXT] = {"next_attempt", TIMESTAMPTZOID},
    [C_CREATED] = {"created", TIMESTAMPTZOID},
    [C_ROLE] = {"enqueued_by", NAMEOID},
    [C_SERVER] = {"server", NAMEOID},
    [C_FILLED] = {"reference", TEXTOID},
    {"finished", TIMESTAMPTZOID},
    {"execution_id", TEXTOID},
    {"object_id", TEXTOID},
    {"result", JSONBOID},
    {"error_class", TEXTOID},
    {"error", TEXTOID},
    {"worker", TEXTOID},
    {"lease_until", TIMESTAMPTZOID},
    {"sent_at", TIMESTAMPTZOID},
};

/* What this backend found out about the table. */
static struct {
    Oid relation; /* InvalidOid: nothing yet, or it changed */
    Oid sequence; /* InvalidOid: the table is not as we made it */
    int at[C_FILLED];
    bool registered;
} known;

static void
on_change(Datum arg, Oid relation)
{
    if (!OidIsValid(relation) || relation == known.relation)
        known.relation = InvalidOid;
}

/* ---- the table as we made it ------------------------------------------------------------------ */

static int
column_of(const char *name)
{
    int i = 0;

    while (i < C_COUNT && strcmp(columns[i].name, name) != 0)
        i++;
    return i;
}

/* Each column is one of ours, with our type; what stays empty may. */
static bool
columns_fit(TupleDesc desc)
{
    uint32 seen = 0;

    for (int i = 0; i < desc->natts; i++) {
        const FormData_pg_attribute *a = TupleDescAttr(desc, i);
        int c;
        Oid type;

        if (a->attisdropped)
            continue;
        c = column_of(NameStr(a->attname));
        if (c == C_COUNT)
            return false;
        type = OidIsValid(columns[c].type) ? a->atttypid : getBaseType(a->atttypid);
        if (type != (OidIsValid(columns[c].type) ? columns[c].type : TEXTOID) ||
            a->atttypmod != -1 || (c >= C_FILLED && a->attnotnull) ||
            (c == C_ID) != (a->attidentity != '\0'))
            return false;
        seen |= UINT32_C(1) << c;
        if (c < C_FILLED)
            known.at[c] = i;
    }
    return seen == (UINT32_C(1) << C_COUNT) - 1;
}

/* Our own trigger and no other. */
static bool
triggers_fit(const TriggerDesc *triggers)
{
    return triggers != NULL && triggers->numtriggers == 1 && triggers->triggers[0].tgqual == NULL &&
           clo_pg_checks_outbox(triggers->triggers[0].tgfoid);
}

static bool
not_built_in(Oid function, void *context)
{
    (void)context;
    return function >= FirstNormalObjectId;
}

static bool
calls_others(Node *node, void *context)
{
    if (node == NULL)
        return false;
    return check_functions_in_node(node, not_built_in, context) ||
           expression_tree_walker(node, calls_others, context);
}

static bool
indexes_fit(Relation table)
{
    List *list = RelationGetIndexList(table);
    bool fit = true;
    ListCell *cell;

    foreach (cell, list) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);

        fit = fit && RelationGetIndexExpressions(index) == NIL &&
              !calls_others((Node *)RelationGetIndexPredicate(index), NULL);
        index_close(index, AccessShareLock);
    }
    list_free(list);
    return fit;
}

static bool
table_fits(Relation table, Oid owner)
{
    const TupleConstr *constr = table->rd_att->constr;
    const FormData_pg_class *class = table->rd_rel;

    return class->relkind == RELKIND_RELATION && !class->relispartition && !class->relhasrules &&
           !class->relforcerowsecurity && constr != NULL && constr->num_check == 0 &&
           !constr->has_generated_stored && columns_fit(table->rd_att) &&
           triggers_fit(table->trigdesc) && indexes_fit(table) &&
           pg_class_aclcheck(RelationGetRelid(table), owner, ACL_INSERT) == ACLCHECK_OK;
}

static void
look_at_table(Relation table, Oid owner)
{
    bool fits;

    if (!known.registered)
        CacheRegisterRelcacheCallback(on_change, (Datum)0);
    known.registered = true;
    /* Named first: a change that is heard of while we look takes it back. */
    known.relation = RelationGetRelid(table);
    known.sequence = InvalidOid;
    fits = table_fits(table, owner);
    if (fits)
        known.sequence = clo_pg_identity_sequence(table, (AttrNumber)(known.at[C_ID] + 1));
}

/* ---- the row ---------------------------------------------------------------------------------- */

static int64
fill(TupleTableSlot *slot, const clo_pg_row *row)
{
    int64 id = nextval_internal(known.sequence, false);
    const Datum values[C_FILLED] = {
        [C_ID] = Int64GetDatum(id),
        [C_TOOL] = row->tool,
        [C_PARAMS] = row->params,
        [C_KEY] = row->key,
        [C_STATE] = CStringGetTextDatum(clo_box_name(CLO_BOX_PENDING)),
        [C_ATTEMPTS] = Int32GetDatum(0),
        [C_NEXT] = row->when,
        [C_CREATED] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
        [C_ROLE] = row->role,
        [C_SERVER] = row->server,
    };

    ExecClearTuple(slot);
    memset(slot->tts_isnull, true,
           sizeof *slot->tts_isnull * (size_t)slot->tts_tupleDescriptor->natts);
    for (int i = 0; i < C_FILLED; i++) {
        slot->tts_values[known.at[i]] = values[i];
        slot->tts_isnull[known.at[i]] = false;
    }
    ExecStoreVirtualTuple(slot);
    return id;
}

static int64
store(Relation table, const clo_pg_row *row)
{
    EState *estate = CreateExecutorState();
    ResultRelInfo *target = makeNode(ResultRelInfo);
    TupleTableSlot *slot =
        MakeSingleTupleTableSlot(RelationGetDescr(table), table_slot_callbacks(table));
    int64 id;

    InitResultRelInfo(target, table, 0, NULL, 0);
    ExecOpenIndices(target, false);
    id = fill(slot, row);
    clo_pg_simple_insert(target, estate, slot);
    ExecCloseIndices(target);
    ExecDropSingleTupleTableSlot(slot);
    FreeExecutorState(estate);
    return id;
}

bool
clo_pg_store(const clo_pg_box *box, const clo_pg_row *row, int64 *id)
{
    Relation table;
    Oid user;
    int security;

    PreventCommandIfReadOnly("INSERT");
    PreventCommandIfParallelMode("INSERT");
    table = table_open(box->relation, RowExclusiveLock);
    if (known.relation != box->relation)
        look_at_table(table, box->owner);
    if (known.relation != box->relation || !OidIsValid(known.sequence)) {
        table_close(table, NoLock);
        return false;
    }
    GetUserIdAndSecContext(&user, &security);
    SetUserIdAndSecContext(box->owner, security | SECURITY_LOCAL_USERID_CHANGE);
    *id = store(table, row);
    SetUserIdAndSecContext(user, security);
    table_close(table, NoLock);
    CommandCounterIncrement();
    return true;
}
