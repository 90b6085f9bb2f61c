/*
 * pg_value.c - values of the core and Datums, both ways.
 *
 * Towards SQL, a column whose attribute has its natural type (text, bigint, timestamptz, jsonb
 * ...) is made directly. Any other type that a user declared takes the way that a text literal
 * would: the type's own input function. So numeric, varchar(20), a domain or an enum work and fail
 * with the messages that PostgreSQL users know.
 *
 * Towards the core, only types with a clear counterpart pass; the planner (pg_qual.c) asks
 * clo_pg_comparable before it sends a condition.
 *
 * Texts are UTF-8 in the core and in the server's encoding here. Everything is palloc'ed in the
 * current context; nothing of the core's memory is kept.
 */
#include "pg.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#define DAYS_1970_TO_2000 (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define US_1970_TO_2000 ((int64)DAYS_1970_TO_2000 * USECS_PER_DAY)

/* --- From the core ---------------------------------------------------------------------------- */

bool
clo_pg_as_is(const char *utf8, size_t len)
{
    if (GetDatabaseEncoding() != PG_UTF8)
        return false;
#ifdef CLO_DEBUG
    (void)pg_verifymbstr(utf8, (int)len, false);
#endif
    return true;
}

text *
clo_pg_text(const char *utf8, size_t len)
{
    char *local;

    if (len > MaxAllocSize / 4)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("a text of %zu bytes is too long for a value", len)));
    local = pg_any_to_server(utf8, (int)len, PG_UTF8);
    return local == utf8 ? cstring_to_text_with_len(utf8, (int)len) : cstring_to_text(local);
}

static text *
row_text(const char *utf8, size_t len)
{
    return len < MaxAllocSize / 4 && clo_pg_as_is(utf8, len)
               ? cstring_to_text_with_len(utf8, (int)len)
               : clo_pg_text(utf8, len);
}

const char *
clo_pg_sql_type(clo_type type)
{
    switch (type) {
    case CLO_T_INT:
        return "bigint";
    case CLO_T_REAL:
        return "double precision";
    case CLO_T_BOOL:
        return "boolean";
    case CLO_T_JSON:
        return "jsonb";
    case CLO_T_TIME:
        return "timestamptz";
    case CLO_T_DATE:
        return "date";
    case CLO_T_TEXT:
    case CLO_T_NULL:
        break;
    }
    return "text";
}

static Oid
natural_type(clo_type type)
{
    switch (type) {
    case CLO_T_INT:
        return INT8OID;
    case CLO_T_REAL:
        return FLOAT8OID;
    case CLO_T_BOOL:
        return BOOLOID;
    case CLO_T_JSON:
        return JSONBOID;
    case CLO_T_TIME:
        return TIMESTAMPTZOID;
    case CLO_T_DATE:
        return DATEOID;
    case CLO_T_TEXT:
    case CLO_T_NULL:
        break;
    }
    return TEXTOID;
}

void
clo_pg_out_init(clo_pg_out *out, Oid type, int32 typmod, clo_type source)
{
    Oid function;

    out->type = type;
    out->typmod = typmod;
    out->direct = type == natural_type(source) && typmod < 0;
    getTypeInputInfo(type, &function, &out->ioparam);
    fmgr_info(function, &out->input);
}

/* The value as a literal would be written, in the server's encoding. */
static char *
literal_of(const clo_value *v)
{
    switch (v->type) {
    case CLO_T_INT:
        return psprintf(INT64_FORMAT, (int64)v->u.i);
    case CLO_T_REAL:
        return float8out_internal(v->u.r);
    case CLO_T_BOOL:
        return pstrdup(v->u.b ? "true" : "false");
    case CLO_T_NULL:
        return NULL;
    default:
        return pg_any_to_server(v->text, (int)v->len, PG_UTF8);
    }
}

