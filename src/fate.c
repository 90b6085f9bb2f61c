/*
 * fate.c - what became of a call that was sent and never answered.
 *
 * Close knows no idempotency key, so a create whose answer was lost must not simply be sent again. It
 * leaves a trace, though, and this file looks for it: the lead's notes for a note, pipelines by name
 * for a pipeline, and so on (close-api.md 7). One table says for each tool where its effect shows and
 * which parameters come back unchanged. The lists are read through the cursor, so paging, retries
 * and quirks of each list are those of an ordinary SELECT.
 *
 *      means     what                                                verdict
 *      REPEAT    updates with absolute values, deletes               ABSENT: sending again is harmless
 *      ASK       creates that a list shows, a merge                  by what the list shows
 *      NONE      messages to people, enrolments, jobs, unknown tools UNKNOWN: a person decides
 *
 * Two errors are possible and they do not weigh the same. Calling a present effect absent doubles it;
 * calling an absent one unknown costs a person a look. So every doubt is UNKNOWN:
 *
 *  - An object counts as the effect when all compared parameters are equal and it was not created before
 *    the call, within SKEW for clocks that differ.
 *  - One that is only nearly equal (case, blanks, punctuation, cut at the end, HTML) may be it after the
 *    service has tidied the text.
 *  - One that is equal but older by up to a DAY may be it if a clock is wrong.
 *  - More than one: no telling which.
 *  - None, but the call left more than a DAY ago: people have changed things since.
 *
 * The host drops candidates that are the effect of another row of its table before it asks for the
 * verdict; it does so inside the transaction that stores the answer, so two rows cannot both claim
 * one object.
 *
 * Rejected: the event log, which names the request that created an object but consolidates events and
 * shows them late; a marker in the text, which would change what users wrote.
 *
 * Ownership: a fate owns its parsed parameters, its cursor and its list of candidates, and holds a
 * reference on the client.
 */
#include "clo_int.h"

#include <string.h>

#define MINUTE_US INT64_C(60000000)
#define SKEW_US (5 * MINUTE_US)
#define DAY_US (24 * 60 * MINUTE_US)
/* Bytes that two texts must share to be called nearly equal when one is cut. */
#define NEAR_PREFIX 24
#define MAX_CANDIDATES 64

enum {                   /* fate_rule.flags */
       RECENT_LEADS = 1, /* ask for leads created lately instead of by a parameter */
       RICH = 2,         /* texts are wrapped in HTML by the service */
       GONE = 4          /* done when the object named by the parameter no longer exists */
};

/* Where the effect of a tool shows. */
typedef struct fate_rule {
    const char *tool;
    const char *table;
    const char *by;         /* parameter that is also the column to ask by; NULL: the whole table */
    const char *compare[5]; /* parameters that come back in columns of the same name */
    unsigned flags;
} fate_rule;

static const fate_rule rules[] = {
    {"close_call_create", "close_calls", "lead_id", {"note", "duration", "direction"}, 0},
    {"close_comment_create", "close_comments", "object_id", {"body"}, RICH},
    {"close_contact_create", "close_contacts", "lead_id", {"name", "title"}, 0},
    {"close_custom_field_contact_create", "close_custom_fields_contact", NULL, {"name"}, 0},
    {"close_custom_field_lead_create", "close_custom_fields_lead", NULL, {"name"}, 0},
    {"close_custom_field_opportunity_create", "close_custom_fields_opportunity", NULL, {"name"}, 0},
    {"close_email_create", "close_emails", "lead_id", {"subject", "body_text"}, 0},
    {"close_lead_create", "close_leads", NULL, {"name", "description", "status_id"}, RECENT_LEADS},
    {"close_lead_merge", "close_leads", "source", {NULL}, GONE},
    {"close_note_create", "close_notes", "lead_id", {"note"}, 0},
    {"close_opportunity_create",
     "close_opportunities",
     "lead_id",
     {"status_id", "value", "note", "confidence"},
     0},
    {"close_pipeline_create", "close_pipelines", NULL, {"name"}, 0},
    {"close_sequence_create", "close_sequences", NULL, {"name"}, 0},
    {"close_smart_view_create", "close_smart_views", NULL, {"name"}, 0},
    {"close_sms_create", "close_sms", "lead_id", {"text"}, 0},
    {"close_task_create", "close_tasks", "lead_id", {"text", "assigned_to"}, 0},
    {"close_webhook_create", "close_webhooks", NULL, {"url"}, 0},
};

