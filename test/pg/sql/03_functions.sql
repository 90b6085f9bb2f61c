-- Functions of tools: named arguments, defaults, checks before anything is sent, results.
\set lead `$CTL ids leads 1`
SELECT no_plan();

SELECT is(close_lead_get(:'lead') ->> 'id', :'lead', 'positional');
SELECT is(close_lead_get(lead_id => :'lead') ->> 'id', :'lead', 'named');
SELECT is(jsonb_typeof(close_leads_list(_limit => 3)), 'object', 'defaults; the list as it came');
SELECT is(jsonb_array_length(close_leads_list(_limit => 3) -> 'data'), 3, 'a limit');
SELECT is(close_note_create(:'lead', 'Called', contact_id => NULL) ->> 'note', 'Called', 'a write');
SELECT is(close_last_id(), (SELECT id FROM close_notes WHERE lead_id = :'lead' AND note = 'Called' LIMIT 1), 'and its id');

\! $CTL clear
SELECT throws_ok($$SELECT close_lead_get(NULL)$$, '22023', NULL, 'a required argument is missing');
SELECT throws_ok($$SELECT close_contact_create('lead_x', emails => 'not json')$$, '22P02', NULL, 'no JSON');
SELECT throws_ok($$SELECT close_execute(NULL)$$, '22023', 'close_execute: argument tool is missing', 'no tool');
SELECT throws_ok($$SELECT close_execute('close_lead_get', '{"lead": "x"}')$$, '22023', NULL, 'an unknown argument');
SELECT throws_ok($$SELECT close_request('GET', '/api/v1/../x/')$$, '22023', NULL, 'a path with dots');
SELECT throws_ok($$SELECT close_request('FETCH', '/api/v1/me/')$$, '22023', NULL, 'no such method');
SELECT throws_ok($$SELECT close_tasks_bulk_update(is_complete => true)$$, '22023', NULL, 'a bulk change of everything');
\set calls `$CTL calls`
SELECT is(:calls, 0, 'nothing was sent for any of them');

SELECT is(close_execute('close_lead_get', jsonb_build_object('lead_id', :'lead')) ->> 'id', :'lead', 'by name');
SELECT isnt(close_request('GET', '/api/v1/me/') ->> 'id', NULL, 'through the proxy');
SELECT is(close_account() ->> 'status', 'ACTIVE', 'the account');
SELECT unalike(close_account()::text, '%access_token%', 'without credentials');
SELECT alike(close_authorization_link()::text, '%http%', 'a link');
SELECT throws_ok($$SELECT close_email_create('lead_x', 'outbox', subject => 'x')$$, '42501', NULL,
                 'messages leave only when the server allows them');
SELECT throws_ok($$SELECT close_lead_get('lead_none')$$, 'P0002', NULL, 'an object that does not exist');
SELECT ok(count(*) > 3, 'the calls are listed') FROM close_requests WHERE tool = 'close_lead_get';
SELECT ok(bool_and(params !~ 'lead_none'), 'without values') FROM close_requests WHERE tool = 'close_lead_get';
SELECT ok(value > 0, 'and counted') FROM close_stats WHERE name = 'requests';

-- So does a read-only transaction.
\! $CTL clear
SET default_transaction_read_only = on;
SELECT throws_ok(format($$SELECT close_note_create(%L, 'x')$$, :'lead'), '25006', NULL, 'a writer in a read-only transaction');
SELECT throws_ok(format($$INSERT INTO close_notes (lead_id, note) VALUES (%L, 'x')$$, :'lead'), '25006', NULL, 'a table too');
SELECT throws_ok($$SELECT close_execute('close_brand_new_create')$$, '25006', NULL, 'an unknown tool counts as a writer');
SELECT is(close_execute('close_me_get') ->> 'id', close_me_get() ->> 'id', 'reads work');
RESET default_transaction_read_only;
\set calls `$CTL calls close_note_create`
SELECT is(:calls, 0, 'nothing was sent');

-- Read-only servers refuse writers before anything is sent.
ALTER SERVER close OPTIONS (ADD readonly 'on');
\! $CTL clear
SELECT throws_ok(format($$SELECT close_note_create(%L, 'x')$$, :'lead'), '42501', NULL, 'a function on a read-only server');
SELECT throws_ok(format($$INSERT INTO close_notes (lead_id, note) VALUES (%L, 'x')$$, :'lead'), '42501', NULL, 'a table too');
SELECT throws_ok($$SELECT close_request('DELETE', '/api/v1/lead/lead_x/')$$, '42501', NULL, 'and the proxy');
\set calls `$CTL calls`
SELECT is(:calls, 0, 'nothing was sent');
SELECT * FROM finish();
