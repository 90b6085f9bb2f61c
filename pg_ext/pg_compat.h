/*
 * pg_compat.h - what differs between PostgreSQL 13 and 19, and nothing else.
 *
 * The rest of pg_ext/ is written against the newest names; this header lets older servers
 * understand them. Each item says from which version the newer form exists.
 */
#ifndef CLO_PG_COMPAT_H
#define CLO_PG_COMPAT_H

#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "foreign/foreign.h"
#include "nodes/execnodes.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/sampling.h"

#if PG_VERSION_NUM < 130000 || PG_VERSION_NUM >= 200000
#error "Close in SQL supports PostgreSQL 13 to 19"
#endif

/* 14: batch inserts, row identity columns that are added through the planner, a header for wait
 * events, and partitions that know the relation which the statement names (before, they carry its
 * index). Targets_vars declares what the planner gives in each version: the query and the index of
 * its target. */
#if PG_VERSION_NUM >= 140000
#include "optimizer/appendinfo.h"
#include "utils/wait_event.h"
#define clo_pg_named(rri) ((rri)->ri_RangeTableIndex > 0 ? (rri) : (rri)->ri_RootResultRelInfo)
#define CLO_PG_HAS_BATCH 1
#define CLO_PG_UPDATE_TARGETS_ARGS                                                                 \
    PlannerInfo *root, Index rtindex, RangeTblEntry *target_rte, Relation target_relation
#define clo_pg_targets_vars Query *query = root->parse
#define clo_pg_add_junk(var, name) add_row_identity_var(root, var, rtindex, name)
/* As the planner makes it itself for tables with row triggers: one name, one definition. */
#define clo_pg_whole_row()                                                                         \
    makeVar((clo_pg_varno)rtindex, InvalidAttrNumber, RECORDOID, -1, InvalidOid, 0)
#define clo_pg_subplan(mtstate, index) ((void)(index), outerPlanState(mtstate)->plan)
#define clo_pg_simple_insert(target, estate, slot) ExecSimpleRelationInsert(target, estate, slot)
#else
#include "nodes/makefuncs.h"
#define clo_pg_named(rri) (rri)
#define CLO_PG_HAS_BATCH 0
#define CLO_PG_UPDATE_TARGETS_ARGS Query *query, RangeTblEntry *target_rte, Relation target_relation
#define clo_pg_targets_vars Index rtindex = (Index)query->resultRelation
static inline void
clo_pg_append_junk(Query *query, Var *var, const char *name)
{
    AttrNumber n = (AttrNumber)(list_length(query->targetList) + 1);

    query->targetList =
        lappend(query->targetList, makeTargetEntry((Expr *)var, n, pstrdup(name), true));
}
#define clo_pg_add_junk(var, name) clo_pg_append_junk(query, var, name)
#define clo_pg_whole_row() makeWholeRowVar(target_rte, rtindex, 0, false)
#define clo_pg_subplan(mtstate, index) ((mtstate)->mt_plans[index]->plan)
#define clo_pg_simple_insert(target, estate, slot)                                                 \
    ((estate)->es_result_relation_info = (target), ExecSimpleRelationInsert(estate, slot))
#endif

/* Macros, and so asked for by name. */
#ifndef list_make5_int
#define list_make5_int(a, b, c, d, e) lappend_int(list_make4_int(a, b, c, d), e)
#endif
#ifndef strtoi64
#define strtoi64(text, end, base) ((int64)strtoll(text, end, base))
#endif

/* 15: the random state of samplers is passed by address; variables carry signed range table
 * indexes; a prefix can be reserved. Before, a session may set any name below the prefix, without
 * effect; a name that would be misunderstood is therefore taken by a variable that nobody can
 * change. */
#if PG_VERSION_NUM >= 150000
typedef int clo_pg_varno;
#define clo_pg_sample_fract(rs) sampler_random_fract(&(rs)->randstate)
#define clo_pg_reserve_prefix(name) MarkGUCPrefixReserved(name)
#define clo_pg_refuse_setting(name, doc, value) ((void)(name))
#else
#define clo_pg_sample_fract(rs) sampler_random_fract((rs)->randstate)
#define clo_pg_reserve_prefix(name) EmitWarningsOnPlaceholders(name)
#define clo_pg_refuse_setting(name, doc, value)                                                    \
    DefineCustomStringVariable(name, doc, NULL, value, NULL, PGC_INTERNAL, GUC_NO_SHOW_ALL, NULL,  \
                               NULL, NULL)
typedef Index clo_pg_varno;
#endif

/* 15: shared memory is asked for in a hook, before while libraries are loaded; analysis says in its
 * name that the types of parameters are given. */
#if PG_VERSION_NUM >= 150000
#define CLO_PG_HAS_SHMEM_HOOK 1
#define clo_pg_analyze_text(raw, sql) pg_analyze_and_rewrite_fixedparams(raw, sql, NULL, 0, NULL)
#else
#define CLO_PG_HAS_SHMEM_HOOK 0
#define clo_pg_analyze_text(raw, sql) pg_analyze_and_rewrite(raw, sql, NULL, 0, NULL)
#endif

