/*
 * pg_option.c - options of the foreign data wrapper's objects.
 *
 * Which setting may stand where comes from the core's option table: what decides where requests go
 * is the server's, what decides whose data is seen is the user mapping's, because the options of a
 * mapping are shown to nobody but the mapped user and superusers. A secret on a server would be
 * readable by every role, so it is refused there by name. The options that only PostgreSQL has:
 *
 *      server, table   batch_size   rows per round of INSERT ... SELECT table           table
 *      the catalogue's table, default: the relation's own name column          field        the
 *      catalogue's column, or custom.cf_...; default: the column's name
 */
#include "pg.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"

#define MAX_BATCH 1000
#define DEFAULT_BATCH 100

typedef struct own_option {
    const char *name;
    Oid catalog;
} own_option;

static const own_option own_options[] = {
    {CLO_PG_OPT_TABLE, ForeignTableRelationId},
    {CLO_PG_OPT_BATCH, ForeignTableRelationId},
    {CLO_PG_OPT_BATCH, ForeignServerRelationId},
    {CLO_PG_OPT_FIELD, AttributeRelationId},
};

static const char *
place_name(Oid catalog)
{
    switch (catalog) {
    case ForeignServerRelationId:
        return "a foreign server";
    case UserMappingRelationId:
        return "a user mapping";
    case ForeignTableRelationId:
        return "a foreign table";
    case AttributeRelationId:
        return "a column";
    default:
        return "the foreign data wrapper";
    }
}

static bool
core_option_fits(const clo_option *o, Oid catalog)
{
    return (catalog == ForeignServerRelationId && (o->flags & CLO_O_SERVER)) ||
           (catalog == UserMappingRelationId && (o->flags & CLO_O_MAPPING));
}

static int
check_batch(const char *value)
{
    char *end;
    long n = strtol(value, &end, 10);

    if (end == value || *end != '\0' || n < 1 || n > MAX_BATCH)
        ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
                        errmsg("option %s: \"%s\" is not a number from 1 to %d", CLO_PG_OPT_BATCH,
                               value, MAX_BATCH)));
    return (int)n;
}

static void
check_table(const char *value)
{
    StringInfoData names;

    if (clo_table_find(value) != NULL)
        return;
    initStringInfo(&names);
    for (size_t i = 0; i < clo_table_count(); i++)
        appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", clo_table_at(i)->name);
    ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
                    errmsg("option table: there is no table \"%s\" in Close", value),
                    errhint("Tables are %s.", names.data)));
}

static void
check_field(const char *value)
{
    if (value[0] == '\0' || strcmp(value, "custom.") == 0)
        ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
                        errmsg("option field: a column of Close or custom.cf_... is needed")));
}

static void
check_core_value(const clo_option *o, const char *value)
{
    clo_err err;
    size_t len;

    clo_err_clear(&err);
    if (clo_option_check(o, clo_pg_utf8(value, &len), &err) == CLO_OK)
        return;
    ereport(ERROR,
            (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE), errmsg("%s", clo_pg_local(err.msg)),
             err.detail[0] ? errdetail("%s", clo_pg_local(err.detail)) : 0,
             err.hint ? errhint("%s", err.hint) : 0));
}

/* Says where an option belongs, or what was probably meant. */
static void
refuse_name(const char *name, Oid catalog)
{
    clo_err err;
    const clo_option *o;

    clo_err_clear(&err);
    o = clo_option_find(name, &err);
    for (size_t i = 0; o == NULL && i < lengthof(own_options); i++)
        if (strcmp(own_options[i].name, name) == 0)
            ereport(ERROR,
                    (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
                     errmsg("option \"%s\" does not belong to %s", name, place_name(catalog)),
                     errhint("It is an option of %s.", place_name(own_options[i].catalog))));
    if (o == NULL)
        ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
                        errmsg("invalid option \"%s\" for %s", name, place_name(catalog)),
                        errhint("%s.", clo_pg_local(err.msg))));
    ereport(ERROR,
            (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
             errmsg("option \"%s\" does not belong to %s", name, place_name(catalog)),
             errhint("It is an option of %s.",
                     o->flags & CLO_O_MAPPING  ? place_name(UserMappingRelationId)
                     : o->flags & CLO_O_SERVER ? place_name(ForeignServerRelationId)
                                               : psprintf("the session: SET close.%s", name))));
}

static void
check_option(DefElem *def, Oid catalog)
{
    const char *value = defGetString(def);
    const clo_option *o;
    clo_err err;

    for (size_t i = 0; i < lengthof(own_options); i++) {
        if (own_options[i].catalog != catalog || strcmp(own_options[i].name, def->defname) != 0)
            continue;
        if (strcmp(def->defname, CLO_PG_OPT_BATCH) == 0)
            (void)check_batch(value);
        else if (strcmp(def->defname, CLO_PG_OPT_TABLE) == 0)
            check_table(value);
        else
            check_field(value);
        return;
    }
    clo_err_clear(&err);
    o = clo_option_find(def->defname, &err);
    if (o == NULL || !core_option_fits(o, catalog))
        refuse_name(def->defname, catalog);
    check_core_value(o, value);
}

PG_FUNCTION_INFO_V1(clo_pg_validator);

/* close_fdw_validator(text[], oid): called for every CREATE and ALTER with the whole list. */
Datum
clo_pg_validator(PG_FUNCTION_ARGS)
{
    List *options = untransformRelOptions(PG_GETARG_DATUM(0));
    Oid catalog = PG_GETARG_OID(1);
    ListCell *cell;

    foreach (cell, options)
        check_option(lfirst(cell), catalog);
    PG_RETURN_VOID();
}

const char *
clo_pg_option(List *options, const char *name)
{
    ListCell *cell;

    foreach (cell, options) {
        DefElem *def = lfirst(cell);

        if (strcmp(def->defname, name) == 0)
            return defGetString(def);
    }
    return NULL;
}

int
clo_pg_batch_size(Oid relation)
{
    ForeignTable *table = GetForeignTable(relation);
    const char *value = clo_pg_option(table->options, CLO_PG_OPT_BATCH);

    if (value == NULL)
        value = clo_pg_option(GetForeignServer(table->serverid)->options, CLO_PG_OPT_BATCH);
    return value == NULL ? DEFAULT_BATCH : check_batch(value);
}
