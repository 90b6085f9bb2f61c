/*
 * threads.c - several connections in several threads through the SQLite C API.
 *
 *      threads LIBRARY LEADS        (settings from the environment)
 *
 * Each thread opens its own connection, loads the library into it, gives it settings of its own, and
 * then reads, joins and looks up while the others do the same; a barrier makes them start together
 * and stay together through every round. Nothing may be shared: each connection must see its own
 * settings, its own last id and its own log, and all rows. In the last round every thread is
 * interrupted by its neighbour after the neighbour has finished, which must not disturb anybody.
 *
 * Prints one line per problem and exits 1, or "ok".
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 8 };

typedef struct worker {
    int number;
    const char *library;
    long leads;
    sqlite3 *db;
    int problems;
} worker;

static pthread_barrier_t barrier;

static void
problem(worker *w, const char *what, const char *more)
{
    printf("thread %d: %s: %s\n", w->number, what, more);
    w->problems++;
}

/* The first column of the first row as text, "" without one; the caller frees with sqlite3_free. */
static char *
ask(worker *w, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    char *answer = NULL;

    if (sqlite3_prepare_v2(w->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        problem(w, sql, sqlite3_errmsg(w->db));
    } else if (sqlite3_step(stmt) == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(stmt, 0);

        answer = sqlite3_mprintf("%s", text == NULL ? "" : (const char *)text);
    } else if (sqlite3_errcode(w->db) != SQLITE_DONE) {
        problem(w, sql, sqlite3_errmsg(w->db));
    }
    sqlite3_finalize(stmt);
    return answer == NULL ? sqlite3_mprintf("") : answer;
}

static void
expect(worker *w, const char *sql, const char *wanted)
{
    char *answer = ask(w, sql);

    if (strcmp(answer, wanted) != 0) {
        char *text = sqlite3_mprintf("\"%s\" instead of \"%s\"", answer, wanted);

        problem(w, sql, text);
        sqlite3_free(text);
    }
    sqlite3_free(answer);
}

static void
expect_number(worker *w, const char *sql, long wanted)
{
    char text[32];

    sqlite3_snprintf(sizeof text, text, "%ld", wanted);
    expect(w, sql, text);
}

static int
connect_worker(worker *w)
{
    char *error = NULL, *sql;

    if (sqlite3_open(":memory:", &w->db) != SQLITE_OK ||
        sqlite3_db_config(w->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL) != SQLITE_OK)
        return 0;
    if (sqlite3_load_extension(w->db, w->library, NULL, &error) != SQLITE_OK) {
        problem(w, "load", error == NULL ? "?" : error);
        sqlite3_free(error);
        return 0;
    }
    sql = sqlite3_mprintf("SELECT close_config('page_size', %d)", 10 + w->number);
    expect_number(w, sql, 10 + w->number);
    sqlite3_free(sql);
    expect(w, "SELECT close_config('log_size', 10000)",
           "10000"); /* all calls, for the count at the end */
    return 1;
}

static void
round_of(worker *w, int round)
{
    char *sql, *id, *body;

    expect_number(w, "SELECT count(*) FROM close_leads", w->leads);
    expect_number(w, "SELECT count(DISTINCT id) FROM close_leads", w->leads);
    expect_number(w, "SELECT close_config('page_size')", 10 + w->number);
    id = ask(w, "SELECT id FROM close_leads ORDER BY id LIMIT 1");
    sql = sqlite3_mprintf("SELECT id FROM close_leads WHERE id = %Q", id);
    expect(w, sql, id);
    sqlite3_free(sql);
    body = sqlite3_mprintf("thread %d, round %d", w->number, round);
    sql = sqlite3_mprintf("SELECT close_note_create(%Q, %Q) ->> 'note'", id, body);
    expect(w, sql, body);
    sqlite3_free(sql);
    sql = sqlite3_mprintf("SELECT note FROM close_notes WHERE id = close_last_id()");
    expect(w, sql, body);
    sqlite3_free(sql);
    sqlite3_free(body);
    sqlite3_free(id);
}

static void *
work(void *p)
{
    worker *w = p;
    int ready = connect_worker(w);

    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        if (ready)
            round_of(w, round);
    }
    pthread_barrier_wait(&barrier);
    if (ready) {
        worker *next = w - w->number + (w->number + 1) % THREADS;

        sqlite3_interrupt(next->db); /* nothing runs there: no effect on what comes */
    }
    pthread_barrier_wait(&barrier);
    if (ready)
        expect_number(w, "SELECT count(*) FROM close_requests WHERE tool = 'close_note_create'",
                      ROUNDS);
    if (sqlite3_close(w->db) != SQLITE_OK)
        problem(w, "close", "the connection is still in use");
    return NULL;
}

int
main(int argc, char **argv)
{
    worker workers[THREADS];
    pthread_t threads[THREADS];
    int problems = 0;

    if (argc != 3) {
        fputs("usage: threads LIBRARY LEADS\n", stderr);
        return 2;
    }
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.number = i, .library = argv[1], .leads = strtol(argv[2], NULL, 10)};
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
            return 2;
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        problems += workers[i].problems;
    }
    pthread_barrier_destroy(&barrier);
    if (problems == 0)
        puts("ok");
    return problems != 0;
}
