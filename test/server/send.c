/*
 * Bytes on the socket: compression, and the faults that a well-behaved HTTP library cannot make.
 *
 * Raw faults write the whole answer by hand on the connection's descriptor and end the connection;
 * the HTTP library is then told to drop it. Each connection has its own thread, so waiting here
 * holds up nobody else. Waits watch the peer: a client that goes away ends them at once, which is
 * also how a test sees that a cancelled statement really closed its socket.
 */
#include "standin.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

bool
st_gzip(const char *in, size_t n, struct st_text *out)
{
    z_stream z = {0};
    if (n > UINT32_MAX / 2 || deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY))
        return false;
    size_t bound = deflateBound(&z, (uLong)n);
    char *copy = st_alloc(n); /* zlib wants a pointer to mutable bytes */
    memcpy(copy, in, n);
    out->s = st_alloc(bound + 1);
    out->cap = bound + 1;
    z.next_in = (Bytef *)copy;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)out->s;
    z.avail_out = (uInt)bound;
    int rc = deflate(&z, Z_FINISH);
    out->n = z.total_out;
    deflateEnd(&z);
    free(copy);
    return rc == Z_STREAM_END;
}

bool
st_sleep(struct st_app *app, int fd, int64_t ms)
{
    return st_sleep_until(app, fd, st_now() + ms * 1000);
}

bool
st_sleep_until(struct st_app *app, int fd, int64_t end)
{
    for (;;) {
        int64_t left = end - st_now();
        if (left <= 0)
            return true;
        /* ppoll, because whole milliseconds would make every latency longer than asked for */
        struct timespec at_most = {.tv_nsec = (left < 50000 ? left : 50000) * 1000};
        struct pollfd p = {.fd = fd, .events = POLLRDHUP};
        if (ppoll(&p, 1, &at_most, NULL) > 0)
            return false;
        pthread_mutex_lock(&app->lock);
        bool stop = app->stopping;
        pthread_mutex_unlock(&app->lock);
        if (stop)
            return false;
    }
}

/* Until POST release names it. */
bool
st_hold(struct st_app *app, int fd, const char *name)
{
    bool over = false;
    while (!over) {
        if (!st_sleep(app, fd, 1))
            return false;
        pthread_mutex_lock(&app->lock);
        over = json_object_object_get_ex(app->released, name, NULL);
        pthread_mutex_unlock(&app->lock);
    }
    return true;
}

static bool
send_all(int fd, const char *s, size_t n)
{
    while (n) {
        ssize_t k = send(fd, s, n, MSG_NOSIGNAL);
        if (k > 0) {
            s += k;
            n -= (size_t)k;
            continue;
        }
        if (k < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return false;
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, 10000) <= 0)
            return false;
    }
    return true;
}

void
st_send_reset(int fd)
{
    /* with no time to linger the close that follows sends RST instead of FIN */
    struct linger l = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

static bool
send_head(int fd, const struct st_reply *r, int64_t length)
{
    struct st_text t = {0};
    st_putf(&t, "HTTP/1.1 %d Answer\r\n", r->status ? r->status : 200);
    if (*r->type)
        st_putf(&t, "Content-Type: %s\r\n", r->type);
    for (int i = 0; i < r->n_headers; i++)
        st_putf(&t, "%s: %s\r\n", r->headers[i].name, r->headers[i].value);
    if (length >= 0)
        st_putf(&t, "Content-Length: %lld\r\n", (long long)length);
    st_puts(&t, "Connection: close\r\n\r\n");
    bool ok = send_all(fd, t.s, t.n);
    st_text_free(&t);
    return ok;
}

static void
send_slow(struct st_app *app, int fd, const struct st_reply *r, int64_t ms)
{
    if (!send_head(fd, r, (int64_t)r->body.n))
        return;
    for (size_t i = 0; i < r->body.n; i++)
        if (!send_all(fd, r->body.s + i, 1) || (ms && !st_sleep(app, fd, ms)))
            return;
}

/* A valid answer of the asked size whose only row is padding; never held in memory. */
static void
send_huge(int fd, js *fault, const struct st_reply *r)
{
    static const char head[] =
        "{\"data\":{\"has_more\":false,\"data\":[{\"id\":\"huge\",\"name\":\"";
    static const char tail[] = "\"}]},\"execution_id\":\"1\"}";
    char block[65536];
    int64_t pad = js_int(fault, "bytes", 1 << 20);
    struct st_reply copy = *r;
    copy.status = 200;
    snprintf(copy.type, sizeof copy.type, "application/json");
    memset(block, 'x', sizeof block);
    if (!send_head(fd, &copy,
                   js_true(fault, "no_length", false)
                       ? -1
                       : pad + (int64_t)(sizeof head + sizeof tail - 2)) ||
        !send_all(fd, head, sizeof head - 1))
        return;
    while (pad > 0) {
        size_t n = pad < (int64_t)sizeof block ? (size_t)pad : sizeof block;
        if (!send_all(fd, block, n))
            return;
        pad -= (int64_t)n;
    }
    send_all(fd, tail, sizeof tail - 1);
}

bool
st_send_is_raw(js *fault)
{
    return st_kind_is(fault, "truncate") || st_kind_is(fault, "stall") ||
           st_kind_is(fault, "slow") || st_kind_is(fault, "wrong_length") ||
           st_kind_is(fault, "huge") || (st_kind_is(fault, "canned") && js_str(fault, "raw"));
}

void
st_send_raw(struct st_app *app, int fd, js *fault, const struct st_reply *r)
{
    const char *raw = js_str(fault, "raw");
    int64_t n = (int64_t)r->body.n, ms = js_int(fault, "ms", 0);
    if (raw)
        send_all(fd, raw, strlen(raw));
    else if (st_kind_is(fault, "huge"))
        send_huge(fd, fault, r);
    else if (st_kind_is(fault, "slow"))
        send_slow(app, fd, r, ms);
    else if (st_kind_is(fault, "wrong_length")) {
        if (send_head(fd, r, n + js_int(fault, "delta", 16)))
            send_all(fd, r->body.s, r->body.n);
    } else if (send_head(fd, r, n)) {
        send_all(fd, r->body.s, r->body.n / 2);
        if (st_kind_is(fault, "stall"))
            st_sleep(app, fd, ms ? ms : 60000);
    }
    shutdown(fd, SHUT_WR);
}
