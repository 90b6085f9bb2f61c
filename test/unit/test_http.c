/*
 * Tests of http.c against a scripted server: answers whole and broken, what may be sent twice and what
 * never, limits, headers, dropped transfers, signals. Nothing depends on how long anything takes, except
 * that waits end at all.
 */
#include "clo_int.h"
#include "loopback.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define OK_2 OK_HEAD "Content-Length: 2\r\n\r\n{}"

static clo_http *
new_http(void)
{
    clo_err err;
    clo_http *h = clo_http_new(&err);
    assert_non_null(h);
    return h;
}

typedef struct ask {
    const char *method, *path, *body;
    bool replay_safe;
    size_t max_bytes;
    int timeout_ms;
} ask;

static clo_xfer *
begin(clo_http *h, int port, const ask *a)
{
    char url[128];
    clo_err err;
    clo_http_req req = {.method = a->method ? a->method : "POST",
                        .url = url,
                        .body = a->body,
                        .body_len = a->body ? strlen(a->body) : 0,
                        .replay_safe = a->replay_safe,
                        .connect_timeout_ms = 5000,
                        .timeout_ms = a->timeout_ms ? a->timeout_ms : 20000,
                        .max_bytes = a->max_bytes ? a->max_bytes : 1 << 20};
    clo_xfer *x;
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, a->path ? a->path : "/x");
    x = clo_http_start(h, &req, &err);
    assert_non_null(x);
    return x;
}

static clo_http_res *
finish(clo_http *h, clo_xfer *x)
{
    clo_err err;
    while (!clo_xfer_done(x))
        assert_int_equal(clo_http_pump(h, 1000, &err), CLO_OK);
    return clo_xfer_result(x);
}

static void
url_rules(void **state)
{
    static const struct {
        const char *url;
        bool ok;
    } cases[] = {
        {"https://acme.scalekit.dev", true},
        {"HTTPS://acme.scalekit.dev:443/a?b=c", true},
        {"http://127.0.0.1:8080", true},
        {"http://127.1.2.3", true},
        {"http://localhost:1/x", true},
        {"http://[::1]:80/", true},
        {"https://[2001:db8::1]/", true},
        {"http://acme.scalekit.dev", false},
        {"http://127.0.0.1.evil.example", false},
        {"http://127.0.0.1@evil.example", false},
        {"https://user:pw@acme.scalekit.dev", false},
        {"http://127.0.0.256", false},
        {"http://127.0.0", false},
        {"http://127.0.0.1.", false},
        {"http://127.0.0.1:0", false},
        {"http://127.0.0.1:70000", false},
        {"http://127.0.0.1:", false},
        {"http://localhost.evil.example", false},
        {"ftp://127.0.0.1", false},
        {"file:///etc/passwd", false},
        {"https://", false},
        {"https:///x", false},
        {"https://a b", false},
        {"https://a\\b", false},
        {"https://a/\r\nX: y", false},
        {"https://a/#frag", false},
        {"acme.scalekit.dev", false},
        {"", false},
        {"https://[::1", false},
    };
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_err err;
        if (clo_url_ok(cases[i].url, &err) != cases[i].ok)
            fail_msg("%s: expected %d", cases[i].url, cases[i].ok);
        if (!cases[i].ok)
            assert_int_equal(err.code, CLO_E_CONFIG);
    }
}

