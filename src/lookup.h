/*
 * lookup.h - what the files behind clo_lookup_* of scan.h share. Nobody else includes it.
 *
 *   lookup.c   which scans share a lookup, and whether a key is sent, waits, or is known
 *   rowset.c   the rows of a table that have been read, within a bound
 *   ahead.c    reads of the keys that will be asked for next
 */
#ifndef CLO_LOOKUP_H
#define CLO_LOOKUP_H

#include "scan.h"

/* ---- rowset.c ---------------------------------------------------------------------------------- */
enum { CLO_ROW_PARTS = 16 }; /* parts of the keys that can be given up */
typedef enum clo_kept {
    CLO_KEPT,
    CLO_KEPT_NOT, /* its key belongs to a part that had to go */
    CLO_KEPT_FULL,
    CLO_KEPT_NOMEM
} clo_kept;
clo_rowset *clo_rowset_new(void);
/* Appends a row of the table, copied. A text of NULL is a row without a key. `room`: what the set may hold in bytes.
 * `parted`: rather than be full it gives up the rows of some keys, see clo_rowset_lacks. */
clo_kept clo_rowset_add(clo_rowset *set, const clo_value *key, const char *text, size_t len,
                        size_t room, bool parted);
size_t clo_rowset_bytes(const clo_rowset *set);
/* Rows of this key may be missing; with NULL: rows of any key. */
bool clo_rowset_lacks(const clo_rowset *set, const clo_value *key);
bool clo_rowset_has(const clo_rowset *set, const clo_value *key);
/* The newest row of this key. NULL: there is none, or memory is short. */
clo_json *clo_rowset_object(const clo_rowset *set, const clo_value *key, const char *name,
                            clo_err *err);
/* The list that the service would have sent for this key; `total`: with their number. */
clo_json *clo_rowset_list(const clo_rowset *set, const clo_value *key, bool total, const char *name,
                          clo_err *err);

/* ---- lookup.c ---------------------------------------------------------------------------------- */
enum { CLO_MAX_AHEAD = 32 };

typedef struct clo_ahead {
    char *key;
    size_t len;
    clo_fetch *fetch;
    bool used, seen;
} clo_ahead;

struct clo_lookup {
    clo_lookup *next;
    clo_client *client;
    const clo_table *table;
    int column;
    bool by_id;
    bool varies; /* a condition differs from key to key, see `others` */
    clo_colset fetch;
    char *sign; /* further conditions and the rows wanted: what scans must have in common */
    clo_qual quals[CLO_MAX_SLOTS]; /* those of the walk */
    clo_value values[CLO_MAX_SLOTS];
    int n_quals;
    clo_colset others; /* columns of conditions that the cursors compare alone */
    clo_arena *texts;  /* of values */
    long users;        /* cursors */
    unsigned generation;

    /* what was asked and what it cost */
    clo_idset asked;
    int64_t planned; /* keys of the largest list of values */
    int64_t reads;
    clo_fetch_cost unclaimed; /* of the table, not yet counted by a cursor */

    /* the table */
    bool off, complete, all_paid, busy;
    bool full; /* no room for more rows: those that are there still serve */
    clo_gate gate;
    clo_cursor *walk;
    int64_t claimed_requests, claimed_bytes; /* of the walk, moved to `unclaimed` */
    int64_t rows_seen;
    clo_rowset *rows; /* NULL: none */

    /* ahead.c */
    char *params; /* of a single read, as JSON */
    clo_ahead ring[CLO_MAX_AHEAD];
    int n_ahead, credit;
};

/* One more single read is within what the table would cost. */
bool clo_lookup_may_read(const clo_lookup *lk);
/* A read of this key would be in vain: its rows are there, or will be. */
bool clo_lookup_knows(const clo_lookup *lk, const clo_value *key);
/* Every key is answered by the table, now or when it has been read. */
bool clo_lookup_serves_all(const clo_lookup *lk);

/* ---- ahead.c ----------------------------------------------------------------------------------- */
void clo_ahead_poll(clo_lookup *lk);
void clo_ahead_drop_all(clo_lookup *lk);

#endif
