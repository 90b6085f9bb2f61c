/*
 * clo.h - the core of Close in SQL, as the two hosts see it.
 *
 * The core turns SQL-shaped questions ("these columns of close_leads where id = 'x'") into calls
 * of Scalekit's execute_tool endpoint, runs them over HTTPS and hands typed rows back. It knows
 * neither SQLite nor PostgreSQL: a host translates its own planner structures into the neutral ones
 * below, drives the step functions, and copies the values out.
 *
 * Rules that hold for every function here
 *  - The core never calls the host, never prints, never exits. PostgreSQL may longjmp between any
 *    two calls; it can never do so inside one.
 *  - Nothing blocks unless its comment says so. The `_step` functions block at most `wait_ms`.
 *  - A function that can fail takes a `clo_err *` (never NULL) and fills it once. Its state before
 *    the call does not matter unless a function says "first error wins".
 *  - A client, and everything made from it, is used by one thread at a time. Distinct clients
 *    are independent.
 *  - Text is UTF-8 and NUL-terminated unless a length is given. Times are milliseconds.
 *
 * Life of a read:
 *      clo_plan_make -> clo_cursor_open -> { clo_cursor_step -> clo_cursor_row }* -> clo_cursor_free
 * Life of a function call:
 *      clo_request_... -> clo_call_new -> clo_call_step* -> clo_call_result -> clo_call_free
 */
#ifndef CLO_H
#define CLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLO_VERSION "0.1.0"

#if defined(__GNUC__)
#define CLO_MUST_USE __attribute__((warn_unused_result))
#define CLO_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define CLO_MUST_USE
#define CLO_PRINTF(f, a)
#endif

/* ------------------------------------------------------------------------------------------
 * Errors (err.c)
 * ---------------------------------------------------------------------------------------- */

/* What went wrong, by what the user can do about it. The names (clo_code_name) are shown to users
 * and stay stable. Hosts map them to SQLSTATE and SQLite result codes. */
typedef enum clo_code {
    CLO_E_NONE,
    CLO_E_ARG,       /* bad argument, found before anything was sent */
    CLO_E_CONFIG,    /* missing or wrong setting; unknown connection */
    CLO_E_AUTH,      /* client credentials or the connected account were refused */
    CLO_E_FORBIDDEN, /* authenticated, but not allowed; also the read-only switch */
    CLO_E_NOTFOUND,  /* Close says that the object does not exist */
    CLO_E_REJECTED,  /* Close refused the content (400, 422) */
    CLO_E_CONFLICT,  /* 409 */
    CLO_E_RATE,      /* 429, and the retry budget is used up */
    CLO_E_REMOTE,    /* 5xx */
    CLO_E_NET,       /* DNS, TLS, reset, truncated answer */
    CLO_E_TIMEOUT,   /* a time limit of ours */
    CLO_E_UNCERTAIN, /* a write left and no answer says what became of it */
    CLO_E_PROTO,     /* an answer that is not what the reference describes */
    CLO_E_LIMIT,     /* larger than a configured limit */
    CLO_E_NOMEM,
    CLO_E_STOPPED, /* the host gave up waiting */
    CLO_E_BUG,     /* a broken invariant of our own */
    CLO_E__COUNT
} clo_code;

/* A plain value: never allocates, may be copied, abandoned or longjmp'ed over. Texts hold no secret:
 * the setter masks every registered one. */
typedef struct clo_err {
    clo_code code;
    int http_status;     /* of the answer, 0 without one */
    int retry_after_ms;  /* what the service asked for, 0 if nothing */
    bool retryable;      /* trying the same again later may work */
    bool uncertain;      /* a write may have happened */
    bool provider;       /* Close said it (not Scalekit, not we) */
    char msg[240];       /* what failed, for which tool or row; no final period */
    char detail[480];    /* the service's own words, shortened; "" if none */
    const char *hint;    /* static text: the setting or call that helps; NULL if none */
    char request_id[64]; /* execution or request id; "" if none */
} clo_err;

/* Status of a step. */
typedef enum clo_status { CLO_OK, CLO_ROW, CLO_DONE, CLO_AGAIN, CLO_ERROR } clo_status;

/* Resets to "no error". */
void clo_err_clear(clo_err *err);
/* Fills `err` and returns CLO_ERROR. `fmt` makes msg; longer text is cut at a character boundary.
 * An error that is already set stays (first error wins). */
clo_status clo_err_set(clo_err *err, clo_code code, const char *fmt, ...) CLO_PRINTF(3, 4);
/* Adds the service's words (cut and masked the same way). */
void clo_err_detail(clo_err *err, const char *fmt, ...) CLO_PRINTF(2, 3);
/* "ARG", "CONFIG", ... Static. */
const char *clo_code_name(clo_code code);

/* ------------------------------------------------------------------------------------------
 * Memory that crosses the boundary (mem.c)
 * ---------------------------------------------------------------------------------------- */

