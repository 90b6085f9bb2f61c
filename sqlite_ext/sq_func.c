/*
 * sq_func.c - the scalar functions: one per tool, and those that are no tool.
 *
 * Arguments of a tool function are positional in the catalogue's order, or one JSON object of named
 * ones. An object is told from text by SQLite's JSON subtype, so json_object(...) and the result of
 * another close function are objects, while '{"a":1}' in quotes is text. One case needs a rule: a
 * tool whose first parameter is itself JSON (close_bulk_delete_create takes a query). There a single
 * object is taken as named arguments when it is empty or any of its keys is a parameter of the tool.
 * "Any", not "all": one misspelt key must be an error about a name, not turn the whole object into
 * a query that deletes something else.
 *
 * No function is DETERMINISTIC (the world changes between calls), INNOCUOUS, or DIRECTONLY, so
 * triggers and views may call all of them, within what trusted_schema allows. The exception is
 * close_config(name, value): it decides where credentials are sent, and a view in a database file
 * of somebody else must not.
 *
 * Results carry the JSON subtype; libraries from 3.45 on want that announced, older ones ignore the
 * flag. It is passed by number because the headers at hand may be older than the library.
 */
#include "sq.h"

#include <string.h>

#define MAX_ARGS 128
#define RESULT_SUBTYPE 0x001000000 /* SQLITE_RESULT_SUBTYPE of 3.45 */
#define FUNCTION_FLAGS (SQLITE_UTF8 | SQLITE_SUBTYPE | RESULT_SUBTYPE)

typedef struct sq_tool {
    sq_state *state; /* a reference */
    const clo_tool *tool;
} sq_tool;

/* ---- arguments -------------------------------------------------------------------------- */

/* Whether any key of the object is a parameter of the tool, or there is no key. SQLite reads the keys: it
 * made the text. */
static bool
has_parameter_key(sq_tool *f, sqlite3_value *object)
{
    sqlite3_stmt *keys;
    bool empty = true, found = false;

    if (sqlite3_prepare_v2(f->state->db, "SELECT key FROM json_each(?1)", -1, &keys, NULL) !=
        SQLITE_OK)
        return false;
    if (sqlite3_bind_value(keys, 1, object) == SQLITE_OK) {
        while (!found && sqlite3_step(keys) == SQLITE_ROW) {
            const unsigned char *key = sqlite3_column_text(keys, 0);

            empty = false;
            found = key != NULL && clo_tool_param(f->tool, (const char *)key) != NULL;
        }
    }
    sqlite3_finalize(keys);
    return found || empty;
}

static bool
is_named_form(sq_tool *f, int argc, sqlite3_value **argv)
{
    const clo_tool *tool = f->tool;
    clo_value v;
    size_t skip;

    if (argc != 1 || sq_value_get(argv[0], &v) != CLO_E_NONE || v.type != CLO_T_JSON)
        return false;
    skip = strspn(v.text, " \t\r\n");
    if (v.text[skip] != '{')
        return false;
    return tool->n_params == 0 || tool->params[0].type != CLO_T_JSON ||
           has_parameter_key(f, argv[0]);
}

static clo_request *
tool_request(sq_tool *f, int argc, sqlite3_value **argv, clo_err *err)
{
    const clo_tool *tool = f->tool;
    clo_value args[MAX_ARGS];

    if (is_named_form(f, argc, argv)) {
        const char *text = (const char *)sqlite3_value_text(argv[0]);

        return clo_request_tool_json(tool, text, (size_t)sqlite3_value_bytes(argv[0]), err);
    }
    if (argc > MAX_ARGS) {
        clo_err_set(err, CLO_E_ARG, "%d arguments are too many, it takes %zu", argc,
                    tool->n_params);
        return NULL;
    }
    for (int i = 0; i < argc; i++) {
        clo_code code = sq_value_get(argv[i], &args[i]);

        if (code != CLO_E_NONE) {
            sq_value_error(code, "argument",
                           (size_t)i < tool->n_params ? tool->params[i].name : "beyond the last",
                           err);
            return NULL;
        }
    }
    return clo_request_tool(tool, (size_t)argc, args, err);
}

