/*
 * http.c - HTTPS transfers as resumable state machines over the libcurl multi interface.
 *
 * A clo_http owns one multi handle and with it the connections that are kept alive, the DNS cache
 * and the TLS sessions of one client. A clo_xfer is one request; any number of them move together
 * whenever clo_http_pump is called, and only then. Nothing here blocks except the wait of pump,
 * which a signal ends early, so that hosts can look for cancel requests between two pumps.
 *
 * At most once. A request with replay_safe=false must never reach the service twice, but libcurl
 * silently repeats a request when a kept connection turns out to be dead, and that is exactly the
 * case in which the first copy may have been read and acted upon. Two independent locks forbid it:
 *  - the body is fed by a read callback whose seek callback refuses to rewind, which ends the
 *    repetition with CURLE_SEND_FAIL_REWIND;
 *  - the pre-request callback, which libcurl runs on a ready connection just before it writes the
 *    first byte of a request, lets only the first pass through. It also covers requests without a
 *    body, and it is what makes `sent` exact: before it ran, nothing can have left.
 * A connection that the service has closed already is no place for a write: that is looked at last of all,
 * and such a write has not been sent.
 * A fresh connection for every write would have been simpler, but costs a TLS handshake per row, and
 * would still not answer the question whether the write arrived.
 *
 * One page after the other. A pump moves the transfers of one ready socket after the other, and stops when it has
 * taken TURN_BYTES of bodies; the rest stays in the kernel until the next pump. So the pages of a window that
 * have arrived together are unpacked one by one, between the rows of the pages before them, and each that is used
 * up has its successor asked for at once. curl_multi_perform would unpack all of them first, while nobody asks
 * for more (measured: a wait of 6 ms after every eighth page, at 20 ms a request).
 *
 * HTTP/2. All transfers share a socket there, and libcurl 7.88 stops in the middle of what it has read when one
 * stream has more than its buffer takes. If that stream then ends, nobody goes on with what is left for others:
 * neither the socket nor a timer tells, and they would wait until their time is over. So no wait begins before
 * all sockets have been looked at since the last body came over TLS, ready or not, and a wait for nothing ends
 * with such a look. Without TLS there is no HTTP/2 here.
 *
 * Cheap calls. One call on a kept connection costs two system calls for the wire (a write: three), one wait, and little
 * else: a pump sends what is new before it waits, and a handle keeps its options for the next request of
 * the same shape (method, kind of body, scheme), which sets only what differs. Rejected: waiting actively
 * for the answer (takes the processor from whoever makes it).
 *
 * Large answers come in rows of equal ones, the pages of a list. So what turns out to be a large body gets
 * the memory of the last one at once: it is copied once, early, and a page that waits for its turn takes
 * hardly more than its text. Blocks of one size are what the allocator hands out again without a system call,
 * so there is no store of our own for them.
 *
 * Signals. libcurl's resolver threads inherit the signal mask, and a host's handler must not run on
 * them; writing to a closed TLS connection raises SIGPIPE. So asynchronous signals are blocked while
 * libcurl works (not while it waits), and a SIGPIPE that we caused is swallowed before unblocking.
 *
 * Ownership: a clo_xfer copies its request; the caller frees it in any state, which drops a running
 * transfer and closes its HTTP/1 socket. Request bodies and headers carry credentials and are wiped.
 * The bytes of an answer belong to the clo_http_res until taken.
 *
 * Errors name the host, never the URL: a query may hold what must not be shown.
 */
#include "http.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define HEADER_MAX 65536
#define SPARE_MAX 32
#define LARGE_BODY ((size_t)65536)
#define TURN_BYTES ((size_t)262144)
#define URL_MAX 16384
#define IDLE_MAX_S 235L /* the service drops idle connections after some 5 minutes */

/* What the options of a handle depend on besides the values that every request sets anew. */
typedef struct shape {
    bool tls, replay_safe, body;
    bool unlike;     /* nothing fits: a certificate file of its own, or a long method */
    char method[12]; /* as long as the longest that HTTP has */
} shape;