/* Frees what a function documented as "caller frees with clo_free" returned. NULL is fine. */
void clo_free(void *p);
/* Blocks now alive; only counted in builds with CLO_DEBUG, else 0. For leak tests. */
long clo_mem_live(void);

/* ------------------------------------------------------------------------------------------
 * Time (retry.c)
 * ---------------------------------------------------------------------------------------- */

/* The clock of every pause and time limit here: it never goes back, and tells nothing but distances. */
int64_t clo_now_ms(void);

/* ------------------------------------------------------------------------------------------
 * Values (value.c)
 * ---------------------------------------------------------------------------------------- */

typedef enum clo_type {
    CLO_T_NULL, /* only as the type of a value */
    CLO_T_TEXT,
    CLO_T_INT,
    CLO_T_REAL,
    CLO_T_BOOL,
    CLO_T_JSON, /* text holds one JSON document */
    CLO_T_TIME, /* text: YYYY-MM-DDTHH:MM:SS.ffffffZ (always six digits: sorts as time does) */
    CLO_T_DATE  /* text: YYYY-MM-DD */
} clo_type;

/* One value. `text` is set for TEXT, JSON, TIME and DATE, is NUL-terminated at text[len], and
 * is owned by whoever the producing function names. */
typedef struct clo_value {
    clo_type type;
    union {
        int64_t i; /* INT; TIME: microseconds, DATE: days since 1970-01-01T00:00:00Z */
        double r;
        bool b;
    } u;
    const char *text;
    size_t len;
} clo_value;

/* Constructors; texts are borrowed. */
clo_value clo_null(void);
clo_value clo_int(int64_t i);
clo_value clo_real(double r);
clo_value clo_bool(bool b);
clo_value clo_text(const char *s, size_t len);
clo_value clo_json_value(const char *s, size_t len);
/* "text", "integer", ... Static. */
const char *clo_type_name(clo_type type);

/* ------------------------------------------------------------------------------------------
 * Catalogue (catalog.c; data in catalog_tools_*.c by name, catalog_tables_*.c by subject)
 *
 * Everything here is static const data, valid for the life of the process. Source of the facts:
 * reference close-tools.json (tools, parameters), close-columns.tsv (columns), close-api.md 3.2, 13,
 * 14 (what each list honours).
 * ---------------------------------------------------------------------------------------- */

/* clo_param.flags */
enum {
    CLO_P_REQUIRED = 1,
    CLO_P_JSONTEXT = 2, /* wire type string, content JSON (emails, phones, to, events) */
    CLO_P_OBJECT = 4,   /* wire type object */
    CLO_P_ARRAY = 8,    /* wire type array */
    CLO_P_PAGING = 16   /* _limit, _skip, _order_by, _fields */
};

typedef struct clo_param {
    const char *name; /* on the wire and in SQL */
    clo_type type;    /* TEXT, INT, BOOL or JSON (JSON with JSONTEXT, OBJECT or ARRAY) */
    unsigned flags;
    const char *doc; /* one sentence */
} clo_param;

typedef enum clo_kind {
    CLO_LIST,
    CLO_GET,
    CLO_CREATE,
    CLO_UPDATE,
    CLO_DELETE,
    CLO_ACTION
} clo_kind;

/* clo_tool.flags */
enum {
    CLO_TOOL_WRITES = 1,
    CLO_TOOL_DESTRUCTIVE = 2, /* delete, merge, bulk: loses data */
    CLO_TOOL_IDEMPOTENT = 4,  /* a repetition ends in the same state (close-api.md 7) */
    CLO_TOOL_MESSAGES = 8, /* may send something to people when `status` is outbox or scheduled */
    CLO_TOOL_NEWER = 16    /* one of the 22 added in 2026-08 */
};

typedef struct clo_tool {
    const char *name; /* wire name and SQL name, close_... */
    clo_kind kind;
    unsigned flags;
    const char *table;       /* table it belongs to, or NULL */
    const char *method;      /* the Close REST call behind it, for documentation and the stand-in */
    const char *path;        /* "/lead/{lead_id}/" */
    const char *doc;         /* one sentence, ends in a period */
    const char *example;     /* SQL valid in both hosts */
    const clo_param *params; /* SQL order: required ones first, else the catalogue's order */
    size_t n_params;
} clo_tool;

/* clo_column.flags */
enum {
    CLO_C_KEY = 1,      /* the id */
    CLO_C_NULLABLE = 2, /* may be null or absent */
    CLO_C_PARAM = 4,    /* parameter of the list tool that is no field of the row (hidden) */
    CLO_C_RAW = 8,      /* _raw: the whole object (hidden) */
    CLO_C_CUSTOM = 16,  /* custom: all custom.cf_... values as one object */
    CLO_C_SECRET = 32,  /* webhook signature_key: hidden */
    CLO_C_FIELD = 64,   /* one custom field bound to its id (dynamic tables only) */
    CLO_C_LOOSE = 128   /* real type unconfirmed: text as it is, anything else as its JSON text */
};
#define CLO_C_HIDDEN (CLO_C_PARAM | CLO_C_RAW | CLO_C_SECRET)

