/*
 * What all writes share: checking a body against a table of fields, applying changes, the event
 * log, the outbox of what would have been sent.
 *
 * Bodies are checked whole before anything is stored. The two generations differ: classic
 * endpoints ignore members they do not know, newer ones refuse them. PUT changes only the members
 * that are sent, null clears, arrays are replaced whole; custom fields also take .add and .remove.
 */
#include "standin.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
st_body_object(struct st_call *c, struct st_answer *a)
{
    if (c->body_bad)
        st_fail(a, 400, "The request contains invalid JSON.");
    else if (!c->json_type)
        st_fail(a, 415, "Please send valid JSON with a 'Content-Type: application/json' header.");
    else if (!js_is(c->body, json_type_object))
        st_fail(a, 400, "JSON data must be a dict.");
    else
        return true;
    return false;
}

/* ---- values ---- */

static bool
one_of(const char *list, const char *value)
{
    char item[80];
    while (st_comma(&list, item, sizeof item))
        if (strcmp(item, value) == 0)
            return true;
    return false;
}

static bool
is_email(const char *s)
{
    const char *at = strchr(s, '@');
    return at && at != s && at[1] && !strchr(at + 1, '@') && !strpbrk(s, " ,;<>");
}

static bool
is_phone(const char *s)
{
    int digits = 0;
    for (const char *p = s; *p; p++) {
        digits += isdigit((unsigned char)*p) != 0;
        if (!isdigit((unsigned char)*p) && !strchr("+-() ./", *p))
            return false;
    }
    return digits >= 5 && digits <= 15;
}

/* {"errors": [], "field-errors": {list: {"errors": {"0": {..., "field-errors": {key: text}}}}}} */
static bool
fail_item(struct st_answer *a, const char *list, size_t index, const char *key, const char *text)
{
    js *inner = json_object_new_object(), *fe = json_object_new_object();
    js_add(inner, "errors", json_object_new_array());
    js_adds(fe, key, text);
    js_add(inner, "field-errors", fe);
    char at[24];
    snprintf(at, sizeof at, "%zu", index);
    js *by_index = json_object_new_object(), *wrap = json_object_new_object();
    js_add(by_index, at, inner);
    js_add(wrap, "errors", by_index);
    js *all = json_object_new_object(), *o = json_object_new_object();
    js_add(all, list, wrap);
    js_add(o, "errors", json_object_new_array());
    js_add(o, "field-errors", all);
    st_ok(a, 400, o);
    return false;
}

static void
complete_item(js *item, const char *key)
{
    if (!js_str(item, "type"))
        js_adds(item, "type", strcmp(key, "url") == 0 ? "url" : "office");
    if (strcmp(key, "email") == 0)
        js_addb(item, "is_unsubscribed", false);
    if (strcmp(key, "phone"))
        return;
    char e164[40];
    size_t n = 0;
    for (const char *p = js_str(item, "phone"); *p && n < sizeof e164 - 1; p++)
        if (isdigit((unsigned char)*p) || (*p == '+' && !n))
            e164[n++] = *p;
    e164[n] = 0;
    js_adds(item, "phone", e164);
    js_adds(item, "phone_formatted", e164);
    js_adds(item, "country", NULL);
    js_addb(item, "outbound_sms_blocked", false);
}

static bool
check_items(const char *name, js *v, const char *key, struct st_answer *a)
{
    for (size_t i = 0; i < json_object_array_length(v); i++) {
        js *item = json_object_array_get_idx(v, i);
        const char *s = js_str(item, key);
        if (!js_is(item, json_type_object))
            return fail_item(a, name, i, key, "Value must be of dict type.");
        if (!s)
            return fail_item(a, name, i, key, "This field is required.");
        if (strcmp(key, "email") == 0 && !is_email(s))
            return fail_item(a, name, i, key, "Invalid email address.");
        if (strcmp(key, "phone") == 0 && !is_phone(s))
            return fail_item(a, name, i, key, "Invalid phone number.");
        if (strcmp(key, "url") == 0 && !strchr(s, '.'))
            return fail_item(a, name, i, key, "Invalid URL.");
        if (js_str(item, "type") &&
            !one_of("office,home,direct,mobile,fax,url,other", js_str(item, "type")))
            return fail_item(a, name, i, "type", "Not a valid choice.");
        complete_item(item, key);
    }
    return true;
}