/* A handle to use again. It keeps its buffers and, for a request of the same shape, its options. */
typedef struct spare_easy {
    CURL *easy;
    shape kept;
} spare_easy;

struct clo_http {
    CURLM *multi;
    clo_sockets sockets;
    clo_xfer *first; /* running ones */
    int running;
    unsigned turns;
    unsigned ended; /* how many transfers have ended */
    size_t taken;   /* bytes of bodies, in this turn */
    bool unsure;    /* libcurl may hold more of what came last than it has handed out */
    size_t large;   /* of the last large body: the next one will be like it */
    spare_easy spare[SPARE_MAX];
    int n_spare;
};

struct clo_xfer {
    clo_http *http;
    clo_xfer *prev, *next;
    CURL *easy;                 /* NULL once done */
    shape shape;                /* of the options in easy */
    struct curl_slist *headers; /* libcurl's copy of the header lines */
    char *body;
    size_t body_len, body_at;
    bool replay_safe, done;
    bool whole;      /* ended as it should, at the first attempt */
    bool began;      /* the request line may have left */
    bool body_asked; /* some of the body may have left */
    int passes;      /* how often libcurl was about to send */
    size_t header_bytes;
    bool head_done;  /* the empty line after the headers has arrived */
    bool framed;     /* the headers say where the body ends */
    clo_code failed; /* why a callback stopped the transfer */
    size_t max_bytes;
    char host[128];
    char why[CURL_ERROR_SIZE];
    clo_http_res res;
};

/* ---- process-wide start ------------------------------------------------------------------ */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_result; /* written once, inside pthread_once */