clo_status
sq_text_argument(sqlite3_value *v, const char *name, const char **text, size_t *len, clo_err *err)
{
    clo_value value;
    clo_code code = sq_value_get(v, &value);

    *text = NULL;
    *len = 0;
    if (code != CLO_E_NONE)
        return sq_value_error(code, "argument", name, err);
    if (value.type == CLO_T_NULL)
        return CLO_OK;
    *text = (const char *)sqlite3_value_text(v); /* numbers become text */
    if (*text == NULL)
        return clo_err_set(err, CLO_E_NOMEM, "out of memory");
    *len = (size_t)sqlite3_value_bytes(v);
    if (strlen(*text) != *len)
        return clo_err_set(err, CLO_E_ARG, "argument %s contains a NUL character", name);
    return CLO_OK;
}

static clo_status
text_argument(sqlite3_value *v, const char *name, const char **text, clo_err *err)
{
    size_t len;

    return sq_text_argument(v, name, text, &len, err);
}

/* The same, with NULL refused. */
static clo_status
required_argument(sqlite3_value *v, const char *name, const char **text, clo_err *err)
{
    if (text_argument(v, name, text, err) != CLO_OK)
        return CLO_ERROR;
    if (*text == NULL)
        return clo_err_set(err, CLO_E_ARG, "argument %s is NULL", name);
    return CLO_OK;
}

/* ---- calls ------------------------------------------------------------------------------ */

/* Runs a request and makes its answer the result. Consumes `req`; NULL means that `err` is set. */
static void
answer(sqlite3_context *ctx, sq_state *state, clo_request *req, clo_err *err, const char *who)
{
    clo_call *call = sq_request_run(state, req, err);
    const char *text;
    size_t len;

    if (call == NULL) {
        sq_result_error(ctx, err, who);
        return;
    }
    text = clo_call_result(call, &len);
    sq_result_json(ctx, text, len);
    clo_call_free(call);
}

static void
tool_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sq_tool *f = sqlite3_user_data(ctx);
    clo_err err;

    clo_err_clear(&err);
    answer(ctx, f->state, tool_request(f, argc, argv, &err), &err, f->tool->name);
}

/* close_execute(tool [, params]) */
static void
execute_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    const char *tool, *params = NULL;
    clo_request *req = NULL;
    clo_err err;

    clo_err_clear(&err);
    if (required_argument(argv[0], "tool", &tool, &err) == CLO_OK &&
        (argc < 2 || text_argument(argv[1], "params", &params, &err) == CLO_OK))
        req = clo_request_execute(tool, params, params == NULL ? 0 : strlen(params), &err);
    answer(ctx, sqlite3_user_data(ctx), req, &err, "close_execute");
}

/* close_request(method, path [, query [, body]]) */
static void
request_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    const char *method, *path, *query = NULL, *body = NULL;
    clo_request *req = NULL;
    clo_err err;

    clo_err_clear(&err);
    if (required_argument(argv[0], "method", &method, &err) == CLO_OK &&
        required_argument(argv[1], "path", &path, &err) == CLO_OK &&
        (argc < 3 || text_argument(argv[2], "query", &query, &err) == CLO_OK) &&
        (argc < 4 || text_argument(argv[3], "body", &body, &err) == CLO_OK))
        req = clo_request_proxy(method, path, query, body, &err);
    answer(ctx, sqlite3_user_data(ctx), req, &err, "close_request");
}

/* close_authorization_link([identifier]) */
static void
link_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    const char *identifier = NULL;
    clo_request *req = NULL;
    clo_err err;

    clo_err_clear(&err);
    if (argc < 1 || text_argument(argv[0], "identifier", &identifier, &err) == CLO_OK)
        req = clo_request_link(identifier, &err);
    answer(ctx, sqlite3_user_data(ctx), req, &err, "close_authorization_link");
}

/* close_account([identifier]) */
static void
account_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    const char *identifier = NULL;
    clo_request *req = NULL;
    clo_err err;

    clo_err_clear(&err);
    if (argc < 1 || text_argument(argv[0], "identifier", &identifier, &err) == CLO_OK)
        req = clo_request_account(identifier, &err);
    answer(ctx, sqlite3_user_data(ctx), req, &err, "close_account");
}

/* ---- settings and the rest -------------------------------------------------------------- */

/* Text or NULL as the result. */
static void
result_text(sqlite3_context *ctx, const char *text)
{
    if (text == NULL)
        sqlite3_result_null(ctx);
    else
        sqlite3_result_text(ctx, text, -1, SQLITE_TRANSIENT);
}

