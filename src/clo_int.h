/*
 * clo_int.h - declarations shared inside the core, one section per source file, in dependency
 * order. Hosts never include this file.
 */
#ifndef CLO_INT_H
#define CLO_INT_H

#include "clo.h"

#include <stdarg.h>

#define CLO_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* CLO_ASSERT states an invariant of ours, never a property of input. Off in release builds. */
#ifdef CLO_DEBUG
#define CLO_ASSERT(x) ((x) ? (void)0 : clo_assert_failed(#x, __FILE__, __LINE__))
#else
#define CLO_ASSERT(x) ((void)0)
#endif
void clo_assert_failed(const char *what, const char *file, int line);

/* ---- mem.c ------------------------------------------------------------------------------
 * The only callers of malloc, realloc and free. With CLO_DEBUG live blocks are counted and the
 * environment variable CLO_TEST_OOM=n makes the n-th allocation fail (once; "n+" from there on). */
void *clo_malloc(size_t size);           /* size 0 gives a unique block; NULL when out of memory */
void *clo_calloc(size_t n, size_t size); /* zeroed; checks the product */
void *clo_realloc(void *p, size_t size); /* p stays valid on failure */
void *clo_grow(void *p, size_t *cap, size_t need, size_t size); /* array growth by half, checked */
char *clo_strdup(const char *s);                                /* NULL in, NULL out */
char *clo_strndup(const char *s, size_t n);
void clo_wipe_free(char *s); /* a text that may be a secret: zeroed first; NULL is fine */

#ifdef CLO_DEBUG
/* Counts as one allocation: true when it is the one that has to fail. For allocations made by a
 * library on our behalf. */
bool clo_mem_fault(void);
/* The n-th allocation from now fails (n >= 1; 0 turns it off). Overrides CLO_TEST_OOM. Returns what was
 * left of the last setting: 0 when that allocation has failed or none was to fail. */
long clo_mem_fail(long n, bool from_there_on);
#else
#define clo_mem_fault() false
#endif

/* Arena: everything of one page freed at once. */
typedef struct clo_arena clo_arena;
clo_arena *clo_arena_new(void);
void *clo_arena_alloc(clo_arena *a,
                      size_t size); /* aligned for any type; NULL when out of memory */
char *clo_arena_strndup(clo_arena *a, const char *s, size_t n);
void clo_arena_reset(clo_arena *a); /* keeps its largest block */
void clo_arena_free(clo_arena *a);

/* ---- buf.c ------------------------------------------------------------------------------
 * Growable bytes with a stated maximum and a sticky error: after a failed append the content is
 * gone and every later append is a no-op, so a chain of appends needs one check at the end. */
typedef struct clo_buf {
    char *data; /* NUL-terminated once something was appended, else NULL */
    size_t len, cap, max;
    clo_code error; /* NONE, LIMIT or NOMEM */
} clo_buf;
void clo_buf_init(clo_buf *b, size_t max);
void clo_buf_free(clo_buf *b);  /* back to the state after init */
void clo_buf_reset(clo_buf *b); /* len = 0, keeps the memory, clears the error */
bool clo_buf_add(clo_buf *b, const void *p, size_t n);
/* It will probably become so long: room for that at once, where there is memory. */
void clo_buf_expect(clo_buf *b, size_t n);
bool clo_buf_str(clo_buf *b, const char *s);
bool clo_buf_fmt(clo_buf *b, const char *fmt, ...) CLO_PRINTF(2, 3);
bool clo_buf_uri(clo_buf *b, const char *s,
                 size_t n); /* percent-encodes all but RFC 3986 unreserved */
/* Hands the bytes over (caller: clo_free); never NULL unless the buffer failed, in which case `err`
 * is filled with LIMIT or NOMEM. */
char *clo_buf_take(clo_buf *b, size_t *len, const char *what, clo_err *err);
clo_status clo_buf_check(const clo_buf *b, const char *what, clo_err *err);

/* ---- err.c ------------------------------------------------------------------------------ */
clo_status clo_err_nomem(clo_err *err);
/* Length of the well-formed character at s (n bytes are there), 0 if it is not one. U+0000 is one. */
size_t clo_utf8_char(const char *s, size_t n);
/* Cuts at a UTF-8 boundary, makes control characters spaces and ill-formed bytes '?'. dst is always
 * terminated. */
void clo_text_cut(char *dst, size_t cap, const char *src, size_t len);
/* Secrets that no error text, log entry or detail may contain. The registry is the client's; the
 * masker replaces each occurrence by ***. Secrets shorter than 4 bytes are not searched for. */
