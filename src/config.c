/*
 * config.c - every setting: name, type, range, default, secrecy, who may set it, and what it
 * means.
 *
 * One table drives parsing, validation, close_config(), the PostgreSQL validator and the
 * documentation. Its order is that of enum clo_opt.
 *
 * Layers. A value may come from the environment, a foreign server, a user mapping, the session or
 * the host itself (a lock). Each origin has its own layer and the highest one that says something
 * wins, so taking a session's value back shows the server's again, and the order in which a host
 * reads its catalogues does not matter. What a lock fixes cannot be changed by anybody.
 *
 * Who may set what (flags). Options that decide where credentials go or whose data is seen
 * (CLO_O_IDENTITY) are never GUCs: anything that a role can SET must not redirect another's
 * secrets. readonly, allow_messages and ca_file are for the owner of the server alone, since
 * setting them back would widen rights.
 *
 * Secrets are wiped before they are freed and never appear in a message: errors about a secret
 * name the setting, not the value.
 *
 * Ownership: a clo_config owns its layers; clo_config_text borrows until the next change.
 *
 * Rejected: a struct with one typed field per setting (each would need its own line in five
 * places), and units in values such as "10s" (two hosts and one environment would each have to
 * document them).
 */
#include "clo_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX 4096
#define NAME_MAX_LEN 400 /* of a connection name at Scalekit */
#define MINUTE_MS 60000
#define HOUR_MS (60 * MINUTE_MS)

static const char *const json_params_choices[] = {"text", "native", NULL};

