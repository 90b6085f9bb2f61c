/*
 * close_sqlite.c - the entry points of the SQLite extension.
 *
 *      .load ./close                              everything
 *      .load ./close sqlite3_closereadonly_init   reads only
 *
 * Loading makes one client (settings from the environment, nothing is sent) and registers what the
 * catalogue lists. SQLite finds sqlite3_close_init because it derives the name from the file's,
 * close.so; the name does not touch sqlite3_close, a macro that replaces whole words only.
 *
 * The read-only entry point is for applications that run SQL of others. It registers no writer, its
 * tables have no xUpdate, and the client is locked: close_execute and close_request, which can name
 * any tool, refuse writes, and close_config cannot turn that off again. The library holds no state of
 * its own, so each load stands alone; loading both entry points gives the connection the rights of
 * both.
 *
 * SQLITE_OK_LOAD_PERMANENTLY: the library stays mapped when the connection closes, because libcurl's
 * resolver threads and the TLS library's exit handlers may still point into it.
 *
 * When registration fails half-way, what was registered stays until the connection closes and fails
 * with the same missing memory; each registration holds its own reference, so nothing dangles.
 */
#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT1
#define SQ_INIT
#include "sq.h"

#include <pthread.h>
#include <string.h>

/* SQLite's routines are reached through one pointer per process, sqlite3_api. Connections of several
 * threads may load us at once, and a process may hold two copies of SQLite: the first copy keeps the
 * pointer, the other is told, instead of both calling each other's functions from then on. */
static bool
take_api(const sqlite3_api_routines *api, char **error)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool ours;

    pthread_mutex_lock(&lock);
    if (sqlite3_api == NULL)
        SQLITE_EXTENSION_INIT2(api);
    ours = sqlite3_api == api;
    pthread_mutex_unlock(&lock);
    if (!ours)
        *error = api->mprintf("close: loaded already by another copy of SQLite in this process");
    return ours;
}

sq_state *
sq_state_ref(sq_state *state)
{
    state->refs++;
    return state;
}

void
sq_state_unref(sq_state *state)
{
    if (state == NULL || --state->refs > 0)
        return;
    clo_client_unref(state->client);
    sqlite3_free(state);
}

static sq_state *
state_new(sqlite3 *db, bool readonly, clo_err *err)
{
    sq_state *state = sqlite3_malloc64(sizeof *state);

    if (state == NULL) {
        clo_err_set(err, CLO_E_NOMEM, "out of memory");
        return NULL;
    }
    memset(state, 0, sizeof *state);
    state->refs = 1;
    state->db = db;
    state->readonly = readonly;
    state->client = clo_client_new(err);
    if (state->client == NULL || clo_client_set_env(state->client, err) != CLO_OK ||
        (readonly &&
         clo_client_set(state->client, "readonly", "on", CLO_FROM_LOCK, err) != CLO_OK)) {
        sq_state_unref(state);
        return NULL;
    }
    return state;
}

static int
load(sqlite3 *db, bool readonly, char **error)
{
    clo_err err;
    sq_state *state;
    int rc;

    if (sqlite3_libversion_number() < SQ_OLDEST_SQLITE) {
        *error = sqlite3_mprintf("close: SQLite %s is too old; 3.38 or newer is needed",
                                 sqlite3_libversion());
        return SQLITE_ERROR;
    }
    clo_err_clear(&err);
    state = state_new(db, readonly, &err);
    if (state == NULL) {
        *error = sq_error_text(&err, "close");
        return sq_result_code(&err);
    }
    rc = sq_functions_register(state);
    if (rc == SQLITE_OK)
        rc = sq_info_register(state);
    if (rc == SQLITE_OK)
        rc = sq_tables_register(state);
    if (rc == SQLITE_OK)
        rc = sq_outbox_register(state);
    sq_state_unref(state);
    if (rc != SQLITE_OK) {
        *error = sqlite3_mprintf("close: cannot register: %s",
                                 rc == SQLITE_BUSY ? "it is loaded already, and in use"
                                                   : sqlite3_errstr(rc));
        return rc;
    }
    return SQLITE_OK_LOAD_PERMANENTLY;
}

__attribute__((visibility("default"))) int
sqlite3_close_init(sqlite3 *db, char **error, const sqlite3_api_routines *api)
{
    return take_api(api, error) ? load(db, false, error) : SQLITE_ERROR;
}

__attribute__((visibility("default"))) int
sqlite3_closereadonly_init(sqlite3 *db, char **error, const sqlite3_api_routines *api)
{
    return take_api(api, error) ? load(db, true, error) : SQLITE_ERROR;
}