typedef struct candidate {
    char *id;
    bool near;    /* only nearly equal */
    bool old;     /* older than the call */
    bool dropped; /* the effect of another row */
} candidate;

struct clo_fate {
    clo_client *client;
    const fate_rule *rule; /* NULL unless means is ASK */
    clo_fate_means means;
    clo_json *params;
    int64_t sent_us;
    clo_cursor *cur;
    clo_call *get; /* GONE: asks for the object itself */
    candidate *found;
    size_t n_found, cap;
    bool crowded; /* more candidates than anybody could tell apart */
    bool exists;  /* GONE: the object is still there */
};

/* ---- means ---------------------------------------------------------------------------------- */

static const fate_rule *
rule_of(const char *tool)
{
    for (size_t i = 0; i < CLO_ARRAY_LEN(rules); i++)
        if (strcmp(rules[i].tool, tool) == 0)
            return &rules[i];
    return NULL;
}

/* Whether people get a message from it. What cannot be read counts as one. */
static bool
reaches_people(const clo_tool *tool, const clo_json *params)
{
    const clo_json *j = clo_json_get(params, "status");
    const char *status = clo_json_str(j, NULL);

    if (!(tool->flags & CLO_TOOL_MESSAGES) || clo_json_type(j) == CLO_J_NULL)
        return false;
    return status == NULL || strcmp(status, "outbox") == 0 || strcmp(status, "scheduled") == 0;
}

static clo_fate_means
means_of(const char *name, const clo_json *params)
{
    const clo_tool *tool = clo_tool_find(name);
    const fate_rule *rule = rule_of(name);

    if (tool == NULL || clo_json_type(params) != CLO_J_OBJECT || reaches_people(tool, params))
        return CLO_FATE_NONE;
    if (rule != NULL && rule->by != NULL &&
        clo_json_str(clo_json_get(params, rule->by), NULL) == NULL)
        return CLO_FATE_NONE; /* nothing to ask by */
    if (rule != NULL)
        return CLO_FATE_ASK;
    /* An email or SMS that is only rewritten has absolute values too. */
    if ((tool->flags & CLO_TOOL_IDEMPOTENT) ||
        ((tool->flags & CLO_TOOL_MESSAGES) && tool->kind == CLO_UPDATE))
        return CLO_FATE_REPEAT;
    return CLO_FATE_NONE;
}

clo_fate_means
clo_fate_means_of(const char *tool, const char *params, size_t len)
{
    clo_err ignored;
    clo_json *j;
    clo_fate_means means;

    clo_err_clear(&ignored);
    j = clo_json_parse(params, len, "params", &ignored);
    means = means_of(tool, j);
    clo_json_free(j);
    return means;
}

/* ---- texts ---------------------------------------------------------------------------------- */

static bool
is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void
trim(const char **s, size_t *n)
{
    while (*n > 0 && is_blank((*s)[*n - 1]))
        --*n;
    while (*n > 0 && is_blank(**s)) {
        ++*s;
        --*n;
    }
}

/* Length of the HTML tag at s, 0 if there is none. */
static size_t
tag_at(const char *s, size_t n)
{
    const char *end;

    if (n < 3 || s[0] != '<' || !(s[1] == '/' || ((s[1] | 0x20) >= 'a' && (s[1] | 0x20) <= 'z')))
        return 0;
    end = memchr(s, '>', n);
    return end != NULL ? (size_t)(end - s) + 1 : 0;
}