typedef struct clo_column {
    const char *name;
    clo_type type;
    unsigned flags;
    const char *path; /* JSON key in the row; NULL: same as name */
    const char *doc;
} clo_column;

typedef enum clo_op {
    CLO_OP_EQ,
    CLO_OP_IN, /* = any of a list */
    CLO_OP_LT,
    CLO_OP_LE,
    CLO_OP_GT,
    CLO_OP_GE,
    CLO_OP_ISNULL,
    CLO_OP_OTHER /* anything else: never sent */
} clo_op;

/* clo_filter.flags */
enum {
    CLO_F_EXACT = 1,     /* documented as honoured: the core checks each row against it anyway */
    CLO_F_WITH_LEAD = 2, /* honoured only together with one lead_id (close-api.md 13.6) */
    CLO_F_ECHO = 4       /* the row may lack the field: show the condition's value then */
};

/* "column op value" may be sent as parameter `param` of the list tool. EQ implies IN (one list per
 * value). GE and LE are inclusive bounds; GT and LT are sent as inclusive and re-checked. */
typedef struct clo_filter {
    const char *column;
    const char *param;
    clo_op op; /* EQ, GE or LE */
    unsigned flags;
} clo_filter;

/* The list can sort by `column` exactly as SQL would: no NULLs, no text collation. */
typedef struct clo_order {
    const char *column;
    const char *asc, *desc; /* value of _order_by; NULL: that direction is not offered */
    unsigned flags;         /* CLO_F_WITH_LEAD */
} clo_order;

typedef enum clo_pager {
    CLO_PAGE_OFFSET, /* _limit, _skip, has_more */
    CLO_PAGE_WHOLE,  /* one answer holds all; has_more, if there, continues by _skip */
    CLO_PAGE_EVENTS, /* newest 50; step back by date_updated__lte (close-api.md 13.17) */
    CLO_PAGE_ONE     /* a single object (close_me) */
} clo_pager;

/* How a walk goes on past the skip cap (close-api.md 0.1, 15). */
typedef enum clo_keyset {
    CLO_KEY_NONE,
    CLO_KEY_LEAD_QUERY, /* query: date_created >= "..." sort:date_created */
    CLO_KEY_DATE_LTE    /* parameter date_..__lte with the oldest value seen */
} clo_keyset;

/* A column written through a parameter of another name. */
typedef struct clo_alias {
    clo_kind kind; /* CREATE or UPDATE */
    const char *column, *param;
} clo_alias;

typedef struct clo_table {
    const char *name;     /* close_leads */
    const char *resource; /* leads, as in close-columns.tsv */
    const char *doc;
    const char *example; /* SELECT valid in both hosts */
    /* Tool names or NULL. */
    const char *list, *get, *get_param, *create, *update, *remove;
    clo_pager pager;
    int page_max;      /* the largest page proven (close-api.md 3.2); 0: no paging parameters */
    int64_t skip_max;  /* known skip cap, 0 if unknown */
    bool totals;       /* answers carry total_results */
    double guess_rows; /* for the planner until something better is known */
    clo_keyset keyset;
    const char *key_column; /* column of the keyset, or NULL */
    const char *key_param;  /* its parameter for CLO_KEY_DATE_LTE */
    /* Without a parent condition the list is refused or incomplete: list `parent` first, then this
     * one with `parent_param` = each parent's id, concurrently. */
    const char *parent, *parent_param;
    const char *const *parent_unless; /* NULL-ended: parameters that replace the parent */
    /* Or: once per value of `each_param` (smart views by type; tasks _type=all has one). */
    const char *each_param;
    const char *const *each_values;
    const clo_column *columns;
    size_t n_columns;
    const clo_filter *filters;
    size_t n_filters;
    const clo_order *orders;
    size_t n_orders;
    const clo_alias *aliases;
    size_t n_aliases;
} clo_table;

size_t clo_tool_count(void);
const clo_tool *clo_tool_at(size_t i);           /* sorted by name */
const clo_tool *clo_tool_find(const char *name); /* NULL if unknown */
const clo_param *clo_tool_param(const clo_tool *tool, const char *name);
const char *clo_kind_name(clo_kind kind); /* "list", "get", ... */
size_t clo_table_count(void);
const clo_table *clo_table_at(size_t i); /* sorted by name */
const clo_table *clo_table_find(const char *name);
int clo_table_column(const clo_table *table, const char *name); /* index or -1 */
/* The closest known tool name to a misspelt one, or NULL when nothing is near. Static. */
const char *clo_tool_suggest(const char *name);

/* ------------------------------------------------------------------------------------------
 * Settings (config.c)
 * ---------------------------------------------------------------------------------------- */

