/*
 * outbox.c - the rules of the outbox: what may go in, and what happens after each attempt.
 *
 * The outbox is a table of the host. A row is a call that joins the user's transaction and is sent
 * after it. The life of a row:
 *
 *      pending --claim--> sending --answer--> done | failed
 *         ^                 |  |
 *         |   nothing done  |  +-- no answer, or the worker died: once the lease and a settling
 *         +-----------------+      time are over, fate.c asks the service
 *                                      found: done    absent: pending    no telling: uncertain
 *
 * This file holds the rules; job.c takes one claimed row through them, and keeps what must hold
 * on the way (nothing leaves before "sending" is durable, nothing is sent again before its fate was
 * asked for).
 *
 * What an error means for the row. Errors of the content (ARG, REJECTED, CONFLICT, NOTFOUND,
 * FORBIDDEN) stay errors: failed. Errors where nothing was done wait and try again, with a pause that
 * doubles up to an hour: the default of 20 attempts spans more than half a day. Errors of the
 * settings or the account (CONFIG, AUTH) are no fault of the row: it keeps its attempts, and draining
 * stops, because every other row would meet the same. It stops without a report when the service cannot
 * be reached, or goes on asking to slow down (RATE); the latter costs no attempt either, and when to
 * try again is known to the limiter, where the next drain waits.
 *
 * A delete that finds nothing on a second attempt is done. On a first one it failed: the id is wrong.
 * A merge that is refused on a second attempt may be the first one's doing: uncertain.
 *
 * Rejected: counting an unreachable service against the row (a night without network would empty
 * the outbox into "failed"); sending again at once after an unknown outcome of a create.
 */
#include "scan.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_PAUSE_MS 2000
#define LAST_PAUSE_MS (60 * 60 * 1000)
#define LOOK_AGAIN_MIN_MS 1000
#define LOOK_AGAIN_MAX_MS (10 * 60 * 1000)
#define DAY_MS (24 * 60 * 60 * 1000)
#define SEND_ROOM_MS 250 /* from the check to the first byte */
#define LEASE_MIN_MS 1000
#define KEY_MAX 1000

static const char *const box_names[] = {
    [CLO_BOX_PENDING] = "pending",     [CLO_BOX_SENDING] = "sending",
    [CLO_BOX_DONE] = "done",           [CLO_BOX_FAILED] = "failed",
    [CLO_BOX_UNCERTAIN] = "uncertain", [CLO_BOX_CANCELLED] = "cancelled",
};

const char *
clo_box_name(clo_box state)
{
    return box_names[state];
}

/* ---- what goes in --------------------------------------------------------------------------- */

/* A misspelt name would wait in the table for an error that can be given now. A name that is like no
 * other may belong to a newer tool. */
static clo_status
check_name(const char *tool, clo_err *err)
{
    const char *near;

    if (tool == NULL)
        return clo_err_set(err, CLO_E_ARG, "the tool is NULL");
    near = clo_tool_find(tool) == NULL ? clo_tool_suggest(tool) : NULL;
    if (near != NULL && clo_name_distance(tool, near) <= 2)
        return clo_err_set(err, CLO_E_ARG, "there is no tool %.64s; did you mean %s?", tool, near);
    return CLO_OK;
}

/* A text at *at, past its quotes: without \\u, and *raw when it has no escape at all. */
static bool
plain_text(const char **at, const char *end, const char **text, size_t *len, bool *raw)
{
    const char *p = *at;

    if (p == end || *p++ != '"')
        return false;
    *text = p;
    *raw = true;
    for (; p < end && *p != '"'; p++) {
        if ((unsigned char)*p < ' ')
            return false;
        if (*p != '\\')
            continue;
        *raw = false;
        p++;
        if (p == end || *p == '\0' || strchr("\"\\/bfnrt", *p) == NULL)
            return false;
    }
    *len = (size_t)(p - *text);
    *at = p + 1;
    return p < end;
}

static bool
plain_char(const char **at, const char *end, char c)
{
    while (*at < end && **at == ' ')
        ++*at;
    if (*at == end || **at != c)
        return false;
    ++*at;
    while (*at < end && **at == ' ')
        ++*at;
    return true;
}