/* close_config() */
static void
config_all_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sq_state *state = sqlite3_user_data(ctx);
    clo_err err;
    char *json;

    (void)argc;
    (void)argv;
    clo_err_clear(&err);
    json = clo_client_settings(state->client, &err);
    if (json == NULL) {
        sq_result_error(ctx, &err, "close_config");
        return;
    }
    sq_result_json(ctx, json, strlen(json));
    clo_free(json);
}

/* close_config(name [, value]): sets when there is a value, NULL meaning the default, and gives what
 * holds now; a secret as ***. */
static void
config_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sq_state *state = sqlite3_user_data(ctx);
    const char *name, *value = NULL;
    clo_err err;
    bool ok;

    clo_err_clear(&err);
    ok = sq_batch_settle(state, &err) == CLO_OK &&
         required_argument(argv[0], "name", &name, &err) == CLO_OK &&
         clo_option_find(name, &err) != NULL;
    if (ok && argc > 1)
        ok = text_argument(argv[1], "value", &value, &err) == CLO_OK &&
             clo_client_set(state->client, name, value, CLO_FROM_SESSION, &err) == CLO_OK;
    if (ok)
        result_text(ctx, clo_client_setting(state->client, name));
    else
        sq_result_error(ctx, &err, "close_config");
}

static void
last_id_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sq_state *state = sqlite3_user_data(ctx);
    clo_err err;

    (void)argc;
    (void)argv;
    clo_err_clear(&err);
    if (sq_batch_settle(state, &err) == CLO_OK)
        result_text(ctx, clo_client_last_id(state->client));
    else
        sq_result_error(ctx, &err, "close_last_id");
}

static void
version_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    (void)argv;
    sqlite3_result_text(ctx, CLO_VERSION, -1, SQLITE_STATIC);
}

/* ---- registration ----------------------------------------------------------------------- */

static void
tool_drop(void *p)
{
    sq_tool *f = p;

    sq_state_unref(f->state);
    sqlite3_free(f);
}

static void
state_drop(void *p)
{
    sq_state_unref(p);
}

/* SQLite calls the destructor also when the registration fails. */
static int
register_tool(sq_state *state, const clo_tool *tool)
{
    sq_tool *f = sqlite3_malloc64(sizeof *f);

    if (f == NULL)
        return SQLITE_NOMEM;
    f->state = sq_state_ref(state);
    f->tool = tool;
    return sqlite3_create_function_v2(state->db, tool->name, -1, FUNCTION_FLAGS, f, tool_function,
                                      NULL, NULL, tool_drop);
}

static const struct other_function {
    const char *name;
    int n_args;
    int flags;
    void (*call)(sqlite3_context *, int, sqlite3_value **);
} other_functions[] = {
    {"close_execute", 1, 0, execute_function},
    {"close_execute", 2, 0, execute_function},
    {"close_request", 2, 0, request_function},
    {"close_request", 3, 0, request_function},
    {"close_request", 4, 0, request_function},
    {"close_authorization_link", 0, 0, link_function},
    {"close_authorization_link", 1, 0, link_function},
    {"close_account", 0, 0, account_function},
    {"close_account", 1, 0, account_function},
    {"close_config", 0, 0, config_all_function},
    {"close_config", 1, 0, config_function},
    {"close_config", 2, SQLITE_DIRECTONLY, config_function},
    {"close_last_id", 0, 0, last_id_function},
    {"close_version", 0, 0, version_function},
};

int
sq_functions_register(sq_state *state)
{
    int rc = SQLITE_OK;

    for (size_t i = 0; rc == SQLITE_OK && i < clo_tool_count(); i++) {
        const clo_tool *tool = clo_tool_at(i);

        if (!state->readonly || (tool->flags & CLO_TOOL_WRITES) == 0)
            rc = register_tool(state, tool);
    }
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof other_functions / sizeof other_functions[0];
         i++) {
        const struct other_function *o = &other_functions[i];

        rc = sqlite3_create_function_v2(state->db, o->name, o->n_args, FUNCTION_FLAGS | o->flags,
                                        sq_state_ref(state), o->call, NULL, NULL, state_drop);
    }
    return rc;
}
