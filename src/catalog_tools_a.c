/*
 * catalog_tools_a.c - the tools by name, first volume: activities to custom objects.
 *
 * One row per tool of the connector: what SQL calls it, which arguments it takes, what it does to
 * the CRM, and which call of Close's REST API stands behind it. Registration in both hosts, argument
 * checks, the reference pages and the stand-in service all read these rows, so a new tool is one more
 * row here and a test case, nothing else.
 *
 * Rules for a row
 *  - The volumes (a, b, c) follow each other in the order of names, and so do the rows in each of
 *    them: catalog.c searches by halving. A test compares the whole with the connector's own list.
 *  - Parameters: required ones first, then the connector's order. That is the order of SQL arguments
 *    and must never change for a released tool; new ones go to the end.
 *  - Docs are one sentence for people who know the CRM but not its API: units, allowed values and
 *    side effects belong there.
 *  - Flags are decisions, not decoration. IDEMPOTENT allows a repetition after an unknown outcome:
 *    reads, deletes, and updates that carry absolute values. Updates of emails and messages do not
 *    have it, because one that reached the outbox twice might be sent twice. The bulk update of
 *    tasks does not have it either, because its filters are evaluated anew.
 *
 * Rejected: an X-macro list (hard to read in a debugger), a data file turned into C at build time (one
 * more language and tool before the first compile), and one array of parameters with offsets (compact,
 * but a row could no longer be read on its own).
 */
#include "catalog.h"

static const clo_param activities_list[] = {
    MAY(TEXT, "lead_id", "Only activities of this lead."),
    MAY(TEXT, "contact_id",
        "Only activities with this contact; honoured only together with lead_id."),
    MAY(TEXT, "user_id", "Only activities of this user; honoured only together with lead_id."),
    MAY(TEXT, "_type",
        "Only this type (Note, Call, Email, SMS, Meeting, Created, LeadStatusChange, Custom ...); "
        "honoured only together with lead_id."),
    P_LIMIT,
    P_SKIP,
    P_ORDER("Order: date_created or -date_created, and -activity_at together with lead_id."),
    P_FIELDS,
};

static const clo_param bulk_delete_create[] = {
    NEED_JSON("s_query", CLO_P_OBJECT,
              "Advanced Filtering query that picks the leads: the bare tree, not the wrapper of a "
              "Smart View."),
    MAY(INT, "results_limit", "At most this many leads; without it every match is deleted."),
    MAY(BOOL, "send_done_email",
        "Whether Close sends an email when the job is done (default true)."),
    MAY_JSON("sort", CLO_P_ARRAY,
             "Advanced Filtering sort items; they decide which leads results_limit keeps."),
};

static const clo_param bulk_edit_create[] = {
    NEED_JSON("s_query", CLO_P_OBJECT,
              "Advanced Filtering query that picks the leads: the bare tree, not the wrapper of a "
              "Smart View."),
    NEED(TEXT, "type", "What to do: set_lead_status, set_custom_field or clear_custom_field."),
    MAY(TEXT, "custom_field_id", "Custom field to set or clear."),
    MAY(TEXT, "custom_field_operation",
        "How to set a multi-value field: replace (default), add or remove."),
    MAY(TEXT, "custom_field_value", "New value of the custom field, as text."),
    MAY(TEXT, "lead_status_id", "New status, for set_lead_status."),
    MAY(INT, "results_limit", "At most this many leads; without it every match is changed."),
    MAY(BOOL, "send_done_email",
        "Whether Close sends an email when the job is done (default true)."),
    MAY_JSON("sort", CLO_P_ARRAY,
             "Advanced Filtering sort items; they decide which leads results_limit keeps."),
};

static const clo_param call_create[] = {
    NEED(TEXT, "lead_id", "Lead the call belongs to."),
    NEED(TEXT, "status",
         "State of the call: created, in-progress, completed, cancel, no-answer, busy, failed or "
         "timeout."),
    MAY(TEXT, "contact_id", "Contact who was called or who called."),
    MAY(TEXT, "direction", "Direction: inbound or outbound."),
    MAY(INT, "duration", "Length in seconds."),
    MAY(TEXT, "note", "Notes about the call, plain text."),
    MAY(TEXT, "phone", "Number of the other party, E.164."),
    MAY(TEXT, "recording_url", "HTTPS link to a recording."),
};

