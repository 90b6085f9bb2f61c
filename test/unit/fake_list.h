/*
 * fake_list.h - a tiny Scalekit with one list of rows behind it, inside a test program.
 *
 * It answers token requests and execute_tool for any list tool over the same rows, and misbehaves on
 * demand: caps, missing keys, ignored filters, repeated pages, rows that move between two requests.
 * It is no model of Close (test/server is); it exists to bring the cursor into each of its corners.
 * One thread serves every connection, so the order of answers is the order of requests.
 */
#ifndef FAKE_LIST_H
#define FAKE_LIST_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define FK_ROWS 4000
#define FK_CALLS 4000
#define FK_CONNS 40

typedef struct fk_row {
    int id, group, sec; /* sec: seconds after 2024-01-01T00:00:00Z */
} fk_row;

typedef struct fk {
    /* what the service does; set before the scan */
    fk_row rows[FK_ROWS];
    int n;
    int max_limit;  /* refuses more with 400; 0: any */
    int silent_cap; /* answers at most so many rows; 0: as asked */
    int skip_cap;   /* refuses more with 400; 0: any */
    bool no_has_more, no_total, ignore_filters, ignore_order, ignore_bound, repeat_page,
        refuse_fields;
    bool no_cursor; /* events: no cursor_next */
    int delete_at, delete_row,
        delete_n;              /* before call number delete_at, delete_n rows from delete_row */
    int insert_at, insert_row; /* before that call, a row */
    int short_at;              /* that call is answered with five rows, and more are claimed */
    int fail_at;               /* that call is answered 400 */
    int garble_at;             /* that call succeeds, and says nothing of use */
    const char *fail_words;
    const char *canned; /* `data` of every list */
    const char *proxy;  /* body of every proxy call; NULL: there is no proxy */
    /* what it saw */
    int n_calls, port;
    char *calls[FK_CALLS];
    /* plumbing */
    int listener, wake[2];
    pthread_t thread;
    pthread_mutex_t lock;
    struct {
        int fd;
        char *in;
        size_t len;
    } conns[FK_CONNS];
    char *last_page;
} fk;

typedef struct fk_out {
    char *s;
    size_t n, cap;
} fk_out;

static inline void __attribute__((format(printf, 2, 3))) fk_put(fk_out *o, const char *fmt, ...)
{
    va_list ap;
    int k;

    if (o->cap - o->n < 4096) {
        o->cap = o->cap * 2 + 65536;
        o->s = realloc(o->s, o->cap);
    }
    va_start(ap, fmt);
    k = vsnprintf(o->s + o->n, o->cap - o->n, fmt, ap);
    va_end(ap);
    o->n += (size_t)k;
}

/* "key":VALUE of the parameters, as text without quotes; false when it is not there. */
static inline bool
fk_param(const char *params, const char *key, char *out, size_t cap)
{
    char mark[64];
    const char *p;
    size_t n = 0;
    bool quoted;

    snprintf(mark, sizeof mark, "\"%s\":", key);
    p = strstr(params, mark);
    if (p == NULL)
        return false;
    p += strlen(mark);
    while (*p == ' ')
        p++;
    quoted = *p == '"';
    p += quoted;
    while (*p != '\0' && n + 1 < cap && !(quoted ? *p == '"' : *p == ',' || *p == '}')) {
        if (*p == '\\')
            p++;
        out[n++] = *p++;
    }
    out[n] = '\0';
    return true;
}

static inline int
fk_int(const char *params, const char *key, int def)
{
    char v[64];

    return fk_param(params, key, v, sizeof v) ? atoi(v) : def;
}

/* The inverse of the timestamps below; minutes only when that is all there is. */
static inline int
fk_seconds(const char *t)
{
    int d = 1, h = 0, m = 0, s = 0;

    (void)sscanf(t, "2024-01-%d%*[T ]%d:%d:%d", &d, &h, &m, &s);
    return (((d - 1) * 24 + h) * 60 + m) * 60 + s;
}

static inline void
fk_row_text(fk_out *o, const fk_row *r)
{
    char at[40];

    snprintf(at, sizeof at, "2024-01-%02dT%02d:%02d:%02d", r->sec / 86400 + 1, r->sec / 3600 % 24,
             r->sec / 60 % 60, r->sec % 60);
    fk_put(o,
           "{\"id\":\"row_%05d\",\"lead_id\":\"group_%d\",\"name\":\"n%d\",\"value\":%d,"
           "\"date_created\":\"%s+00:00\",\"date_updated\":\"%s\",\"thread_id\":\"group_%d\"}",
           r->id, r->group, r->id, r->sec, at, at, r->group);
}

