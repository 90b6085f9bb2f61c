/*
 * catalog_tools_c.c - the tools by name, last volume: pipelines to webhooks.
 *
 * See catalog_tools_a.c for what a row means and the rules that it keeps.
 */
#include "catalog.h"

static const clo_param pipeline_create[] = {
    NEED(TEXT, "name", "Name of the pipeline."),
};

static const clo_param pipeline_delete[] = {
    NEED(TEXT, "pipeline_id", "Pipeline to delete."),
};

static const clo_param pipeline_get[] = {
    NEED(TEXT, "pipeline_id", "Pipeline to read."),
};

static const clo_param pipeline_update[] = {
    NEED(TEXT, "pipeline_id", "Pipeline to change."),
    MAY(TEXT, "name", "New name."),
};

static const clo_param paging[] = {
    P_LIMIT,
    P_SKIP,
    P_FIELDS,
};

static const clo_param report_activity_get[] = {
    NEED_JSON("metrics", CLO_P_ARRAY, "Array of metric names, such as calls.all.count."),
    NEED(TEXT, "type",
         "Kind of report: overview (a row per period) or comparison (a row per user)."),
    MAY_JSON("datetime_range", CLO_P_OBJECT,
             "Object with start and end (ISO 8601); give this or relative_range."),
    MAY_JSON("query", CLO_P_OBJECT,
             "Object that restricts the report to the leads of a Smart View: type saved_search and "
             "saved_search_id."),
    MAY(TEXT, "relative_range",
        "Named period, such as today or this-month; give this or datetime_range."),
    MAY_JSON("users", CLO_P_ARRAY, "Array of user ids; without it all users."),
};

static const clo_param sequence_create[] = {
    NEED(TEXT, "name", "Name of the sequence."),
    MAY_JSON(
        "schedule", CLO_P_OBJECT,
        "Object whose ranges (weekday, start, end) say when steps may run; without it any time."),
    MAY_JSON("steps", CLO_P_ARRAY,
             "Array of steps: step_type, delay (seconds), email_template_id and so on."),
    MAY(TEXT, "timezone", "Time zone of the schedule, such as Europe/Stockholm."),
};

static const clo_param sequence_delete[] = {
    NEED(TEXT, "sequence_id", "Sequence to delete."),
};

static const clo_param sequence_get[] = {
    NEED(TEXT, "sequence_id", "Sequence to read."),
};

static const clo_param sequence_subscription_create[] = {
    NEED(TEXT, "contact_id", "Contact to enrol."),
    NEED(TEXT, "sequence_id", "Sequence to enrol in."),
    MAY(TEXT, "sender_account_id", "Email account that sends (emailacct_)."),
};

static const clo_param sequence_subscription_delete[] = {
    NEED(TEXT, "subscription_id", "Subscription to delete."),
};

static const clo_param sequence_subscription_get[] = {
    NEED(TEXT, "subscription_id", "Subscription to read."),
};

static const clo_param sequence_subscription_update[] = {
    NEED(TEXT, "subscription_id", "Subscription to change."),
    MAY(BOOL, "pause", "True pauses it, false makes it active again."),
};

static const clo_param sequence_subscriptions_list[] = {
    MAY(TEXT, "lead_id", "Only subscriptions of contacts of this lead."),
    MAY(TEXT, "contact_id", "Only subscriptions of this contact."),
    MAY(TEXT, "sequence_id", "Only subscriptions to this sequence."),
    P_LIMIT,
    P_SKIP,
    P_FIELDS,
};

static const clo_param sequence_update[] = {
    NEED(TEXT, "sequence_id", "Sequence to change."),
    MAY(TEXT, "name", "New name."),
    MAY_JSON("steps", CLO_P_ARRAY,
             "Array of all steps, an object with id alone keeps one; replaces the old list."),
};

