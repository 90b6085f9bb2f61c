/*
 * pg_compat.h - what differs between PostgreSQL 13 and 17, and nothing else.
 *
 * The rest of pg_ext/ is written against the newest names; this header lets older servers
 * understand them. Each item says from which version the newer form exists.
 */
#ifndef CLO_PG_COMPAT_H
#define CLO_PG_COMPAT_H

#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_foreign_server.h"
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

#if PG_VERSION_NUM < 130000 || PG_VERSION_NUM >= 180000
#error "Close in SQL supports PostgreSQL 13 to 17"
#endif

/* 14: batch inserts, row identity columns that are added through the planner, a header for wait
 * events, and partitions that know the relation which the statement names (before, they carry its
 * index). */
#if PG_VERSION_NUM >= 140000
#include "utils/wait_event.h"
#define clo_pg_named(rri) ((rri)->ri_RangeTableIndex > 0 ? (rri) : (rri)->ri_RootResultRelInfo)
#define CLO_PG_HAS_BATCH 1
#define CLO_PG_UPDATE_TARGETS_ARGS                                                                 \
    PlannerInfo *root, Index rtindex, RangeTblEntry *target_rte, Relation target_relation
#define clo_pg_subplan(mtstate, index) ((void)(index), outerPlanState(mtstate)->plan)
#else
#define clo_pg_named(rri) (rri)
#define CLO_PG_HAS_BATCH 0
#define CLO_PG_UPDATE_TARGETS_ARGS                                                                 \
    Query *parsetree, RangeTblEntry *target_rte, Relation target_relation
#define clo_pg_subplan(mtstate, index) ((mtstate)->mt_plans[index]->plan)
#endif

/* 15: the random state of samplers is passed by address; a prefix can be reserved. */
#if PG_VERSION_NUM >= 150000
#define clo_pg_sample_fract(rs) sampler_random_fract(&(rs)->randstate)
#define clo_pg_reserve_prefix(name) MarkGUCPrefixReserved(name)
#else
#define clo_pg_sample_fract(rs) sampler_random_fract((rs)->randstate)
#define clo_pg_reserve_prefix(name) EmitWarningsOnPlaceholders(name)
#endif

/* 16: the user whose rights count travels in the plan, and so do sets without outer joins. */
#if PG_VERSION_NUM >= 160000
#include "optimizer/inherit.h"
#include "parser/parse_relation.h"
#define clo_pg_server_aclcheck(server, user)                                                       \
    object_aclcheck(ForeignServerRelationId, server, user, ACL_USAGE)
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

/* 17: path constructors take restrictions that were checked elsewhere; named wait events. */
#if PG_VERSION_NUM >= 170000
#define clo_pg_scan_path(root, rel, target, rows, startup, total, keys, outer, priv)               \
    create_foreignscan_path(root, rel, target, rows, startup, total, keys, outer, NULL, NIL, priv)
#define clo_pg_upper_path(root, rel, target, rows, startup, total, keys, priv)                     \
    create_foreign_upper_path(root, rel, target, rows, startup, total, keys, NULL, NIL, priv)
#define clo_pg_wait_event() WaitEventExtensionNew("CloseRequest")
#else
#define clo_pg_scan_path(root, rel, target, rows, startup, total, keys, outer, priv)               \
    create_foreignscan_path(root, rel, target, rows, startup, total, keys, outer, NULL, priv)
#define clo_pg_upper_path(root, rel, target, rows, startup, total, keys, priv)                     \
    create_foreign_upper_path(root, rel, target, rows, startup, total, keys, NULL, priv)
#define clo_pg_wait_event() PG_WAIT_EXTENSION
#endif

#endif