static void
global_start(void)
{
    global_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- signals ----------------------------------------------------------------------------- */

typedef struct guard {
    sigset_t old;
    bool had_pipe;
} guard;

static void
guard_enter(guard *g)
{
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t all, pending;
    sigfillset(&all);
    for (size_t i = 0; i < CLO_ARRAY_LEN(synchronous); i++)
        sigdelset(&all, synchronous[i]);
    pthread_sigmask(SIG_BLOCK, &all, &g->old);
    /* Where it was not blocked it would have been delivered, and cannot be pending. */
    g->had_pipe = sigismember(&g->old, SIGPIPE) == 1 && sigpending(&pending) == 0 &&
                  sigismember(&pending, SIGPIPE) == 1;
}

static void
guard_leave(const guard *g)
{
    sigset_t pending;
    if (!g->had_pipe && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1) {
        sigset_t one;
        const struct timespec now = {0, 0};
        sigemptyset(&one);
        sigaddset(&one, SIGPIPE);
        while (sigtimedwait(&one, NULL, &now) < 0 && errno == EINTR)
            continue;
    }
    pthread_sigmask(SIG_SETMASK, &g->old, NULL);
}

/* ---- addresses --------------------------------------------------------------------------- */

typedef struct url_parts {
    bool tls, loopback;
    const char *host;
    size_t host_len;
} url_parts;

static bool
dotted_127(const char *s, size_t n)
{
    int parts = 0;
    size_t i = 0;
    if (n < 4 || memcmp(s, "127.", 4) != 0)
        return false;
    while (i < n) {
        int value = 0, digits = 0;
        for (; i < n && s[i] >= '0' && s[i] <= '9' && digits < 4; i++, digits++)
            value = value * 10 + (s[i] - '0');
        if (digits == 0 || digits > 3 || value > 255)
            return false;
        parts++;
        if (i < n && (s[i] != '.' || ++i == n))
            return false;
    }
    return parts == 4;
}

static bool
port_ok(const char *s, size_t n)
{
    int value = 0;
    if (n == 0)
        return true;
    if (s[0] != ':' || n < 2 || n > 6)
        return false;
    for (size_t i = 1; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        value = value * 10 + (s[i] - '0');
    }
    return value >= 1 && value <= 65535;
}

/* Splits and checks. Strict, because it decides where credentials go: no user info, no backslash, no
 * fragment, printable ASCII only. */
static const char *
url_split(const char *url, url_parts *out)
{
    size_t len = strlen(url), n, host_end;
    const char *rest;
    memset(out, 0, sizeof(*out));
    if (len > URL_MAX)
        return "is too long";
    for (size_t i = 0; i < len; i++)
        if (url[i] <= ' ' || url[i] > '~' || url[i] == '\\' || url[i] == '#' || url[i] == '"')
            return "has a character that a URL cannot have here";
    out->tls = strncasecmp(url, "https://", 8) == 0;
    if (!out->tls && strncasecmp(url, "http://", 7) != 0)
        return "does not begin with https://";
    rest = url + (out->tls ? 8 : 7);
    n = strcspn(rest, "/?");
    if (memchr(rest, '@', n))
        return "has a user name in it, which is never sent";
    if (rest[0] == '[') {
        const char *end = memchr(rest, ']', n);
        host_end = end ? (size_t)(end - rest) + 1 : 0;
    } else {
        host_end = strcspn(rest, ":/?");
    }
    if (host_end == 0 || host_end >= sizeof(((clo_xfer *)0)->host))
        return "names no host";
    if (!port_ok(rest + host_end, n - host_end))
        return "has a wrong port";
    out->host = rest;
    out->host_len = host_end;
    out->loopback = (host_end == 9 && strncasecmp(rest, "localhost", 9) == 0) ||
                    (host_end == 5 && memcmp(rest, "[::1]", 5) == 0) || dotted_127(rest, host_end);
    if (!out->tls && !out->loopback)
        return "must begin with https:// (plain http is only for this machine)";
    return NULL;
}

static bool
url_parts_of(const char *url, url_parts *parts, clo_err *err)
{
    const char *wrong = url_split(url, parts);
    if (!wrong)
        return true;
    clo_err_clear(err);
    (void)clo_err_set(err, CLO_E_CONFIG, "the URL %s", wrong);
    return false;
}

bool
clo_url_ok(const char *url, clo_err *err)
{
    url_parts parts;
    return url_parts_of(url, &parts, err);
}

/* ---- callbacks of libcurl: they touch only the transfer ------------------------------------- */

static size_t
on_header(char *data, size_t size, size_t count, void *arg)
{
    clo_xfer *x = arg;
    size_t n = size * count;
    x->header_bytes += n;
    if (x->header_bytes > HEADER_MAX) {
        x->failed = CLO_E_PROTO;
        return 0;
    }
    if (n >= 5 && memcmp(data, "HTTP/", 5) == 0)
        x->head_done = x->framed = false;
    else if (data[0] == '\r' || data[0] == '\n')
        x->head_done = true;
    else if ((n > 15 && strncasecmp(data, "content-length:", 15) == 0) ||
             (n > 18 && strncasecmp(data, "transfer-encoding:", 18) == 0))
        x->framed = true;
    clo_headers_take(&x->res, data, n);
    return n;
}

/* libcurl takes a connection that closes in the middle of the headers, or before a body without a
 * stated length, for the end of a whole answer. To us it would be an empty success. */
static bool
is_cut_off(const clo_xfer *x, CURL *easy)
{
    long version = 0;
    if (!x->head_done)
        return true;
    (void)curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    return version <= CURL_HTTP_VERSION_1_1 && !x->framed && x->res.body.len == 0 &&
           x->res.status >= 200 && x->res.status < 300 && x->res.status != 204;
}

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
    clo_xfer *x = arg;
    size_t n = size * count, len = x->res.body.len;
    if (len < LARGE_BODY && len + n >= LARGE_BODY && len + n < x->http->large)
        clo_buf_expect(&x->res.body, x->http->large);
    x->http->taken += n;
    x->http->unsure = x->http->unsure || x->shape.tls;
    if (!clo_buf_add(&x->res.body, data, n)) {
        x->failed = x->res.body.error;
        return 0;
    }
    return n;
}