static void
connections_are_reused(void **state)
{
    static const lb_answer script[] = {{"POST /x", OK_2, LB_KEEP, 3}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_http *h = new_http();
    (void)state;
    for (int i = 0; i < 3; i++) {
        clo_xfer *x = begin(h, s->port, &(ask){.body = "{\"a\":1}"});
        clo_http_res *res = finish(h, x);
        assert_int_equal(res->err.code, CLO_E_NONE);
        assert_int_equal(res->status, 200);
        assert_string_equal(res->body.data, "{}");
        assert_string_equal(res->content_type, "application/json");
        assert_int_equal(res->bytes_out, 7);
        assert_int_equal(res->bytes_in, 2);
        assert_int_equal(res->connections, i == 0);
        clo_xfer_free(x);
    }
    assert_int_equal(lb_value(s, &s->connections), 1);
    assert_int_equal(lb_count(s, "{\"a\":1}"), 3);
    assert_int_equal(lb_count(s, "Expect:"), 0);
    clo_http_free(h);
    assert_int_equal(lb_stop(s), 0);
}

/* The heart of at-most-once: the second request goes out on the kept connection, is read by the server
 * and answered by closing. libcurl would repeat it on a new connection. A first request of the same kind
 * leaves its options to the second, and what became of that one does not touch those after it. */
static void
dead_connection_after(const ask *first, const ask *second, lb_then then, bool repeats)
{
    const lb_answer script[] = {{"/x", OK_2, LB_KEEP, 0},
                                {"/y", "", then, 0},
                                {"/y", OK_2, LB_KEEP, 0},
                                {"/z", OK_2, LB_KEEP, 3}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_http *h = new_http();
    ask later = *second;
    clo_xfer *x = begin(h, s->port, first);
    clo_http_res *res = finish(h, x);
    assert_int_equal(res->err.code, CLO_E_NONE);
    clo_xfer_free(x);
    x = begin(h, s->port, second);
    res = finish(h, x);
    if (repeats) {
        assert_int_equal(res->err.code, CLO_E_NONE);
        assert_int_equal(res->status, 200);
        assert_int_equal(lb_count(s, " /y "), 2);
    } else {
        assert_int_equal(res->err.code, CLO_E_NET);
        assert_int_equal(res->sent, CLO_SENT_MAYBE);
        assert_int_equal(lb_count(s, " /y "), 1);
    }
    clo_xfer_free(x);
    later.path = "/z";
    for (int i = 0; i < 3; i++) {
        x = begin(h, s->port, i == 1 ? &(ask){.path = "/z", .replay_safe = true} : &later);
        res = finish(h, x);
        assert_int_equal(res->err.code, CLO_E_NONE);
        assert_int_equal(res->status, 200);
        clo_xfer_free(x);
    }
    clo_http_free(h);
    assert_int_equal(lb_stop(s), 0);
}

static void
dead_connection(const ask *second, lb_then then, bool repeats)
{
    ask same = *second;
    same.path = "/x";
    dead_connection_after(&(ask){.body = "{}", .replay_safe = true}, second, then, repeats);
    dead_connection_after(&same, second, then, repeats);
}

static void
writes_are_never_repeated(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(methods); i++) {
        ask with = {.method = methods[i], .path = "/y", .body = "{\"w\":1}"};
        ask without = {.method = methods[i], .path = "/y"};
        dead_connection(&with, LB_CLOSE, false);
        dead_connection(&with, LB_RESET, false);
        dead_connection(&without, LB_CLOSE, false);
        dead_connection(&without, LB_RESET, false);
    }
}

/* Either libcurl sees it and takes a new one, or we do, and then nothing has left. */
static void
writes_do_not_go_out_on_a_closed_connection(void **state)
{
    static const lb_answer script[] = {{"/x", OK_2, LB_CLOSE, 0}, {"/y", OK_2, LB_KEEP, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_http *h = new_http();
    clo_xfer *x = begin(h, s->port, &(ask){.path = "/x", .body = "{}"});
    clo_http_res *res = finish(h, x);
    (void)state;
    assert_int_equal(res->err.code, CLO_E_NONE);
    clo_xfer_free(x);
    while (lb_value(s, &s->open) > 0)
        (void)poll(NULL, 0, 1);
    for (int tries = 0; lb_count(s, " /y ") == 0; tries++) {
        assert_true(tries < 2);
        x = begin(h, s->port, &(ask){.path = "/y", .body = "{\"w\":1}"});
        res = finish(h, x);
        assert_int_equal(res->sent, res->err.code == CLO_E_NONE ? CLO_SENT_MAYBE : CLO_SENT_NO);
        assert_true(res->err.code == CLO_E_NONE || res->err.retryable);
        clo_xfer_free(x);
    }
    assert_int_equal(lb_count(s, " /y "), 1);
    clo_http_free(h);
    assert_int_equal(lb_stop(s), 0);
}

static void
reads_are_repeated_on_a_dead_connection(void **state)
{
    (void)state;
    dead_connection(&(ask){.path = "/y", .body = "{\"r\":1}", .replay_safe = true}, LB_CLOSE, true);
    dead_connection(&(ask){.method = "GET", .path = "/y", .replay_safe = true}, LB_CLOSE, true);
}

/* libcurl counts repetitions over the life of a handle and refuses the sixth. */
static void
dead_connections_do_not_wear_out_a_handle(void **state)
{
    lb_answer script[17] = {{"/x", OK_2, LB_KEEP, 0}};
    for (size_t i = 1; i < CLO_ARRAY_LEN(script); i++)
        script[i] = i % 2 ? (lb_answer){"/x", "", LB_CLOSE, 0} : script[0];
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_http *h = new_http();
    (void)state;
    for (int i = 0; i < 9; i++) {
        clo_xfer *x = begin(h, s->port, &(ask){.body = "{}", .replay_safe = true});
        clo_http_res *res = finish(h, x);
        assert_int_equal(res->err.code, CLO_E_NONE);
        assert_int_equal(res->status, 200);
        clo_xfer_free(x);
    }
    assert_int_equal(lb_count(s, " /x "), 17);
    clo_http_free(h);
    assert_int_equal(lb_stop(s), 0);
}

/* Whatever went before, each request has the method, the body and the headers that it was given. */
static void
handles_are_used_again(void **state)
{
    static const ask asks[] = {
        {.path = "/0", .body = "{\"r\":0}", .replay_safe = true},
        {.path = "/1", .method = "GET", .replay_safe = true},
        {.path = "/2", .body = "{\"w\":2}"},
        {.path = "/3"},
        {.path = "/4", .method = "DELETE"},
        {.path = "/5", .method = "PUT", .body = "{\"w\":5}"},
        {.path = "/6", .method = "GET", .replay_safe = true},
        {.path = "/7", .method = "LONGERTHANANY", .body = "{\"w\":7}"},
    };
    static const lb_answer script[] = {{"", OK_2, LB_KEEP, 3 * (int)CLO_ARRAY_LEN(asks)}};
    lb_server *s = lb_start(script, 1);
    clo_http *h = new_http();
    (void)state;
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < CLO_ARRAY_LEN(asks); i++) {
            const ask *a = &asks[(i * (2 * round + 1)) % CLO_ARRAY_LEN(asks)];
            clo_xfer *x = begin(h, s->port, a);
            clo_http_res *res = finish(h, x);
            assert_int_equal(res->err.code, CLO_E_NONE);
            assert_int_equal(res->bytes_out, a->body ? strlen(a->body) : 0);
            clo_xfer_free(x);
        }
    }
    for (size_t i = 0; i < CLO_ARRAY_LEN(asks); i++) {
        const ask *a = &asks[i];
        char line[64];
        snprintf(line, sizeof(line), "%s %s HTTP", a->method ? a->method : "POST", a->path);
        assert_int_equal(lb_count(s, line), 3);
        if (a->body) {
            snprintf(line, sizeof(line), "\r\n\r\n%s", a->body);
            assert_int_equal(lb_count(s, line), 3);
        }
    }
    assert_int_equal(lb_count(s, "Content-Length: 7"), 4 * 3);
    assert_int_equal(lb_count(s, "Content-Length: 0"), 3);
    assert_int_equal(lb_value(s, &s->connections), 1);
    clo_http_free(h);
    assert_int_equal(lb_stop(s), 0);
}

static void
broken_answers(void **state)
{
    static const struct {
        const char *bytes;
        lb_then then;
        clo_code code;
    } cases[] = {
        {"", LB_CLOSE, CLO_E_NET},
        {"", LB_RESET, CLO_E_NET},
        {"HTTP/1.1 200 OK\r\nContent-Le", LB_CLOSE, CLO_E_NET},
        {OK_HEAD "\r\n", LB_CLOSE, CLO_E_NET},
        {OK_HEAD "Content-Length: 10\r\n\r\n{\"a\"", LB_CLOSE, CLO_E_NET},
        {OK_HEAD "Content-Length: 10\r\n\r\n{\"a\"", LB_RESET, CLO_E_NET},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n", LB_CLOSE, CLO_E_NET},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n", LB_CLOSE, CLO_E_NET},
        {OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", LB_CLOSE, CLO_E_PROTO},
        {OK_HEAD "Content-Length: 10\r\n\r\n{\"a\"", LB_HOLD, CLO_E_TIMEOUT},
        {"", LB_HOLD, CLO_E_TIMEOUT},
    };
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        lb_answer script[] = {{"/x", cases[i].bytes, cases[i].then, 0}};
        lb_server *s = lb_start(script, 1);
        clo_http *h = new_http();
        bool slow = cases[i].then == LB_HOLD;
        clo_xfer *x = begin(h, s->port, &(ask){.body = "{}", .timeout_ms = slow ? 1500 : 0});
        clo_http_res *res = finish(h, x);
        if (res->err.code != cases[i].code)
            fail_msg("case %zu: got %s: %s", i, clo_code_name(res->err.code), res->err.msg);
        assert_int_equal(res->sent, CLO_SENT_MAYBE);
        assert_true(res->err.retryable);
        assert_null(strstr(res->err.msg, "/x"));
        clo_xfer_free(x);
        clo_http_free(h);
        assert_int_equal(lb_stop(s), 0);
    }
}

