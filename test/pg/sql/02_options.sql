-- Options: each in its place, with advice for the rest.
SELECT no_plan();

SELECT throws_ok($$CREATE SERVER s FOREIGN DATA WRAPPER close OPTIONS (client_secret 'x')$$, 'HV00D',
                 'option "client_secret" does not belong to a foreign server', 'no secret on a server');
SELECT throws_ok($$CREATE SERVER s FOREIGN DATA WRAPPER close OPTIONS (identifier 'x')$$, 'HV00D',
                 NULL, 'no identifier on a server');
SELECT throws_ok($$ALTER USER MAPPING FOR CURRENT_USER SERVER close OPTIONS (ADD env_url 'https://x.y')$$,
                 'HV00D', 'option "env_url" does not belong to a user mapping', 'no URL on a mapping');
SELECT throws_like($$CREATE SERVER s FOREIGN DATA WRAPPER close OPTIONS (env_ur 'https://x.y')$$,
                   '%invalid option "env_ur"%', 'a misspelt option');
SELECT throws_ok($$CREATE SERVER s FOREIGN DATA WRAPPER close OPTIONS (env_url 'ftp://x.y')$$, 'HV024',
                 NULL, 'a URL that is none of ours');
SELECT throws_ok($$CREATE SERVER s FOREIGN DATA WRAPPER close OPTIONS (env_url 'http://example.com')$$,
                 'HV024', NULL, 'plain http only to loopback');
SELECT throws_ok($$CREATE SERVER s FOREIGN DATA WRAPPER close OPTIONS (concurrency '0')$$, 'HV024', NULL,
                 'a number out of range');
SELECT throws_ok($$CREATE SERVER s FOREIGN DATA WRAPPER close OPTIONS (readonly 'perhaps')$$, 'HV024',
                 NULL, 'no boolean');
SELECT throws_ok($$CREATE SERVER s FOREIGN DATA WRAPPER close OPTIONS (batch_size '1x')$$, 'HV024', NULL,
                 'no number');
SELECT throws_ok($$CREATE FOREIGN TABLE x (id text) SERVER close OPTIONS ("table" 'close_leeds')$$,
                 'HV00R', NULL, 'no table of Close');
SELECT throws_ok($$CREATE FOREIGN TABLE x (id text OPTIONS (field '')) SERVER close$$, 'HV024', NULL,
                 'no field');
SELECT throws_ok($$CREATE FOREIGN TABLE x (id text OPTIONS (key 'true')) SERVER close$$, 'HV00D', NULL,
                 'no option of a column');
SELECT throws_ok($$CREATE FOREIGN DATA WRAPPER w VALIDATOR close_fdw_validator OPTIONS (retries '1')$$,
                 'HV00D', NULL, 'no option of the wrapper');
SELECT lives_ok($$CREATE SERVER other FOREIGN DATA WRAPPER close
                  OPTIONS (env_url 'https://x.scalekit.dev', connection 'close-2', timeout_ms '1000',
                           readonly 'on', batch_size '7')$$, 'good options');

-- Settings of the session.
SELECT throws_ok($$SET close.retries = 'many'$$, '22023', NULL, 'a bad value for a setting');
SELECT throws_ok($$SET close.client_secret = 'x'$$, NULL, NULL, 'no secret as a setting');
SELECT throws_ok($$SET close.env_url = 'https://x.y'$$, NULL, NULL, 'no URL as a setting');
SELECT throws_ok($$SET close.readonly = 'off'$$, NULL, NULL, 'read-only is the server''s');
SET close.retries = 1;
SELECT is(close_config() -> 'retries' ->> 'value', '1', 'a setting is applied');
SELECT is(close_config() -> 'retries' ->> 'from', 'session', 'and says where it came from');
RESET ALL;
SELECT isnt(close_config() -> 'retries' ->> 'from', 'session', 'RESET ALL takes it back');
ALTER SERVER close OPTIONS (ADD max_rows '10');
SELECT is(close_config() -> 'max_rows' ->> 'value', '10', 'ALTER SERVER reaches a running session');
SET close.max_rows = 5;
SELECT is(close_config() -> 'max_rows' ->> 'value', '5', 'a session may tighten a limit');
SET close.max_rows = 50;
SELECT is(close_config() -> 'max_rows' ->> 'value', '10', 'but not widen it');
SET close.max_rows = 0;
SELECT is(close_config() -> 'max_rows' ->> 'value', '10', 'nor lift it');
RESET close.max_rows;
ALTER SERVER close OPTIONS (DROP max_rows);

-- Secrets.
SELECT is(close_config() -> 'client_secret' ->> 'value', '***', 'the secret is masked');
SELECT unalike(close_config()::text, '%demo-secret%', 'everywhere');

-- Definitions that do not fit.
CREATE FOREIGN TABLE odd (id text, colour text) SERVER close OPTIONS ("table" 'close_leads');
SELECT throws_ok($$SELECT * FROM odd$$, 'HV005', 'column "colour" of foreign table "odd" is no column of close_leads',
                 'a column that Close does not have');
CREATE FOREIGN TABLE close_unknown (id text) SERVER close;
SELECT throws_ok($$SELECT * FROM close_unknown$$, 'HV00R', 'there is no table "close_unknown" in Close', 'a table it does not have');
SELECT * FROM finish();