static size_t
on_read(char *out, size_t size, size_t count, void *arg)
{
    clo_xfer *x = arg;
    size_t room = size * count, left = x->body_len - x->body_at;
    x->body_asked = true;
    if (room > left)
        room = left;
    if (room)
        memcpy(out, x->body + x->body_at, room);
    x->body_at += room;
    return room;
}

/* Only writes are fed by callbacks, and those are never sent from the start again. */
static int
on_seek(void *arg, curl_off_t offset, int origin)
{
    (void)arg;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

/* The service has closed the connection that is about to be used. libcurl looks for that itself, but from the
 * middle of 2026 on at most once a second, and of a write that goes out on such a connection nobody knows the
 * fate. Where the socket cannot be told nothing is known. */
static bool
is_hung_up(const clo_xfer *x)
{
    struct pollfd p = {.fd = -1, .events = POLLRDHUP};
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (curl_easy_getinfo(x->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD)
        return false;
    p.fd = fd;
    return poll(&p, 1, 0) > 0;
}

static int
on_ready(void *arg, char *remote, char *local, int remote_port, int local_port)
{
    clo_xfer *x = arg;
    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    if (!x->replay_safe && (x->passes > 0 || is_hung_up(x)))
        return CURL_PREREQFUNC_ABORT;
    x->passes++;
    x->began = true;
    if (x->replay_safe) { /* nobody asks us for its body */
        x->body_asked = true;
        x->body_at = x->body_len;
    }
    return CURL_PREREQFUNC_OK;
}

/* ---- life of a clo_http ------------------------------------------------------------------- */

clo_http *
clo_http_new(clo_err *err)
{
    clo_http *h;
    clo_err_clear(err);
    if (pthread_once(&global_once, global_start) != 0 || global_result != CURLE_OK) {
        (void)clo_err_set(err, CLO_E_BUG, "libcurl cannot be initialized");
        return NULL;
    }
    h = clo_calloc(1, sizeof(*h));
    if (h)
        h->multi = curl_multi_init();
    if (!h || !h->multi || clo_sockets_watch(&h->sockets, h->multi) != CURLM_OK) {
        if (h)
            (void)curl_multi_cleanup(h->multi);
        clo_free(h);
        (void)clo_err_nomem(err);
        return NULL;
    }
    (void)curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    clo_http_limit(h, 8);
    return h;
}

void
clo_http_limit(clo_http *h, int n)
{
    (void)curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)n);
    (void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)n + 2);
}

void
clo_http_free(clo_http *h)
{
    guard g;
    if (!h)
        return;
    CLO_ASSERT(h->first == NULL);
    guard_enter(&g);
    for (int i = 0; i < h->n_spare; i++)
        curl_easy_cleanup(h->spare[i].easy);
    (void)curl_multi_cleanup(h->multi);
    guard_leave(&g);
    clo_sockets_free(&h->sockets);
    clo_free(h);
}

int
clo_http_running(const clo_http *h)
{
    return h->running;
}

unsigned
clo_http_turns(const clo_http *h)
{
    return h->turns;
}

/* ---- start -------------------------------------------------------------------------------- */

#define SET(option, value) (ok = ok && curl_easy_setopt(e, option, value) == CURLE_OK)

/* Options that are the same for every request of one shape. The body of a write is fed by the callbacks:
 * POSTFIELDS would be sent again behind our back. That of a read may be, and goes out in one packet with
 * the headers. */
