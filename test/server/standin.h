/*
 * close-standin: a local service that behaves like Scalekit's JSON API in front of the Close CRM.
 *
 * Layers, top to bottom; each knows only the ones below it:
 *   main.c                    command line, signals
 *   http.c send.c             HTTP in and out, raw socket faults, compression
 *   control.c reqlog.c        /_standin/: log, faults, configuration, mutation
 *   fault.c                   which request goes wrong, and how
 *   scalekit.c tools.c        token, execute_tool, proxy, accounts; tool -> Close call
 *   kept.c                    finished answers to reads, kept for the next who asks
 *   rest*.c query.c filter.c  Close's REST API
 *   store.c gen.c render.c    rows, generated data, derived members
 *   util.c                    memory, text, JSON, time, ids
 *
 * Ownership: every js pointer returned is owned by the caller unless the name ends in _ref or the
 * comment says "borrowed". All data is guarded by one lock, st_app.lock, taken in http.c around
 * dispatch: json-c's reference counts are not atomic, so no object crosses threads unguarded.
 */
#ifndef STANDIN_H
#define STANDIN_H

#include <json-c/json.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct json_object js;

#define ST_NONE UINT32_MAX
#define ST_SECOND INT64_C(1000000)
#define ST_DAY (86400 * ST_SECOND)
#define ST_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- util.c ---- */

struct st_text {
    char *s;
    size_t n, cap;
};