static void
refused_connection_sends_nothing(void **state)
{
    lb_server *s = lb_start(NULL, 0);
    int port = s->port;
    clo_http *h = new_http();
    clo_http_res *res;
    clo_xfer *x;
    (void)state;
    assert_int_equal(lb_stop(s), 0); /* now nobody listens there */
    x = begin(h, port, &(ask){.body = "{}"});
    res = finish(h, x);
    assert_int_equal(res->err.code, CLO_E_NET);
    assert_int_equal(res->sent, CLO_SENT_NO);
    assert_int_equal(res->status, 0);
    assert_non_null(res->err.hint);
    clo_xfer_free(x);
    clo_http_free(h);
}

/* TLS against a server that speaks plain HTTP: fails before anything of the request left. */
static void
tls_failure_sends_nothing(void **state)
{
    lb_server *s = lb_start(NULL, 0);
    clo_http *h = new_http();
    char url[64];
    clo_err err;
    clo_http_req req = {.method = "POST",
                        .url = url,
                        .body = "secret",
                        .body_len = 6,
                        .connect_timeout_ms = 300,
                        .timeout_ms = 5000,
                        .max_bytes = 100};
    clo_http_res *res;
    clo_xfer *x;
    (void)state;
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/", s->port);
    x = clo_http_start(h, &req, &err);
    assert_non_null(x);
    res = finish(h, x);
    assert_true(res->err.code == CLO_E_NET || res->err.code == CLO_E_TIMEOUT);
    assert_int_equal(res->sent, CLO_SENT_NO);
    clo_xfer_free(x);
    clo_http_free(h);
    assert_int_equal(lb_value(s, &s->n_requests), 0);
    assert_int_equal(lb_stop(s), 0);
}

