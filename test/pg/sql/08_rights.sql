-- Who sees whose data, and who sees nothing.
\set mine `$CTL ids leads 1`
SELECT no_plan();
CREATE ROLE alice;
CREATE ROLE bob;
CREATE ROLE carol;
GRANT USAGE ON FOREIGN SERVER close TO alice, bob;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO alice, bob, carol;
CREATE USER MAPPING FOR alice SERVER close
    OPTIONS (client_id :'client_id', client_secret :'client_secret', identifier :'second');

-- The first column of the first row as `role` sees it, or the SQLSTATE of the error.
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

-- Two mappings, two accounts, one backend.
SELECT is(seen_by('alice', $$SELECT close_account() ->> 'identifier'$$), '42501', 'general calls need a grant');
GRANT EXECUTE ON FUNCTION close_account TO alice;
SELECT is(seen_by('alice', $$SELECT close_account() ->> 'identifier'$$), :'second', 'a role''s own account');
SELECT is((SELECT close_account() ->> 'identifier'), :'identifier', 'the owner''s own');
SELECT isnt(seen_by('alice', $$SELECT close_me_get() ->> 'id'$$), (SELECT close_me_get() ->> 'id'), 'functions see two accounts');
SELECT isnt(seen_by('alice', 'SELECT id FROM close_me'), (SELECT id FROM close_me), 'tables too');
SELECT is(seen_by('alice', format('SELECT count(id) FROM close_leads WHERE id = %L', :'mine')), '0', 'not the lead of another account');
SELECT is((SELECT count(id) FROM close_leads WHERE id = :'mine'), 1::bigint, 'which is there');

-- Without a mapping, without USAGE, without EXECUTE.
SELECT is(seen_by('bob', 'SELECT close_me_get()'), '55000', 'no mapping: a function');
SELECT is(seen_by('bob', 'SELECT id FROM close_me'), '55000', 'no mapping: a table');
SELECT is(seen_by('carol', 'SELECT close_me_get()'), '42501', 'no USAGE on the server');
SELECT is(seen_by('carol', 'SELECT close_config()'), '42501', 'not even for the settings');
SELECT is(seen_by('alice', $$SELECT close_note_create('lead_x', 'y')$$), '42501', 'no EXECUTE on a writer');
GRANT EXECUTE ON FUNCTION close_note_create TO alice;
SELECT is(seen_by('alice', $$SELECT close_note_delete('acti_x')$$), '42501', 'one grant is for one tool');
SELECT isnt(seen_by('alice', $$SELECT close_note_create((SELECT id FROM close_leads LIMIT 1), 'by alice') ->> 'id'$$), '42501', 'which it opens');
SELECT is(seen_by('bob', 'SELECT close_version()'), (SELECT close_version()), 'the version is for all');
SELECT is(seen_by('bob', 'SELECT count(*) FROM close_tools'), '103', 'and the catalogue');

-- Views and security-definer functions act with the rights of their owner; plain functions do not.
CREATE VIEW my_account AS SELECT id FROM close_me;
GRANT SELECT ON my_account TO alice, bob, carol;
SELECT is(seen_by('alice', 'SELECT id FROM my_account'), (SELECT id FROM close_me), 'a view reads as its owner');
SELECT is(seen_by('bob', 'SELECT id FROM my_account'), (SELECT id FROM close_me), 'also for roles without a mapping');
CREATE FUNCTION my_id() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$SELECT close_me_get() ->> 'id'$$;
SELECT is(seen_by('carol', 'SELECT my_id()'), (SELECT id FROM close_me), 'so does a security-definer function');
CREATE FUNCTION their_id() RETURNS text LANGUAGE sql AS $$SELECT close_me_get() ->> 'id'$$;
SELECT isnt(seen_by('alice', 'SELECT their_id()'), (SELECT id FROM close_me), 'an invoker''s does not');
SELECT is(seen_by('carol', 'SELECT their_id()'), '42501', 'and needs the invoker''s rights');

-- A mapping for everybody.
CREATE USER MAPPING FOR PUBLIC SERVER close
    OPTIONS (client_id :'client_id', client_secret :'client_secret', identifier :'second');
SELECT is(seen_by('bob', 'SELECT id FROM close_me'), seen_by('alice', 'SELECT id FROM close_me'), 'PUBLIC has one');
CREATE USER MAPPING FOR bob SERVER close
    OPTIONS (client_id :'client_id', client_secret :'client_secret', identifier :'identifier');
SELECT is(seen_by('bob', 'SELECT id FROM close_me'), (SELECT id FROM close_me), 'a role''s own comes first, at once');
ALTER USER MAPPING FOR bob SERVER close OPTIONS (SET identifier :'second');
SELECT is(seen_by('bob', 'SELECT id FROM close_me'), seen_by('alice', 'SELECT id FROM close_me'), 'a changed one counts at once');
DROP USER MAPPING FOR bob SERVER close;
DROP USER MAPPING FOR PUBLIC SERVER close;
SELECT is(seen_by('bob', 'SELECT id FROM close_me'), '55000', 'a dropped one is gone');

-- What a role can set does not redirect anything.
SELECT is(seen_by('alice', $$SELECT set_config('close.server', 'other', true)$$), 'other', 'a role may name another server');
CREATE SERVER other FOREIGN DATA WRAPPER close OPTIONS (env_url 'https://other.scalekit.dev');
SET close.server = 'other';
SELECT is(seen_by('alice', 'SELECT close_me_get()'), '42501', 'whose USAGE it needs');
SET close.server = 'nowhere';
SELECT throws_ok('SELECT close_me_get()', '55000', 'there is no foreign server "nowhere"', 'a server that is not there');
CREATE FOREIGN DATA WRAPPER strange;
CREATE SERVER foreigner FOREIGN DATA WRAPPER strange;
SET close.server = 'foreigner';
SELECT throws_ok('SELECT close_me_get()', '55000', NULL, 'a server of another kind');
RESET close.server;

-- Options of a mapping are nobody else's.
SELECT is(seen_by('alice', $$SELECT string_agg(umoptions::text, '') FROM pg_user_mappings WHERE usename <> 'alice' AND umoptions IS NOT NULL$$), NULL, 'pg_user_mappings hides them');
SELECT is(seen_by('alice', $$SELECT count(*) FROM pg_user_mapping$$), '42501', 'pg_user_mapping is closed');
SELECT is(seen_by('bob', $$SELECT count(option_value) FROM information_schema.user_mapping_options WHERE option_name = 'client_secret'$$), '0', 'the information schema hides them');
SELECT unalike(seen_by('alice', 'SELECT close_config()::text'), '%' || :'client_secret' || '%', 'close_config() too');
SELECT * FROM finish();
DROP OWNED BY alice, bob, carol;
DROP ROLE alice, bob, carol;
