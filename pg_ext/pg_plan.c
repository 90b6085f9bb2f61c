/*
 * pg_plan.c - paths and plans of a foreign table.
 *
 * The core decides how a question is answered (clo_plan_make); this file asks it the questions
 * that the planner could put: the table with its own conditions, the same in the order that the
 * query wants, and once per set of other tables that could supply values for a join (parameterised
 * paths, which turn a join on id into single lookups). The answers become paths with costs in
 * requests.
 *
 * From path to executor a plan travels as one line of text (clo_plan_encode) in fdw_private, next
 * to the expressions of its values in fdw_exprs: slots first, then LIMIT and OFFSET. Conditions
 * that the core calls exact are dropped from the local filter and kept as recheck conditions only.
 *
 * A parameter column (close_leads.query) without a value has no answer. When some join order could
 * supply it, the plain path is still offered, at a price that loses to any other, and refuses when
 * executed: the planner must always find a plan, and the user must read why this one can't work.
 *
 * Costs. A request is worth REQUEST_COST units, some tens of milliseconds in the scale where a
 * page from disk is 1; a row is worth its transfer and parsing. Calls of one scan overlap in time,
 * but they are counted in full, since they use up the account's rate.
 *
 * A nested loop over single lookups makes at most about twice the calls of the best plan, whatever its
 * length (lookup.c), so its price has a ceiling. A hash join over the whole table is better for many keys and
 * has no bound for few. Where the backend only guesses how many there are - it takes a small table
 * that was never analyzed for ten pages full - the loop is priced by the rows that are there for sure.
 */
#include "pg.h"

#include "access/table.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "storage/bufmgr.h"

#define REQUEST_COST 400.0
#define ROW_COST 0.5
#define FIRST_PAGE 100.0
#define REFUSED_COST 1e9
#define FEW_REQUESTS 2

/* --- Questions -------------------------------------------------------------------------------- */

/* Parameter columns count as read only when a condition names them: an output column that nothing
 * binds shows NULL, "no such condition". */
static void
add_bound_params(const clo_table *table, const clo_question *q, clo_colset *needed)
{
    for (size_t i = 0; i < q->n_quals; i++)
        if (table->columns[q->quals[i].column].flags & CLO_C_PARAM)
            clo_colset_add(needed, q->quals[i].column);
}

clo_status
clo_pg_choose(RelOptInfo *rel, const clo_pg_ask *ask, clo_pg_choice **choice, clo_err *err)
{
    int n = list_length(ask->conds);
    clo_pg_table *t = ask->rel->t;
    clo_pg_choice *c = palloc0(sizeof *c);
    clo_qual *quals = palloc0(sizeof *quals * (size_t)Max(n, 1));
    clo_sort sorts[CLO_PG_MAX_SORTS];
    clo_question q = {.table = t->table,
                      .quals = quals,
                      .n_quals = (size_t)n,
                      .sorts = sorts,
                      .complete = ask->complete,
                      .has_limit = ask->limit != NULL,
                      .has_offset = ask->offset != NULL,
                      .count_only = ask->count};

    c->relation = t->relation;
    c->n_conds = n;
    c->conds = palloc0(sizeof *c->conds * (size_t)Max(n, 1));
    for (int i = 0; i < n; i++) {
        c->conds[i] = *(clo_pg_cond *)list_nth(ask->conds, i);
        quals[i].column = c->conds[i].column;
        quals[i].op = c->conds[i].op;
        quals[i].usable = c->conds[i].usable;
    }
    if (!ask->count)
        q.needed = ask->rel->needed;
    add_bound_params(t->table, &q, &q.needed);
    if (!clo_pg_sorts(t, rel, ask->pathkeys, sorts, CLO_PG_MAX_SORTS, &q.n_sorts))
        return clo_err_set(err, CLO_E_ARG, "an order that the service does not know");
    c->limit = ask->limit;
    c->offset = ask->offset;
    *choice = c;
    return clo_plan_make(clo_pg_client_peek(ask->rel->user, t->server), &q, &c->plan, err);
}