void *st_alloc(size_t n);
void *st_grow(void *p, size_t n);
char *st_dup(const char *s);
void st_put(struct st_text *t, const char *s, size_t n);
void st_puts(struct st_text *t, const char *s);
void st_putf(struct st_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void st_text_free(struct st_text *t);

js *js_ref(js *o, const char *key); /* borrowed, NULL when absent or null */
const char *js_str(js *o, const char *key);
int64_t js_int(js *o, const char *key, int64_t dflt);
bool js_true(js *o, const char *key, bool dflt);
void js_add(js *o, const char *key, js *value);
void js_adds(js *o, const char *key, const char *value); /* NULL gives null */
void js_addi(js *o, const char *key, int64_t value);
void js_addb(js *o, const char *key, bool value);
void js_addf(js *o, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
js *js_new_str(const char *s);
js *js_copy(js *o);
js *js_parse(const char *s, size_t n); /* NULL unless exactly one JSON text; s[n] must be 0 */
bool js_is(js *o, enum json_type t);
const char *js_text(js *o); /* borrowed, compact */

int64_t st_now(void);
bool st_time_parse(const char *s, int tz_hours, int64_t *us, bool *date_only);
void st_time_classic(int64_t us, char out[40]); /* +00:00, no fraction when it is zero */
void st_time_naive(int64_t us, char out[40]);
void st_time_date(int64_t us, char out[16]);

uint64_t st_mix(uint64_t x);
uint64_t st_rand(uint64_t *state);
uint64_t st_hash(const char *s);
void st_id(char *out, const char *prefix, int len, uint64_t seed);
bool st_has_prefix(const char *s, const char *prefix);
/* The next item of a comma list: false at the end; blanks around items are dropped. */
bool st_comma(const char **list, char *out, size_t cap);

/* ---- store.c: rows ---- */

enum st_tab {
    T_LEAD,
    T_CONTACT,
    T_OPP,
    T_TASK,
    T_ACTIVITY,
    T_COMMENT,
    T_THREAD,
    T_PIPELINE,
    T_SEQUENCE,
    T_SUB,
    T_USER,
    T_WEBHOOK,
    T_CF_LEAD,
    T_CF_CONTACT,
    T_CF_OPP,
    T_CF_SHARED,
    T_LSTATUS,
    T_OSTATUS,
    T_COTYPE,
    T_CUSTOBJ,
    T_VIEW,
    T_EVENT,
    T_JOB,
    T_COUNT
};

/* Activity kinds; st_row.kind of T_ACTIVITY. */
enum st_act {
    A_NOTE,
    A_CALL,
    A_EMAIL,
    A_SMS,
    A_MEETING,
    A_CREATED,
    A_LEAD_STATUS,
    A_OPP_STATUS,
    A_TASK_DONE,
    A_MERGE,
    A_CUSTOM,
    A_COUNT
};

/* A generated row has obj == NULL until it is changed: its object is computed from gen whenever
 * it is needed, so a big data set costs about a hundred bytes a row. */
struct st_row {
    char id[56];
    int64_t created, updated;
    int64_t visible_at; /* the search does not see the row before */
    js *obj;
    uint32_t gen;
    uint32_t lead; /* row number in T_LEAD, or ST_NONE */
    uint8_t kind;
    bool live;
    bool dying; /* deleted by a client, still to be seen for a while */
};

/* Rows are only ever appended, so row numbers stay valid; order lists the live ones. */
struct st_table {
    struct st_row *rows;
    uint32_t n, cap;
    uint32_t *order;
    uint32_t n_live, order_cap;
    uint32_t *slots;
    uint32_t n_slots;
    uint32_t generated;
    uint32_t *first; /* first[lead] .. first[lead+1]: generated rows of a generated lead */
    bool moved;      /* a merge made first[] incomplete */
};

struct st_cached {
    char *key;
    uint64_t generation, used;
    int64_t until; /* the selection changes by itself then */
    uint32_t *rows;
    uint32_t n;
    js *extra;
};

struct st_dataset {
    uint64_t seed;
    uint32_t n_leads;
    uint64_t fresh;      /* generation right after generating: equal means untouched */
    uint64_t generation; /* counts changes: a cached result is valid for one value */
    uint64_t serial;
    int64_t until; /* when what was computed since it was set changes by itself: st_until() */
    struct st_table t[T_COUNT];
    struct st_cached cache[16];
    uint64_t cache_clock;
    char **search; /* lower-case text per generated lead row, made when first searched */
    uint32_t n_search;
    js *outbox;
    char org[56];
    char user[56]; /* whose credentials these are */
    char email[80];
    char phone[24];
};

/* What is being computed depends on the clock: it will be something else from `at` on. */
void st_until(struct st_dataset *ds, int64_t at);
struct st_dataset *st_dataset_new(uint64_t seed, uint32_t leads);
void st_dataset_free(struct st_dataset *ds);
uint32_t st_find(struct st_dataset *ds, enum st_tab t, const char *id);
/* Takes obj, which has its id already; before is a position among the live rows, ST_NONE = end. */
uint32_t st_append(struct st_dataset *ds, enum st_tab t, js *obj, uint32_t lead, uint32_t before);
uint32_t st_append_generated(struct st_dataset *ds, enum st_tab t, const struct st_row *row);
void st_index_done(struct st_dataset *ds, enum st_tab t);
void st_remove(struct st_dataset *ds, enum st_tab t, uint32_t row);
/* The stored object, made permanent so that it can be changed in place; borrowed. */
js *st_edit(struct st_dataset *ds, enum st_tab t, uint32_t row);
void st_touch(struct st_dataset *ds, enum st_tab t, uint32_t row); /* after an edit */
js *st_stored(struct st_dataset *ds, enum st_tab t, const struct st_row *row);
/* Live rows of table t that belong to the lead; returns the number, *rows is freed by the caller. */
uint32_t st_children(struct st_dataset *ds, enum st_tab t, uint32_t lead, uint32_t **rows);
void st_new_id(struct st_dataset *ds, const char *prefix, int len, char out[56]);
struct st_cached *st_cache_find(struct st_dataset *ds, const char *key);
struct st_cached *st_cache_add(struct st_dataset *ds, const char *key, uint32_t *rows, uint32_t n);
void st_search_forget(struct st_dataset *ds, uint32_t lead);
const char *st_table_name(enum st_tab t);
bool st_is_naive(enum st_tab t);
js *st_row_obj_ref(struct st_dataset *ds, enum st_tab t, const char *id); /* small tables */

/* ---- gen*.c ---- */

void st_generate(struct st_dataset *ds);
void st_generate_config(struct st_dataset *ds); /* users, statuses, fields, ...: gen_conf.c */
js *st_gen_object(struct st_dataset *ds, enum st_tab t, const struct st_row *row);
js *st_gen_activity(struct st_dataset *ds, const struct st_row *row);
js *st_gen_minor(struct st_dataset *ds, enum st_tab t, const struct st_row *row);
/* The nth row of a small table, wrapped around; borrowed. */
js *st_nth_ref(struct st_dataset *ds, enum st_tab t, uint64_t n);
const char *st_nth_id(struct st_dataset *ds, enum st_tab t, uint64_t n);
const char *st_word(uint64_t r);
void st_lead_name(struct st_dataset *ds, uint32_t gen, char *out, size_t cap);
const char *st_act_type(enum st_act a);
void st_stamp(js *o, const char *key, int64_t us, bool naive);
void st_common(struct st_dataset *ds, js *o, const struct st_row *row, bool naive);
uint64_t st_row_seed(const struct st_dataset *ds, enum st_tab t, uint32_t gen);
uint32_t st_gen_contact_of(struct st_dataset *ds, uint32_t lead, uint64_t r);
extern const char *const st_cf_tables[];

/* ---- render.c: stored object -> what the service answers ---- */

/* want: comma list of top-level members, or NULL for all. Only wanted members are computed. */
js *st_render(struct st_dataset *ds, enum st_tab t, const struct st_row *row, const char *want);
js *st_project(js *o, const char *want); /* takes o */
bool st_wants(const char *want, const char *key);
const char *st_user_name(struct st_dataset *ds, const char *id, char *buf, size_t cap);
js *st_me(struct st_dataset *ds);

/* ---- filter.c, query.c ---- */

enum st_type { ST_STRING, ST_INTEGER, ST_BOOLEAN, ST_OBJECT, ST_ARRAY };

struct st_call {
    struct st_app *app;
    struct st_dataset *ds;
    const char *identifier;
    const char *method;
    const char *path; /* below /api/v1 */
    js *query;        /* object of strings */
    js *body;         /* NULL when none */
    bool body_bad;    /* there was a body and it is not JSON */
    bool json_type;   /* Content-Type is application/json */
    int tz;
};

struct st_answer {
    int status;
    js *body; /* NULL = empty */
    char location[512];
};

struct st_filter {
    const char *name;
    const char *ops; /* letters: e equality, i __in, r ranges */
    enum { F_TEXT, F_BOOL, F_TIME, F_LEAD, F_ID, F_KIND } type;
};

struct st_resource {
    const char *name, *path;
    enum st_tab table;
    int kind; /* activity kind, or -1 */
    int64_t max_limit, max_skip;
    unsigned flags;
    const struct st_filter *filters;
    const char *order; /* comma list of sort keys */
};

enum {
    R_TOTAL = 1,      /* total_results */
    R_WHOLE = 2,      /* no paging at all */
    R_BARE = 4,       /* no has_more */
    R_FIELDS = 8,     /* honours _fields */
    R_NEWEST = 16,    /* newest first by default */
    R_READ_ONLY = 32, /* list only */
    R_NO_GET = 64,
};

const struct st_resource *st_resources(size_t *n);
const struct st_resource *st_resource_of(enum st_tab t, int kind);
/* Row numbers that match, in order. False: answer holds the error. */
bool st_select(struct st_call *c, const struct st_resource *r, struct st_answer *a,
               struct st_cached **out);
/* Runs a lead query. NULL and err filled when it cannot be understood. */
bool st_query_run(struct st_dataset *ds, const char *text, bool ignore_unknown, uint32_t **rows,
                  uint32_t *n, char *err, size_t errcap);

/* ---- rest*.c ---- */

void st_rest(struct st_call *c, struct st_answer *a);
void st_rest_list(struct st_call *c, const struct st_resource *r, struct st_answer *a);
void st_fail(struct st_answer *a, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void st_fail_field(struct st_answer *a, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void st_ok(struct st_answer *a, int status, js *body);
void st_not_found(struct st_answer *a, const char *what);

enum { W_CREATE = 1, W_UPDATE = 2, W_REQUIRED = 4, W_NULL = 8 };
enum st_ftype {
    V_STR,
    V_INT,
    V_BOOL,
    V_LIST,
    V_DICT,
    V_DATE,
    V_TIME,
    V_DATE_OR_TIME,
    V_REF,
    V_CHOICE,
    V_EMAILS,
    V_PHONES,
    V_URLS,
    V_STRINGS,
    V_ANY,
};
struct st_field {
    const char *name;
    enum st_ftype type;
    unsigned flags;
    const char *choices; /* V_CHOICE: comma list */
    int ref;             /* V_REF: table */
};
struct st_writable {
    const char *model; /* word of the 404 text */
    const struct st_field *fields;
    bool strict;     /* unknown keys are refused, on create and update */
    bool strict_put; /* ... on update only */
    int custom;      /* table of custom fields, or -1 */
};
/* Checks body against w; the good members land in out. False: answer holds the error. */
bool st_check(struct st_call *c, const struct st_writable *w, bool create, js *out,
              struct st_answer *a);
void st_apply(js *obj, js *changes); /* merge, custom .add/.remove included */
void st_couple_notes(js *in);
void st_event(struct st_call *c, enum st_tab t, uint32_t row, const char *action, js *before,
              js *after);
js *st_base(struct st_call *c, enum st_tab t, const char *prefix, int idlen, js *in);
void st_reply_row(struct st_call *c, enum st_tab t, uint32_t row, int status, struct st_answer *a);
uint32_t st_create_row(struct st_call *c, enum st_tab t, js *obj, uint32_t lead);
void st_update_row(struct st_call *c, enum st_tab t, uint32_t row, js *changes);
void st_delete_row(struct st_call *c, enum st_tab t, uint32_t row);
uint32_t st_make_lead(struct st_call *c, const char *name);
void st_outbox(struct st_call *c, const char *what, js *message);
uint32_t st_lead_of(struct st_dataset *ds, const char *lead_id);
bool st_body_object(struct st_call *c, struct st_answer *a);

typedef void st_create_fn(struct st_call *c, struct st_answer *a);
typedef void st_change_fn(struct st_call *c, uint32_t row, struct st_answer *a);
void st_lead_create(struct st_call *c, struct st_answer *a);
void st_lead_update(struct st_call *c, uint32_t row, struct st_answer *a);
void st_lead_delete(struct st_call *c, uint32_t row, struct st_answer *a);
void st_lead_merge(struct st_call *c, struct st_answer *a);
void st_lead_cascade(struct st_call *c, uint32_t row);
void st_contact_create(struct st_call *c, struct st_answer *a);
void st_contact_update(struct st_call *c, uint32_t row, struct st_answer *a);
void st_opp_create(struct st_call *c, struct st_answer *a);
void st_opp_update(struct st_call *c, uint32_t row, struct st_answer *a);
void st_task_create(struct st_call *c, struct st_answer *a);
void st_task_update(struct st_call *c, uint32_t row, struct st_answer *a);
void st_task_bulk(struct st_call *c, struct st_answer *a);
void st_act_create(struct st_call *c, int kind, struct st_answer *a);
void st_act_update(struct st_call *c, uint32_t row, struct st_answer *a);
void st_comment_create(struct st_call *c, struct st_answer *a);
void st_comment_update(struct st_call *c, uint32_t row, struct st_answer *a);
void st_comment_delete(struct st_call *c, uint32_t row, struct st_answer *a);
void st_cf_create(struct st_call *c, enum st_tab t, struct st_answer *a);
void st_cf_update(struct st_call *c, enum st_tab t, uint32_t row, struct st_answer *a);
void st_cf_delete(struct st_call *c, enum st_tab t, uint32_t row, struct st_answer *a);
void st_cf_schema(struct st_call *c, const char *type, struct st_answer *a);
void st_pipeline_create(struct st_call *c, struct st_answer *a);
void st_pipeline_update(struct st_call *c, uint32_t row, struct st_answer *a);
void st_pipeline_delete(struct st_call *c, uint32_t row, struct st_answer *a);
void st_status_create(struct st_call *c, enum st_tab t, struct st_answer *a);
void st_status_update(struct st_call *c, enum st_tab t, uint32_t row, struct st_answer *a);
void st_sequence_create(struct st_call *c, struct st_answer *a);
void st_sequence_update(struct st_call *c, uint32_t row, struct st_answer *a);
void st_sub_create(struct st_call *c, struct st_answer *a);
void st_sub_update(struct st_call *c, uint32_t row, struct st_answer *a);
void st_webhook_create(struct st_call *c, struct st_answer *a);
void st_webhook_update(struct st_call *c, uint32_t row, struct st_answer *a);
void st_view_create(struct st_call *c, struct st_answer *a);
void st_view_update(struct st_call *c, uint32_t row, struct st_answer *a);
void st_rest_events(struct st_call *c, struct st_answer *a);
bool st_rest_jobs(struct st_call *c, struct st_answer *a); /* bulk, export, enrich, report */

/* ---- tools.c ---- */

struct st_param {
    const char *name;
    enum st_type type;
    bool required;
};
struct st_tool {
    const char *name, *method, *path, *id_param;
    size_t n_params;
    struct st_param params[10];
};
const struct st_tool *st_tools(size_t *n);
const struct st_tool *st_tool_find(const char *name);
/* Violations as an array of {field, description, constraint}, or NULL. */
js *st_tool_check(const struct st_tool *t, js *params);
/* Fills method, path, query and body of c; path points into buf. */
void st_tool_call(const struct st_tool *t, js *params, struct st_call *c, char *buf, size_t cap);

/* ---- requests ---- */

#define ST_HEADERS 12

/* The part of an answer that every request like it gets, in the encoding that its key says. */
struct st_front {
    struct st_text text; /* deflated and flushed to a byte boundary when packed */
    bool packed;
    size_t plain_n; /* before it was packed */
    unsigned long crc;
};

struct st_reply {
    int status;
    char type[64];
    struct st_front front; /* empty unless the answer is to a read */
    char *key;             /* where to keep front; NULL: nowhere */
    int64_t until;
    struct st_text body; /* what follows front */
    int n_headers;
    struct {
        char name[48];
        char value[512];
    } headers[ST_HEADERS];
};

struct st_request {
    const char *method, *path;
    const char *query_text; /* as it came, without the question mark; may be NULL */
    js *query;
    struct st_text body;
    const char *authorization, *content_type, *accept_encoding, *connection_name, *identifier;
    const char *method_override, *tz_offset;
    uint64_t conn;
    bool gzip; /* the client takes it */
    js *json;  /* parsed body of execute_tool, or NULL */
    js *fault; /* the fault that hits this request, or NULL */
};

void st_header(struct st_reply *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void st_reply_json(struct st_reply *r, int status, js *body); /* takes body */

struct st_account {
    char identifier[104];
    char id[40];
    char status[32];
    struct st_dataset *ds;
};

struct st_config {
    uint16_t port;
    uint32_t leads;
    uint64_t seed;
    int64_t latency_ms, search_delay_ms, delete_lag_ms, rate, expires_in;
    int64_t skip_cap; /* leads; -1 = the service's own */
    int64_t other_skip_cap;
    char client_id[104], client_secret[104], connection[104];
    bool proxy, keep_status, rate_headers, ignore_unknown_fields;
    bool exit_with_stdin;
    char log_file[512];
    js *page_caps;
};

struct st_bucket {
    char key[80];
    int64_t since;
    int64_t count;
};

struct st_app {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    struct st_config start, cfg;
    struct st_account accounts[2];
    int n_accounts;
    js *tokens; /* token -> expiry in microseconds */
    uint64_t token_serial, execution;
    js *faults;   /* array, in order of arrival */
    js *released; /* names of holds that have ended, as members */
    js *mutations;
    js *log; /* array of entries */
    uint64_t log_first, log_n;
    void *log_out;
    uint64_t requests, finished, connections, conn_serial;
    int64_t inflight, max_inflight, open_connections;
    uint64_t state, states; /* which state data and configuration are in; 0 = as at the start */
    struct st_kept_all *kept;
    struct st_bucket buckets[64];
};

int64_t st_page_cap(struct st_app *app, const struct st_resource *r);
int64_t st_skip_cap(struct st_app *app, const struct st_resource *r);

/* scalekit.c; called with the lock held */
void st_dispatch(struct st_app *app, struct st_request *q, struct st_reply *r);
void st_sk_error(struct st_reply *r, int status, int code, const char *message,
                 const char *error_code, js *extra);
void st_tool_error_as(struct st_reply *r, struct st_app *app, int status, const char *text);
void st_tool_error(struct st_reply *r, struct st_app *app, int close_status, const char *text);
struct st_account *st_account_find(struct st_app *app, const char *identifier);
bool st_token_ok(struct st_app *app, const char *authorization);

/* Data or configuration are about to change: answers kept so far are not valid any more. */
void st_changed(struct st_app *app);
/* Whether a request can change nothing, so that it may be carried out before its time. */
bool st_only_reads(const struct st_request *q);

/* kept.c; called with the lock held, except st_front_pack and st_front_end */
struct st_kept_all *st_kept_new(void);
void st_kept_free(struct st_kept_all *all);
/* True: r->front holds the answer. False: it is to be computed, r->key says where to keep it. */
bool st_kept_find(struct st_app *app, const struct st_call *c, bool gzip, bool envelope,
                  struct st_reply *r);
void st_kept_add(struct st_app *app, const struct st_reply *r);
uint64_t st_kept_used(const struct st_app *app);
void st_front_pack(struct st_front *f);
/* Appends what follows front to it, so that front is the whole body. */
void st_front_end(struct st_front *f, const struct st_text *tail);

/* fault.c */
enum st_when { ST_GO, ST_ANSWERED, ST_DROP };
js *st_fault_take(struct st_app *app, const char *tool, const char *path, js *params);
/* Before anything is done: may answer itself, or say that the connection is to be dropped. */
enum st_when st_fault_before(struct st_app *app, struct st_request *q, struct st_reply *r);
void st_fault_call(js *fault, struct st_call *c);   /* changes what is asked of Close */
void st_fault_rows(js *fault, struct st_answer *a); /* changes what Close answers */
void st_fault_body(js *fault, struct st_reply *r);  /* changes the text on its way out */
bool st_fault_valid(js *fault, char *err, size_t cap);
bool st_kind_is(js *fault, const char *kind);

/* reqlog.c */
uint64_t st_log_begin(struct st_app *app, struct st_request *q);
void st_log_end(struct st_app *app, uint64_t n, int status, size_t bytes);
js *st_log_since(struct st_app *app, uint64_t since);
void st_log_clear(struct st_app *app);

/* control.c */
void st_control(struct st_app *app, struct st_request *q, struct st_reply *r);
void st_mutations_due(struct st_app *app);
void st_reset(struct st_app *app);

/* http.c, send.c */
struct st_http;
struct st_http *st_http_start(struct st_app *app, uint16_t *port);
void st_http_stop(struct st_http *h);
/* Without the lock, until st_now() is `end`. False: the peer has gone, or the server is stopping. */
bool st_sleep_until(struct st_app *app, int fd, int64_t end);
bool st_sleep(struct st_app *app, int fd, int64_t ms);
bool st_hold(struct st_app *app, int fd, const char *name);
/* Sends the reply by hand and ends the connection, as the fault asks. */
bool st_send_is_raw(js *fault);
void st_send_raw(struct st_app *app, int fd, js *fault, const struct st_reply *r);
void st_send_reset(int fd);
bool st_gzip(const char *in, size_t n, struct st_text *out);

#endif