static Datum
timestamp_of(int64 us)
{
    Timestamp ts;

    if (pg_sub_s64_overflow(us, US_1970_TO_2000, &ts) || !IS_VALID_TIMESTAMP(ts))
        ereport(ERROR,
                (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
    return TimestampTzGetDatum(ts);
}

Datum
clo_pg_datum(clo_pg_out *out, const clo_value *v)
{
    /* `direct` was decided from the column's type; the service's value has the same one, unless the
     * value is none of the column's at all (count(*)). */
    if (out->direct && natural_type(v->type) == out->type) {
        switch (v->type) {
        case CLO_T_TEXT:
            return PointerGetDatum(row_text(v->text, v->len));
        case CLO_T_INT:
            return Int64GetDatum(v->u.i);
        case CLO_T_REAL:
            return Float8GetDatum(v->u.r);
        case CLO_T_BOOL:
            return BoolGetDatum(v->u.b);
        case CLO_T_JSON:
            return clo_pg_jsonb(v->text, v->len);
        case CLO_T_TIME:
            return timestamp_of(v->u.i);
        case CLO_T_DATE:
            return DateADTGetDatum((DateADT)(v->u.i - DAYS_1970_TO_2000));
        case CLO_T_NULL:
            break;
        }
    }
    return InputFunctionCall(&out->input, literal_of(v), out->ioparam, out->typmod);
}

/* --- To the core ------------------------------------------------------------------------------ */

bool
clo_pg_comparable(Oid type, clo_type want)
{
    switch (want) {
    case CLO_T_TEXT:
        return type == TEXTOID || type == VARCHAROID;
    case CLO_T_INT:
        return type == INT8OID || type == INT4OID || type == INT2OID;
    case CLO_T_REAL:
        return type == FLOAT8OID || type == FLOAT4OID;
    case CLO_T_BOOL:
        return type == BOOLOID;
    case CLO_T_TIME:
        return type == TIMESTAMPTZOID;
    case CLO_T_DATE:
        return type == DATEOID;
    case CLO_T_JSON:
    case CLO_T_NULL:
        break;
    }
    return false;
}

char *
clo_pg_utf8(const char *local, size_t *len)
{
    char *utf8 = pg_server_to_any(local, (int)strlen(local), PG_UTF8);

    *len = strlen(utf8);
    return utf8 == local ? pstrdup(local) : utf8;
}

static clo_value
text_value(const char *local, clo_type type)
{
    size_t len;
    char *utf8 = clo_pg_utf8(local, &len);
    clo_value v = type == CLO_T_JSON ? clo_json_value(utf8, len) : clo_text(utf8, len);

    v.type = type;
    return v;
}

/* The canonical form of the core. Beyond its years 1 to 9999 (infinity included) the text stays at
 * the nearest one; the number, by which rows are compared, keeps the true place. */
static clo_value
time_value(TimestampTz ts)
{
    static const Timestamp first = INT64CONST(-63082281600000000); /* 0001-01-01 */
    static const Timestamp last = INT64CONST(252455615999999999);  /* 9999-12-31 */
    Timestamp shown = ts < first ? first : ts > last ? last : ts;
    struct pg_tm tm;
    fsec_t fsec;
    int64 us;
    clo_value v;

    if (timestamp2tm(shown, NULL, &tm, &fsec, NULL, NULL) != 0)
        elog(ERROR, "timestamp out of range");
    if (pg_add_s64_overflow(ts, US_1970_TO_2000, &us))
        us = ts < 0 ? PG_INT64_MIN : PG_INT64_MAX;
    v = text_value(psprintf("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year, tm.tm_mon,
                            tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fsec),
                   CLO_T_TIME);
    v.u.i = us;
    return v;
}

static clo_value
date_value(DateADT date)
{
    int year, month, day;
    int shown = date;
    clo_value v;

    if (DATE_NOT_FINITE(date) || date < -730119 || date > 2921939)
        shown = date < 0 ? -730119 : 2921939; /* 0001-01-01, 9999-12-31 */
    j2date(shown + POSTGRES_EPOCH_JDATE, &year, &month, &day);
    v = text_value(psprintf("%04d-%02d-%02d", year, month, day), CLO_T_DATE);
    v.u.i = (int64)date + DAYS_1970_TO_2000;
    return v;
}

clo_value
clo_pg_value(Datum d, Oid type)
{
    switch (type) {
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
        return text_value(TextDatumGetCString(d), CLO_T_TEXT);
    case INT2OID:
        return clo_int(DatumGetInt16(d));
    case INT4OID:
        return clo_int(DatumGetInt32(d));
    case INT8OID:
        return clo_int(DatumGetInt64(d));
    case FLOAT4OID:
        return clo_real((double)DatumGetFloat4(d));
    case FLOAT8OID:
        return clo_real(DatumGetFloat8(d));
    case NUMERICOID:
        return clo_real(DatumGetFloat8(DirectFunctionCall1(numeric_float8, d)));
    case BOOLOID:
        return clo_bool(DatumGetBool(d));
    case JSONBOID: {
        Jsonb *jb = DatumGetJsonbP(d);

        return text_value(JsonbToCString(NULL, &jb->root, (int)VARSIZE(jb)), CLO_T_JSON);
    }
    case JSONOID:
        return text_value(TextDatumGetCString(d), CLO_T_JSON);
    case TIMESTAMPTZOID:
        return time_value(DatumGetTimestampTz(d));
    case DATEOID:
        return date_value(DatumGetDateADT(d));
    default: {
        /* A declared type of the user's own (a domain, an enum): its text form. */
        Oid function;
        bool varlena;

        getTypeOutputInfo(type, &function, &varlena);
        return text_value(OidOutputFunctionCall(function, d), CLO_T_TEXT);
    }
    }
}
