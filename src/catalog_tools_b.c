/*
 * catalog_tools_b.c - the tools by name, second volume: emails to opportunities.
 *
 * See catalog_tools_a.c for what a row means and the rules that it keeps.
 */
#include "catalog.h"

static const clo_param email_create[] = {
    NEED(TEXT, "lead_id", "Lead the email belongs to."),
    NEED(TEXT, "status",
         "What to do with it: inbox or sent (logged only), draft, scheduled (sent later), outbox "
         "(sent now) or error."),
    MAY(TEXT, "contact_id", "Contact the email is from or to."),
    MAY(TEXT, "subject", "Subject line."),
    MAY(TEXT, "body_text", "Plain text body."),
    MAY(TEXT, "body_html", "HTML body."),
    MAY(TEXT, "sender",
        "Sender as address or \"Name\" <address>; required unless status is draft or sent."),
    MAY_JSON("to", CLO_P_JSONTEXT, "JSON array of recipient addresses."),
};

static const clo_param email_delete[] = {
    NEED(TEXT, "email_id", "Email to delete."),
};

static const clo_param email_get[] = {
    NEED(TEXT, "email_id", "Email to read."),
};

static const clo_param email_update[] = {
    NEED(TEXT, "email_id", "Email to change."),
    MAY(TEXT, "status",
        "New status: inbox or sent (logged only), draft, scheduled (sent later), outbox (sent now) "
        "or error."),
    MAY(TEXT, "subject", "New subject line."),
    MAY(TEXT, "body_text", "New plain text body."),
    MAY(TEXT, "body_html", "New HTML body."),
};

static const clo_param emails_list[] = {
    MAY(TEXT, "lead_id", "Only emails of this lead."),
    MAY(TEXT, "contact_id", "Only emails with this contact."),
    MAY(TEXT, "user_id", "Only emails of this user."),
    P_LIMIT,
    P_SKIP,
    P_FIELDS,
};

static const clo_param events_list[] = {
    P_LIMIT,
    P_SKIP,
    MAY(TEXT, "action", "Only this action: created, updated, deleted or, for leads, merged."),
    MAY(TEXT, "date_updated__gte", "Only events at or after this time (ISO 8601)."),
    MAY(TEXT, "date_updated__lte", "Only events at or before this time (ISO 8601)."),
    MAY(TEXT, "lead_id", "Only events of this lead."),
    MAY(TEXT, "object_id", "Only events of this object."),
    MAY(TEXT, "object_type",
        "Only events of this type of object, such as lead, contact or activity.note."),
    MAY(TEXT, "user_id", "Only events caused by this user."),
};

static const clo_param export_lead_create[] = {
    NEED(TEXT, "format", "File format: csv or json."),
    MAY(TEXT, "date_format", "Form of dates in CSV: original, iso8601 or excel."),
    MAY_JSON("fields", CLO_P_ARRAY, "Names of the fields to export; without it all."),
    MAY(BOOL, "include_activities", "Whether a JSON export holds the activities."),
    MAY(BOOL, "include_smart_fields", "Whether computed fields are exported too."),
    MAY(INT, "results_limit", "At most this many leads."),
    MAY_JSON("s_query", CLO_P_OBJECT,
             "Advanced Filtering query that picks the leads, the bare tree; without it all leads."),
    MAY(BOOL, "send_done_email",
        "Whether Close sends an email when the job is done (default true)."),
    MAY_JSON("sort", CLO_P_ARRAY, "Advanced Filtering sort items."),
};

static const clo_param field_enrichment_create[] = {
    NEED(TEXT, "field_id", "Custom field to fill."),
    NEED(TEXT, "object_id", "Lead or contact concerned."),
    NEED(TEXT, "object_type", "Type of that object: lead or contact."),
    NEED(TEXT, "organization_id", "Organization it belongs to."),
    MAY(BOOL, "overwrite_existing_value",
        "Whether a value that is already there is replaced (default false)."),
    MAY(BOOL, "set_new_value",
        "Whether the value found is written (default true); false only asks."),
};

static const clo_param lead_create[] = {
    NEED(TEXT, "name", "Name of the company or person."),
    MAY(TEXT, "description", "Free text."),
    MAY(TEXT, "url", "Web site."),
    MAY(TEXT, "status_id", "Lead status; without it the first one of the organization."),
};

