/*
 * faults.c - every allocation of SQLite fails once, in turn, while the library works.
 *
 *      faults LIBRARY STEP        (settings from the environment)
 *
 * The core's own allocations are tested elsewhere; this program is about the memory that the glue takes
 * from SQLite, and about what SQLite does with the glue when its own allocations fail. For loading, and
 * for each statement below, the n-th allocation fails with n = 1, 1 + STEP, ... until nothing failed any
 * more. Whatever happens, the connection must close and SQLite's memory must be back where it was:
 * a forgotten reference, string or cursor shows up as a difference.
 *
 * Prints one line per problem and exits 1, or "ok" and the number of failures tried.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const statements[] = {
    "SELECT id, name FROM close_leads WHERE id IN (SELECT id FROM close_leads LIMIT 3)",
    "SELECT l.id, c.id FROM close_leads('Acme') l JOIN close_contacts c ON c.lead_id = l.id",
    "SELECT id FROM close_opportunities WHERE status_type = 'won' AND id <> lower(id) LIMIT 2 "
    "OFFSET 1",
    "SELECT id FROM close_leads WHERE id = 'x' OR query = 'Acme'",
    "CREATE VIRTUAL TABLE temp.l USING close_leads(custom_fields=on)",
    "SELECT close_note_create(json_object('lead_id', id, 'note', 'x')) FROM close_leads LIMIT 1",
    "SELECT close_bulk_edit_create(json_object('a', 1))",
    "SELECT close_config(), close_config('retries'), close_version(), close_last_id()",
    "UPDATE close_tasks SET text = 'y' WHERE id = (SELECT id FROM close_tasks LIMIT 1)",
    "INSERT INTO close_leads(name) VALUES ('from the fault test')",
    "INSERT INTO close_leads(id) VALUES ('refused')",
    "DELETE FROM close_notes WHERE id = 'acti_none'",
    "SELECT t.tool, r.ms, s.value FROM close_tools t, close_requests r, close_stats s LIMIT 9",
};

/* ---- the allocator ---------------------------------------------------------------------- */

static sqlite3_mem_methods real;
static long until_failure; /* 0: nothing fails */
static long failures;

static int
fails(void)
{
    if (until_failure == 0 || --until_failure > 0)
        return 0;
    failures++;
    return 1;
}

static void *
failing_malloc(int n)
{
    return fails() ? NULL : real.xMalloc(n);
}

static void *
failing_realloc(void *p, int n)
{
    return fails() ? NULL : real.xRealloc(p, n);
}

static int
install(void)
{
    sqlite3_mem_methods mine;

    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK)
        return 0;
    mine = real;
    mine.xMalloc = failing_malloc;
    mine.xRealloc = failing_realloc;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &mine) == SQLITE_OK &&
           sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 1) == SQLITE_OK;
}

/* ---- one attempt ------------------------------------------------------------------------ */

static int
run(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    while (rc == SQLITE_OK || rc == SQLITE_ROW)
        rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    return rc;
}

/* The n-th allocation of loading (sql NULL) or of `sql` fails. Returns whether it came to that. */
static int
attempt(const char *library, const char *sql, long n, int *problems)
{
    sqlite3_int64 before = sqlite3_memory_used();
    const char *what = sql == NULL ? "loading" : sql;
    long failed = failures;
    sqlite3 *db = NULL;
    char *error = NULL;

    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
        return 0;
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
    until_failure = sql == NULL ? n : 0;
    sqlite3_load_extension(db, library, NULL, &error);
    sqlite3_free(error);
    if (sql != NULL) {
        until_failure = n;
        run(db, sql);
    }
    until_failure = 0;
    if (sqlite3_close(db) != SQLITE_OK) {
        printf("%s, allocation %ld: the connection does not close\n", what, n);
        (*problems)++;
    } else if (sqlite3_memory_used() != before) {
        printf("%s, allocation %ld: %lld bytes are lost\n", what, n,
               (long long)(sqlite3_memory_used() - before));
        (*problems)++;
    }
    return failures > failed;
}

static void
walk(const char *library, const char *sql, long step, int *problems)
{
    for (long n = 1; attempt(library, sql, n, problems) && *problems < 20; n += step)
        continue;
}

int
main(int argc, char **argv)
{
    int problems = 0;
    long step;

    if (argc != 3 || (step = strtol(argv[2], NULL, 10)) < 1) {
        fputs("usage: faults LIBRARY STEP\n", stderr);
        return 2;
    }
    if (!install() || sqlite3_initialize() != SQLITE_OK)
        return 2;
    attempt(argv[1], NULL, 0, &problems); /* what is allocated once and for all */
    walk(argv[1], NULL, step, &problems);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        walk(argv[1], statements[i], step, &problems);
    if (problems == 0)
        printf("ok %ld\n", failures);
    return problems != 0;
}