static const clo_param call_delete[] = {
    NEED(TEXT, "call_id", "Call to delete."),
};

static const clo_param call_get[] = {
    NEED(TEXT, "call_id", "Call to read."),
};

static const clo_param call_update[] = {
    NEED(TEXT, "call_id", "Call to change."),
    MAY(TEXT, "note", "New notes, plain text."),
    MAY(TEXT, "status",
        "New state: created, in-progress, completed, cancel, no-answer, busy, failed or timeout."),
    MAY(INT, "duration", "New length in seconds."),
};

static const clo_param calls_list[] = {
    MAY(TEXT, "lead_id", "Only calls of this lead."),
    MAY(TEXT, "contact_id", "Only calls with this contact."),
    MAY(TEXT, "user_id", "Only calls of this user."),
    P_LIMIT,
    P_SKIP,
    P_FIELDS,
};

static const clo_param comment_create[] = {
    NEED(TEXT, "object_id", "Activity, opportunity or other object to comment on."),
    NEED(TEXT, "body", "Text of the comment, plain or HTML."),
};

static const clo_param comment_delete[] = {
    NEED(TEXT, "comment_id", "Comment to remove."),
};

static const clo_param comment_get[] = {
    NEED(TEXT, "comment_id", "Comment to read."),
};

static const clo_param comment_threads_list[] = {
    P_LIMIT,
    P_SKIP,
    MAY(TEXT, "ids", "Only these threads: ids separated by commas."),
    MAY(TEXT, "object_ids", "Only threads about these objects: ids separated by commas."),
};

static const clo_param comment_update[] = {
    NEED(TEXT, "comment_id", "Comment to change."),
    NEED(TEXT, "comment", "New text, plain or HTML; Close receives it as body."),
};

static const clo_param comments_list[] = {
    MAY(TEXT, "object_id", "Object whose comments to list."),
    MAY(TEXT, "thread_id", "Thread whose comments to list."),
    P_LIMIT,
    P_SKIP,
    P_FIELDS,
};

static const clo_param contact_create[] = {
    NEED(TEXT, "lead_id", "Lead the contact belongs to."),
    MAY(TEXT, "name", "Full name."),
    MAY(TEXT, "title", "Job title."),
    MAY_JSON("emails", CLO_P_JSONTEXT,
             "JSON array of objects with email and type (office, home, direct, mobile, fax, url, "
             "other)."),
    MAY_JSON("phones", CLO_P_JSONTEXT,
             "JSON array of objects with phone (E.164) and type (office, home, direct, mobile, "
             "fax, url, other)."),
};

static const clo_param contact_delete[] = {
    NEED(TEXT, "contact_id", "Contact to delete."),
};

static const clo_param contact_get[] = {
    NEED(TEXT, "contact_id", "Contact to read."),
    P_FIELDS,
};

static const clo_param contact_update[] = {
    NEED(TEXT, "contact_id", "Contact to change."),
    MAY(TEXT, "name", "New full name."),
    MAY(TEXT, "title", "New job title."),
    MAY_JSON("emails", CLO_P_JSONTEXT,
             "JSON array of objects with email and type (office, home, direct, mobile, fax, url, "
             "other); replaces all."),
    MAY_JSON("phones", CLO_P_JSONTEXT,
             "JSON array of objects with phone (E.164) and type (office, home, direct, mobile, "
             "fax, url, other); replaces all."),
};

static const clo_param contacts_list[] = {
    MAY(TEXT, "lead_id", "Only contacts of this lead."),
    P_LIMIT,
    P_SKIP,
    P_FIELDS,
};

static const clo_param custom_activities_list[] = {
    P_FIELDS,
    P_LIMIT,
    P_SKIP,
    MAY(TEXT, "contact_id", "Only custom activities with this contact."),
    MAY(TEXT, "custom_activity_type_id",
        "Only custom activities of this type; honoured only together with lead_id."),
    MAY(TEXT, "date_created__gte", "Only those created at or after this time (ISO 8601)."),
    MAY(TEXT, "date_created__lte", "Only those created at or before this time (ISO 8601)."),
    MAY(TEXT, "lead_id", "Only custom activities of this lead."),
    MAY(TEXT, "user_id", "Only custom activities of this user."),
};

static const clo_param custom_field_contact_create[] = {
    NEED(TEXT, "name", "Label of the field."),
    NEED(TEXT, "type",
         "Type of the values: text, textarea, number, date, datetime, choices, user or contact."),
};