typedef struct clo_secrets {
    char *items[8];
} clo_secrets;
void clo_secrets_set(clo_secrets *s, int slot, char *owned); /* takes ownership; NULL clears */
void clo_secrets_free(clo_secrets *s);
void clo_secrets_mask(const clo_secrets *s, char *text); /* in place; never grows */
void clo_err_mask(const clo_secrets *s, clo_err *err);   /* msg, detail, request_id */

/* ---- json.c -----------------------------------------------------------------------------
 * The only file that includes json-c. A clo_json is a json-c object; `get`, `at` and the texts are
 * borrowed from the root, which clo_json_free releases. */
typedef struct clo_json clo_json;
typedef enum clo_json_kind {
    CLO_J_NULL,
    CLO_J_BOOL,
    CLO_J_INT,
    CLO_J_REAL,
    CLO_J_STRING,
    CLO_J_ARRAY,
    CLO_J_OBJECT
} clo_json_kind;
/* One complete document: depth at most 64, nothing after it, no NaN, no integer beyond 64 bits, no
 * U+0000 in a key. `what` names it in the error (PROTO by default; a caller that parses user input
 * maps it to ARG). UTF-8 is not checked here, so that the error can name the row: see clo_utf8_ok.
 * NULL only on failure: the document `null` is a non-NULL handle of kind CLO_J_NULL. */
clo_json *clo_json_parse(const char *text, size_t len, const char *what, clo_err *err);
/* The same for an answer whose root is an object, at a tenth of the cost where nothing in it is unusual:
 * takes over the bytes then, so that *text is empty afterwards. What it returns, and every part of it, can
 * be read only, and a reference to a part keeps the whole. */
clo_json *clo_json_read(clo_buf *text, const char *what, clo_err *err);
size_t clo_json_bytes(const clo_json *j); /* memory of such an answer as a whole; 0: it is none */
/* Known to have neither ill-formed UTF-8 nor U+0000 in any of its texts. */
bool clo_json_clean(const clo_json *j);
clo_json *clo_json_object(void);
clo_json *clo_json_array(void);
clo_json *clo_json_ref(clo_json *j);
void clo_json_free(clo_json *j);
clo_json_kind clo_json_type(const clo_json *j); /* NULL pointer: CLO_J_NULL */
const clo_json *clo_json_get(const clo_json *obj,
                             const char *key); /* NULL: absent (or not an object) */
bool clo_json_has(const clo_json *obj, const char *key);
size_t clo_json_len(const clo_json *j); /* array elements or object members */
const clo_json *clo_json_at(const clo_json *arr, size_t i);
const char *clo_json_str(const clo_json *j, size_t *len); /* NULL unless a string */
int64_t clo_json_int(const clo_json *j);
double clo_json_real(const clo_json *j);
bool clo_json_bool(const clo_json *j);
typedef struct clo_json_iter {
    const void *p, *view;
    const char *key;
    const clo_json *value;
} clo_json_iter;
void clo_json_iter_init(clo_json_iter *it, const clo_json *obj);
bool clo_json_iter_next(clo_json_iter *it); /* key and value valid until the next */
/* The members of one object, for finding many of them by name. *place is where the last object of its kind had the
 * member, 0 at first: looked at first, and set. */
enum { CLO_MEMBERS_MAX = 256 };
struct clo_node;
typedef struct clo_members {
    const clo_json *object;
    const struct clo_node *names[CLO_MEMBERS_MAX]; /* view.h */
    unsigned char lens[CLO_MEMBERS_MAX];           /* of the names, 255 for longer ones */
    size_t n;                                      /* 0: they are looked for in the object */
} clo_members;
void clo_members_of(const clo_json *obj, clo_members *m);
const clo_json *clo_member(const clo_members *m, const char *key, uint16_t *place);
/* Those whose names begin with `prefix`, as one object without the prefix. *text NULL: no memory. False: not done. */
bool clo_members_some(const clo_members *m, const char *prefix, clo_arena *a, const char **text,
                      size_t *len);