static const clo_param lead_delete[] = {
    NEED(TEXT, "lead_id", "Lead to delete."),
};

static const clo_param lead_get[] = {
    NEED(TEXT, "lead_id", "Lead to read."),
    P_FIELDS,
};

static const clo_param lead_merge[] = {
    NEED(TEXT, "source", "Lead that is merged away and deleted."),
    NEED(TEXT, "destination", "Lead that remains."),
};

static const clo_param lead_update[] = {
    NEED(TEXT, "lead_id", "Lead to change."),   MAY(TEXT, "name", "New name."),
    MAY(TEXT, "description", "New free text."), MAY(TEXT, "url", "New web site."),
    MAY(TEXT, "status_id", "New lead status."),
};

static const clo_param leads_list[] = {
    MAY(TEXT, "query",
        "Search text in the query language of Close, such as Acme, status:\"Potential\" or "
        "email_address:*; sort:name and the like order the result."),
    P_LIMIT,
    P_SKIP,
    P_ORDER("Not honoured for leads: put sort:... into query."),
    P_FIELDS,
};

static const clo_param note_create[] = {
    NEED(TEXT, "lead_id", "Lead the note belongs to."),
    NEED(TEXT, "note", "Text of the note, plain."),
    MAY(TEXT, "contact_id", "Contact the note is about."),
};

static const clo_param note_delete[] = {
    NEED(TEXT, "note_id", "Note to delete."),
};

static const clo_param note_get[] = {
    NEED(TEXT, "note_id", "Note to read."),
};

static const clo_param note_update[] = {
    NEED(TEXT, "note_id", "Note to change."),
    NEED(TEXT, "note", "New text, plain."),
};

static const clo_param notes_list[] = {
    MAY(TEXT, "lead_id", "Only notes of this lead."),
    MAY(TEXT, "contact_id", "Only notes with this contact."),
    MAY(TEXT, "user_id", "Only notes of this user."),
    P_LIMIT,
    P_SKIP,
    P_FIELDS,
};

static const clo_param opportunities_list[] = {
    MAY(TEXT, "lead_id", "Only opportunities of this lead."),
    MAY(TEXT, "user_id", "Only opportunities of this owner."),
    MAY(TEXT, "status_id", "Only opportunities in this status."),
    MAY(TEXT, "status_type", "Only opportunities of this type: active, won or lost."),
    P_LIMIT,
    P_SKIP,
    P_ORDER("Order, with a leading minus for descending: date_won, date_updated, date_created, "
            "confidence, user_name, value, annualized_value or annualized_expected_value."),
    P_FIELDS,
};

static const clo_param opportunity_create[] = {
    NEED(TEXT, "lead_id", "Lead the opportunity belongs to."),
    NEED(TEXT, "status_id", "Opportunity status; it also decides the pipeline."),
    MAY(INT, "value", "Amount in cents."),
    MAY(TEXT, "value_currency", "Ignored by Close: the currency belongs to the organization."),
    MAY(TEXT, "value_period", "How often the amount is due: one_time, monthly or annual."),
    MAY(INT, "confidence", "Chance of winning in percent, 0 to 100."),
    MAY(TEXT, "expected_date",
        "Ignored by Close: on an active opportunity date_won is the expected date."),
    MAY(TEXT, "date_won", "Date won, or the expected date while active (YYYY-MM-DD)."),
    MAY(TEXT, "note", "Note, plain text."),
};

static const clo_param opportunity_delete[] = {
    NEED(TEXT, "opportunity_id", "Opportunity to delete."),
};

static const clo_param opportunity_get[] = {
    NEED(TEXT, "opportunity_id", "Opportunity to read."),
    P_FIELDS,
};

static const clo_param opportunity_statuses_list[] = {
    P_FIELDS,
};

static const clo_param opportunity_update[] = {
    NEED(TEXT, "opportunity_id", "Opportunity to change."),
    MAY(TEXT, "status_id", "New opportunity status."),
    MAY(INT, "value", "New amount in cents."),
    MAY(TEXT, "value_currency", "Ignored by Close: the currency belongs to the organization."),
    MAY(TEXT, "value_period", "New how often the amount is due: one_time, monthly or annual."),
    MAY(INT, "confidence", "New chance of winning in percent, 0 to 100."),
    MAY(TEXT, "expected_date",
        "Ignored by Close: on an active opportunity date_won is the expected date."),
    MAY(TEXT, "date_won", "New date won, or the expected date while active (YYYY-MM-DD)."),
    MAY(TEXT, "note", "New note, plain text."),
};

