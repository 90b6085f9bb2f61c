/*
 * From a connector tool to the Close call behind it.
 *
 * The parameter table is data (tools_table.inc). Parameters are checked strictly here: an unknown
 * name or a wrong type is refused, where the real connector may be more forgiving, so that a test
 * notices a client that sends what the catalogue does not have. Translation follows the list of
 * differences between tools and API: JSON texts become arrays, some names differ, list parameters
 * become the query string, the id becomes part of the path.
 */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct st_tool tools[] = {
#include "tools_table.inc"
};

const struct st_tool *
st_tools(size_t *n)
{
    *n = ST_LEN(tools);
    return tools;
}

const struct st_tool *
st_tool_find(const char *name)
{
    for (size_t i = 0; name && i < ST_LEN(tools); i++)
        if (strcmp(tools[i].name, name) == 0)
            return &tools[i];
    return NULL;
}

static const struct st_param *
param_find(const struct st_tool *t, const char *name)
{
    for (size_t i = 0; i < t->n_params; i++)
        if (strcmp(t->params[i].name, name) == 0)
            return &t->params[i];
    return NULL;
}

static bool
param_fits(const struct st_tool *t, const struct st_param *p, js *v)
{
    if (!v) /* an update forwards null, which clears the member; elsewhere it means nothing */
        return !p->required && strcmp(t->method, "PUT") == 0;
    switch (p->type) {
    case ST_STRING:
        return js_is(v, json_type_string);
    case ST_INTEGER: /* numbers pass through a double on the way */
        return js_is(v, json_type_int) ||
               (js_is(v, json_type_double) &&
                json_object_get_double(v) == (double)json_object_get_int64(v));
    case ST_BOOLEAN:
        return js_is(v, json_type_boolean);
    case ST_OBJECT:
        return js_is(v, json_type_object);
    case ST_ARRAY:
        return js_is(v, json_type_array);
    }
    return false;
}

static void
violation(js **all, const char *field, const char *text, const char *constraint)
{
    js *o = json_object_new_object();
    js_adds(o, "field", field);
    js_adds(o, "description", text);
    js_adds(o, "constraint", constraint);
    if (!*all)
        *all = json_object_new_array();
    json_object_array_add(*all, o);
}

js *
st_tool_check(const struct st_tool *t, js *params)
{
    static const char *const names[] = {"string", "integer", "boolean", "object", "array"};
    js *all = NULL;
    char text[200];
    if (params) {
        json_object_object_foreach(params, key, v)
        {
            const struct st_param *p = param_find(t, key);
            if (!p)
                violation(&all, key, "unknown parameter", "unknown");
            else if (!param_fits(t, p, v)) {
                snprintf(text, sizeof text, "must be of type %s", names[p->type]);
                violation(&all, key, text, "type");
            }
        }
    }
    for (size_t i = 0; i < t->n_params; i++)
        if (t->params[i].required && !js_ref(params, t->params[i].name))
            violation(&all, t->params[i].name, "is required", "required");
    return all;
}

static bool
is_json_text(const char *name)
{
    return strcmp(name, "emails") == 0 || strcmp(name, "phones") == 0 || strcmp(name, "to") == 0 ||
           strcmp(name, "events") == 0;
}

static void
to_query(js *query, const char *name, js *v)
{
    if (js_is(v, json_type_boolean))
        js_adds(query, name, json_object_get_boolean(v) ? "true" : "false");
    else if (js_is(v, json_type_string))
        js_adds(query, name, json_object_get_string(v));
    else
        js_addf(query, name, "%lld", (long long)json_object_get_int64(v));
}

/* filter_id_in and its like become query parameters; false: it is a new value. */
static bool
bulk_filter(js *query, const char *name, js *v)
{
    static const char *const map[][2] = {{"filter_id_in", "id__in"},
                                         {"filter_lead_id", "lead_id"},
                                         {"filter_assigned_to", "assigned_to"},
                                         {"filter_type", "_type"},
                                         {"filter_is_complete", "is_complete"}};
    for (size_t i = 0; i < ST_LEN(map); i++)
        if (strcmp(map[i][0], name) == 0) {
            if (v) /* a filter that is null is no filter */
                to_query(query, map[i][1], v);
            return true;
        }
    return false;
}

static void
to_body(const struct st_tool *t, js *body, const char *name, js *v)
{
    if (!v)
        js_add(body, strcmp(name, "pause") == 0 ? "status" : name, NULL);
    else if (strcmp(t->name, "close_comment_update") == 0 && strcmp(name, "comment") == 0)
        js_add(body, "body", json_object_get(v));
    else if (strcmp(t->name, "close_sequence_subscription_update") == 0 &&
             strcmp(name, "pause") == 0)
        js_adds(body, "status", json_object_get_boolean(v) ? "paused" : "active");
    else if (is_json_text(name) && js_is(v, json_type_string)) {
        js *parsed = js_parse(json_object_get_string(v), strlen(json_object_get_string(v)));
        js_add(body, name, parsed ? parsed : json_object_get(v));
    } else
        js_add(body, name, json_object_get(v));
}

void
st_tool_call(const struct st_tool *t, js *params, struct st_call *c, char *buf, size_t cap)
{
    bool get = strcmp(t->method, "GET") == 0,
         bulk = strcmp(t->path, "/task/") == 0 && strcmp(t->method, "PUT") == 0 && !t->id_param;
    c->method = t->method;
    c->query = json_object_new_object();
    c->body = get || strcmp(t->method, "DELETE") == 0 ? NULL : json_object_new_object();
    c->json_type = true;
    const char *id = t->id_param ? js_str(params, t->id_param) : NULL;
    /* An id with a slash or nothing in it must not turn into another call. */
    if (id && (!*id || strpbrk(id, "/?#")))
        id = "-";
    snprintf(buf, cap, "%s%s%s", t->path, id ? id : "", id ? "/" : "");
    c->path = buf;
    if (!params)
        return;
    json_object_object_foreach(params, name, v)
    {
        if (t->id_param && strcmp(name, t->id_param) == 0)
            continue;
        if (bulk && bulk_filter(c->query, name, v))
            continue;
        if (c->body)
            to_body(t, c->body, name, v);
        else
            to_query(c->query, name, v);
    }
}