/* 16: the user whose rights count travels in the plan, and so do sets without outer joins. */
#if PG_VERSION_NUM >= 160000
#include "optimizer/inherit.h"
#include "parser/parse_relation.h"
#define clo_pg_server_aclcheck(server, user)                                                       \
    object_aclcheck(ForeignServerRelationId, server, user, ACL_USAGE)
#define clo_pg_function_aclcheck(function, user)                                                   \
    object_aclcheck(ProcedureRelationId, function, user, ACL_EXECUTE)
#define clo_pg_table_ownercheck(relation, user)                                                    \
    object_ownercheck(RelationRelationId, relation, user)
#define clo_pg_scan_relids(fsplan) ((fsplan)->fs_base_relids)
#define clo_pg_scan_user(fsplan, rte) ((fsplan)->checkAsUser)
#define clo_pg_modify_user(rri, rte, estate) ExecGetResultRelCheckAsUser(rri, estate)
#define clo_pg_updated_cols(root, rti)                                                             \
    get_rel_all_updated_cols(root, find_base_rel(root, (int)(rti)))
static inline Oid
clo_pg_rte_user(PlannerInfo *root, RangeTblEntry *rte)
{
    return rte->perminfoindex == 0
               ? InvalidOid
               : getRTEPermissionInfo(root->parse->rteperminfos, rte)->checkAsUser;
}
#else
#define clo_pg_server_aclcheck(server, user) pg_foreign_server_aclcheck(server, user, ACL_USAGE)
#define clo_pg_function_aclcheck(function, user) pg_proc_aclcheck(function, user, ACL_EXECUTE)
#define clo_pg_table_ownercheck(relation, user) pg_class_ownercheck(relation, user)
#define clo_pg_scan_relids(fsplan) ((fsplan)->fs_relids)
#define clo_pg_scan_user(fsplan, rte) ((rte)->checkAsUser)
#define clo_pg_modify_user(rri, rte, estate) ((rte)->checkAsUser)
#define clo_pg_updated_cols(root, rti) (planner_rt_fetch((int)(rti), root)->updatedCols)
static inline Oid
clo_pg_rte_user(PlannerInfo *root, RangeTblEntry *rte)
{
    (void)root;
    return rte->checkAsUser;
}
#endif

/* 17: path constructors take restrictions that were checked elsewhere, 18: and how many of their nodes are
 * disabled, before the costs. */
#if PG_VERSION_NUM >= 180000
#define clo_pg_scan_path(root, rel, target, rows, startup, total, keys, outer, priv)               \
    create_foreignscan_path(root, rel, target, rows, 0, startup, total, keys, outer, NULL, NIL,    \
                            priv)
#define clo_pg_upper_path(root, rel, target, rows, startup, total, keys, priv)                     \
    create_foreign_upper_path(root, rel, target, rows, 0, startup, total, keys, NULL, NIL, priv)
#elif PG_VERSION_NUM >= 170000
#define clo_pg_scan_path(root, rel, target, rows, startup, total, keys, outer, priv)               \
    create_foreignscan_path(root, rel, target, rows, startup, total, keys, outer, NULL, NIL, priv)
#define clo_pg_upper_path(root, rel, target, rows, startup, total, keys, priv)                     \
    create_foreign_upper_path(root, rel, target, rows, startup, total, keys, NULL, NIL, priv)
#else
#define clo_pg_scan_path(root, rel, target, rows, startup, total, keys, outer, priv)               \
    create_foreignscan_path(root, rel, target, rows, startup, total, keys, outer, NULL, priv)
#define clo_pg_upper_path(root, rel, target, rows, startup, total, keys, priv)                     \
    create_foreign_upper_path(root, rel, target, rows, startup, total, keys, NULL, priv)
#endif

/* 17: named wait events; a relation that is open is asked for its sequence. */
#if PG_VERSION_NUM >= 170000
#define clo_pg_wait_event() WaitEventExtensionNew("CloseRequest")
#define clo_pg_identity_sequence(table, column) getIdentitySequence(table, column, false)
#else
#define clo_pg_wait_event() PG_WAIT_EXTENSION
#define clo_pg_identity_sequence(table, column)                                                    \
    getIdentitySequence(RelationGetRelid(table), column, false)
#endif

/* 18: sort keys name the comparison instead of its number in a btree; what writes EXPLAIN has headers of
 * its own; portals are not told that they run once. */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#define clo_pg_descends(key) ((key)->pk_cmptype == COMPARE_GT)
#define clo_pg_portal_run(portal, dest, qc) PortalRun(portal, FETCH_ALL, true, dest, dest, qc)
#else
#include "commands/explain.h"
#define clo_pg_descends(key) ((key)->pk_strategy == BTGreaterStrategyNumber)
#define clo_pg_portal_run(portal, dest, qc) PortalRun(portal, FETCH_ALL, true, true, dest, dest, qc)
#endif

#endif