static const clo_option options[] = {
    [CLO_OPT_ENV_URL] =
        {.name = "env_url",
         .kind = CLO_OPT_TEXT,
         .flags = CLO_O_SERVER | CLO_O_IDENTITY,
         .env = "SCALEKIT_ENV_URL",
         .doc = "URL of the Scalekit environment, https://<name>.scalekit.dev or .com; "
                "http only for a loopback host."},
    [CLO_OPT_CLIENT_ID] = {.name = "client_id",
                           .kind = CLO_OPT_TEXT,
                           .flags = CLO_O_MAPPING | CLO_O_IDENTITY,
                           .env = "SCALEKIT_CLIENT_ID",
                           .doc = "Client id of the Scalekit environment."},
    [CLO_OPT_CLIENT_SECRET] = {.name = "client_secret",
                               .kind = CLO_OPT_TEXT,
                               .flags = CLO_O_MAPPING | CLO_O_IDENTITY | CLO_O_SECRET,
                               .env = "SCALEKIT_CLIENT_SECRET",
                               .doc = "Client secret of the Scalekit environment; never shown."},
    [CLO_OPT_CONNECTION] = {.name = "connection",
                            .kind = CLO_OPT_TEXT,
                            .flags = CLO_O_SERVER | CLO_O_IDENTITY,
                            .env = "CLOSE_CONNECTION",
                            .def = "close",
                            .doc =
                                "Name of the Close connection in Scalekit, with its suffix if the "
                                "dashboard gave it one."},
    [CLO_OPT_IDENTIFIER] = {.name = "identifier",
                            .kind = CLO_OPT_TEXT,
                            .flags = CLO_O_MAPPING | CLO_O_IDENTITY,
                            .env = "CLOSE_IDENTIFIER",
                            .doc = "Your identifier of the person whose Close account is used."},
    [CLO_OPT_CA_FILE] = {.name = "ca_file",
                         .kind = CLO_OPT_TEXT,
                         .flags = CLO_O_SERVER,
                         .env = "CLOSE_CA_FILE",
                         .doc = "File of trusted certificate authorities instead of the system's."},
    [CLO_OPT_CONNECT_TIMEOUT_MS] = {.name = "connect_timeout_ms",
                                    .kind = CLO_OPT_INT,
                                    .flags = CLO_O_SERVER | CLO_O_GUC,
                                    .def = "10000",
                                    .min = 1,
                                    .max = 10 * MINUTE_MS,
                                    .unit = "ms",
                                    .doc = "Time limit for name resolution, connection and TLS."},
    [CLO_OPT_TIMEOUT_MS] = {.name = "timeout_ms",
                            .kind = CLO_OPT_INT,
                            .flags = CLO_O_SERVER | CLO_O_GUC,
                            .def = "65000",
                            .min = 1,
                            .max = HOUR_MS,
                            .unit = "ms",
                            .doc = "Time limit for one attempt of one call, answer included."},
    [CLO_OPT_RETRIES] =
        {.name = "retries",
         .kind = CLO_OPT_INT,
         .flags = CLO_O_SERVER | CLO_O_GUC,
         .def = "4",
         .min = 0,
         .max = 20,
         .doc = "How often a failed call is repeated; a write only when nothing was done."},
    [CLO_OPT_RETRY_BUDGET_MS] = {.name = "retry_budget_ms",
                                 .kind = CLO_OPT_INT,
                                 .flags = CLO_O_SERVER | CLO_O_GUC,
                                 .def = "60000",
                                 .min = 0,
                                 .max = HOUR_MS,
                                 .unit = "ms",
                                 .doc =
                                     "No retry of a call begins later than this after its start."},
    [CLO_OPT_CONCURRENCY] = {.name = "concurrency",
                             .kind = CLO_OPT_INT,
                             .flags = CLO_O_SERVER | CLO_O_GUC,
                             .def = "8",
                             .min = 1,
                             .max = 32,
                             .doc = "Calls in flight at the same time."},
    [CLO_OPT_PAGE_SIZE] =
        {.name = "page_size",
         .kind = CLO_OPT_INT,
         .flags = CLO_O_SERVER | CLO_O_GUC,
         .def = "0",
         .min = 0,
         .max = 1000,
         .unit = "rows",
         .doc = "Rows asked for in one call; 0 is the most that the table's list allows."},
    [CLO_OPT_MAX_ROWS] = {.name = "max_rows",
                          .kind = CLO_OPT_INT,
                          .flags = CLO_O_SERVER | CLO_O_GUC,
                          .def = "0",
                          .min = 0,
                          .max = INT64_MAX,
                          .unit = "rows",
                          .doc =
                              "A scan that would bring more rows ends in an error; 0 is no limit."},
    [CLO_OPT_MAX_BYTES] = {.name = "max_bytes",
                           .kind = CLO_OPT_INT,
                           .flags = CLO_O_SERVER | CLO_O_GUC,
                           .def = "67108864",
                           .min = 1024,
                           .max = 1 << 30,
                           .unit = "bytes",
                           .doc = "Largest answer that is accepted, decompressed."},
    [CLO_OPT_CACHE_TTL_MS] =
        {.name = "cache_ttl_ms",
         .kind = CLO_OPT_INT,
         .flags = CLO_O_SERVER | CLO_O_GUC,
         .def = "0",
         .min = 0,
         .max = 24 * HOUR_MS,
         .unit = "ms",
         .doc = "How long answers of reads serve later statements; 0 is not at all."},
    [CLO_OPT_CACHE_BYTES] = {.name = "cache_bytes",
                             .kind = CLO_OPT_INT,
                             .flags = CLO_O_SERVER | CLO_O_GUC,
                             .def = "8388608",
                             .min = 0,
                             .max = 1 << 30,
                             .unit = "bytes",
                             .doc = "Memory for kept answers."},
    [CLO_OPT_READONLY] = {.name = "readonly",
                          .kind = CLO_OPT_BOOL,
                          .flags = CLO_O_SERVER,
                          .def = "off",
                          .doc = "Refuses every call that changes something."},
    [CLO_OPT_ALLOW_MESSAGES] =
        {.name = "allow_messages",
         .kind = CLO_OPT_BOOL,
         .flags = CLO_O_SERVER,
         .def = "off",
         .doc = "Allows emails and SMS with status outbox or scheduled, which are "
                "sent to people."},
    [CLO_OPT_JSON_PARAMS] =
        {.name = "json_params",
         .kind = CLO_OPT_ENUM,
         .flags = CLO_O_SERVER | CLO_O_GUC,
         .def = "text",
         .choices = json_params_choices,
         .doc = "How emails, phones, to and events are sent: as a string of JSON (text, "
                "as documented) or as JSON (native)."},
    [CLO_OPT_LOG_SIZE] = {.name = "log_size",
                          .kind = CLO_OPT_INT,
                          .flags = CLO_O_SERVER | CLO_O_GUC,
                          .def = "100",
                          .min = 0,
                          .max = 10000,
                          .unit = "calls",
                          .doc = "Calls that close_requests remembers."},
    [CLO_OPT_LOG_VALUES] = {.name = "log_values",
                            .kind = CLO_OPT_BOOL,
                            .flags = CLO_O_SERVER | CLO_O_GUC,
                            .def = "off",
                            .doc = "close_requests shows parameter values, not only names."},
    [CLO_OPT_OUTBOX_ATTEMPTS] =
        {.name = "outbox_attempts",
         .kind = CLO_OPT_INT,
         .flags = CLO_O_SERVER | CLO_O_GUC,
         .def = "20",
         .min = 1,
         .max = 1000,
         .doc = "How often the outbox tries to send a row before it counts as failed."},
    [CLO_OPT_OUTBOX_SETTLE_MS] =
        {.name = "outbox_settle_ms",
         .kind = CLO_OPT_INT,
         .flags = CLO_O_SERVER | CLO_O_GUC,
         .def = "120000",
         .min = 0,
         .max = HOUR_MS,
         .unit = "ms",
         .doc = "After a lost answer the outbox waits this long before it asks the service whether "
                "the call was carried out, because lists and searches lag behind."},
    [CLO_OPT_OUTBOX_KEEP_HOURS] =
        {.name = "outbox_keep_hours",
         .kind = CLO_OPT_INT,
         .flags = CLO_O_SERVER | CLO_O_GUC,
         .def = "720",
         .min = 1,
         .max = 87600,
         .unit = "hours",
         .doc = "How long the outbox keeps rows that are done or cancelled."},
    [CLO_OPT_LOOKAHEAD] =
        {.name = "lookahead",
         .kind = CLO_OPT_BOOL,
         .flags = CLO_O_SERVER | CLO_O_GUC,
         .def = "on",
         .doc = "Joins: rows that will be looked up are read ahead of use, or the whole table once "
                "that takes fewer calls."},
    [CLO_OPT_LOOKUP_BYTES] =
        {.name = "lookup_bytes",
         .kind = CLO_OPT_INT,
         .flags = CLO_O_SERVER | CLO_O_GUC,
         .def = "33554432",
         .min = 0,
         .max = 1 << 30,
         .unit = "bytes",
         .doc =
             "Memory for the rows of one table that a join keeps; keys whose rows do not fit are "
             "looked up one by one."},
};
_Static_assert(CLO_ARRAY_LEN(options) == CLO_OPT__COUNT, "the table follows enum clo_opt");

