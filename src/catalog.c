/*
 * catalog.c - finding things in the catalogue.
 *
 * The data files hold rows; this one puts them into one order and answers questions about them. Tools
 * and tables are sorted by name (bytewise, as strcmp does), so a lookup is a binary search over
 * constant data: nothing is built at load time, nothing is allocated, and every pointer handed out
 * is valid for the life of the process and may be used by several threads.
 *
 * The order is a property of the data and not established here. A unit test walks it; a lookup in
 * unsorted data would miss rows, and no run-time check could repair that.
 *
 * Columns are searched one after the other: tables have at most some hundred of them, hosts look a
 * column up once per statement, and dynamic tables (custom fields) keep no particular order.
 *
 * Rejected: a hash table made on first use (mutable global state for 103 names) and perfect
 * hashing at build time (generated code to save a handful of comparisons).
 */
#include "catalog.h"

#include <string.h>

static const clo_table *const tables[] = {
    &clo_table_activities,
    &clo_table_calls,
    &clo_table_comment_threads,
    &clo_table_comments,
    &clo_table_contacts,
    &clo_table_custom_activities,
    &clo_table_custom_fields_contact,
    &clo_table_custom_fields_lead,
    &clo_table_custom_fields_opportunity,
    &clo_table_custom_object_types,
    &clo_table_custom_objects,
    &clo_table_emails,
    &clo_table_events,
    &clo_table_lead_statuses,
    &clo_table_leads,
    &clo_table_me,
    &clo_table_notes,
    &clo_table_opportunities,
    &clo_table_opportunity_statuses,
    &clo_table_pipelines,
    &clo_table_sequence_subscriptions,
    &clo_table_sequences,
    &clo_table_smart_views,
    &clo_table_sms,
    &clo_table_tasks,
    &clo_table_users,
    &clo_table_webhooks,
};

size_t
clo_tool_count(void)
{
    return clo_tools_a_len + clo_tools_b_len + clo_tools_c_len;
}

const clo_tool *
clo_tool_at(size_t i)
{
    if (i < clo_tools_a_len)
        return &clo_tools_a[i];
    i -= clo_tools_a_len;
    if (i < clo_tools_b_len)
        return &clo_tools_b[i];
    i -= clo_tools_b_len;
    return i < clo_tools_c_len ? &clo_tools_c[i] : NULL;
}

const clo_tool *
clo_tool_find(const char *name)
{
    size_t lo = 0, hi = clo_tool_count();

    while (name && lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const clo_tool *tool = clo_tool_at(mid);
        int cmp = strcmp(name, tool->name);

        if (cmp == 0)
            return tool;
        if (cmp < 0) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return NULL;
}

const clo_param *
clo_tool_param(const clo_tool *tool, const char *name)
{
    for (size_t i = 0; i < tool->n_params; i++) {
        if (strcmp(tool->params[i].name, name) == 0)
            return &tool->params[i];
    }
    return NULL;
}

const char *
clo_kind_name(clo_kind kind)
{
    static const char *const names[] = {
        [CLO_LIST] = "list",     [CLO_GET] = "get",       [CLO_CREATE] = "create",
        [CLO_UPDATE] = "update", [CLO_DELETE] = "delete", [CLO_ACTION] = "action",
    };

    return (size_t)kind < CLO_ARRAY_LEN(names) ? names[kind] : "unknown";
}

size_t
clo_table_count(void)
{
    return CLO_ARRAY_LEN(tables);
}

const clo_table *
clo_table_at(size_t i)
{
    return i < CLO_ARRAY_LEN(tables) ? tables[i] : NULL;
}

const clo_table *
clo_table_find(const char *name)
{
    size_t lo = 0, hi = CLO_ARRAY_LEN(tables);

    while (name && lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int cmp = strcmp(name, tables[mid]->name);

        if (cmp == 0)
            return tables[mid];
        if (cmp < 0) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return NULL;
}

int
clo_table_column(const clo_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        if (strcmp(table->columns[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* ASCII only: the names are, and the user's locale must not change what is near. */
static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool
begins_with(const char *s, const char *prefix)
{
    while (*prefix) {
        if (lower(*s++) != *prefix++)
            return false;
    }
    return true;
}

/* Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string
 * alignment). Three rows of the matrix are enough, because a swap looks two rows back. */
size_t
clo_name_distance(const char *a, const char *b)
{
    size_t row[3][CLO_NAME_MAX + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > CLO_NAME_MAX || lb > CLO_NAME_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *cur = row[i % 3], *prev = row[(i - 1) % 3], *prev2 = row[(i + 1) % 3];

        cur[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            char ca = lower(a[i - 1]), cb = lower(b[j - 1]);
            size_t best = prev[j - 1] + (ca != cb);

            best = prev[j] + 1 < best ? prev[j] + 1 : best;
            best = cur[j - 1] + 1 < best ? cur[j - 1] + 1 : best;
            if (i > 1 && j > 1 && ca == lower(b[j - 2]) && lower(a[i - 2]) == cb &&
                prev2[j - 2] + 1 < best) {
                best = prev2[j - 2] + 1;
            }
            cur[j] = best;
        }
    }
    return row[la % 3][lb];
}

const char *
clo_tool_suggest(const char *name)
{
    static const char prefix[] = "close_";
    const size_t n_prefix = sizeof(prefix) - 1;
    char full[CLO_NAME_MAX + 1];
    const char *best = NULL;
    size_t len = strlen(name), limit;

    /* People leave the prefix out; that alone must not put every name out of reach. */
    if (!begins_with(name, prefix) && len + n_prefix <= CLO_NAME_MAX) {
        memcpy(full, prefix, n_prefix);
        memcpy(full + n_prefix, name, len + 1);
        name = full;
        len += n_prefix;
    }
    limit = 1 + len / 8; /* two misprints in a name of usual length; further away is a guess */
    for (size_t i = 0; i < clo_tool_count(); i++) {
        const char *known = clo_tool_at(i)->name;
        size_t d = clo_name_distance(name, known);

        if (d <= limit) {
            best = known;
            if (d == 0)
                break;
            limit = d - 1;
        }
    }
    return best;
}
