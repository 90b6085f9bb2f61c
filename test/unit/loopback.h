/*
 * loopback.h - a scripted HTTP/1.1 server inside a test program, on a random loopback port.
 *
 * A script is a list of answers. A request takes the first unused one whose `match` occurs in it; a
 * request that finds none is counted as unexpected and answered 599, so that a test cannot pass by
 * accident. One thread serves all connections with poll; every request is kept for the test to read.
 */
#ifndef LOOPBACK_H
#define LOOPBACK_H

#include <arpa/inet.h>
#include <netinet/in.h>
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

typedef enum lb_then {
    LB_KEEP,  /* keep the connection */
    LB_CLOSE, /* close it in order */
    LB_RESET, /* close it with a reset */
    LB_HOLD   /* send what there is and then nothing more */
} lb_then;

typedef struct lb_answer {
    const char *match; /* "" matches any request */
    const char *bytes; /* the raw answer; "" for none */
    lb_then then;
    int times; /* 0 means once */
} lb_answer;

#define LB_CONNS 32
#define LB_REQUESTS 256

typedef struct lb_conn {
    int fd, serial;
    char *in;
    size_t len;
} lb_conn;

typedef struct lb_server {
    int listener, wake[2], port;
    pthread_t thread;
    pthread_mutex_t lock;
    const lb_answer *script;
    size_t n_script;
    size_t
        raw_len; /* of the bytes of every answer, set before the first request; 0: they are text */
    int used[LB_REQUESTS];
    char *requests[LB_REQUESTS];
    int conn_of[LB_REQUESTS]; /* serial number of the connection that brought it */
    int n_requests, n_answers, unexpected, connections, open;
    lb_conn conns[LB_CONNS];
} lb_server;

static inline void
lb_drop(lb_server *s, lb_conn *c, bool reset)
{
    if (reset) {
        struct linger l = {1, 0};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    }
    close(c->fd);
    free(c->in);
    c->fd = -1;
    c->in = NULL;
    c->len = 0;
    pthread_mutex_lock(&s->lock);
    s->open--;
    pthread_mutex_unlock(&s->lock);
}

/* Length of the whole first request in the buffer, 0 while it is incomplete. */
static inline size_t
lb_complete(const lb_conn *c)
{
    const char *end = c->in ? strstr(c->in, "\r\n\r\n") : NULL, *p;
    size_t head, body = 0;
    if (!end)
        return 0;
    head = (size_t)(end - c->in) + 4;
    p = strcasestr(c->in, "\r\ncontent-length:");
    if (p && p < end)
        body = strtoul(p + 17, NULL, 10);
    return c->len >= head + body ? head + body : 0;
}

static inline const lb_answer *
lb_pick(lb_server *s, const char *request)
{
    static const lb_answer none = {"", "HTTP/1.1 599 Unexpected\r\nContent-Length: 0\r\n\r\n",
                                   LB_KEEP, 0};
    for (size_t i = 0; i < s->n_script; i++) {
        const lb_answer *a = &s->script[i];
        int times = a->times ? a->times : 1;
        if (s->used[i] < times && strstr(request, a->match)) {
            s->used[i]++;
            return a;
        }
    }
    s->unexpected++;
    return &none;
}

static inline void
lb_serve(lb_server *s, lb_conn *c)
{
    size_t n;
    while (c->fd >= 0 && (n = lb_complete(c)) > 0) {
        const lb_answer *a;
        char *request = strndup(c->in, n);
        size_t len, done = 0;
        pthread_mutex_lock(&s->lock);
        a = lb_pick(s, request);
        if (s->n_requests < LB_REQUESTS)
            s->conn_of[s->n_requests] = c->serial;
        if (s->n_requests < LB_REQUESTS)
            s->requests[s->n_requests++] = request;
        else
            free(request);
        pthread_mutex_unlock(&s->lock);
        memmove(c->in, c->in + n, c->len - n + 1);
        c->len -= n;
        len = s->raw_len ? s->raw_len : strlen(a->bytes);
        while (done < len) {
            ssize_t k = send(c->fd, a->bytes + done, len - done, MSG_NOSIGNAL);
            if (k <= 0)
                break;
            done += (size_t)k;
        }
        pthread_mutex_lock(&s->lock);
        s->n_answers++;
        pthread_mutex_unlock(&s->lock);
        if (a->then == LB_CLOSE || a->then == LB_RESET)
            lb_drop(s, c, a->then == LB_RESET);
    }
}

