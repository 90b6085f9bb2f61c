/*
 * scan.h - what the files of the reading side share (plan.c, planenc.c, idset.c, fetch.c, conds.c,
 * keyset.c, walk.c, cursor.c, fields.c, and by lookup.h the files behind it). Nobody else includes it.
 *
 *   cursor    one scan: makes walks, hands their rows out one by one
 *   walk      one list (or one get): its pages in order, every row checked
 *   keyset    how a walk goes on where the service stops counting rows
 *   conds     the bound values: what is sent, and what a row must satisfy
 *   fetch     one read, shared by all cursors that ask the same at the same time
 *   lookup    what many reads of single rows have in common: read ahead, or the whole table
 *   again     a table that one statement scans more than once
 *   idset     ids already seen
 */
#ifndef CLO_SCAN_H
#define CLO_SCAN_H

#include "clo_int.h"

/* ---- plan.c: facts about tables and plans --------------------------------------------------- */
const char *clo_column_path(const clo_column *c);
int clo_table_key(const clo_table *t);   /* column of the id, -1: none */
int clo_table_index(const clo_table *t); /* place among clo_table_at, by name; -1: none */
/* The filter that can carry `column op`; IN finds EQ, GT and LT find the inclusive bound. */
const clo_filter *clo_table_filter(const clo_table *t, int column, clo_op op);
bool clo_plan_binds(const clo_plan *plan, const char *param); /* a slot carries this parameter */
bool clo_plan_walks_parent(const clo_plan *plan);
size_t clo_plan_each(const clo_plan *plan); /* values of each_param to read, 0: none */
double clo_known_rows(const clo_client *client, const clo_table *t); /* -1: not known */
/* Sets the members that follow from the others: unique, sorted. */
void clo_plan_derive(clo_plan *plan);

/* ---- planenc.c ------------------------------------------------------------------------------ */
const char *clo_plan_tool(const clo_plan *plan); /* wire name of the tool that is called */
/* Columns that a scan asks the service for: needed ones, the id, those of conditions and order. */
void clo_plan_fetch_set(const clo_plan *plan, clo_colset *out);
/* Adds to the needed columns those that are asked for anyway, so that _fields tells them all. */
void clo_plan_round_needed(clo_plan *plan);
/* The value of _fields for a set; appends nothing and returns false when the whole object is wanted
 * (because of _raw, or because every column is). */
bool clo_fields_text(const clo_table *t, const clo_colset *set, clo_buf *out);

/* ---- idset.c -------------------------------------------------------------------------------- */
typedef struct clo_idset {
    struct {
        uint64_t w[2];
    } * slots;
    size_t cap, n;
} clo_idset; /* all zero: empty */
typedef enum clo_idset_result { CLO_IDSET_OLD, CLO_IDSET_NEW, CLO_IDSET_NOMEM } clo_idset_result;
clo_idset_result clo_idset_add(clo_idset *set, const char *id, size_t len);
bool clo_idset_has(const clo_idset *set, const char *id, size_t len);
void clo_idset_free(clo_idset *set);

/* ---- fetch.c -------------------------------------------------------------------------------- */
typedef struct clo_fetch clo_fetch;
typedef struct clo_lookup clo_lookup;
typedef struct clo_again clo_again;
typedef struct clo_fetch_cost {
    int attempts; /* 0 when it came from the cache */
    int64_t bytes;
    bool cached, counted;
} clo_fetch_cost;
/* Takes over params, also on failure. `anew`: neither from the cache nor shared. NULL: `err` says
 * why. Nothing is sent before the first poll. */
clo_fetch *clo_fetch_start(clo_client *client, const char *tool, clo_json *params, bool anew,
                           clo_err *err);
/* The same, for one of many keys: `lookup` may know the answer without asking. */
clo_fetch *clo_fetch_lookup(clo_client *client, const char *tool, clo_json *params,
                            clo_lookup *lookup, const clo_value *key, clo_err *err);