static bool
set_shape(CURL *e, const shape *like, const clo_http_req *req)
{
    bool ok = true, get = strcmp(req->method, "GET") == 0;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROTOCOLS_STR, like->tls ? "https" : "http");
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_PIPEWAIT, like->tls ? 1L : 0L);
    SET(CURLOPT_MAXAGE_CONN, IDLE_MAX_S);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_ACCEPT_ENCODING, "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_USERAGENT, "close-in-sql/" CLO_VERSION);
    SET(CURLOPT_QUICK_EXIT, 1L); /* dropping a transfer must not wait for a resolver thread */
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_PREREQFUNCTION, on_ready);
    if (!like->tls)
        SET(CURLOPT_NOPROXY, "*");
    if (req->ca_file)
        SET(CURLOPT_CAINFO, req->ca_file);
    if (like->body) {
        SET(CURLOPT_POST, 1L);
        if (!like->replay_safe) {
            SET(CURLOPT_READFUNCTION, on_read);
            SET(CURLOPT_SEEKFUNCTION, on_seek);
        }
    } else if (get || strcmp(req->method, "DELETE") == 0) {
        SET(CURLOPT_HTTPGET, 1L);
    } else {
        SET(CURLOPT_POST, 1L); /* states a length of 0 */
        SET(CURLOPT_POSTFIELDSIZE, 0L);
        SET(CURLOPT_POSTFIELDS, "");
    }
    if (!get)
        SET(CURLOPT_CUSTOMREQUEST, req->method);
    return ok;
}

/* What differs from one request to the next. */
static bool
set_request(clo_xfer *x, const clo_http_req *req)
{
    CURL *e = x->easy;
    bool ok = true;
    SET(CURLOPT_PRIVATE, (char *)x);
    SET(CURLOPT_ERRORBUFFER, x->why);
    SET(CURLOPT_HEADERDATA, (void *)x);
    SET(CURLOPT_WRITEDATA, (void *)x);
    SET(CURLOPT_PREREQDATA, (void *)x);
    SET(CURLOPT_URL, req->url);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)req->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
    SET(CURLOPT_HTTPHEADER, x->headers);
    if (x->shape.body) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body_len);
        if (x->shape.replay_safe) {
            SET(CURLOPT_POSTFIELDS, x->body);
        } else {
            SET(CURLOPT_READDATA, (void *)x);
            SET(CURLOPT_SEEKDATA, (void *)x);
        }
    }
    return ok;
}
#undef SET

static bool
add_header(clo_xfer *x, const char *line)
{
    struct curl_slist *list = curl_slist_append(x->headers, line);
    if (!list)
        return false;
    x->headers = list;
    return true;
}

static shape
shape_of(const clo_http_req *req, const url_parts *url)
{
    shape like = {
        .tls = url->tls, .replay_safe = req->replay_safe, .body = req->body && req->body_len > 0};
    like.unlike = req->ca_file != NULL || strlen(req->method) >= sizeof(like.method);
    clo_text_cut(like.method, sizeof(like.method), req->method, strlen(req->method));
    return like;
}

static bool
same_shape(const shape *a, const shape *b)
{
    return a->tls == b->tls && a->replay_safe == b->replay_safe && a->body == b->body &&
           !a->unlike && !b->unlike && strcmp(a->method, b->method) == 0;
}

/* Gives the transfer a handle with the options of its shape: one that has them, or any, or a new one. */
static bool
take_easy(clo_xfer *x, const clo_http_req *req)
{
    clo_http *h = x->http;
    int i = h->n_spare - 1;
    while (i > 0 && !same_shape(&h->spare[i].kept, &x->shape))
        i--;
    if (i >= 0) {
        spare_easy s = h->spare[i];
        h->spare[i] = h->spare[--h->n_spare];
        x->easy = s.easy;
        if (same_shape(&s.kept, &x->shape))
            return true;
        curl_easy_reset(x->easy);
    } else {
        x->easy = curl_easy_init();
    }
    return x->easy && set_shape(x->easy, &x->shape, req);
}

/* The handle forgets what was borrowed from the transfer. It is kept only after a plain success, because others
 * leave traces in it: libcurl counts repetitions over its life and refuses the sixth, and 8.14 goes on,
 * even after a reset, to rewind the body of a write that was not to be repeated. */
static void
give_easy(clo_xfer *x)
{
    clo_http *h = x->http;
    CURL *e = x->easy;
    x->easy = NULL;
    if (!x->whole || h->n_spare == SPARE_MAX) {
        curl_easy_cleanup(e);
        return;
    }
    (void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, (char *)NULL);
    (void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, (struct curl_slist *)NULL);
    if (x->shape.body && x->shape.replay_safe)
        (void)curl_easy_setopt(e, CURLOPT_POSTFIELDS, (char *)NULL);
    h->spare[h->n_spare++] = (spare_easy){e, x->shape};
}