const clo_tool clo_tools_b[] = {
    {
        .name = "close_email_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_MESSAGES,
        .table = "close_emails",
        .method = "POST",
        .path = "/activity/email/",
        .doc = "Logs, drafts, schedules or sends an email, depending on its status.",
        .example = "SELECT close_email_create('lead_abc', 'draft', 'cont_abc', 'Your quote', "
                   "'Hello Ada', NULL, NULL, '[\"ada@example.com\"]');",
        PARAMS(email_create),
    },
    {
        .name = "close_email_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_emails",
        .method = "DELETE",
        .path = "/activity/email/{email_id}/",
        .doc = "Deletes an email from Close.",
        .example = "SELECT close_email_delete('acti_abc');",
        PARAMS(email_delete),
    },
    {
        .name = "close_email_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_emails",
        .method = "GET",
        .path = "/activity/email/{email_id}/",
        .doc = "Reads one email with its bodies.",
        .example = "SELECT close_email_get('acti_abc');",
        PARAMS(email_get),
    },
    {
        .name = "close_email_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_MESSAGES,
        .table = "close_emails",
        .method = "PUT",
        .path = "/activity/email/{email_id}/",
        .doc = "Changes an email; only a draft can be edited, and moving it to outbox or scheduled "
               "sends it.",
        .example = "SELECT close_email_update('acti_abc', 'draft', 'Your quote, second version');",
        PARAMS(email_update),
    },
    {
        .name = "close_emails_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_emails",
        .method = "GET",
        .path = "/activity/email/",
        .doc = "Lists the emails of the organization.",
        .example =
            "SELECT close_emails_list('lead_abc', NULL, NULL, 20, 0, 'id,subject,date_created');",
        PARAMS(emails_list),
    },
    {
        .name = "close_events_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_events",
        .method = "GET",
        .path = "/event/",
        .doc = "Lists the newest events of the change log, at most 50.",
        .example = "SELECT close_events_list(50, NULL, 'deleted', NULL, NULL, NULL, NULL, 'lead');",
        PARAMS(events_list),
    },
    {
        .name = "close_export_lead_create",
        .kind = CLO_ACTION,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_NEWER,
        .table = "close_leads",
        .method = "POST",
        .path = "/export/lead/",
        .doc = "Starts a job that exports leads to a file.",
        .example =
            "SELECT close_export_lead_create('csv', 'iso8601', '[\"id\",\"display_name\"]');",
        PARAMS(export_lead_create),
    },
    {
        .name = "close_field_enrichment_create",
        .kind = CLO_ACTION,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_NEWER,
        .method = "POST",
        .path = "/enrich_field/",
        .doc = "Lets Close look up the value of one custom field of a lead or contact; takes "
               "seconds, may cost credits and writes the value into an empty field.",
        .example = "SELECT close_field_enrichment_create('cf_abc', 'lead_abc', 'lead', 'orga_abc', "
                   "false, false);",
        PARAMS(field_enrichment_create),
    },
    {
        .name = "close_lead_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_leads",
        .method = "POST",
        .path = "/lead/",
        .doc = "Creates a lead.",
        .example = "SELECT close_lead_create('Acme', 'Met at the fair', 'https://acme.example');",
        PARAMS(lead_create),
    },
    {
        .name = "close_lead_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_leads",
        .method = "DELETE",
        .path = "/lead/{lead_id}/",
        .doc = "Deletes a lead with its contacts, activities, tasks and opportunities.",
        .example = "SELECT close_lead_delete('lead_abc');",
        PARAMS(lead_delete),
    },
    {
        .name = "close_lead_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_leads",
        .method = "GET",
        .path = "/lead/{lead_id}/",
        .doc = "Reads one lead.",
        .example = "SELECT close_lead_get('lead_abc');",
        PARAMS(lead_get),
    },
    {
        .name = "close_lead_merge",
        .kind = CLO_ACTION,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE,
        .table = "close_leads",
        .method = "POST",
        .path = "/lead/merge/",
        .doc = "Merges one lead into another and deletes the first; the work goes on after the "
               "call has returned.",
        .example = "SELECT close_lead_merge('lead_old', 'lead_new');",
        PARAMS(lead_merge),
    },
    {
        .name = "close_lead_statuses_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_lead_statuses",
        .method = "GET",
        .path = "/status/lead/",
        .doc = "Lists the lead statuses.",
        .example = "SELECT close_lead_statuses_list();",
    },
    {
        .name = "close_lead_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_leads",
        .method = "PUT",
        .path = "/lead/{lead_id}/",
        .doc = "Changes a lead.",
        .example = "SELECT close_lead_update('lead_abc', NULL, 'Renewal in May');",
        PARAMS(lead_update),
    },
    {
        .name = "close_leads_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_leads",
        .method = "GET",
        .path = "/lead/",
        .doc = "Lists leads, all or those that a search matches.",
        .example = "SELECT close_leads_list('status:\"Potential\" sort:-date_created', 20);",
        PARAMS(leads_list),
    },
    {
        .name = "close_me_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_me",
        .method = "GET",
        .path = "/me/",
        .doc = "Reads the user whose account is connected, with organizations and email accounts.",
        .example = "SELECT close_me_get();",
    },
    {
        .name = "close_note_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_notes",
        .method = "POST",
        .path = "/activity/note/",
        .doc = "Writes a note on a lead.",
        .example = "SELECT close_note_create('lead_abc', 'Called, will ring back');",
        PARAMS(note_create),
    },
    {
        .name = "close_note_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_notes",
        .method = "DELETE",
        .path = "/activity/note/{note_id}/",
        .doc = "Deletes a note.",
        .example = "SELECT close_note_delete('acti_abc');",
        PARAMS(note_delete),
    },
    {
        .name = "close_note_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_notes",
        .method = "GET",
        .path = "/activity/note/{note_id}/",
        .doc = "Reads one note.",
        .example = "SELECT close_note_get('acti_abc');",
        PARAMS(note_get),
    },
    {
        .name = "close_note_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_notes",
        .method = "PUT",
        .path = "/activity/note/{note_id}/",
        .doc = "Replaces the text of a note.",
        .example = "SELECT close_note_update('acti_abc', 'Rang back, wants a demo');",
        PARAMS(note_update),
    },
    {
        .name = "close_notes_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_notes",
        .method = "GET",
        .path = "/activity/note/",
        .doc = "Lists the notes of the organization.",
        .example = "SELECT close_notes_list('lead_abc');",
        PARAMS(notes_list),
    },
    {
        .name = "close_opportunities_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_opportunities",
        .method = "GET",
        .path = "/opportunity/",
        .doc = "Lists opportunities.",
        .example = "SELECT close_opportunities_list(NULL, NULL, NULL, 'won', 50, 0, '-date_won');",
        PARAMS(opportunities_list),
    },
    {
        .name = "close_opportunity_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_opportunities",
        .method = "POST",
        .path = "/opportunity/",
        .doc = "Creates an opportunity on a lead.",
        .example =
            "SELECT close_opportunity_create('lead_abc', 'stat_abc', 250000, NULL, 'monthly', 40);",
        PARAMS(opportunity_create),
    },
    {
        .name = "close_opportunity_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_opportunities",
        .method = "DELETE",
        .path = "/opportunity/{opportunity_id}/",
        .doc = "Deletes an opportunity.",
        .example = "SELECT close_opportunity_delete('oppo_abc');",
        PARAMS(opportunity_delete),
    },
    {
        .name = "close_opportunity_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_opportunities",
        .method = "GET",
        .path = "/opportunity/{opportunity_id}/",
        .doc = "Reads one opportunity.",
        .example = "SELECT close_opportunity_get('oppo_abc');",
        PARAMS(opportunity_get),
    },
    {
        .name = "close_opportunity_statuses_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_opportunity_statuses",
        .method = "GET",
        .path = "/status/opportunity/",
        .doc = "Lists the opportunity statuses of all pipelines.",
        .example = "SELECT close_opportunity_statuses_list();",
        PARAMS(opportunity_statuses_list),
    },
    {
        .name = "close_opportunity_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_opportunities",
        .method = "PUT",
        .path = "/opportunity/{opportunity_id}/",
        .doc = "Changes an opportunity; a status of type won sets date_won when it is empty.",
        .example = "SELECT close_opportunity_update('oppo_abc', 'stat_won');",
        PARAMS(opportunity_update),
    },
};

const size_t clo_tools_b_len = CLO_ARRAY_LEN(clo_tools_b);