/* An answer that is known already. Takes over doc. */
clo_fetch *clo_fetch_known(clo_client *client, clo_json *doc, clo_err *err);
/* Never waits: DONE, AGAIN or ERROR, and the same again when asked again. */
clo_status clo_fetch_poll(clo_fetch *f, clo_err *err);
const clo_json *clo_fetch_doc(const clo_fetch *f); /* after DONE; lives as long as the fetch */
/* The next poll finds the end, and reads what came. */
bool clo_fetch_arrived(const clo_fetch *f);
clo_call *clo_fetch_call(const clo_fetch *f); /* NULL once it ended */
/* What it cost; true for the first of several cursors that ask, which then counts it. */
bool clo_fetch_cost_once(clo_fetch *f, clo_fetch_cost *cost);
/* Fetches that have not been sent yet because the lookup may know the answer. */
int64_t clo_fetch_waiting(const clo_client *client, const clo_lookup *lookup);
/* The lookup goes away. */
void clo_fetch_detach(clo_client *client, const clo_lookup *lookup);
void clo_fetch_free(clo_fetch *f);
int64_t clo_fetch_max_age(const clo_client *client);

/* ---- conds.c -------------------------------------------------------------------------------- */
typedef struct clo_cond {
    const clo_slot *slot;
    const clo_table *table;
    const clo_column *column;
    const clo_filter *filter; /* NULL: the id, or a parameter column without one */
    clo_value *values;        /* converted to the column's type, without NULLs, distinct */
    size_t n;
    const char *bound; /* what is sent for a bound; NULL: nothing that could be sent */
    bool local;        /* a list of values that is compared and not sent */
    clo_idset set;     /* the values of a local list, by their text */
} clo_cond;
/* OK; DONE: no row can match, nothing needs to be asked; ERROR. Texts are copied into `a`. */
clo_status clo_cond_bind(clo_cond *c, const clo_plan *plan, int slot, const clo_bind *bind,
                         clo_arena *a, clo_err *err);
void clo_cond_free(clo_cond *c);
bool clo_cond_is_bound(const clo_cond *c); /* LT, LE, GT or GE */
/* Whether SQL would keep this row; `which` is the value that was sent of a list. */
bool clo_cond_keeps(const clo_cond *c, size_t which, const clo_json *row);
/* The value as the parameter's JSON. NULL: `err`. */
clo_json *clo_cond_json(const clo_cond *c, size_t which, const clo_tool *tool, clo_err *err);
/* Shows the condition's value where the row has no such field. */
void clo_cond_echo(const clo_cond *c, size_t which, const clo_json *row, const clo_colset *needed,
                   clo_value *vals);

/* ---- rowset.c: rows of a whole table, kept by lookup.c ---- */
typedef struct clo_rowset clo_rowset;
clo_rowset *clo_rowset_ref(clo_rowset *set);
void clo_rowset_unref(clo_rowset *set); /* NULL is fine */
/* The n rows from *at on, as a page that says whether there are more; moves *at behind them. NULL: `err`. */
clo_json *clo_rowset_page(const clo_rowset *set, size_t *at, size_t n, const char *name,
                          clo_err *err);

/* ---- walks: what keyset.c, ask.c, walk.c and cursor.c share ------------------------------------ */

/* The window on the network: one for a cursor and the parent it walks. */
typedef struct clo_gate {
    int in_flight, width, most;
    bool limited; /* no more than `allowed` pages in all, for now */
    int64_t asked, allowed;
} clo_gate;

/* What all walks of a cursor have in common. */
typedef struct clo_scan {
    clo_client *client;
    const clo_table *table;
    const clo_plan *plan;
    const clo_tool *tool;
    clo_cond conds[CLO_MAX_SLOTS];
    int n_conds;
    clo_colset fetch; /* columns asked for */
    clo_gate *gate;
    clo_lookup *lookup; /* NULL: every read is sent */
    int lookup_cond;    /* the condition that is looked up */
    clo_again *again;   /* NULL: not a scan of the whole table */
    bool all_read;      /* ... which has come to its end */
    int reach;          /* pages that may be held, memory permitting */
    int held;           /* pages asked for and not used up */
    size_t page_bytes;  /* text of the largest page so far */
    int64_t base;       /* OFFSET left to the service */
    int64_t want;       /* rows that will be needed of a walk, -1: all */
    double expect;      /* rows that an unconditional list had last time, -1: not known */
    int64_t skip_left;  /* rows of OFFSET still to be left out here */
    int64_t delivered;
    bool multi;     /* more than one walk: an id may turn up in two of them */
    clo_idset seen; /* ids of all walks, when multi */
    clo_scan_stats stats;
} clo_scan;