static void
wipe_headers(clo_xfer *x)
{
    for (struct curl_slist *l = x->headers; l; l = l->next)
        explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(x->headers);
    x->headers = NULL;
}

static void
link_xfer(clo_http *h, clo_xfer *x)
{
    x->next = h->first;
    if (h->first)
        h->first->prev = x;
    h->first = x;
    h->running++;
}

/* Takes the handle out of the multi and makes it free for use. A transfer that has not ended loses its
 * connection by that. The caller has signals blocked. */
static void
unlink_xfer(clo_xfer *x)
{
    clo_http *h = x->http;
    (void)curl_multi_remove_handle(h->multi, x->easy);
    give_easy(x);
    if (x->prev)
        x->prev->next = x->next;
    else
        h->first = x->next;
    if (x->next)
        x->next->prev = x->prev;
    h->running--;
}

static bool
fill_xfer(clo_xfer *x, const clo_http_req *req, const url_parts *url)
{
    clo_buf_init(&x->res.body, req->max_bytes);
    clo_headers_reset(&x->res);
    x->max_bytes = req->max_bytes;
    x->replay_safe = req->replay_safe;
    clo_text_cut(x->host, sizeof(x->host), url->host, url->host_len);
    if (req->body) {
        x->body = clo_strndup(req->body, req->body_len);
        x->body_len = req->body_len;
        if (!x->body)
            return false;
    }
    for (const char *const *line = req->headers; line && *line; line++)
        if (!add_header(x, *line))
            return false;
    return add_header(x, "Expect:");
}

clo_xfer *
clo_http_start(clo_http *h, const clo_http_req *req, clo_err *err)
{
    url_parts url;
    clo_xfer *x;
    clo_err_clear(err);
    if (!url_parts_of(req->url, &url, err))
        return NULL;
    x = clo_calloc(1, sizeof(*x));
    if (!x) {
        (void)clo_err_nomem(err);
        return NULL;
    }
    x->http = h;
    x->shape = shape_of(req, &url);
    if (!fill_xfer(x, req, &url) || !clo_sockets_reserve(&h->sockets, h->running + 1) ||
        !take_easy(x, req) || !set_request(x, req) ||
        curl_multi_add_handle(h->multi, x->easy) != CURLM_OK) {
        if (x->easy)
            give_easy(x);
        x->done = true;
        clo_xfer_free(x);
        (void)clo_err_nomem(err);
        return NULL;
    }
    link_xfer(h, x);
    return x;
}

/* ---- end ---------------------------------------------------------------------------------- */

static const char hint_tls[] =
    "for a service with a private certificate authority set ca_file to its "
    "certificate; otherwise check env_url and the clock of this machine";
static const char hint_net[] = "check env_url, the network and the proxy variables";

static const char *
reason(const clo_xfer *x, CURLcode result)
{
    if (result == CURLE_SEND_FAIL_REWIND || result == CURLE_ABORTED_BY_CALLBACK)
        return "closed without an answer"; /* our own locks stopped a repetition */
    return x->why[0] ? x->why : curl_easy_strerror(result);
}

static void
fail_stopped(clo_xfer *x, clo_err *err)
{
    if (x->failed == CLO_E_NOMEM) {
        (void)clo_err_nomem(err);
    } else if (x->failed == CLO_E_LIMIT) {
        (void)clo_err_set(err, CLO_E_LIMIT, "the answer is larger than the limit of %zu bytes",
                          x->max_bytes);
        err->hint = "raise max_bytes, or ask for less (fewer columns, a smaller page_size)";
    } else {
        (void)clo_err_set(err, CLO_E_PROTO, "the answer has more than %d bytes of headers",
                          HEADER_MAX);
    }
}