void
clo_pg_cost(const clo_pg_choice *choice, double rows, double width, Cost *startup, Cost *total)
{
    double per_row = ROW_COST + width * cpu_operator_cost / 10;

    *startup = REQUEST_COST + Min(rows, FIRST_PAGE) * per_row;
    *total = REQUEST_COST * Max(choice->plan.requests, 1) + rows * per_row;
    if (choice->refusal != NULL)
        *total += REFUSED_COST;
    *total = Max(*total, *startup);
}

/* --- Size ------------------------------------------------------------------------------------- */

static void
collect_needed(RelOptInfo *rel, clo_pg_rel *r)
{
    Bitmapset *attrs = NULL;
    ListCell *cell;

    pull_varattnos((Node *)rel->reltarget->exprs, rel->relid, &attrs);
    foreach (cell, rel->baserestrictinfo)
        pull_varattnos((Node *)((RestrictInfo *)lfirst(cell))->clause, rel->relid, &attrs);
    clo_pg_columns_of(r->t, attrs, &r->needed);
}

static bool
is_exact(const clo_pg_choice *choice, const RestrictInfo *rinfo)
{
    for (int i = 0; i < choice->plan.n_slots; i++)
        if (choice->plan.slots[i].exact && choice->conds[choice->plan.slots[i].qual].rinfo == rinfo)
            return choice->refusal == NULL;
    return false;
}

/* Rows that a path delivers. After ANALYZE the backend's statistics know best (`by_statistics`);
 * without it they would take half a percent for any equality, while the core knows what its
 * parameters are about. The local conditions count on top. */
static double
path_rows(PlannerInfo *root, RelOptInfo *rel, const clo_pg_choice *choice, List *clauses,
          double by_statistics)
{
    const clo_pg_rel *r = rel->fdw_private;
    List *local = NIL;
    ListCell *cell;

    if (choice->plan.unique)
        return 1;
    if (r->analyzed)
        return by_statistics;
    foreach (cell, clauses)
        if (!is_exact(choice, lfirst(cell)))
            local = lappend(local, lfirst(cell));
    return clamp_row_est(choice->plan.rows *
                         clauselist_selectivity(root, local, (int)rel->relid, JOIN_INNER, NULL));
}

/* Rows of the whole table: from ANALYZE, else what the client has learnt, else the catalogue's
 * guess. */
static double
table_rows(RelOptInfo *rel, clo_pg_rel *r)
{
    clo_pg_ask ask = {.rel = r, .complete = true};
    clo_pg_choice *choice;
    clo_err err;

    if (rel->tuples > 0)
        return rel->tuples;
    if (clo_pg_choose(rel, &ask, &choice, &err) != CLO_OK)
        return r->t->table->guess_rows;
    return choice->plan.rows;
}

void
clo_pg_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relation)
{
    clo_pg_rel *r = palloc0(sizeof *r);
    clo_pg_ask ask = {.rel = r};
    clo_pg_choice *choice;
    ListCell *cell;
    clo_err err;

    rel->fdw_private = r;
    r->t = clo_pg_table_open(relation);
    r->base = rel;
    r->user = clo_pg_rte_user(root, planner_rt_fetch((int)rel->relid, root));
    if (!OidIsValid(r->user))
        r->user = GetUserId();
    collect_needed(rel, r);
    r->complete = true;
    foreach (cell, rel->baserestrictinfo)
        r->conds = clo_pg_conditions(r->t, rel, lfirst(cell), r->conds, &r->complete);
    r->analyzed = rel->tuples > 0;
    r->total_rows = clamp_row_est(table_rows(rel, r));
    rel->tuples = r->total_rows;
    set_baserel_size_estimates(root, rel);
    ask.conds = r->conds;
    if (clo_pg_choose(rel, &ask, &choice, &err) == CLO_OK)
        rel->rows = path_rows(root, rel, choice, rel->baserestrictinfo, rel->rows);
}

/* --- Paths ------------------------------------------------------------------------------------ */

/* Of the rows that the planner expects of `rel`, those that an unanalyzed table surely has: its last page
 * may hold one row. */