/* Something rows are sorted by: INT, DATE and TIME as integers. */
typedef struct clo_key {
    bool real;
    int64_t i;
    double r;
} clo_key;

typedef struct clo_page {
    struct clo_page *next;
    clo_fetch *fetch;
    bool flying;  /* its answer has not come */
    bool counted; /* in the statistics */
    int64_t skip;
    int limit, expect; /* rows asked for; rows that probably come */
    int overlap;       /* rows shared with the page before */
} clo_page;

typedef struct clo_walk {
    struct clo_walk *next;
    clo_scan *scan;
    bool get;               /* one object by id; else a list */
    size_t which;           /* value of the list of values that this walk is for */
    char *parent_id;        /* NULL: no parent; owned */
    const char *each_value; /* NULL: no each_param */
    bool optional;          /* a refusal means: nothing of that kind here */

    /* pages asked for, in order; the one being read; where the next one starts */
    clo_page *first, *last, *cur;
    int queued;
    const clo_json *rows; /* array, or the object itself for a get */
    size_t row, n_rows;
    unsigned char *keep; /* one per row of the current page: to be delivered */
    size_t keep_cap;
    int limit;         /* size of a page, 0: not sent */
    int stride;        /* rows that a page really has: less where the service has a silent cap */
    int64_t next_skip; /* of the next page to ask for */
    int64_t base;      /* OFFSET left to the service */
    int64_t want;      /* rows that will be needed, -1: all */
    int ramp;          /* pages that may be queued now */
    bool opened;       /* a page of the present segment has been read */
    bool ended;
    bool no_fields;   /* the list refused _fields */
    int64_t total;    /* total_results, -1: not said */
    int64_t cap;      /* largest _skip, -1: not known */
    clo_rowset *rest; /* the table, where it has been read whole: not asked for any more */
    size_t rest_at;   /* the next row of it */

    /* proof that rows neither repeat for ever nor slip through */
    clo_idset seen;
    char *first_id, *last_id; /* of the page before; NULL at the start of a segment */
    int stalls;               /* pages without a new id, one after the other */
    bool moved;               /* rows moved: answers of the past are not used any more */
    bool has_prev;
    clo_key prev; /* order column of the last new row */

    struct {
        bool sorted;  /* leads are asked for in the order of the key */
        bool falling; /* ... the newest first */
        bool bounded; /* this segment starts at `bound` */
        bool known;   /* `last` is set */
        bool broken;  /* rows did not come newest first, so stepping back would lose some */
        int64_t bound, last;
    } key;
} clo_walk;

/* ---- ask.c: parameters of one page ---- */
/* NULL: `err`. The caller owns the object. */
clo_json *clo_walk_params(const clo_walk *w, int64_t skip, int limit, clo_err *err);
bool clo_tool_takes(const clo_tool *tool, const char *param);
/* The user's own search text among the conditions, or NULL. */
const clo_value *clo_walk_query(const clo_walk *w);
/* Times in a search text are minutes. */
#define CLO_QUERY_MINUTE ((int64_t)60000000)
/* A search text that can be put in parentheses and sorted: balanced, and no sort: or slice: inside. */
bool clo_query_extends(const char *text, size_t len);

/* ---- keyset.c: order, and how a walk goes on past the cap ---- */
bool clo_key_of(const clo_column *c, const clo_json *row, clo_key *key);
int clo_key_cmp(const clo_key *a, const clo_key *b);
/* Checks order and bound of one row; `fresh`: not seen before. `prev` is the key of the row before in
 * the same page (INT64_MIN or INT64_MAX at first), updated. */
clo_status clo_walk_check_key(clo_walk *w, const clo_json *row, bool fresh, int64_t *prev,
                              clo_err *err);
clo_status clo_walk_check_order(clo_walk *w, const clo_json *row, clo_err *err);
/* The cap is reached: prepares the next segment, or an error that says how far it got. */
clo_status clo_walk_continue(clo_walk *w, clo_err *err);
/* True when it is known from the start that the cap will be exceeded, and sorting helps. */
bool clo_walk_needs_sorting(const clo_walk *w);
/* Forgets the pages and starts a list from its beginning. */
void clo_walk_restart(clo_walk *w);