/* The ways in which libcurl says that TLS did not come about. */
static bool
is_tls(CURLcode result)
{
    return result == CURLE_SSL_CONNECT_ERROR || result == CURLE_PEER_FAILED_VERIFICATION ||
           result == CURLE_SSL_CIPHER || result == CURLE_SSL_CERTPROBLEM ||
           result == CURLE_SSL_ISSUER_ERROR || result == CURLE_SSL_INVALIDCERTSTATUS ||
           result == CURLE_USE_SSL_FAILED;
}

static void
fail_connection(clo_xfer *x, CURLcode result, clo_err *err)
{
    const char *why = reason(x, result);
    if (result == CURLE_OPERATION_TIMEDOUT) {
        (void)clo_err_set(err, CLO_E_TIMEOUT, "%s gave no %s in time", x->host,
                          x->began ? "whole answer" : "connection");
        err->retryable = true;
        err->hint = x->began ? "raise timeout_ms, or ask for less at a time"
                             : "check the network, or raise connect_timeout_ms";
    } else if (result == CURLE_SSL_CACERT_BADFILE) {
        (void)clo_err_set(err, CLO_E_CONFIG, "the certificates of ca_file cannot be read");
        err->hint = "ca_file names a PEM file that this process can read";
    } else if (is_tls(result)) {
        (void)clo_err_set(err, CLO_E_NET, "no trusted connection to %s: %s", x->host, why);
        err->retryable = result == CURLE_SSL_CONNECT_ERROR;
        err->hint = hint_tls;
    } else if (result == CURLE_OUT_OF_MEMORY) {
        (void)clo_err_nomem(err);
    } else if (result == CURLE_BAD_CONTENT_ENCODING) {
        (void)clo_err_set(err, CLO_E_PROTO, "the answer of %s cannot be decompressed", x->host);
        err->retryable = true;
    } else if (x->began) {
        (void)clo_err_set(err, CLO_E_NET, "the connection to %s broke: %s", x->host, why);
        err->retryable = true;
    } else {
        (void)clo_err_set(err, CLO_E_NET, "no connection to %s: %s", x->host, why);
        err->retryable = true;
        err->hint = hint_net;
    }
}

static void
finish(clo_xfer *x, CURLcode result)
{
    clo_http_res *res = &x->res;
    long status = 0, connects = 0;
    curl_off_t us = 0;
    (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
    (void)curl_easy_getinfo(x->easy, CURLINFO_TOTAL_TIME_T, &us);
    res->status = (int)status;
    res->connections = (int)connects;
    res->ms = (int64_t)us / 1000;
    res->sent = clo_xfer_sent(x);
    res->bytes_out = (int64_t)x->body_at;
    res->bytes_in = (int64_t)res->body.len;
    if (res->body.len >= LARGE_BODY) /* one size for those that are nearly alike */
        x->http->large =
            (res->body.len + res->body.len / 16) / LARGE_BODY * LARGE_BODY + LARGE_BODY;
    clo_err_clear(&res->err);
    if (x->failed != CLO_E_NONE)
        fail_stopped(x, &res->err);
    else if (result != CURLE_OK)
        fail_connection(x, result, &res->err);
    else if (is_cut_off(x, x->easy))
        fail_connection(x, CURLE_PARTIAL_FILE, &res->err);
    res->err.http_status = res->status;
    x->done = true;
    x->whole = res->err.code == CLO_E_NONE && x->passes == 1;
    x->http->ended++;
    unlink_xfer(x);
}

/* ---- moving ------------------------------------------------------------------------------- */

/* Takes leave of the transfers that have ended. */
static void
take_leave(clo_http *h)
{
    CURLMsg *msg;
    int n;
    while ((msg = curl_multi_info_read(h->multi, &n)) != NULL) {
        char *owner = NULL;
        CURLcode result = msg->data.result; /* msg dies with the handle's removal */
        if (msg->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &owner);
        finish((clo_xfer *)(void *)owner, result);
    }
}

/* Milliseconds until libcurl wants to do something by itself; -1: it does not. */
static long
due_ms(const clo_http *h)
{
    long ms = -1;
    return curl_multi_timeout(h->multi, &ms) == CURLM_OK ? ms : 0;
}

/* New transfers begin, late ones end. */
static CURLMcode
move_due(clo_http *h)
{
    CURLMcode rc;
    guard g;
    int n;
    if (due_ms(h) != 0)
        return CURLM_OK;
    guard_enter(&g);
    rc = curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &n);
    take_leave(h);
    guard_leave(&g);
    return rc;
}

