-- INSERT, UPDATE, DELETE.
\set lead `$CTL ids leads 1`
SELECT no_plan();

CREATE TABLE made (id text, name text, display_name text, status_label text);
WITH i AS (INSERT INTO close_leads (name) VALUES ('Fresh Ltd') RETURNING id, name, display_name, status_label)
INSERT INTO made SELECT * FROM i;
SELECT alike(id, 'lead_%', 'RETURNING gives the id of the service') FROM made;
SELECT isnt(status_label, NULL, 'and its defaults') FROM made;
SELECT is(close_last_id(), id, 'close_last_id') FROM made;
SELECT id AS fresh FROM made \gset

\! $CTL clear
SELECT is(run(format($$UPDATE close_leads SET description = 'new', url = NULL WHERE id = %L$$, :'fresh')), 1::bigint, 'UPDATE');
\set log `$CTL log`
SELECT alike(:'log'::text, '%close_lead_update {"description": "new", "lead_id": "' || :'fresh' || '", "url": null}%', 'sends the changed columns only');
\set value `$CTL value leads $(psql -AtX -c "SELECT id FROM made") description`
SELECT is(:'value'::text, 'new', 'and they are there');
SELECT results_eq(format($$UPDATE close_leads SET name = 'Fresher' WHERE id = %L RETURNING id, name, description$$, :'fresh'),
                  format($$VALUES (%L, 'Fresher', 'new')$$, :'fresh'), 'UPDATE ... RETURNING');
SELECT is(run($$UPDATE close_leads SET name = 'x' WHERE id = 'lead_none'$$), 0::bigint, 'no such row');
SELECT results_eq(format('DELETE FROM close_leads WHERE id = %L RETURNING name', :'fresh'), $$VALUES ('Fresher'::text)$$, 'DELETE ... RETURNING');
SELECT is(run(format('DELETE FROM close_leads WHERE id = %L', 'lead_none')), 0::bigint, 'deleting nothing');

-- Refused before anything is sent, by name.
\! $CTL clear
SELECT throws_like(format($$INSERT INTO close_leads (id, name) VALUES ('x', 'y')$$), '%id%', 'the id can not be set');
SELECT throws_ok($$INSERT INTO close_leads (name, date_created) VALUES ('y', now())$$, '22023', NULL, 'a read-only column');
SELECT throws_like($$INSERT INTO close_notes (note) VALUES ('y')$$, '%lead_id%', 'a required column');
SELECT throws_ok($$INSERT INTO close_users (first_name) VALUES ('y')$$, '55000', NULL, 'a table without a create tool');
SELECT throws_ok($$INSERT INTO close_leads (name) VALUES ('y') ON CONFLICT DO NOTHING$$, '0A000', NULL, 'ON CONFLICT');
SELECT throws_ok($$TRUNCATE close_leads$$, NULL, NULL, 'TRUNCATE');
\set calls `$CTL calls`
SELECT is(:calls, 0, 'nothing was sent');
SELECT throws_ok(format($$UPDATE close_leads SET date_created = now() WHERE id = %L$$, :'lead'), '22023', NULL, 'updating a read-only column');
SELECT throws_ok(format($$UPDATE close_leads SET id = 'x' WHERE id = %L$$, :'lead'), '22023', NULL, 'or the id');

-- Batches.
\! $CTL clear
SELECT is(run(format($$INSERT INTO close_notes (lead_id, note) SELECT %L, 'batch ' || n FROM generate_series(1, 30) n$$, :'lead')), 30::bigint, 'thirty rows');
\set calls `$CTL calls close_note_create`
SELECT is(:calls, 30, 'thirty creates');
SELECT is((SELECT count(*) FROM close_notes WHERE lead_id = :'lead' AND note LIKE 'batch %'), 30::bigint, 'all there');
\! $CTL clear
SELECT throws_ok(format($$INSERT INTO close_notes (lead_id, note, date_created)
    SELECT %L, 'half', CASE WHEN n = 9 THEN now() END FROM generate_series(1, 10) n$$, :'lead'), '22023', NULL, 'a row that can not be sent');
\set calls `$CTL calls`
-- Servers before 14 hand over row by row.
SELECT is(:calls, CASE WHEN current_setting('server_version_num')::int < 140000 THEN 8 ELSE 0 END, 'stops its batch before it starts');
\! $CTL fault '{"tool": "close_note_create", "skip": 3, "kind": "status", "status": 400, "shape": "close-error", "message": "no more notes"}'
SELECT throws_ok(format($$INSERT INTO close_notes (lead_id, note) SELECT %L, 'part ' || n FROM generate_series(1, 20) n$$, :'lead'), '22023', NULL, 'one row of a batch is refused');
DO $$
DECLARE
    said text;
BEGIN
    PERFORM close_execute('close_me_get');
    INSERT INTO close_notes (lead_id, note) VALUES ((SELECT id FROM close_leads LIMIT 1), NULL);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT;
END $$;
SELECT cmp_ok((SELECT count(*) FROM close_notes WHERE lead_id = :'lead' AND note LIKE 'part %'), '<', 20::bigint, 'the rest was not sent');
SELECT cmp_ok((SELECT count(*) FROM close_notes WHERE lead_id = :'lead' AND note LIKE 'part %'), '>=', 3::bigint, 'what was, stays');

\! $CTL fault '{"tool": "close_note_create", "skip": 2, "kind": "status", "status": 400, "shape": "close-error", "message": "no more notes"}'
CREATE FUNCTION detail_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    EXECUTE query;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
    RETURN said;