/* The next byte that counts, -1 at the end. Loose: letters, digits and what is not ASCII, in lower case. */
static int
next_byte(const char *s, size_t n, size_t *at, bool skip_tags, bool loose)
{
    while (*at < n) {
        size_t tag = skip_tags ? tag_at(s + *at, n - *at) : 0;
        unsigned char c = (unsigned char)s[*at];

        if (tag > 0) {
            *at += tag;
            continue;
        }
        ++*at;
        if (c == '\r') /* line ends differ between systems */
            continue;
        if (!loose || c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'))
            return c;
        if (c >= 'A' && c <= 'Z')
            return c | 0x20;
    }
    return -1;
}

/* Counts the equal bytes before the first difference; *ended: that one text, or both, ended there. */
static size_t
common(const char *a, size_t n, const char *b, size_t m, bool skip_tags, bool loose,
       bool *one_ended, bool *both_ended)
{
    size_t i = 0, k = 0, same = 0;

    for (;;) {
        int x = next_byte(a, n, &i, skip_tags, loose);
        int y = next_byte(b, m, &k, skip_tags, loose);

        *one_ended = x < 0 || y < 0;
        *both_ended = x < 0 && y < 0;
        if (x != y || x < 0)
            return same;
        same++;
    }
}

int
clo_fate_alike(const char *sent, size_t n, const char *found, size_t m, bool rich)
{
    bool one, both;
    size_t same;

    trim(&sent, &n);
    trim(&found, &m);
    (void)common(sent, n, found, m, rich, false, &one, &both);
    if (both)
        return 2;
    same = common(sent, n, found, m, true, true, &one, &both);
    return both || (one && same >= NEAR_PREFIX) ? 1 : 0;
}

/* ---- comparing ------------------------------------------------------------------------------ */

/* 2 equal, 1 nearly, 0 not; -1: the parameter says nothing. */
static int
compare_one(const clo_json *sent, const clo_value *found, bool rich)
{
    const char *s;
    size_t n = 0;

    switch (clo_json_type(sent)) {
    case CLO_J_STRING:
        s = clo_json_str(sent, &n);
        return clo_fate_alike(s, n, found->text != NULL ? found->text : "",
                              found->text != NULL ? found->len : 0, rich);
    case CLO_J_INT:
        if (found->type == CLO_T_REAL)
            return (double)clo_json_int(sent) >= found->u.r &&
                           (double)clo_json_int(sent) <= found->u.r
                       ? 2
                       : 0;
        return found->type == CLO_T_INT && found->u.i == clo_json_int(sent) ? 2 : 0;
    case CLO_J_BOOL:
        return found->type == CLO_T_BOOL && found->u.b == clo_json_bool(sent) ? 2 : 0;
    default:
        return -1;
    }
}

static int
compare_row(const clo_fate *f, const clo_table *t, const clo_value *row)
{
    int result = -1;

    for (size_t i = 0; i < CLO_ARRAY_LEN(f->rule->compare) && f->rule->compare[i] != NULL; i++) {
        const char *name = f->rule->compare[i];
        int one = compare_one(clo_json_get(f->params, name), &row[clo_table_column(t, name)],
                              (f->rule->flags & RICH) != 0);

        if (one >= 0 && (result < 0 || one < result))
            result = one;
    }
    return result < 0 ? 1 : result; /* nothing to compare: it may be this one */
}

static int
time_column(const clo_table *t)
{
    int c = clo_table_column(t, "date_created");

    return c >= 0 ? c : clo_table_column(t, "created_at");
}

static clo_status
look_at(clo_fate *f, const clo_value *row, clo_err *err)
{
    const clo_table *t = clo_table_find(f->rule->table);
    const clo_value *created = &row[time_column(t)], *id = &row[clo_table_column(t, "id")];
    int alike = compare_row(f, t, row);
    bool timed = created->type == CLO_T_TIME;
    bool old = timed && created->u.i < f->sent_us - SKEW_US;
    candidate *c;

    if (alike == 0 || (old && (alike < 2 || created->u.i < f->sent_us - DAY_US)))
        return CLO_OK;
    if (f->n_found >= MAX_CANDIDATES) {
        f->crowded = true;
        return CLO_OK;
    }
    c = clo_grow(f->found, &f->cap, f->n_found + 1, sizeof *c);
    if (c == NULL)
        return clo_err_nomem(err);
    f->found = c;
    c += f->n_found;
    memset(c, 0, sizeof *c);
    c->id = clo_strndup(id->text != NULL ? id->text : "", id->text != NULL ? id->len : 0);
    if (c->id == NULL)
        return clo_err_nomem(err);
    c->near = alike < 2;
    c->old = old;
    f->n_found++;
    return CLO_OK;
}

/* ---- asking --------------------------------------------------------------------------------- */

/* Leads created since a day before the call. The search language knows minutes. */
static void
recent_leads(int64_t sent_us, char *out, size_t cap)
{
    static const char head[] = "date_created >= \"";
    char day[32];
    size_t n = sizeof head - 1;

    clo_time_format(sent_us - DAY_US, day);
    clo_text_cut(out, cap, head, n);
    clo_text_cut(out + n, cap - n, day, 16);
    n += strlen(out + n);
    clo_text_cut(out + n, cap - n, "\"", 1);
}

/* The column to ask by; NULL: the whole table. *value is borrowed from the fate or from `room`. */
static const char *
condition(const clo_fate *f, const char **value, char room[80])
{
    *value = NULL;
    if (f->rule->flags & RECENT_LEADS) {
        recent_leads(f->sent_us, room, 80);
        *value = room;
        return "query";
    }
    if (f->rule->by == NULL)
        return NULL;
    *value = clo_json_str(clo_json_get(f->params, f->rule->by), NULL);
    return f->rule->by;
}

static clo_status
open_list(clo_fate *f, clo_err *err)
{
    const clo_table *t = clo_table_find(f->rule->table);
    clo_qual qual = {.op = CLO_OP_EQ, .usable = true};
    clo_question q = {.table = t, .quals = &qual};
    char room[80];
    const char *text, *column = condition(f, &text, room);
    clo_value value = clo_null();
    clo_bind bind = {&value, 1};
    clo_plan plan;
    clo_status st;

    if (column != NULL) {
        value = clo_text(text, strlen(text));
        qual.column = clo_table_column(t, column);
        q.n_quals = 1;
    }
    clo_colset_add(&q.needed, clo_table_column(t, "id"));
    clo_colset_add(&q.needed, time_column(t));
    for (size_t i = 0; i < CLO_ARRAY_LEN(f->rule->compare) && f->rule->compare[i] != NULL; i++)
        clo_colset_add(&q.needed, clo_table_column(t, f->rule->compare[i]));
    st = clo_plan_make(f->client, &q, &plan, err);
    if (st == CLO_OK && plan.n_slots != (int)q.n_quals)
        st = clo_err_set(err, CLO_E_BUG, "%s: cannot be asked by %s", t->name,
                         column != NULL ? column : "nothing");
    if (st != CLO_OK)
        return CLO_ERROR;
    clo_cache_clear(f->client->cache); /* an older answer cannot know */
    f->cur = clo_cursor_open(f->client, &plan, &bind, -1, 0, err);
    return f->cur != NULL ? CLO_OK : CLO_ERROR;
}

/* The object itself, past everything that remembers rows. */
static clo_status
open_get(clo_fate *f, clo_err *err)
{
    const clo_table *t = clo_table_find(f->rule->table);
    size_t n = 0;
    const char *id = clo_json_str(clo_json_get(f->params, f->rule->by), &n);
    clo_json *params = clo_json_object();
    clo_request *req;

    if (params == NULL || !clo_json_put_str(params, t->get_param, id, n)) {
        clo_json_free(params);
        return clo_err_nomem(err);
    }
    req = clo_request_read(t->get, params, err);
    f->get = req != NULL ? clo_call_new(f->client, req, err) : NULL;
    return f->get != NULL ? CLO_OK : CLO_ERROR;
}

clo_fate *
clo_fate_new(clo_client *client, const char *tool, const char *params, size_t len, int64_t sent_us,
             clo_err *err)
{
    clo_fate *f;

    clo_err_clear(err);
    f = clo_calloc(1, sizeof *f);
    if (f == NULL) {
        clo_err_nomem(err);
        return NULL;
    }
    f->client = clo_client_ref(client);
    f->sent_us = sent_us;
    f->params = clo_json_parse(params, len, "params", err);
    if (f->params == NULL && err->code == CLO_E_NOMEM) {
        clo_fate_free(f);
        return NULL;
    }
    clo_err_clear(err); /* unreadable parameters have no means, and are never sent either */
    f->means = means_of(tool, f->params);
    if (f->means == CLO_FATE_ASK) {
        f->rule = rule_of(tool);
        if ((f->rule->flags & GONE ? open_get(f, err) : open_list(f, err)) != CLO_OK) {
            clo_fate_free(f);
            return NULL;
        }
    }
    return f;
}

static clo_status
step_get(clo_fate *f, int wait_ms, clo_err *err)
{
    clo_status st = clo_call_step(f->get, wait_ms, err);

    if (st == CLO_AGAIN)
        return st;
    f->exists = st == CLO_DONE;
    if (st == CLO_ERROR && !(err->code == CLO_E_NOTFOUND && err->provider))
        return st;
    clo_err_clear(err);
    clo_call_free(f->get);
    f->get = NULL;
    return CLO_DONE;
}

clo_status
clo_fate_step(clo_fate *f, int wait_ms, clo_err *err)
{
    clo_status st;

    clo_err_clear(err);
    if (f->get != NULL)
        return step_get(f, wait_ms, err);
    while (f->cur != NULL) {
        st = clo_cursor_step(f->cur, wait_ms, err);
        if (st == CLO_AGAIN || st == CLO_ERROR)
            return st;
        if (st == CLO_DONE) {
            clo_cursor_free(f->cur);
            f->cur = NULL;
        } else if (look_at(f, clo_cursor_row(f->cur), err) != CLO_OK) {
            return CLO_ERROR;
        }
    }
    return CLO_DONE;
}

const char *
clo_fate_candidate(const clo_fate *f, size_t i)
{
    return i < f->n_found ? f->found[i].id : NULL;
}

void
clo_fate_drop(clo_fate *f, size_t i)
{
    f->found[i].dropped = true;
}

/* ---- judging -------------------------------------------------------------------------------- */

static clo_fate_verdict
unknown(clo_err *err, const char *why)
{
    clo_err_clear(err);
    clo_err_set(err, CLO_E_UNCERTAIN, "the call was sent and not answered, and %s", why);
    err->uncertain = true;
    err->hint = "look in Close, then close_outbox_retry(id) or close_outbox_cancel(id)";
    return CLO_FATE_UNKNOWN;
}

static clo_fate_verdict
absent(const clo_fate *f, clo_err *err)
{
    if (clo_wall_us() - f->sent_us > DAY_US)
        return unknown(err, "too long ago to tell whether it was carried out");
    return CLO_FATE_ABSENT;
}

clo_fate_verdict
clo_fate_judge(const clo_fate *f, const char **id, clo_err *err)
{
    size_t exact = 0, doubtful = 0;

    *id = NULL;
    clo_err_clear(err);
    if (f->means == CLO_FATE_NONE)
        return unknown(err, "there is no way to look up whether it was carried out");
    if (f->means == CLO_FATE_REPEAT)
        return absent(f, err);
    if (f->rule->flags & GONE)
        return f->exists ? absent(f, err) : CLO_FATE_FOUND;
    for (size_t i = 0; i < f->n_found; i++) {
        const candidate *c = &f->found[i];

        if (c->dropped)
            continue;
        if (c->near || c->old) {
            doubtful++;
        } else {
            exact++;
            *id = c->id;
        }
    }
    if (exact == 1 && !f->crowded)
        return CLO_FATE_FOUND;
    *id = NULL;
    if (exact > 1 || f->crowded)
        return unknown(err, "several objects look like its effect");
    if (doubtful > 0)
        return unknown(err, "an object that is not quite the same may be its effect");
    return absent(f, err);
}

void
clo_fate_free(clo_fate *f)
{
    if (f == NULL)
        return;
    clo_cursor_free(f->cur);
    clo_call_free(f->get);
    for (size_t i = 0; i < f->n_found; i++)
        clo_free(f->found[i].id);
    clo_free(f->found);
    clo_json_free(f->params);
    clo_client_unref(f->client);
    clo_free(f);
}
