/*
 * pg_qual.c - which conditions of a query the core can understand.
 *
 * This file decides what a clause means and nothing else; whether it is sent is the core's
 * decision. A clause is translated only when it means in SQL exactly what the core means by it:
 *
 *      column = value      the operator is the default btree equality of the column's natural
 *      type, the column < value      value's type compares without conversion, and for text the
 *      collation is
 *                          deterministic, so that equality is equality of bytes
 *      column = ANY(array) the same for the elements
 *      column IS NULL
 *      flag, NOT flag      and the forms IS TRUE, IS FALSE
 *
 * "value" is any expression without columns of this table and without volatile functions: a
 * constant, a parameter, now(), or a column of another table (then it is known only in a
 * parameterised path).
 *
 * Everything else becomes OTHER for each column that it reads, which is how the core learns that a
 * parameter column is used in a way that has no answer.
 *
 * Rejected: comparing operators by name (a user's own "=" is no equality), and pushing text with
 * <, > (the service's order of texts is not ours).
 */
#include "pg.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/typcache.h"

static Node *
strip_relabel(Node *node)
{
    while (node != NULL && IsA(node, RelabelType))
        node = (Node *)((RelabelType *)node)->arg;
    return node;
}

int
clo_pg_column_of(const clo_pg_table *t, RelOptInfo *rel, Node *node)
{
    Var *var = (Var *)strip_relabel(node);

    if (var == NULL || !IsA(var, Var) || var->varno != (clo_pg_varno)rel->relid ||
        var->varlevelsup != 0 || var->varattno <= 0 || var->varattno > t->n_atts)
        return -1;
    return t->column[var->varattno - 1];
}

/* Whether `node` can be computed before a row of `rel` is there. */
static bool
is_value(RelOptInfo *rel, Node *node)
{
    Bitmapset *own = NULL;

    pull_varattnos(node, rel->relid, &own);
    return bms_is_empty(own) && !contain_volatile_functions(node) && !contain_subplans(node);
}

/* The btree meaning of `opno` for the column's own type. */
static bool
operator_meaning(Oid opno, Oid type, clo_op *op)
{
    TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);

    if (!OidIsValid(cache->btree_opf))
        return false;
    switch (get_op_opfamily_strategy(opno, cache->btree_opf)) {
    case BTLessStrategyNumber:
        *op = CLO_OP_LT;
        return true;
    case BTLessEqualStrategyNumber:
        *op = CLO_OP_LE;
        return true;
    case BTEqualStrategyNumber:
        *op = CLO_OP_EQ;
        return true;
    case BTGreaterEqualStrategyNumber:
        *op = CLO_OP_GE;
        return true;
    case BTGreaterStrategyNumber:
        *op = CLO_OP_GT;
        return true;
    default:
        return false;
    }
}

static bool
meaning(const clo_pg_table *t, int column, Node *column_node, Oid opno, Oid collation,
        Oid value_type, clo_op *op)
{
    clo_type want = t->table->columns[column].type;
    Oid type = exprType(strip_relabel(column_node));

    if (!clo_pg_comparable(type, want) || !clo_pg_comparable(value_type, want) ||
        !operator_meaning(opno, type, op))
        return false;
    if (want == CLO_T_TEXT)
        return *op == CLO_OP_EQ && OidIsValid(collation) &&
               get_collation_isdeterministic(collation);
    return true;
}

static clo_pg_cond *
condition(RestrictInfo *rinfo, int column, clo_op op, Expr *value)
{
    clo_pg_cond *c = palloc0(sizeof *c);

    c->rinfo = rinfo;
    c->column = column;
    c->op = op;
    c->value = value;
    c->usable = true;
    return c;
}

/* column op value, in either order. */
static clo_pg_cond *
from_operator(const clo_pg_table *t, RelOptInfo *rel, RestrictInfo *rinfo, OpExpr *e)
{
    for (int side = 0; side < 2 && list_length(e->args) == 2; side++) {
        Node *node = list_nth(e->args, side);
        Node *value = list_nth(e->args, 1 - side);
        int column = clo_pg_column_of(t, rel, node);
        Oid opno = side == 0 ? e->opno : get_commutator(e->opno);
        clo_op op;

        if (column >= 0 && OidIsValid(opno) && is_value(rel, value) &&
            meaning(t, column, node, opno, e->inputcollid, exprType(value), &op))
            return condition(rinfo, column, op, (Expr *)value);
    }
    return NULL;
}