static inline void
fk_error(fk_out *o, int status, const char *words)
{
    fk_put(o,
           "{\"code\":3,\"message\":\"tool execution failed\",\"details\":[{\"error_code\":"
           "\"TOOL_ERROR\",\"tool_error_info\":{\"execution_id\":\"1\",\"tool_error_message\":\"%"
           "s\"}}]}",
           words);
    (void)status;
}

static int
fk_older(const void *a, const void *b)
{
    const fk_row *x = a, *y = b;

    return x->sec != y->sec ? (x->sec > y->sec) - (x->sec < y->sec)
                            : (x->id > y->id) - (x->id < y->id);
}

/* Rows that the parameters ask for, in their order. */
static inline int
fk_select(const fk *f, const char *tool, const char *p, fk_row *out)
{
    char v[512], q[512] = "";
    const char *b;
    int n = 0, from = -1, to = 1 << 30;
    bool asc, desc = strcmp(tool, "close_events_list") == 0 ||
                     strcmp(tool, "close_custom_activities_list") == 0;

    (void)fk_param(p, "query", q, sizeof q);
    asc = strstr(q, "sort:date_created") != NULL;
    if (fk_param(p, "_order_by", v, sizeof v)) {
        desc = v[0] == '-';
        asc = !desc;
    }
    desc = desc || strstr(q, "sort:-date_created") != NULL;
    b = strstr(q, "date_created >= \"");
    if (b != NULL)
        from = fk_seconds(b + 17);
    b = strstr(q, "date_created <= \"");
    if (b != NULL)
        to = fk_seconds(b + 17);
    if (fk_param(p, "date_created__lte", v, sizeof v) ||
        fk_param(p, "date_updated__lte", v, sizeof v))
        to = fk_seconds(v);
    for (int i = 0; i < f->n; i++) {
        char group[32];

        snprintf(group, sizeof group, "group_%d", f->rows[i].group);
        if (!f->ignore_filters &&
            ((fk_param(p, "lead_id", v, sizeof v) && strcmp(v, group) != 0) ||
             (fk_param(p, "thread_id", v, sizeof v) && strcmp(v, group) != 0)))
            continue;
        if (!f->ignore_bound && (f->rows[i].sec < from || f->rows[i].sec > to))
            continue;
        out[n++] = f->rows[i];
    }
    if ((asc || desc) && !f->ignore_order)
        qsort(out, (size_t)n, sizeof *out, fk_older);
    for (int i = 0; desc && !f->ignore_order && i < n / 2; i++) {
        fk_row t = out[i];
        out[i] = out[n - 1 - i];
        out[n - 1 - i] = t;
    }
    return n;
}

static inline void
fk_move(fk *f)
{
    if (f->delete_at == f->n_calls) {
        memmove(&f->rows[f->delete_row], &f->rows[f->delete_row + f->delete_n],
                (size_t)(f->n - f->delete_row - f->delete_n) * sizeof f->rows[0]);
        f->n -= f->delete_n;
    }
    if (f->insert_at == f->n_calls) {
        memmove(&f->rows[f->insert_row + 1], &f->rows[f->insert_row],
                (size_t)(f->n - f->insert_row) * sizeof f->rows[0]);
        f->rows[f->insert_row] = (fk_row){90000 + f->n_calls, 0, f->rows[f->insert_row].sec};
        f->n++;
    }
}