static bool
fail_type(struct st_answer *a, const char *name, const char *type)
{
    st_fail_field(a, name, "Value must be of %s type.", type);
    return false;
}

static bool
check_time(const struct st_field *f, js *v, struct st_answer *a)
{
    int64_t us;
    bool date_only;
    if (!js_is(v, json_type_string))
        return fail_type(a, f->name, "str");
    bool ok = st_time_parse(json_object_get_string(v), 0, &us, &date_only);
    if (ok && f->type == V_DATE)
        ok = date_only;
    if (!ok)
        st_fail_field(a, f->name,
                      f->type == V_TIME ? "Invalid ISO 8601 datetime."
                                        : "Could not parse datetime");
    return ok;
}

static bool
check_choice(const struct st_field *f, js *v, struct st_answer *a)
{
    if (!js_is(v, json_type_string))
        return fail_type(a, f->name, "str");
    if (one_of(f->choices, json_object_get_string(v)))
        return true;
    st_fail_field(a, f->name, "Not a valid choice.");
    return false;
}

static bool
check_list(const struct st_field *f, js *v, struct st_answer *a)
{
    if (!js_is(v, json_type_array))
        return fail_type(a, f->name, "list");
    if (f->type == V_EMAILS)
        return check_items(f->name, v, "email", a);
    if (f->type == V_PHONES)
        return check_items(f->name, v, "phone", a);
    if (f->type == V_URLS)
        return check_items(f->name, v, "url", a);
    for (size_t i = 0; f->type == V_STRINGS && i < json_object_array_length(v); i++)
        if (!js_is(json_object_array_get_idx(v, i), json_type_string))
            return fail_item(a, f->name, i, "value", "Value must be of str type.");
    return true;
}

static bool
check_value(struct st_call *c, const struct st_field *f, js *v, struct st_answer *a)
{
    switch (f->type) {
    case V_STR:
        return js_is(v, json_type_string) || fail_type(a, f->name, "str");
    case V_INT: {
        bool ok = js_is(v, json_type_int) ||
                  (js_is(v, json_type_double) &&
                   json_object_get_double(v) == (double)json_object_get_int64(v));
        return ok || fail_type(a, f->name, "int");
    }
    case V_BOOL:
        return js_is(v, json_type_boolean) || fail_type(a, f->name, "bool");
    case V_DICT:
        return js_is(v, json_type_object) || fail_type(a, f->name, "dict");
    case V_DATE:
    case V_TIME:
    case V_DATE_OR_TIME:
        return check_time(f, v, a);
    case V_REF:
        if (!js_is(v, json_type_string))
            return fail_type(a, f->name, "str");
        if (st_find(c->ds, (enum st_tab)f->ref, json_object_get_string(v)) != ST_NONE)
            return true;
        st_fail_field(a, f->name, "Object does not exist.");
        return false;
    case V_CHOICE:
        return check_choice(f, v, a);
    case V_LIST:
    case V_EMAILS:
    case V_PHONES:
    case V_URLS:
    case V_STRINGS:
        return check_list(f, v, a);
    case V_ANY:
        break;
    }
    return true;
}

/* ---- custom fields ---- */

static bool
custom_fits(js *field, js *v)
{
    const char *type = js_str(field, "type");
    if (strcmp(type, "number") == 0)
        return js_is(v, json_type_int) || js_is(v, json_type_double);
    if (!js_is(v, json_type_string))
        return false;
    const char *s = json_object_get_string(v);
    int64_t us;
    bool date_only;
    if (strcmp(type, "date") == 0)
        return st_time_parse(s, 0, &us, &date_only) && date_only;
    if (strcmp(type, "datetime") == 0)
        return st_time_parse(s, 0, &us, &date_only) && !date_only;
    if (strcmp(type, "choices"))
        return true;
    js *all = js_ref(field, "choices");
    for (size_t i = 0; js_is(all, json_type_array) && i < json_object_array_length(all); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(all, i)), s) == 0)
            return true;
    return false;
}