static double
sure_rows(PlannerInfo *root, RelOptInfo *rel)
{
    RangeTblEntry *rte = planner_rt_fetch((int)rel->relid, root);
    Relation relation;
    double sure = rel->tuples;

    if (rte->rtekind != RTE_RELATION || rel->pages == 0 ||
        (rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_MATVIEW))
        return rel->rows;
    relation = table_open(rte->relid, NoLock); /* the planner holds a lock */
    if (relation->rd_rel->reltuples <= 0 && relation->rd_rel->relpages == 0) {
        double blocks = RelationGetNumberOfBlocks(relation);

        sure = Max(blocks - 1, 0) * rel->tuples / rel->pages;
    }
    table_close(relation, NoLock);
    return rel->tuples > 0 ? Max(1, rel->rows * Min(1, sure / rel->tuples)) : rel->rows;
}

/* How often a parameterised path runs, as the planner sees it, and how often it surely will. Several
 * outer tables count as the one with the fewest rows, which is how the backend prices its own. */
static void
count_loops(PlannerInfo *root, Relids outer, double *loops, double *sure)
{
    int relid = -1;

    *loops = *sure = 0;
    while ((relid = bms_next_member(outer, relid)) >= 0) {
        RelOptInfo *rel = root->simple_rel_array[relid];

        if (rel == NULL || rel->rows <= 0 || (*loops > 0 && rel->rows >= *loops))
            continue;
        *loops = rel->rows;
        *sure = rel->reloptkind == RELOPT_BASEREL ? sure_rows(root, rel) : rel->rows;
    }
}

/* What the requests of one run of a path in a loop cost. */
static Cost
looped_cost(PlannerInfo *root, const clo_pg_choice *choice, Relids outer)
{
    double calls, loops, sure;

    count_loops(root, outer, &loops, &sure);
    calls = Max(choice->plan.requests, 1) * sure;
    if (loops <= 0 || choice->plan.walk <= FEW_REQUESTS)
        return REQUEST_COST * Max(choice->plan.requests, 1);
    return REQUEST_COST * Min(calls, 2 * choice->plan.walk) / loops;
}

static void
offer(PlannerInfo *root, RelOptInfo *rel, clo_pg_choice *choice, double rows, List *pathkeys,
      Relids outer)
{
    Cost startup, total;

    clo_pg_cost(choice, rows, rel->reltarget->width, &startup, &total);
    if (choice->plan.walk > 0 && !bms_is_empty(outer)) {
        Cost whole = REQUEST_COST * Max(choice->plan.requests, 1);
        Cost share = looped_cost(root, choice, outer);

        total = Max(total - whole, 0) + share;
        startup = Min(startup, total);
    }
    add_path(rel, (Path *)clo_pg_scan_path(root, rel, NULL, rows, startup, total, pathkeys, outer,
                                           list_make1(choice)));
}

static bool
member_is_column(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec, EquivalenceMember *em,
                 void *arg)
{
    (void)root;
    (void)ec;
    return clo_pg_column_of(((clo_pg_rel *)rel->fdw_private)->t, rel, (Node *)em->em_expr) ==
           *(int *)arg;
}

/* Join clauses that mention this table: those of joininfo, and those that equivalence classes
 * imply for each of its columns. */
static List *
join_clauses(PlannerInfo *root, RelOptInfo *rel, const clo_pg_rel *r)
{
    List *clauses = list_copy(rel->joininfo);

    for (int i = 0; rel->has_eclass_joins && i < r->t->n_atts; i++) {
        int column = r->t->column[i];

        if (column >= 0)
            clauses = list_concat(
                clauses, generate_implied_equalities_for_column(root, rel, member_is_column,
                                                                &column, rel->lateral_referencers));
    }
    return clauses;
}

/* Conditions of join clauses as this table sees them without values of the others. */
static List *
waiting_conditions(const clo_pg_rel *r, RelOptInfo *rel, List *clauses)
{
    bool complete = true;
    List *list = NIL;
    ListCell *cell;

    foreach (cell, clauses)
        list = clo_pg_conditions(r->t, rel, lfirst(cell), list, &complete);
    foreach (cell, list)
        ((clo_pg_cond *)lfirst(cell))->usable = ((clo_pg_cond *)lfirst(cell))->op == CLO_OP_OTHER;
    return list;
}

