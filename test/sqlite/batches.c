/*
 * batches.c - INSERT of many rows on a connection that is busy with other things, through the C API.
 *
 *      batches LIBRARY        (settings from the environment)
 *
 * The last row of each INSERT is one that Close refuses. However the statement is wrapped, sqlite3_step itself
 * must say so: a program never asks again. `run(sql)` is a function of the application that executes a
 * statement on its own connection and returns the result code.
 *
 * Prints one line per problem and exits 1, or "ok".
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6) "
#define NOTES(value, bad)                                                                          \
    "INSERT INTO close_notes(lead_id, note) " ROWS "SELECT CASE i WHEN " bad                       \
    " THEN 'lead_none' ELSE (SELECT id FROM lead) END, " value " FROM n "
#define REFUSED NOTES("'x'", "6")

static int problems;

static void
problem(const char *what, const char *more)
{
    printf("%s: %s\n", what, more);
    problems++;
}

static void
run_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    const char *sql = (const char *)sqlite3_value_text(argv[0]);

    (void)argc;
    sqlite3_result_int(
        ctx, sql == NULL ? 0 : sqlite3_exec(sqlite3_context_db_handle(ctx), sql, NULL, NULL, NULL));
}

static void
must(sqlite3 *db, const char *sql)
{
    char *error = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        problem(sql, error == NULL ? "?" : error);
    sqlite3_free(error);
}

/* The statement fails, by the first step that is not a row, and says why. */
static void
must_fail(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    while (rc == SQLITE_OK || rc == SQLITE_ROW)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE)
        problem(sql, "did not fail");
    else if (strncmp(sqlite3_errmsg(db), "close_notes: ", 13) != 0)
        problem(sql, sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    if (!sqlite3_get_autocommit(db))
        problem(sql, "a transaction is open");
}

static long
number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    long n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        problem(sql, sqlite3_errmsg(db));
    else
        n = (long)sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}

static void
expect(sqlite3 *db, const char *sql, long wanted)
{
    long n = number(db, sql);
    char text[64];

    sqlite3_snprintf(sizeof text, text, "%ld instead of %ld", n, wanted);
    if (n != wanted)
        problem(sql, text);
}

static sqlite3 *
connect(const char *library)
{
    char *error = NULL;
    sqlite3 *db;

    if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL) != SQLITE_OK ||
        sqlite3_create_function(db, "run", 1, SQLITE_UTF8, NULL, run_function, NULL, NULL) !=
            SQLITE_OK ||
        sqlite3_load_extension(db, library, NULL, &error) != SQLITE_OK) {
        printf("cannot begin: %s\n", error == NULL ? "?" : error);
        exit(1);
    }
    must(db, "CREATE TABLE lead AS SELECT id FROM close_leads LIMIT 1;"
             "CREATE TABLE t(x); CREATE TABLE u(x UNIQUE); INSERT INTO u VALUES (1);");
    return db;
}

/* A writer that has given a row and was not reset keeps the transaction open. */
static void
beside_an_open_writer(sqlite3 *db)
{
    sqlite3_stmt *writer = NULL;

    if (sqlite3_prepare_v2(db, "INSERT INTO t VALUES (1), (2) RETURNING x", -1, &writer, NULL) !=
            SQLITE_OK ||
        sqlite3_step(writer) != SQLITE_ROW)
        problem("writer", sqlite3_errmsg(db));
    must_fail(db, REFUSED);
    sqlite3_finalize(writer);
    expect(db, "SELECT count(*) FROM t", 2);
}

static void
beside_an_open_reader(sqlite3 *db)
{
    sqlite3_stmt *reader = NULL;

    must(db, "INSERT INTO t VALUES (1), (2)");
    if (sqlite3_prepare_v2(db, "SELECT x FROM t", -1, &reader, NULL) != SQLITE_OK ||
        sqlite3_step(reader) != SQLITE_ROW)
        problem("reader", sqlite3_errmsg(db));
    must_fail(db, REFUSED);
    must(db, NOTES("'beside a reader'", "0"));
    expect(db, "SELECT count(*) FROM close_notes WHERE note = 'beside a reader'", 6);
    sqlite3_finalize(reader);
}

static void
inside_another_statement(sqlite3 *db)
{
    char *sql = sqlite3_mprintf("DELETE FROM t; CREATE TABLE v AS SELECT %Q AS x", REFUSED);

    must(db, sql);
    sqlite3_free(sql);
    must(db, "INSERT INTO t SELECT run(x) FROM v");
    expect(db, "SELECT count(*) FROM t WHERE x = 19", 1);
    expect(db, "SELECT run(x) FROM v", 19);
}

static void
around_other_statements(sqlite3 *db)
{
    must_fail(db, NOTES("run('INSERT INTO t VALUES (7)')", "6"));
    must_fail(db, NOTES("run('SELECT count(*) FROM close_tasks')", "6"));
    /* The transaction is rolled back in the middle. */
    must_fail(db, NOTES("run(CASE i WHEN 4 THEN 'INSERT OR ROLLBACK INTO u VALUES (1)' END)", "6"));
    must_fail(db, NOTES("run(CASE i WHEN 4 THEN 'INSERT OR ROLLBACK INTO u VALUES (1)' END)", "3"));
    must(db, NOTES("'afterwards'", "0"));
    expect(db, "SELECT count(*) FROM close_notes WHERE note = 'afterwards'", 6);
}

/* What a program does that wants one row of RETURNING: it never sees the end. */
static void
left_half_way(sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, NOTES("'half-way'", "0") "RETURNING note", -1, &stmt, NULL) !=
            SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        problem("RETURNING", sqlite3_errmsg(db));
    expect(db, "SELECT count(*) FROM close_notes WHERE note = 'half-way'", 6);
    sqlite3_finalize(stmt);
}

int
main(int argc, char **argv)
{
    sqlite3 *db;

    if (argc != 2) {
        printf("usage: batches LIBRARY\n");
        return 1;
    }
    db = connect(argv[1]);
    must_fail(db, REFUSED);
    beside_an_open_writer(db);
    beside_an_open_reader(db);
    inside_another_statement(db);
    around_other_statements(db);
    left_half_way(db);
    must_fail(db, REFUSED);
    if (sqlite3_close(db) != SQLITE_OK)
        problem("sqlite3_close", "something is left over");
    if (problems == 0)
        printf("ok\n");
    return problems != 0;
}