static bool
check_custom(struct st_call *c, int table, const char *key, js *v, struct st_answer *a)
{
    char id[80];
    snprintf(id, sizeof id, "%s", key + strlen("custom."));
    char *dot = strchr(id, '.');
    bool single = dot && (strcmp(dot, ".add") == 0 || strcmp(dot, ".remove") == 0);
    if (dot)
        *dot = 0;
    js *field = st_row_obj_ref(c->ds, (enum st_tab)table, id);
    if (!field && table != T_CF_OPP)
        field = st_row_obj_ref(c->ds, T_CF_SHARED, id);
    if (!field || (dot && !single)) {
        st_fail_field(a, key, "Custom field does not exist.");
        return false;
    }
    bool multi = js_true(field, "accepts_multiple_values", false), ok = true;
    if (!v)
        return true;
    if (multi && !single && js_is(v, json_type_array)) {
        for (size_t i = 0; ok && i < json_object_array_length(v); i++)
            ok = custom_fits(field, json_object_array_get_idx(v, i));
    } else
        ok = (!single || multi) && custom_fits(field, v);
    if (!ok)
        st_fail_field(a, key, "Not a valid value for a custom field of type %s.",
                      js_str(field, "type"));
    return ok;
}

bool
st_check(struct st_call *c, const struct st_writable *w, bool create, js *out, struct st_answer *a)
{
    unsigned mode = create ? W_CREATE : W_UPDATE;
    json_object_object_foreach(c->body, key, v)
    {
        const struct st_field *f = w->fields;
        while (f->name && strcmp(f->name, key))
            f++;
        if (w->custom >= 0 && st_has_prefix(key, "custom.")) {
            if (!check_custom(c, w->custom, key, v, a))
                return false;
            js_add(out, key, json_object_get(v));
            continue;
        }
        if (!f->name || !(f->flags & mode)) {
            if (!w->strict && !(w->strict_put && !create))
                continue;
            st_fail_field(a, key, "Extra inputs are not permitted");
            return false;
        }
        if (!v && (f->flags & W_REQUIRED)) {
            st_fail_field(a, key, "This field is required.");
            return false;
        }
        if (v && !check_value(c, f, v, a))
            return false;
        js_add(out, key, json_object_get(v));
    }
    for (const struct st_field *f = w->fields; create && f->name; f++)
        if ((f->flags & W_REQUIRED) && !js_ref(out, f->name)) {
            /* live answers show the model's name for a reference */
            st_fail_field(a, strcmp(f->name, "lead_id") == 0 ? "lead" : f->name,
                          "This field is required.");
            return false;
        }
    return true;
}

static void
apply_set(js *obj, const char *key, js *v)
{
    char base[96];
    snprintf(base, sizeof base, "%s", key);
    char *dot = strrchr(base, '.');
    bool add = strcmp(dot, ".add") == 0;
    *dot = 0;
    js *old = js_ref(obj, base), *all = json_object_new_array();
    bool seen = false;
    for (size_t i = 0; js_is(old, json_type_array) && i < json_object_array_length(old); i++) {
        js *item = json_object_array_get_idx(old, i);
        bool same = json_object_equal(item, v);
        seen |= same;
        if (!same || add)
            json_object_array_add(all, json_object_get(item));
    }
    if (add && !seen)
        json_object_array_add(all, json_object_get(v));
    js_add(obj, base, all);
}

void
st_apply(js *obj, js *changes)
{
    json_object_object_foreach(changes, key, v)
    {
        bool custom = st_has_prefix(key, "custom.");
        const char *last = strrchr(key, '.');
        if (custom && (strcmp(last, ".add") == 0 || strcmp(last, ".remove") == 0))
            apply_set(obj, key, v);
        else if (custom && !v)
            json_object_object_del(obj, key); /* a field without value is absent, not null */
        else
            js_add(obj, key, js_copy(v));
    }
}

/* ---- plain and rich text ---- */

