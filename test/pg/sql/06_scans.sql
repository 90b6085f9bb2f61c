-- Ways to run a query: prepared, cursors, rescans, sub-queries, copies, inheritance.
\set lead `$CTL ids leads 1`
\set ten `$CTL ids leads 10`
SELECT no_plan();

-- Prepared statements, past the switch to a generic plan.
PREPARE by_id(text) AS SELECT name FROM close_leads WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
SELECT is(run(format('EXECUTE by_id(%L)', id)), 1::bigint, 'generic plan') FROM unnest(string_to_array(:'ten', ',')) AS id LIMIT 8;
SELECT is(run('EXECUTE by_id(NULL)'), 0::bigint, 'with NULL');
SELECT alike(plan_of(format('EXECUTE by_id(%L)', :'lead')), '%lead_id=$1%', 'still by id');
PREPARE page(bigint, bigint) AS SELECT id FROM close_leads LIMIT $1 OFFSET $2;
SELECT is(run('EXECUTE page(4, 2)'), 4::bigint, 'LIMIT as a parameter');
SELECT is(run('EXECUTE page(NULL, NULL)'), 1000::bigint, 'and NULL');
SELECT throws_ok('EXECUTE page(-1, 0)', '2201W', NULL, 'and negative');
PREPARE of_list(text[]) AS SELECT name FROM close_leads WHERE id = ANY ($1);
SELECT is(run(format($$EXECUTE of_list(string_to_array(%L, ','))$$, :'ten')), 10::bigint, 'an array as a parameter');
ALTER SERVER close OPTIONS (ADD page_size '100');
SELECT is(run(format('EXECUTE by_id(%L)', :'lead')), 1::bigint, 'after ALTER SERVER');
ALTER SERVER close OPTIONS (DROP page_size);
RESET plan_cache_mode;

-- Cursors.
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM close_leads;
SELECT is(run('FETCH 3 FROM c'), 3::bigint, 'a cursor') ;
SELECT is(run('FETCH 250 FROM c'), 250::bigint, 'goes on');
CLOSE c;
DECLARE h CURSOR WITH HOLD FOR SELECT id FROM close_leads LIMIT 7;
SELECT is(run('FETCH 2 FROM h'), 2::bigint, 'WITH HOLD');
COMMIT;
SELECT is(run('FETCH ALL FROM h'), 5::bigint, 'survives its transaction');
CLOSE h;
BEGIN;
DECLARE s SCROLL CURSOR FOR SELECT id FROM close_leads LIMIT 7;
SELECT is(run('FETCH ALL FROM s'), 7::bigint, 'SCROLL');
SELECT is(run('FETCH BACKWARD ALL FROM s'), 7::bigint, 'backwards');
COMMIT;

-- Shapes.
SELECT is(run('WITH l AS MATERIALIZED (SELECT id FROM close_leads LIMIT 9) SELECT * FROM l a, l b'), 81::bigint, 'CTE');
SELECT is(run('SELECT id FROM close_leads UNION ALL SELECT id FROM close_users'), (SELECT 1000 + count(id) FROM close_users), 'UNION ALL');
SELECT is(run('SELECT id FROM close_users UNION SELECT id FROM close_users'), (SELECT count(id) FROM close_users), 'UNION');
SELECT is(run('SELECT id FROM close_leads EXCEPT SELECT lead_id FROM close_contacts') +
          run('SELECT id FROM close_leads INTERSECT SELECT lead_id FROM close_contacts'), 1000::bigint, 'EXCEPT and INTERSECT');
SELECT is((SELECT count(*) FROM close_users a JOIN close_users b ON a.id = b.id), (SELECT count(id) FROM close_users), 'self join');
SELECT ok(run('SELECT p.id, (SELECT count(*) FROM close_opportunities o WHERE o.pipeline_id = p.id) FROM close_pipelines p') > 1, 'correlated sub-query');
SELECT is((SELECT count(*) FROM close_leads l WHERE EXISTS (SELECT FROM close_opportunities o WHERE o.lead_id = l.id)),
          (SELECT count(DISTINCT lead_id) FROM close_opportunities), 'semi join');
SELECT is((SELECT count(*) FROM close_leads l LEFT JOIN close_opportunities o ON o.lead_id = l.id WHERE o.id IS NULL),
          1000 - (SELECT count(DISTINCT lead_id) FROM close_opportunities), 'anti join');