static inline int
fk_list(fk *f, const char *tool, const char *p, fk_out *o)
{
    static fk_row found[FK_ROWS];
    bool events = strcmp(tool, "close_events_list") == 0;
    int limit = fk_int(p, "_limit", events ? 50 : 100), skip = fk_int(p, "_skip", 0), n;
    char v[512];

    if (f->max_limit > 0 && limit > f->max_limit) {
        char words[200];
        snprintf(
            words, sizeof words,
            "{\\\"errors\\\":[],\\\"field-errors\\\":{\\\"_limit\\\":\\\"Input should be less than "
            "or equal to %d\\\"}}",
            f->max_limit);
        fk_error(o, 400, words);
        return 400;
    }
    if (f->skip_cap > 0 && skip > f->skip_cap) {
        fk_error(o, 400,
                 "{\\\"error\\\":\\\"The skip you set is larger than the maximum skip for this "
                 "resource (max_skip = 7).\\\"}");
        return 400;
    }
    if (f->refuse_fields && fk_param(p, "_fields", v, sizeof v)) {
        fk_error(o, 400, "{\\\"field-errors\\\":{\\\"_fields\\\":\\\"Unknown parameter.\\\"}}");
        return 400;
    }
    if (f->fail_words != NULL && f->fail_at == f->n_calls) {
        fk_error(o, 400, f->fail_words);
        return 400;
    }
    if (f->repeat_page && f->last_page != NULL) {
        fk_put(o, "%s", ""); /* room */
        o->cap = o->cap > strlen(f->last_page) + 8192 ? o->cap : strlen(f->last_page) + 8192;
        o->s = realloc(o->s, o->cap);
        o->n = (size_t)snprintf(o->s, o->cap, "%s", f->last_page);
        return 200;
    }
    if (f->silent_cap > 0 && limit > f->silent_cap)
        limit = f->silent_cap;
    if (f->short_at == f->n_calls && limit > 5)
        limit = 5;
    n = fk_select(f, tool, p, found);
    fk_put(o, "{\"data\":{\"data\":[");
    for (int i = skip; i < n && i < skip + limit; i++) {
        if (i > skip)
            fk_put(o, ",");
        fk_row_text(o, &found[i]);
    }
    fk_put(o, "]");
    if (!f->no_has_more && !events)
        fk_put(o, ",\"has_more\":%s", skip + limit < n ? "true" : "false");
    if (events && !f->no_cursor)
        fk_put(o, ",\"cursor_next\":%s", limit < n ? "\"c\"" : "null");
    if (!f->no_total && strcmp(tool, "close_leads_list") == 0)
        fk_put(o, ",\"total_results\":%d", n);
    fk_put(o, "},\"execution_id\":\"7\"}");
    free(f->last_page);
    f->last_page = strdup(o->s);
    return 200;
}

static inline int
fk_get(fk *f, const char *params, fk_out *o)
{
    char id[64] = "";

    (void)(fk_param(params, "lead_id", id, sizeof id) ||
           fk_param(params, "contact_id", id, sizeof id));
    for (int i = 0; i < f->n; i++) {
        char want[32];

        snprintf(want, sizeof want, "row_%05d", f->rows[i].id);
        if (strcmp(want, id) == 0) {
            fk_put(o, "{\"data\":");
            fk_row_text(o, &f->rows[i]);
            fk_put(o, ",\"execution_id\":\"8\"}");
            return 200;
        }
    }
    fk_error(o, 404, "{\\\"error\\\":\\\"Empty query: Lead matching query does not exist.\\\"}");
    return 404;
}

static inline int
fk_answer(fk *f, const char *request, fk_out *o)
{
    const char *params = strstr(request, "\"params\":"), *body = strstr(request, "\r\n\r\n");
    char tool[64] = "";

    if (strstr(request, "/oauth/token") != NULL) {
        fk_put(o, "{\"access_token\":\"tok-unit\",\"expires_in\":3600}");
        return 200;
    }
    if (strstr(request, "/proxy/") != NULL && f->proxy != NULL) {
        fk_put(o, "%s", f->proxy);
        return 200;
    }
    if (strstr(request, "/proxy/") != NULL) {
        fk_put(o, "{\"code\":\"TOOL_PROXY_DISABLED\",\"detail\":\"the proxy is off\"}");
        return 403;
    }
    (void)fk_param(body != NULL ? body : "", "tool_name", tool, sizeof tool);
    if (params == NULL)
        params = "{}";
    f->n_calls++;
    if (f->n_calls <= FK_CALLS) {
        char *text = malloc(strlen(tool) + strlen(params) + 2);
        sprintf(text, "%s %s", tool, params);
        f->calls[f->n_calls - 1] = text;
    }
    fk_move(f);
    if (f->garble_at == f->n_calls) {
        fk_put(o, "{\"data\":5}");
        return 200;
    }
    if (f->canned != NULL) {
        fk_put(o, "{\"data\":%s,\"execution_id\":\"9\"}", f->canned);
        return 200;
    }
    return strstr(tool, "_get") != NULL ? fk_get(f, params, o) : fk_list(f, tool, params, o);
}

static inline size_t
fk_complete(const char *in, size_t len)
{
    const char *end = in ? strstr(in, "\r\n\r\n") : NULL, *p;
    size_t head, body = 0;

    if (end == NULL)
        return 0;
    head = (size_t)(end - in) + 4;
    p = strcasestr(in, "\r\ncontent-length:");
    if (p != NULL && p < end)
        body = strtoul(p + 17, NULL, 10);
    return len >= head + body ? head + body : 0;
}