static const struct {
    const char *entity;
    char c;
} entities[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}};

static void
html_to_text(const char *html, struct st_text *t)
{
    bool tag = false;
    for (const char *p = html; *p; p++) {
        size_t k = 0;
        while (k < ST_LEN(entities) && !st_has_prefix(p, entities[k].entity))
            k++;
        if (*p == '<' || *p == '>')
            tag = *p == '<';
        else if (tag)
            continue;
        else if (k < ST_LEN(entities)) {
            st_put(t, &entities[k].c, 1);
            p += strlen(entities[k].entity) - 1;
        } else
            st_put(t, p, 1);
    }
}

static void
text_to_html(const char *text, struct st_text *t)
{
    if (!*text)
        return;
    st_puts(t, "<body><p>");
    for (const char *p = text; *p; p++) {
        size_t k = 0;
        while (k < ST_LEN(entities) && entities[k].c != *p)
            k++;
        if (k < ST_LEN(entities))
            st_puts(t, entities[k].entity);
        else
            st_put(t, p, 1);
    }
    st_puts(t, "</p></body>");
}

/* note and note_html are two sides of one text: setting one rewrites the other, and the rich one
 * wins when both are given. */
void
st_couple_notes(js *in)
{
    const char *html = js_str(in, "note_html"), *plain = js_str(in, "note");
    struct st_text t = {0};
    st_put(&t, "", 0);
    if (html) {
        html_to_text(html, &t);
        js_adds(in, "note", t.s);
    } else if (plain) {
        text_to_html(plain, &t);
        js_adds(in, "note_html", t.s);
    }
    st_text_free(&t);
}

/* ---- rows ---- */

js *
st_base(struct st_call *c, enum st_tab t, const char *prefix, int idlen, js *in)
{
    char id[56];
    js *o = json_object_new_object();
    bool naive = st_is_naive(t), with_id = t == T_SEQUENCE || t == T_SUB;
    int64_t now = st_now();
    st_new_id(c->ds, prefix, idlen, id);
    js_adds(o, "id", id);
    js_adds(o, "organization_id", c->ds->org);
    js_adds(o, with_id ? "created_by_id" : "created_by", c->ds->user);
    js_adds(o, with_id ? "updated_by_id" : "updated_by", c->ds->user);
    bool at = t == T_COMMENT || t == T_THREAD;
    st_stamp(o, at ? "created_at" : "date_created", now, naive);
    st_stamp(o, at ? "updated_at" : "date_updated", now, naive);
    st_apply(o, in);
    return o;
}

static const char *
event_type(struct st_call *c, enum st_tab t, uint32_t row)
{
    static const char *const acts[A_COUNT] = {[A_NOTE] = "activity.note",
                                              [A_CALL] = "activity.call",
                                              [A_EMAIL] = "activity.email",
                                              [A_SMS] = "activity.sms",
                                              [A_MERGE] = "activity.lead_merge",
                                              [A_TASK_DONE] = "activity.task_completed",
                                              [A_LEAD_STATUS] = "activity.lead_status_change",
                                              [A_OPP_STATUS] = "activity.opportunity_status_change",
                                              [A_CREATED] = "activity.created"};
    static const char *const names[T_COUNT] = {[T_LEAD] = "lead",
                                               [T_CONTACT] = "contact",
                                               [T_OPP] = "opportunity",
                                               [T_TASK] = "task.lead",
                                               [T_COMMENT] = "comment",
                                               [T_PIPELINE] = "pipeline",
                                               [T_SEQUENCE] = "sequence",
                                               [T_SUB] = "sequence_subscription",
                                               [T_WEBHOOK] = "webhook_subscription",
                                               [T_CF_LEAD] = "custom_fields.lead",
                                               [T_CF_CONTACT] = "custom_fields.contact",
                                               [T_CF_OPP] = "custom_fields.opportunity",
                                               [T_LSTATUS] = "status.lead",
                                               [T_OSTATUS] = "status.opportunity",
                                               [T_VIEW] = "saved_search",
                                               [T_THREAD] = "comment_thread"};
    const char *s = t == T_ACTIVITY ? acts[c->ds->t[t].rows[row].kind] : names[t];
    return s ? s : "object";
}

