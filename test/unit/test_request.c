/*
 * Tests of request.c: what each door accepts, what it refuses and how it says so, and the request that
 * comes out. Uses the real catalogue.
 */
#include "base_test.h"

#include <stdio.h>
#include <stdlib.h>

static const clo_tool *
tool(const char *name)
{
    const clo_tool *t = clo_tool_find(name);
    assert_non_null(t);
    return t;
}

static void
expect_params(const clo_request *req, const char *want)
{
    clo_err err;
    clo_json *j;
    clo_json_iter it;
    assert_non_null(req);
    j = clo_json_parse(want, strlen(want), "want", &err);
    assert_non_null(j);
    assert_int_equal(clo_json_len(req->params), clo_json_len(j));
    clo_json_iter_init(&it, j);
    while (clo_json_iter_next(&it)) {
        const clo_json *got = clo_json_get(req->params, it.key);
        if (!clo_json_has(req->params, it.key) || clo_json_type(got) != clo_json_type(it.value) ||
            strcmp(clo_json_text(got, NULL), clo_json_text(it.value, NULL)) != 0)
            fail_msg("%s: %s is %s", want, it.key, clo_json_text(req->params, NULL));
    }
    clo_json_free(j);
}

static void
refused(clo_request *req, const clo_err *err, clo_code code, const char *text)
{
    assert_null(req);
    if (err->code != code || !strstr(err->msg, text))
        fail_msg("%s: %s, expected %s", clo_code_name(err->code), err->msg, text);
}

#define T(s) clo_text(s, sizeof(s) - 1)

static void
positional(void **state)
{
    clo_value note[] = {T("lead_1"), T("hello")};
    clo_value list[] = {clo_null(), clo_int(5)};
    clo_value many[50];
    clo_err err;
    clo_request *req;
    (void)state;
    req = clo_request_tool(tool("close_note_create"), 2, note, &err);
    expect_params(req, "{\"lead_id\":\"lead_1\",\"note\":\"hello\"}");
    assert_string_equal(clo_request_name(req), "close_note_create");
    assert_true(clo_request_writes(req));
    assert_true(req->creates);
    clo_request_free(req);
    req = clo_request_tool(tool("close_leads_list"), 2, list, &err);
    expect_params(req, "{\"_limit\":5}");
    assert_false(clo_request_writes(req));
    clo_request_free(req);
    req = clo_request_tool(tool("close_me_get"), 0, NULL, &err);
    expect_params(req, "{}");
    clo_request_free(req);
    for (size_t i = 0; i < CLO_ARRAY_LEN(many); i++)
        many[i] = clo_null();
    refused(clo_request_tool(tool("close_me_get"), 1, many, &err), &err, CLO_E_ARG,
            "close_me_get takes at most 0 arguments, 1 were given");
    refused(clo_request_tool(tool("close_note_create"), 1, note, &err), &err, CLO_E_ARG,
            "close_note_create: argument note is required");
    refused(clo_request_tool(tool("close_lead_get"), 0, NULL, &err), &err, CLO_E_ARG,
            "close_lead_get: argument lead_id is required");
    list[1] = clo_text("x", 1);
    refused(clo_request_tool(tool("close_leads_list"), 2, list, &err), &err, CLO_E_ARG, "_limit");
    note[1] = clo_text("a\xff", 2);
    refused(clo_request_tool(tool("close_note_create"), 2, note, &err), &err, CLO_E_ARG,
            "close_note_create: argument note is not valid UTF-8");
    note[1] = clo_text("a\0b", 3);
    refused(clo_request_tool(tool("close_note_create"), 2, note, &err), &err, CLO_E_ARG, "note");
}

static clo_request *
named(const char *name, const char *json, clo_err *err)
{
    return clo_request_tool_json(tool(name), json, strlen(json), err);
}