/* Setters take ownership of `v` and return false when out of memory (v is freed then). */
bool clo_json_put(clo_json *obj, const char *key, clo_json *v);
bool clo_json_put_str(clo_json *obj, const char *key, const char *s, size_t n);
bool clo_json_put_int(clo_json *obj, const char *key, int64_t i);
bool clo_json_put_real(clo_json *obj, const char *key, double r);
bool clo_json_put_bool(clo_json *obj, const char *key, bool b);
bool clo_json_put_null(clo_json *obj, const char *key);
bool clo_json_push(clo_json *arr, clo_json *v);
clo_json *clo_json_new_str(const char *s, size_t n);
clo_json *clo_json_new_int(int64_t i);
clo_json *clo_json_new_bool(bool b);
clo_json *clo_json_new_null(void);                  /* never NULL, never needs freeing */
const char *clo_json_kind_name(clo_json_kind kind); /* "an object", "a string": for messages */
/* Compact text; borrowed from `j` until its next call or free. */
const char *clo_json_text(const clo_json *j, size_t *len);
/* The same; it may lie in `a` instead, and then lives as long. For many parts of one answer. */
const char *clo_json_text_in(const clo_json *j, clo_arena *a, size_t *len);

/* ---- value.c ---------------------------------------------------------------------------- */
bool clo_utf8_ok(const char *s, size_t n); /* well-formed, no surrogates; U+0000 counts as bad */
/* Timestamps: "2024-05-02T09:14:07.318000+00:00", "...Z", without offset (UTC), any fraction length,
 * a bare date (midnight), year 0001..9999. Microseconds since 1970. False: not a timestamp. */
bool clo_time_parse(const char *s, size_t n, int64_t *us);
void clo_time_format(int64_t us, char out[32]); /* YYYY-MM-DDTHH:MM:SS.ffffffZ */
bool clo_date_parse(const char *s, size_t n, int32_t *days);
void clo_date_format(int32_t days, char out[16]);
/* One JSON value as a column of `type`. Texts are borrowed from `j` where they need no change, else
 * copied into `a`. Absent or null: CLO_T_NULL. A value that does not fit is PROTO; the message names
 * table, row id and column. */
clo_status clo_value_of_json(const clo_json *j, const clo_table *t, const clo_column *c,
                             const char *row_id, clo_arena *a, clo_value *out, clo_err *err);
/* All needed columns of one row object. vals and places (zero before the first row, and kept from one to the
 * next) have t->n_columns elements. */
clo_status clo_row_of_json(const clo_json *row, const clo_table *t, const clo_colset *needed,
                           clo_arena *a, uint16_t *places, clo_value *vals, clo_err *err);
/* SQL equality of a row's value with a bound one (text bytewise, numbers by value, TIME by instant). */
bool clo_value_equal(const clo_value *a, const clo_value *b);
/* A bound value as JSON for a parameter of type `p`; NULL with `err` (ARG) when it does not fit. A JSONTEXT
 * parameter becomes a string of compact JSON. A NULL value gives the document null. */
clo_json *clo_json_of_value(const clo_value *v, const clo_param *p, const char *tool, clo_err *err);
/* Setting json_params=native: turns the JSONTEXT strings among `params` back into arrays and objects. */
clo_status clo_params_native(clo_json *params, const clo_tool *tool, clo_err *err);

/* ---- catalog.c --------------------------------------------------------------------------
 * Data files are reached through clo.h only; catalog.h is private to them. */
#define CLO_NAME_MAX 63 /* bytes of an identifier in PostgreSQL; every name of ours fits */
/* Misprints between two names, letter case aside; SIZE_MAX when one is longer than CLO_NAME_MAX.
 * For "did you mean" of any list of names. */
size_t clo_name_distance(const char *a, const char *b);

