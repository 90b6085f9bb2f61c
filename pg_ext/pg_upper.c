/*
 * pg_upper.c - what is above a scan and can go to the service with it: LIMIT and OFFSET, the order
 * below them, and count(*).
 *
 * Only over a single foreign table, and only when the core says that every condition is exact: a
 * limit that is applied before a filter loses rows, which is the most common fault of wrappers. The
 * order alone needs nothing here: pg_plan.c offers scans that are already sorted.
 *
 * The path for LIMIT is a scan of the base relation that replaces the Limit node; the one for
 * count(*) has no relation below it and returns the number as its only column.
 */
#include "pg.h"

#include <math.h>

#define COUNT_STAR_OID 2803 /* count(), fixed since ever; fmgroids.h names it only from 14 on */
#define COUNT_ANY_OID 2147  /* count("any") */
#define SMALL_PAGE 50       /* rows of one request where the table's page is not known */

/* The scanned relation when `rel` is one of ours with nothing above it. */
static clo_pg_rel *
scanned(RelOptInfo *rel)
{
    return rel->reloptkind == RELOPT_BASEREL && bms_is_empty(rel->lateral_relids) ? rel->fdw_private
                                                                                  : NULL;
}

/* LIMIT ALL asks for nothing. */
static Node *
effective(Node *expression)
{
    const Const *c = (const Const *)expression;

    return c != NULL && IsA(c, Const) && c->constisnull ? NULL : expression;
}

/* Neither does OFFSET 0. */
static Node *
effective_offset(Node *expression)
{
    const Const *c = (const Const *)effective(expression);

    return c != NULL && IsA(c, Const) && DatumGetInt64(c->constvalue) == 0 ? NULL
                                                                           : effective(expression);
}

static void
remember_order(RelOptInfo *input, RelOptInfo *output)
{
    clo_pg_rel *r = scanned(input);
    clo_pg_rel *above;

    if (r == NULL)
        return;
    above = palloc(sizeof *above);
    *above = *r;
    above->ordered = true;
    output->fdw_private = above;
}

static void
limit_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output,
           const FinalPathExtraData *extra)
{
    Query *parse = root->parse;
    bool ordered = input->reloptkind == RELOPT_UPPER_REL && input->fdw_private != NULL &&
                   ((clo_pg_rel *)input->fdw_private)->ordered;
    clo_pg_rel *r = ordered ? input->fdw_private : scanned(input);
    clo_pg_ask ask = {.rel = r};
    clo_pg_choice *choice;
    Cost startup, total;
    double rows;
    clo_err err;

    if (r == NULL || parse->commandType != CMD_SELECT || parse->rowMarks != NIL ||
        parse->hasTargetSRFs || !extra->limit_needed ||
        parse->limitOption == LIMIT_OPTION_WITH_TIES)
        return;
    ask.conds = r->conds;
    ask.complete = r->complete;
    ask.pathkeys = ordered ? root->sort_pathkeys : NIL;
    ask.limit = effective(parse->limitCount);
    ask.offset = effective_offset(parse->limitOffset);
    if (clo_pg_choose(r->base, &ask, &choice, &err) != CLO_OK ||
        (ask.limit != NULL && !choice->plan.limit) ||
        (ask.offset != NULL && !choice->plan.offset) ||
        (ask.pathkeys != NIL && !choice->plan.sorted))
        return;
    rows = Max(r->base->rows - (double)Max(extra->offset_est, 0), 1);
    if (ask.limit != NULL && extra->count_est > 0)
        rows = Min(rows, (double)extra->count_est);
    /* Whole pages: a fraction of a request would make LIMIT 30 dearer here than above the scan,
     * where the executor stops early but the scan has asked for pages ahead. */
    choice->plan.requests =
        Min(choice->plan.requests, ceil(rows / Max(r->t->table->page_max, SMALL_PAGE)));
    clo_pg_cost(choice, rows, r->base->reltarget->width, &startup, &total);
    add_path(output,
             (Path *)clo_pg_upper_path(root, r->base, root->upper_targets[UPPERREL_FINAL], rows,
                                       startup, total, ask.pathkeys, list_make1(choice)));
}

/* count(*), or count of something that is never NULL. */
static bool
is_row_count(Node *node)
{
    Aggref *agg = (Aggref *)node;

    if (!IsA(agg, Aggref) || agg->aggfilter != NULL || agg->aggdistinct != NIL ||
        agg->aggorder != NIL || agg->aggsplit != AGGSPLIT_SIMPLE)
        return false;
    if (agg->aggfnoid == COUNT_STAR_OID)
        return true;
    if (agg->aggfnoid == COUNT_ANY_OID && list_length(agg->args) == 1) {
        Node *arg = (Node *)((TargetEntry *)linitial(agg->args))->expr;

        return IsA(arg, Const) && !((Const *)arg)->constisnull;
    }
    return false;
}

static void
count_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output,
           const GroupPathExtraData *extra)
{
    Query *parse = root->parse;
    clo_pg_rel *r = scanned(input);
    clo_pg_ask ask = {.rel = r, .count = true};
    clo_pg_choice *choice;
    Cost startup, total;
    ListCell *cell;
    clo_err err;

    if (r == NULL || parse->groupClause != NIL || parse->groupingSets != NIL ||
        extra->havingQual != NULL || output->reltarget->exprs == NIL)
        return;
    foreach (cell, output->reltarget->exprs)
        if (!is_row_count(lfirst(cell)))
            return;
    ask.conds = r->conds;
    ask.complete = r->complete;
    if (clo_pg_choose(r->base, &ask, &choice, &err) != CLO_OK ||
        choice->plan.access != CLO_BY_COUNT)
        return;
    clo_pg_cost(choice, 0, 0, &startup, &total);
    output->fdw_private = NULL; /* nothing is pushed above a count */
    add_path(output, (Path *)clo_pg_upper_path(root, output, output->reltarget, 1, startup, total,
                                               NIL, list_make1(choice)));
}

void
clo_pg_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
                   RelOptInfo *output, void *extra)
{
    switch (stage) {
    case UPPERREL_ORDERED:
        remember_order(input, output);
        break;
    case UPPERREL_FINAL:
        limit_path(root, input, output, extra);
        break;
    case UPPERREL_GROUP_AGG:
        count_path(root, input, output, extra);
        break;
    default:
        break;
    }
}