static const clo_param smart_view_create[] = {
    NEED(TEXT, "name", "Name of the view."),
    NEED_JSON("s_query", CLO_P_OBJECT,
              "Object with query (an Advanced Filtering tree that names the object type), "
              "results_limit and sort."),
    MAY(TEXT, "description", "Free text, at most 300 characters."),
    MAY(BOOL, "is_shared", "Whether the whole organization sees it."),
    MAY(TEXT, "type",
        "What it searches: lead, contact, opportunity, call, email, sms, meeting, note, "
        "whatsapp_message, custom_activity or form_submission (default lead)."),
};

static const clo_param smart_view_delete[] = {
    NEED(TEXT, "smart_view_id", "Smart View to delete."),
};

static const clo_param smart_view_get[] = {
    NEED(TEXT, "smart_view_id", "Smart View to read."),
};

static const clo_param smart_view_update[] = {
    NEED(TEXT, "smart_view_id", "Smart View to change."),
    MAY(TEXT, "description", "New free text, at most 300 characters."),
    MAY(BOOL, "is_shared", "Whether the whole organization sees it."),
    MAY(TEXT, "name", "New name."),
    MAY_JSON("s_query", CLO_P_OBJECT, "New object with query, results_limit and sort."),
};

static const clo_param smart_views_list[] = {
    P_LIMIT,
    P_SKIP,
    MAY(TEXT, "type",
        "Only views of this type: lead, contact, opportunity, call, email, sms, meeting, note, "
        "whatsapp_message, custom_activity or form_submission."),
};

static const clo_param sms_create[] = {
    NEED(TEXT, "lead_id", "Lead the message belongs to."),
    NEED(TEXT, "status",
         "What to do with it: inbox or sent (logged only), draft, scheduled (sent later), outbox "
         "(sent now) or error."),
    MAY(TEXT, "contact_id", "Contact the message is from or to."),
    MAY(TEXT, "text", "Text of the message."),
    MAY(TEXT, "local_phone", "Number of the organization in Close, E.164."),
    MAY(TEXT, "remote_phone", "Number of the other party, E.164."),
};

static const clo_param sms_delete[] = {
    NEED(TEXT, "sms_id", "Message to delete."),
};

static const clo_param sms_get[] = {
    NEED(TEXT, "sms_id", "Message to read."),
};

static const clo_param sms_list[] = {
    MAY(TEXT, "lead_id", "Only messages of this lead."),
    MAY(TEXT, "contact_id", "Only messages with this contact."),
    MAY(TEXT, "user_id", "Only messages of this user."),
    P_LIMIT,
    P_SKIP,
    P_FIELDS,
};

static const clo_param sms_update[] = {
    NEED(TEXT, "sms_id", "Message to change."),
    MAY(TEXT, "text", "New text."),
    MAY(TEXT, "status",
        "New status: inbox or sent (logged only), draft, scheduled (sent later), outbox (sent now) "
        "or error."),
};

static const clo_param task_create[] = {
    NEED(TEXT, "lead_id", "Lead the task belongs to."),
    MAY(TEXT, "text", "What to do; a task of type lead needs it."),
    MAY(TEXT, "date", "Due date (YYYY-MM-DD) or time (ISO 8601)."),
    MAY(TEXT, "assigned_to", "User who has to do it; without it the caller."),
    MAY(BOOL, "is_complete", "Whether it is done already."),
    MAY(TEXT, "_type", "Type: lead (default) or outgoing_call."),
};

static const clo_param task_delete[] = {
    NEED(TEXT, "task_id", "Task to delete."),
};

static const clo_param task_get[] = {
    NEED(TEXT, "task_id", "Task to read."),
    P_FIELDS,
};

static const clo_param task_update[] = {
    NEED(TEXT, "task_id", "Task to change."),
    MAY(TEXT, "text", "New text, only for tasks of type lead."),
    MAY(TEXT, "date", "New due date (YYYY-MM-DD) or time (ISO 8601)."),
    MAY(TEXT, "assigned_to", "User who has to do it."),
    MAY(BOOL, "is_complete", "Whether it is done."),
};