/* ---- config.c --------------------------------------------------------------------------- */
typedef enum clo_opt { /* index into the option table; keep in step with config.c */
                       CLO_OPT_ENV_URL,
                       CLO_OPT_CLIENT_ID,
                       CLO_OPT_CLIENT_SECRET,
                       CLO_OPT_CONNECTION,
                       CLO_OPT_IDENTIFIER,
                       CLO_OPT_CA_FILE,
                       CLO_OPT_CONNECT_TIMEOUT_MS,
                       CLO_OPT_TIMEOUT_MS,
                       CLO_OPT_RETRIES,
                       CLO_OPT_RETRY_BUDGET_MS,
                       CLO_OPT_CONCURRENCY,
                       CLO_OPT_PAGE_SIZE,
                       CLO_OPT_MAX_ROWS,
                       CLO_OPT_MAX_BYTES,
                       CLO_OPT_CACHE_TTL_MS,
                       CLO_OPT_CACHE_BYTES,
                       CLO_OPT_READONLY,
                       CLO_OPT_ALLOW_MESSAGES,
                       CLO_OPT_JSON_PARAMS,
                       CLO_OPT_LOG_SIZE,
                       CLO_OPT_LOG_VALUES,
                       CLO_OPT_OUTBOX_ATTEMPTS,
                       CLO_OPT_OUTBOX_SETTLE_MS,
                       CLO_OPT_OUTBOX_KEEP_HOURS,
                       CLO_OPT_LOOKAHEAD,
                       CLO_OPT_LOOKUP_BYTES,
                       CLO_OPT__COUNT
} clo_opt;
typedef struct clo_config {
    /* What each origin says; owned. Everything below is derived from it by clo_config_set. */
    char *layer[CLO_FROM_LOCK + 1][CLO_OPT__COUNT];
    const char *text[CLO_OPT__COUNT]; /* the layer that wins; NULL: default */
    clo_origin from[CLO_OPT__COUNT];
    int64_t number[CLO_OPT__COUNT]; /* INT and BOOL, effective; ENUM: index of the choice */
    unsigned identity;              /* grows with each change of an IDENTITY setting */
    /* The first environment variable that was refused; kept until the first call, so that a host
     * loads with it all the same. */
    const struct clo_option *env_wrong; /* NULL: none */
    clo_err env_err;
} clo_config;
void clo_config_init(clo_config *c);
void clo_config_free(clo_config *c);
clo_status clo_config_set(clo_config *c, const char *name, const char *value, clo_origin from,
                          clo_err *err);
clo_status clo_config_env(clo_config *c, clo_err *err);
/* A refused environment variable that no other origin has replaced since. */
clo_status clo_config_env_ok(const clo_config *c, clo_err *err);
const char *clo_config_text(const clo_config *c, clo_opt o); /* effective, NULL when unset */
int64_t clo_config_int(const clo_config *c, clo_opt o);
char *clo_config_json(const clo_config *c, clo_err *err);
/* Missing setting needed before a call: "SCALEKIT_ENV_URL is not set: ..." with the hint. Asks for all
 * of env_url, client_id, client_secret and identifier; _need asks for one of them (a call that brings
 * its own identifier does not need the setting). */
clo_status clo_config_ready(const clo_config *c, clo_err *err);
clo_status clo_config_need(const clo_config *c, clo_opt o, clo_err *err);

/* ---- http.c -----------------------------------------------------------------------------
 * One transfer as a resumable state machine over the libcurl multi interface. Knows no JSON. */
typedef struct clo_http clo_http;
typedef struct clo_xfer clo_xfer;
typedef struct clo_http_req {
    const char *method, *url;
    const char *const *headers; /* NULL-ended "Name: value" */
    const char *body;           /* NULL: none */
    size_t body_len;
    bool
        replay_safe; /* false: never sent twice, not even by libcurl on a dead kept-alive connection */
    int connect_timeout_ms, timeout_ms;
    size_t max_bytes;    /* decoded body */
    const char *ca_file; /* NULL: system */
} clo_http_req;
typedef enum clo_sent { CLO_SENT_NO, CLO_SENT_MAYBE } clo_sent;
typedef struct clo_http_res {
    int status;   /* 0: no response */
    clo_buf body; /* decoded */
    char content_type[64];
    int64_t retry_after_ms; /* Retry-After as seconds or HTTP date; -1: none */
    int64_t ratelimit_reset_ms, ratelimit_limit,
        ratelimit_remaining; /* RateLimit header; -1: none */
    char location[8];        /* "yes" when a redirect was answered (never followed) */
    char request_id[64];
    clo_sent sent;   /* whether any of the request may have reached the service */
    int connections; /* new connections that it took: 0 when a kept one was reused */
    int64_t ms, bytes_out, bytes_in;
    clo_err err; /* code NONE when an HTTP answer arrived whole */
} clo_http_res;
clo_http *clo_http_new(clo_err *err);
void clo_http_free(clo_http *h);
/* Copies what it needs from req. https only, http for loopback hosts. NULL on failure. */
clo_xfer *clo_http_start(clo_http *h, const clo_http_req *req, clo_err *err);
/* Sends what is new, waits at most wait_ms for any transfer of this client to move, then moves all. */
clo_status clo_http_pump(clo_http *h, int wait_ms, clo_err *err);
bool clo_xfer_done(const clo_xfer *x);
clo_http_res *clo_xfer_result(clo_xfer *x); /* only when done; body may be taken from it */
void clo_xfer_free(clo_xfer *x);            /* running: dropped, socket closed */
int clo_http_running(const clo_http *h);
/* At most n connections to one host; further transfers queue inside. */
void clo_http_limit(clo_http *h, int n);
unsigned clo_http_turns(const clo_http *h); /* how often transfers were moved */
/* MAYBE once any of a running or finished request may have left. */
clo_sent clo_xfer_sent(const clo_xfer *x);
bool clo_url_ok(const char *url, clo_err *err); /* https, or http to 127.0.0.0/8, ::1, localhost */

