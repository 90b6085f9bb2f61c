/*
 * catalog_tables_activity.c - the tables about what happened: activities of all and of single types,
 * comments, and the change log.
 *
 * See catalog_tables_sales.c for what the rows mean and the rules they keep. Special here:
 *  - The list of all types honours contact, user and type only together with one lead; the lists of
 *    one type name the same filters without that condition, so they are sent but never trusted.
 *  - Comments can be listed only per object or per thread: without either the threads are the parents.
 *  - Custom activities honour their type only together with one lead.
 *  - Events have no paging that the tool could reach: the walk steps back by date_updated.
 */
#include "catalog.h"

/* What every activity has, whatever its type. */
#define ACTIVITY_COLUMNS                                                                           \
    KEY("Activity id (acti_)."), COL(TEXT, "_type", "Type of the activity, as Close spells it."),  \
        OPT(TEXT, "lead_id",                                                                       \
            "Lead it belongs to; NULL for activity on unknown numbers or addresses."),             \
        OPT(TEXT, "contact_id", "Contact concerned."),                                             \
        OPT(TEXT, "user_id", "User who did or owns it."),                                          \
        OPT(TEXT, "user_name", "Display name of user_id when read."),                              \
        OPT(JSON, "users", "Ids of users also involved."),                                         \
        COL(TEXT, "organization_id", "Organization (orga_)."),                                     \
        OPT(TIME, "activity_at", "When it happened (sent, held, made)."),                          \
        COL(TIME, "date_created",                                                                  \
            "When the record was made in Close; settable on create, so imports may be older."),    \
        COL(TIME, "date_updated", "Last change."),                                                 \
        OPT(TEXT, "created_by", "Author (user id); NULL when Close made it."),                     \
        OPT(TEXT, "created_by_name", "Display name of created_by."),                               \
        OPT(TEXT, "updated_by", "Last editor (user id)."),                                         \
        OPT(TEXT, "updated_by_name", "Display name of updated_by.")

static const clo_column activities_columns[] = {
    ACTIVITY_COLUMNS,
    OPT(TEXT, "source",
        "Created: where the lead came from; Call and SMS: Close.io or External; Note: api or "
        "NULL."),
    OPT(TEXT, "import_id", "Created: import that made the lead."),
    OPT(TEXT, "status", "Call, Email, SMS, Meeting: state of the item."),
    OPT(TEXT, "direction", "Call, SMS: inbound or outbound; Email: incoming or outgoing."),
    OPT(TEXT, "note", "Note, Call: plain text."),
    OPT(TEXT, "note_html", "Note, Call: rich text."),
    OPT(TEXT, "subject", "Email: subject line."),
    OPT(INT, "duration", "Call and Meeting: seconds."),
    OPT(TEXT, "text", "SMS: message text."),
    OPT(JSON, "attachments", "Note, Email, SMS: attached files."),
    OPT(TEXT, "old_status_id", "Status changes: status before."),
    OPT(TEXT, "old_status_label", "Status changes: label before."),
    OPT(TEXT, "old_status_type", "OpportunityStatusChange: type before (active, won, lost)."),
    OPT(TEXT, "new_status_id", "Status changes: status after."),
    OPT(TEXT, "new_status_label", "Status changes: label after."),
    OPT(TEXT, "new_status_type", "OpportunityStatusChange: type after."),
    OPT(TEXT, "old_pipeline_id", "OpportunityStatusChange: pipeline before."),
    OPT(TEXT, "old_pipeline_name", "OpportunityStatusChange: pipeline name before."),
    OPT(TEXT, "new_pipeline_id", "OpportunityStatusChange: pipeline after."),
    OPT(TEXT, "new_pipeline_name", "OpportunityStatusChange: pipeline name after."),
    OPT(TEXT, "opportunity_id", "OpportunityStatusChange: opportunity."),
    OPT(INT, "opportunity_value", "OpportunityStatusChange: value in cents at that time."),
    OPT(TEXT, "opportunity_value_formatted", "OpportunityStatusChange: display form of the value."),
    OPT(TEXT, "opportunity_value_currency", "OpportunityStatusChange: currency code."),
    OPT(TEXT, "opportunity_value_period", "OpportunityStatusChange: one_time, monthly or annual."),
    OPT(INT, "opportunity_confidence", "OpportunityStatusChange: confidence 0-100."),
    OPT(TIME, "opportunity_date_won",
        "OpportunityStatusChange: won or expected date, as midnight UTC."),
    OPT(TEXT, "task_id", "TaskCompleted: task."),
    OPT(TEXT, "task_text", "TaskCompleted: text of the task."),
    OPT(TEXT, "task_assigned_to", "TaskCompleted: assignee user id."),
    OPT(TEXT, "task_assigned_to_name", "TaskCompleted: assignee name."),
    OPT(TEXT, "source_lead_id", "LeadMerge: lead merged away."),
    OPT(TEXT, "source_display_name", "LeadMerge: name of the lead merged away."),
    OPT(TEXT, "destination_lead_id", "LeadMerge: surviving lead."),
    OPT(TEXT, "destination_display_name", "LeadMerge: name of the surviving lead."),
    OPT(TEXT, "merge_status", "LeadMerge: pending, in_progress, completed or errored."),
    OPT(TEXT, "error_message", "LeadMerge, SMS: failure text."),
    OPT(INT, "n_emails", "EmailThread: number of emails."),
    OPT(JSON, "participants", "EmailThread: addresses taking part."),
    OPT(JSON, "latest_emails", "EmailThread: stripped message objects."),
    OPT(TEXT, "latest_normalized_subject", "EmailThread: subject without reply prefixes."),
    OPT(TEXT, "title", "Meeting and Note: title."),
    OPT(TIME, "starts_at", "Meeting: start."),
    OPT(TIME, "ends_at", "Meeting: end."),
    OPT(TEXT, "location", "Meeting: place."),
    OPT(JSON, "attendees",
        "Meeting: objects with email, name, status, is_organizer, contact_id, user_id."),
    OPT(BOOL, "is_recurring", "Meeting: part of a series."),
    OPT(TEXT, "connected_account_id", "Meeting: calendar account (emailacct_)."),
    OPT(TEXT, "calendar_event_link", "Meeting: link to the calendar entry."),
    OPT(JSON, "calendar_event_uids", "Meeting: calendar uids."),
    OPT(JSON, "integrations", "Meeting: linked conference integrations."),
    OPT(TEXT, "custom_activity_type_id", "Custom activities: type (actitype_)."),
    RAW,
};