static const clo_param tasks_bulk_update[] = {
    MAY(TEXT, "assigned_to", "New assignee (user id)."),
    MAY(TEXT, "date", "New due date (YYYY-MM-DD) or time (ISO 8601)."),
    MAY(TEXT, "filter_assigned_to", "Only tasks of this user."),
    MAY(TEXT, "filter_id_in", "Only these tasks: ids separated by commas."),
    MAY(BOOL, "filter_is_complete", "Only tasks that are done, or are not."),
    MAY(TEXT, "filter_lead_id", "Only tasks of this lead."),
    MAY(TEXT, "filter_type",
        "Only tasks of this type, such as lead or outgoing_call; all takes every type."),
    MAY(BOOL, "is_complete", "New state: done or not."),
};

static const clo_param tasks_list[] = {
    MAY(TEXT, "lead_id", "Only tasks of this lead."),
    MAY(TEXT, "assigned_to", "Only tasks of this user."),
    MAY(BOOL, "is_complete", "Only tasks that are done, or are not."),
    MAY(TEXT, "_type",
        "Only this type: lead, outgoing_call, incoming_email, email_followup, missed_call, "
        "answered_detached_call, voicemail, opportunity_due, incoming_sms; all for every type."),
    MAY(TEXT, "view", "Only tasks of this view: inbox (open and due), future or archive (done)."),
    P_LIMIT,
    P_SKIP,
    P_ORDER("Order: date or date_created, with a leading minus for descending."),
    P_FIELDS,
};

static const clo_param user_get[] = {
    NEED(TEXT, "user_id", "User to read."),
    P_FIELDS,
};

static const clo_param webhook_create[] = {
    NEED(TEXT, "url", "URL that Close calls."),
    NEED_JSON("events", CLO_P_JSONTEXT,
              "JSON array of objects with object_type, action and, if needed, extra_filter."),
    MAY(BOOL, "verify_ssl", "Whether the certificate of the URL is checked (default true)."),
};

static const clo_param webhook_delete[] = {
    NEED(TEXT, "webhook_id", "Webhook to delete."),
};

static const clo_param webhook_get[] = {
    NEED(TEXT, "webhook_id", "Webhook to read."),
};

static const clo_param webhook_update[] = {
    NEED(TEXT, "webhook_id", "Webhook to change."),
    MAY(TEXT, "url", "New URL."),
    MAY_JSON("events", CLO_P_JSONTEXT,
             "JSON array of objects with object_type, action and, if needed, extra_filter; "
             "replaces all."),
    MAY(BOOL, "verify_ssl", "Whether the certificate of the URL is checked."),
};

