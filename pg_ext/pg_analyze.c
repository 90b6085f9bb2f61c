/*
 * pg_analyze.c - ANALYZE of a foreign table: one full scan, of which a random sample is kept.
 *
 * The service has no sampling, so this costs as many requests as SELECT *. What it gives is the
 * number of rows and their distributions, from which the planner chooses between single lookups
 * and a walk.
 */
#include "pg.h"

#include "access/htup_details.h"
#include "utils/memutils.h"

typedef struct sampler {
    ReservoirStateData state;
    HeapTuple *rows;
    int target, kept;
    double seen, skip;
} sampler;

/* Place for the next row, or -1: it is not sampled. */
static int
sample_place(sampler *s)
{
    s->seen += 1;
    if (s->kept < s->target)
        return s->kept++;
    if (s->skip < 0)
        s->skip = reservoir_get_next_S(&s->state, s->seen - 1, s->target);
    if (s->skip > 0) {
        s->skip -= 1;
        return -1;
    }
    s->skip = -1;
    return (int)((double)s->target * clo_pg_sample_fract(&s->state));
}

static clo_pg_owner *
open_all(const clo_pg_table *t, clo_client *client, clo_plan *plan)
{
    clo_question q = {.table = t->table, .complete = true};
    clo_pg_owner *cursor = clo_pg_own(CurrentMemoryContext, CLO_PG_CURSOR);
    Bitmapset *whole = bms_make_singleton(0 - FirstLowInvalidHeapAttributeNumber);
    clo_err err;

    clo_pg_columns_of(t, whole, &q.needed);
    clo_err_clear(&err);
    if (clo_plan_make(client, &q, plan, &err) != CLO_OK)
        clo_pg_throw(&err);
    clo_pg_own_set(cursor, clo_cursor_open(client, plan, NULL, -1, 0, &err));
    if (clo_pg_owned(cursor) == NULL)
        clo_pg_throw(&err);
    return cursor;
}

static int
acquire_sample(Relation relation, int elevel, HeapTuple *rows, int target, double *total,
               double *dead)
{
    TupleDesc desc = RelationGetDescr(relation);
    clo_pg_table *t = clo_pg_table_open(RelationGetRelid(relation));
    clo_client *client = clo_pg_client(relation->rd_rel->relowner, t->server);
    MemoryContext per_row =
        AllocSetContextCreate(CurrentMemoryContext, "close sample", ALLOCSET_DEFAULT_SIZES);
    Datum *values = palloc0(sizeof *values * (size_t)Max(desc->natts, 1));
    bool *nulls = palloc0(sizeof *nulls * (size_t)Max(desc->natts, 1));
    sampler s = {.rows = rows, .target = target, .skip = -1};
    clo_pg_filler filler;
    clo_plan plan;
    clo_pg_owner *cursor = open_all(t, client, &plan);
    clo_status status;
    clo_err err;

    clo_pg_filler_init(&filler, t, desc, &plan.needed);
    reservoir_init_selection_state(&s.state, target);
    while ((status = clo_pg_step(cursor, &err)) == CLO_ROW) {
        int place = sample_place(&s);
        MemoryContext old;

        if (place < 0)
            continue;
        old = MemoryContextSwitchTo(per_row);
        clo_pg_fill(&filler, clo_cursor_row(clo_pg_owned(cursor)), values, nulls);
        MemoryContextSwitchTo(old);
        if (s.seen > s.target)
            heap_freetuple(rows[place]);
        rows[place] = heap_form_tuple(desc, values, nulls);
        MemoryContextReset(per_row);
    }
    clo_pg_release(cursor);
    if (status != CLO_DONE)
        clo_pg_throw(&err);
    *total = s.seen;
    *dead = 0;
    ereport(elevel, (errmsg("\"%s\": %.0f rows, %d of them in the sample",
                            RelationGetRelationName(relation), s.seen, s.kept)));
    return s.kept;
}

bool
clo_pg_analyze(Relation relation, AcquireSampleRowsFunc *func, BlockNumber *pages)
{
    (void)relation;
    *func = acquire_sample;
    *pages = 1; /* there are none; 0 would read as an empty table */
    return true;
}