/* clo_option.flags */
enum {
    CLO_O_SECRET = 1,
    CLO_O_SERVER = 2,   /* PostgreSQL: option of the foreign server */
    CLO_O_MAPPING = 4,  /* PostgreSQL: option of the user mapping */
    CLO_O_GUC = 8,      /* PostgreSQL: also close.<name>, per session, cannot widen rights */
    CLO_O_IDENTITY = 16 /* decides where credentials go or whose data is seen */
};

typedef enum clo_option_kind {
    CLO_OPT_TEXT,
    CLO_OPT_INT,
    CLO_OPT_BOOL,
    CLO_OPT_ENUM
} clo_option_kind;

typedef struct clo_option {
    const char *name;
    clo_option_kind kind;
    unsigned flags;
    const char *env;            /* environment variable, or NULL */
    const char *def;            /* default as text, or NULL */
    int64_t min, max;           /* INT */
    const char *const *choices; /* ENUM, NULL-ended */
    const char *unit;           /* "ms", "bytes", ... or NULL */
    const char *doc;
} clo_option;

size_t clo_option_count(void);
const clo_option *clo_option_at(size_t i);
/* NULL if unknown; `err` then names the closest one ("did you mean"). */
const clo_option *clo_option_find(const char *name, clo_err *err);
/* Checks a value without setting it. */
clo_status clo_option_check(const clo_option *opt, const char *value, clo_err *err) CLO_MUST_USE;

/* Where a value came from; shown by clo_client_settings. Later ones win over earlier ones. */
typedef enum clo_origin {
    CLO_FROM_DEFAULT,
    CLO_FROM_ENV,     /* environment variable */
    CLO_FROM_SERVER,  /* PostgreSQL server option */
    CLO_FROM_MAPPING, /* PostgreSQL user mapping option */
    CLO_FROM_SESSION, /* close_config() or a GUC */
    CLO_FROM_LOCK     /* fixed by the host (read-only entry point); cannot be changed any more */
} clo_origin;

/* ------------------------------------------------------------------------------------------
 * Client (client.c): settings, token, connections, limiter, request log. Reference-counted.
 * ---------------------------------------------------------------------------------------- */

typedef struct clo_client clo_client;

/* A client with default settings and one reference; sends nothing. NULL: `err` says why. */
clo_client *clo_client_new(clo_err *err) CLO_MUST_USE;
clo_client *clo_client_ref(clo_client *client);
/* Drops a reference; the last one closes connections. Never blocks. NULL is fine. */
void clo_client_unref(clo_client *client);

/* Memory in which the client meets others to keep to the allowed rate (limit.c): CLO_LIMITS_BYTES bytes,
 * aligned to 64, zeroed before its first use, possibly shared between processes, and there as long as
 * the client is. NULL, and without this call: all clients of the process share one of their own. */
#define CLO_LIMITS_BYTES 16384
void clo_client_share_limits(clo_client *client, void *memory);

/* Sets one setting by name; NULL goes back to the default. Validates; refuses an unknown name with
 * a suggestion, and a locked one. A change of an IDENTITY setting drops the token and all cached
 * answers. Calls under way keep what they started with. */
clo_status clo_client_set(clo_client *client, const char *name, const char *value, clo_origin from,
                          clo_err *err) CLO_MUST_USE;
/* Reads the environment variables of the option table. A variable that does not fit is no error here:
 * the first call reports it, unless the setting has been given otherwise by then. */
clo_status clo_client_set_env(clo_client *client, clo_err *err) CLO_MUST_USE;
/* Effective settings as a JSON object {"name":{"value":..,"from":".."}}; secrets as "***".
 * Caller frees with clo_free. */
char *clo_client_settings(const clo_client *client, clo_err *err) CLO_MUST_USE;
/* Effective value of one setting as text, "***" for a secret that is set, NULL when unset or
 * unknown. Borrowed until the next change. */
const char *clo_client_setting(const clo_client *client, const char *name);
/* Effective integer or boolean (0/1) setting; the name must exist. */
int64_t clo_client_setting_int(const clo_client *client, const char *name);

/* Id of the object that the last successful create call of this client answered with, or NULL.
 * Borrowed until the next create. */
const char *clo_client_last_id(const clo_client *client);
/* Takes note of a create made elsewhere in the host; copies. NULL clears. */
void clo_client_set_last_id(clo_client *client, const char *id);

/* One finished (or abandoned) call. Plain copy. */
typedef struct clo_log_entry {
    int64_t at_us;    /* start, microseconds since 1970 UTC */
    char tool[64];    /* tool name, or "GET /path" for proxy calls, or "token", ... */
    char params[256]; /* parameter names, comma-separated; name=value with setting log_values */
    int http_status;  /* of the last attempt */
    clo_code code;    /* CLO_E_NONE: fine */
    int attempts;
    int64_t bytes_out, bytes_in; /* bodies, decoded */
    int64_t ms;
    char request_id[64];
} clo_log_entry;