static void
limits(void **state)
{
    static char big[70000 + 100];
    static const lb_answer small_body[] = {
        {"/x", OK_HEAD "Content-Length: 8\r\n\r\n12345678", LB_KEEP, 2}};
    lb_answer head[] = {{"/x", big, LB_KEEP, 0}};
    lb_server *s = lb_start(small_body, 1);
    clo_http *h = new_http();
    clo_xfer *x = begin(h, s->port, &(ask){.body = "{}", .max_bytes = 8});
    clo_http_res *res = finish(h, x);
    (void)state;
    assert_int_equal(res->err.code, CLO_E_NONE);
    clo_xfer_free(x);
    x = begin(h, s->port, &(ask){.body = "{}", .max_bytes = 7});
    res = finish(h, x);
    assert_int_equal(res->err.code, CLO_E_LIMIT);
    assert_non_null(strstr(res->err.hint, "max_bytes"));
    clo_xfer_free(x);
    assert_int_equal(lb_stop(s), 0);
    strcpy(big, "HTTP/1.1 200 OK\r\n");
    while (strlen(big) < 66000) {
        strcat(big, "X-Pad: ");
        memset(big + strlen(big), 'p', 500);
        strcat(big, "\r\n");
    }
    strcat(big, "Content-Length: 0\r\n\r\n");
    s = lb_start(head, 1);
    x = begin(h, s->port, &(ask){.body = "{}"});
    res = finish(h, x);
    assert_int_equal(res->err.code, CLO_E_PROTO);
    clo_xfer_free(x);
    clo_http_free(h);
    assert_int_equal(lb_stop(s), 0);
}