static const clo_filter activities_filters[] = {
    EQ("lead_id", CLO_F_EXACT),
    EQ("contact_id", CLO_F_EXACT | CLO_F_WITH_LEAD),
    EQ("user_id", CLO_F_EXACT | CLO_F_WITH_LEAD),
    EQ("_type", CLO_F_EXACT | CLO_F_WITH_LEAD),
};

static const clo_order activities_orders[] = {
    BY("date_created"),
};

const clo_table clo_table_activities = {
    .name = "close_activities",
    .resource = "activities",
    .doc = "Activities of all types on the timelines of leads, newest first.",
    .example = "SELECT date_created, _type, user_name FROM close_activities WHERE lead_id = "
               "'lead_abc' LIMIT 20",
    .list = "close_activities_list",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 100,
    .guess_rows = 50000,
    COLUMNS(activities_columns),
    FILTERS(activities_filters),
    ORDERS(activities_orders),
};

/* The lists of one type: contact_id and user_id are documented, but by the words of the list of all
 * types they need a lead. They are sent to save pages, and rows are checked. */
static const clo_filter typed_filters[] = {
    EQ("lead_id", CLO_F_EXACT),
    EQ("contact_id", 0),
    EQ("user_id", 0),
};

static const clo_column calls_columns[] = {
    ACTIVITY_COLUMNS,
    COL(TEXT, "status",
        "State: created, in-progress, completed, cancel, no-answer, busy, failed or timeout."),
    OPT(TEXT, "direction", "Direction: inbound or outbound."),
    OPT(INT, "duration", "Length in seconds."),
    OPT(TEXT, "disposition", "Result as Close saw it (answered, vm-left, no-answer ...)."),
    OPT(TEXT, "call_method", "How it was placed: regular, external and others."),
    COL(TEXT, "source", "Made in Close (Close.io) or logged (External)."),
    OPT(TEXT, "phone", "Number of the other party, E.164."),
    OPT(TEXT, "remote_phone", "Number of the other party, E.164."),
    OPT(TEXT, "remote_phone_formatted", "Display form of remote_phone."),
    OPT(TEXT, "remote_country_iso", "Country of the other party, two letters."),
    OPT(TEXT, "local_phone", "Close number used, E.164; absent for logged calls."),
    OPT(TEXT, "local_phone_formatted", "Display form of local_phone."),
    OPT(TEXT, "local_country_iso", "Country of the local number, two letters."),
    OPT(TEXT, "note", "Notes, plain text; often empty."),
    OPT(TEXT, "note_html", "Notes, rich text."),
    OPT(TEXT, "outcome_id", "Outcome that the user chose (outcome_)."),
    OPT(TEXT, "cost", "Cost in cents, as text."),
    OPT(BOOL, "has_recording", "Whether there is a recording."),
    OPT(TEXT, "recording_url", "Link to the recording."),
    OPT(TIME, "recording_expires_at", "When the recording is removed."),
    OPT(TEXT, "voicemail_url", "Link to the voicemail."),
    OPT(INT, "voicemail_duration", "Length of the voicemail in seconds."),
    OPT(TIME, "date_answered", "When the call was picked up."),
    OPT(TEXT, "dialer_id", "Power dialer run."),
    OPT(TEXT, "dialer_saved_search_id", "Smart View the dialer ran on."),
    OPT(BOOL, "is_forwarded", "Whether it was forwarded."),
    OPT(TEXT, "forwarded_to", "Number it was forwarded to."),
    OPT(BOOL, "is_joinable", "Whether another user may join now."),
    OPT(BOOL, "is_to_group_number", "Call to a group number."),
    OPT(JSON, "coach_legs", "Listen, whisper and barge legs."),
    OPT(TEXT, "transferred_from", "Call or number it came from."),
    OPT(TEXT, "transferred_from_user_id", "User who transferred it."),
    OPT(TEXT, "transferred_to", "Target of the transfer."),
    OPT(TEXT, "transferred_to_user_id", "User it was transferred to."),
    OPT(TEXT, "sequence_id", "Sequence whose step this call is."),
    OPT(TEXT, "sequence_name", "Name of that sequence."),
    OPT(TEXT, "sequence_subscription_id", "Subscription whose step this call is."),
    RAW,
};

