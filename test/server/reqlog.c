/*
 * The request log: what came in, in order of arrival, as tests read it.
 *
 * An entry is made when a request arrives (status 0) and completed just before its answer leaves,
 * so a client that has its answer finds the entry complete. Control requests are not logged. The
 * newest 200,000 entries are kept. With --log every completed entry is also a line in a file.
 */
#include "standin.h"

#include <stdio.h>
#include <string.h>

#define LOG_KEEP 200000

static void
log_call(js *e, struct st_request *q)
{
    static const char *const keys[] = {"connector", "identifier"};
    js_adds(e, "tool", js_str(q->json, "tool_name"));
    if (st_has_prefix(q->path, "/proxy/")) {
        js_adds(e, "connector", q->connection_name);
        js_adds(e, "identifier", q->identifier);
    } else
        for (size_t i = 0; i < ST_LEN(keys); i++)
            js_adds(e, keys[i], js_str(q->json, keys[i]));
    js *params = js_ref(q->json, "params");
    js_add(e, "params", params ? js_copy(params) : NULL);
    js_adds(e, "query", q->query_text);
}

uint64_t
st_log_begin(struct st_app *app, struct st_request *q)
{
    js *e = json_object_new_object();
    uint64_t n = ++app->log_n;
    app->requests++;
    js_addi(e, "n", (int64_t)n);
    js_adds(e, "method", q->method);
    js_adds(e, "path", q->path);
    log_call(e, q);
    js_addi(e, "status", 0);
    js_adds(e, "fault", js_str(q->fault, "kind"));
    js_addi(e, "conn", (int64_t)q->conn);
    js_addi(e, "inflight", app->inflight);
    js_addi(e, "bytes", 0);
    json_object_array_add(app->log, e);
    size_t len = json_object_array_length(app->log);
    if (len > LOG_KEEP + LOG_KEEP / 4) {
        json_object_array_del_idx(app->log, 0, len - LOG_KEEP);
        app->log_first = n - LOG_KEEP + 1;
    }
    return n;
}

void
st_log_end(struct st_app *app, uint64_t n, int status, size_t bytes)
{
    if (n < app->log_first || n - app->log_first >= json_object_array_length(app->log))
        return; /* cleared meanwhile */
    js *e = json_object_array_get_idx(app->log, n - app->log_first);
    js_addi(e, "status", status);
    js_addi(e, "bytes", (int64_t)bytes);
    if (app->log_out) {
        fprintf(app->log_out, "%s\n", js_text(e));
        fflush(app->log_out);
    }
}

js *
st_log_since(struct st_app *app, uint64_t since)
{
    js *all = json_object_new_array();
    size_t len = json_object_array_length(app->log);
    size_t from = since >= app->log_first ? since - app->log_first + 1 : 0;
    for (size_t i = from; i < len; i++)
        json_object_array_add(all, js_copy(json_object_array_get_idx(app->log, i)));
    return all;
}

void
st_log_clear(struct st_app *app)
{
    json_object_put(app->log);
    app->log = json_object_new_array();
    app->log_first = app->log_n + 1;
}