END $$;
SET close.concurrency = 1;
SELECT matches(detail_of(format($$INSERT INTO close_notes (lead_id, note) SELECT %L, 'told ' || n FROM generate_series(1, 5) n$$, :'lead')),
               'already created and that stay: 2 \(acti_\w+, acti_\w+\)', 'the error says which rows were created');
RESET close.concurrency;

-- Local triggers and defaults on a foreign table.
CREATE FUNCTION upper_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.note := upper(NEW.note);
    RETURN NEW;
END $$;
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON close_notes FOR EACH ROW EXECUTE FUNCTION upper_note();
CREATE TABLE seen (id text, note text);
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen VALUES (NEW.id, NEW.note);
    RETURN NULL;
END $$;
CREATE TRIGGER remember AFTER INSERT ON close_notes FOR EACH ROW EXECUTE FUNCTION remember();
SELECT is(run(format($$INSERT INTO close_notes (lead_id, note) VALUES (%L, 'quiet'), (%1$L, 'calm')$$, :'lead')), 2::bigint, 'with row triggers');
SELECT set_eq('SELECT note FROM seen WHERE id LIKE ''acti_%''', ARRAY['QUIET', 'CALM'], 'which see what the service answered');
SELECT id AS note FROM seen WHERE note = 'CALM' \gset
\! $CTL clear
SELECT is(run(format($$UPDATE close_notes SET note = 'loud' WHERE id = %L$$, :'note')), 1::bigint, 'UPDATE with a BEFORE trigger');
SELECT is((SELECT note FROM close_notes WHERE id = :'note'), 'LOUD', 'sends what the trigger made');

-- DELETE with row triggers and RETURNING.
CREATE FUNCTION remember_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen VALUES (OLD.id, 'gone: ' || OLD.note);
    RETURN OLD;
END $$;
CREATE TRIGGER remember_old AFTER DELETE ON close_notes FOR EACH ROW EXECUTE FUNCTION remember_old();
SELECT results_eq(format('DELETE FROM close_notes WHERE id = %L RETURNING note', :'note'), $$VALUES ('LOUD'::text)$$, 'DELETE ... RETURNING with a trigger');
SELECT is((SELECT note FROM seen WHERE id = :'note' AND note LIKE 'gone%'), 'gone: LOUD', 'which saw the old row');
DROP TRIGGER shout ON close_notes;
DROP TRIGGER remember ON close_notes;
DROP TRIGGER remember_old ON close_notes;

-- Views with a check see what the service made of the row.
CREATE VIEW acme_leads AS SELECT id, name, description FROM close_leads WHERE description = 'checked' WITH CHECK OPTION;
SELECT is(run($$INSERT INTO acme_leads (name, description) VALUES ('Inside Ltd', 'checked')$$), 1::bigint, 'WITH CHECK OPTION');
SELECT throws_ok($$INSERT INTO acme_leads (name, description) VALUES ('Outside Ltd', 'other')$$, '44000', NULL, 'is checked');

-- Inherited tables: one statement for local and foreign rows.
CREATE TABLE remarks (id text, note text);
INSERT INTO remarks VALUES ('local', 'batch 1');
CREATE FOREIGN TABLE remarks_close () INHERITS (remarks) SERVER close OPTIONS ("table" 'close_notes');
SELECT is(run($$UPDATE remarks SET note = 'batch one' WHERE note = 'batch 1'$$), 2::bigint, 'UPDATE of a parent');
SELECT set_eq($$WITH d AS (DELETE FROM remarks WHERE note = 'batch one' RETURNING note, id) SELECT note, id = 'local' FROM d$$,
              $$VALUES ('batch one', true), ('batch one', false)$$, 'DELETE ... RETURNING of a parent');

-- COPY FROM and routing of rows.
SELECT is(run(format('COPY close_notes (lead_id, note) FROM PROGRAM %L', format('printf "%s\tby copy\n%1$s\tby copy\n"', :'lead'))), 2::bigint, 'COPY FROM');
SELECT is((SELECT count(*) FROM close_notes WHERE lead_id = :'lead' AND note = 'by copy'), 2::bigint, 'creates rows');
CREATE TEMP TABLE source AS SELECT :'lead'::text AS lead_id, 'copied ' || n AS note FROM generate_series(1, 5) n;
CREATE TABLE notes_all (lead_id text, note text) PARTITION BY LIST (lead_id);
CREATE FOREIGN TABLE notes_rest PARTITION OF notes_all DEFAULT SERVER close OPTIONS ("table" 'close_notes');
CREATE TABLE notes_local PARTITION OF notes_all FOR VALUES IN ('here');
INSERT INTO notes_all VALUES ('here', 'moves');
SELECT is(run('INSERT INTO notes_all SELECT * FROM source'), 5::bigint, 'rows routed to a partition');
SELECT throws_ok(format($$UPDATE notes_all SET lead_id = %L WHERE note IN ('moves', 'copied 1')$$, :'lead'), NULL, NULL, 'a row is not moved into a partition that is updated too');
SELECT is((SELECT count(*) FROM close_notes WHERE lead_id = :'lead' AND note LIKE 'copied %'), 5::bigint, 'arrive');

-- Updates of several rows, joins.
CREATE TABLE renames AS SELECT id, 'Renamed ' || row_number() OVER () AS name FROM close_leads WHERE query = 'Acme' LIMIT 3;
SELECT is(run('UPDATE close_leads l SET name = r.name FROM renames r WHERE r.id = l.id'), 3::bigint, 'UPDATE ... FROM');
SELECT is((SELECT count(*) FROM close_leads l JOIN renames r USING (id, name)), 3::bigint, 'took effect');
SELECT * FROM finish();