/* ---- retry.c ---------------------------------------------------------------------------- */
int64_t clo_now_us(void);  /* the clock of clo_now_ms, finer */
int64_t clo_wall_us(void); /* microseconds since 1970 */
typedef struct clo_retry {
    int attempt;         /* failed attempts so far; clo_retry_next counts them */
    int timeouts;        /* of these, time limits */
    int max;             /* retries allowed */
    int64_t deadline_ms; /* monotonic; end of the budget */
    uint64_t seed;       /* jitter */
} clo_retry;
void clo_retry_init(clo_retry *r, int max, int64_t budget_ms);
/* Once per failed attempt. -1: give up; else milliseconds to wait before the next one. `writes`: only when nothing was done
 * (sent == CLO_SENT_NO, or a 429). Honours retry_after_ms, capped at 30 s by
 * scalekit-http-api.md 3.5. */
int64_t clo_retry_next(clo_retry *r, const clo_err *err, bool writes, clo_sent sent);

/* ---- limit.c ------------------------------------------------------------------------------
 * How many requests a second the service allows, learnt; shared by whoever has the table. Knows no
 * clock (times are microseconds of CLOCK_MONOTONIC, given by the caller) and no calls. Nothing blocks. */
typedef struct clo_limits clo_limits;
clo_limits *clo_limits_process(void); /* the one of this process */
/* What a limit belongs to, by name; never 0. */
uint64_t clo_limit_key(const char *const *parts, size_t n);
/* The moment from which a request may leave; not later than `now`: at once. Changes nothing. */
int64_t clo_limit_ready(clo_limits *l, uint64_t key, int64_t now);
/* The same, and when it may leave at once it counts as gone. *number tells it from the others. */
int64_t clo_limit_take(clo_limits *l, uint64_t key, int64_t now, int64_t *number);
typedef struct clo_limit_refusal {
    int64_t number, left_us; /* of the request that was refused */
    int64_t pause_us;        /* what the service asked for, or will be waited */
} clo_limit_refusal;
void clo_limit_refused(clo_limits *l, uint64_t key, const clo_limit_refusal *r, int64_t now);
typedef struct clo_limit_header {
    int64_t number;           /* of the request whose answer carried it */
    int64_t limit, remaining; /* -1: not said */
    int64_t reset_us;
} clo_limit_header;
void clo_limit_hint(clo_limits *l, uint64_t key, const clo_limit_header *h, int64_t now);
double clo_limit_rate(clo_limits *l, uint64_t key, int64_t now); /* a second; 0: no limit known */

/* ---- request.c -------------------------------------------------------------------------- */
typedef enum clo_reqkind { CLO_REQ_TOOL, CLO_REQ_PROXY, CLO_REQ_LINK, CLO_REQ_ACCOUNT } clo_reqkind;
struct clo_request {
    clo_reqkind kind;
    const clo_tool *tool; /* NULL: unknown tool or no tool */
    char *name;           /* tool name or "GET /path" */
    clo_json *params;     /* object; tools: params, link/account: identifier */
    bool writes, creates;
    bool internal;       /* rows are checked one by one: the answer as a whole need not be */
    char *method, *path; /* proxy; path with query, encoded */
    char *body;
    size_t body_len;
};
clo_request *clo_request_new(clo_reqkind kind, const clo_tool *tool, const char *name,
                             clo_err *err);
/* Internal reads build params themselves: takes ownership of params. */
clo_request *clo_request_read(const char *tool, clo_json *params, clo_err *err);
/* Refuses what the settings forbid: writers when readonly, sending messages without allow_messages. */
clo_status clo_request_allowed(const clo_request *req, const clo_config *config, clo_err *err);

/* ---- scalekit.c (message.c, auth.c, classify.c) ------------------------------------------
 * Token, envelope, errors. */