/* column = ANY (array) */
static clo_pg_cond *
from_array(const clo_pg_table *t, RelOptInfo *rel, RestrictInfo *rinfo, ScalarArrayOpExpr *e)
{
    Node *node = linitial(e->args);
    Node *value = lsecond(e->args);
    int column = clo_pg_column_of(t, rel, node);
    clo_op op;

    if (column < 0 || !e->useOr || !is_value(rel, value) ||
        !meaning(t, column, node, e->opno, e->inputcollid, get_base_element_type(exprType(value)),
                 &op) ||
        op != CLO_OP_EQ)
        return NULL;
    return condition(rinfo, column, CLO_OP_IN, (Expr *)value);
}

static clo_pg_cond *
from_flag(const clo_pg_table *t, RelOptInfo *rel, RestrictInfo *rinfo, Node *flag, bool value)
{
    int column = clo_pg_column_of(t, rel, flag);

    if (column < 0 || t->table->columns[column].type != CLO_T_BOOL ||
        exprType(strip_relabel(flag)) != BOOLOID)
        return NULL;
    return condition(rinfo, column, CLO_OP_EQ, (Expr *)makeBoolConst(value, false));
}

static clo_pg_cond *
from_clause(const clo_pg_table *t, RelOptInfo *rel, RestrictInfo *rinfo, Node *clause)
{
    switch (nodeTag(clause)) {
    case T_OpExpr:
        return from_operator(t, rel, rinfo, (OpExpr *)clause);
    case T_ScalarArrayOpExpr:
        return from_array(t, rel, rinfo, (ScalarArrayOpExpr *)clause);
    case T_NullTest: {
        NullTest *test = (NullTest *)clause;
        int column = clo_pg_column_of(t, rel, (Node *)test->arg);

        if (test->nulltesttype != IS_NULL || test->argisrow || column < 0)
            return NULL;
        return condition(rinfo, column, CLO_OP_ISNULL, NULL);
    }
    case T_Var:
    case T_RelabelType:
        return from_flag(t, rel, rinfo, clause, true);
    case T_BoolExpr: {
        BoolExpr *e = (BoolExpr *)clause;

        if (e->boolop != NOT_EXPR)
            return NULL;
        return from_flag(t, rel, rinfo, linitial(e->args), false);
    }
    case T_BooleanTest: {
        BooleanTest *test = (BooleanTest *)clause;

        if (test->booltesttype != IS_TRUE && test->booltesttype != IS_FALSE)
            return NULL;
        return from_flag(t, rel, rinfo, (Node *)test->arg, test->booltesttype == IS_TRUE);
    }
    default:
        return NULL;
    }
}

List *
clo_pg_conditions(const clo_pg_table *t, RelOptInfo *rel, RestrictInfo *rinfo, List *list,
                  bool *complete)
{
    clo_pg_cond *c = from_clause(t, rel, rinfo, (Node *)rinfo->clause);
    Bitmapset *attrs = NULL;
    int i = -1;

    if (c != NULL)
        return lappend(list, c);
    *complete = false;
    pull_varattnos((Node *)rinfo->clause, rel->relid, &attrs);
    while ((i = bms_next_member(attrs, i)) >= 0) {
        AttrNumber att = (AttrNumber)(i + FirstLowInvalidHeapAttributeNumber);

        if (att > 0 && att <= t->n_atts && t->column[att - 1] >= 0)
            list = lappend(list, condition(rinfo, t->column[att - 1], CLO_OP_OTHER, NULL));
    }
    return list;
}

/* --- Order ------------------------------------------------------------------------------------ */

static int
pathkey_column(const clo_pg_table *t, RelOptInfo *rel, PathKey *key)
{
    ListCell *cell;

    foreach (cell, key->pk_eclass->ec_members) {
        EquivalenceMember *em = lfirst(cell);
        int column;

        if (em->em_is_child || !bms_equal(em->em_relids, rel->relids))
            continue;
        column = clo_pg_column_of(t, rel, (Node *)em->em_expr);
        if (column >= 0 && clo_pg_comparable(exprType(strip_relabel((Node *)em->em_expr)),
                                             t->table->columns[column].type))
            return column;
    }
    return -1;
}

bool
clo_pg_sorts(const clo_pg_table *t, RelOptInfo *rel, List *pathkeys, clo_sort *sorts, int max,
             size_t *n)
{
    ListCell *cell;

    *n = 0;
    foreach (cell, pathkeys) {
        PathKey *key = lfirst(cell);
        int column = key->pk_eclass->ec_has_volatile ? -1 : pathkey_column(t, rel, key);

        if (column < 0 || (int)*n == max)
            return false;
        sorts[*n].column = column;
        sorts[(*n)++].desc = clo_pg_descends(key);
    }
    return true;
}
