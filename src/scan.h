/*
 * scan.h - what the files of the reading side share (plan.c, planenc.c, idset.c, fetch.c, conds.c,
 * keyset.c, walk.c, cursor.c, fields.c). Nobody else includes it.
 *
 *   cursor    one scan: makes walks, hands their rows out one by one
 *   walk      one list (or one get): its pages in order, every row checked
 *   keyset    how a walk goes on where the service stops counting rows
 *   conds     the bound values: what is sent, and what a row must satisfy
 *   fetch     one read, shared by all cursors that ask the same at the same time
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
/* The value of _fields for a set; appends nothing and returns false when the whole object is wanted
 * (because of _raw, or because every column is). */
bool clo_fields_text(const clo_table *t, const clo_colset *set, clo_buf *out);

#endif
