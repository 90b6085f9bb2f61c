/*
 * catalog.h - how the data files of the catalogue write their rows, and what catalog.c gathers.
 * Included by catalog*.c only; everybody else asks through clo.h.
 *
 * The macros below name designated initialisers and nothing more: every row is an ordinary struct
 * that a debugger shows and that grep finds by its quoted name. They are short and unprefixed
 * because this header never leaves the catalogue.
 */
#ifndef CLO_CATALOG_H
#define CLO_CATALOG_H

#include "clo_int.h"

/* Tools in three volumes that continue each other in the order of names. */
extern const clo_tool clo_tools_a[], clo_tools_b[], clo_tools_c[];
extern const size_t clo_tools_a_len, clo_tools_b_len, clo_tools_c_len;

/* Tables by subject; catalog.c keeps the order of names. */
extern const clo_table clo_table_activities, clo_table_calls, clo_table_comment_threads,
    clo_table_comments, clo_table_contacts, clo_table_custom_activities,
    clo_table_custom_fields_contact, clo_table_custom_fields_lead,
    clo_table_custom_fields_opportunity, clo_table_custom_object_types, clo_table_custom_objects,
    clo_table_emails, clo_table_events, clo_table_lead_statuses, clo_table_leads, clo_table_me,
    clo_table_notes, clo_table_opportunities, clo_table_opportunity_statuses, clo_table_pipelines,
    clo_table_sequence_subscriptions, clo_table_sequences, clo_table_smart_views, clo_table_sms,
    clo_table_tasks, clo_table_users, clo_table_webhooks;

/* Arguments are literals and names of constants that stand alone in an initialiser, some are pasted.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

/* ---- parameters: NEED is required, MAY is optional ---- */
#define NEED(t, n, d)                                                                              \
    {                                                                                              \
        .name = n, .type = CLO_T_##t, .flags = CLO_P_REQUIRED, .doc = d                            \
    }
#define MAY(t, n, d)                                                                               \
    {                                                                                              \
        .name = n, .type = CLO_T_##t, .flags = 0, .doc = d                                         \
    }
/* `form` is CLO_P_JSONTEXT, CLO_P_OBJECT or CLO_P_ARRAY */
#define NEED_JSON(n, form, d)                                                                      \
    {                                                                                              \
        .name = n, .type = CLO_T_JSON, .flags = CLO_P_REQUIRED | (form), .doc = d                  \
    }
#define MAY_JSON(n, form, d)                                                                       \
    {                                                                                              \
        .name = n, .type = CLO_T_JSON, .flags = form, .doc = d                                     \
    }
#define P_PAGING(t, n, d)                                                                          \
    {                                                                                              \
        .name = n, .type = CLO_T_##t, .flags = CLO_P_PAGING, .doc = d                              \
    }
#define P_LIMIT P_PAGING(INT, "_limit", "Rows in the answer; Close has a maximum for each list.")
#define P_SKIP P_PAGING(INT, "_skip", "Rows to leave out at the start.")
#define P_FIELDS P_PAGING(TEXT, "_fields", "Fields to return, separated by commas; without it all.")
#define P_ORDER(d) P_PAGING(TEXT, "_order_by", d)
#define PARAMS(a) .params = a, .n_params = CLO_ARRAY_LEN(a)

/* ---- columns: COL is always there, OPT may be null or absent ---- */
#define COL(t, n, d)                                                                               \
    {                                                                                              \
        .name = n, .type = CLO_T_##t, .flags = 0, .doc = d                                         \
    }
#define OPT(t, n, d)                                                                               \
    {                                                                                              \
        .name = n, .type = CLO_T_##t, .flags = CLO_C_NULLABLE, .doc = d                            \
    }
#define LOOSE(n, d)                                                                                \
    {                                                                                              \
        .name = n, .type = CLO_T_TEXT, .flags = CLO_C_NULLABLE | CLO_C_LOOSE, .doc = d             \
    }
#define KEY(d)                                                                                     \
    {                                                                                              \
        .name = "id", .type = CLO_T_TEXT, .flags = CLO_C_KEY, .doc = d                             \
    }
#define SECRET(n, d)                                                                               \
    {                                                                                              \
        .name = n, .type = CLO_T_TEXT, .flags = CLO_C_SECRET, .doc = d                             \
    }
/* a parameter of the list tool that is no field of the row: shows the condition, else NULL */
#define ASKED(n, d)                                                                                \
    {                                                                                              \
        .name = n, .type = CLO_T_TEXT, .flags = CLO_C_PARAM | CLO_C_NULLABLE, .doc = d             \
    }
#define CUSTOM                                                                                     \
    {                                                                                              \
        .name = "custom", .type = CLO_T_JSON, .flags = CLO_C_CUSTOM | CLO_C_NULLABLE,              \
        .doc = "All custom field values as one object, by key (custom.cf_...)."                    \
    }
#define RAW                                                                                        \
    {                                                                                              \
        .name = "_raw", .type = CLO_T_JSON, .flags = CLO_C_RAW,                                    \
        .doc = "The whole object as Close sent it."                                                \
    }
#define COLUMNS(a) .columns = a, .n_columns = CLO_ARRAY_LEN(a)

/* ---- conditions, orders, aliases ---- */
#define EQ(c, f)                                                                                   \
    {                                                                                              \
        .column = c, .param = c, .op = CLO_OP_EQ, .flags = f                                       \
    }
#define EQ_AS(c, p, f)                                                                             \
    {                                                                                              \
        .column = c, .param = p, .op = CLO_OP_EQ, .flags = f                                       \
    }
#define FROM(c, p)                                                                                 \
    {                                                                                              \
        .column = c, .param = p, .op = CLO_OP_GE, .flags = CLO_F_EXACT                             \
    }
#define UNTIL(c, p)                                                                                \
    {                                                                                              \
        .column = c, .param = p, .op = CLO_OP_LE, .flags = CLO_F_EXACT                             \
    }
#define FILTERS(a) .filters = a, .n_filters = CLO_ARRAY_LEN(a)
#define BY(c)                                                                                      \
    {                                                                                              \
        .column = c, .asc = c, .desc = "-" c                                                       \
    }
#define BY_QUERY(c)                                                                                \
    {                                                                                              \
        .column = c, .asc = "sort:" c, .desc = "sort:-" c                                          \
    }
#define ORDERS(a) .orders = a, .n_orders = CLO_ARRAY_LEN(a)
#define ALIASES(a) .aliases = a, .n_aliases = CLO_ARRAY_LEN(a)

/* NOLINTEND(bugprone-macro-parentheses) */

#endif