/* A body gets the memory of the last large one, whether it becomes shorter or longer than that. */
static void
large_bodies_in_a_row(void **state)
{
    static const size_t sizes[] = {300000, 150000, 65536, 310000, 500000, 10, 300000};
    (void)state;
    for (size_t limit = 400000; limit <= 600000; limit += 200000) {
        clo_http *h = new_http();
        for (size_t i = 0; i < CLO_ARRAY_LEN(sizes); i++) {
            char *bytes = malloc(sizes[i] + 200);
            size_t n = (size_t)sprintf(bytes, OK_HEAD "Content-Length: %zu\r\n\r\n", sizes[i]);
            lb_answer script[] = {{"/x", bytes, LB_KEEP, 0}};
            lb_server *s;
            clo_http_res *res;
            clo_xfer *x;
            for (size_t k = 0; k < sizes[i]; k++)
                bytes[n + k] = (char)('a' + k % 23);
            bytes[n + sizes[i]] = '\0';
            s = lb_start(script, 1);
            x = begin(h, s->port, &(ask){.body = "{}", .max_bytes = limit});
            res = finish(h, x);
            assert_int_equal(res->err.code, sizes[i] <= limit ? CLO_E_NONE : CLO_E_LIMIT);
            if (sizes[i] <= limit) {
                assert_int_equal(res->body.len, sizes[i]);
                assert_memory_equal(res->body.data, bytes + n, sizes[i] + 1);
            }
            clo_xfer_free(x);
            assert_int_equal(lb_stop(s), 0);
            free(bytes);
        }
        clo_http_free(h);
    }
}

static void
response_headers(void **state)
{
    static const struct {
        const char *lines;
        int64_t retry, reset, limit, remaining;
    } cases[] = {
        {"", -1, -1, -1, -1},
        {"Retry-After: 2\r\n", 2000, -1, -1, -1},
        {"retry-after:  0.5 \r\n", 500, -1, -1, -1},
        {"Retry-After: Thu, 01 Jan 1970 00:00:10 GMT\r\n", 0, -1, -1, -1},
        {"Retry-After: soon\r\n", -1, -1, -1, -1},
        {"Retry-After: -1\r\n", -1, -1, -1, -1},
        {"Retry-After: 99999999999999999999\r\n", 86400000, -1, -1, -1},
        {"RateLimit: limit=100, remaining=50, reset=5\r\n", -1, 5000, 100, 50},
        {"ratelimit: limit=40,remaining=0,reset=0.4\r\n", -1, 400, 40, 0},
        {"RateLimit: \"default\";q=100;r=7;t=3\r\n", -1, 3000, 100, 7},
        {"RateLimit: reset=, limit, =3, ,,\r\n", -1, -1, -1, -1},
        {"X-Rate-Limit-Reset: 1.25\r\n", -1, 1250, -1, -1},
        {"RateLimit-Reset: 3\r\n", -1, 3000, -1, -1},
    };
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        char bytes[512];
        lb_answer script[] = {{"/x", bytes, LB_KEEP, 0}};
        lb_server *s;
        clo_http *h = new_http();
        clo_http_res *res;
        clo_xfer *x;
        snprintf(bytes, sizeof(bytes),
                 "HTTP/1.1 100 Continue\r\nRetry-After: 77\r\n\r\n"
                 "HTTP/1.1 429 Slow\r\n%sX-Request-Id: rq-1\r\nContent-Length: 0\r\n\r\n",
                 cases[i].lines);
        s = lb_start(script, 1);
        x = begin(h, s->port, &(ask){.method = "GET"});
        res = finish(h, x);
        assert_int_equal(res->err.code, CLO_E_NONE);
        assert_int_equal(res->status, 429);
        if (res->retry_after_ms != cases[i].retry || res->ratelimit_reset_ms != cases[i].reset ||
            res->ratelimit_limit != cases[i].limit ||
            res->ratelimit_remaining != cases[i].remaining)
            fail_msg("%s: %ld %ld %ld %ld", cases[i].lines, (long)res->retry_after_ms,
                     (long)res->ratelimit_reset_ms, (long)res->ratelimit_limit,
                     (long)res->ratelimit_remaining);
        assert_string_equal(res->request_id, "rq-1");
        clo_xfer_free(x);
        clo_http_free(h);
        assert_int_equal(lb_stop(s), 0);
    }
}

static void
redirects_are_not_followed(void **state)
{
    static const lb_answer script[] = {
        {"/x", "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", LB_KEEP, 0}};
    lb_server *s = lb_start(script, 1);
    clo_http *h = new_http();
    clo_xfer *x = begin(h, s->port, &(ask){.method = "GET", .replay_safe = true});
    clo_http_res *res = finish(h, x);
    (void)state;
    assert_int_equal(res->status, 302);
    assert_string_equal(res->location, "yes");
    clo_xfer_free(x);
    clo_http_free(h);
    assert_int_equal(lb_count(s, "/y"), 0);
    assert_int_equal(lb_stop(s), 0);
}

