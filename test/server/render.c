/*
 * From a stored object to what the service answers: denormalized names and labels, computed money,
 * nested objects.
 *
 * Stored objects hold only what belongs to them. Everything that depends on another row (a status
 * label, the name of a lead, the contacts inside a lead) is computed at the moment of reading, so
 * a renamed status shows everywhere at once, as it does at the service. The caller says which
 * members it wants: nested objects are the expensive part and most readers leave them out.
 */
#include "standin.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
st_wants(const char *want, const char *key)
{
    char item[96];
    if (!want)
        return true;
    while (st_comma(&want, item, sizeof item))
        if (strcmp(item, key) == 0 || strcmp(item, "_all") == 0)
            return true;
    return false;
}

/* Names that do not exist are dropped without a word; "custom" stands for all custom values. */
js *
st_project(js *o, const char *want)
{
    char item[96];
    if (!want)
        return o;
    js *out = json_object_new_object();
    while (st_comma(&want, item, sizeof item)) {
        js *v;
        if (strcmp(item, "_all") == 0) {
            json_object_put(out);
            return o;
        }
        if (strcmp(item, "custom") == 0) {
            json_object_object_foreach(o, key, val)
            {
                if (st_has_prefix(key, "custom."))
                    js_add(out, key, json_object_get(val));
            }
        } else if (json_object_object_get_ex(o, item, &v))
            js_add(out, item, json_object_get(v));
    }
    json_object_put(o);
    return out;
}

const char *
st_user_name(struct st_dataset *ds, const char *id, char *buf, size_t cap)
{
    if (!id)
        return NULL;
    js *u = st_row_obj_ref(ds, T_USER, id);
    if (!u)
        return "Frida Lind"; /* left the organization: named, not listed */
    const char *last = js_str(u, "last_name");
    snprintf(buf, cap, "%s%s%s", js_str(u, "first_name"), last && *last ? " " : "",
             last ? last : "");
    return buf;
}

static void
add_user_name(struct st_dataset *ds, js *o, const char *id_key, const char *key)
{
    char buf[200];
    js_adds(o, key, st_user_name(ds, js_str(o, id_key), buf, sizeof buf));
}

/* A stored member of another row; owned by *hold, which the caller puts. */
static const char *
other(struct st_dataset *ds, enum st_tab t, const char *id, const char *key, js **hold)
{
    uint32_t row = st_find(ds, t, id);
    *hold = row == ST_NONE ? NULL : st_stored(ds, t, &ds->t[t].rows[row]);
    return js_str(*hold, key);
}

static void
add_other(struct st_dataset *ds, js *o, const char *id_key, enum st_tab t, const char *from,
          const char *key)
{
    js *hold = NULL;
    js_adds(o, key, other(ds, t, js_str(o, id_key), from, &hold));
    json_object_put(hold);
}

/* ---- leads ---- */

static const char *
contact_display(js *c)
{
    const char *name = js_str(c, "name");
    if (name && *name)
        return name;
    js *emails = js_ref(c, "emails");
    if (js_is(emails, json_type_array) && json_object_array_length(emails))
        return js_str(json_object_array_get_idx(emails, 0), "email");
    return "(no name)";
}

static void
lead_contacts(struct st_dataset *ds, js *o, uint32_t lead, const char *want)
{
    uint32_t *rows, n = st_children(ds, T_CONTACT, lead, &rows);
    js *ids = json_object_new_array(), *all = json_object_new_array();
    js *email = NULL, *phone = NULL;
    const char *name = js_str(o, "name");
    char display[200];
    snprintf(display, sizeof display, "%s", name && *name ? name : "(untitled)");
    for (uint32_t i = 0; i < n; i++) {
        const struct st_row *row = &ds->t[T_CONTACT].rows[rows[i]];
        json_object_array_add(ids, js_new_str(row->id));
        if (i && !st_wants(want, "contacts"))
            continue;
        js *c = st_render(ds, T_CONTACT, row, NULL);
        if (i == 0) {
            email = js_copy(json_object_array_get_idx(js_ref(c, "emails"), 0));
            phone = js_copy(json_object_array_get_idx(js_ref(c, "phones"), 0));
            if (!name || !*name)
                snprintf(display, sizeof display, "%s", contact_display(c));
        }
        json_object_array_add(all, c);
    }
    free(rows);
    js_adds(o, "display_name", display);
    js_add(o, "contact_ids", ids);
    js_add(o, "primary_email", email);
    js_add(o, "primary_phone", phone);
    js_add(o, "contacts", all);
}

static js *
nested(struct st_dataset *ds, enum st_tab t, uint32_t lead)
{
    uint32_t *rows, n = st_children(ds, t, lead, &rows);
    js *all = json_object_new_array();
    for (uint32_t i = 0; i < n; i++) {
        js *c = st_render(ds, t, &ds->t[t].rows[rows[i]], NULL);
        if (t == T_TASK && js_true(c, "is_complete", false))
            json_object_put(c); /* only incomplete ones since 2024-06-07 */
        else
            json_object_array_add(all, c);
    }
    free(rows);
    return all;
}