enum { CLO_LIMIT_SCALEKIT, CLO_LIMIT_CLOSE, CLO_LIMITS_OF_CALL };
typedef enum clo_call_state {
    CLO_CALL_TOKEN,  /* needs a bearer token: has one, fetches it or waits for who does */
    CLO_CALL_READY,  /* will send at not_before_ms or when the limiter lets it */
    CLO_CALL_FLIGHT, /* waits for the answer */
    CLO_CALL_DONE,
    CLO_CALL_FAILED
} clo_call_state;
struct clo_call {
    clo_client *client;
    clo_request *req;
    clo_call_state state;
    /* Settings as they were when the call was made. */
    unsigned identity;
    char *env_url, *connection, *identifier, *ca_file;
    int connect_timeout_ms, timeout_ms;
    size_t max_bytes;
    char *url, *body; /* of the request; body NULL: none */
    size_t body_len;
    char *token; /* bearer that this call sends */
    clo_xfer *xfer, *token_xfer;
    clo_retry retry;
    bool started, refreshed, waiting;
    unsigned fails_seen, turn_seen;
    int64_t not_before_ms;
    uint64_t limits[CLO_LIMITS_OF_CALL]; /* keys of what counts it; 0: none */
    int64_t numbers[CLO_LIMITS_OF_CALL];
    int64_t sent_us;      /* when the present attempt left */
    int64_t held_ms;      /* since when it has waited for the limiter; 0: it does not */
    clo_json *answer;     /* the parsed body */
    const clo_json *data; /* what the caller asked for, inside answer */
    char *text;           /* proxy and internal reads: the body */
    size_t text_len;
    const char *shown; /* `data` as text, once a host has stepped to the end */
    size_t shown_len;
    clo_err err; /* why it failed */
    int64_t began_ms, bytes_in;
    int64_t arrived_ms; /* when the last answer was seen; 0: none since it was sent last */
    int attempts;
    clo_log_entry log;
};
/* message.c: makes call->url and call->body from its request and settings. */
bool clo_call_message(clo_call *call, clo_err *err);
/* auth.c: OK: call->token is set; AGAIN: being fetched; ERROR. */
clo_status clo_token_poll(clo_call *call, clo_err *err);
void clo_token_abandon(clo_call *call); /* the call goes away: another one may fetch */
/* Notes that the call wants to be polled at that moment; clo_client_wait will not sleep beyond it. */
void clo_call_wake_at(clo_call *call, int64_t at_ms);
/* True when the transfer is done; moves transfers if nobody else does. An error is in `err`. */
bool clo_call_moved(clo_call *call, const clo_xfer *x, clo_err *err);
/* Starts a transfer with the settings of the call. */
clo_xfer *clo_call_send(clo_call *call, const char *method, const char *url,
                        const char *const *headers, const char *body, size_t body_len,
                        bool replay_safe, clo_err *err);
/* Parsed `data` of a finished tool call: clo_json borrowed from the call. Only after DONE. */
const clo_json *clo_call_data(const clo_call *call);
/* An answer is there that says success: the next poll reads it, which takes time and memory. */
bool clo_call_arrived(clo_call *call);
int64_t clo_call_bytes(const clo_call *call);
const char *clo_call_body(const clo_call *call, size_t *len); /* of an internal read; NULL: none */
int clo_call_attempts(const clo_call *call);
/* Moves the call as far as it can without waiting; DONE, AGAIN or ERROR. */
clo_status clo_call_poll(clo_call *call, clo_err *err);
/* From an HTTP answer to an error of the right class (scalekit-http-api.md 3, close-api.md 5).
 * Returns false when the answer is a success. `proxy`: the body is Close's own or the proxy's. */
bool clo_classify(const clo_http_res *res, const clo_json *body, bool proxy, const char *what,
                  bool writes, clo_err *err, bool *bearer_refused);
/* Puts where and why the answer is no JSON, as the parser said it, in place of the bare fact. */
void clo_err_not_json(clo_err *err, const clo_err *parse);
/* Turns the error of a write that may have happened into UNCERTAIN; the cause stays in the words. */
void clo_err_uncertain(clo_err *err, const char *what);