/* The last calls, oldest first: entry i of clo_log_count(). False when i is out of range. */
size_t clo_log_count(const clo_client *client);
bool clo_log_at(const clo_client *client, size_t i, clo_log_entry *out);

/* Counters since the client was made, as name and value; i from 0 until false. Static name. */
bool clo_stat_at(const clo_client *client, size_t i, const char **name, int64_t *value);

/* ------------------------------------------------------------------------------------------
 * Calls (request.c, scalekit.c)
 * ---------------------------------------------------------------------------------------- */

/* What to send: a tool with checked parameters, a proxy request, or an account operation. */
typedef struct clo_request clo_request;

/* A tool with positional arguments in catalogue order; missing trailing ones and NULL values are
 * "not given". Checks count, types, required ones and JSON (surface section 3). Copies the values.
 * NULL on failure: the error names tool and argument. */
clo_request *clo_request_tool(const clo_tool *tool, size_t n, const clo_value *args,
                              clo_err *err) CLO_MUST_USE;
/* The same with one JSON object as named arguments; JSON null is "not given". */
clo_request *clo_request_tool_json(const clo_tool *tool, const char *json, size_t len,
                                   clo_err *err) CLO_MUST_USE;
/* Any tool by name. A catalogued one is checked as above; an unknown one (newer than this
 * catalogue) is sent as it is and treated as a writer. `json` may be NULL. */
clo_request *clo_request_execute(const char *tool, const char *json, size_t len,
                                 clo_err *err) CLO_MUST_USE;
/* Raw proxy call (scalekit-http-api.md 5): method GET, POST, PUT, PATCH or DELETE, a path such as
 * "/api/v1/me/" without dot segments, query as JSON object or NULL, body as JSON or NULL. */
clo_request *clo_request_proxy(const char *method, const char *path, const char *query,
                               const char *body, clo_err *err) CLO_MUST_USE;
/* Magic link (4.4) and account status without credentials (4.1). NULL identifier: the setting. */
clo_request *clo_request_link(const char *identifier, clo_err *err) CLO_MUST_USE;
clo_request *clo_request_account(const char *identifier, clo_err *err) CLO_MUST_USE;
/* The create, update or delete tool of `table` for a row. `cols[i]` is a column index, `vals[i]`
 * its new value; NULL is left out of a create and sent as null in an update. `id` names the
 * row of an update or delete. Refuses by name a column that the tool cannot set, a missing required
 * one, and a table without such a tool. */
clo_request *clo_request_row(const clo_table *table, clo_kind kind, const char *id, size_t n,
                             const int *cols, const clo_value *vals, clo_err *err) CLO_MUST_USE;
void clo_request_free(clo_request *req); /* NULL is fine */
/* The tool (or "GET /path") of a request, for messages; borrowed until the request is freed. */
const char *clo_request_name(const clo_request *req);
bool clo_request_writes(const clo_request *req);

typedef struct clo_call clo_call;

/* Starts a call; consumes `req` also on failure. Takes a reference on the client. Sends nothing
 * before the first step. NULL: missing setting, read-only refusal, messages not allowed, memory. */
clo_call *clo_call_new(clo_client *client, clo_request *req, clo_err *err) CLO_MUST_USE;
/* Blocks at most wait_ms. AGAIN: call again; DONE: result is there; ERROR. Token fetches, retries and
 * back-off happen inside and are waited for in slices as well. */
clo_status clo_call_step(clo_call *call, int wait_ms, clo_err *err) CLO_MUST_USE;
/* JSON text: the tool's `data`; for the proxy the body; for account calls the account or link.
 * Borrowed until clo_call_free. Only after DONE. */
const char *clo_call_result(const clo_call *call, size_t *len);
/* The id in the answer of a create tool; NULL: none. Borrowed until clo_call_free. Only after DONE. */
const char *clo_call_created_id(const clo_call *call);
/* True when a write has left and its answer has not arrived: freeing now makes it uncertain. */
bool clo_call_uncertain(const clo_call *call);
/* What the call is, for messages. */
const char *clo_call_name(const clo_call *call);
/* Any state; a transfer under way is dropped and its socket closed. Never blocks. NULL is fine. */
void clo_call_free(clo_call *call);

/* ------------------------------------------------------------------------------------------
 * Planning (plan.c)
 * ---------------------------------------------------------------------------------------- */

#define CLO_MAX_COLUMNS 1024
#define CLO_MAX_SLOTS 8
typedef struct clo_colset {
    uint64_t w[CLO_MAX_COLUMNS / 64];
} clo_colset;
void clo_colset_add(clo_colset *set, int column);
bool clo_colset_has(const clo_colset *set, int column);

/* A condition `column op value` joined to the others by AND. */
typedef struct clo_qual {
    int column;
    clo_op op;
    bool usable; /* false: the value will not be known when the scan starts (join order) */
} clo_qual;

typedef struct clo_sort {
    int column;
    bool desc;
} clo_sort;

