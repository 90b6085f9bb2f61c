/*
 * close_pg.c - what the backend sees of the library: the magic block, its initialisation, and the
 * routine table of the foreign data wrapper.
 *
 * Loading defines settings and does nothing else: no thread, no socket, no allocation outside the
 * backend's, so that the library may be preloaded into the postmaster, of which it then asks for
 * some shared memory and a launcher of background workers. libcurl is initialised at the first call within a backend. There is no unload function; a library that owns TLS state has
 * to stay.
 */
#include "pg.h"

PG_MODULE_MAGIC;

#if PG_VERSION_NUM < 160000
void _PG_init(void);
#endif

void
_PG_init(void)
{
    clo_pg_shmem_init();
    clo_pg_launch_init();
    clo_pg_conn_init();
}

PG_FUNCTION_INFO_V1(clo_pg_handler);

Datum
clo_pg_handler(PG_FUNCTION_ARGS)
{
    FdwRoutine *r = makeNode(FdwRoutine);

    (void)fcinfo;
    r->GetForeignRelSize = clo_pg_rel_size;
    r->GetForeignPaths = clo_pg_paths;
    r->GetForeignPlan = clo_pg_plan;
    r->GetForeignUpperPaths = clo_pg_upper_paths;
    r->BeginForeignScan = clo_pg_scan_begin;
    r->IterateForeignScan = clo_pg_scan_next;
    r->ReScanForeignScan = clo_pg_scan_again;
    r->EndForeignScan = clo_pg_scan_end;
    r->ExplainForeignScan = clo_pg_explain_scan;
    r->ExplainForeignModify = clo_pg_explain_modify;
    r->AnalyzeForeignTable = clo_pg_analyze;
    r->ImportForeignSchema = clo_pg_import;
    r->AddForeignUpdateTargets = clo_pg_modify_targets;
    r->PlanForeignModify = clo_pg_modify_plan;
    r->BeginForeignModify = clo_pg_modify_begin;
    r->ExecForeignInsert = clo_pg_insert;
    r->ExecForeignUpdate = clo_pg_update;
    r->ExecForeignDelete = clo_pg_delete;
    r->EndForeignModify = clo_pg_modify_end;
    r->BeginForeignInsert = clo_pg_insert_begin;
    r->EndForeignInsert = clo_pg_modify_end;
    r->IsForeignRelUpdatable = clo_pg_updatable;
#if CLO_PG_HAS_BATCH
    r->GetForeignModifyBatchSize = clo_pg_insert_batch_size;
    r->ExecForeignBatchInsert = clo_pg_insert_batch;
#endif
    PG_RETURN_POINTER(r);
}