size_t
clo_option_count(void)
{
    return CLO_ARRAY_LEN(options);
}

const clo_option *
clo_option_at(size_t i)
{
    return i < CLO_ARRAY_LEN(options) ? &options[i] : NULL;
}

/* ---- finding ---- */

#define LONGEST_NAME 32

static size_t
least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* Edit distance of two names; names that are too long are far from everything. */
static size_t
distance(const char *a, const char *b)
{
    size_t row[LONGEST_NAME + 1], i, j, la = strlen(a), lb = strlen(b);

    if (la > LONGEST_NAME || lb > LONGEST_NAME)
        return SIZE_MAX;
    for (j = 0; j <= lb; j++)
        row[j] = j;
    for (i = 1; i <= la; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (j = 1; j <= lb; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            row[j] = least(change, row[j] + 1, row[j - 1] + 1);
        }
    }
    return row[lb];
}

/* Near enough: a third of the name may be wrong. A name that begins another counts as near too
 * ("timeout" for timeout_ms). */
static const clo_option *
closest(const char *name)
{
    const clo_option *best = NULL;
    size_t best_distance = strlen(name) / 3 + 1, i;

    for (i = 0; i < CLO_ARRAY_LEN(options); i++) {
        size_t d = distance(name, options[i].name);

        if (d <= best_distance && (!best || d < best_distance)) {
            best = &options[i];
            best_distance = d;
        }
    }
    for (i = 0; !best && strlen(name) > 2 && i < CLO_ARRAY_LEN(options); i++) {
        if (strncmp(options[i].name, name, strlen(name)) == 0)
            best = &options[i];
    }
    return best;
}

