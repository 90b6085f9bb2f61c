/*
 * catalog_tables_setup.c - the tables about how the organization is set up: people, statuses, pipelines,
 * sequences and who is in them, custom fields and objects, Smart Views, webhooks.
 *
 * See catalog_tables_sales.c for what the rows mean and the rules they keep. Special here:
 *  - Several lists are answered whole and document no paging: CLO_PAGE_WHOLE sends no page size, and
 *    goes on by _skip only if the answer says has_more.
 *  - Sequence subscriptions need a sequence, contact or lead; custom objects need a lead. Without
 *    one the parents are walked.
 *  - The list of Smart Views without a type means those of leads, so it is read once per type.
 *  - The signature key of a webhook is a secret and never part of SELECT *.
 */
#include "catalog.h"

static const clo_column me_columns[] = {
    KEY("User id (user_)."),
    COL(TEXT, "email", "Login address."),
    COL(TEXT, "first_name", "Given name; may be empty."),
    COL(TEXT, "last_name", "Family name; may be empty."),
    OPT(TEXT, "image", "Avatar URL."),
    OPT(TEXT, "google_profile_image_url", "Avatar from Google."),
    OPT(TIME, "email_verified_at", "When the address was confirmed."),
    OPT(TEXT, "last_used_timezone", "Time zone name."),
    COL(JSON, "organizations",
        "Objects with id, name, lead_statuses, pipelines and more (close_users has ids here)."),
    COL(JSON, "memberships",
        "Objects with id (memb_), organization_id, user_id, role_id and rights."),
    COL(JSON, "email_accounts",
        "Objects with id (emailacct_), _type, identities, organization_id, user_id."),
    COL(JSON, "phone_numbers", "Objects with id (phon_), number, organization_id."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    RAW,
};

const clo_table clo_table_me = {
    .name = "close_me",
    .resource = "me",
    .doc = "The user whose account is connected: one row.",
    .example = "SELECT id, email, first_name FROM close_me",
    .get = "close_me_get",
    .pager = CLO_PAGE_ONE,
    .guess_rows = 1,
    COLUMNS(me_columns),
};

static const clo_column users_columns[] = {
    KEY("User id (user_)."),
    COL(TEXT, "email", "Login address."),
    COL(TEXT, "first_name", "Given name; may be empty."),
    COL(TEXT, "last_name", "Family name; may be empty."),
    OPT(TEXT, "image", "Avatar URL."),
    OPT(TEXT, "google_profile_image_url", "Avatar from Google."),
    OPT(TIME, "email_verified_at", "When the address was confirmed."),
    OPT(TEXT, "last_used_timezone", "Time zone name."),
    COL(JSON, "organizations", "Organization ids (objects on close_me)."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    RAW,
};

const clo_table clo_table_users = {
    .name = "close_users",
    .resource = "users",
    .doc = "Users of the organization.",
    .example = "SELECT id, first_name, last_name, email FROM close_users",
    .list = "close_users_list",
    .get = "close_user_get",
    .get_param = "user_id",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 1000,
    .guess_rows = 30,
    COLUMNS(users_columns),
};

static const clo_column lead_statuses_columns[] = {
    KEY("Status id (stat_)."),
    COL(TEXT, "label", "Label."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    OPT(TEXT, "color", "Display colour; absent in lists."),
    RAW,
};

const clo_table clo_table_lead_statuses = {
    .name = "close_lead_statuses",
    .resource = "lead_statuses",
    .doc = "Statuses a lead can have.",
    .example = "SELECT id, label FROM close_lead_statuses",
    .list = "close_lead_statuses_list",
    .pager = CLO_PAGE_WHOLE,
    .guess_rows = 8,
    COLUMNS(lead_statuses_columns),
};

static const clo_column opportunity_statuses_columns[] = {
    KEY("Status id (stat_)."),
    COL(TEXT, "label", "Label."),
    COL(TEXT, "type", "Type: active, won or lost."),
    COL(TEXT, "pipeline_id", "Pipeline it belongs to (pipe_)."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    RAW,
};

const clo_table clo_table_opportunity_statuses = {
    .name = "close_opportunity_statuses",
    .resource = "opportunity_statuses",
    .doc = "Statuses an opportunity can have, of all pipelines.",
    .example =
        "SELECT id, label, pipeline_id FROM close_opportunity_statuses WHERE type = 'active'",
    .list = "close_opportunity_statuses_list",
    .pager = CLO_PAGE_WHOLE,
    .guess_rows = 10,
    COLUMNS(opportunity_statuses_columns),
};

static const clo_column pipelines_columns[] = {
    KEY("Pipeline id (pipe_)."),
    COL(TEXT, "name", "Name."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    COL(JSON, "statuses", "Statuses in order: objects with id (stat_), label, type."),
    OPT(TEXT, "created_by", "Author (user id)."),
    OPT(TEXT, "updated_by", "Last editor (user id)."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    RAW,
};

const clo_table clo_table_pipelines = {
    .name = "close_pipelines",
    .resource = "pipelines",
    .doc = "Pipelines with their statuses.",
    .example = "SELECT id, name, statuses FROM close_pipelines",
    .list = "close_pipelines_list",
    .get = "close_pipeline_get",
    .get_param = "pipeline_id",
    .create = "close_pipeline_create",
    .update = "close_pipeline_update",
    .remove = "close_pipeline_delete",
    .pager = CLO_PAGE_WHOLE,
    .guess_rows = 3,
    COLUMNS(pipelines_columns),
};

static const clo_column sequences_columns[] = {
    KEY("Sequence id (seq_)."),
    COL(TEXT, "name", "Name."),
    COL(TEXT, "status", "State: active, paused or draft."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    OPT(TEXT, "timezone", "Time zone of the schedule."),
    OPT(JSON, "schedule", "Object with ranges (weekday, start, end); NULL means any time."),
    OPT(TEXT, "schedule_id", "Shared schedule (sched_)."),
    COL(JSON, "steps",
        "Objects with id (seqstep_), step_type, delay (seconds), template ids and more."),
    OPT(JSON, "subscription_counts_by_status",
        "Counts by status; only when one sequence is read by id."),
    OPT(TEXT, "created_by_id", "Author (user id)."),
    OPT(TEXT, "updated_by_id", "Last editor (user id)."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    RAW,
};

const clo_table clo_table_sequences = {
    .name = "close_sequences",
    .resource = "sequences",
    .doc = "Sequences (workflows) with their steps.",
    .example = "SELECT id, name FROM close_sequences WHERE status = 'active'",
    .list = "close_sequences_list",
    .get = "close_sequence_get",
    .get_param = "sequence_id",
    .create = "close_sequence_create",
    .update = "close_sequence_update",
    .remove = "close_sequence_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 1000,
    .guess_rows = 30,
    COLUMNS(sequences_columns),
};

static const clo_column sequence_subscriptions_columns[] = {
    KEY("Subscription id (sub_)."),
    COL(TEXT, "sequence_id", "Sequence subscribed to."),
    COL(TEXT, "contact_id", "Contact subscribed."),
    OPT(TEXT, "lead_id", "Lead of the contact."),
    OPT(TEXT, "contact_email", "Address used; NULL without email steps."),
    OPT(TEXT, "sender_account_id", "Email account that sends (emailacct_)."),
    OPT(TEXT, "sender_email", "Address of the sender."),
    OPT(TEXT, "sender_name", "Name of the sender."),
    OPT(JSON, "calls_assigned_to", "Ids of users who get the call tasks."),
    COL(TEXT, "status",
        "State: active, paused, finished, goal or error; an update takes active or paused."),
    OPT(TEXT, "status_reason",
        "Why it is in that state (manual, reply-received, email-bounced ...)."),
    OPT(TIME, "start_date", "Planned start."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    OPT(TEXT, "created_by_id", "Author (user id)."),
    OPT(TEXT, "updated_by_id", "Last editor (user id)."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    OPT(TEXT, "initial_email_id", "First email sent; older answers only."),
    OPT(TEXT, "pause_reason", "Older name of status_reason."),
    OPT(TEXT, "from_phone_number_id", "Number used for SMS steps."),
    RAW,
};

static const clo_filter sequence_subscriptions_filters[] = {
    EQ("sequence_id", CLO_F_EXACT),
    EQ("contact_id", CLO_F_EXACT),
    EQ("lead_id", CLO_F_EXACT),
};

static const clo_alias sequence_subscriptions_aliases[] = {
    {.kind = CLO_UPDATE, .column = "status", .param = "pause"},
};

static const char *const sequence_subscriptions_unless[] = {"sequence_id", "contact_id", "lead_id",
                                                            NULL};

const clo_table clo_table_sequence_subscriptions = {
    .name = "close_sequence_subscriptions",
    .resource = "sequence_subscriptions",
    .doc = "Contacts enrolled in sequences; without a condition on sequence, contact or lead all "
           "sequences are walked.",
    .example = "SELECT sequence_id, status, status_reason FROM close_sequence_subscriptions WHERE "
               "contact_id = 'cont_abc'",
    .list = "close_sequence_subscriptions_list",
    .get = "close_sequence_subscription_get",
    .get_param = "subscription_id",
    .create = "close_sequence_subscription_create",
    .update = "close_sequence_subscription_update",
    .remove = "close_sequence_subscription_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 100,
    .guess_rows = 2000,
    .parent = "close_sequences",
    .parent_param = "sequence_id",
    .parent_unless = sequence_subscriptions_unless,
    COLUMNS(sequence_subscriptions_columns),
    FILTERS(sequence_subscriptions_filters),
    ALIASES(sequence_subscriptions_aliases),
};

/* The three kinds of custom fields have the same columns. */
static const clo_column custom_fields_columns[] = {
    KEY("Custom field id (cf_); values have the key custom.cf_...."),
    COL(TEXT, "name", "Label; not unique, can be renamed."),
    COL(TEXT, "type",
        "Type of the values: text, textarea, number, date, datetime, choices, user, contact, "
        "custom_object ..."),
    OPT(TEXT, "description", "Help text."),
    OPT(JSON, "choices", "Allowed texts of a choices field, else NULL."),
    COL(BOOL, "accepts_multiple_values", "Whether a value is an array."),
    COL(JSON, "editable_with_roles", "Roles that may edit values; empty means everyone."),
    OPT(BOOL, "is_shared", "Whether it is a shared field."),
    OPT(TEXT, "referenced_custom_type_id", "Type of custom object referred to."),
    OPT(BOOL, "back_reference_is_visible", "Whether the object referred to shows the link back."),
    OPT(TEXT, "converting_to_type", "New type while values are being converted."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    OPT(TEXT, "created_by", "Author (user id)."),
    OPT(TEXT, "updated_by", "Last editor (user id)."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    RAW,
};

const clo_table clo_table_custom_fields_lead = {
    .name = "close_custom_fields_lead",
    .resource = "custom_fields_lead",
    .doc = "Custom fields of leads; shared fields are not among them.",
    .example = "SELECT id, name, type FROM close_custom_fields_lead",
    .list = "close_custom_fields_lead_list",
    .get = "close_custom_field_lead_get",
    .get_param = "custom_field_id",
    .create = "close_custom_field_lead_create",
    .update = "close_custom_field_lead_update",
    .remove = "close_custom_field_lead_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 1000,
    .guess_rows = 30,
    COLUMNS(custom_fields_columns),
};

const clo_table clo_table_custom_fields_contact = {
    .name = "close_custom_fields_contact",
    .resource = "custom_fields_contact",
    .doc = "Custom fields of contacts; shared fields are not among them.",
    .example = "SELECT id, name, type FROM close_custom_fields_contact",
    .list = "close_custom_fields_contact_list",
    .get = "close_custom_field_contact_get",
    .get_param = "custom_field_id",
    .create = "close_custom_field_contact_create",
    .update = "close_custom_field_contact_update",
    .remove = "close_custom_field_contact_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 1000,
    .guess_rows = 30,
    COLUMNS(custom_fields_columns),
};

const clo_table clo_table_custom_fields_opportunity = {
    .name = "close_custom_fields_opportunity",
    .resource = "custom_fields_opportunity",
    .doc = "Custom fields of opportunities; shared fields are not among them.",
    .example = "SELECT id, name, type FROM close_custom_fields_opportunity",
    .list = "close_custom_fields_opportunity_list",
    .get = "close_custom_field_opportunity_get",
    .get_param = "custom_field_id",
    .create = "close_custom_field_opportunity_create",
    .update = "close_custom_field_opportunity_update",
    .remove = "close_custom_field_opportunity_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 1000,
    .guess_rows = 30,
    COLUMNS(custom_fields_columns),
};

static const clo_column custom_object_types_columns[] = {
    KEY("Type id (cotype_)."),
    COL(TEXT, "name", "Name in the singular."),
    COL(TEXT, "name_plural", "Name in the plural."),
    OPT(TEXT, "description", "Free text."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    COL(BOOL, "api_create_only", "Whether objects can be made only through the API."),
    COL(JSON, "editable_with_roles", "Roles that may edit objects; empty means everyone."),
    COL(JSON, "fields",
        "Custom fields of the type: objects with id (cf_), name, type, required and more."),
    COL(JSON, "back_reference_fields", "Fields of other objects that refer to this type."),
    OPT(BOOL, "is_archived", "Whether it is archived."),
    OPT(TEXT, "created_by", "Author (user id)."),
    OPT(TEXT, "updated_by", "Last editor (user id)."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    RAW,
};

const clo_table clo_table_custom_object_types = {
    .name = "close_custom_object_types",
    .resource = "custom_object_types",
    .doc = "Types of custom objects with their fields.",
    .example = "SELECT id, name, fields FROM close_custom_object_types",
    .list = "close_custom_object_types_list",
    .pager = CLO_PAGE_WHOLE,
    .guess_rows = 5,
    COLUMNS(custom_object_types_columns),
};

static const clo_column custom_objects_columns[] = {
    KEY("Object id (custobj_)."),
    COL(TEXT, "custom_object_type_id", "Type (cotype_)."),
    COL(TEXT, "lead_id", "Lead that owns it."),
    COL(TEXT, "name", "Display name."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    OPT(TEXT, "created_by", "Author (user id)."),
    OPT(TEXT, "updated_by", "Last editor (user id)."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    CUSTOM,
    RAW,
};

static const clo_filter custom_objects_filters[] = {
    EQ("lead_id", CLO_F_EXACT),
    EQ("custom_object_type_id", CLO_F_EXACT),
};

static const char *const custom_objects_unless[] = {"lead_id", NULL};

const clo_table clo_table_custom_objects = {
    .name = "close_custom_objects",
    .resource = "custom_objects",
    .doc = "Custom objects; without a condition on lead_id all leads are walked.",
    .example = "SELECT id, name, custom FROM close_custom_objects WHERE lead_id = 'lead_abc'",
    .list = "close_custom_objects_list",
    .pager = CLO_PAGE_WHOLE,
    .guess_rows = 1000,
    .parent = "close_leads",
    .parent_param = "lead_id",
    .parent_unless = custom_objects_unless,
    COLUMNS(custom_objects_columns),
    FILTERS(custom_objects_filters),
};

static const clo_column smart_views_columns[] = {
    KEY("Smart View id (save_)."),
    COL(TEXT, "name", "Name."),
    COL(TEXT, "type",
        "What it searches: lead, contact, opportunity, call, email, sms, meeting, note, "
        "whatsapp_message, custom_activity or form_submission."),
    OPT(TEXT, "description", "Free text, often empty."),
    OPT(TEXT, "user_id", "Owner (user id); NULL on an old built-in view."),
    COL(TEXT, "organization_id", "Organization (orga_)."),
    COL(BOOL, "is_shared", "Whether the whole organization sees it."),
    OPT(JSON, "shared_with", "Membership ids (memb_) when shared with some users."),
    OPT(JSON, "sharing_settings",
        "Object with whole_org, user_ids, group_ids and who shared it when."),
    OPT(BOOL, "is_user_dependent", "Whether the result depends on who looks."),
    OPT(JSON, "s_query",
        "Object with query (Advanced Filtering tree), results_limit, sort; NULL on old text "
        "views."),
    OPT(TEXT, "query", "Old text query; NULL when s_query is set."),
    OPT(JSON, "selected_fields", "Columns shown: objects with type_id, field_id."),
    OPT(BOOL, "used_recently", "Whether it was used lately; only when one view is read by id."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    RAW,
};

static const clo_filter smart_views_filters[] = {
    EQ("type", CLO_F_EXACT),
};

/* Without a type the service shows those of leads only. */
static const char *const smart_view_types[] = {"lead",
                                               "contact",
                                               "opportunity",
                                               "call",
                                               "email",
                                               "sms",
                                               "meeting",
                                               "note",
                                               "whatsapp_message",
                                               "custom_activity",
                                               "form_submission",
                                               NULL};

const clo_table clo_table_smart_views = {
    .name = "close_smart_views",
    .resource = "smart_views",
    .doc = "Smart Views of every type.",
    .example = "SELECT id, name FROM close_smart_views WHERE type = 'lead'",
    .list = "close_smart_views_list",
    .get = "close_smart_view_get",
    .get_param = "smart_view_id",
    .create = "close_smart_view_create",
    .update = "close_smart_view_update",
    .remove = "close_smart_view_delete",
    .pager = CLO_PAGE_OFFSET,
    .page_max = 600,
    .guess_rows = 60,
    .each_param = "type",
    .each_values = smart_view_types,
    COLUMNS(smart_views_columns),
    FILTERS(smart_views_filters),
};

static const clo_column webhooks_columns[] = {
    KEY("Webhook subscription id (whsub_)."),
    COL(TEXT, "url", "URL that Close calls."),
    COL(JSON, "events", "Objects with object_type, action, extra_filter."),
    COL(TEXT, "status", "State: active or paused."),
    COL(BOOL, "verify_ssl", "Whether the certificate of the URL is checked."),
    SECRET("signature_key", "Secret that signs deliveries, 64 hex characters; hidden."),
    OPT(TEXT, "health_status", "Health: healthy and others."),
    LOOSE("latest_error", "Last delivery error; JSON when Close sends more than a text."),
    OPT(TEXT, "pause_reason", "Why it is paused, for example api."),
    COL(INT, "recent_consecutive_fail_buckets_cnt",
        "Consecutive periods in which every delivery failed."),
    OPT(JSON, "counters", "Delivery counters."),
    OPT(TEXT, "created_by", "Author (user id)."),
    OPT(TEXT, "updated_by", "Last editor (user id)."),
    COL(TIME, "date_created", "When it was created."),
    COL(TIME, "date_updated", "Last change."),
    RAW,
};

const clo_table clo_table_webhooks = {
    .name = "close_webhooks",
    .resource = "webhooks",
    .doc = "Webhook subscriptions.",
    .example = "SELECT id, url, status FROM close_webhooks",
    .list = "close_webhooks_list",
    .get = "close_webhook_get",
    .get_param = "webhook_id",
    .create = "close_webhook_create",
    .update = "close_webhook_update",
    .remove = "close_webhook_delete",
    .pager = CLO_PAGE_WHOLE,
    .guess_rows = 5,
    COLUMNS(webhooks_columns),
};