static void
render_lead(struct st_dataset *ds, js *o, uint32_t row, const char *want)
{
    if (st_wants(want, "status_label"))
        add_other(ds, o, "status_id", T_LSTATUS, "label", "status_label");
    if (st_wants(want, "contacts") || st_wants(want, "contact_ids") ||
        st_wants(want, "display_name") || st_wants(want, "primary_email") ||
        st_wants(want, "primary_phone"))
        lead_contacts(ds, o, row, want);
    if (st_wants(want, "opportunities"))
        js_add(o, "opportunities", nested(ds, T_OPP, row));
    if (st_wants(want, "tasks"))
        js_add(o, "tasks", nested(ds, T_TASK, row));
    add_user_name(ds, o, "created_by", "created_by_name");
    add_user_name(ds, o, "updated_by", "updated_by_name");
}

/* ---- opportunities ---- */

static void
add_money(js *o)
{
    static const char *const words[] = {"one_time", "", "monthly", " monthly", "annual", " annual"};
    const char *period = js_str(o, "value_period");
    int64_t conf = js_int(o, "confidence", 0);
    js_adds(o, "value_currency", "EUR");
    if (!js_ref(o, "value")) {
        js_adds(o, "value_formatted", NULL);
        js_adds(o, "expected_value", NULL);
        js_adds(o, "annualized_value", NULL);
        js_adds(o, "annualized_expected_value", NULL);
        return;
    }
    int64_t value = js_int(o, "value", 0);
    int64_t year = period && strcmp(period, "monthly") == 0 ? value * 12 : value;
    const char *suffix = "";
    for (size_t i = 0; i < ST_LEN(words); i += 2)
        if (period && strcmp(period, words[i]) == 0)
            suffix = words[i + 1];
    js_addf(o, "value_formatted", "€%.2f%s", (double)value / 100.0, suffix);
    js_addi(o, "expected_value", llround((double)value * (double)conf / 100.0));
    js_addi(o, "annualized_value", year);
    js_addi(o, "annualized_expected_value", llround((double)year * (double)conf / 100.0));
}

static void
render_opp(struct st_dataset *ds, js *o, const char *want)
{
    js *status = st_row_obj_ref(ds, T_OSTATUS, js_str(o, "status_id"));
    js_adds(o, "status_label", js_str(status, "label"));
    js_adds(o, "status_display_name", js_str(status, "label"));
    js_adds(o, "status_type", js_str(status, "type"));
    js_adds(o, "pipeline_id", js_str(status, "pipeline_id"));
    if (st_wants(want, "pipeline_name"))
        add_other(ds, o, "pipeline_id", T_PIPELINE, "name", "pipeline_name");
    if (st_wants(want, "lead_name"))
        add_other(ds, o, "lead_id", T_LEAD, "name", "lead_name");
    if (st_wants(want, "contact_name"))
        add_other(ds, o, "contact_id", T_CONTACT, "name", "contact_name");
    add_user_name(ds, o, "user_id", "user_name");
    add_user_name(ds, o, "created_by", "created_by_name");
    add_user_name(ds, o, "updated_by", "updated_by_name");
    add_money(o);
}

/* ---- tasks ---- */

static const char *
task_view(struct st_dataset *ds, js *o)
{
    int64_t due;
    bool date_only;
    if (js_true(o, "is_complete", false))
        return "archive";
    const char *date = js_str(o, "date");
    if (!date || !st_time_parse(date, 0, &due, &date_only))
        return "inbox";
    if (due <= st_now())
        return "inbox";
    st_until(ds, due);
    return "future";
}

static void
render_task(struct st_dataset *ds, js *o, const char *want)
{
    if (st_wants(want, "lead_name"))
        add_other(ds, o, "lead_id", T_LEAD, "name", "lead_name");
    if (st_wants(want, "contact_name"))
        add_other(ds, o, "contact_id", T_CONTACT, "name", "contact_name");
    add_user_name(ds, o, "assigned_to", "assigned_to_name");
    add_user_name(ds, o, "created_by", "created_by_name");
    add_user_name(ds, o, "updated_by", "updated_by_name");
    js_adds(o, "view", task_view(ds, o));
    js *date = js_ref(o, "date");
    js_add(o, "due_date", date ? json_object_get(date) : NULL);
}

/* ---- the rest ---- */

static void
render_activity(struct st_dataset *ds, js *o, const struct st_row *row)
{
    add_user_name(ds, o, "user_id", "user_name");
    if (st_hash(row->id) % 3) {
        add_user_name(ds, o, "created_by", "created_by_name");
        add_user_name(ds, o, "updated_by", "updated_by_name");
    }
    if (row->kind == A_CALL)
        for (int local = 0; local < 2; local++) {
            const char *n = js_str(o, local ? "local_phone" : "remote_phone");
            if (n)
                js_adds(o, local ? "local_phone_formatted" : "remote_phone_formatted", n);
        }
}