/* What has arrived is taken, until that is enough for one turn. */
static CURLMcode
move_ready(clo_http *h)
{
    CURLMcode rc = CURLM_OK;
    curl_socket_t fd;
    guard g;
    int n, what;
    guard_enter(&g);
    while (rc == CURLM_OK && h->taken < TURN_BYTES &&
           (fd = clo_sockets_next(&h->sockets, &what)) != CURL_SOCKET_BAD)
        rc = curl_multi_socket_action(h->multi, fd, what, &n);
    take_leave(h);
    guard_leave(&g);
    return rc;
}

/* Ready or not: see the essay on HTTP/2. */
static CURLMcode
move_all(clo_http *h)
{
    h->unsure = false;
    clo_sockets_suspect(&h->sockets);
    return move_ready(h);
}

static int
shorter(int wait_ms, long due)
{
    return due >= 0 && due < wait_ms ? (int)due : wait_ms;
}

/* What is ready by now, without a wait. */
static CURLMcode
look(clo_http *h)
{
    return clo_sockets_wait(&h->sockets, 0) ? move_ready(h) : CURLM_OK;
}

/* Until something has moved, or wait_ms have gone by. */
static CURLMcode
wait_and_move(clo_http *h, int wait_ms)
{
    unsigned ended = h->ended;
    CURLMcode rc = h->unsure ? move_all(h) : CURLM_OK;
    if (rc != CURLM_OK || h->unsure || h->ended != ended)
        return rc;
    if (clo_sockets_wait(&h->sockets, shorter(wait_ms, due_ms(h))))
        return move_ready(h);
    rc = move_due(h);
    return rc == CURLM_OK ? move_all(h) : rc;
}

static CURLMcode
move(clo_http *h, int wait_ms)
{
    unsigned ended = h->ended;
    CURLMcode rc = move_due(h);
    if (rc != CURLM_OK)
        return rc;
    if (wait_ms <= 0)
        return look(h);
    return h->ended == ended ? wait_and_move(h, wait_ms) : CURLM_OK;
}

clo_status
clo_http_pump(clo_http *h, int wait_ms, clo_err *err)
{
    CURLMcode rc;
    clo_err_clear(err);
    h->turns++;
    h->taken = 0;
    rc = move(h, wait_ms);
    if (rc == CURLM_OK && !h->sockets.overflowed)
        return CLO_OK;
    if (rc == CURLM_OUT_OF_MEMORY)
        return clo_err_nomem(err);
    return clo_err_set(err, CLO_E_BUG, "libcurl: %s",
                       rc == CURLM_OK ? "too many sockets" : curl_multi_strerror(rc));
}

bool
clo_xfer_done(const clo_xfer *x)
{
    return x->done;
}

clo_http_res *
clo_xfer_result(clo_xfer *x)
{
    CLO_ASSERT(x->done);
    return &x->res;
}

clo_sent
clo_xfer_sent(const clo_xfer *x)
{
    /* Without its body a request is incomplete: whatever its head did, the service cannot act on it. */
    if (!x->began || (x->body_len && !x->body_asked))
        return CLO_SENT_NO;
    return CLO_SENT_MAYBE;
}

void
clo_xfer_free(clo_xfer *x)
{
    if (!x)
        return;
    if (x->easy) {
        guard g;
        guard_enter(&g);
        unlink_xfer(x);
        guard_leave(&g);
    }
    wipe_headers(x);
    if (x->body)
        explicit_bzero(x->body, x->body_len);
    clo_free(x->body);
    clo_buf_free(&x->res.body);
    clo_free(x);
}