static int
plain_param(const clo_tool *tool, const char *name, size_t len)
{
    for (size_t i = 0; i < tool->n_params; i++) {
        const clo_param *p = &tool->params[i];

        if (strncmp(p->name, name, len) == 0 && p->name[len] == '\0')
            return p->type == CLO_T_TEXT && !(p->flags & ~(unsigned)CLO_P_REQUIRED) ? (int)i : -1;
    }
    return -1;
}

/* The call of most triggers: an object of nothing but texts for parameters that take any text. It is
 * checked in one pass, without a document, which is most of what enqueuing would cost otherwise. False
 * means no more than that the long way has to look at it, and to say what is wrong. */
static bool
plain_call(const clo_client *client, const clo_tool *tool, const char *params, size_t len,
           const char **lead, size_t *lead_len)
{
    const char *at = params, *end = params + len, *name, *text;
    uint64_t given = 0, required = 0;
    size_t n, m;
    bool raw;

    if (tool == NULL || tool->n_params > 64 || !(tool->flags & CLO_TOOL_WRITES) ||
        (tool->flags & (CLO_TOOL_MESSAGES | CLO_TOOL_DESTRUCTIVE)) ||
        clo_config_int(&client->config, CLO_OPT_READONLY))
        return false;
    for (size_t i = 0; i < tool->n_params; i++)
        required |= (uint64_t)((tool->params[i].flags & CLO_P_REQUIRED) != 0) << i;
    if (!plain_char(&at, end, '{'))
        return false;
    do {
        int i;

        if (!plain_text(&at, end, &name, &n, &raw) || !raw ||
            (i = plain_param(tool, name, n)) < 0 || (given >> i & 1) != 0 ||
            !plain_char(&at, end, ':') || !plain_text(&at, end, &text, &m, &raw))
            return false;
        given |= UINT64_C(1) << i;
        if (strcmp(tool->params[i].name, "lead_id") == 0) {
            if (!raw)
                return false;
            *lead = text;
            *lead_len = m;
        }
    } while (plain_char(&at, end, ','));
    return plain_char(&at, end, '}') && at == end && (required & ~given) == 0 &&
           clo_utf8_ok(params, len);
}

clo_status
clo_outbox_check(const clo_client *client, const char *tool, const char *params, size_t len,
                 char **key, clo_err *err)
{
    clo_request *req;
    const char *lead = NULL;
    size_t n = 0;
    clo_status st = CLO_OK;

    clo_err_clear(err);
    if (key != NULL)
        *key = NULL;
    if (params != NULL && plain_call(client, clo_tool_find(tool), params, len, &lead, &n)) {
        if (key != NULL && lead != NULL && (*key = clo_strndup(lead, n)) == NULL)
            return clo_err_nomem(err);
        return CLO_OK;
    }
    if (check_name(tool, err) != CLO_OK)
        return CLO_ERROR;
    req = clo_request_execute(tool, params, len, err);
    if (req == NULL)
        return CLO_ERROR;
    if (!req->writes)
        st = clo_err_set(err, CLO_E_ARG,
                         "%s: this tool only reads, so there is nothing to send later", tool);
    else
        st = clo_request_allowed(req, &client->config, err);
    lead = clo_json_str(clo_json_get(req->params, "lead_id"), NULL);
    if (st == CLO_OK && key != NULL && lead != NULL) {
        *key = clo_strdup(lead);
        if (*key == NULL)
            st = clo_err_nomem(err);
    }
    clo_request_free(req);
    return st;
}

/* A text option; *out stays NULL when it is absent, and is "" for null when that has a meaning. */
static clo_status
text_option(const clo_json *j, const char *name, bool null_counts, char **out, clo_err *err)
{
    size_t n = 0;
    const char *s = clo_json_str(j, &n);

    if (clo_json_type(j) == CLO_J_NULL && !null_counts)
        return CLO_OK;
    if (clo_json_type(j) == CLO_J_NULL) {
        s = "";
    } else if (s == NULL || n == 0 || n > KEY_MAX || !clo_utf8_ok(s, n)) {
        return clo_err_set(err, CLO_E_ARG,
                           "close_enqueue: option %s must be a text of 1 to %d bytes", name,
                           KEY_MAX);
    }
    *out = clo_strndup(s, n);
    return *out != NULL ? CLO_OK : clo_err_nomem(err);
}