static const clo_param custom_field_contact_delete[] = {
    NEED(TEXT, "custom_field_id", "Custom field to delete."),
};

static const clo_param custom_field_contact_get[] = {
    NEED(TEXT, "custom_field_id", "Custom field to read."),
};

static const clo_param custom_field_contact_update[] = {
    NEED(TEXT, "custom_field_id", "Custom field to change."),
    MAY(TEXT, "name", "New label."),
};

static const clo_param paging[] = {
    P_LIMIT,
    P_SKIP,
    P_FIELDS,
};

static const clo_param paging_newer[] = {
    P_FIELDS,
    P_LIMIT,
    P_SKIP,
};

static const clo_param custom_objects_list[] = {
    NEED(TEXT, "lead_id", "Lead whose custom objects to list."),      P_FIELDS, P_LIMIT, P_SKIP,
    MAY(TEXT, "custom_object_type_id", "Only objects of this type."),
};

const clo_tool clo_tools_a[] = {
    {
        .name = "close_activities_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_activities",
        .method = "GET",
        .path = "/activity/",
        .doc = "Lists activities of all types, newest first.",
        .example = "SELECT close_activities_list('lead_abc', NULL, NULL, 'Note', 20);",
        PARAMS(activities_list),
    },
    {
        .name = "close_bulk_delete_create",
        .kind = CLO_ACTION,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_NEWER,
        .table = "close_leads",
        .method = "POST",
        .path = "/bulk_action/delete/",
        .doc = "Starts a job that deletes every lead a query matches, with its contacts, "
               "activities, tasks and opportunities, for good.",
        .example = "SELECT "
                   "close_bulk_delete_create('{\"type\":\"id\",\"object_type\":\"lead\",\"value\":"
                   "\"lead_abc\"}', 1);",
        PARAMS(bulk_delete_create),
    },
    {
        .name = "close_bulk_edit_create",
        .kind = CLO_ACTION,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_NEWER,
        .table = "close_leads",
        .method = "POST",
        .path = "/bulk_action/edit/",
        .doc =
            "Starts a job that changes the status or a custom field of every lead a query matches.",
        .example = "SELECT "
                   "close_bulk_edit_create('{\"type\":\"id\",\"object_type\":\"lead\",\"value\":"
                   "\"lead_abc\"}', 'set_lead_status', NULL, NULL, NULL, 'stat_abc');",
        PARAMS(bulk_edit_create),
    },
    {
        .name = "close_call_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_calls",
        .method = "POST",
        .path = "/activity/call/",
        .doc = "Logs a call made outside Close; nothing is dialled.",
        .example = "SELECT close_call_create('lead_abc', 'completed', 'cont_abc', 'outbound', 180, "
                   "'Agreed on a demo');",
        PARAMS(call_create),
    },
    {
        .name = "close_call_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_calls",
        .method = "DELETE",
        .path = "/activity/call/{call_id}/",
        .doc = "Deletes a call.",
        .example = "SELECT close_call_delete('acti_abc');",
        PARAMS(call_delete),
    },
    {
        .name = "close_call_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_calls",
        .method = "GET",
        .path = "/activity/call/{call_id}/",
        .doc = "Reads one call.",
        .example = "SELECT close_call_get('acti_abc');",
        PARAMS(call_get),
    },
    {
        .name = "close_call_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_calls",
        .method = "PUT",
        .path = "/activity/call/{call_id}/",
        .doc = "Changes the note, status or duration of a call; status and duration only of calls "
               "made outside Close.",
        .example = "SELECT close_call_update('acti_abc', 'No answer, try again on Monday');",
        PARAMS(call_update),
    },
    {
        .name = "close_calls_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_calls",
        .method = "GET",
        .path = "/activity/call/",
        .doc = "Lists the calls of the organization.",
        .example = "SELECT close_calls_list('lead_abc');",
        PARAMS(calls_list),
    },
    {
        .name = "close_comment_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_comments",
        .method = "POST",
        .path = "/comment/",
        .doc = "Comments on an object of a lead; the thread is made with its first comment.",
        .example = "SELECT close_comment_create('acti_abc', 'Please check the quote');",
        PARAMS(comment_create),
    },
    {
        .name = "close_comment_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_comments",
        .method = "DELETE",
        .path = "/comment/{comment_id}/",
        .doc = "Removes a comment: its text goes, and the comment itself with the last one of its "
               "thread.",
        .example = "SELECT close_comment_delete('comm_abc');",
        PARAMS(comment_delete),
    },
    {
        .name = "close_comment_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_comments",
        .method = "GET",
        .path = "/comment/{comment_id}/",
        .doc = "Reads one comment.",
        .example = "SELECT close_comment_get('comm_abc');",
        PARAMS(comment_get),
    },
    {
        .name = "close_comment_threads_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_comment_threads",
        .method = "GET",
        .path = "/comment_thread/",
        .doc = "Lists comment threads.",
        .example = "SELECT close_comment_threads_list(50, 0, NULL, 'acti_abc');",
        PARAMS(comment_threads_list),
    },
    {
        .name = "close_comment_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_comments",
        .method = "PUT",
        .path = "/comment/{comment_id}/",
        .doc = "Replaces the text of one of your own comments.",
        .example = "SELECT close_comment_update('comm_abc', 'The quote is fine');",
        PARAMS(comment_update),
    },
    {
        .name = "close_comments_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_comments",
        .method = "GET",
        .path = "/comment/",
        .doc =
            "Lists the comments of one object or one thread; exactly one of the two must be named.",
        .example = "SELECT close_comments_list('acti_abc');",
        PARAMS(comments_list),
    },
    {
        .name = "close_contact_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_contacts",
        .method = "POST",
        .path = "/contact/",
        .doc = "Creates a contact on a lead.",
        .example = "SELECT close_contact_create('lead_abc', 'Ada Holm', 'Buyer', "
                   "'[{\"email\":\"ada@example.com\",\"type\":\"office\"}]');",
        PARAMS(contact_create),
    },
    {
        .name = "close_contact_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_contacts",
        .method = "DELETE",
        .path = "/contact/{contact_id}/",
        .doc = "Deletes a contact.",
        .example = "SELECT close_contact_delete('cont_abc');",
        PARAMS(contact_delete),
    },
    {
        .name = "close_contact_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_contacts",
        .method = "GET",
        .path = "/contact/{contact_id}/",
        .doc = "Reads one contact.",
        .example = "SELECT close_contact_get('cont_abc', 'id,name,emails');",
        PARAMS(contact_get),
    },
    {
        .name = "close_contact_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_contacts",
        .method = "PUT",
        .path = "/contact/{contact_id}/",
        .doc = "Changes a contact.",
        .example = "SELECT close_contact_update('cont_abc', NULL, 'Head of purchasing');",
        PARAMS(contact_update),
    },
    {
        .name = "close_contacts_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_contacts",
        .method = "GET",
        .path = "/contact/",
        .doc = "Lists the contacts of the organization.",
        .example = "SELECT close_contacts_list('lead_abc');",
        PARAMS(contacts_list),
    },
    {
        .name = "close_custom_activities_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_custom_activities",
        .method = "GET",
        .path = "/activity/custom/",
        .doc = "Lists custom activities, drafts included.",
        .example = "SELECT close_custom_activities_list(NULL, 50, 0, NULL, NULL, '2026-01-01');",
        PARAMS(custom_activities_list),
    },
    {
        .name = "close_custom_field_contact_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_custom_fields_contact",
        .method = "POST",
        .path = "/custom_field/contact/",
        .doc = "Creates a custom field for contacts.",
        .example = "SELECT close_custom_field_contact_create('Region', 'text');",
        PARAMS(custom_field_contact_create),
    },
    {
        .name = "close_custom_field_contact_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_contact",
        .method = "DELETE",
        .path = "/custom_field/contact/{custom_field_id}/",
        .doc = "Deletes a custom field of contacts and all its values.",
        .example = "SELECT close_custom_field_contact_delete('cf_abc');",
        PARAMS(custom_field_contact_delete),
    },
    {
        .name = "close_custom_field_contact_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_contact",
        .method = "GET",
        .path = "/custom_field/contact/{custom_field_id}/",
        .doc = "Reads one custom field of contacts.",
        .example = "SELECT close_custom_field_contact_get('cf_abc');",
        PARAMS(custom_field_contact_get),
    },
    {
        .name = "close_custom_field_contact_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_contact",
        .method = "PUT",
        .path = "/custom_field/contact/{custom_field_id}/",
        .doc = "Renames a custom field of contacts.",
        .example = "SELECT close_custom_field_contact_update('cf_abc', 'Sales region');",
        PARAMS(custom_field_contact_update),
    },
    {
        .name = "close_custom_field_lead_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_custom_fields_lead",
        .method = "POST",
        .path = "/custom_field/lead/",
        .doc = "Creates a custom field for leads.",
        .example = "SELECT close_custom_field_lead_create('Region', 'text');",
        PARAMS(custom_field_contact_create),
    },
    {
        .name = "close_custom_field_lead_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_lead",
        .method = "DELETE",
        .path = "/custom_field/lead/{custom_field_id}/",
        .doc = "Deletes a custom field of leads and all its values.",
        .example = "SELECT close_custom_field_lead_delete('cf_abc');",
        PARAMS(custom_field_contact_delete),
    },
    {
        .name = "close_custom_field_lead_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_lead",
        .method = "GET",
        .path = "/custom_field/lead/{custom_field_id}/",
        .doc = "Reads one custom field of leads.",
        .example = "SELECT close_custom_field_lead_get('cf_abc');",
        PARAMS(custom_field_contact_get),
    },
    {
        .name = "close_custom_field_lead_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_lead",
        .method = "PUT",
        .path = "/custom_field/lead/{custom_field_id}/",
        .doc = "Renames a custom field of leads.",
        .example = "SELECT close_custom_field_lead_update('cf_abc', 'Sales region');",
        PARAMS(custom_field_contact_update),
    },
    {
        .name = "close_custom_field_opportunity_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_custom_fields_opportunity",
        .method = "POST",
        .path = "/custom_field/opportunity/",
        .doc = "Creates a custom field for opportunities.",
        .example = "SELECT close_custom_field_opportunity_create('Region', 'text');",
        PARAMS(custom_field_contact_create),
    },
    {
        .name = "close_custom_field_opportunity_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_opportunity",
        .method = "DELETE",
        .path = "/custom_field/opportunity/{custom_field_id}/",
        .doc = "Deletes a custom field of opportunities and all its values.",
        .example = "SELECT close_custom_field_opportunity_delete('cf_abc');",
        PARAMS(custom_field_contact_delete),
    },
    {
        .name = "close_custom_field_opportunity_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_opportunity",
        .method = "GET",
        .path = "/custom_field/opportunity/{custom_field_id}/",
        .doc = "Reads one custom field of opportunities.",
        .example = "SELECT close_custom_field_opportunity_get('cf_abc');",
        PARAMS(custom_field_contact_get),
    },
    {
        .name = "close_custom_field_opportunity_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_opportunity",
        .method = "PUT",
        .path = "/custom_field/opportunity/{custom_field_id}/",
        .doc = "Renames a custom field of opportunities.",
        .example = "SELECT close_custom_field_opportunity_update('cf_abc', 'Sales region');",
        PARAMS(custom_field_contact_update),
    },
    {
        .name = "close_custom_fields_contact_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_contact",
        .method = "GET",
        .path = "/custom_field/contact/",
        .doc = "Lists the custom fields of contacts, shared ones left out.",
        .example = "SELECT close_custom_fields_contact_list();",
        PARAMS(paging),
    },
    {
        .name = "close_custom_fields_lead_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_lead",
        .method = "GET",
        .path = "/custom_field/lead/",
        .doc = "Lists the custom fields of leads, shared ones left out.",
        .example = "SELECT close_custom_fields_lead_list();",
        PARAMS(paging),
    },
    {
        .name = "close_custom_fields_opportunity_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_custom_fields_opportunity",
        .method = "GET",
        .path = "/custom_field/opportunity/",
        .doc = "Lists the custom fields of opportunities, shared ones left out.",
        .example = "SELECT close_custom_fields_opportunity_list();",
        PARAMS(paging),
    },
    {
        .name = "close_custom_object_types_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_custom_object_types",
        .method = "GET",
        .path = "/custom_object_type/",
        .doc = "Lists the types of custom objects with their fields.",
        .example = "SELECT close_custom_object_types_list();",
        PARAMS(paging_newer),
    },
    {
        .name = "close_custom_objects_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_custom_objects",
        .method = "GET",
        .path = "/custom_object/",
        .doc = "Lists the custom objects of one lead.",
        .example = "SELECT close_custom_objects_list('lead_abc');",
        PARAMS(custom_objects_list),
    },
};

const size_t clo_tools_a_len = CLO_ARRAY_LEN(clo_tools_a);
