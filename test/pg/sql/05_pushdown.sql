-- What is sent, and what is not: plans and numbers of requests.
\set lead `$CTL ids leads 1`
\set ten `$CTL ids leads 10`
SELECT no_plan();
CREATE TABLE ten AS SELECT unnest(string_to_array(:'ten', ',')) AS lead_id;
ANALYZE ten;
CREATE TABLE words (q text);
INSERT INTO words VALUES ('Acme'), ('Bolt');
ANALYZE words;

\! $CTL clear
SELECT is((SELECT count(*) FROM close_leads), 1000::bigint, 'count(*)');
\set calls `$CTL calls`
SELECT is(:calls, 1, 'is one request');
SELECT alike(plan_of('SELECT count(*) FROM close_leads'), 'Foreign Scan%count(close_leads_list)%', 'and has no aggregate above it');
SELECT is((SELECT count(*) + count(1) FROM close_leads), 2000::bigint, 'inside an expression');
SELECT is((SELECT count(*) FROM close_opportunities WHERE status_type = 'won'),
          (SELECT count(*) FROM (SELECT id FROM close_opportunities WHERE status_type || '' = 'won' OFFSET 0) o), 'with a condition');
SELECT unalike(plan_of($$SELECT count(*) FROM close_leads WHERE name LIKE 'A%'$$), '%count(close%', 'not over a local condition');
SELECT unalike(plan_of($$SELECT count(*) FROM close_contacts$$), '%count(close%', 'not where the service has no totals');
SELECT unalike(plan_of($$SELECT count(*) FILTER (WHERE true) FROM close_leads GROUP BY name$$), '%count(close%', 'not by groups');
SELECT unalike(plan_of($$SELECT count(description) FROM close_leads$$), '%count(close%', 'not of a column that may be null');
SELECT unalike(plan_of($$SELECT count(DISTINCT name) FROM close_leads$$), '%count(close%', 'not of distinct values');

\! $CTL clear
SELECT is(run('SELECT id, name FROM close_leads LIMIT 5'), 5::bigint, 'LIMIT 5');
\set calls `$CTL calls`
\set log `$CTL log`
SELECT is(:calls, 1, 'is one request');
SELECT alike(:'log'::text, '%"_fields": "id,name"%"_limit": 5%', 'of five rows and two columns');
SELECT unalike(plan_of('SELECT id FROM close_leads LIMIT 5'), '%Limit%Foreign Scan%', 'without a Limit node');
SELECT alike(plan_of($$SELECT id FROM close_leads WHERE name LIKE 'A%' LIMIT 5$$), 'Limit%Foreign Scan%Filter%', 'a local condition keeps it');
SELECT is(run('SELECT id FROM close_leads LIMIT 5 OFFSET 7'), 5::bigint, 'OFFSET');
SELECT results_eq('SELECT id FROM close_leads LIMIT 3 OFFSET 2',
                  'SELECT id FROM (SELECT id, row_number() OVER () AS n FROM close_leads) l WHERE n BETWEEN 3 AND 5', 'gives the same rows');
SELECT is(run('SELECT id FROM close_leads LIMIT 0'), 0::bigint, 'LIMIT 0');
SELECT is(run('SELECT id FROM close_users LIMIT ALL OFFSET 0'), (SELECT count(id) FROM close_users), 'LIMIT ALL');
SELECT throws_ok('SELECT id FROM close_leads LIMIT -1', '2201W', 'LIMIT must not be negative', 'a negative LIMIT');
SELECT throws_ok('SELECT id FROM close_leads OFFSET -1', '2201X', NULL, 'a negative OFFSET');