typedef struct clo_question {
    const clo_table *table;
    const clo_qual *quals;
    size_t n_quals;
    clo_colset needed; /* columns that the host will read, those of its own re-checks included */
    const clo_sort *sorts;
    size_t n_sorts;
    bool complete; /* quals holds every condition: LIMIT may be considered */
    bool has_limit, has_offset;
    bool count_only; /* the host wants only the number of rows */
} clo_question;

typedef enum clo_access {
    CLO_BY_ID,    /* the get tool, once per id */
    CLO_BY_LIST,  /* the list tool */
    CLO_BY_COUNT, /* one list request, its total_results is the answer */
    CLO_BY_ONE    /* single-object table */
} clo_access;

typedef struct clo_slot { /* one value (or list of values) that the host hands to clo_cursor_open */
    int qual;             /* index into question.quals */
    int column;
    clo_op op;         /* EQ, IN, LT, LE, GT, GE */
    bool exact;        /* rows that fail it are never delivered: the host need not re-check */
    const char *param; /* parameter that carries it; NULL: the id of the get tool */
} clo_slot;

/* Plain value, no allocation. */
typedef struct clo_plan {
    const clo_table *table;
    clo_access access;
    int n_slots;
    clo_slot slots[CLO_MAX_SLOTS];
    int order; /* index into table->orders, -1: none */
    bool order_desc;
    bool sorted;        /* rows come in the asked order */
    bool limit, offset; /* the core applies LIMIT, OFFSET; hand the numbers to clo_cursor_open */
    bool unique;        /* at most one row */
    clo_colset needed;
    double requests; /* estimated calls */
    double rows;     /* estimated rows */
    double walk;     /* > 0: a loop of such scans makes at most about twice so many calls in all */
} clo_plan;

/* Chooses how to answer. `client` (may be NULL) lends what it learnt about table sizes. Sends
 * nothing. OK: *plan is filled. AGAIN: with these usable quals there is no answer, another join
 * order may have one (a parameter column is bound only by an unusable condition). ERROR: the question
 * can't be answered rightly, e.g. an operator other than = on a parameter column, or a parameter
 * column that is read without a condition on it. */
clo_status clo_plan_make(const clo_client *client, const clo_question *q, clo_plan *plan,
                         clo_err *err) CLO_MUST_USE;
/* From counting rows to reading them, for a host that finds it needs `more` columns after all: the slots
 * stay as they are. */
void clo_plan_rows(clo_plan *plan, const clo_colset *more);
/* Equality on this column usually leaves few rows: the id of a lead, a contact, a thread. */
bool clo_column_narrows(const clo_column *c);
/* One line for people and for carrying a plan through a host's planner:
 *   close_leads_list query=$1 _limit=$2 _fields=id,name
 * Caller frees with clo_free. */
char *clo_plan_encode(const clo_plan *plan, clo_err *err) CLO_MUST_USE;
/* The inverse; estimates are not kept. `table` is the table that the plan is for. */
clo_status clo_plan_decode(const clo_table *table, const char *text, clo_plan *plan,
                           clo_err *err) CLO_MUST_USE;

/* ------------------------------------------------------------------------------------------
 * Cursor (cursor.c): pages, prefetch, rows
 * ---------------------------------------------------------------------------------------- */

typedef struct clo_cursor clo_cursor;

/* The value(s) of one slot: n = 1 for EQ and the bounds, any n for IN. A NULL value matches nothing.
 * Copied by clo_cursor_open. */
typedef struct clo_bind {
    const clo_value *values;
    size_t n;
} clo_bind;

/* Opens a scan: binds[i] belongs to plan->slots[i]; limit < 0: none. Takes a client reference, copies
 * plan and values. Sends nothing before the first step. The table of the plan must outlive it. */
clo_cursor *clo_cursor_open(clo_client *client, const clo_plan *plan, const clo_bind *binds,
                            int64_t limit, int64_t offset, clo_err *err) CLO_MUST_USE;
/* A finished answer (the object that a create or update returned) as a cursor of one row. */
clo_cursor *clo_cursor_of_json(const clo_table *table, const clo_colset *needed, const char *json,
                               size_t len, clo_err *err) CLO_MUST_USE;
/* ROW: clo_cursor_row has one; AGAIN: nothing yet, after at most wait_ms; DONE: the end, and every row
 * has been delivered; ERROR: the scan is over and its rows are not all of them. */
clo_status clo_cursor_step(clo_cursor *cur, int wait_ms, clo_err *err) CLO_MUST_USE;
/* Values by column index, table->n_columns of them; only needed columns are set, others are NULL.
 * With CLO_BY_COUNT a single INT. Borrowed until the next step or free. */
const clo_value *clo_cursor_row(const clo_cursor *cur);

typedef struct clo_scan_stats {
    int64_t requests, retries, bytes_in, rows_received, rows_delivered, cache_hits;
    int max_in_flight;
} clo_scan_stats;
/* total_results of the list being read, -1: not known. It is the number of rows where the same question with
 * count_only is CLO_BY_COUNT. */