static void
render_pipeline(struct st_dataset *ds, js *o)
{
    js *all = json_object_new_array();
    const struct st_table *tab = &ds->t[T_OSTATUS];
    for (uint32_t i = 0; i < tab->n_live; i++) {
        js *s = tab->rows[tab->order[i]].obj;
        const char *pipe = js_str(s, "pipeline_id");
        if (!pipe || strcmp(pipe, js_str(o, "id")) != 0)
            continue;
        js *item = json_object_new_object();
        js_adds(item, "id", js_str(s, "id"));
        js_adds(item, "label", js_str(s, "label"));
        js_adds(item, "type", js_str(s, "type"));
        json_object_array_add(all, item);
    }
    js_add(o, "statuses", all);
}

static void
render_thread(struct st_dataset *ds, js *o, const struct st_row *thread)
{
    js *who = json_object_new_array();
    const struct st_table *tab = &ds->t[T_COMMENT];
    uint32_t *rows, n = st_children(ds, T_COMMENT, thread->lead, &rows), count = 0;
    for (uint32_t i = 0; i < n; i++) {
        js *c = st_stored(ds, T_COMMENT, &tab->rows[rows[i]]);
        const char *id = js_str(c, "thread_id");
        if (id && strcmp(id, thread->id) == 0) {
            if (count++ == 0)
                json_object_array_add(who, js_new_str(js_str(c, "created_by")));
        }
        json_object_put(c);
    }
    free(rows);
    js_addi(o, "num_comments", count);
    js_add(o, "participating", who);
}

js *
st_render(struct st_dataset *ds, enum st_tab t, const struct st_row *row, const char *want)
{
    js *o = st_stored(ds, t, row);
    if (t == T_LEAD)
        render_lead(ds, o, (uint32_t)(row - ds->t[T_LEAD].rows), want);
    else if (t == T_CONTACT)
        js_adds(o, "display_name", contact_display(o));
    else if (t == T_OPP)
        render_opp(ds, o, want);
    else if (t == T_TASK)
        render_task(ds, o, want);
    else if (t == T_ACTIVITY)
        render_activity(ds, o, row);
    else if (t == T_PIPELINE)
        render_pipeline(ds, o);
    else if (t == T_THREAD)
        render_thread(ds, o, row);
    return st_project(o, want);
}

/* ---- the caller ---- */

static js *
me_organization(struct st_dataset *ds)
{
    js *o = json_object_new_object();
    js_adds(o, "id", ds->org);
    js_adds(o, "name", "Stand-in AB");
    js_adds(o, "created_by", ds->user);
    js_adds(o, "updated_by", ds->user);
    js_adds(o, "date_created", "2022-01-01T00:00:00+00:00");
    js_adds(o, "date_updated", "2022-01-01T00:00:00+00:00");
    static const enum st_tab parts[] = {T_LSTATUS, T_PIPELINE};
    static const char *const keys[] = {"lead_statuses", "pipelines"};
    for (size_t p = 0; p < ST_LEN(parts); p++) {
        const struct st_table *tab = &ds->t[parts[p]];
        js *all = json_object_new_array();
        for (uint32_t i = 0; i < tab->n_live; i++)
            json_object_array_add(all, st_render(ds, parts[p], &tab->rows[tab->order[i]], NULL));
        js_add(o, keys[p], all);
    }
    return o;
}

js *
st_me(struct st_dataset *ds)
{
    char id[56];
    js *o = js_copy(st_nth_ref(ds, T_USER, 0));
    js *orgs = json_object_new_array(), *members = json_object_new_array();
    json_object_array_add(orgs, me_organization(ds));
    js_add(o, "organizations", orgs);
    js *m = json_object_new_object();
    st_id(id, "memb", 43, st_row_seed(ds, T_USER, 700));
    js_adds(m, "id", id);
    js_adds(m, "organization_id", ds->org);
    js_adds(m, "user_id", ds->user);
    js_adds(m, "role_id", "admin");
    js_add(m, "permissions_granted", json_object_new_array());
    js_adds(m, "auto_record_calls", "unset");
    js_addb(m, "track_email_opens", true);
    json_object_array_add(members, m);
    js_add(o, "memberships", members);
    js *accounts = json_object_new_array(), *acct = json_object_new_object();
    st_id(id, "emailacct", 43, st_row_seed(ds, T_USER, 500));
    js_adds(acct, "id", id);
    js_adds(acct, "_type", "google");
    js_add(acct, "identities", json_object_new_array());
    js_adds(acct, "organization_id", ds->org);
    js_adds(acct, "user_id", ds->user);
    json_object_array_add(accounts, acct);
    js_add(o, "email_accounts", accounts);
    js *phones = json_object_new_array(), *phone = json_object_new_object();
    st_id(id, "phon", 43, st_row_seed(ds, T_USER, 600));
    js_adds(phone, "id", id);
    js_adds(phone, "number", ds->phone);
    js_adds(phone, "organization_id", ds->org);
    json_object_array_add(phones, phone);
    js_add(o, "phone_numbers", phones);
    return o;
}