const clo_option *
clo_option_find(const char *name, clo_err *err)
{
    const clo_option *near;
    size_t i;

    clo_err_clear(err);
    for (i = 0; i < CLO_ARRAY_LEN(options); i++) {
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    }
    near = closest(name);
    if (near)
        clo_err_set(err, CLO_E_CONFIG, "there is no setting %.64s; did you mean %s?", name,
                    near->name);
    else
        clo_err_set(err, CLO_E_CONFIG, "there is no setting %.64s", name);
    return NULL;
}

/* ---- checking ---- */

static bool
parse_int(const char *s, int64_t *out)
{
    bool negative = *s == '-';
    int64_t v = 0;

    if (negative)
        s++;
    if (!*s)
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, *s - '0', &v))
            return false;
    }
    *out = negative ? -v : v;
    return true;
}

static bool
parse_bool(const char *s, int64_t *out)
{
    static const char *const words[] = {"off", "on", "false", "true", "no", "yes", "0", "1"};
    size_t i;

    for (i = 0; i < CLO_ARRAY_LEN(words); i++) {
        if (strcasecmp(s, words[i]) == 0) {
            *out = i % 2;
            return true;
        }
    }
    return false;
}

static bool
parse_choice(const clo_option *opt, const char *s, int64_t *out)
{
    int64_t i;

    for (i = 0; opt->choices[i]; i++) {
        if (strcmp(opt->choices[i], s) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* The number behind a text; 0 for TEXT options. */
static bool
parse_number(const clo_option *opt, const char *s, int64_t *out)
{
    *out = 0;
    switch (opt->kind) {
    case CLO_OPT_INT:
        return parse_int(s, out) && *out >= opt->min && *out <= opt->max;
    case CLO_OPT_BOOL:
        return parse_bool(s, out);
    case CLO_OPT_ENUM:
        return parse_choice(opt, s, out);
    case CLO_OPT_TEXT:
        break;
    }
    return true;
}

static clo_status
bad_number(const clo_option *opt, const char *label, const char *value, clo_err *err)
{
    clo_buf list;
    size_t i;

    if (opt->kind == CLO_OPT_INT)
        return clo_err_set(
            err, CLO_E_CONFIG,
            "%s: expected an integer from %" PRId64 " to %" PRId64 "%s%s, got \"%.40s\"", label,
            opt->min, opt->max, opt->unit ? " " : "", opt->unit ? opt->unit : "", value);
    if (opt->kind == CLO_OPT_BOOL)
        return clo_err_set(err, CLO_E_CONFIG, "%s: expected on or off, got \"%.40s\"", label,
                           value);
    clo_buf_init(&list, 200);
    for (i = 0; opt->choices[i]; i++)
        clo_buf_fmt(&list, "%s%s", i ? " or " : "", opt->choices[i]);
    clo_err_set(err, CLO_E_CONFIG, "%s: expected %s, got \"%.40s\"", label,
                list.data ? list.data : "another value", value);
    clo_buf_free(&list);
    return CLO_ERROR;
}

static clo_status
check_url(const char *label, const char *value, clo_err *err)
{
    clo_err cause;

    clo_err_clear(&cause);
    if (!clo_url_ok(value, &cause))
        return clo_err_set(err, CLO_E_CONFIG, "%s: %s", label, cause.msg);
    if (strpbrk(value, "?#@"))
        return clo_err_set(err, CLO_E_CONFIG,
                           "%s: expected a plain base URL without user, query and fragment", label);
    return CLO_OK;
}

static clo_status
check_connection(const char *label, const char *value, clo_err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:- ";

    if (strlen(value) > NAME_MAX_LEN)
        return clo_err_set(err, CLO_E_CONFIG, "%s: longer than %d characters", label, NAME_MAX_LEN);
    if (value[strspn(value, allowed)])
        return clo_err_set(err, CLO_E_CONFIG,
                           "%s: a connection name has letters, digits, _, :, - and spaces only",
                           label);
    return CLO_OK;
}

/* Texts end up in headers, forms and messages: no control characters, ever. */
static clo_status
check_text(const char *label, const char *value, clo_err *err)
{
    size_t len = strlen(value), i;

    if (len == 0)
        return clo_err_set(err, CLO_E_CONFIG, "%s: the value is empty", label);
    if (len > TEXT_MAX)
        return clo_err_set(err, CLO_E_CONFIG, "%s: longer than %d bytes", label, TEXT_MAX);
    if (!clo_utf8_ok(value, len))
        return clo_err_set(err, CLO_E_CONFIG, "%s: the value is not valid UTF-8", label);
    for (i = 0; i < len; i++) {
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
            return clo_err_set(err, CLO_E_CONFIG, "%s: the value has a control character", label);
    }
    return CLO_OK;
}

/* `label` says in messages where the value stood. */
static clo_status
check(const clo_option *opt, const char *label, const char *value, clo_err *err)
{
    int64_t number;

    if (opt->kind != CLO_OPT_TEXT)
        return parse_number(opt, value, &number) ? CLO_OK : bad_number(opt, label, value, err);
    if (check_text(label, value, err) != CLO_OK)
        return CLO_ERROR;
    if (opt == &options[CLO_OPT_ENV_URL])
        return check_url(label, value, err);
    if (opt == &options[CLO_OPT_CONNECTION])
        return check_connection(label, value, err);
    return CLO_OK;
}

/* Names and variables are ours and short: they fit. */
static void
label_of(const clo_option *opt, clo_origin from, char out[80])
{
    if (from == CLO_FROM_ENV && opt->env)
        snprintf(out, 80, "environment variable %s", opt->env);
    else
        snprintf(out, 80, "setting %s", opt->name);
}

clo_status
clo_option_check(const clo_option *opt, const char *value, clo_err *err)
{
    char label[80];

    clo_err_clear(err);
    if (!value)
        return CLO_OK;
    label_of(opt, CLO_FROM_DEFAULT, label);
    return check(opt, label, value, err);
}

/* ---- layers ---- */

/* Finds the layer that wins and what follows from it. */
static void
resolve(clo_config *c, clo_opt o)
{
    const clo_option *opt = &options[o];
    const char *effective;
    int from;

    for (from = CLO_FROM_LOCK; from > CLO_FROM_DEFAULT && !c->layer[from][o]; from--)
        continue;
    c->from[o] = (clo_origin)from;
    c->text[o] = c->layer[from][o];
    effective = c->text[o] ? c->text[o] : opt->def;
    c->number[o] = 0;
    if (effective)
        (void)parse_number(opt, effective, &c->number[o]);
}

void
clo_config_init(clo_config *c)
{
    int o;

    memset(c, 0, sizeof *c);
    for (o = 0; o < CLO_OPT__COUNT; o++)
        resolve(c, (clo_opt)o);
}

void
clo_config_free(clo_config *c)
{
    int from, o;

    for (from = 0; from <= CLO_FROM_LOCK; from++) {
        for (o = 0; o < CLO_OPT__COUNT; o++)
            clo_wipe_free(c->layer[from][o]);
    }
    clo_config_init(c);
}

static bool
same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Takes ownership of `value`. Identity changes only when the effective value does. */
static void
put_layer(clo_config *c, clo_opt o, clo_origin from, char *value)
{
    char *old = c->layer[from][o];
    bool changed;

    c->layer[from][o] = value;
    if (c->from[o] <= from) {
        const char *before = c->text[o] ? c->text[o] : options[o].def;

        /* `before` may be `old`, which is still alive here. */
        resolve(c, o);
        changed = !same(before, clo_config_text(c, o));
        if (changed && (options[o].flags & CLO_O_IDENTITY))
            c->identity++;
    }
    clo_wipe_free(old);
}

/* PostgreSQL keeps secrets and identities in user mappings and places in servers; nothing may slip
 * in through the wrong object. */
static clo_status
check_origin(const clo_config *c, const clo_option *opt, clo_origin from, clo_err *err)
{
    clo_opt o = (clo_opt)(opt - options);

    if (c->layer[CLO_FROM_LOCK][o])
        return clo_err_set(err, CLO_E_FORBIDDEN,
                           "setting %s is fixed to %s here and cannot be changed", opt->name,
                           opt->flags & CLO_O_SECRET ? "***" : c->layer[CLO_FROM_LOCK][o]);
    if (from == CLO_FROM_SERVER && !(opt->flags & CLO_O_SERVER))
        return clo_err_set(err, CLO_E_CONFIG, "setting %s is no option of a server", opt->name);
    if (from == CLO_FROM_MAPPING && !(opt->flags & CLO_O_MAPPING))
        return clo_err_set(err, CLO_E_CONFIG, "setting %s is no option of a user mapping",
                           opt->name);
    if (from <= CLO_FROM_DEFAULT || from > CLO_FROM_LOCK)
        return clo_err_set(err, CLO_E_BUG, "setting %s comes from nowhere", opt->name);
    return CLO_OK;
}

static clo_status
set_option(clo_config *c, const clo_option *opt, const char *value, clo_origin from, clo_err *err)
{
    char label[80], *copy = NULL;

    if (check_origin(c, opt, from, err) != CLO_OK)
        return CLO_ERROR;
    if (value) {
        size_t len = strlen(value);

        label_of(opt, from, label);
        if (check(opt, label, value, err) != CLO_OK)
            return CLO_ERROR;
        /* The base of every URL: paths are appended with their own slash. */
        while (opt == &options[CLO_OPT_ENV_URL] && len > 0 && value[len - 1] == '/')
            len--;
        copy = clo_strndup(value, len);
        if (!copy)
            return clo_err_nomem(err);
    }
    put_layer(c, (clo_opt)(opt - options), from, copy);
    return CLO_OK;
}

clo_status
clo_config_set(clo_config *c, const char *name, const char *value, clo_origin from, clo_err *err)
{
    const clo_option *opt = clo_option_find(name, err);

    return opt ? set_option(c, opt, value, from, err) : CLO_ERROR;
}

/* A variable that is empty counts as unset, as everywhere. One bad variable does not keep the
 * others from being read; the first error is kept for the first call. Only lack of memory fails. */
clo_status
clo_config_env(clo_config *c, clo_err *err)
{
    size_t i;

    clo_err_clear(err);
    c->env_wrong = NULL;
    for (i = 0; i < CLO_ARRAY_LEN(options); i++) {
        const char *value = options[i].env ? secure_getenv(options[i].env) : NULL;

        if (!options[i].env || c->layer[CLO_FROM_LOCK][i])
            continue;
        if (set_option(c, &options[i], value && *value ? value : NULL, CLO_FROM_ENV, err) == CLO_OK)
            continue;
        if (err->code == CLO_E_NOMEM)
            return CLO_ERROR;
        if (!c->env_wrong) {
            c->env_wrong = &options[i];
            c->env_err = *err;
        }
        clo_err_clear(err);
    }
    return CLO_OK;
}

clo_status
clo_config_env_ok(const clo_config *c, clo_err *err)
{
    clo_err_clear(err);
    if (!c->env_wrong || c->from[c->env_wrong - options] > CLO_FROM_ENV)
        return CLO_OK;
    *err = c->env_err;
    return CLO_ERROR;
}

const char *
clo_config_text(const clo_config *c, clo_opt o)
{
    return c->text[o] ? c->text[o] : options[o].def;
}

int64_t
clo_config_int(const clo_config *c, clo_opt o)
{
    return c->number[o];
}

/* ---- showing ---- */

static bool
put_value(clo_json *entry, const clo_config *c, clo_opt o)
{
    const char *text = clo_config_text(c, o);

    if (!text)
        return clo_json_put_null(entry, "value");
    if (options[o].flags & CLO_O_SECRET)
        text = "***";
    switch (options[o].kind) {
    case CLO_OPT_INT:
        return clo_json_put_int(entry, "value", c->number[o]);
    case CLO_OPT_BOOL:
        return clo_json_put_bool(entry, "value", c->number[o] != 0);
    default:
        return clo_json_put_str(entry, "value", text, strlen(text));
    }
}

static bool
put_entry(clo_json *all, const clo_config *c, clo_opt o)
{
    static const char *const origins[] = {
        [CLO_FROM_DEFAULT] = "default", [CLO_FROM_ENV] = "environment",
        [CLO_FROM_SERVER] = "server",   [CLO_FROM_MAPPING] = "user mapping",
        [CLO_FROM_SESSION] = "session", [CLO_FROM_LOCK] = "lock",
    };
    const char *from = origins[c->from[o]];
    clo_json *entry = clo_json_object();

    if (!entry)
        return false;
    if (!put_value(entry, c, o) || !clo_json_put_str(entry, "from", from, strlen(from))) {
        clo_json_free(entry);
        return false;
    }
    return clo_json_put(all, options[o].name, entry);
}

char *
clo_config_json(const clo_config *c, clo_err *err)
{
    clo_json *all = clo_json_object();
    const char *text = NULL;
    char *copy = NULL;
    size_t len;
    int o;

    clo_err_clear(err);
    for (o = 0; all && o < CLO_OPT__COUNT; o++) {
        if (!put_entry(all, c, (clo_opt)o))
            break;
    }
    if (all && o == CLO_OPT__COUNT)
        text = clo_json_text(all, &len);
    if (text)
        copy = clo_strndup(text, len);
    clo_json_free(all);
    if (!copy)
        clo_err_nomem(err);
    return copy;
}

/* ---- readiness ---- */

clo_status
clo_config_need(const clo_config *c, clo_opt o, clo_err *err)
{
    static const char *const hints[CLO_OPT__COUNT] = {
        [CLO_OPT_ENV_URL] =
            "Set the environment variable SCALEKIT_ENV_URL or call close_config('env_url', "
            "'https://...'); in PostgreSQL it is the option env_url of the server.",
        [CLO_OPT_CLIENT_ID] =
            "Set the environment variable SCALEKIT_CLIENT_ID or call "
            "close_config('client_id', '...'); in PostgreSQL it is the option client_id of "
            "the user mapping.",
        [CLO_OPT_CLIENT_SECRET] =
            "Set the environment variable SCALEKIT_CLIENT_SECRET or call "
            "close_config('client_secret', "
            "'...'); in PostgreSQL it is the option client_secret of the user mapping.",
        [CLO_OPT_IDENTIFIER] = "Set the environment variable CLOSE_IDENTIFIER or call "
                               "close_config('identifier', '...'); in PostgreSQL it is the option "
                               "identifier of the user mapping.",
    };

    clo_err_clear(err);
    if (clo_config_text(c, o))
        return CLO_OK;
    clo_err_set(err, CLO_E_CONFIG,
                "%s is not set: the setting %s is needed before anything can be sent",
                options[o].env ? options[o].env : options[o].name, options[o].name);
    err->hint = hints[o];
    return CLO_ERROR;
}

clo_status
clo_config_ready(const clo_config *c, clo_err *err)
{
    static const clo_opt needed[] = {CLO_OPT_ENV_URL, CLO_OPT_CLIENT_ID, CLO_OPT_CLIENT_SECRET,
                                     CLO_OPT_IDENTIFIER};
    size_t i;

    for (i = 0; i < CLO_ARRAY_LEN(needed); i++) {
        if (clo_config_need(c, needed[i], err) != CLO_OK)
            return CLO_ERROR;
    }
    return CLO_OK;
}