int64_t clo_cursor_total(const clo_cursor *cur);
void clo_cursor_stats(const clo_cursor *cur, clo_scan_stats *out);
/* Any state; transfers under way are dropped. Never blocks. NULL is fine. */
void clo_cursor_free(clo_cursor *cur);

/* What is read once serves the whole statement, which lasts while a cursor is open. A host whose cursors
 * come and go inside one (a correlated sub-select) holds it with such a pair. */
void clo_statement_begin(clo_client *client);
void clo_statement_end(clo_client *client);

/* ------------------------------------------------------------------------------------------
 * Custom fields as columns (fields.c)
 * ---------------------------------------------------------------------------------------- */

/* Reads the custom fields of `base` (close_leads, close_contacts, close_opportunities) and makes a table
 * with one more typed column per field: bound to the field's id, named after its label in lower
 * snake case, unique. Shared fields come from the proxy where it is enabled (close-api.md 8). */
typedef struct clo_fields clo_fields;
clo_fields *clo_fields_new(clo_client *client, const clo_table *base, clo_err *err) CLO_MUST_USE;
clo_status clo_fields_step(clo_fields *f, int wait_ms,
                           clo_err *err) CLO_MUST_USE; /* AGAIN, DONE, ERROR */
/* After DONE: the table; caller frees with clo_table_free after its last cursor. */
clo_table *clo_fields_take(clo_fields *f, clo_err *err) CLO_MUST_USE;
void clo_fields_free(clo_fields *f);
/* A dynamic table of the given extra columns (CLO_C_FIELD; name, type, path, doc are copied). */
clo_table *clo_table_extend(const clo_table *base, const clo_column *extra, size_t n,
                            clo_err *err) CLO_MUST_USE;
void clo_table_free(clo_table *table); /* only dynamic ones; NULL is fine */

/* ------------------------------------------------------------------------------------------
 * Outbox (outbox.c, job.c, fate.c): calls kept in a table of the host and sent later
 *
 * The table, its transactions and who may see which row are the host's. The core checks what goes
 * in; of a row that a worker of the host has claimed it says what to do, sends the call, finds out
 * what became of one whose answer was lost, and says what to write into the row.
 * ---------------------------------------------------------------------------------------- */

#define CLO_OUTBOX_LEASE_MS 60000 /* at most, on top of the time limit of a call */

typedef enum clo_box { /* clo_box_name gives the word in column `state` */
                       CLO_BOX_PENDING,
                       CLO_BOX_SENDING, /* claimed; without a living worker its fate is unknown and is looked up */
                       CLO_BOX_DONE,
                       CLO_BOX_FAILED,    /* certain: not carried out */
                       CLO_BOX_UNCERTAIN, /* only a person can tell */
                       CLO_BOX_CANCELLED
} clo_box;
const char *clo_box_name(clo_box state); /* static */

/* Checks a call that is to be sent later as a direct call is checked: tool, arguments, and what the
 * settings forbid. A tool that only reads is refused. *key (may be NULL) is the lead_id of the
 * parameters, or NULL; caller frees with clo_free. `params` may be NULL. */
clo_status clo_outbox_check(const clo_client *client, const char *tool, const char *params,
                            size_t len, char **key, clo_err *err) CLO_MUST_USE;

/* Options of close_enqueue: {"not_before", "ordering_key", "reference"}. */
typedef struct clo_outbox_options {
    char not_before[32]; /* canonical UTC time, "" when not given */
    char *ordering_key;  /* NULL: not given; "": given as null, no order */
    char *reference;     /* NULL: not given */
} clo_outbox_options;
/* `json` NULL: all "not given". Free with clo_outbox_options_free, also after an error. */
clo_status clo_outbox_options_read(const char *json, size_t len, clo_outbox_options *out,
                                   clo_err *err) CLO_MUST_USE;
void clo_outbox_options_free(clo_outbox_options *o);

/* Refuses to drain: settings that are missing, or the read-only switch. */
clo_status clo_outbox_ready(const clo_client *client, clo_err *err) CLO_MUST_USE;
/* Now, as microseconds; now and a moment relative to it, as canonical UTC text; microseconds as that
 * text; a text as microseconds. */
int64_t clo_outbox_now_us(void);
void clo_outbox_time(int64_t offset_ms, char out[32]);
void clo_outbox_time_text(int64_t us, char out[32]);
bool clo_outbox_time_us(const char *text, int64_t *us);
/* How long a worker owns a row that it has claimed. */
int64_t clo_outbox_lease_ms(const clo_client *client);

/* Which ordering keys are taken, for a worker that reads the open rows by id: of the rows with one key only
 * the first may go. Used by one transaction; the caller owns it. */
