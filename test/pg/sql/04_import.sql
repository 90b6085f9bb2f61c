-- IMPORT FOREIGN SCHEMA.
SELECT no_plan();
CREATE SCHEMA two;
CREATE SCHEMA rest;
CREATE SCHEMA fields;
CREATE SCHEMA raw;

SELECT is(count(*), 27::bigint, 'all tables') FROM information_schema.foreign_tables WHERE foreign_table_schema = 'public';
\! $CTL clear
SELECT lives_ok($$IMPORT FOREIGN SCHEMA close LIMIT TO (close_leads, close_users) FROM SERVER close INTO two$$, 'LIMIT TO');
SELECT is(count(*), 2::bigint, 'two') FROM information_schema.foreign_tables WHERE foreign_table_schema = 'two';
SELECT lives_ok($$IMPORT FOREIGN SCHEMA close EXCEPT (close_leads, close_users) FROM SERVER close INTO rest$$, 'EXCEPT');
SELECT is(count(*), 25::bigint, 'the others') FROM information_schema.foreign_tables WHERE foreign_table_schema = 'rest';
\set calls `$CTL calls`
SELECT is(:calls, 0, 'the catalogue is local');
SELECT throws_ok($$IMPORT FOREIGN SCHEMA close LIMIT TO (close_leeds) FROM SERVER close INTO two$$, 'HV00R', NULL, 'an unknown table');
SELECT throws_ok($$IMPORT FOREIGN SCHEMA public FROM SERVER close INTO two$$, 'HV00Q', NULL, 'an unknown schema');
SELECT throws_ok($$IMPORT FOREIGN SCHEMA close FROM SERVER close INTO raw OPTIONS (rows 'true')$$, 'HV00D', NULL, 'an unknown option');

SELECT hasnt_column('public', 'close_leads', '_raw', 'the raw object is not there by default');
SELECT hasnt_column('public', 'close_webhooks', 'signature_key', 'nor is a secret');
SELECT lives_ok($$IMPORT FOREIGN SCHEMA close LIMIT TO (close_leads, close_webhooks) FROM SERVER close INTO raw OPTIONS (raw 'true')$$, 'raw');
SELECT is((SELECT _raw ->> 'id' FROM raw.close_leads LIMIT 1), (SELECT id FROM raw.close_leads LIMIT 1), 'the whole object');
SELECT has_column('raw', 'close_webhooks', 'signature_key', 'signature_key');

SELECT lives_ok($$IMPORT FOREIGN SCHEMA close LIMIT TO (close_leads, close_contacts, close_opportunities, close_users)
                  FROM SERVER close INTO fields OPTIONS (custom_fields 'true')$$, 'custom fields');
SELECT cmp_ok((SELECT count(*) FROM information_schema.column_options
                WHERE table_schema = 'fields' AND table_name = 'close_leads' AND option_name = 'field'
                  AND option_value LIKE 'custom.%'), '>', 3::bigint, 'become columns');
-- Each column holds what the custom object says, for every lead.
SELECT is_empty(format($$
    SELECT l.id FROM fields.close_leads l
     WHERE (l.custom -> %L) IS DISTINCT FROM to_jsonb(l.%I)
       AND jsonb_typeof(l.custom -> %1$L) = 'string'$$,
    substr(option_value, 8), column_name), column_name || ' holds the field')
  FROM information_schema.column_options o JOIN information_schema.columns c USING (table_schema, table_name, column_name)
 WHERE table_schema = 'fields' AND table_name = 'close_leads' AND option_name = 'field' AND data_type = 'text'
   AND option_value LIKE 'custom.%';

-- A table by hand: renamed columns, other types, a custom field.
SELECT option_value AS field FROM information_schema.column_options
 WHERE table_schema = 'fields' AND table_name = 'close_leads' AND option_name = 'field' LIMIT 1 \gset
CREATE FOREIGN TABLE mine (
    lead text OPTIONS (field 'id'),
    title varchar(500) OPTIONS (field 'name'),
    made timestamp OPTIONS (field 'date_created'),
    extra text OPTIONS (field :'field')
) SERVER close OPTIONS ("table" 'close_leads');
SELECT results_eq($$SELECT lead, title::text, made FROM mine ORDER BY lead COLLATE "C" LIMIT 20$$,
                  $$SELECT id, name, date_created AT TIME ZONE 'UTC' FROM close_leads ORDER BY id COLLATE "C" LIMIT 20$$, 'own names and types');
CREATE FOREIGN TABLE money (id text, value numeric(12, 2), confidence integer) SERVER close OPTIONS ("table" 'close_opportunities');
SELECT is((SELECT sum(value)::bigint FROM money), (SELECT sum(value)::bigint FROM close_opportunities), 'numeric and integer');
CREATE FOREIGN TABLE narrow (id varchar(5)) SERVER close OPTIONS ("table" 'close_leads');
SELECT throws_ok($$SELECT * FROM narrow$$, '22001', NULL, 'a value that does not fit is an error');
SELECT * FROM finish();