SELECT is((SELECT count(*) FROM close_leads l FULL JOIN close_contacts c ON c.lead_id = l.id),
          (SELECT count(*) FROM close_leads l LEFT JOIN close_contacts c ON c.lead_id = l.id), 'full join');
-- A rescan within one statement: nested loops with the parts compared by OFFSET 0.
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
SELECT is((SELECT count(*) FROM close_pipelines p JOIN close_opportunities o ON o.pipeline_id = p.id),
          (SELECT count(pipeline_id) FROM close_opportunities), 'rescans give every row again');
RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material;

-- Whole rows, system columns.
SELECT is((SELECT (u).id FROM close_users u LIMIT 1), (SELECT id FROM close_users LIMIT 1), 'whole row');
SELECT is((SELECT tableoid::regclass::text FROM close_users LIMIT 1), 'close_users', 'tableoid');

-- Elsewhere.
CREATE MATERIALIZED VIEW won AS SELECT id, value FROM close_opportunities WHERE status_type = 'won';
SELECT lives_ok('REFRESH MATERIALIZED VIEW won', 'materialized view');
SELECT is((SELECT count(*) FROM won), (SELECT count(*) FROM close_opportunities WHERE status_type = 'won'), 'holds the rows');
CREATE TABLE local_leads AS SELECT * FROM close_leads;
SELECT is((SELECT count(*) FROM local_leads), 1000::bigint, 'CREATE TABLE AS');
SELECT lives_ok($$COPY (SELECT id, name FROM close_leads LIMIT 10) TO '/dev/null'$$, 'COPY TO');
CREATE VIEW acme AS SELECT id, name FROM close_leads WHERE query = 'Acme';
SELECT ok((SELECT count(*) FROM acme) > 2, 'view');

-- Inheritance and partitions.
CREATE TABLE any_status (id text, label text);
CREATE FOREIGN TABLE lead_status () INHERITS (any_status) SERVER close OPTIONS ("table" 'close_lead_statuses');
CREATE FOREIGN TABLE opp_status () INHERITS (any_status) SERVER close OPTIONS ("table" 'close_opportunity_statuses');
SELECT is((SELECT count(*) FROM any_status), (SELECT count(id) FROM close_lead_statuses) + (SELECT count(id) FROM close_opportunity_statuses), 'inheritance');
CREATE TABLE opps (id text, status_type text, value bigint) PARTITION BY LIST (status_type);
CREATE FOREIGN TABLE opps_won PARTITION OF opps FOR VALUES IN ('won') SERVER close OPTIONS ("table" 'close_opportunities');
CREATE TABLE opps_rest PARTITION OF opps DEFAULT;
SELECT is((SELECT count(*) FROM opps WHERE status_type = 'won'), (SELECT count(*) FROM close_opportunities WHERE status_type = 'won'), 'partition');
SET enable_partitionwise_join = on; SET enable_partitionwise_aggregate = on;
SELECT is((SELECT count(*) FROM opps a JOIN opps b USING (status_type, id) WHERE status_type = 'won'),
          (SELECT count(*) FROM close_opportunities WHERE status_type = 'won'), 'partition-wise');

-- Locking clauses and the like do no harm.
SELECT is(run('SELECT id FROM close_users FOR UPDATE'), (SELECT count(id) FROM close_users), 'FOR UPDATE');
SELECT is(run('SELECT DISTINCT ON (status_id) id FROM close_leads ORDER BY status_id, id LIMIT 1'), 1::bigint, 'DISTINCT ON');
SELECT is((SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY date_created) AS n FROM close_opportunities) o), (SELECT count(id) FROM close_opportunities), 'window');
SELECT is(run('SELECT id, generate_series(1, 2) FROM close_leads LIMIT 5'), 5::bigint, 'set-returning functions above a limit');
SELECT is(run('SELECT id FROM close_leads FETCH FIRST 5 ROWS ONLY'), 5::bigint, 'FETCH FIRST');
SELECT ok(run('SELECT status_label FROM close_leads ORDER BY status_label FETCH FIRST 1 ROWS WITH TIES') > 1, 'WITH TIES');
SELECT * FROM finish();