static clo_status
time_option(const clo_json *j, char out[32], clo_err *err)
{
    size_t n = 0;
    const char *s = clo_json_str(j, &n);
    int64_t us;

    if (clo_json_type(j) == CLO_J_NULL)
        return CLO_OK;
    if (s == NULL || !clo_time_parse(s, n, &us))
        return clo_err_set(err, CLO_E_ARG,
                           "close_enqueue: option not_before must be a time such as "
                           "2026-01-31T08:00:00Z");
    clo_time_format(us, out);
    return CLO_OK;
}

static clo_status
read_option(const char *name, const clo_json *value, clo_outbox_options *out, clo_err *err)
{
    if (strcmp(name, "not_before") == 0)
        return time_option(value, out->not_before, err);
    if (strcmp(name, "ordering_key") == 0)
        return text_option(value, name, true, &out->ordering_key, err);
    if (strcmp(name, "reference") == 0)
        return text_option(value, name, false, &out->reference, err);
    return clo_err_set(err, CLO_E_ARG,
                       "close_enqueue: unknown option %.64s; there are not_before, ordering_key "
                       "and reference",
                       name);
}

clo_status
clo_outbox_options_read(const char *json, size_t len, clo_outbox_options *out, clo_err *err)
{
    clo_err inner;
    clo_json *doc;
    clo_json_iter it;
    clo_status st = CLO_OK;

    memset(out, 0, sizeof *out);
    clo_err_clear(err);
    clo_err_clear(&inner);
    if (json == NULL)
        return CLO_OK;
    doc = clo_json_parse(json, len, "the options", &inner);
    if (doc == NULL && inner.code == CLO_E_NOMEM)
        return clo_err_nomem(err);
    if (clo_json_type(doc) != CLO_J_OBJECT) {
        clo_json_free(doc);
        return clo_err_set(err, CLO_E_ARG, "close_enqueue: the options must be a JSON object");
    }
    clo_json_iter_init(&it, doc);
    while (st == CLO_OK && clo_json_iter_next(&it))
        st = read_option(it.key, it.value, out, err);
    clo_json_free(doc);
    return st;
}

void
clo_outbox_options_free(clo_outbox_options *o)
{
    clo_free(o->ordering_key);
    clo_free(o->reference);
    memset(o, 0, sizeof *o);
}

/* ---- time ----------------------------------------------------------------------------------- */

clo_status
clo_outbox_ready(const clo_client *client, clo_err *err)
{
    clo_err_clear(err);
    if (clo_config_int(&client->config, CLO_OPT_READONLY)) {
        clo_err_set(err, CLO_E_FORBIDDEN, "this connection is read-only");
        err->hint = "the setting readonly is on";
        return CLO_ERROR;
    }
    /* Answers are shared within a statement; a look-up must not be served an older one. */
    if (client->open_cursors > 0)
        return clo_err_set(
            err, CLO_E_CONFIG,
            "it cannot run while a statement of this connection reads a table of Close");
    return clo_config_ready(&client->config, err);
}

int64_t
clo_outbox_now_us(void)
{
    return clo_wall_us();
}

void
clo_outbox_time(int64_t offset_ms, char out[32])
{
    clo_time_format(clo_wall_us() + offset_ms * 1000, out);
}

void
clo_outbox_time_text(int64_t us, char out[32])
{
    clo_time_format(us, out);
}

bool
clo_outbox_time_us(const char *text, int64_t *us)
{
    return text != NULL && clo_time_parse(text, strlen(text), us);
}

/* Room for fetching a token and for waiting out a rate limit, which a short settling time makes shorter:
 * who wants quick answers about crashed workers gets them. */
