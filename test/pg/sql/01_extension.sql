-- The extension itself: what it makes, who may use it, that it goes away whole.
CREATE EXTENSION pgtap;
CREATE SCHEMA crm;
SELECT no_plan();

SELECT lives_ok($$CREATE EXTENSION close SCHEMA crm$$, 'installs into any schema');
SELECT is(crm.close_version(), (SELECT extversion FROM pg_extension WHERE extname = 'close'),
          'library and script have one version');
SELECT is((SELECT count(*) FROM crm.close_tools), 103::bigint, 'all tools are listed');

CREATE TEMP VIEW members AS
    SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS object
      FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
     WHERE e.extname = 'close' AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass;

SELECT is_empty($$
    SELECT object FROM members
     WHERE classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_foreign_data_wrapper'::regclass)
       AND coalesce(obj_description(objid, classid::regclass::name), '') !~ '\.$'$$,
    'every object has a comment that is a sentence');
SELECT is_empty($$
    SELECT tool FROM crm.close_tools t
     WHERE NOT EXISTS (SELECT FROM pg_proc p JOIN members m ON m.objid = p.oid
                        WHERE p.proname = t.tool)$$,
    'every tool is a function of its own name');
SELECT is_empty($$
    SELECT t.tool FROM crm.close_tools t JOIN pg_proc p ON p.proname = t.tool
     WHERE has_function_privilege('pg_monitor', p.oid, 'EXECUTE') = t.writes$$,
    'PUBLIC may call exactly the tools that only read');
SELECT is_empty($$
    SELECT p.proname FROM pg_proc p JOIN members m ON m.objid = p.oid
     WHERE p.proname IN ('close_execute', 'close_request', 'close_account', 'close_authorization_link')
       AND has_function_privilege('pg_monitor', p.oid, 'EXECUTE')$$,
    'PUBLIC may not make general calls');
SELECT is_empty($$
    SELECT p.proname FROM pg_proc p JOIN crm.close_tools t ON t.tool = p.proname
     WHERE p.provolatile <> 'v' OR p.proparallel <> 'u' OR p.procost < 100 OR p.proisstrict$$,
    'tool functions are volatile, parallel unsafe, costly and not strict');
SELECT set_eq($$SELECT DISTINCT kind FROM crm.close_tools$$,
              ARRAY['list', 'get', 'create', 'update', 'delete', 'action'], 'kinds');
SELECT ok(bool_and(destructive), 'deletes are destructive') FROM crm.close_tools WHERE kind = 'delete';
SELECT ok(bool_and(writes), 'what destroys writes') FROM crm.close_tools WHERE destructive;

-- Without a server the first call says so; nothing else fails.
SELECT throws_ok($$SELECT crm.close_me_get()$$, '55000', 'there is no foreign server "close"',
                 'a call without a server');

SELECT lives_ok($$DROP EXTENSION close$$, 'drops');
SELECT is_empty($$SELECT proname FROM pg_proc WHERE pronamespace = 'crm'::regnamespace
                  UNION ALL
                  SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace
                  UNION ALL
                  SELECT fdwname FROM pg_foreign_data_wrapper$$, 'and leaves nothing');
SELECT lives_ok($$CREATE EXTENSION close$$, 'installs again in the same session');
SELECT * FROM finish();