const clo_table clo_table_calls = {
    .name = "close_calls",
    .resource = "calls",
    .doc = "Calls, made in Close or logged.",
    .example = "SELECT date_created, direction, duration, note FROM close_calls WHERE lead_id = "
               "'lead_abc'",
    .list = "close_calls_list",
    .get = "close_call_get",
    .get_param = "call_id",
    .create = "close_call_create",
    .update = "close_call_update",
    .remove = "close_call_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 100,
    .guess_rows = 10000,
    FILTERS(typed_filters),
    COLUMNS(calls_columns),
};

static const clo_column emails_columns[] = {
    ACTIVITY_COLUMNS,
    COL(TEXT, "status", "State: inbox, draft, scheduled, outbox, sent or error."),
    OPT(TEXT, "direction", "Direction: incoming or outgoing."),
    OPT(TEXT, "subject", "Subject line."),
    OPT(TEXT, "sender", "Sender as address or \"Name\" <address>."),
    COL(JSON, "to", "Recipient addresses."),
    COL(JSON, "cc", "Copy addresses."),
    COL(JSON, "bcc", "Blind copy addresses."),
    OPT(TEXT, "body_text", "Plain body; large, so select it only when needed."),
    OPT(TEXT, "body_html", "HTML body; large, so select it only when needed."),
    OPT(TEXT, "body_preview", "Start of the body."),
    OPT(JSON, "body_text_quoted", "Plain body in parts (text, expand)."),
    OPT(JSON, "body_html_quoted", "HTML body in parts (html, expand)."),
    OPT(JSON, "attachments", "Objects with url, filename, content_type, size, content_id."),
    OPT(JSON, "envelope",
        "Parsed headers: from, sender, to, cc, bcc, reply_to, date, subject, message_id, "
        "in_reply_to."),
    COL(JSON, "message_ids", "RFC 5322 message ids."),
    COL(JSON, "references", "Referenced message ids."),
    OPT(TEXT, "in_reply_to_id", "Email activity that it answers."),
    OPT(TEXT, "thread_id", "EmailThread activity it belongs to."),
    COL(BOOL, "has_reply", "Whether an answer was received."),
    OPT(TIME, "date_sent", "When it was sent."),
    OPT(TIME, "date_scheduled", "When it will be sent."),
    OPT(JSON, "opens", "Open events (opened_at, ip, user agent)."),
    OPT(TEXT, "opens_summary", "Display text about opens."),
    OPT(JSON, "send_attempts", "Delivery attempts with errors."),
    OPT(TEXT, "send_as_id", "Send-as grant used."),
    OPT(TEXT, "email_account_id", "Connected account (emailacct_)."),
    COL(BOOL, "need_smtp_credentials",
        "Whether the account must be connected again before sending."),
    OPT(TEXT, "template_id", "Template used (tmpl_)."),
    OPT(TEXT, "template_name", "Name of the template."),
    OPT(TEXT, "bulk_email_action_id", "Bulk email it belongs to."),
    OPT(TEXT, "sequence_id", "Sequence that sent it."),
    OPT(TEXT, "sequence_name", "Name of that sequence."),
    OPT(TEXT, "sequence_subscription_id", "Subscription that sent it."),
    OPT(TEXT, "followup_sequence_id", "Sequence that starts when nobody answers."),
    OPT(INT, "followup_sequence_delay", "Delay before that sequence, in seconds."),
    COL(BOOL, "followup_sequence_add_cc_bcc", "Whether the follow-up keeps cc and bcc."),
    OPT(TEXT, "agent_config_id", "Configuration of Close's automation that wrote it."),
    OPT(TEXT, "agent_action_reason", "Reason given by that automation."),
    RAW,
};

