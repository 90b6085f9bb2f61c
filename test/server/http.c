/*
 * HTTP in: one thread per connection (libmicrohttpd), requests collected whole, then carried out
 * under the one lock, then answered.
 *
 * A thread per connection is the simplest design in which a delayed, stalled or slow answer holds
 * up only its own connection, which is what tests of concurrent clients measure. The lock is held
 * for the work on data only, never while waiting, compressing or sending.
 *
 * Latency is the time from the arrival of a request to its answer, whatever the work in between costs:
 * a read is carried out at once and its answer is held back until it is due. A write is carried out
 * when its answer is due (its work is small), so that a client that leaves before has changed
 * nothing.
 */
#include "standin.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct st_http {
    struct st_app *app;
    struct MHD_Daemon *daemon;
};

/* One request on its way; made before its headers are read. */
struct exchange {
    char *uri;
    int64_t arrived;
    struct st_text body;
    bool started, counted, logged;
};

static void *
uri_seen(void *cls, const char *uri, struct MHD_Connection *conn)
{
    (void)cls;
    (void)conn;
    struct exchange *x = st_alloc(sizeof *x);
    x->uri = st_dup(uri);
    x->arrived = st_now();
    return x;
}

/* Nothing more leaves for it, as `finished` tells tests that want to know what a client can have read. */
static void
count_finished(struct st_app *app, const struct exchange *x)
{
    pthread_mutex_lock(&app->lock);
    app->finished += x->logged;
    pthread_mutex_unlock(&app->lock);
}

/* Before the answer leaves: a client that sends one request at a time is never counted as two. */
static void
uncount(struct st_app *app, struct exchange *x)
{
    pthread_mutex_lock(&app->lock);
    if (x->counted)
        app->inflight--;
    x->counted = false;
    pthread_mutex_unlock(&app->lock);
}

static void
done(void *cls, struct MHD_Connection *conn, void **state, enum MHD_RequestTerminationCode why)
{
    struct st_app *app = cls;
    struct exchange *x = *state;
    (void)conn;
    (void)why;
    if (!x)
        return;
    uncount(app, x);
    count_finished(app, x);
    free(x->uri);
    st_text_free(&x->body);
    free(x);
    *state = NULL;
}

static void
connection(void *cls, struct MHD_Connection *conn, void **socket_state,
           enum MHD_ConnectionNotificationCode what)
{
    struct st_app *app = cls;
    (void)conn;
    pthread_mutex_lock(&app->lock);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        uint64_t *n = st_alloc(sizeof *n);
        *n = ++app->conn_serial;
        *socket_state = n;
        app->connections++;
        app->open_connections++;
    } else {
        free(*socket_state);
        *socket_state = NULL;
        app->open_connections--;
    }
    pthread_mutex_unlock(&app->lock);
}

static enum MHD_Result
add_query(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
    (void)kind;
    js_adds(cls, key, value ? value : "");
    return MHD_YES;
}

static const char *
header(struct MHD_Connection *conn, const char *name)
{
    return MHD_lookup_connection_value(conn, MHD_HEADER_KIND, name);
}

static void
request_fill(struct st_request *q, struct MHD_Connection *conn, struct exchange *x)
{
    q->query = json_object_new_object();
    MHD_get_connection_values(conn, MHD_GET_ARGUMENT_KIND, add_query, q->query);
    q->query_text = strchr(x->uri, '?') ? strchr(x->uri, '?') + 1 : NULL;
    q->body = x->body;
    q->authorization = header(conn, "Authorization");
    q->content_type = header(conn, "Content-Type");
    q->accept_encoding = header(conn, "Accept-Encoding");
    q->gzip = q->accept_encoding && strstr(q->accept_encoding, "gzip");
    q->connection_name = header(conn, "connection_name");
    q->identifier = header(conn, "identifier");
    q->method_override = header(conn, "x-http-method-override");
    q->tz_offset = header(conn, "x-tz-offset");
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info && info->socket_context)
        q->conn = *(uint64_t *)info->socket_context;
    if (strcmp(q->path, "/api/v1/execute_tool") == 0 && x->body.n)
        q->json = js_parse(x->body.s, x->body.n);
}

static int
socket_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static enum MHD_Result
answer(struct MHD_Connection *conn, const struct st_request *q, struct st_reply *r)
{
    struct st_text packed = {0}, *body = &r->body;
    bool gzip = r->front.packed;
    if (r->front.text.n) {
        st_front_end(&r->front, &r->body);
        body = &r->front.text;
    } else if (q->gzip && r->body.n > 1024 && st_gzip(r->body.s, r->body.n, &packed)) {
        gzip = true;
        body = &packed;
    }
    struct MHD_Response *resp =
        MHD_create_response_from_buffer(body->n, body->s, MHD_RESPMEM_MUST_FREE);
    if (!resp)
        return MHD_NO;
    body->s = NULL; /* the response owns it now */
    if (*r->type)
        MHD_add_response_header(resp, "Content-Type", r->type);
    if (gzip)
        MHD_add_response_header(resp, "Content-Encoding", "gzip");
    for (int i = 0; i < r->n_headers; i++)
        MHD_add_response_header(resp, r->headers[i].name, r->headers[i].value);
    enum MHD_Result rc = MHD_queue_response(conn, (unsigned)r->status, resp);
    MHD_destroy_response(resp);
    return rc;
}

