-- Every class of error: SQLSTATE, the service's words in DETAIL, the remedy in HINT.
\set lead `$CTL ids leads 1`
SELECT no_plan();

CREATE TYPE problem AS (state text, message text, detail text, hint text);
CREATE FUNCTION problem_of(query text) RETURNS problem LANGUAGE plpgsql AS $$
DECLARE
    p problem;
BEGIN
    EXECUTE query;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS p.state = RETURNED_SQLSTATE, p.message = MESSAGE_TEXT, p.detail = PG_EXCEPTION_DETAIL, p.hint = PG_EXCEPTION_HINT;
    RETURN p;
END $$;
\set get 'SELECT close_lead_get(' :'lead' ')'

\! $CTL fault '{"tool": "close_lead_get", "kind": "status", "status": 400, "shape": "close-error", "message": "the service said this"}'
SELECT unnest(ARRAY[is((p).state, '22023', 'refused'), alike((p).message, 'close_lead_get%', 'names the tool'),
                    alike((p).detail, '%the service said this%', 'has the service''s words'),
                    alike((p).detail, '%Execution id: %', 'and the execution id')])
  FROM (SELECT problem_of('SELECT close_lead_get(''x'')') AS p OFFSET 0) q;
\! $CTL fault '{"tool": "close_lead_get", "kind": "account_expired"}'
SELECT unnest(ARRAY[is((p).state, '28000', 'the account'), alike((p).hint, '%close_authorization_link()%', 'and what helps')])
  FROM (SELECT problem_of('SELECT close_lead_get(''x'')') AS p OFFSET 0) q;
\! $CTL fault '{"tool": "close_lead_get", "kind": "status", "status": 429, "shape": "close-error", "message": "slow down", "times": 50}'
SET close.retries = 0;
SELECT is((problem_of('SELECT close_lead_get(''x'')')).state, '53400', 'the rate');
\! $CTL reset
\! $CTL fault '{"tool": "close_lead_get", "kind": "status", "status": 500, "shape": "plain", "times": 50}'
SELECT is((problem_of('SELECT close_lead_get(''x'')')).state, 'HV000', 'a failure over there');
\! $CTL reset
\! $CTL fault '{"tool": "close_lead_get", "kind": "garbage", "times": 50}'
SELECT is((problem_of('SELECT close_lead_get(''x'')')).state, '08P01', 'an answer that is none');
\! $CTL reset
\! $CTL fault '{"tool": "close_lead_get", "kind": "truncate", "times": 50}'
SELECT is((problem_of('SELECT close_lead_get(''x'')')).state, '08006', 'a cut-off answer');
\! $CTL reset
\! $CTL fault '{"tool": "close_lead_get", "kind": "delay", "ms": 3000, "times": 50}'
SET close.timeout_ms = 200;
SELECT is((problem_of('SELECT close_lead_get(''x'')')).state, '08006', 'our time limit');
RESET close.timeout_ms;
\! $CTL reset
\! $CTL fault '{"tool": "close_lead_get", "kind": "status", "status": 403, "shape": "close-error", "message": "no"}'
SELECT is((problem_of('SELECT close_lead_get(''x'')')).state, '42501', 'forbidden');
\! $CTL fault '{"tool": "close_note_create", "kind": "reset_after"}'
SELECT is((problem_of(format('SELECT close_note_create(%L, ''lost'')', :'lead'))).state, '08007', 'a write without an answer');
\set notes `$CTL count notes note lost`
SELECT is(:notes, 1, 'which happened, and once');
RESET close.retries;

-- A failing page: an error, never part of the rows as if they were all.
\! $CTL reset
\! $CTL fault '{"tool": "close_leads_list", "skip": 2, "kind": "status", "status": 400, "shape": "close-error", "message": "page fails", "times": 50}'
SELECT throws_ok('SELECT id FROM close_leads', '22023', NULL, 'a failing page fails the scan');
\! $CTL reset
\! $CTL fault '{"tool": "close_leads_list", "skip": 2, "kind": "status", "status": 503, "shape": "plain", "times": 2}'
SELECT is(run('SELECT id FROM close_leads'), 1000::bigint, 'a passing trouble does not');
\! $CTL fault '{"tool": "close_leads_list", "kind": "bad_type", "field": "name", "value": 7}'
SELECT throws_like('SELECT name FROM close_leads', '%close_leads%name%', 'a misfit names table and column');

-- The statement after an error works, in a transaction with savepoints too.
BEGIN;
SAVEPOINT a;
\! $CTL fault '{"tool": "close_lead_get", "kind": "status", "status": 400, "shape": "close-error", "message": "no"}'
\set ON_ERROR_STOP off
\set QUIET on
SELECT is((problem_of('SELECT close_lead_get(''x'')')).state, '22023', 'an error inside');
ROLLBACK TO a;
\set ON_ERROR_STOP on
SELECT is(close_lead_get(:'lead') ->> 'id', :'lead', 'and the next call works');
COMMIT;
SELECT * FROM finish();