static void
bodies_reach_the_server(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
    static const lb_answer script[] = {{"/x", OK_2, LB_KEEP, 8}};
    lb_server *s = lb_start(script, 1);
    clo_http *h = new_http();
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(methods); i++) {
        char line[32];
        for (int with = 0; with < 2; with++) {
            ask a = {.method = methods[i], .body = with ? "{\"k\":\"v\"}" : NULL};
            clo_xfer *x = begin(h, s->port, &a);
            assert_int_equal(finish(h, x)->err.code, CLO_E_NONE);
            clo_xfer_free(x);
        }
        snprintf(line, sizeof(line), "%s /x HTTP", methods[i]);
        assert_int_equal(lb_count(s, line), 2);
    }
    assert_int_equal(lb_count(s, "\r\n\r\n{\"k\":\"v\"}"), 4);
    clo_http_free(h);
    assert_int_equal(lb_stop(s), 0);
}

/* Waits until the server sees that many open connections; the test's own limit ends a hang. */
static void
until_open(lb_server *s, int want)
{
    for (int i = 0; i < 10000 && lb_value(s, &s->open) != want; i++)
        usleep(1000);
    assert_int_equal(lb_value(s, &s->open), want);
}

static void
dropping_closes_the_socket(void **state)
{
    static const lb_answer script[] = {{"/x", "", LB_HOLD, 0}};
    lb_server *s = lb_start(script, 1);
    clo_http *h = new_http();
    clo_xfer *x = begin(h, s->port, &(ask){.body = "{}"});
    clo_err err;
    (void)state;
    assert_int_equal(clo_xfer_sent(x), CLO_SENT_NO);
    while (lb_value(s, &s->n_requests) == 0)
        assert_int_equal(clo_http_pump(h, 50, &err), CLO_OK);
    assert_false(clo_xfer_done(x));
    assert_int_equal(clo_xfer_sent(x), CLO_SENT_MAYBE);
    assert_int_equal(clo_http_running(h), 1);
    clo_xfer_free(x);
    assert_int_equal(clo_http_running(h), 0);
    until_open(s, 0);
    clo_http_free(h);
    assert_int_equal(lb_stop(s), 0);
}

static void
many_at_once(void **state)
{
    static const lb_answer script[] = {{"/x", OK_2, LB_KEEP, 40}};
    lb_server *s = lb_start(script, 1);
    clo_http *h = new_http();
    clo_xfer *x[40];
    (void)state;
    clo_http_limit(h, 4);
    for (size_t i = 0; i < CLO_ARRAY_LEN(x); i++)
        x[i] = begin(h, s->port, &(ask){.body = "{}"});
    for (size_t i = 0; i < CLO_ARRAY_LEN(x); i++)
        assert_int_equal(finish(h, x[i])->status, 200);
    for (size_t i = 0; i < CLO_ARRAY_LEN(x); i++)
        clo_xfer_free(x[i]);
    assert_true(lb_value(s, &s->connections) <= 4);
    clo_http_free(h);
    assert_int_equal(lb_stop(s), 0);
}

/* 300,000 spaces, compressed. */
static const char spaces[326] = {
    [0] = 0x1f,         [1] = (char)0x8b,   [2] = 0x08,         [8] = 0x02,
    [9] = 0x03,         [10] = (char)0xed,  [11] = (char)0xc1,  [12] = 0x01,
    [13] = 0x0d,        [17] = (char)0xc2,  [18] = (char)0xa0,  [19] = 0x2a,
    [20] = (char)0xef,  [21] = (char)0x9f,  [22] = (char)0xd2,  [23] = 0x1e,
    [24] = 0x0e,        [25] = 0x28,        [316] = (char)0xf8, [317] = 0x31,
    [318] = (char)0xdf, [319] = 0x2a,       [320] = 0x1f,       [321] = 0x54,
    [322] = (char)0xe0, [323] = (char)0x93, [324] = 0x04};

static int
count_done(clo_xfer *const *x, size_t n)
{
    int done = 0;
    for (size_t i = 0; i < n; i++)
        done += clo_xfer_done(x[i]);
    return done;
}