/* Enters a request in the books; takes the fault that hits it. */
static uint64_t
begin(struct st_app *app, struct st_request *q, struct exchange *x)
{
    pthread_mutex_lock(&app->lock);
    x->counted = x->logged = true;
    if (++app->inflight > app->max_inflight)
        app->max_inflight = app->inflight;
    js *params = js_ref(q->json, "params");
    q->fault = st_fault_take(app, js_str(q->json, "tool_name"), q->path,
                             st_has_prefix(q->path, "/proxy/") ? q->query : params);
    uint64_t n = st_log_begin(app, q);
    pthread_mutex_unlock(&app->lock);
    return n;
}

static void
book(struct st_app *app, uint64_t n, int status, const struct st_reply *r)
{
    size_t front = r->front.packed ? r->front.plain_n : r->front.text.n;
    pthread_mutex_lock(&app->lock);
    st_log_end(app, n, status, status ? front + r->body.n : 0);
    pthread_mutex_unlock(&app->lock);
}

/* Compresses the front and keeps it for others. */
static void
finish(struct st_app *app, const struct st_request *q, struct st_reply *r)
{
    if (q->gzip)
        st_front_pack(&r->front);
    if (!r->key || !r->front.text.n)
        return;
    pthread_mutex_lock(&app->lock);
    st_kept_add(app, r);
    pthread_mutex_unlock(&app->lock);
}

/* True: answer r. False: the connection is to be dropped. */
static bool
carry_out(struct st_app *app, struct st_request *q, struct st_reply *r)
{
    pthread_mutex_lock(&app->lock);
    bool effect = js_true(q->fault, "effect", false) || st_kind_is(q->fault, "reset_after");
    enum st_when when = ST_GO;
    if (effect)
        st_dispatch(app, q, r);
    if (q->fault)
        when = st_fault_before(app, q, r);
    if (when == ST_GO && !effect)
        st_dispatch(app, q, r);
    if (q->fault)
        st_fault_body(q->fault, r);
    bool drop = when == ST_DROP || st_kind_is(q->fault, "reset_after");
    pthread_mutex_unlock(&app->lock);
    if (!drop)
        finish(app, q, r);
    return !drop;
}

/* Carries a request out and waits until its answer is due, in the order that is right for it. */
static bool
work_and_wait(struct st_app *app, struct st_request *q, struct st_reply *r, uint64_t n,
              int64_t arrived, int fd)
{
    const char *hold = js_str(q->fault, "hold");
    if (hold && !st_hold(app, fd, hold)) {
        book(app, n, 499, r);
        return false;
    }
    pthread_mutex_lock(&app->lock);
    int64_t due = arrived + app->cfg.latency_ms * 1000;
    pthread_mutex_unlock(&app->lock);
    if (st_kind_is(q->fault, "delay"))
        due += js_int(q->fault, "ms", 1000) * 1000;
    /* "after": the work is done first and only its answer is late */
    bool after = js_true(q->fault, "after", false);
    bool first = after || (!q->fault && st_only_reads(q));
    if (!first && !st_sleep_until(app, fd, due)) {
        book(app, n, 499, r);
        return false;
    }
    bool ok = carry_out(app, q, r);
    if (after) /* done and booked as done, even when the client does not wait for the answer */
        book(app, n, ok ? r->status : 0, r);
    bool there = !first || st_sleep_until(app, fd, due);
    if (!after)
        book(app, n, !there ? 499 : ok ? r->status : 0, r);
    if (there && !ok)
        st_send_reset(fd);
    return there && ok;
}

static enum MHD_Result
serve(struct st_app *app, struct MHD_Connection *conn, struct st_request *q, struct st_reply *r,
      struct exchange *x)
{
    int fd = socket_of(conn);
    uint64_t n = begin(app, q, x);
    if (!work_and_wait(app, q, r, n, x->arrived, fd))
        return MHD_NO;
    if (st_send_is_raw(q->fault)) {
        st_send_raw(app, fd, q->fault, r);
        return MHD_NO;
    }
    uncount(app, x);
    return answer(conn, q, r);
}

static enum MHD_Result
handle(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
       const char *version, const char *data, size_t *size, void **state)
{
    struct st_app *app = cls;
    struct exchange *x = *state;
    (void)version;
    if (!x->started) {
        x->started = true;
        return MHD_YES;
    }
    if (*size) {
        st_put(&x->body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    struct st_request q = {.method = method, .path = url};
    struct st_reply r = {0};
    enum MHD_Result rc;
    request_fill(&q, conn, x);
    if (st_has_prefix(url, "/_standin/")) {
        pthread_mutex_lock(&app->lock);
        st_control(app, &q, &r);
        pthread_mutex_unlock(&app->lock);
        rc = answer(conn, &q, &r);
    } else
        rc = serve(app, conn, &q, &r, x);
    json_object_put(q.query);
    json_object_put(q.json);
    json_object_put(q.fault);
    free(r.key);
    st_text_free(&r.front.text);
    st_text_free(&r.body);
    return rc;
}

struct st_http *
st_http_start(struct st_app *app, uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct st_http *h = st_alloc(sizeof *h);
    h->app = app;
    h->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL,
        NULL, handle, app, MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_NOTIFY_COMPLETED, done, app,
        MHD_OPTION_NOTIFY_CONNECTION, connection, app, MHD_OPTION_URI_LOG_CALLBACK, uri_seen, app,
        MHD_OPTION_CONNECTION_LIMIT, 1000u, MHD_OPTION_LISTEN_BACKLOG_SIZE, 512u,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(256 * 1024), MHD_OPTION_END);
    if (!h->daemon) {
        free(h);
        return NULL;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
    *port = info ? info->port : 0;
    return h;
}

void
st_http_stop(struct st_http *h)
{
    pthread_mutex_lock(&h->app->lock);
    h->app->stopping = true;
    pthread_mutex_unlock(&h->app->lock);
    MHD_stop_daemon(h->daemon);
    free(h);
}