static void
by_name(void **state)
{
    static const struct {
        const char *tool, *json, *text;
    } wrong[] = {
        {"close_note_create", "{\"lead_id\":\"l\",\"nota\":\"x\"}",
         "unknown argument nota; did you mean note?"},
        {"close_note_create", "{\"lead_id\":\"l\",\"zzzzzzzzzzzzz\":\"x\"}",
         "unknown argument zzzzzzzzzzzzz"},
        {"close_note_create", "{\"lead_id\":\"l\",\"note\":null}", "argument note is required"},
        {"close_note_create", "[1]", "must be a JSON object"},
        {"close_note_create", "null", "must be a JSON object"},
        {"close_note_create", "{\"lead_id\"", "close_note_create: "},
        {"close_note_create", "", "close_note_create: "},
        {"close_note_create", "{} x", "close_note_create: "},
        {"close_note_create", "{\"lead_id\":{},\"note\":\"x\"}", "lead_id"},
        {"close_leads_list", "{\"_limit\":1.5}", "_limit"},
        {"close_leads_list", "{\"_limit\":\"ten\"}", "_limit"},
        {"close_contact_create", "{\"lead_id\":\"l\",\"emails\":\"nope\"}", "emails"},
        {"close_contact_create", "{\"lead_id\":\"\xff\"}", "UTF-8"},
        {"close_tasks_bulk_update", "{\"is_complete\":true}", "at least one filter_ argument"},
        {"close_tasks_bulk_update", "{\"is_complete\":true,\"filter_lead_id\":null}", "filter_"},
    };
    clo_err err;
    clo_request *req;
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(wrong); i++) {
        clo_request *r = named(wrong[i].tool, wrong[i].json, &err);
        refused(r, &err, CLO_E_ARG, wrong[i].text);
    }
    req = named("close_contact_create", "{\"lead_id\":\"l\",\"emails\":[{\"email\":\"a@b.c\"}]}",
                &err);
    expect_params(req, "{\"lead_id\":\"l\",\"emails\":\"[{\\\"email\\\":\\\"a@b.c\\\"}]\"}");
    clo_request_free(req);
    req = named("close_contact_create",
                "{\"lead_id\":\"l\",\"emails\":\"[{\\\"email\\\":\\\"a@b.c\\\"}]\"}", &err);
    expect_params(req, "{\"lead_id\":\"l\",\"emails\":\"[{\\\"email\\\":\\\"a@b.c\\\"}]\"}");
    clo_request_free(req);
    req = named("close_tasks_bulk_update", "{\"is_complete\":true,\"filter_lead_id\":\"lead_1\"}",
                &err);
    expect_params(req, "{\"is_complete\":true,\"filter_lead_id\":\"lead_1\"}");
    clo_request_free(req);
    req = named("close_activities_list", "{\"lead_id\":\"l\",\"_type\":\"Sms\"}", &err);
    expect_params(req, "{\"lead_id\":\"l\",\"_type\":\"SMS\"}");
    clo_request_free(req);
    req = named("close_activities_list", "{\"lead_id\":\"l\",\"_type\":\"Note\"}", &err);
    expect_params(req, "{\"lead_id\":\"l\",\"_type\":\"Note\"}");
    clo_request_free(req);
    req = clo_request_tool_json(tool("close_me_get"), NULL, 0, &err);
    expect_params(req, "{}");
    clo_request_free(req);
}

static clo_request *
exec(const char *name, const char *json)
{
    clo_err err;
    return clo_request_execute(name, json, strlen(json), &err);
}

static void
any_tool(void **state)
{
    static const char *const names[] = {"",  "Close_Lead_Get", "a b", "x/../y", "tool\n", "x?y",
                                        NULL};
    char longer[200];
    clo_err err;
    clo_request *req;
    (void)state;
    for (size_t i = 0; names[i]; i++)
        refused(clo_request_execute(names[i], "{}", 2, &err), &err, CLO_E_ARG, "tool name");
    refused(clo_request_execute(NULL, "{}", 2, &err), &err, CLO_E_ARG, "tool name");
    memset(longer, 'a', sizeof(longer));
    longer[sizeof(longer) - 1] = 0;
    refused(clo_request_execute(longer, "{}", 2, &err), &err, CLO_E_ARG, "tool name");
    refused(clo_request_execute("close_lead_get", "{}", 2, &err), &err, CLO_E_ARG,
            "lead_id is required");
    refused(clo_request_execute("close_brand_new", "[]", 2, &err), &err, CLO_E_ARG, "JSON object");
    req = exec("close_brand_new_create", "{\"a\":[1,{\"b\":null}],\"c\":null}");
    expect_params(req, "{\"a\":[1,{\"b\":null}],\"c\":null}");
    assert_true(clo_request_writes(req));
    assert_true(req->creates);
    assert_null(req->tool);
    clo_request_free(req);
    req = clo_request_execute("close_brand_new", NULL, 0, &err);
    expect_params(req, "{}");
    assert_true(clo_request_writes(req));
    assert_false(req->creates);
    clo_request_free(req);
    req = clo_request_execute("close_me_get", NULL, 0, &err);
    assert_non_null(req);
    assert_false(clo_request_writes(req));
    clo_request_free(req);
}