/* ---- client.c --------------------------------------------------------------------------- */
typedef struct clo_cache clo_cache;
struct clo_client {
    long refs;
    clo_config config;
    clo_secrets secrets;
    clo_http *http;              /* made on first use */
    char *token;                 /* bearer, NULL: none */
    int64_t token_until_ms;      /* monotonic */
    unsigned token_identity;     /* config.identity it belongs to */
    struct clo_call *token_call; /* call that is fetching the token now; others wait for it */
    unsigned token_fails;        /* fetches that failed: whoever waited for one shares its error */
    clo_err token_err;
    clo_limits *limits; /* where the allowed rate is learnt; not ours */
    uint64_t slowest;   /* what last held a call back; 0: nothing did */
    int64_t wake_ms;    /* earliest moment that a polled call waits for, 0: none */
    char *last_id;
    clo_cache *cache;
    int open_cursors;           /* and statements held: answers are shared while > 0 */
    int64_t cursors_since_ms;   /* monotonic: when open_cursors last left 0 (cursor.c) */
    struct clo_fetch *fetches;  /* reads under way, for sharing (fetch.c) */
    struct clo_cursor *cursors; /* the open ones, newest first (cursor.c) */
    struct clo_lookup *lookups; /* what single lookups of this statement share (lookup.c) */
    struct clo_again *agains;   /* tables that this statement has read whole (again.c) */
    clo_log_entry *log;
    size_t log_cap, log_len, log_next;
    int64_t stat[16];
    double known_rows[64]; /* by table index, < 0 unknown */
};
enum clo_stat {
    CLO_STAT_REQUESTS,
    CLO_STAT_RETRIES,
    CLO_STAT_ERRORS,
    CLO_STAT_WRITES,
    CLO_STAT_UNCERTAIN,
    CLO_STAT_TOKENS,
    CLO_STAT_BYTES_OUT,
    CLO_STAT_BYTES_IN,
    CLO_STAT_ROWS,
    CLO_STAT_CACHE_HITS,
    CLO_STAT_CONNECTIONS,
    CLO_STAT_RATE_WAITS,
    CLO_STAT_RATE_HELD_MS,
    CLO_STAT_RATE_PER_MINUTE,
    CLO_STAT__COUNT
};
clo_status clo_client_http(clo_client *c, clo_err *err); /* makes c->http */
/* Registers the present client secret for masking; a call checks it again before it is used. */
clo_status clo_client_know_secret(clo_client *c, clo_err *err);
void clo_client_drop_token(clo_client *c);
/* Takes ownership of `token`, also on failure. */
clo_status clo_client_keep_token(clo_client *c, char *token, int64_t until_ms, clo_err *err);
void clo_client_log(clo_client *c, const clo_log_entry *e);
/* Waits at most wait_ms, and not beyond `until_ms` (monotonic, 0: no limit), for transfers. */
clo_status clo_client_wait(clo_client *c, int wait_ms, int64_t until_ms, clo_err *err);

/* ---- cache.c ----------------------------------------------------------------------------
 * Answers of reads by tool and parameters: within a statement always, across statements for cache_ttl_ms.
 * Bounded by cache_bytes, least recently used out first. A write through the client empties it. */
clo_cache *clo_cache_new(void);
void clo_cache_free(clo_cache *c);
/* NULL: not there (or too old). The returned document is a reference for the caller (clo_json_free). */
clo_json *clo_cache_get(clo_cache *c, const char *key, size_t len, int64_t now_ms, int64_t ttl_ms);
/* Takes a reference of its own; the caller says what the document counts for. */
void clo_cache_put(clo_cache *c, const char *key, size_t len, clo_json *doc, size_t doc_bytes,
                   size_t max_bytes, int64_t now_ms);
void clo_cache_clear(clo_cache *c);
/* For tables of keys that are not chosen by strangers. */
uint64_t clo_hash(const char *key, size_t len);
/* The same with an answer as it came, which takes a fraction of the memory of a parsed one; copied. The text that
 * _text returns is borrowed until the cache is used again; _get gives documents only, _text texts only. */
void clo_cache_put_text(clo_cache *c, const char *key, size_t len, const char *text,
                        size_t text_len, size_t max_bytes, int64_t now_ms);
const char *clo_cache_text(clo_cache *c, const char *key, size_t len, int64_t now_ms,
                           int64_t ttl_ms, size_t *text_len);
/* Grows with each clear: who keeps answers elsewhere compares. */
unsigned clo_cache_generation(const clo_cache *c);

/* ---- fate.c -----------------------------------------------------------------------------
 * The fate of a call that was sent and not answered: looks for its effect at the service. */
