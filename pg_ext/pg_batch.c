/*
 * pg_batch.c - INSERT of many rows, several create calls at a time.
 *
 * All requests of a batch are built before the first is sent, so that a row which can't be sent (a
 * column that can't be set, a missing one) stops the batch while nothing of it has happened. Then
 * up to `concurrency` calls are in flight; they share the client's transfers, so a step of any
 * moves all.
 *
 * When one fails, no further call is started and those in flight are waited for: each of them is a
 * row that either exists or doesn't, and the error says which. A cancel can't wait; it warns about
 * each call that had left (pg_host.c).
 */
#include "pg.h"

#if CLO_PG_HAS_BATCH

typedef struct batch {
    clo_pg_modify *m;
    int n, next, running;
    clo_pg_owner **requests;
    clo_pg_owner **calls;
    clo_call **in_flight; /* by row: NULL when not running */
    bool failed;
    clo_err err; /* the first one */
} batch;

int
clo_pg_insert_batch_size(ResultRelInfo *rri)
{
    clo_pg_modify *m = rri->ri_FdwState;

    return m == NULL ? 1 : m->batch; /* NULL: plain EXPLAIN */
}

static void
fail(batch *b, const clo_err *err)
{
    if (!b->failed)
        b->err = *err;
    b->failed = true;
}

static void
start(batch *b)
{
    int window = (int)clo_client_setting_int(b->m->client, "concurrency");

    while (!b->failed && b->running < Max(window, 1) && b->next < b->n) {
        int i = b->next++;
        clo_err err;

        clo_err_clear(&err);
        clo_pg_own_set(b->calls[i],
                       clo_call_new(b->m->client, clo_pg_own_take(b->requests[i]), &err));
        b->in_flight[i] = clo_pg_owned(b->calls[i]);
        if (b->in_flight[i] == NULL) {
            fail(b, &err);
        } else {
            b->running++;
            b->m->calls++;
        }
    }
}

/* The id in a create's answer; NULL when there is none. Palloc'ed. */
static char *
created_id(const clo_pg_modify *m, const clo_call *call)
{
    clo_pg_owner *cursor = clo_pg_own(m->row, CLO_PG_CURSOR);
    const clo_table *table = m->t->table;
    clo_colset needed = {{0}};
    char *id = NULL;
    size_t len;
    const char *json = clo_call_result(call, &len);
    clo_err err;

    for (size_t i = 0; i < table->n_columns; i++)
        if (table->columns[i].flags & CLO_C_KEY)
            clo_colset_add(&needed, (int)i);
    clo_err_clear(&err);
    clo_pg_own_set(cursor, clo_cursor_of_json(table, &needed, json, len, &err));
    if (clo_pg_owned(cursor) != NULL && clo_cursor_step(clo_pg_owned(cursor), 0, &err) == CLO_ROW) {
        const clo_value *row = clo_cursor_row(clo_pg_owned(cursor));

        for (size_t i = 0; i < table->n_columns; i++)
            if (clo_colset_has(&needed, (int)i) && row[i].type == CLO_T_TEXT)
                id = pnstrdup(row[i].text, row[i].len);
    }
    clo_pg_release(cursor);
    return id;
}

/* True when row i has ended, either way. */
static bool
step(batch *b, int i, int wait_ms)
{
    clo_err err;
    clo_status status = clo_pg_wait_call(b->in_flight[i], wait_ms, &err);

    if (status == CLO_AGAIN)
        return false;
    if (status == CLO_DONE)
        clo_pg_note_created(b->m, created_id(b->m, b->in_flight[i]));
    else
        fail(b, &err);
    b->in_flight[i] = NULL;
    b->running--;
    clo_pg_release(b->calls[i]);
    return true;
}

static int
first_running(const batch *b)
{
    for (int i = 0; i < b->next; i++)
        if (b->in_flight[i] != NULL)
            return i;
    return -1;
}

static void
run(batch *b)
{
    for (start(b); b->running > 0; start(b)) {
        bool moved = false;

        for (int i = 0; i < b->next; i++)
            if (b->in_flight[i] != NULL && step(b, i, 0))
                moved = true;
        if (!moved)
            (void)step(b, first_running(b), CLO_PG_SLICE_MS);
        clo_pg_interrupts(b->in_flight, b->next);
    }
}

TupleTableSlot **
clo_pg_insert_batch(EState *estate, ResultRelInfo *rri, TupleTableSlot **slots,
                    TupleTableSlot **plan_slots, int *n_slots)
{
    clo_pg_modify *m = rri->ri_FdwState;
    batch b = {.m = m, .n = *n_slots};
    MemoryContext old;

    (void)estate;
    (void)plan_slots;
    MemoryContextReset(m->row);
    old = MemoryContextSwitchTo(m->row);
    b.requests = palloc0(sizeof(clo_pg_owner *) * (size_t)b.n);
    b.calls = palloc0(sizeof(clo_pg_owner *) * (size_t)b.n);
    b.in_flight = palloc0(sizeof(clo_call *) * (size_t)b.n);
    for (int i = 0; i < b.n; i++) {
        b.requests[i] = clo_pg_own(m->row, CLO_PG_REQUEST);
        b.calls[i] = clo_pg_own(m->row, CLO_PG_CALL);
        clo_pg_own_set(b.requests[i], clo_pg_insert_request(m, slots[i]));
    }
    run(&b);
    if (b.failed)
        clo_pg_throw_after(&b.err, clo_pg_already(m));
    MemoryContextSwitchTo(old);
    return slots;
}

#endif