static inline void
lb_read(lb_server *s, lb_conn *c)
{
    char buf[65536];
    ssize_t n = recv(c->fd, buf, sizeof(buf), 0);
    if (n <= 0) {
        lb_drop(s, c, false);
        return;
    }
    c->in = realloc(c->in, c->len + (size_t)n + 1);
    memcpy(c->in + c->len, buf, (size_t)n);
    c->len += (size_t)n;
    c->in[c->len] = 0;
    lb_serve(s, c);
}

static inline void
lb_accept(lb_server *s)
{
    int fd = accept(s->listener, NULL, NULL);
    for (int i = 0; fd >= 0 && i < LB_CONNS; i++) {
        if (s->conns[i].fd >= 0)
            continue;
        s->conns[i].fd = fd;
        pthread_mutex_lock(&s->lock);
        s->conns[i].serial = ++s->connections;
        s->open++;
        pthread_mutex_unlock(&s->lock);
        return;
    }
    if (fd >= 0)
        close(fd);
}

static inline void *
lb_main(void *arg)
{
    lb_server *s = arg;
    for (;;) {
        struct pollfd p[LB_CONNS + 2];
        for (int i = 0; i < LB_CONNS; i++)
            p[i] = (struct pollfd){s->conns[i].fd, POLLIN, 0};
        p[LB_CONNS] = (struct pollfd){s->listener, POLLIN, 0};
        p[LB_CONNS + 1] = (struct pollfd){s->wake[0], POLLIN, 0};
        if (poll(p, LB_CONNS + 2, -1) < 0)
            continue;
        if (p[LB_CONNS + 1].revents)
            return NULL;
        for (int i = 0; i < LB_CONNS; i++)
            if (p[i].fd >= 0 && p[i].revents)
                lb_read(s, &s->conns[i]);
        if (p[LB_CONNS].revents)
            lb_accept(s);
    }
}

static inline lb_server *
lb_start(const lb_answer *script, size_t n)
{
    lb_server *s = calloc(1, sizeof(*s));
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);
    sigset_t all, old;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->script = script;
    s->n_script = n;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    for (int i = 0; i < LB_CONNS; i++)
        s->conns[i].fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    sigfillset(&all); /* signals are the test's, not this thread's */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pipe(s->wake) != 0 || bind(s->listener, (struct sockaddr *)&a, len) != 0 ||
        listen(s->listener, 32) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&a, &len) != 0 ||
        pthread_create(&s->thread, NULL, lb_main, s) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->port = ntohs(a.sin_port);
    return s;
}

/* Ends the server and frees it. Returns how many requests found no answer in the script. */
static inline int
lb_stop(lb_server *s)
{
    int unexpected;
    if (write(s->wake[1], "x", 1) != 1)
        abort();
    pthread_join(s->thread, NULL);
    unexpected = s->unexpected;
    for (int i = 0; i < LB_CONNS; i++)
        if (s->conns[i].fd >= 0)
            lb_drop(s, &s->conns[i], false);
    for (int i = 0; i < s->n_requests; i++)
        free(s->requests[i]);
    close(s->listener);
    close(s->wake[0]);
    close(s->wake[1]);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return unexpected;
}

static inline int
lb_count(lb_server *s, const char *what)
{
    int n = 0;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n_requests; i++)
        n += strstr(s->requests[i], what) != NULL;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static inline int
lb_value(lb_server *s, const int *field)
{
    int n;
    pthread_mutex_lock(&s->lock);
    n = *field;
    pthread_mutex_unlock(&s->lock);
    return n;
}

#endif
