-- The outbox: what goes in, and who may do what.
\set lead `$CTL ids leads 1`
SELECT no_plan();
CREATE ROLE alice;
CREATE ROLE bob;
CREATE ROLE clerk;
GRANT USAGE ON FOREIGN SERVER close TO alice, bob, clerk;
CREATE USER MAPPING FOR alice SERVER close
    OPTIONS (client_id :'client_id', client_secret :'client_secret', identifier :'second');
CREATE USER MAPPING FOR bob SERVER close
    OPTIONS (client_id :'client_id', client_secret :'client_secret', identifier :'identifier');

CREATE FUNCTION note(body text) RETURNS jsonb LANGUAGE sql AS $$SELECT jsonb_build_object('lead_id', current_setting('test.lead'), 'note', body)$$;
SELECT set_config('test.lead', :'lead', false);

-- The first column of the first row as `role` gets it, or the SQLSTATE of the error.
CREATE FUNCTION seen_by(role text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    PERFORM set_config('role', role, true);
    EXECUTE query INTO result;
    PERFORM set_config('role', 'none', true);
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;

-- What is refused at once, with its words.
SELECT throws_ok($$SELECT close_enqueue('close_note_create', '{}')$$, '22023', NULL, 'a missing argument');
SELECT throws_like($$SELECT close_enqueue('close_note_create', '{}')$$, '%lead_id is required%', 'is named');
SELECT throws_like($$SELECT close_enqueue('close_note_create', '[1]')$$, '%object%', 'params that are no object');
SELECT throws_like($$SELECT close_enqueue('close_note_crate', '{}')$$, '%did you mean close_note_create%', 'a misspelt tool');
SELECT throws_like($$SELECT close_enqueue(NULL, '{}')$$, '%tool is NULL%', 'no tool');
SELECT throws_like($$SELECT close_enqueue('close_note_create', NULL)$$, '%lead_id is required%', 'no parameters');
SELECT throws_like($$SELECT close_enqueue('close_leads_list', '{}')$$, '%only reads%', 'a reader');
SELECT throws_like($$SELECT close_enqueue('close_note_create', note('x'), '[]')$$, '%options must be a JSON object%', 'options that are no object');
SELECT throws_like($$SELECT close_enqueue('close_note_create', note('x'), '{"when": 1}')$$, '%unknown option when%', 'an unknown option');
SELECT throws_like($$SELECT close_enqueue('close_note_create', note('x'), '{"not_before": "soon"}')$$, '%not_before%', 'a bad time');
SELECT throws_like($$SELECT close_enqueue('close_email_create', '{"lead_id": "lead_x", "status": "outbox"}')$$, '%sends a message to people%', 'messages to people');
SELECT throws_like($$INSERT INTO close_outbox (tool, params) VALUES ('close_note_create', '{}')$$, '%lead_id is required%', 'INSERT is checked the same way');
SELECT throws_like($$INSERT INTO close_outbox (tool) VALUES (NULL)$$, '%tool is NULL%', 'INSERT without a tool');
SELECT throws_like($$INSERT INTO close_outbox (tool, params, state) VALUES ('close_note_create', note('x'), 'done')$$, '%a new row of close_outbox is pending%', 'a row that claims to be done');
SELECT throws_like($$INSERT INTO close_outbox (tool, params, worker) VALUES ('close_note_create', note('x'), 'me')$$, '%a new row of close_outbox is pending%', 'a row that claims to be at work');
SELECT throws_ok($$INSERT INTO close_outbox (tool, params, enqueued_by) VALUES ('close_note_create', note('x'), 'alice')$$, '42501', NULL, 'in the name of another role');
SELECT throws_ok($$INSERT INTO close_outbox (id, tool, params) VALUES (1, 'close_note_create', note('x'))$$, '428C9', NULL, 'ids are given');
SELECT is((SELECT count(*) FROM close_outbox), 0::bigint, 'nothing of it is there');
SET default_transaction_read_only = on;
SELECT throws_ok($$SELECT close_enqueue('close_note_create', note('x'))$$, '25006', NULL, 'a read-only transaction');
SET default_transaction_read_only = off;
SELECT throws_ok($$SELECT close_outbox_check()$$, '39P01', NULL, 'the trigger is none to call');
SELECT throws_ok($$SELECT close_outbox_wait(1, -1)$$, '22023', NULL, 'a negative time');

-- Defaults of a plain INSERT are those of close_enqueue.
INSERT INTO close_outbox (tool, params) VALUES ('close_note_create', note('direct'));
SELECT close_enqueue('close_note_create', note('direct'));
SELECT is((SELECT count(DISTINCT (tool, params, ordering_key, state, enqueued_by, server, next_attempt)) FROM close_outbox
    WHERE ordering_key = :'lead' AND server = 'close'), 2::bigint, 'key, role and server are filled in');
TRUNCATE close_outbox;

-- PUBLIC has nothing.
SELECT is(seen_by('alice', 'SELECT count(*) FROM close_outbox'), '42501', 'no rows');
SELECT is(seen_by('alice', $$SELECT close_enqueue('close_note_create', note('x'))$$), '42501', 'no enqueuing');
SELECT is(seen_by('alice', $$SELECT close_outbox_retry(1)$$), '42501', 'no retry');
SELECT is(seen_by('alice', $$SELECT close_outbox_cancel(1)$$), '42501', 'no cancelling');
SELECT is(seen_by('alice', $$SELECT close_outbox_wait(1)$$), '42501', 'no waiting');
SELECT is(seen_by('alice', $$CALL close_outbox_drain()$$), '42501', 'no draining');

-- Enqueuing needs the right to call.
GRANT EXECUTE ON FUNCTION close_enqueue, close_outbox_retry, close_outbox_cancel, close_outbox_wait TO alice, bob, clerk;
GRANT SELECT ON close_outbox TO alice, bob;
SELECT is(seen_by('alice', $$SELECT close_enqueue('close_note_create', note('x'))$$), '42501', 'not what a role may not call');
GRANT EXECUTE ON FUNCTION close_note_create TO alice, bob, clerk;
SELECT isnt(seen_by('alice', $$SELECT close_enqueue('close_note_create', note('of alice'))$$), '42501', 'what it may');
SELECT is(seen_by('alice', $$SELECT close_enqueue('close_lead_delete', '{"lead_id": "lead_x"}')$$), '42501', 'and nothing else');
SELECT is(seen_by('alice', $$SELECT close_enqueue('close_something_quite_new', '{}')$$), '42501', 'nor a tool that has no function');
CREATE FUNCTION close_lead_delete(text, text) RETURNS text LANGUAGE sql AS 'SELECT 1';
GRANT EXECUTE ON FUNCTION close_lead_delete(text, text) TO alice;
SELECT is(seen_by('alice', $$SELECT close_enqueue('close_lead_delete', '{"lead_id": "lead_x"}')$$), '42501', 'a function of the same name does not open it');
DROP FUNCTION close_lead_delete(text, text);
GRANT EXECUTE ON FUNCTION close_execute TO bob;
SELECT isnt(seen_by('bob', $$SELECT close_enqueue('close_something_quite_new', '{}')$$), '42501', 'close_execute opens all');
SELECT is(seen_by('clerk', $$SELECT close_enqueue('close_note_create', note('x'))$$), '55000', 'no user mapping');
REVOKE USAGE ON FOREIGN SERVER close FROM clerk;
SELECT is(seen_by('clerk', $$SELECT close_enqueue('close_note_create', note('x'))$$), '42501', 'no USAGE');

-- Rows are their role's own.
SELECT is(seen_by('alice', 'SELECT count(*) FROM close_outbox'), '1', 'alice sees hers');
SELECT is(seen_by('bob', 'SELECT string_agg(tool, $$,$$) FROM close_outbox'), 'close_something_quite_new', 'bob his');
SELECT is((SELECT count(*) FROM close_outbox), 2::bigint, 'the owner all');
SELECT max(id) FILTER (WHERE enqueued_by = 'alice') AS alices, max(id) FILTER (WHERE enqueued_by = 'bob') AS bobs FROM close_outbox \gset
SELECT is(seen_by('bob', format('SELECT close_outbox_cancel(%s)', :alices)), 'P0002', 'bob does not cancel hers');
SELECT is(seen_by('bob', format('SELECT close_outbox_retry(%s)', :alices)), 'P0002', 'nor retry');
SELECT is(seen_by('bob', format('SELECT close_outbox_wait(%s, 0)', :alices)), 'P0002', 'nor wait for it');
SELECT is(seen_by('bob', format('SELECT close_outbox_cancel(%s)', :bobs)), :'bobs', 'he cancels his');
SELECT is(seen_by('alice', 'UPDATE close_outbox SET state = $$done$$ RETURNING id'), '42501', 'no role updates');
SELECT is(seen_by('alice', 'DELETE FROM close_outbox RETURNING id'), '42501', 'or deletes');
SELECT is(seen_by('alice', $$INSERT INTO close_outbox (tool, params) VALUES ('close_note_create', note('x')) RETURNING id$$), '42501', 'INSERT is a right of its own');
GRANT INSERT (tool, params, ordering_key, reference, next_attempt) ON close_outbox TO alice;
SELECT isnt(seen_by('alice', $$INSERT INTO close_outbox (tool, params) VALUES ('close_note_create', note('of alice too')) RETURNING id$$), '42501', 'for columns that make a call');
SELECT is(seen_by('alice', $$INSERT INTO close_outbox (tool, params, state) VALUES ('close_note_create', note('x'), 'pending') RETURNING id$$), '42501', 'not for the others');
SELECT is(seen_by('alice', $$INSERT INTO close_outbox (tool, params) VALUES ('close_lead_delete', '{"lead_id": "lead_x"}') RETURNING id$$), '42501', 'and not for what it may not call');
GRANT INSERT ON close_outbox TO alice;
SELECT is(seen_by('alice', $$INSERT INTO close_outbox (tool, params, enqueued_by) VALUES ('close_note_create', note('x'), 'bob') RETURNING id$$), '42501', 'not in the name of another');
SELECT is(seen_by('alice', $$INSERT INTO close_outbox (tool, params, created, state) VALUES ('close_note_create', note('x'), '2001-01-01', 'uncertain') RETURNING id$$), '42501', 'nor as if it were restored');
SELECT is(seen_by('alice', $$INSERT INTO close_outbox (tool, params, server) VALUES ('close_note_create', note('of alice three'), 'elsewhere') RETURNING server$$), 'close', 'the server is that of the session');

-- References are the role's own.
SELECT is((SELECT seen_by('alice', $$SELECT close_enqueue('close_note_create', note('ref'), '{"reference": "r"}')$$)
    = seen_by('bob', $$SELECT close_enqueue('close_note_create', note('ref'), '{"reference": "r"}')$$)), false, 'two roles, two rows');

-- A function of its owner enqueues as its owner.
CREATE FUNCTION log_it() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$SELECT close_enqueue('close_note_create', note('definer'))$$;
SELECT seen_by('clerk', 'SELECT log_it()') AS defined \gset
SELECT is((SELECT enqueued_by::text FROM close_outbox WHERE id = :defined), current_user::text, 'SECURITY DEFINER');

-- A search path full of traps does not lead the owner's rights astray.
CREATE SCHEMA traps;
GRANT CREATE, USAGE ON SCHEMA traps TO alice;
SET ROLE alice;
CREATE FUNCTION traps.trap(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped as %', current_user; END$$;
CREATE OPERATOR traps.= (FUNCTION = traps.trap, LEFTARG = bigint, RIGHTARG = bigint);
CREATE FUNCTION traps.now() RETURNS timestamptz LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped as %', current_user; END$$;
CREATE TEMP TABLE close_outbox (id bigint, state text);
SET search_path = traps, pg_catalog, public;
SELECT close_enqueue('close_note_create', public.note('path')) AS own \gset
SELECT close_outbox_retry(:own) AS retried \gset
SELECT close_outbox_cancel(:own) AS cancelled \gset
SELECT close_outbox_wait(:own, 0) AS waited \gset
RESET search_path;
RESET ROLE;
DROP TABLE pg_temp.close_outbox;
DROP SCHEMA traps CASCADE;
SELECT is(ARRAY[:'retried', :'cancelled', :'waited'], ARRAY[:'own', :'own', 'cancelled'], 'retry, cancel, wait');

-- Draining: for the roles that one is a member of, each with its own mapping.
CREATE ROLE worker;
GRANT EXECUTE ON PROCEDURE close_outbox_drain TO worker;
SET ROLE worker;
CALL close_outbox_drain();
RESET ROLE;
SELECT is((SELECT count(*) FROM close_outbox WHERE state = 'done'), 0::bigint, 'a worker without roles drains nothing');
GRANT bob TO worker;
SET ROLE worker;
CALL close_outbox_drain();
RESET ROLE;
SELECT is((SELECT string_agg(DISTINCT enqueued_by::text, ',') FROM close_outbox WHERE state = 'done'), 'bob', 'as a member of bob, his rows');
SELECT is((SELECT count(*) FROM close_outbox WHERE state = 'pending' AND enqueued_by = 'alice'), 4::bigint, 'not those of alice');
SELECT is((SELECT result ->> 'user_id' FROM close_outbox WHERE state = 'done' LIMIT 1), (SELECT id FROM close_me), 'with the mapping of bob');
REVOKE EXECUTE ON FUNCTION close_note_create FROM alice;
CALL close_outbox_drain();
SELECT is((SELECT count(*) FROM close_outbox WHERE enqueued_by = 'alice' AND state = 'failed' AND error_class = 'FORBIDDEN'), 4::bigint, 'a right that is gone is gone');
SELECT is((SELECT count(*) FROM close_outbox WHERE state = 'pending'), 0::bigint, 'the owner drains all');

-- Trouble of one role is not another's.
SELECT seen_by('bob', $$SELECT close_enqueue('close_note_create', note('fine'))$$);
GRANT EXECUTE ON FUNCTION close_note_create TO alice;
SELECT seen_by('alice', $$SELECT close_enqueue('close_note_create', note('stuck'))$$);
DROP USER MAPPING FOR alice SERVER close;
\set ON_ERROR_STOP off
CALL close_outbox_drain();
\set state :LAST_ERROR_SQLSTATE
\set ON_ERROR_STOP on
SELECT is(:'state'::text, '55000', 'a mapping that is gone is told of');
SELECT is((SELECT state FROM close_outbox WHERE params ->> 'note' = 'fine'), 'done', 'the rows of others are sent');
SELECT is((SELECT state FROM close_outbox WHERE params ->> 'note' = 'stuck'), 'pending', 'its rows wait');
SELECT is((SELECT attempts FROM close_outbox WHERE params ->> 'note' = 'stuck'), 0, 'at no cost');
SELECT * FROM finish();
DROP OWNED BY alice, bob, clerk, worker;
DROP ROLE alice, bob, clerk, worker;