/* Answers that are large once unpacked, all of them there: each pump takes one, and none is forgotten. */
static void
large_bodies_come_one_by_one(void **state)
{
    static const char head[] = OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 326\r\n\r\n";
    char bytes[sizeof(head) - 1 + sizeof(spaces)];
    const lb_answer script[] = {{"/x", bytes, LB_KEEP, 6}};
    lb_server *s = lb_start(script, 1);
    clo_http *h = new_http();
    clo_xfer *x[6];
    int before, done = 0;
    (void)state;
    s->raw_len = sizeof(bytes);
    memcpy(bytes, head, sizeof(head) - 1);
    memcpy(bytes + sizeof(head) - 1, spaces, sizeof(spaces));
    for (size_t i = 0; i < CLO_ARRAY_LEN(x); i++)
        x[i] = begin(h, s->port, &(ask){.method = "GET", .replay_safe = true});
    while (done < (int)CLO_ARRAY_LEN(x)) {
        clo_err err;
        /* Once all requests are out, all answers are waited for without looking. */
        while (lb_value(s, &s->n_requests) == (int)CLO_ARRAY_LEN(x) &&
               lb_value(s, &s->n_answers) < (int)CLO_ARRAY_LEN(x))
            sched_yield();
        before = done;
        assert_int_equal(clo_http_pump(h, 1000, &err), CLO_OK);
        done = count_done(x, CLO_ARRAY_LEN(x));
        assert_true(done <= before + 1);
    }
    for (size_t i = 0; i < CLO_ARRAY_LEN(x); i++) {
        assert_int_equal(clo_xfer_result(x[i])->err.code, CLO_E_NONE);
        assert_int_equal(clo_xfer_result(x[i])->body.len, 300000);
        clo_xfer_free(x[i]);
    }
    clo_http_free(h);
    assert_int_equal(lb_stop(s), 0);
}

/* --- TLS, by the openssl program ----------------------------------------------------------------- */

#define TLS_PART 49152 /* fits a pipe, and is more than the program keeps to itself */

typedef struct tls_server {
    char folder[32];
    FILE *says;
    long pid;
    int port;
    int answer; /* what is written here is sent to whoever asks for /x; -1: all was */
} tls_server;

