/*
 * catalog_tables_sales.c - the tables about selling: leads, contacts, opportunities, tasks.
 *
 * A table is a view over tools: its list tool gives the rows, its get tool one row by id, the others
 * write. Everything about a table stands together here: columns, the conditions that its list honours,
 * the orders it can give, how it is paged. Both hosts, the planner and the reference pages read it.
 *
 * Rules
 *  - Columns keep the order of Close's own description of the resource; then custom, then parameters
 *    of the list that are no field of the row (hidden), then _raw (hidden). New columns are added
 *    before custom: hosts address columns by name, prepared statements do not outlive the library.
 *  - EXACT is a promise that rows which fail the condition never come, so LIMIT may travel with it.
 *    It is given only where the service documents the parameter for this very list. Unknown
 *    filters are ignored by the service without an error, which would be every row of the CRM.
 *  - An order is offered only where the service sorts as SQL does: on columns that are never NULL and
 *    are no text. That excludes date_won and value of opportunities and the due date of tasks.
 *  - date_created__gte and its like are no columns: they carry bounds on the column itself.
 *
 * Rejected: deriving filters from the parameters of the list tool (the connector offers parameters that
 * the service ignores), and columns as text to be parsed at load time (a misprint would show up in a
 * user's query and not in the compiler).
 */
#include "catalog.h"