static void
proxy_paths(void **state)
{
    static const char *const wrong[] = {
        "",
        "api/v1/me/",
        "/api/../x",
        "/..",
        "/.",
        "/a/.",
        "/a/./b",
        "/a/%2e%2e/b",
        "/a/%2E%2e/b",
        "/a/.%2e",
        "/a/%252e%252e/b",
        "/a/%25252e%25252e/b",
        "/a%2f..%2fb",
        "/a%2F%2e%2e",
        "/a/..%5cb",
        "/a\\..\\b",
        "/a%5c..%5cb",
        "/a#b",
        "/a b",
        "/a\tb",
        "/a\r\nX-Evil: 1",
        "/a%0d%0aX:1",
        "/a%00b",
        "/a%zz",
        "/a%2",
        "/a%",
        "/\xc3\xa9",
        "/a\"b",
        "/a/..?x=1",
    };
    static const char *const right[] = {"/",       "/api/v1/me/", "/api/v1/lead/lead_1/",
                                        "/a/..b/", "/a/...",      "/a?x=..",
                                        "/a%20b/", "/a/b.c/",     "/a?q=%252e"};
    clo_err err;
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(wrong); i++) {
        clo_request *r = clo_request_proxy("GET", wrong[i], NULL, NULL, &err);
        if (r || err.code != CLO_E_ARG || !strstr(err.msg, "close_request: the path"))
            fail_msg("%s was accepted or refused wrongly: %s", wrong[i], err.msg);
    }
    for (size_t i = 0; i < CLO_ARRAY_LEN(right); i++) {
        clo_request *r = clo_request_proxy("GET", right[i], NULL, NULL, &err);
        if (!r)
            fail_msg("%s: %s", right[i], err.msg);
        assert_string_equal(r->path, right[i]);
        assert_false(r->writes);
        clo_request_free(r);
    }
}

static void
proxy_requests(void **state)
{
    static const char query[] =
        "{\"a\":\"x y&z\",\"b\":[1,true,\"c\"],\"d\":null,\"e\":1.5,\"\xc3\xa4\":\"\"}";
    clo_err err;
    clo_request *r = clo_request_proxy("GET", "/p/", query, NULL, &err);
    (void)state;
    assert_non_null(r);
    assert_string_equal(clo_request_name(r), "GET /p/");
    assert_non_null(strstr(r->path, "a=x%20y%26z"));
    assert_non_null(strstr(r->path, "b=1&b=true&b=c"));
    assert_non_null(strstr(r->path, "e=1.5"));
    assert_non_null(strstr(r->path, "%C3%A4="));
    assert_null(strstr(r->path, "d="));
    assert_int_equal(strncmp(r->path, "/p/?", 4), 0);
    clo_request_free(r);
    r = clo_request_proxy("GET", "/p/?z=1", "{\"a\":\"?\"}", NULL, &err);
    assert_string_equal(r->path, "/p/?z=1&a=%3F");
    assert_string_equal(clo_request_name(r), "GET /p/");
    clo_request_free(r);
    r = clo_request_proxy("PUT", "/p/", NULL, "{\"x\": 1.50}", &err);
    assert_true(r->writes);
    assert_false(r->creates);
    assert_string_equal(r->body, "{\"x\": 1.50}");
    clo_request_free(r);
    r = clo_request_proxy("DELETE", "/p/", NULL, NULL, &err);
    assert_true(r->writes);
    clo_request_free(r);
    refused(clo_request_proxy("get", "/p", NULL, NULL, &err), &err, CLO_E_ARG, "method");
    refused(clo_request_proxy("HEAD", "/p", NULL, NULL, &err), &err, CLO_E_ARG, "method");
    refused(clo_request_proxy("GET /x", "/p", NULL, NULL, &err), &err, CLO_E_ARG, "method");
    refused(clo_request_proxy(NULL, "/p", NULL, NULL, &err), &err, CLO_E_ARG, "method");
    refused(clo_request_proxy("GET", NULL, NULL, NULL, &err), &err, CLO_E_ARG, "path");
    refused(clo_request_proxy("GET", "/p", NULL, "{}", &err), &err, CLO_E_ARG, "no body");
    refused(clo_request_proxy("GET", "/p", "[1]", NULL, &err), &err, CLO_E_ARG, "query");
    refused(clo_request_proxy("GET", "/p", "{\"a\":{}}", NULL, &err), &err, CLO_E_ARG,
            "parameter a");
    refused(clo_request_proxy("GET", "/p", "{\"a\":[[]]}", NULL, &err), &err, CLO_E_ARG,
            "parameter a");
    refused(clo_request_proxy("POST", "/p", NULL, "{", &err), &err, CLO_E_ARG, "body");
    refused(clo_request_proxy("POST", "/p", NULL, "\xff", &err), &err, CLO_E_ARG, "body");
}