int64_t
clo_outbox_lease_ms(const clo_client *client)
{
    int64_t room = clo_config_int(&client->config, CLO_OPT_OUTBOX_SETTLE_MS);

    if (room > CLO_OUTBOX_LEASE_MS)
        room = CLO_OUTBOX_LEASE_MS;
    if (room < LEASE_MIN_MS)
        room = LEASE_MIN_MS;
    return clo_config_int(&client->config, CLO_OPT_TIMEOUT_MS) + SEND_ROOM_MS + room;
}

bool
clo_outbox_may_send(const clo_client *client, int64_t lease_us, int64_t now_us)
{
    int64_t need_ms = clo_config_int(&client->config, CLO_OPT_TIMEOUT_MS) + SEND_ROOM_MS;

    return now_us + need_ms * 1000 <= lease_us;
}

struct clo_keys {
    clo_idset taken;
};

clo_keys *
clo_keys_new(clo_err *err)
{
    clo_keys *keys = clo_calloc(1, sizeof *keys);

    clo_err_clear(err);
    if (keys == NULL)
        (void)clo_err_nomem(err);
    return keys;
}

void
clo_keys_free(clo_keys *keys)
{
    if (keys == NULL)
        return;
    clo_idset_free(&keys->taken);
    clo_free(keys);
}

clo_status
clo_keys_take(clo_keys *keys, const char *key, size_t len, clo_err *err)
{
    clo_err_clear(err);
    if (len == 0)
        return CLO_OK;
    switch (clo_idset_add(&keys->taken, key, len)) {
    case CLO_IDSET_NEW:
        return CLO_OK;
    case CLO_IDSET_OLD:
        return CLO_AGAIN;
    case CLO_IDSET_NOMEM:
        break;
    }
    return clo_err_nomem(err);
}

int64_t
clo_outbox_delay(int attempts, int retry_after_ms, uint64_t seed)
{
    int64_t pause = FIRST_PAUSE_MS;
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (int i = 1; i < attempts && pause < LAST_PAUSE_MS; i++)
        pause *= 2;
    if (pause > LAST_PAUSE_MS)
        pause = LAST_PAUSE_MS;
    x ^= x >> 31;
    pause = pause / 2 + (int64_t)(x % (uint64_t)(pause / 2 + 1));
    return pause > retry_after_ms ? pause : retry_after_ms;
}

/* ---- what happens next ---------------------------------------------------------------------- */

static bool
unknown_tool(const clo_err *err)
{
    return err->code == CLO_E_CONFIG && strstr(err->msg, "no such tool") != NULL;
}

/* The attempt may have been carried out. */
static void
after_uncertain(const clo_client *client, clo_fate_means means, int attempts, int64_t pause,
                clo_outbox_next *out)
{
    bool last = attempts >= clo_config_int(&client->config, CLO_OPT_OUTBOX_ATTEMPTS);

    if (means == CLO_FATE_ASK) {
        out->state = CLO_BOX_SENDING;
        out->wait_ms = clo_config_int(&client->config, CLO_OPT_OUTBOX_SETTLE_MS);
    } else if (means == CLO_FATE_REPEAT && !last) {
        out->state = CLO_BOX_PENDING;
        out->wait_ms = pause;
    } else {
        out->state = CLO_BOX_UNCERTAIN;
    }
}

/* Nothing was done, and a later attempt may go better. */
static void
after_nothing(const clo_client *client, const clo_err *err, int attempts, int64_t pause,
              clo_outbox_next *out)
{
    out->report = err->code == CLO_E_CONFIG || err->code == CLO_E_AUTH ||
                  err->code == CLO_E_STOPPED || err->code == CLO_E_NOMEM;
    out->uncounted = out->report || err->code == CLO_E_RATE;
    out->stop = true;
    out->state = CLO_BOX_PENDING;
    /* Due at once, or rows after it in its order, which wait for retried and due ones, would pass. */
    out->wait_ms = out->uncounted ? 0 : pause;
    if (!out->uncounted && attempts >= clo_config_int(&client->config, CLO_OPT_OUTBOX_ATTEMPTS))
        out->state = CLO_BOX_FAILED;
}