static const clo_column leads_columns[] = {
    KEY("Lead id (lead_)."),
    OPT(TEXT, "name", "Name of the company or person; may be empty."),
    COL(TEXT, "display_name", "Name, or the first contact when the name is empty."),
    OPT(TEXT, "description", "Free text; often empty."),
    OPT(TEXT, "url", "Web site."),
    COL(TEXT, "status_id", "Lead status (stat_)."),
    COL(TEXT, "status_label", "Label of the status when read."),
    COL(JSON, "addresses",
        "Objects with label, address_1, address_2, city, state, zipcode, country, tz_ids."),
    COL(JSON, "contact_ids", "Ids of the contacts."),
    OPT(JSON, "contacts", "Whole contact objects; prefer close_contacts."),
    OPT(TEXT, "contacts_summary", "Display text about the contacts."),
    OPT(JSON, "opportunities", "Whole opportunity objects; prefer close_opportunities."),
    OPT(JSON, "tasks", "Incomplete tasks only; prefer close_tasks."),
    OPT(JSON, "recent_calls", "Short call objects."),
    OPT(JSON, "summaries", "Generated summaries."),
    COL(JSON, "integration_links", "Objects with name, url."),
    OPT(JSON, "primary_email", "Email object of the primary contact."),
    OPT(JSON, "primary_phone", "Phone object of the primary contact."),
    OPT(TEXT, "primary_address_summary", "One-line address."),
    OPT(TEXT, "primary_address_full", "Full address."),
    OPT(TIME, "localtime",
        "Local time at the lead; without quotes PostgreSQL takes the name for the current time."),
    OPT(TEXT, "source", "Where the lead came from."),
    COL(TEXT, "html_url", "Page of the lead in the application."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    OPT(TEXT, "created_by", "Author (user id)."),
    OPT(TEXT, "created_by_name", "Display name of created_by."),
    OPT(TEXT, "updated_by", "Last editor (user id)."),
    OPT(TEXT, "updated_by_name", "Display name of updated_by."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    CUSTOM,
    ASKED("query", "Search in the query language of Close, such as Acme or status:\"Potential\"; "
                   "shows the condition."),
    RAW,
};

static const clo_filter leads_filters[] = {
    EQ("query", CLO_F_EXACT),
};

static const clo_order leads_orders[] = {
    BY_QUERY("date_created"),
    BY_QUERY("date_updated"),
};

const clo_table clo_table_leads = {
    .name = "close_leads",
    .resource = "leads",
    .doc = "Leads: the companies and people you sell to.",
    .example = "SELECT id, name, status_label FROM close_leads WHERE query = 'Acme' LIMIT 10",
    .list = "close_leads_list",
    .get = "close_lead_get",
    .get_param = "lead_id",
    .create = "close_lead_create",
    .update = "close_lead_update",
    .remove = "close_lead_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 200,
    .skip_max = 35000,
    .totals = true,
    .guess_rows = 5000,
    .keyset = CLO_KEY_LEAD_QUERY,
    .key_column = "date_created",
    COLUMNS(leads_columns),
    FILTERS(leads_filters),
    ORDERS(leads_orders),
};

static const clo_column contacts_columns[] = {
    KEY("Contact id (cont_)."),
    OPT(TEXT, "lead_id", "Lead it belongs to; missing in some older answers."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    OPT(TEXT, "name", "Full name; may be empty."),
    COL(TEXT, "display_name", "Name, or other identifying text when the name is empty."),
    OPT(TEXT, "title", "Job title."),
    COL(JSON, "emails", "Objects with email, type, is_unsubscribed; an update replaces all."),
    COL(JSON, "phones",
        "Objects with phone (E.164), phone_formatted, type, country; an update replaces all."),
    COL(JSON, "urls", "Objects with url, type."),
    OPT(TEXT, "timezone", "Time zone name."),
    OPT(TEXT, "timezone_source", "How the time zone was found."),
    OPT(JSON, "recent_calls",
        "Short call objects: id, status, duration, finish_timestamp, dialer_id."),
    OPT(JSON, "subscriptions", "Sequence subscriptions in short form."),
    COL(JSON, "integration_links", "Objects with name, url."),
    OPT(TEXT, "lead_suggestions_operation_id", "Internal to Close."),
    OPT(TEXT, "created_by", "Author (user id)."),
    OPT(TEXT, "updated_by", "Last editor (user id)."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    CUSTOM,
    RAW,
};

static const clo_filter contacts_filters[] = {
    EQ("lead_id", CLO_F_EXACT),
};

const clo_table clo_table_contacts = {
    .name = "close_contacts",
    .resource = "contacts",
    .doc = "Contacts: people at a lead.",
    .example = "SELECT name, title, emails FROM close_contacts WHERE lead_id = 'lead_abc'",
    .list = "close_contacts_list",
    .get = "close_contact_get",
    .get_param = "contact_id",
    .create = "close_contact_create",
    .update = "close_contact_update",
    .remove = "close_contact_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 100,
    .guess_rows = 8000,
    COLUMNS(contacts_columns),
    FILTERS(contacts_filters),
};

static const clo_column opportunities_columns[] = {
    KEY("Opportunity id (oppo_)."),
    COL(TEXT, "lead_id", "Lead it belongs to."),
    OPT(TEXT, "lead_name", "Name of the lead."),
    OPT(JSON, "lead_primary_email", "Primary email object of the lead."),
    OPT(JSON, "lead_primary_phone", "Phone objects of the lead (an array, unlike on leads)."),
    OPT(TEXT, "contact_id", "Contact concerned."),
    OPT(TEXT, "contact_name", "Name of the contact."),
    COL(TEXT, "user_id", "Owner (user id)."),
    OPT(TEXT, "user_name", "Name of the owner."),
    OPT(TEXT, "pipeline_id", "Pipeline (pipe_)."),
    OPT(TEXT, "pipeline_name", "Name of the pipeline."),
    COL(TEXT, "status_id", "Opportunity status (stat_)."),
    COL(TEXT, "status_label", "Label of the status."),
    OPT(TEXT, "status_display_name",
        "Label for display, with the pipeline when there are several."),
    COL(TEXT, "status_type", "Type of the status: active, won or lost."),
    OPT(INT, "value", "Amount in cents."),
    COL(TEXT, "value_period", "How often it is due: one_time, monthly or annual."),
    OPT(TEXT, "value_currency", "Currency code of the organization."),
    OPT(TEXT, "value_formatted", "Display form of amount and period."),
    COL(INT, "confidence", "Chance of winning in percent, 0 to 100."),
    OPT(INT, "expected_value", "Value times confidence, in cents."),
    OPT(INT, "annualized_value", "Value per year, in cents."),
    OPT(INT, "annualized_expected_value", "Annualized value times confidence, in cents."),
    OPT(DATE, "date_won", "Date won, or the expected date while active."),
    OPT(TIME, "date_lost", "When it was lost."),
    OPT(TEXT, "note", "Note, plain; may be empty."),
    OPT(TEXT, "note_html", "Note, rich."),
    OPT(JSON, "attachments", "Objects with url, filename, content_type, size, thumbnail_url."),
    OPT(JSON, "comment_summary", "Object with comment_count and thread_id."),
    OPT(BOOL, "is_stalled", "Whether it is flagged as stalled."),
    OPT(JSON, "stall_status", "Older analysis of the stall."),
    OPT(JSON, "suggested_action", "Proposed next action (action, details, justification)."),
    COL(JSON, "integration_links", "Objects with name, url."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    OPT(TEXT, "created_by", "Author (user id)."),
    OPT(TEXT, "created_by_name", "Display name of created_by."),
    OPT(TEXT, "updated_by", "Last editor (user id)."),
    OPT(TEXT, "updated_by_name", "Display name of updated_by."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    CUSTOM,
    RAW,
};

static const clo_filter opportunities_filters[] = {
    EQ("lead_id", CLO_F_EXACT),
    EQ("user_id", CLO_F_EXACT),
    EQ("status_id", CLO_F_EXACT),
    EQ("status_type", CLO_F_EXACT),
};

static const clo_order opportunities_orders[] = {
    BY("date_created"),
    BY("date_updated"),
    BY("confidence"),
};

const clo_table clo_table_opportunities = {
    .name = "close_opportunities",
    .resource = "opportunities",
    .doc = "Opportunities: possible deals with amount, status and chance of winning.",
    .example = "SELECT lead_name, value / 100.0 FROM close_opportunities WHERE status_type = 'won' "
               "ORDER BY value DESC LIMIT 10",
    .list = "close_opportunities_list",
    .get = "close_opportunity_get",
    .get_param = "opportunity_id",
    .create = "close_opportunity_create",
    .update = "close_opportunity_update",
    .remove = "close_opportunity_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 250,
    .totals = true,
    .guess_rows = 3000,
    COLUMNS(opportunities_columns),
    FILTERS(opportunities_filters),
    ORDERS(opportunities_orders),
};

static const clo_column tasks_columns[] = {
    KEY("Task id: task_ for ordinary tasks, noti_ for those made by Close."),
    COL(TEXT, "_type",
        "Type: lead, outgoing_call, incoming_email, email_followup, missed_call, voicemail, "
        "opportunity_due, incoming_sms ..."),
    OPT(TEXT, "text", "What to do; absent on most notifications."),
    OPT(TEXT, "date", "When it is due: a date (YYYY-MM-DD) or a timestamp, as text."),
    OPT(TEXT, "due_date", "Older twin of date."),
    COL(BOOL, "is_complete", "Whether it is done."),
    OPT(BOOL, "is_dateless", "Whether it has no due date."),
    OPT(TEXT, "view", "View it stands in: inbox, future or archive."),
    OPT(TEXT, "priority", "Priority: high or medium."),
    OPT(TEXT, "resolution", "How it was closed without being done: abandoned or skipped."),
    OPT(TEXT, "lead_id", "Lead; NULL for unknown callers."),
    OPT(TEXT, "lead_name", "Name of the lead."),
    OPT(TEXT, "contact_id", "Contact concerned."),
    OPT(TEXT, "contact_name", "Name of the contact; may be empty."),
    OPT(TEXT, "assigned_to", "User who has to do it."),
    OPT(TEXT, "assigned_to_name", "Display name of assigned_to."),
    OPT(TEXT, "object_id", "Object behind the task (activity, opportunity)."),
    OPT(TEXT, "object_type",
        "Type of that object: call, emailthread, opportunity, sms, taskcompleted."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    OPT(TEXT, "created_by", "Author (user id); NULL when Close made it."),
    OPT(TEXT, "created_by_name", "Display name of created_by."),
    OPT(TEXT, "updated_by", "Last editor (user id)."),
    OPT(TEXT, "updated_by_name", "Display name of updated_by."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    OPT(TEXT, "phone", "Calls: number of the other party, E.164."),
    OPT(TEXT, "phone_formatted", "Calls: display form of phone."),
    OPT(TEXT, "phone_number_description", "Calls: region of the number."),
    OPT(TEXT, "local_phone", "Calls and SMS: Close number."),
    OPT(TEXT, "remote_phone", "SMS: number of the other party."),
    OPT(TEXT, "remote_phone_formatted", "SMS: display form of remote_phone."),
    OPT(TEXT, "remote_phone_description", "SMS: region of the number."),
    OPT(TEXT, "recording_url", "Answered detached calls: link to the recording."),
    OPT(TEXT, "voicemail_url", "Voicemails: link."),
    OPT(INT, "voicemail_duration", "Voicemails: length in seconds."),
    OPT(JSON, "emails", "Incoming emails: email activity ids."),
    OPT(TEXT, "email_id", "Email follow-ups: email activity."),
    OPT(TEXT, "subject", "Emails: subject line."),
    OPT(TEXT, "body_preview", "Emails: start of the body."),
    OPT(JSON, "attachments", "SMS: attachments."),
    OPT(TEXT, "opportunity_note", "Due opportunities: note."),
    OPT(INT, "opportunity_value", "Due opportunities: amount in cents."),
    OPT(TEXT, "opportunity_value_currency", "Due opportunities: currency code."),
    OPT(TEXT, "opportunity_value_formatted", "Due opportunities: display form of the amount."),
    OPT(TEXT, "opportunity_value_period", "Due opportunities: one_time, monthly or annual."),
    OPT(TEXT, "sequence_id", "Calls of a sequence: sequence."),
    OPT(TEXT, "sequence_subscription_id", "Calls of a sequence: subscription."),
    OPT(TEXT, "step_id", "Calls of a sequence: step."),
    OPT(BOOL, "is_primary_lead_notification", "Whether it is the notification shown on the lead."),
    OPT(TEXT, "deduplication_key", "Key that Close uses for its own notifications."),
    OPT(TEXT, "agent_config_id", "Configuration of Close's automation that made it."),
    RAW,
};

static const clo_filter tasks_filters[] = {
    EQ("lead_id", CLO_F_EXACT),           EQ("assigned_to", CLO_F_EXACT),
    EQ("is_complete", CLO_F_EXACT),       EQ("_type", CLO_F_EXACT),
    EQ("view", CLO_F_EXACT | CLO_F_ECHO),
};

static const clo_order tasks_orders[] = {
    BY("date_created"),
};

/* Without a type the service shows ordinary tasks only. */
static const char *const task_types[] = {"all", NULL};

const clo_table clo_table_tasks = {
    .name = "close_tasks",
    .resource = "tasks",
    .doc = "Tasks and notifications of every type.",
    .example = "SELECT text, date, lead_name FROM close_tasks WHERE assigned_to = 'user_abc' AND "
               "is_complete = false",
    .list = "close_tasks_list",
    .get = "close_task_get",
    .get_param = "task_id",
    .create = "close_task_create",
    .update = "close_task_update",
    .remove = "close_task_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 1000,
    .guess_rows = 5000,
    .each_param = "_type",
    .each_values = task_types,
    COLUMNS(tasks_columns),
    FILTERS(tasks_filters),
    ORDERS(tasks_orders),
};