static int
col(const clo_table *t, const char *name)
{
    int i = clo_table_column(t, name);
    assert_true(i >= 0);
    return i;
}

static clo_request *
row1(const char *table, clo_kind kind, const char *id, const char *column, clo_value v,
     clo_err *err)
{
    const clo_table *t = clo_table_find(table);
    int c = col(t, column);
    return clo_request_row(t, kind, id, 1, &c, &v, err);
}

static void
rows(void **state)
{
    const clo_table *notes = clo_table_find("close_notes"), *users = clo_table_find("close_users");
    int cols[3] = {col(notes, "lead_id"), col(notes, "note"), col(notes, "id")};
    clo_value vals[3] = {T("lead_1"), T("hi"), clo_null()};
    clo_err err;
    clo_request *r = clo_request_row(notes, CLO_CREATE, NULL, 3, cols, vals, &err);
    (void)state;
    expect_params(r, "{\"lead_id\":\"lead_1\",\"note\":\"hi\"}");
    assert_string_equal(r->name, "close_note_create");
    clo_request_free(r);
    vals[2] = T("acti_1");
    refused(clo_request_row(notes, CLO_CREATE, NULL, 3, cols, vals, &err), &err, CLO_E_ARG,
            "close_notes: column id cannot be set");
    refused(clo_request_row(notes, CLO_CREATE, NULL, 1, cols, vals, &err), &err, CLO_E_ARG,
            "argument note is required");
    refused(clo_request_row(users, CLO_CREATE, NULL, 0, NULL, NULL, &err), &err, CLO_E_ARG,
            "close_users cannot be inserted into");
    refused(clo_request_row(users, CLO_DELETE, "user_1", 0, NULL, NULL, &err), &err, CLO_E_ARG,
            "close_users cannot be deleted from");
    r = clo_request_row(notes, CLO_DELETE, "acti_1", 0, NULL, NULL, &err);
    expect_params(r, "{\"note_id\":\"acti_1\"}");
    clo_request_free(r);
    r = row1("close_leads", CLO_UPDATE, "lead_1", "name", T("Acme"), &err);
    expect_params(r, "{\"lead_id\":\"lead_1\",\"name\":\"Acme\"}");
    clo_request_free(r);
    r = row1("close_leads", CLO_UPDATE, "lead_1", "description", clo_null(), &err);
    expect_params(r, "{\"lead_id\":\"lead_1\",\"description\":null}");
    clo_request_free(r);
    r = row1("close_comments", CLO_UPDATE, "comm_1", "body", T("x"), &err);
    expect_params(r, "{\"comment_id\":\"comm_1\",\"comment\":\"x\"}");
    clo_request_free(r);
    r = row1("close_sequence_subscriptions", CLO_UPDATE, "sub_1", "status", T("paused"), &err);
    expect_params(r, "{\"subscription_id\":\"sub_1\",\"pause\":true}");
    clo_request_free(r);
    r = row1("close_sequence_subscriptions", CLO_UPDATE, "sub_1", "status", T("active"), &err);
    expect_params(r, "{\"subscription_id\":\"sub_1\",\"pause\":false}");
    clo_request_free(r);
    refused(row1("close_sequence_subscriptions", CLO_UPDATE, "sub_1", "status", T("goal"), &err),
            &err, CLO_E_ARG, "'paused' or 'active'");
    refused(row1("close_leads", CLO_UPDATE, "lead_1", "html_url", T("x"), &err), &err, CLO_E_ARG,
            "close_leads: column html_url cannot be set");
    refused(row1("close_leads", CLO_UPDATE, "lead_1", "id", T("lead_2"), &err), &err, CLO_E_ARG,
            "column id cannot be set");
    refused(row1("close_leads", CLO_UPDATE, "lead_1", "custom", clo_null(), &err), &err, CLO_E_ARG,
            "column custom cannot be set");
    refused(clo_request_row(notes, CLO_UPDATE, "acti_1", 0, NULL, NULL, &err), &err, CLO_E_ARG,
            "changes no column");
    refused(row1("close_notes", CLO_UPDATE, NULL, "note", T("x"), &err), &err, CLO_E_ARG, "no id");
    refused(row1("close_notes", CLO_UPDATE, "", "note", T("x"), &err), &err, CLO_E_ARG, "no id");
}