\! $CTL clear
SELECT is(run(format('SELECT * FROM close_leads WHERE id = %L', :'lead')), 1::bigint, 'by id');
\set calls `$CTL calls`
SELECT is(:calls, 1, 'is one request');
SELECT is(run($$SELECT * FROM close_leads WHERE id = 'lead_none'$$), 0::bigint, 'not found is no row');
SELECT is(run($$SELECT * FROM close_leads WHERE id = NULL::text || 'x'$$), 0::bigint, 'NULL matches nothing');
\! $CTL clear
SELECT is(run(format($$SELECT name FROM close_leads WHERE id = ANY (string_to_array(%L, ','))$$, :'ten')), 10::bigint, 'ten ids');
\set calls `$CTL calls`
SELECT cmp_ok(:calls, '<=', 10, 'at most ten requests');
SELECT is(run($$SELECT name FROM close_leads WHERE id = ANY ('{}')$$), 0::bigint, 'no ids');
SELECT is(run($$SELECT name FROM close_leads WHERE id = ANY (NULL::text[])$$), 0::bigint, 'a null array');
SELECT is(run(format('SELECT name FROM close_leads WHERE id IN (%L, NULL, %1$L)', :'lead')), 1::bigint, 'nulls and repetitions');

\! $CTL clear
SELECT is(run($$SELECT id, name FROM close_leads WHERE query = 'Acme' LIMIT 3$$), 3::bigint, 'a search');
\set calls `$CTL calls`
SELECT is(:calls, 1, 'is one request');
SELECT is((SELECT DISTINCT query FROM close_leads WHERE query = 'Acme'), 'Acme', 'the condition is echoed');
SELECT is((SELECT DISTINCT query FROM close_users u, close_leads l WHERE l.id = :'lead'), NULL, 'none shows NULL');
SELECT throws_ok($$SELECT id FROM close_leads WHERE query LIKE 'Ac%'$$, '22023', NULL, 'another operator has no answer');
SELECT throws_ok($$SELECT id FROM close_leads WHERE query = name$$, '22023', NULL, 'nor has a comparison of columns');
SELECT throws_ok($$SELECT id FROM close_leads WHERE query = 'Acme' OR name = 'Acme'$$, '22023', NULL, 'nor OR');
SELECT ok(run($$SELECT id FROM close_leads WHERE query IN ('Acme', 'Bolt')$$) > 2, 'a list of searches');

-- Joins.
\! $CTL clear
SELECT is(run('SELECT l.name FROM ten JOIN close_leads l ON l.id = ten.lead_id'), 10::bigint, 'a join on id');
\set calls `$CTL calls`
SELECT cmp_ok(:calls, '<=', 10, 'of ten rows is at most ten requests');
\! $CTL clear
SELECT is(run('SELECT l.name FROM (SELECT * FROM ten LIMIT 2) t JOIN close_leads l ON l.id = t.lead_id'), 2::bigint, 'of two');
\set calls `$CTL calls`
SELECT cmp_ok(:calls, '<=', 4, 'is two lookups, and at most as many pages that may save more');
SELECT alike(plan_of('SELECT l.name FROM (SELECT * FROM ten LIMIT 2) t JOIN close_leads l ON l.id = t.lead_id'),
             '%Nested Loop%close_lead_get lead_id=$1%', 'in a nested loop');
SELECT ok(run('SELECT w.q, l.id FROM words w JOIN close_leads l ON l.query = w.q') > 2, 'a parameter from another table');
SELECT ok(run('SELECT w.q, l.id FROM words w LEFT JOIN close_leads l ON l.query = w.q') > 2, 'also from the outer side');
SELECT ok(run('SELECT w.q, l.id FROM words w, LATERAL (SELECT id FROM close_leads WHERE query = w.q LIMIT 2) l') = 4, 'and LATERAL');
SELECT throws_ok('SELECT * FROM close_leads l LEFT JOIN words w ON l.query = w.q', '22023', NULL, 'the inner side can not supply it');
SELECT is((SELECT count(*) FROM close_contacts c JOIN ten USING (lead_id)),
          (SELECT count(*) FROM close_contacts c WHERE lead_id || '' IN (SELECT lead_id FROM ten)), 'children of ten');

