/*
 * pg_explain.c - EXPLAIN in terms of calls: the tool and its parameters always, what was spent
 * with ANALYZE. The line is the one that the executor reads (clo_plan_encode); values stand as $1,
 * $2 ... in it and are listed beside it with VERBOSE. Settings, secrets among them, are no part of
 * a plan.
 */
#include "pg.h"

#include "utils/ruleutils.h"

static void
explain_values(const ForeignScan *plan, ExplainState *es)
{
    List *context = es->deparse_cxt;
    StringInfoData text;
    ListCell *cell;
    int n = 0;

    if (plan->fdw_exprs == NIL)
        return;
    initStringInfo(&text);
    foreach (cell, plan->fdw_exprs) {
        Node *value = lfirst(cell);

        appendStringInfo(&text, "%s$%d = %s", n > 0 ? ", " : "", n + 1,
                         value == NULL ? "?" : deparse_expression(value, context, true, false));
        n++;
    }
    ExplainPropertyText("Close Values", text.data, es);
}

/* Without the closing column set, which is for the executor only. */
static char *
readable(const char *encoded)
{
    const char *end = strstr(encoded, " columns=");

    return end == NULL ? pstrdup(encoded) : pnstrdup(encoded, (Size)(end - encoded));
}

void
clo_pg_explain_scan(ForeignScanState *node, ExplainState *es)
{
    ForeignScan *plan = (ForeignScan *)node->ss.ps.plan;
    clo_scan_stats s;

    if (clo_pg_scan_int(plan->fdw_private, CLO_PG_NUM_REFUSED)) {
        ExplainPropertyText("Close Refusal", clo_pg_scan_text(plan->fdw_private), es);
        return;
    }
    ExplainPropertyText("Close Call", readable(clo_pg_scan_text(plan->fdw_private)), es);
    if (es->verbose)
        explain_values(plan, es);
    if (!es->analyze || !clo_pg_scan_stats(node, &s))
        return;
    ExplainPropertyInteger("Close Requests", NULL, s.requests, es);
    if (s.retries > 0 || es->format != EXPLAIN_FORMAT_TEXT)
        ExplainPropertyInteger("Close Retries", NULL, s.retries, es);
    if (s.cache_hits > 0 || es->format != EXPLAIN_FORMAT_TEXT)
        ExplainPropertyInteger("Close Cache Hits", NULL, s.cache_hits, es);
    ExplainPropertyInteger("Close Bytes", NULL, s.bytes_in, es);
    ExplainPropertyInteger("Close Rows Received", NULL, s.rows_received, es);
    if (es->verbose)
        ExplainPropertyInteger("Close Calls in Flight", NULL, s.max_in_flight, es);
}

static const char *
writer(const clo_table *table, CmdType operation)
{
    return operation == CMD_INSERT   ? table->create
           : operation == CMD_UPDATE ? table->update
                                     : table->remove;
}

void
clo_pg_explain_modify(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private, int index,
                      ExplainState *es)
{
    const clo_pg_modify *m = rri->ri_FdwState;
    const clo_pg_table *t =
        m != NULL ? m->t : clo_pg_table_open(RelationGetRelid(rri->ri_RelationDesc));
    const char *tool = writer(t->table, mtstate->operation);

    (void)fdw_private;
    (void)index;
    if (tool != NULL)
        ExplainPropertyText("Close Call", tool, es);
    if (es->analyze && m != NULL)
        ExplainPropertyInteger("Close Requests", NULL, m->calls, es);
}
