
-- The outbox: writes that join the transaction and are sent after it.
--
-- A row belongs to the role that enqueued it and is sent with that role's user mapping. Nobody but the owner
-- of the extension may write anything but a new call; what happens to a row afterwards is written by
-- the functions below. PUBLIC has nothing: see the README for what to grant.

-- A domain, because the executor takes a CHECK of a table apart again for each statement, and a trigger that
-- enqueues is one statement a row.
CREATE DOMAIN close_outbox_state AS text
    CHECK (VALUE IN ('pending', 'sending', 'done', 'failed', 'uncertain', 'cancelled'));
COMMENT ON DOMAIN close_outbox_state IS
    'What has become of a call in close_outbox.';

CREATE TABLE close_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tool text NOT NULL,
    params jsonb NOT NULL DEFAULT '{}',
    ordering_key text,
    reference text,
    state close_outbox_state NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now(),
    created timestamptz NOT NULL DEFAULT now(),
    finished timestamptz,
    execution_id text,
    object_id text,
    result jsonb,
    error_class text,
    error text,
    enqueued_by name NOT NULL DEFAULT current_user,
    server name NOT NULL DEFAULT '',
    worker text,
    lease_until timestamptz,
    sent_at timestamptz
);
-- A reference is the enqueuer's own; an object of the service belongs to one row, whoever enqueued it.
CREATE UNIQUE INDEX close_outbox_reference ON close_outbox (enqueued_by, server, reference)
    WHERE reference IS NOT NULL;
CREATE UNIQUE INDEX close_outbox_object ON close_outbox (object_id)
    WHERE object_id IS NOT NULL;
CREATE INDEX close_outbox_open ON close_outbox (enqueued_by, server, id)
    WHERE finished IS NULL;
CREATE INDEX close_outbox_busy ON close_outbox (enqueued_by, server, ordering_key)
    WHERE finished IS NULL AND state <> 'pending';
CREATE INDEX close_outbox_finished ON close_outbox (finished)
    WHERE finished IS NOT NULL;
CREATE INDEX close_outbox_order ON close_outbox (enqueued_by, server, ordering_key, id)
    WHERE finished IS NULL;
COMMENT ON TABLE close_outbox IS
    'Calls that were enqueued, what became of them, and who enqueued them.';
COMMENT ON SEQUENCE close_outbox_id_seq IS
    'Ids of close_outbox.';
COMMENT ON COLUMN close_outbox.ordering_key IS
    'Rows of one role with the same key are sent one after another; the lead_id of the parameters by default, empty: in any order.';
COMMENT ON COLUMN close_outbox.reference IS
    'The enqueuer''s own name for the call: the same one is enqueued once.';
COMMENT ON COLUMN close_outbox.next_attempt IS
    'Not sent before this time.';
COMMENT ON COLUMN close_outbox.finished IS
    'Set when nothing will happen to the row any more; not for uncertain ones, which wait for a person.';
COMMENT ON COLUMN close_outbox.server IS
    'Foreign server whose account gets the call: close.server at the time of enqueuing.';
SELECT pg_catalog.pg_extension_config_dump('close_outbox', '');
SELECT pg_catalog.pg_extension_config_dump('close_outbox_id_seq', '');

ALTER TABLE close_outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY close_outbox_see ON close_outbox FOR SELECT
    USING (enqueued_by = current_user);
CREATE POLICY close_outbox_add ON close_outbox FOR INSERT
    WITH CHECK (enqueued_by = current_user);

CREATE FUNCTION close_outbox_check()
RETURNS trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'clo_pg_outbox_check';
REVOKE ALL ON FUNCTION close_outbox_check() FROM PUBLIC;
COMMENT ON FUNCTION close_outbox_check() IS
    'Checks rows that are inserted into close_outbox as close_enqueue does.';
CREATE TRIGGER close_outbox_check BEFORE INSERT ON close_outbox
    FOR EACH ROW EXECUTE FUNCTION close_outbox_check();

CREATE FUNCTION close_enqueue(
    tool text,
    params jsonb,
    options jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clo_pg_enqueue';
REVOKE ALL ON FUNCTION close_enqueue(text, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION close_enqueue(text, jsonb, jsonb) IS
    'Checks a call and writes it to close_outbox in the current transaction; options: not_before, ordering_key, reference. Returns the id of the row.';

CREATE PROCEDURE close_outbox_drain(max bigint DEFAULT NULL)
LANGUAGE C
AS 'MODULE_PATHNAME', 'clo_pg_outbox_drain';
REVOKE ALL ON PROCEDURE close_outbox_drain(bigint) FROM PUBLIC;
COMMENT ON PROCEDURE close_outbox_drain(bigint) IS
    'Sends what is due in close_outbox, for roles that the caller is a member of; commits as it goes.';

CREATE FUNCTION close_outbox_retry(id bigint)
RETURNS bigint
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clo_pg_outbox_retry';
REVOKE ALL ON FUNCTION close_outbox_retry(bigint) FROM PUBLIC;
COMMENT ON FUNCTION close_outbox_retry(bigint) IS
    'Makes a row that failed, is uncertain, was cancelled or waits due now.';

CREATE FUNCTION close_outbox_cancel(id bigint)
RETURNS bigint
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clo_pg_outbox_cancel';
REVOKE ALL ON FUNCTION close_outbox_cancel(bigint) FROM PUBLIC;
COMMENT ON FUNCTION close_outbox_cancel(bigint) IS
    'Takes back a row that is pending, failed or uncertain: it is not sent any more.';

CREATE FUNCTION close_outbox_wait(id bigint, timeout_ms integer DEFAULT 60000)
RETURNS text
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clo_pg_outbox_wait';
REVOKE ALL ON FUNCTION close_outbox_wait(bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION close_outbox_wait(bigint, integer) IS
    'Waits until a row has come to an end, or for that long, and returns its state.';