-- Order.
SELECT alike(plan_of('SELECT id FROM close_opportunities ORDER BY date_created'), 'Foreign Scan%_order_by=date_created%', 'sorted by the service');
SELECT alike(plan_of('SELECT id FROM close_opportunities ORDER BY date_created DESC'), 'Foreign Scan%_order_by=-date_created%', 'and backwards');
SELECT alike(plan_of('SELECT id FROM close_opportunities ORDER BY date_created DESC LIMIT 3'), 'Foreign Scan%_limit=%', 'with a limit');
SELECT results_eq('SELECT id FROM close_opportunities ORDER BY date_created DESC LIMIT 3',
                  'SELECT id FROM (SELECT id, date_created FROM close_opportunities OFFSET 0) o ORDER BY date_created DESC LIMIT 3', 'the same rows');
SELECT alike(plan_of('SELECT id FROM close_leads ORDER BY name'), 'Sort%', 'texts are sorted here');
SELECT alike(plan_of('SELECT id FROM close_opportunities ORDER BY value'), 'Sort%', 'so is what may be null');
SELECT alike(plan_of('SELECT id FROM close_opportunities ORDER BY date_created, id'), '%Sort%', 'and what has two keys');

-- Equality that is not the service's.
SELECT unalike(plan_of($$SELECT id FROM close_contacts WHERE lead_id LIKE 'lead%'$$), '%lead_id=$%', 'LIKE stays here');
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT unalike(plan_of($$SELECT id FROM close_contacts WHERE lead_id = 'LEAD_X' COLLATE loose$$), '%lead_id=$%', 'a loose collation too');
SELECT unalike(plan_of($$SELECT id FROM close_contacts WHERE lead_id = random()::text$$), '%lead_id=$%', 'and a volatile value');
SELECT alike(plan_of($$SELECT id FROM close_contacts WHERE lead_id = current_setting('x.y', true)$$), '%lead_id=$%', 'a stable one is sent');
SELECT alike(plan_of($$SELECT id FROM close_contacts WHERE lead_id = (SELECT lead_id FROM ten LIMIT 1)$$), '%lead_id=$%', 'and one of a sub-select');
SELECT alike(plan_of($$SELECT id FROM close_tasks WHERE NOT is_complete$$), '%is_complete=$1%', 'a flag');
SELECT is(run($$SELECT id FROM close_tasks WHERE is_complete$$) + run($$SELECT id FROM close_tasks WHERE NOT is_complete$$),
          run($$SELECT id FROM close_tasks$$), 'both ways');

-- EXPLAIN.
SELECT alike(plan_of(format('SELECT name FROM close_leads WHERE id = %L', :'lead'), 'verbose'),
             '%Close Call: close_lead_get lead_id=$1%Close Values: $1 = %' || :'lead' || '%', 'values with VERBOSE');
SELECT alike(plan_of('SELECT id FROM close_leads', 'analyze, timing off'), '%Close Requests: %Close Bytes: %Close Rows Received: %', 'what was spent with ANALYZE');
SELECT alike(plan_of('SELECT l.name FROM (SELECT * FROM ten LIMIT 2) t JOIN close_leads l ON l.id = t.lead_id', 'verbose'),
             '%Close Values: $1 = %lead_id%', 'also those that a join supplies');
SELECT unalike(plan_of('SELECT id FROM close_leads', 'verbose, analyze, format json'), '%demo-secret%', 'no secret');
SELECT alike(plan_of('INSERT INTO close_leads (name) VALUES (''x'')'), '%Close Call: close_lead_create%', 'a write names its tool');

-- ANALYZE.
SELECT lives_ok('ANALYZE close_leads', 'ANALYZE');
SELECT is(reltuples::int, 1000, 'learns the number of rows') FROM pg_class WHERE oid = 'close_leads'::regclass;
SELECT is(n_distinct::int, -1, 'and that ids are unique') FROM pg_stats WHERE tablename = 'close_leads' AND attname = 'id';
SELECT alike(plan_of('SELECT id FROM close_leads', 'costs on'), '%rows=1000 %', 'which the planner uses');
SELECT * FROM finish();