const clo_table clo_table_emails = {
    .name = "close_emails",
    .resource = "emails",
    .doc = "Emails; bodies are fetched only when selected.",
    .example = "SELECT date_created, sender, subject FROM close_emails WHERE lead_id = 'lead_abc'",
    .list = "close_emails_list",
    .get = "close_email_get",
    .get_param = "email_id",
    .create = "close_email_create",
    .update = "close_email_update",
    .remove = "close_email_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 100,
    .guess_rows = 30000,
    FILTERS(typed_filters),
    COLUMNS(emails_columns),
};

static const clo_column notes_columns[] = {
    ACTIVITY_COLUMNS,
    OPT(TEXT, "note", "Text, plain; writing it rewrites note_html."),
    OPT(TEXT, "note_html", "Text, rich."),
    COL(JSON, "note_mentions", "Ids of the users mentioned."),
    OPT(TEXT, "title", "Title."),
    COL(BOOL, "pinned", "Whether it is pinned on the lead."),
    OPT(TIME, "pinned_at", "When it was pinned."),
    COL(JSON, "attachments", "Objects with url, filename, content_type, size, thumbnail_url."),
    OPT(TEXT, "source", "Text api when made through the API, else NULL."),
    RAW,
};

const clo_table clo_table_notes = {
    .name = "close_notes",
    .resource = "notes",
    .doc = "Notes on leads.",
    .example = "SELECT date_created, user_name, note FROM close_notes WHERE lead_id = 'lead_abc'",
    .list = "close_notes_list",
    .get = "close_note_get",
    .get_param = "note_id",
    .create = "close_note_create",
    .update = "close_note_update",
    .remove = "close_note_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 100,
    .guess_rows = 10000,
    FILTERS(typed_filters),
    COLUMNS(notes_columns),
};

static const clo_column sms_columns[] = {
    ACTIVITY_COLUMNS,
    COL(TEXT, "status", "State: inbox, draft, scheduled, outbox, sent or error."),
    COL(TEXT, "direction", "Direction: inbound or outbound."),
    OPT(TEXT, "text", "Text of the message."),
    OPT(TEXT, "local_phone", "Number in Close, E.164."),
    OPT(TEXT, "local_phone_formatted", "Display form of local_phone."),
    OPT(TEXT, "local_country_iso", "Country of the local number, two letters."),
    OPT(TEXT, "remote_phone", "Number of the other party, E.164."),
    OPT(TEXT, "remote_phone_formatted", "Display form of remote_phone."),
    OPT(TEXT, "remote_country_iso", "Country of the other party, two letters."),
    COL(TEXT, "source", "Made in Close (Close.io) or logged (External)."),
    OPT(TEXT, "cost", "Cost in cents, as text."),
    OPT(TIME, "date_sent", "When it was sent."),
    OPT(TIME, "date_scheduled", "When it will be sent."),
    OPT(TEXT, "error_message", "Failure text."),
    OPT(TEXT, "template_id", "SMS template used (smstmpl_)."),
    OPT(JSON, "attachments",
        "Objects with media_id, url, thumbnail_url, content_type, size, filename; absent when "
        "none."),
    OPT(TEXT, "sequence_id", "Sequence that sent it."),
    OPT(TEXT, "sequence_name", "Name of that sequence."),
    OPT(TEXT, "sequence_subscription_id", "Subscription that sent it."),
    OPT(TEXT, "agent_config_id", "Configuration of Close's automation that wrote it."),
    OPT(TEXT, "agent_action_reason", "Reason given by that automation."),
    RAW,
};

