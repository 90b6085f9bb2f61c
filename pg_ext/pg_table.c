/*
 * pg_table.c - a foreign table as the core sees it: which catalogue table, which column for each
 * attribute.
 *
 * A foreign table names its catalogue table by option `table` (default: its own name), and each
 * column stands for the catalogue column of its name or of option `field`. A `field` that begins
 * with "custom." binds one custom field; the catalogue table is then extended (clo_table_extend)
 * by a column of the type that the attribute has, and that table lives in an owner of the current
 * context.
 *
 * A column that fits nothing is an error here, at the first use, naming relation and column: it
 * would otherwise show NULLs that look like data.
 */
#include "pg.h"

#include "access/table.h"
#include "catalog/pg_type.h"

#define CUSTOM_PREFIX "custom."

static clo_type
type_for(Oid type)
{
    switch (type) {
    case BOOLOID:
        return CLO_T_BOOL;
    case INT2OID:
    case INT4OID:
    case INT8OID:
        return CLO_T_INT;
    case FLOAT4OID:
    case FLOAT8OID:
    case NUMERICOID:
        return CLO_T_REAL;
    case DATEOID:
        return CLO_T_DATE;
    case TIMESTAMPTZOID:
    case TIMESTAMPOID:
        return CLO_T_TIME;
    case JSONOID:
    case JSONBOID:
        return CLO_T_JSON;
    default:
        return CLO_T_TEXT;
    }
}

static const char *
field_of(Oid relation, Form_pg_attribute att)
{
    const char *field =
        clo_pg_option(GetForeignColumnOptions(relation, att->attnum), CLO_PG_OPT_FIELD);

    return field != NULL ? field : NameStr(att->attname);
}

static const clo_table *
base_table(Relation rel)
{
    const char *option =
        clo_pg_option(GetForeignTable(RelationGetRelid(rel))->options, CLO_PG_OPT_TABLE);
    const char *name = option != NULL ? option : RelationGetRelationName(rel);
    const clo_table *table = clo_table_find(name);

    if (table == NULL)
        ereport(ERROR,
                (errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
                 errmsg("there is no table \"%s\" in Close", name),
                 errhint("Set option table of foreign table \"%s\", as IMPORT FOREIGN SCHEMA "
                         "does.",
                         RelationGetRelationName(rel))));
    return table;
}

/* The catalogue table plus the custom fields that the relation's columns name; `base` when none. */
static const clo_table *
extended_table(Relation rel, const clo_table *base)
{
    TupleDesc desc = RelationGetDescr(rel);
    clo_column *extra = palloc0(sizeof *extra * (size_t)Max(desc->natts, 1));
    size_t n = 0;
    clo_pg_owner *owner;
    clo_err err;

    for (int i = 0; i < desc->natts; i++) {
        Form_pg_attribute att = TupleDescAttr(desc, i);
        const char *field = att->attisdropped ? "" : field_of(RelationGetRelid(rel), att);

        if (strncmp(field, CUSTOM_PREFIX, strlen(CUSTOM_PREFIX)) != 0)
            continue;
        extra[n].name = NameStr(att->attname);
        extra[n].type = type_for(att->atttypid);
        extra[n].flags = CLO_C_FIELD | CLO_C_NULLABLE;
        extra[n].path = field;
        extra[n++].doc = "A custom field.";
    }
    if (n == 0)
        return base;
    clo_err_clear(&err);
    owner = clo_pg_own(CurrentMemoryContext, CLO_PG_TABLE);
    clo_pg_own_set(owner, clo_table_extend(base, extra, n, &err));
    if (clo_pg_owned(owner) == NULL)
        clo_pg_throw(&err);
    return clo_pg_owned(owner);
}

static int
column_for(const clo_pg_table *t, Relation rel, Form_pg_attribute att)
{
    const char *field = field_of(t->relation, att);
    const char *name =
        strncmp(field, CUSTOM_PREFIX, strlen(CUSTOM_PREFIX)) == 0 ? NameStr(att->attname) : field;
    int column = clo_table_column(t->table, name);

    if (column < 0)
        ereport(
            ERROR,
            (errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
             errmsg("column \"%s\" of foreign table \"%s\" is no column of %s",
                    NameStr(att->attname), RelationGetRelationName(rel), t->table->name),
             errhint("Give it option field with a column of %s, or 'custom.cf_...' for a custom "
                     "field.",
                     t->table->name)));
    return column;
}

clo_pg_table *
clo_pg_table_open(Oid relation)
{
    Relation rel = table_open(relation, NoLock); /* the statement has locked it */
    TupleDesc desc = RelationGetDescr(rel);
    clo_pg_table *t = palloc0(sizeof *t);

    t->relation = relation;
    t->server = GetForeignServerIdByRelId(relation);
    t->table = extended_table(rel, base_table(rel));
    t->n_atts = desc->natts;
    t->column = palloc(sizeof *t->column * (size_t)Max(desc->natts, 1));
    for (int i = 0; i < desc->natts; i++) {
        Form_pg_attribute att = TupleDescAttr(desc, i);

        t->column[i] = att->attisdropped || att->attgenerated ? -1 : column_for(t, rel, att);
        if (t->column[i] >= 0 && (t->table->columns[t->column[i]].flags & CLO_C_KEY))
            t->key = att->attnum;
    }
    table_close(rel, NoLock);
    return t;
}

AttrNumber
clo_pg_table_attribute(const clo_pg_table *t, int column)
{
    for (int i = 0; i < t->n_atts; i++)
        if (t->column[i] == column)
            return (AttrNumber)(i + 1);
    return 0;
}

/* Attributes as pull_varattnos gives them; a whole-row reference reads everything, except
 * parameters of the list tool, which are no part of the row. */
void
clo_pg_columns_of(const clo_pg_table *t, const Bitmapset *attrs, clo_colset *set)
{
    bool whole = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attrs);

    for (int i = 0; i < t->n_atts; i++) {
        int column = t->column[i];

        if (column < 0 || (t->table->columns[column].flags & CLO_C_PARAM))
            continue;
        if (whole || bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, attrs))
            clo_colset_add(set, column);
    }
}