/* Names of the members that differ go to fields, their old values to old. */
static void
difference(js *before, js *after, js *fields, js *old)
{
    json_object_object_foreach(after, key, v)
    {
        js *was = js_ref(before, key);
        if (json_object_equal(was, v) || st_has_prefix(key, "date_updated"))
            continue;
        json_object_array_add(fields, js_new_str(key));
        js_add(old, key, json_object_get(was));
    }
}

void
st_event(struct st_call *c, enum st_tab t, uint32_t row, const char *action, js *before, js *after)
{
    struct st_dataset *ds = c->ds;
    const struct st_row *r = &ds->t[t].rows[row];
    char id[56], path[200];
    js *e = json_object_new_object(), *fields = json_object_new_array();
    js *old = json_object_new_object(), *meta = json_object_new_object();
    int64_t now = st_now();
    uint32_t lead = t == T_LEAD ? row : r->lead;
    st_new_id(ds, "ev", 22, id);
    js_adds(e, "id", id);
    js_adds(e, "object_type", event_type(c, t, row));
    js_adds(e, "object_id", r->id);
    js_adds(e, "action", action);
    js_adds(e, "lead_id", lead == ST_NONE ? NULL : ds->t[T_LEAD].rows[lead].id);
    js_adds(e, "user_id", ds->user);
    js_adds(e, "organization_id", ds->org);
    js_adds(e, "api_key_id", NULL);
    st_new_id(ds, "req", 22, id);
    js_adds(e, "request_id", id);
    if (before && after)
        difference(before, after, fields, old);
    js_add(e, "changed_fields", fields);
    js_add(e, "data", js_copy(after));
    js_add(e, "previous_data", old);
    snprintf(path, sizeof path, "/api/v1%.190s", c->path);
    js_adds(meta, "request_method", c->method);
    js_adds(meta, "request_path", path);
    js_add(e, "meta", meta);
    st_stamp(e, "date_created", now, true);
    st_stamp(e, "date_updated", now, true);
    st_append(ds, T_EVENT, e, lead, ST_NONE);
}

uint32_t
st_create_row(struct st_call *c, enum st_tab t, js *obj, uint32_t lead)
{
    uint32_t row = st_append(c->ds, t, obj, lead, ST_NONE);
    if (t == T_LEAD) {
        c->ds->t[t].rows[row].lead = row;
        c->ds->t[t].rows[row].visible_at = st_now() + c->app->cfg.search_delay_ms * 1000;
    }
    st_event(c, t, row, "created", NULL, obj);
    return row;
}

void
st_update_row(struct st_call *c, enum st_tab t, uint32_t row, js *changes)
{
    js *obj = st_edit(c->ds, t, row), *before = js_copy(obj);
    bool by_id = t == T_SEQUENCE || t == T_SUB;
    st_apply(obj, changes);
    if (t != T_LSTATUS && t != T_OSTATUS) {
        js_adds(obj, by_id ? "updated_by_id" : "updated_by", c->ds->user);
        st_stamp(obj, t == T_COMMENT ? "updated_at" : "date_updated", st_now(), st_is_naive(t));
    }
    st_touch(c->ds, t, row);
    st_event(c, t, row, "updated", before, obj);
    json_object_put(before);
}

void
st_delete_row(struct st_call *c, enum st_tab t, uint32_t row)
{
    js *last = st_stored(c->ds, t, &c->ds->t[t].rows[row]);
    st_remove(c->ds, t, row);
    st_event(c, t, row, "deleted", NULL, last);
    json_object_put(last);
}

void
st_outbox(struct st_call *c, const char *what, js *message)
{
    js *o = json_object_new_object();
    js_adds(o, "what", what);
    st_stamp(o, "at", st_now(), false);
    js_add(o, "object", js_copy(message));
    json_object_array_add(c->ds->outbox, o);
}

uint32_t
st_lead_of(struct st_dataset *ds, const char *lead_id)
{
    return lead_id ? st_find(ds, T_LEAD, lead_id) : ST_NONE;
}