static inline void
fk_read(fk *f, int c)
{
    char buf[65536];
    ssize_t k = recv(f->conns[c].fd, buf, sizeof buf, 0);
    size_t n;

    if (k <= 0) {
        close(f->conns[c].fd);
        free(f->conns[c].in);
        f->conns[c].fd = -1;
        f->conns[c].in = NULL;
        f->conns[c].len = 0;
        return;
    }
    f->conns[c].in = realloc(f->conns[c].in, f->conns[c].len + (size_t)k + 1);
    memcpy(f->conns[c].in + f->conns[c].len, buf, (size_t)k);
    f->conns[c].len += (size_t)k;
    f->conns[c].in[f->conns[c].len] = '\0';
    while ((n = fk_complete(f->conns[c].in, f->conns[c].len)) > 0) {
        char *request = strndup(f->conns[c].in, n), head[200];
        fk_out o = {0};
        size_t sent = 0;
        int status;

        memmove(f->conns[c].in, f->conns[c].in + n, f->conns[c].len - n + 1);
        f->conns[c].len -= n;
        pthread_mutex_lock(&f->lock);
        status = fk_answer(f, request, &o);
        pthread_mutex_unlock(&f->lock);
        snprintf(head, sizeof head,
                 "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                 status, o.n);
        (void)!send(f->conns[c].fd, head, strlen(head), MSG_NOSIGNAL);
        while (sent < o.n) {
            ssize_t w = send(f->conns[c].fd, o.s + sent, o.n - sent, MSG_NOSIGNAL);
            if (w <= 0)
                break;
            sent += (size_t)w;
        }
        free(o.s);
        free(request);
    }
}

static inline void *
fk_main(void *arg)
{
    fk *f = arg;

    for (;;) {
        struct pollfd p[FK_CONNS + 2];

        for (int i = 0; i < FK_CONNS; i++)
            p[i] = (struct pollfd){f->conns[i].fd, POLLIN, 0};
        p[FK_CONNS] = (struct pollfd){f->listener, POLLIN, 0};
        p[FK_CONNS + 1] = (struct pollfd){f->wake[0], POLLIN, 0};
        if (poll(p, FK_CONNS + 2, -1) < 0)
            continue;
        if (p[FK_CONNS + 1].revents)
            return NULL;
        for (int i = 0; i < FK_CONNS; i++)
            if (p[i].fd >= 0 && p[i].revents)
                fk_read(f, i);
        if (p[FK_CONNS].revents) {
            int fd = accept(f->listener, NULL, NULL), i = 0, on = 1;

            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            while (i < FK_CONNS && f->conns[i].fd >= 0)
                i++;
            if (fd >= 0 && i < FK_CONNS)
                f->conns[i].fd = fd;
            else if (fd >= 0)
                close(fd);
        }
    }
}

/* `n` rows in 10 groups, one per `step` seconds, in a scrambled order that is always the same. */
static inline fk *
fk_start(int n, int step)
{
    fk *f = calloc(1, sizeof *f);
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    sigset_t all, old;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->n = n;
    for (int i = 0; i < n; i++) {
        int id = (int)((long)i * 7919 % n);
        f->rows[i] = (fk_row){id, id % 10, id * step};
    }
    for (int i = 0; i < FK_CONNS; i++)
        f->conns[i].fd = -1;
    f->delete_at = f->insert_at = f->fail_at = f->short_at = f->garble_at = -1;
    pthread_mutex_init(&f->lock, NULL);
    f->listener = socket(AF_INET, SOCK_STREAM, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pipe(f->wake) != 0 || bind(f->listener, (struct sockaddr *)&a, len) != 0 ||
        listen(f->listener, 40) != 0 ||
        getsockname(f->listener, (struct sockaddr *)&a, &len) != 0 ||
        pthread_create(&f->thread, NULL, fk_main, f) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    f->port = ntohs(a.sin_port);
    return f;
}

/* Between two scans: nothing is under way then. */
static inline void
fk_forget(fk *f)
{
    pthread_mutex_lock(&f->lock);
    for (int i = 0; i < f->n_calls && i < FK_CALLS; i++)
        free(f->calls[i]);
    f->n_calls = 0;
    pthread_mutex_unlock(&f->lock);
}

static inline void
fk_stop(fk *f)
{
    if (write(f->wake[1], "x", 1) != 1)
        abort();
    pthread_join(f->thread, NULL);
    for (int i = 0; i < FK_CONNS; i++) {
        if (f->conns[i].fd >= 0)
            close(f->conns[i].fd);
        free(f->conns[i].in);
    }
    fk_forget(f);
    close(f->listener);
    close(f->wake[0]);
    close(f->wake[1]);
    pthread_mutex_destroy(&f->lock);
    free(f->last_page);
    free(f);
}

#endif