typedef struct clo_keys clo_keys;
clo_keys *clo_keys_new(clo_err *err) CLO_MUST_USE; /* NULL: `err` */
void clo_keys_free(clo_keys *keys);
/* OK: nobody had the key; it is taken now. AGAIN: it had been taken, the row waits. ERROR: out of memory.
 * An empty key is none: always OK. `key` is only read. */
clo_status clo_keys_take(clo_keys *keys, const char *key, size_t len, clo_err *err) CLO_MUST_USE;

/* A claimed row as a state machine (job.c). The host does what it says:
 *
 *      clo_job_new -> COMMIT -> { clo_jobs_step }* -> WRITE -> clo_job_outcome -> clo_job_written
 *                  -> COMMIT -> OVER -> clo_job_free
 *
 * Nothing is sent, or asked, before clo_job_committed has said that the claim is durable. */
typedef struct clo_job clo_job;

typedef enum clo_job_next {
    CLO_JOB_COMMIT,  /* the claim, or what was written, is not durable yet */
    CLO_JOB_SEND,    /* clo_jobs_step begins to send it */
    CLO_JOB_LOOK_UP, /* clo_jobs_step begins to ask for its fate; it is not sent */
    CLO_JOB_WAIT,    /* clo_jobs_step moves it on */
    CLO_JOB_WRITE,   /* clo_job_outcome says what to write into the row */
    CLO_JOB_OVER     /* clo_job_free */
} clo_job_next;

/* The row as the claim found it: in state sending now, with a lease, durable at the next commit. */
typedef struct clo_claim {
    int64_t id;
    const char *tool, *params; /* copied */
    size_t len;                /* of params */
    int attempts;              /* including this one, when it is to be sent */
    bool lost;                 /* it was in state sending before: not sent, looked up */
    int64_t sent_us;           /* when it was last sent, 0 unknown */
    int64_t lease_us;          /* the row is ours until then */
} clo_claim;

/* Takes a reference on the client. NULL: out of memory. */
clo_job *clo_job_new(clo_client *client, const clo_claim *claim, clo_err *err) CLO_MUST_USE;
/* Any state; a call under way is dropped and its row stays as it is in the table. NULL is fine. */
void clo_job_free(clo_job *job);
clo_job_next clo_job_what(const clo_job *job);
int64_t clo_job_id(const clo_job *job);
const char *clo_job_tool(const clo_job *job);
bool clo_job_asks(const clo_job *job); /* claimed as lost */

/* The transaction of the claim, or of clo_job_written, is durable: SEND, LOOK_UP, or OVER. */
void clo_job_committed(clo_job *job);
/* It has never been: OVER, or WRITE again. */
void clo_job_rolled_back(clo_job *job);
/* The host does not let it be sent: it ends with `why`. Only in SEND. */
void clo_job_refuse(clo_job *job, const clo_err *why);
/* Moves every job that is in SEND, LOOK_UP or WAIT (entries may be NULL); when none of all has come to
 * WRITE, waits at most wait_ms for one that is under way. */
void clo_jobs_step(clo_job *const *jobs, size_t n, int wait_ms);
/* In WRITE. True: take no further rows now, they would meet the same. *report (NULL: nothing): the
 * caller has to know, a person must act. */
bool clo_job_stops(const clo_job *job, const clo_err **report);

/* In WRITE, after a look-up: ids of objects that may be the effect, NULL beyond the last. The host drops those
 * that are the effect of another row, in the transaction that writes the outcome. */
const char *clo_job_candidate(const clo_job *job, size_t i);
void clo_job_drop(clo_job *job, size_t i);

/* What to write, unless the row is no longer ours (another worker, another attempt). Texts are borrowed
 * from the job; NULL leaves the column NULL, except as said. */
typedef struct clo_outcome {
    clo_box state;
    bool ended;      /* nothing happens to it any more, unless a person asks for it: to be told */
    bool finished;   /* `finished` is now; an uncertain row has ended but is not finished */
    int64_t wait_ms; /* PENDING: next_attempt, SENDING: lease_until, from now; else 0 */
    int attempts;    /* as claimed: the row has to say so still */
    bool uncounted;  /* the attempt does not count: the row was not at fault */
    const char *execution_id; /* NULL: stays */
    const char *object_id;
    bool claims;        /* the answer itself names the object: a look-up that gave it to another row
                         * was wrong, and that row is lost again */
    const char *result; /* JSON; NULL: {"id": object_id} if there is one, else it stays */
    size_t result_len;
    const char *error_class, *error;
} clo_outcome;
/* In WRITE. May be asked again after a roll-back. */
void clo_job_outcome(clo_job *job, clo_outcome *out);
/* It has been written, in a transaction that is not durable yet: COMMIT. */
void clo_job_written(clo_job *job);

/* Debug builds only: the environment variable CLO_TEST_CRASH=label kills the process at that step,
 * as kill -9 would. */
#ifdef CLO_DEBUG
void clo_test_crash(const char *label);
#else
#define clo_test_crash(label) ((void)0)
#endif

#endif