typedef struct clo_fate clo_fate;
typedef enum clo_fate_verdict {
    CLO_FATE_FOUND,  /* it was carried out */
    CLO_FATE_ABSENT, /* it was not, or repeating it changes nothing: send it (again) */
    CLO_FATE_UNKNOWN
} clo_fate_verdict;
/* `sent_us`: when it was last sent. Sends nothing before the first step. */
clo_fate *clo_fate_new(clo_client *client, const char *tool, const char *params, size_t len,
                       int64_t sent_us, clo_err *err) CLO_MUST_USE;
/* AGAIN, DONE or ERROR. Blocks at most wait_ms. */
clo_status clo_fate_step(clo_fate *f, int wait_ms, clo_err *err) CLO_MUST_USE;
/* After DONE: clo_job_candidate and clo_job_drop. */
const char *clo_fate_candidate(const clo_fate *f, size_t i);
void clo_fate_drop(clo_fate *f, size_t i);
/* FOUND: *id is the object (NULL when there is none to name). `err` (UNCERTAIN) gets the reason of
 * UNKNOWN. */
clo_fate_verdict clo_fate_judge(const clo_fate *f, const char **id, clo_err *err);
void clo_fate_free(clo_fate *f); /* NULL is fine */

typedef enum clo_fate_means {
    CLO_FATE_REPEAT, /* repeating it ends in the same state */
    CLO_FATE_ASK,    /* its effect can be looked up */
    CLO_FATE_NONE    /* neither */
} clo_fate_means;
clo_fate_means clo_fate_means_of(const char *tool, const char *params, size_t len);
/* How two texts compare, when the service may have tidied one of them: 2 the same, 1 nearly, 0 not. */
int clo_fate_alike(const char *sent, size_t n, const char *found, size_t m, bool rich);

/* ---- outbox.c ---------------------------------------------------------------------------
 * What each end of an attempt means for its row; without clock, network or table. */
/* Pause before the next attempt: doubles from 2 s to an hour, half of it random by `seed`; not less than what the
 * service asked for. */
int64_t clo_outbox_delay(int attempts, int retry_after_ms, uint64_t seed);
/* A call may only begin to leave while this holds, so it has ended, or timed out, before its lease does. */
bool clo_outbox_may_send(const clo_client *client, int64_t lease_us, int64_t now_us);
/* What happens to a row next. */
typedef struct clo_outbox_next {
    clo_box state;
    int64_t wait_ms; /* PENDING: until it is due; SENDING: until its fate is asked for */
    bool uncounted;  /* the attempt does not count: the row was not at fault */
    bool stop;       /* take no further rows now: they would meet the same */
    bool report;     /* ... and the caller has to know, a person must act */
} clo_outbox_next;
/* After a call ended with `err`; `attempts` counts this one. */
void clo_outbox_after_call(const clo_client *client, const char *tool, const char *params,
                           size_t len, const clo_err *err, int attempts, int64_t now_us,
                           clo_outbox_next *out);
/* After a step of a look-up failed: SENDING (ask again later) or UNCERTAIN. */
void clo_outbox_after_fate(const clo_err *err, int64_t sent_us, int64_t now_us,
                           clo_outbox_next *out);
/* After ABSENT. */
void clo_outbox_after_absent(const clo_client *client, int attempts, clo_outbox_next *out);
/* What a finished call says besides its result: execution id ("" if none), and the id of the object
 * that a create made (NULL if none). Borrowed from the call. */
const char *clo_outbox_execution_id(const clo_call *call);
const char *clo_outbox_object_id(const clo_call *call);

/* ---- job.c ------------------------------------------------------------------------------
 * The machine without its pump: the events that clo_jobs_step reports to it, and that tests report instead of a
 * network. An event out of turn changes nothing. */
/* The one request of a job in SEND, which is then in WAIT. NULL: it is not its turn, or the job has ended in
 * WRITE, because the call is refused before it is sent. */
clo_request *clo_job_request(clo_job *job, int64_t now_us);
/* The question of a job in LOOK_UP may be asked; it is then in WAIT. */
bool clo_job_question(clo_job *job);
/* Before each step of a call of which nothing has left yet. False: its lease has no room for it any more; the call is
 * gone and the row goes back. */
bool clo_job_may_leave(clo_job *job, int64_t now_us);
void clo_job_answered(clo_job *job);
void clo_job_failed(clo_job *job, const clo_err *err, int64_t now_us); /* the call or the look-up */
void clo_job_looked(clo_job *job);
/* After clo_job_looked, in WRITE. `object` is borrowed; `err` says why it is UNKNOWN. */
void clo_job_judged(clo_job *job, clo_fate_verdict verdict, const char *object, const clo_err *err);

#endif