/* Every table with an update or delete tool finds the parameter that names the row. */
static void
every_row_has_its_id_parameter(void **state)
{
    int seen = 0;
    (void)state;
    for (size_t i = 0; i < clo_table_count(); i++) {
        const clo_table *t = clo_table_at(i);
        clo_err err;
        clo_request *r;
        if (!t->remove)
            continue;
        r = clo_request_row(t, CLO_DELETE, "some_id", 0, NULL, NULL, &err);
        if (!r)
            fail_msg("%s: %s", t->name, err.msg);
        assert_int_equal(clo_json_len(r->params), 1);
        assert_non_null(strstr(clo_json_text(r->params, NULL), "_id\":\"some_id\""));
        clo_request_free(r);
        seen++;
    }
    assert_true(seen >= 14);
}

static clo_status
allowed(const char *settings, clo_request *req, clo_err *err)
{
    clo_config c;
    clo_status st;
    assert_non_null(req);
    clo_config_init(&c);
    if (*settings)
        assert_int_equal(clo_config_set(&c, settings, "on", CLO_FROM_SESSION, err), CLO_OK);
    clo_err_clear(err);
    st = clo_request_allowed(req, &c, err);
    clo_config_free(&c);
    clo_request_free(req);
    return st;
}

static void
what_settings_forbid(void **state)
{
    static const char mail[] = "{\"lead_id\":\"l\",\"status\":\"outbox\"}";
    static const char later[] = "{\"lead_id\":\"l\",\"status\":\"Scheduled\"}";
    static const char draft[] = "{\"lead_id\":\"l\",\"status\":\"draft\"}";
    clo_err err;
    (void)state;
    assert_int_equal(allowed("", exec("close_email_create", mail), &err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_FORBIDDEN);
    assert_non_null(strstr(err.hint, "allow_messages"));
    assert_int_equal(allowed("", exec("close_sms_create", mail), &err), CLO_ERROR);
    assert_int_equal(allowed("", exec("close_email_create", later), &err), CLO_ERROR);
    assert_int_equal(
        allowed("", exec("close_email_update", "{\"email_id\":\"e\",\"status\":\"outbox\"}"), &err),
        CLO_ERROR);
    assert_int_equal(allowed("", exec("close_fax_create", mail), &err), CLO_ERROR);
    assert_int_equal(
        allowed("", clo_request_proxy("POST", "/api/v1/activity/email/", NULL, mail, &err), &err),
        CLO_ERROR);
    assert_int_equal(allowed("", exec("close_email_create", draft), &err), CLO_OK);
    assert_int_equal(allowed("", exec("close_call_create", mail), &err), CLO_OK);
    assert_int_equal(allowed("allow_messages", exec("close_email_create", mail), &err), CLO_OK);
    assert_int_equal(allowed("readonly", exec("close_me_get", "{}"), &err), CLO_OK);
    assert_int_equal(allowed("readonly", exec("close_email_create", draft), &err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_FORBIDDEN);
    assert_int_equal(allowed("readonly", exec("close_brand_new", "{}"), &err), CLO_ERROR);
    assert_int_equal(
        allowed("readonly", clo_request_proxy("DELETE", "/x/", NULL, NULL, &err), &err), CLO_ERROR);
    assert_int_equal(allowed("readonly", clo_request_proxy("GET", "/x/", NULL, NULL, &err), &err),
                     CLO_OK);
    assert_int_equal(allowed("readonly", clo_request_link(NULL, &err), &err), CLO_OK);
}

static void
accounts(void **state)
{
    char longer[120];
    clo_err err;
    clo_request *r = clo_request_link("user_1", &err);
    (void)state;
    expect_params(r, "{\"identifier\":\"user_1\"}");
    clo_request_free(r);
    r = clo_request_account(NULL, &err);
    expect_params(r, "{}");
    assert_int_equal(r->kind, CLO_REQ_ACCOUNT);
    clo_request_free(r);
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = 0;
    refused(clo_request_link("", &err), &err, CLO_E_ARG, "identifier");
    refused(clo_request_account(longer, &err), &err, CLO_E_ARG, "identifier");
}

static void
internal_reads(void **state)
{
    clo_err err;
    clo_json *p = clo_json_object();
    clo_request *r;
    (void)state;
    assert_true(clo_json_put_str(p, "_type", "sms", 3));
    r = clo_request_read("close_activities_list", p, &err);
    expect_params(r, "{\"_type\":\"SMS\"}");
    assert_false(r->writes);
    assert_true(r->internal);
    clo_request_free(r);
    refused(clo_request_read("close_lead_delete", clo_json_object(), &err), &err, CLO_E_BUG,
            "reading");
    refused(clo_request_read("nope", clo_json_object(), &err), &err, CLO_E_BUG, "reading");
}

static bool
made(clo_request *req, const clo_err *err)
{
    if (!req && err->code != CLO_E_NOMEM)
        fail_msg("%s: %s", clo_code_name(err->code), err->msg);
    clo_request_free(req);
    return req != NULL;
}

static bool
try_named(void *arg)
{
    clo_err err;
    (void)arg;
    return made(named("close_contact_create",
                      "{\"lead_id\":\"l\",\"emails\":[{\"email\":\"a@b.c\"}]}", &err),
                &err);
}

static bool
try_proxy(void *arg)
{
    clo_err err;
    (void)arg;
    return made(clo_request_proxy("POST", "/a/", "{\"q\":[1,\"x\"]}", "{\"b\":1}", &err), &err);
}

static bool
try_row(void *arg)
{
    clo_err err;
    (void)arg;
    return made(
        row1("close_sequence_subscriptions", CLO_UPDATE, "sub_1", "status", T("paused"), &err),
        &err);
}

static bool
try_unknown(void *arg)
{
    clo_err err;
    (void)arg;
    return made(clo_request_execute("close_brand_new", "{\"a\":[1]}", 9, &err), &err);
}

static bool
try_link(void *arg)
{
    clo_err err;
    (void)arg;
    return made(clo_request_link("user_1", &err), &err);
}

static void
out_of_memory(void **state)
{
    (void)state;
    oom_loop(try_named, NULL);
    oom_loop(try_proxy, NULL);
    oom_loop(try_row, NULL);
    oom_loop(try_unknown, NULL);
    oom_loop(try_link, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positional),
        cmocka_unit_test(by_name),
        cmocka_unit_test(any_tool),
        cmocka_unit_test(proxy_paths),
        cmocka_unit_test(proxy_requests),
        cmocka_unit_test(rows),
        cmocka_unit_test(every_row_has_its_id_parameter),
        cmocka_unit_test(what_settings_forbid),
        cmocka_unit_test(accounts),
        cmocka_unit_test(internal_reads),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
