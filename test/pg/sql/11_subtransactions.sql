-- Errors that PL/pgSQL catches, and scans that are left half-way: nothing stays behind.
\set lead `$CTL ids leads 1`
SELECT no_plan();

CREATE FUNCTION blocks() RETURNS bigint LANGUAGE sql AS $$SELECT value FROM close_stats WHERE name = 'memory_blocks'$$;
CREATE FUNCTION descriptors() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM pg_ls_dir('/proc/self/fd')$$;

CREATE FUNCTION fail_in_function(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    caught int := 0;
    ignored jsonb;
BEGIN
    FOR i IN 1 .. n LOOP
        BEGIN
            ignored := close_lead_get('lead_none');
        EXCEPTION WHEN no_data_found THEN
            caught := caught + 1;
        END;
    END LOOP;
    RETURN caught;
END $$;

CREATE FUNCTION fail_in_scan(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    caught int := 0;
    r record;
BEGIN
    FOR i IN 1 .. n LOOP
        BEGIN
            FOR r IN SELECT * FROM close_leads LOOP
                RAISE division_by_zero; -- with pages under way
            END LOOP;
        EXCEPTION WHEN division_by_zero THEN
            caught := caught + 1;
        END;
    END LOOP;
    RETURN caught;
END $$;

CREATE FUNCTION fail_in_insert(n int, lead text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    caught int := 0;
BEGIN
    FOR i IN 1 .. n LOOP
        BEGIN
            INSERT INTO close_notes (lead_id, note, date_created) VALUES (lead, 'x', NULL), (lead, 'x', now());
        EXCEPTION WHEN invalid_parameter_value THEN
            caught := caught + 1;
        END;
    END LOOP;
    RETURN caught;
END $$;

-- Once to warm up (connections, caches), then measured.
SELECT fail_in_function(3) + fail_in_scan(3) + fail_in_insert(3, :'lead') AS warm \gset
SELECT blocks() AS blocks, descriptors() AS fds \gset
SELECT is(fail_in_function(50), 50, 'errors of a function, caught');
SELECT is(fail_in_scan(20), 20, 'errors in the middle of a scan, caught');
SELECT is(fail_in_insert(20, :'lead'), 20, 'refused rows, caught');
SELECT is(blocks(), :blocks::bigint, 'no memory of the core is left');
SELECT cmp_ok(descriptors(), '<=', :fds + 8::bigint, 'no descriptor is left, but for kept-alive connections');

-- Savepoints: what ran before and after.
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM close_leads;
SELECT is(run('FETCH 1 FROM c'), 1::bigint, 'a cursor of the outer transaction');
SAVEPOINT a;
SELECT is(run('FETCH 1 FROM c'), 1::bigint, 'used inside');
DECLARE d CURSOR FOR SELECT id FROM close_contacts;
SELECT is(run('FETCH 1 FROM d'), 1::bigint, 'one of the inner');
ROLLBACK TO a;
SELECT is(run('FETCH 500 FROM c'), 500::bigint, 'the outer one goes on');
ROLLBACK;
SELECT is(blocks(), :blocks::bigint, 'nothing is left');

-- The server changes while a cursor is open: the cursor keeps what it has, later statements do not.
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM close_leads;
SELECT is(run('FETCH 1 FROM c'), 1::bigint, 'a cursor');
ALTER SERVER close OPTIONS (SET connection 'gone');
SELECT is(run('FETCH 500 FROM c'), 500::bigint, 'goes on after ALTER SERVER');
SELECT throws_ok('SELECT close_me_get()', '55000', NULL, 'a new call takes the new settings');
ROLLBACK;
SELECT isnt(close_me_get() ->> 'id', NULL, 'and the old ones after ROLLBACK');
SELECT cmp_ok(blocks(), '<=', :blocks::bigint, 'nothing is left of either client');
SELECT * FROM finish();