static bool
binds(List *conds, int column)
{
    ListCell *cell;

    foreach (cell, conds) {
        clo_pg_cond *c = lfirst(cell);

        if (c->column == column && c->usable && (c->op == CLO_OP_EQ || c->op == CLO_OP_IN))
            return true;
    }
    return false;
}

/* `bound` and those of `waiting` whose column it leaves open. */
static List *
with_waiting(List *bound, List *waiting)
{
    List *list = list_copy(bound);
    ListCell *cell;

    foreach (cell, waiting)
        if (!binds(bound, ((clo_pg_cond *)lfirst(cell))->column))
            list = lappend(list, lfirst(cell));
    return list;
}

/* The table by itself. */
static void
plain_paths(PlannerInfo *root, RelOptInfo *rel, clo_pg_rel *r, List *waiting)
{
    clo_pg_ask ask = {.rel = r,
                      .conds = with_waiting(r->conds, waiting),
                      .complete = r->complete && waiting == NIL};
    clo_pg_choice *choice;
    clo_err err;
    clo_status status = clo_pg_choose(rel, &ask, &choice, &err);

    if (status == CLO_ERROR)
        clo_pg_throw(&err);
    if (status == CLO_AGAIN) {
        ListCell *cell;

        foreach (cell, ask.conds) /* the same again as if it had no value: the core says why not */
            if (!((clo_pg_cond *)lfirst(cell))->usable)
                ((clo_pg_cond *)lfirst(cell))->op = CLO_OP_OTHER;
        (void)clo_pg_choose(rel, &ask, &choice, &err);
        choice->plan = (clo_plan){.order = -1};
        choice->refusal = pstrdup(clo_pg_local(err.msg));
    }
    offer(root, rel, choice, rel->rows, NIL, rel->lateral_relids);
    if (choice->refusal != NULL || root->query_pathkeys == NIL)
        return;
    ask.pathkeys = root->query_pathkeys;
    if (clo_pg_choose(rel, &ask, &choice, &err) == CLO_OK && choice->plan.sorted)
        offer(root, rel, choice, rel->rows, root->query_pathkeys, rel->lateral_relids);
}

/* Whether the plan sends a value that comes from the join, which is all that the path is for. */
static bool
uses_join(const clo_pg_choice *choice, int first_join_cond)
{
    for (int i = 0; i < choice->plan.n_slots; i++)
        if (choice->plan.slots[i].qual >= first_join_cond)
            return true;
    return false;
}

static void
joined_path(PlannerInfo *root, RelOptInfo *rel, clo_pg_rel *r, ParamPathInfo *info, List *waiting)
{
    clo_pg_ask ask = {.rel = r};
    List *bound = list_copy(r->conds);
    bool complete = true;
    clo_pg_choice *choice;
    ListCell *cell;
    clo_err err;
    double rows;

    foreach (cell, info->ppi_clauses)
        bound = clo_pg_conditions(r->t, rel, lfirst(cell), bound, &complete);
    ask.conds = with_waiting(bound, waiting);
    if (clo_pg_choose(rel, &ask, &choice, &err) != CLO_OK ||
        !uses_join(choice, list_length(r->conds)))
        return;
    rows = path_rows(root, rel, choice, list_concat_copy(rel->baserestrictinfo, info->ppi_clauses),
                     info->ppi_rows);
    info->ppi_rows = rows;
    offer(root, rel, choice, rows, NIL, info->ppi_req_outer);
}

static void
joined_paths(PlannerInfo *root, RelOptInfo *rel, clo_pg_rel *r, List *clauses, List *waiting)
{
    Relids all = NULL;
    List *infos = NIL;
    ListCell *cell;

    foreach (cell, clauses) {
        RestrictInfo *rinfo = lfirst(cell);
        Relids outer;

        if (!join_clause_is_movable_to(rinfo, rel))
            continue;
        outer =
            bms_del_member(bms_union(rinfo->clause_relids, rel->lateral_relids), (int)rel->relid);
        if (bms_is_empty(outer))
            continue;
        all = bms_add_members(all, outer);
        infos = list_append_unique_ptr(infos, get_baserel_parampathinfo(root, rel, outer));
    }
    if (list_length(infos) > 1) /* two parameters may come from two tables */
        infos = list_append_unique_ptr(infos, get_baserel_parampathinfo(root, rel, all));
    foreach (cell, infos)
        joined_path(root, rel, r, lfirst(cell), waiting);
}

