/*
 * stops.c - every instruction of SQLite is interrupted once, in turn, while the library works.
 *
 *      stops LIBRARY STEP        (settings from the environment)
 *
 * A progress handler counts the instructions of SQLite's machine, those of our own probe for interrupts
 * among them, and interrupts the connection at the n-th, with n = 1, 1 + STEP, ... until a statement ends
 * before that. This reaches the gaps that a signal meets only by chance: between two pages, in the middle
 * of a row, after the answer to a write. One connection serves all attempts, because what an interrupt
 * leaves behind is what the next statement would trip over. Each attempt must end in one of two ways: with
 * SQLITE_INTERRUPT, or with exactly the rows of an undisturbed run. A row of the user in an open transaction
 * must survive an interrupted read. In the end the connection must close, and SQLite's memory must be
 * back where it was.
 *
 * Prints one line per problem and exits 1, or "ok", the number of interrupts, of finished writes and of
 * inserted rows.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const reads[] = {
    "SELECT id, name FROM close_leads",
    "SELECT id FROM close_leads WHERE id IN (SELECT id FROM close_leads LIMIT 5)",
    "SELECT l.id, c.id FROM close_leads('Acme') l JOIN close_contacts c ON c.lead_id = l.id",
    "SELECT status_type, count(*) FROM close_opportunities GROUP BY 1 ORDER BY 1",
    "SELECT id FROM close_comments ORDER BY id LIMIT 7 OFFSET 2",
    "SELECT close_me_get() ->> 'id', close_version()",
    "SELECT count(*) FROM close_tools",
};
static const char write_sql[] = "SELECT close_lead_create('Made while stopping') ->> 'id'";
static const char insert_sql[] =
    "INSERT INTO close_leads(name) SELECT 'Sent while stopping' FROM json_each('[1,2,3,4,5]')";
enum { INSERTED = 5 };

typedef struct state {
    sqlite3 *db;
    long left; /* instructions until the interrupt; 0: none */
    long interrupts, writes, inserted;
    int problems;
} state;

/* What a statement gave: its end, and its rows as one number. */
typedef struct result {
    int rc;
    long rows;
    unsigned long sum;
} result;

static int
progress(void *arg)
{
    state *s = arg;

    if (s->left == 0 || --s->left > 0)
        return 0;
    sqlite3_interrupt(s->db); /* what newer libraries are asked for */
    return 1;
}

static unsigned long
mix(unsigned long sum, const unsigned char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        sum = (sum ^ *text) * 1099511628211UL;
    return sum * 31;
}

static result
run(state *s, const char *sql, long at)
{
    result r = {SQLITE_OK, 0, 14695981039346656037UL};
    sqlite3_stmt *stmt = NULL;

    s->left = at;
    r.rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    if (r.rc == SQLITE_OK) {
        while ((r.rc = sqlite3_step(stmt)) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(stmt); i++)
                r.sum = mix(r.sum, sqlite3_column_text(stmt, i));
            r.rows++;
        }
    }
    sqlite3_finalize(stmt);
    return r;
}

static void
problem(state *s, const char *sql, long at, const char *what)
{
    printf("%s, instruction %ld: %s (%s)\n", sql, at, what, sqlite3_errmsg(s->db));
    s->problems++;
}

/* The row that the user wrote before, in a transaction that must still be open. */
static void
check_transaction(state *s, const char *sql, long at)
{
    if (sqlite3_get_autocommit(s->db))
        problem(s, sql, at, "the transaction is gone");
    else if (run(s, "SELECT x FROM kept", 0).rows != 1)
        problem(s, sql, at, "the user's row is gone");
}

static void
walk(state *s, const char *sql, long step)
{
    result whole = run(s, sql, 0);
    long at = 1;

    if (whole.rc != SQLITE_DONE || whole.rows == 0) {
        problem(s, sql, 0, "does not work undisturbed");
        return;
    }
    for (; s->problems < 20; at += step) {
        result r = run(s, sql, at);
        int reached = s->left == 0;

        s->left = 0;
        if (r.rc == SQLITE_INTERRUPT && reached)
            s->interrupts++;
        else if (r.rc != SQLITE_DONE)
            problem(s, sql, at, "ended in another error");
        else if (r.rows != whole.rows || r.sum != whole.sum)
            problem(s, sql, at, "ended well with other rows");
        check_transaction(s, sql, at);
        if (!reached)
            break;
    }
}

/* A write is made anew each time, so its result is compared with nothing; the caller counts the leads. */
static void
walk_write(state *s, long step)
{
    for (long at = 1; s->problems < 20; at += step) {
        result r = run(s, write_sql, at);
        int reached = s->left == 0;

        s->left = 0;
        s->writes += r.rows;
        if (r.rc != SQLITE_DONE && r.rc != SQLITE_INTERRUPT)
            problem(s, write_sql, at, "ended in another error");
        if (!reached)
            break;
        s->interrupts++;
    }
}

/* Rows that are sent several at a time, outside of the transaction. An interrupt leaves any number of them;
 * a good end means all. */
static void
walk_insert(state *s, long step)
{
    if (run(s, "COMMIT", 0).rc != SQLITE_DONE)
        problem(s, "COMMIT", 0, "failed");
    for (long at = 1; s->problems < 20; at += step) {
        result r = run(s, insert_sql, at);
        int reached = s->left == 0;

        s->left = 0;
        s->inserted += r.rc == SQLITE_DONE ? INSERTED : 0;
        if (r.rc != SQLITE_DONE && r.rc != SQLITE_INTERRUPT)
            problem(s, insert_sql, at, "ended in another error");
        if (!sqlite3_get_autocommit(s->db))
            problem(s, insert_sql, at, "left a transaction open");
        if (!reached)
            break;
        s->interrupts++;
    }
}

static int
prepare(state *s, const char *library)
{
    char *error = NULL;

    if (sqlite3_open(":memory:", &s->db) != SQLITE_OK)
        return 0;
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
    if (sqlite3_load_extension(s->db, library, NULL, &error) != SQLITE_OK)
        printf("%s\n", error);
    sqlite3_free(error);
    return error == NULL &&
           sqlite3_exec(s->db, "CREATE TABLE kept(x); BEGIN; INSERT INTO kept VALUES (1)", NULL,
                        NULL, NULL) == SQLITE_OK;
}

int
main(int argc, char **argv)
{
    state s = {0};
    sqlite3_int64 before;
    long step;

    if (argc != 3 || (step = strtol(argv[2], NULL, 10)) < 1) {
        fputs("usage: stops LIBRARY STEP\n", stderr);
        return 2;
    }
    if (!prepare(&s, argv[1]) ||
        sqlite3_close(s.db) != SQLITE_OK) /* what is allocated once and for all */
        return 2;
    before = sqlite3_memory_used();
    if (!prepare(&s, argv[1]))
        return 2;
    sqlite3_progress_handler(s.db, 1, progress, &s);
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++)
        walk(&s, reads[i], step);
    walk_write(&s, step);
    walk_insert(&s, step);
    if (sqlite3_close(s.db) != SQLITE_OK)
        problem(&s, "closing", 0, "the connection does not close");
    else if (sqlite3_memory_used() != before) {
        printf("%lld bytes are lost\n", (long long)(sqlite3_memory_used() - before));
        s.problems++;
    }
    if (s.problems == 0)
        printf("ok %ld %ld %ld\n", s.interrupts, s.writes, s.inserted);
    return s.problems != 0;
}