const clo_tool clo_tools_c[] = {
    {
        .name = "close_pipeline_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_pipelines",
        .method = "POST",
        .path = "/pipeline/",
        .doc = "Creates a pipeline without statuses.",
        .example = "SELECT close_pipeline_create('Renewals');",
        PARAMS(pipeline_create),
    },
    {
        .name = "close_pipeline_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_pipelines",
        .method = "DELETE",
        .path = "/pipeline/{pipeline_id}/",
        .doc = "Deletes a pipeline that has no statuses left.",
        .example = "SELECT close_pipeline_delete('pipe_abc');",
        PARAMS(pipeline_delete),
    },
    {
        .name = "close_pipeline_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_pipelines",
        .method = "GET",
        .path = "/pipeline/{pipeline_id}/",
        .doc = "Reads one pipeline with its statuses.",
        .example = "SELECT close_pipeline_get('pipe_abc');",
        PARAMS(pipeline_get),
    },
    {
        .name = "close_pipeline_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_pipelines",
        .method = "PUT",
        .path = "/pipeline/{pipeline_id}/",
        .doc = "Renames a pipeline.",
        .example = "SELECT close_pipeline_update('pipe_abc', 'Renewals 2027');",
        PARAMS(pipeline_update),
    },
    {
        .name = "close_pipelines_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_pipelines",
        .method = "GET",
        .path = "/pipeline/",
        .doc = "Lists the pipelines with their statuses, all in one answer.",
        .example = "SELECT close_pipelines_list();",
        PARAMS(paging),
    },
    {
        .name = "close_report_activity_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .method = "POST",
        .path = "/report/activity/",
        .doc = "Computes an activity report, by period or by user; it changes nothing.",
        .example = "SELECT close_report_activity_get('[\"calls.all.count\"]', 'overview', NULL, "
                   "NULL, 'this-month');",
        PARAMS(report_activity_get),
    },
    {
        .name = "close_sequence_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_NEWER,
        .table = "close_sequences",
        .method = "POST",
        .path = "/sequence/",
        .doc = "Creates a sequence, which is active at once.",
        .example = "SELECT close_sequence_create('Follow up', NULL, "
                   "'[{\"step_type\":\"call\",\"delay\":86400}]', 'Europe/Stockholm');",
        PARAMS(sequence_create),
    },
    {
        .name = "close_sequence_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_sequences",
        .method = "DELETE",
        .path = "/sequence/{sequence_id}/",
        .doc = "Deletes a sequence.",
        .example = "SELECT close_sequence_delete('seq_abc');",
        PARAMS(sequence_delete),
    },
    {
        .name = "close_sequence_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_sequences",
        .method = "GET",
        .path = "/sequence/{sequence_id}/",
        .doc = "Reads one sequence with its steps and the counts of its subscriptions.",
        .example = "SELECT close_sequence_get('seq_abc');",
        PARAMS(sequence_get),
    },
    {
        .name = "close_sequence_subscription_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_sequence_subscriptions",
        .method = "POST",
        .path = "/sequence_subscription/",
        .doc = "Enrols a contact in a sequence, which starts sending its steps.",
        .example =
            "SELECT close_sequence_subscription_create('cont_abc', 'seq_abc', 'emailacct_abc');",
        PARAMS(sequence_subscription_create),
    },
    {
        .name = "close_sequence_subscription_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_sequence_subscriptions",
        .method = "DELETE",
        .path = "/sequence_subscription/{subscription_id}/",
        .doc = "Deletes a subscription and its history; to stop one, pause it.",
        .example = "SELECT close_sequence_subscription_delete('sub_abc');",
        PARAMS(sequence_subscription_delete),
    },
    {
        .name = "close_sequence_subscription_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_sequence_subscriptions",
        .method = "GET",
        .path = "/sequence_subscription/{subscription_id}/",
        .doc = "Reads one sequence subscription.",
        .example = "SELECT close_sequence_subscription_get('sub_abc');",
        PARAMS(sequence_subscription_get),
    },
    {
        .name = "close_sequence_subscription_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_sequence_subscriptions",
        .method = "PUT",
        .path = "/sequence_subscription/{subscription_id}/",
        .doc = "Pauses or resumes a sequence subscription; a resumed one goes on sending.",
        .example = "SELECT close_sequence_subscription_update('sub_abc', true);",
        PARAMS(sequence_subscription_update),
    },
    {
        .name = "close_sequence_subscriptions_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_sequence_subscriptions",
        .method = "GET",
        .path = "/sequence_subscription/",
        .doc = "Lists sequence subscriptions of a lead, a contact or a sequence; at least one must "
               "be named.",
        .example = "SELECT close_sequence_subscriptions_list(NULL, 'cont_abc');",
        PARAMS(sequence_subscriptions_list),
    },
    {
        .name = "close_sequence_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_sequences",
        .method = "PUT",
        .path = "/sequence/{sequence_id}/",
        .doc = "Renames a sequence or replaces its steps; steps that are left out are removed.",
        .example = "SELECT close_sequence_update('seq_abc', 'Follow up, short');",
        PARAMS(sequence_update),
    },
    {
        .name = "close_sequences_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_sequences",
        .method = "GET",
        .path = "/sequence/",
        .doc = "Lists the sequences.",
        .example = "SELECT close_sequences_list();",
        PARAMS(paging),
    },
    {
        .name = "close_smart_view_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_NEWER,
        .table = "close_smart_views",
        .method = "POST",
        .path = "/saved_search/",
        .doc = "Creates a Smart View.",
        .example = "SELECT close_smart_view_create('All leads', "
                   "'{\"query\":{\"type\":\"object_type\",\"object_type\":\"lead\"}}');",
        PARAMS(smart_view_create),
    },
    {
        .name = "close_smart_view_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_smart_views",
        .method = "DELETE",
        .path = "/saved_search/{smart_view_id}/",
        .doc = "Deletes a Smart View; the objects it shows stay.",
        .example = "SELECT close_smart_view_delete('save_abc');",
        PARAMS(smart_view_delete),
    },
    {
        .name = "close_smart_view_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_smart_views",
        .method = "GET",
        .path = "/saved_search/{smart_view_id}/",
        .doc = "Reads one Smart View.",
        .example = "SELECT close_smart_view_get('save_abc');",
        PARAMS(smart_view_get),
    },
    {
        .name = "close_smart_view_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_smart_views",
        .method = "PUT",
        .path = "/saved_search/{smart_view_id}/",
        .doc = "Changes a Smart View.",
        .example = "SELECT close_smart_view_update('save_abc', 'Open deals', true);",
        PARAMS(smart_view_update),
    },
    {
        .name = "close_smart_views_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT | CLO_TOOL_NEWER,
        .table = "close_smart_views",
        .method = "GET",
        .path = "/saved_search/",
        .doc = "Lists Smart Views of one type; without a type those of leads only.",
        .example = "SELECT close_smart_views_list(100, 0, 'contact');",
        PARAMS(smart_views_list),
    },
    {
        .name = "close_sms_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_MESSAGES,
        .table = "close_sms",
        .method = "POST",
        .path = "/activity/sms/",
        .doc = "Logs, drafts, schedules or sends a text message, depending on its status.",
        .example = "SELECT close_sms_create('lead_abc', 'draft', 'cont_abc', 'See you at ten', "
                   "'+4681234567', '+46701234567');",
        PARAMS(sms_create),
    },
    {
        .name = "close_sms_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_sms",
        .method = "DELETE",
        .path = "/activity/sms/{sms_id}/",
        .doc = "Deletes a text message from Close.",
        .example = "SELECT close_sms_delete('acti_abc');",
        PARAMS(sms_delete),
    },
    {
        .name = "close_sms_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_sms",
        .method = "GET",
        .path = "/activity/sms/{sms_id}/",
        .doc = "Reads one text message.",
        .example = "SELECT close_sms_get('acti_abc');",
        PARAMS(sms_get),
    },
    {
        .name = "close_sms_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_sms",
        .method = "GET",
        .path = "/activity/sms/",
        .doc = "Lists the text messages of the organization.",
        .example = "SELECT close_sms_list('lead_abc');",
        PARAMS(sms_list),
    },
    {
        .name = "close_sms_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_MESSAGES,
        .table = "close_sms",
        .method = "PUT",
        .path = "/activity/sms/{sms_id}/",
        .doc = "Changes a text message; only a draft can be edited, and moving it to outbox or "
               "scheduled sends it.",
        .example = "SELECT close_sms_update('acti_abc', 'See you at eleven');",
        PARAMS(sms_update),
    },
    {
        .name = "close_task_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_tasks",
        .method = "POST",
        .path = "/task/",
        .doc = "Creates a task.",
        .example = "SELECT close_task_create('lead_abc', 'Send the contract', '2026-12-01');",
        PARAMS(task_create),
    },
    {
        .name = "close_task_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_tasks",
        .method = "DELETE",
        .path = "/task/{task_id}/",
        .doc = "Deletes a task.",
        .example = "SELECT close_task_delete('task_abc');",
        PARAMS(task_delete),
    },
    {
        .name = "close_task_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_tasks",
        .method = "GET",
        .path = "/task/{task_id}/",
        .doc = "Reads one task of any type.",
        .example = "SELECT close_task_get('task_abc');",
        PARAMS(task_get),
    },
    {
        .name = "close_task_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_tasks",
        .method = "PUT",
        .path = "/task/{task_id}/",
        .doc = "Changes a task; completing it also writes an activity.",
        .example = "SELECT close_task_update('task_abc', NULL, NULL, NULL, true);",
        PARAMS(task_update),
    },
    {
        .name = "close_tasks_bulk_update",
        .kind = CLO_ACTION,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_NEWER,
        .table = "close_tasks",
        .method = "PUT",
        .path = "/task/",
        .doc = "Changes all tasks that match the filters, at most 1000; at least one filter must "
               "be given.",
        .example = "SELECT close_tasks_bulk_update(NULL, NULL, NULL, 'task_abc,task_def', NULL, "
                   "NULL, 'lead', true);",
        PARAMS(tasks_bulk_update),
    },
    {
        .name = "close_tasks_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_tasks",
        .method = "GET",
        .path = "/task/",
        .doc = "Lists tasks; without a type only those of type lead.",
        .example = "SELECT close_tasks_list(NULL, NULL, false, 'all', 'inbox');",
        PARAMS(tasks_list),
    },
    {
        .name = "close_user_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_users",
        .method = "GET",
        .path = "/user/{user_id}/",
        .doc = "Reads one user.",
        .example = "SELECT close_user_get('user_abc');",
        PARAMS(user_get),
    },
    {
        .name = "close_users_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_users",
        .method = "GET",
        .path = "/user/",
        .doc = "Lists the users of the organization.",
        .example = "SELECT close_users_list();",
        PARAMS(paging),
    },
    {
        .name = "close_webhook_create",
        .kind = CLO_CREATE,
        .flags = CLO_TOOL_WRITES,
        .table = "close_webhooks",
        .method = "POST",
        .path = "/webhook/",
        .doc = "Subscribes a URL to events; Close starts calling it.",
        .example = "SELECT close_webhook_create('https://example.com/hook', "
                   "'[{\"object_type\":\"lead\",\"action\":\"created\"}]');",
        PARAMS(webhook_create),
    },
    {
        .name = "close_webhook_delete",
        .kind = CLO_DELETE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_DESTRUCTIVE | CLO_TOOL_IDEMPOTENT,
        .table = "close_webhooks",
        .method = "DELETE",
        .path = "/webhook/{webhook_id}/",
        .doc = "Deletes a webhook subscription; Close stops calling its URL.",
        .example = "SELECT close_webhook_delete('whsub_abc');",
        PARAMS(webhook_delete),
    },
    {
        .name = "close_webhook_get",
        .kind = CLO_GET,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_webhooks",
        .method = "GET",
        .path = "/webhook/{webhook_id}/",
        .doc = "Reads one webhook subscription with its signature key.",
        .example = "SELECT close_webhook_get('whsub_abc');",
        PARAMS(webhook_get),
    },
    {
        .name = "close_webhook_update",
        .kind = CLO_UPDATE,
        .flags = CLO_TOOL_WRITES | CLO_TOOL_IDEMPOTENT,
        .table = "close_webhooks",
        .method = "PUT",
        .path = "/webhook/{webhook_id}/",
        .doc = "Changes a webhook subscription.",
        .example = "SELECT close_webhook_update('whsub_abc', 'https://example.com/hook2');",
        PARAMS(webhook_update),
    },
    {
        .name = "close_webhooks_list",
        .kind = CLO_LIST,
        .flags = CLO_TOOL_IDEMPOTENT,
        .table = "close_webhooks",
        .method = "GET",
        .path = "/webhook/",
        .doc = "Lists the webhook subscriptions with their signature keys.",
        .example = "SELECT close_webhooks_list();",
        PARAMS(paging),
    },
};

const size_t clo_tools_c_len = CLO_ARRAY_LEN(clo_tools_c);