const clo_table clo_table_sms = {
    .name = "close_sms",
    .resource = "sms",
    .doc = "Text messages.",
    .example = "SELECT date_created, direction, text FROM close_sms WHERE lead_id = 'lead_abc'",
    .list = "close_sms_list",
    .get = "close_sms_get",
    .get_param = "sms_id",
    .create = "close_sms_create",
    .update = "close_sms_update",
    .remove = "close_sms_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 100,
    .guess_rows = 3000,
    FILTERS(typed_filters),
    COLUMNS(sms_columns),
};

static const clo_column custom_activities_columns[] = {
    KEY("Activity id (acti_)."),
    COL(TEXT, "_type", "Always CustomActivity."),
    COL(TEXT, "custom_activity_type_id", "Type (actitype_)."),
    OPT(TEXT, "lead_id", "Lead it belongs to."),
    OPT(TEXT, "contact_id", "Contact concerned."),
    OPT(TEXT, "user_id", "User who did or owns it."),
    OPT(TEXT, "user_name", "Display name of user_id when read."),
    COL(JSON, "users", "Ids of users also involved."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    COL(TEXT, "status", "State: draft or published."),
    OPT(TIME, "last_published_at", "Last publication; NULL while only a draft."),
    OPT(TIME, "activity_at", "When it happened."),
    COL(TIME, "date_created", "When it was created; settable on create, so imports may be older."),
    COL(TIME, "date_updated", "Last change."),
    OPT(TEXT, "created_by", "Author (user id)."),
    OPT(TEXT, "created_by_name", "Display name of created_by."),
    OPT(TEXT, "updated_by", "Last editor (user id)."),
    OPT(TEXT, "updated_by_name", "Display name of updated_by."),
    OPT(TEXT, "source", "How it was made: ui, api, import and others."),
    COL(BOOL, "pinned", "Whether it is pinned on the lead."),
    OPT(TIME, "pinned_at", "When it was pinned."),
    COL(JSON, "mentions", "Ids of the users mentioned."),
    OPT(TIME, "mentions_updated_at", "Last change of mentions."),
    OPT(JSON, "comment_summary", "Object with comment_count and thread_id."),
    CUSTOM,
    RAW,
};

static const clo_filter custom_activities_filters[] = {
    EQ("lead_id", CLO_F_EXACT),
    EQ("custom_activity_type_id", CLO_F_EXACT | CLO_F_WITH_LEAD),
    EQ("contact_id", 0),
    EQ("user_id", 0),
    FROM("date_created", "date_created__gte"),
    UNTIL("date_created", "date_created__lte"),
};

const clo_table clo_table_custom_activities = {
    .name = "close_custom_activities",
    .resource = "custom_activities",
    .doc = "Activities of types the organization defined itself, drafts included.",
    .example = "SELECT date_created, status, custom FROM close_custom_activities WHERE "
               "date_created >= '2026-01-01'",
    .list = "close_custom_activities_list",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 100,
    .guess_rows = 2000,
    .keyset = CLO_KEY_DATE_LTE,
    .key_column = "date_created",
    .key_param = "date_created__lte",
    COLUMNS(custom_activities_columns),
    FILTERS(custom_activities_filters),
};

static const clo_column comments_columns[] = {
    KEY("Comment id (comm_)."),
    COL(TEXT, "thread_id", "Comment thread (comthr_)."),
    COL(TEXT, "lead_id", "Lead of the commented object."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    OPT(TEXT, "body", "Rich text; NULL or empty once removed."),
    COL(JSON, "mentions", "Ids of the users mentioned."),
    COL(TIME, "created_at", "When it was written."),
    COL(TEXT, "created_by", "Author (user id)."),
    COL(TIME, "updated_at", "Last edit."),
    COL(TEXT, "updated_by", "Last editor (user id)."),
    OPT(TIME, "removed_at", "When the text was removed."),
    OPT(TEXT, "removed_by", "User who removed it."),
    ASKED("object_id", "Object commented on; shows the condition, and an insert needs it."),
    RAW,
};

static const clo_filter comments_filters[] = {
    EQ("object_id", CLO_F_EXACT),
    EQ("thread_id", CLO_F_EXACT),
};

static const clo_alias comments_aliases[] = {
    {.kind = CLO_UPDATE, .column = "body", .param = "comment"},
};

static const char *const comments_unless[] = {"object_id", "thread_id", NULL};

const clo_table clo_table_comments = {
    .name = "close_comments",
    .resource = "comments",
    .doc = "Comments; without a condition on thread or object all threads are walked.",
    .example =
        "SELECT created_at, created_by, body FROM close_comments WHERE object_id = 'acti_abc'",
    .list = "close_comments_list",
    .get = "close_comment_get",
    .get_param = "comment_id",
    .create = "close_comment_create",
    .update = "close_comment_update",
    .remove = "close_comment_delete",
    .pager = CLO_PAGE_WHOLE,
    .guess_rows = 1000,
    .parent = "close_comment_threads",
    .parent_param = "thread_id",
    .parent_unless = comments_unless,
    COLUMNS(comments_columns),
    FILTERS(comments_filters),
    ALIASES(comments_aliases),
};

static const clo_column comment_threads_columns[] = {
    KEY("Thread id (comthr_)."),
    COL(TEXT, "object_id", "Object commented on."),
    COL(TEXT, "object_type", "Type of that object, for example activity.note."),
    COL(TEXT, "lead_id", "Lead of that object."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    COL(INT, "num_comments", "Number of comments."),
    COL(JSON, "participating", "Ids of the users taking part."),
    COL(TIME, "created_at", "When it was created."),
    COL(TIME, "updated_at", "Last change."),
    ASKED("ids", "Thread ids separated by commas; shows the condition."),
    ASKED("object_ids", "Ids of objects commented on, separated by commas; shows the condition."),
    RAW,
};

static const clo_filter comment_threads_filters[] = {
    EQ("ids", CLO_F_EXACT),
    EQ("object_ids", CLO_F_EXACT),
    EQ_AS("id", "ids", CLO_F_EXACT),
    EQ_AS("object_id", "object_ids", CLO_F_EXACT),
};

const clo_table clo_table_comment_threads = {
    .name = "close_comment_threads",
    .resource = "comment_threads",
    .doc = "Comment threads: one per object that has comments.",
    .example = "SELECT object_type, object_id, num_comments FROM close_comment_threads WHERE "
               "object_id = 'acti_abc'",
    .list = "close_comment_threads_list",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 100,
    .guess_rows = 500,
    COLUMNS(comment_threads_columns),
    FILTERS(comment_threads_filters),
};

static const clo_column events_columns[] = {
    KEY("Event id (ev_)."),
    COL(TEXT, "object_type",
        "Type of the object: lead, contact, opportunity, activity.note ... (older ones: note)."),
    COL(TEXT, "object_id", "Object that changed."),
    COL(TEXT, "action", "What happened: created, updated, deleted, merged ..."),
    OPT(TEXT, "lead_id", "Lead concerned."),
    OPT(TEXT, "user_id", "User who caused it."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    OPT(TEXT, "api_key_id", "API key used."),
    OPT(TEXT, "request_id", "API request (req_)."),
    COL(JSON, "changed_fields", "Names of changed fields."),
    OPT(JSON, "data", "Object after the change."),
    OPT(JSON, "previous_data", "Old values of the changed fields."),
    OPT(JSON, "meta", "Object with request_method and request_path."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change; newest first."),
    RAW,
};

static const clo_filter events_filters[] = {
    EQ("object_type", CLO_F_EXACT),
    EQ("object_id", CLO_F_EXACT),
    EQ("lead_id", CLO_F_EXACT),
    EQ("user_id", CLO_F_EXACT),
    EQ("action", CLO_F_EXACT),
    FROM("date_updated", "date_updated__gte"),
    UNTIL("date_updated", "date_updated__lte"),
};

const clo_table clo_table_events = {
    .name = "close_events",
    .resource = "events",
    .doc = "The change log of about the last 30 days, newest first.",
    .example = "SELECT date_updated, action, object_id FROM close_events WHERE object_type = "
               "'lead' AND action = 'deleted'",
    .list = "close_events_list",
    .pager = CLO_PAGE_EVENTS,
    .page_max = 50,
    .guess_rows = 5000,
    .keyset = CLO_KEY_DATE_LTE,
    .key_column = "date_updated",
    .key_param = "date_updated__lte",
    COLUMNS(events_columns),
    FILTERS(events_filters),
};
