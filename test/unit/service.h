/*
 * service.h - a client of a scripted service: answers of Scalekit as raw HTTP, and the few steps that
 * tests of calls repeat.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include "base_test.h"
#include "loopback.h"

#define SECRET "s3cr3t-value"
#define HEAD(status) "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n"
#define TOKEN_OK                                                                                   \
    {                                                                                              \
        "POST /oauth/token",                                                                       \
            HEAD("200 OK") "Content-Length: 50\r\n\r\n"                                            \
                           "{\"access_token\":\"tok-one-1234\",\"expires_in\":86399}",             \
            LB_KEEP, 0                                                                             \
    }
#define TOKEN_TWO                                                                                  \
    {                                                                                              \
        "POST /oauth/token",                                                                       \
            HEAD("200 OK") "Content-Length: 50\r\n\r\n"                                            \
                           "{\"access_token\":\"tok-two-5678\",\"expires_in\":86399}",             \
            LB_KEEP, 0                                                                             \
    }
#define EMPTY(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"
/* Answers end with the connection, so that the script need not count bytes. */
#define CLOSED(status) HEAD(status) "Connection: close\r\n\r\n"
#define LEAD                                                                                       \
    CLOSED("200 OK") "{\"data\":{\"id\":\"lead_9\",\"name\":\"A\"},\"execution_id\":\"77\"}"
#define UNAUTH                                                                                     \
    CLOSED("401 Unauthorized")                                                                     \
    "{\"code\":16,\"message\":\"expired\",\"details\":[{\"error_code\":\"UNAUTHENTICATED\"}]}"
#define CREATE "\"tool_name\":\"close_lead_create\""
#define GET "\"tool_name\":\"close_lead_get\""

static inline void
set(clo_client *c, const char *name, const char *value)
{
    clo_err err;
    if (clo_client_set(c, name, value, CLO_FROM_SESSION, &err) == CLO_ERROR)
        fail_msg("%s: %s", name, err.msg);
}

static inline clo_client *
client_for(int port)
{
    char url[64];
    clo_err err;
    clo_client *c = clo_client_new(&err);
    assert_non_null(c);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
    set(c, "env_url", url);
    set(c, "client_id", "skc_1");
    set(c, "client_secret", SECRET);
    set(c, "identifier", "user 1");
    return c;
}

static inline clo_request *
request(const char *tool, const char *json)
{
    clo_err err;
    clo_request *r = clo_request_execute(tool, json, strlen(json), &err);
    if (!r)
        fail_msg("%s", err.msg);
    return r;
}

static inline clo_request *
lead_get(void)
{
    return request("close_lead_get", "{\"lead_id\":\"lead_9\"}");
}

static inline clo_request *
lead_create(void)
{
    return request("close_lead_create", "{\"name\":\"A\"}");
}

static inline clo_call *
call_new(clo_client *c, clo_request *r)
{
    clo_err err;
    clo_call *call = clo_call_new(c, r, &err);
    if (!call)
        fail_msg("%s", err.msg);
    return call;
}

static inline void
no_secret(const char *text)
{
    assert_null(strstr(text, SECRET));
    assert_null(strstr(text, "tok-one"));
    assert_null(strstr(text, "tok-two"));
}

static inline clo_status
finish(clo_call *call, clo_err *err)
{
    clo_status st;
    while ((st = clo_call_step(call, 1000, err)) == CLO_AGAIN)
        continue;
    if (st == CLO_ERROR) {
        no_secret(err->msg);
        no_secret(err->detail);
    }
    return st;
}

static inline int64_t
stat(const clo_client *c, int which)
{
    return c->stat[which];
}

/* Runs one request to its end and checks the class (NONE: success). */
static inline void
run(clo_client *c, clo_request *r, clo_code want, clo_err *err)
{
    clo_call *call = call_new(c, r);
    clo_status st = finish(call, err);
    clo_code code = st == CLO_ERROR ? err->code : CLO_E_NONE;
    if (code != want)
        fail_msg("%s: %s", clo_code_name(code), err->msg);
    assert_int_equal(st, want == CLO_E_NONE ? CLO_DONE : CLO_ERROR);
    clo_call_free(call);
}

#endif