/* ---- lookup.c ---- */
typedef enum clo_found {
    CLO_FOUND_DOC,   /* *doc is the answer, a reference for the caller */
    CLO_FOUND_LATER, /* the table is being read: ask again */
    CLO_FOUND_SEND   /* not known: send the read */
} clo_found;
/* Sets scan->lookup where the scan reads single rows, one of many perhaps. Never fails. */
void clo_lookup_join(clo_scan *scan);
void clo_lookup_leave(clo_scan *scan);
/* Many scans of this plan may be answered from one walk of the table. */
bool clo_lookup_serves(const clo_client *client, const clo_plan *plan);
/* A key is asked for: counted, whatever the answer comes from. False: out of memory. */
bool clo_lookup_want(clo_lookup *lk, const clo_value *key, const clo_json *params);
clo_found clo_lookup_find(clo_lookup *lk, const clo_value *key, clo_json **doc);
/* A read is sent with these parameters. */
void clo_lookup_sent(clo_lookup *lk, const clo_json *params);
/* Starts reads of the keys that will be asked for next. */
void clo_lookup_ahead(clo_lookup *lk, const clo_value *key);
/* What reading the table has cost since this was asked last. */
void clo_lookup_cost(clo_lookup *lk, clo_fetch_cost *cost);
/* The rows of this scan's table, a reference, when a lookup has read it whole with the same columns. NULL: none has. */
clo_rowset *clo_lookup_whole(const clo_scan *scan);
void clo_lookups_poll(clo_client *client); /* lets calls move, without waiting */
void clo_lookups_end(clo_client *client);  /* the statement is over */

/* ---- again.c ---- */
/* Every row of the table, as it comes: no condition, order or offset. */
bool clo_scan_is_whole(const clo_scan *scan);
/* A scan begins; sets scan->again. Never fails. */
void clo_again_begin(clo_scan *scan);
void clo_again_leave(clo_scan *scan);
/* A row that is new to the scan. */
void clo_again_row(clo_scan *scan, const clo_json *row);
/* The first page has come, before its rows. */
void clo_again_first(clo_scan *scan, bool cached);
void clo_again_done(clo_scan *scan); /* the scan has all its rows */
void clo_again_stop(clo_scan *scan); /* it needs not be kept */
/* The rows of its table, a reference, when they were kept. NULL: they were not. */
clo_rowset *clo_again_rows(const clo_scan *scan);
void clo_agains_end(clo_client *client); /* the statement is over */

/* ---- cursor.c ---- */
/* A cursor for the core itself: rows as they came, and no part of any statement. */
clo_cursor *clo_cursor_open_raw(clo_client *client, const clo_plan *plan, const clo_bind *binds,
                                clo_gate *gate, clo_err *err);
const clo_json *clo_cursor_raw(const clo_cursor *cur); /* after ROW, until the next step */
/* The rows of a page, 0: not ours. */
int clo_cursor_page(const clo_cursor *cur);
/* The rows of the page that an open cursor stands in: those after the present one are to come. NULL: none. */
const clo_json *clo_cursor_ahead(const clo_cursor *cur, size_t *row, const clo_plan **plan);
clo_cursor *clo_cursor_next_open(const clo_cursor *cur);

/* ---- walk.c ---- */
clo_walk *clo_walk_new(clo_scan *scan, clo_err *err);
void clo_walk_set_limit(clo_walk *w, int limit);
void clo_walk_free(clo_walk *w);
/* Asks for as many pages as window and gate allow. `head`: rows are waited for, so one page may
 * exceed the window. Returns how many, -1: `err`. */
int clo_walk_fill(clo_walk *w, bool head, clo_err *err);
/* Pages that may be held: as far as the scan reaches, or fewer where pages are large. */
int clo_scan_window(const clo_scan *s);
/* Lets the calls move, without waiting. */
void clo_walk_poll(clo_walk *w);
/* ROW: *row is good until the next call; AGAIN: fill and wait; DONE; ERROR. */
clo_status clo_walk_next(clo_walk *w, const clo_json **row, clo_err *err);
clo_fetch *clo_walk_pending(const clo_walk *w); /* the first one under way, or NULL */
void clo_walk_drop_pages(clo_walk *w);

#endif