/* In a folder with a certificate for this machine and the answer, a named pipe. */
static int
tls_start(void **state)
{
    static tls_server server;
    tls_server *t = *state = &server;
    char line[512], path[64];
    strcpy(t->folder, "/tmp/test_http.XXXXXX");
    assert_non_null(mkdtemp(t->folder));
    snprintf(path, sizeof(path), "%s/x", t->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    t->answer = open(path, O_RDWR); /* not O_WRONLY: that waits for a reader */
    assert_true(t->answer >= 0);
    snprintf(line, sizeof(line),
             "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
             " -subj /CN=test -addext subjectAltName=IP:127.0.0.1 -days 2"
             " -keyout key.pem -out ca.pem >log 2>&1 && echo $$ &&"
             " exec openssl s_server -HTTP -accept 127.0.0.1:0 -cert ca.pem -key key.pem"
             " 2>&1 </dev/null",
             t->folder);
    t->says = popen(line, "r");
    assert_non_null(t->says);
    assert_int_equal(fscanf(t->says, "%ld", &t->pid), 1);
    do
        assert_non_null(fgets(line, sizeof(line), t->says));
    while (sscanf(line, "ACCEPT 127.0.0.1:%d", &t->port) != 1);
    return 0;
}

static int
tls_stop(void **state)
{
    static const char *const files[] = {"x", "ca.pem", "key.pem", "log"};
    tls_server *t = *state;
    char path[64];
    assert_int_equal(kill((pid_t)t->pid, SIGTERM), 0);
    (void)pclose(t->says);
    if (t->answer >= 0)
        (void)close(t->answer);
    for (size_t i = 0; i < CLO_ARRAY_LEN(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", t->folder, files[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(t->folder), 0);
    return 0;
}

/* Between the rows of a page the core looks and does not wait. By that alone the rest of an answer comes in
 * over TLS too; what waits begin with there (see the essay of http.c on HTTP/2) must not be missed. */
static void
looks_are_enough_over_tls(void **state)
{
    static char part[TLS_PART];
    tls_server *t = *state;
    clo_http *h = new_http();
    char url[64], ca[64];
    clo_err err;
    clo_http_req req = {.method = "GET",
                        .url = url,
                        .ca_file = ca,
                        .replay_safe = true,
                        .connect_timeout_ms = 20000,
                        .timeout_ms = 20000,
                        .max_bytes = sizeof(part) * 2};
    size_t body;
    clo_xfer *x;
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/x", t->port);
    snprintf(ca, sizeof(ca), "%s/ca.pem", t->folder);
    x = clo_http_start(h, &req, &err);
    assert_non_null(x);
    memset(part, ' ', sizeof(part));
    body = sizeof(part) * 2 - strlen(OK_HEAD "Content-Length: 12345\r\n\r\n");
    assert_int_equal(sprintf(part, OK_HEAD "Content-Length: %zu\r\n\r\n", body),
                     sizeof(part) * 2 - body);
    part[sizeof(part) * 2 - body] = ' ';
    assert_int_equal(write(t->answer, part, sizeof(part)), sizeof(part));
    for (int looks = 0; looks < 300; looks++) { /* long enough for the first part, mostly */
        assert_int_equal(clo_http_pump(h, 0, &err), CLO_OK);
        usleep(1000);
    }
    memset(part, ' ', sizeof(part));
    assert_int_equal(write(t->answer, part, sizeof(part)), sizeof(part));
    assert_int_equal(close(t->answer), 0);
    t->answer = -1;
    while (!clo_xfer_done(x)) {
        assert_int_equal(clo_http_pump(h, 0, &err), CLO_OK);
        (void)sched_yield();
    }
    assert_string_equal(clo_xfer_result(x)->err.msg, "");
    assert_int_equal(clo_xfer_result(x)->body.len, body);
    clo_xfer_free(x);
    clo_http_free(h);
}

static volatile sig_atomic_t alarms;

static void
on_alarm(int sig)
{
    (void)sig;
    alarms++;
}

/* The wait is long; only the signal can end it before the test's patience does. */
static void
a_signal_ends_the_wait(void **state)
{
    static const lb_answer script[] = {{"/x", "", LB_HOLD, 0}};
    struct sigaction sa = {.sa_handler = on_alarm}, old;
    struct itimerval t = {.it_value = {0, 100000}};
    lb_server *s = lb_start(script, 1);
    clo_http *h = new_http();
    clo_xfer *x = begin(h, s->port, &(ask){.body = "{}"});
    sigset_t before, after;
    clo_err err;
    (void)state;
    while (lb_value(s, &s->n_requests) == 0)
        assert_int_equal(clo_http_pump(h, 50, &err), CLO_OK);
    sigaction(SIGALRM, &sa, &old);
    sigprocmask(SIG_SETMASK, NULL, &before);
    alarms = 0;
    setitimer(ITIMER_REAL, &t, NULL);
    for (int i = 0; i < 100 && !alarms; i++)
        assert_int_equal(clo_http_pump(h, 15000, &err), CLO_OK);
    assert_int_equal(alarms, 1);
    sigprocmask(SIG_SETMASK, NULL, &after);
    for (int i = 1; i < 65; i++)
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
    sigaction(SIGALRM, &old, NULL);
    clo_xfer_free(x);
    clo_http_free(h);
    lb_stop(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_rules),
        cmocka_unit_test(connections_are_reused),
        cmocka_unit_test(writes_are_never_repeated),
        cmocka_unit_test(writes_do_not_go_out_on_a_closed_connection),
        cmocka_unit_test(reads_are_repeated_on_a_dead_connection),
        cmocka_unit_test(dead_connections_do_not_wear_out_a_handle),
        cmocka_unit_test(handles_are_used_again),
        cmocka_unit_test(broken_answers),
        cmocka_unit_test(refused_connection_sends_nothing),
        cmocka_unit_test(tls_failure_sends_nothing),
        cmocka_unit_test(limits),
        cmocka_unit_test(large_bodies_in_a_row),
        cmocka_unit_test(large_bodies_come_one_by_one),
        cmocka_unit_test(response_headers),
        cmocka_unit_test(redirects_are_not_followed),
        cmocka_unit_test(bodies_reach_the_server),
        cmocka_unit_test(dropping_closes_the_socket),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test_setup_teardown(looks_are_enough_over_tls, tls_start, tls_stop),
        cmocka_unit_test(a_signal_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