void
clo_outbox_after_call(const clo_client *client, const char *tool, const char *params, size_t len,
                      const clo_err *err, int attempts, int64_t now_us, clo_outbox_next *out)
{
    const clo_tool *t = clo_tool_find(tool);
    int64_t pause = clo_outbox_delay(attempts, err->retry_after_ms, (uint64_t)now_us);

    memset(out, 0, sizeof *out);
    out->state = CLO_BOX_FAILED;
    if (err->uncertain || err->code == CLO_E_UNCERTAIN) {
        after_uncertain(client, clo_fate_means_of(tool, params, len), attempts, pause, out);
        return;
    }
    switch (err->code) {
    case CLO_E_NOTFOUND:
    case CLO_E_REJECTED:
    case CLO_E_CONFLICT:
        if (attempts > 1 && strcmp(tool, "close_lead_merge") == 0)
            out->state = CLO_BOX_UNCERTAIN;
        else if (attempts > 1 && err->code == CLO_E_NOTFOUND && t != NULL && t->kind == CLO_DELETE)
            out->state = CLO_BOX_DONE;
        break;
    case CLO_E_CONFIG:
        if (!unknown_tool(err))
            after_nothing(client, err, attempts, pause, out);
        break;
    case CLO_E_AUTH:
    case CLO_E_RATE:
    case CLO_E_REMOTE:
    case CLO_E_NET:
    case CLO_E_TIMEOUT:
    case CLO_E_PROTO:
    case CLO_E_NOMEM:
    case CLO_E_STOPPED:
        after_nothing(client, err, attempts, pause, out);
        break;
    default: /* ARG, FORBIDDEN, LIMIT, BUG */
        break;
    }
}

/* Without a count of look-ups in the table the pause grows with the age of the question. */
void
clo_outbox_after_fate(const clo_err *err, int64_t sent_us, int64_t now_us, clo_outbox_next *out)
{
    int64_t age = (now_us - sent_us) / 1000;

    memset(out, 0, sizeof *out);
    out->state = CLO_BOX_SENDING;
    out->wait_ms = age / 2 < LOOK_AGAIN_MIN_MS ? LOOK_AGAIN_MIN_MS : age / 2;
    if (out->wait_ms > LOOK_AGAIN_MAX_MS)
        out->wait_ms = LOOK_AGAIN_MAX_MS;
    if (out->wait_ms < err->retry_after_ms)
        out->wait_ms = err->retry_after_ms;
    switch (err->code) {
    case CLO_E_CONFIG:
    case CLO_E_AUTH:
    case CLO_E_NOMEM:
    case CLO_E_STOPPED:
        out->stop = out->report = true;
        break;
    case CLO_E_RATE:
    case CLO_E_REMOTE:
    case CLO_E_NET:
    case CLO_E_TIMEOUT:
    case CLO_E_PROTO:
        out->stop = true;
        if (age > DAY_MS)
            out->state = CLO_BOX_UNCERTAIN;
        break;
    default: /* the list itself is refused: asking again does not help */
        out->state = CLO_BOX_UNCERTAIN;
        break;
    }
}

void
clo_outbox_after_absent(const clo_client *client, int attempts, clo_outbox_next *out)
{
    bool last = attempts >= clo_config_int(&client->config, CLO_OPT_OUTBOX_ATTEMPTS);

    memset(out, 0, sizeof *out);
    out->state = last ? CLO_BOX_FAILED : CLO_BOX_PENDING;
}

/* ---- looking at a finished call ------------------------------------------------------------- */

const char *
clo_outbox_execution_id(const clo_call *call)
{
    return call->log.request_id;
}

const char *
clo_outbox_object_id(const clo_call *call)
{
    return call->req->creates ? clo_json_str(clo_json_get(clo_call_data(call), "id"), NULL) : NULL;
}

#ifdef CLO_DEBUG
void
clo_test_crash(const char *label)
{
    const char *wanted = secure_getenv("CLO_TEST_CRASH");

    if (wanted != NULL && strcmp(wanted, label) == 0)
        (void)kill(getpid(), SIGKILL);
}
#endif