void
clo_pg_paths(PlannerInfo *root, RelOptInfo *rel, Oid relation)
{
    clo_pg_rel *r = rel->fdw_private;
    List *clauses = join_clauses(root, rel, r);

    (void)relation;
    joined_paths(root, rel, r, clauses, waiting_conditions(r, rel, clauses));
    plain_paths(root, rel, r, waiting_conditions(r, rel, clauses));
}

/* --- Plans ------------------------------------------------------------------------------------ */

/* The values that the executor computes: slots, then LIMIT and OFFSET where they are pushed. */
static List *
value_expressions(const clo_pg_choice *choice, int *limit, int *offset)
{
    List *list = NIL;

    *limit = *offset = -1;
    for (int i = 0; i < choice->plan.n_slots; i++)
        list = lappend(list, choice->conds[choice->plan.slots[i].qual].value);
    if (choice->plan.limit && choice->limit != NULL) {
        *limit = list_length(list);
        list = lappend(list, choice->limit);
    }
    if (choice->plan.offset && choice->offset != NULL) {
        *offset = list_length(list);
        list = lappend(list, choice->offset);
    }
    return list;
}

static char *
encoded(const clo_pg_choice *choice)
{
    clo_pg_owner *owner = clo_pg_own(CurrentMemoryContext, CLO_PG_TEXT);
    char *copy;
    clo_err err;

    if (choice->refusal != NULL)
        return choice->refusal;
    clo_err_clear(&err);
    clo_pg_own_set(owner, clo_plan_encode(&choice->plan, &err));
    if (clo_pg_owned(owner) == NULL)
        clo_pg_throw(&err);
    copy = pstrdup(clo_pg_owned(owner));
    clo_pg_release(owner);
    return copy;
}

ForeignScan *
clo_pg_plan(PlannerInfo *root, RelOptInfo *rel, Oid relation, ForeignPath *path, List *tlist,
            List *clauses, Plan *outer)
{
    clo_pg_choice *choice = linitial(path->fdw_private);
    bool simple = IS_SIMPLE_REL(rel);
    List *local = NIL, *recheck = NIL, *numbers, *values;
    int limit, offset;
    ListCell *cell;

    (void)root;
    (void)relation;
    foreach (cell, clauses) {
        RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);

        if (rinfo->pseudoconstant) /* a gating node above decides about those */
            continue;
        if (is_exact(choice, rinfo))
            recheck = lappend(recheck, rinfo->clause);
        else
            local = lappend(local, rinfo->clause);
    }
    values = value_expressions(choice, &limit, &offset);
    numbers = list_make5_int((int)choice->relation, choice->plan.n_slots, limit, offset,
                             choice->refusal != NULL);
    StaticAssertStmt(CLO_PG_NUM__COUNT == 5, "numbers as enumerated");
    return make_foreignscan(tlist, local, simple ? rel->relid : 0, values,
                            list_make2(makeString(encoded(choice)), numbers),
                            simple ? NIL : add_to_flat_tlist(NIL, rel->reltarget->exprs), recheck,
                            outer);
}

Oid
clo_pg_scan_oid(const List *fdw_private, clo_pg_scan_number which)
{
    return (Oid)clo_pg_scan_int(fdw_private, which);
}

int
clo_pg_scan_int(const List *fdw_private, clo_pg_scan_number which)
{
    return list_nth_int(list_nth(fdw_private, CLO_PG_SCAN_NUMBERS), (int)which);
}

const char *
clo_pg_scan_text(const List *fdw_private)
{
    return strVal(list_nth(fdw_private, CLO_PG_SCAN_PLAN));
}
