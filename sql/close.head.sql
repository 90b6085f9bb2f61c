-- The foreign data wrapper, and the functions and views that are no tools.
--
-- A released script is never edited: what changes after a release goes into close--OLD--NEW.sql beside
-- this file, also when it is empty, and an object that leaves SQL keeps its C entry point as one that
-- raises "ALTER EXTENSION close UPDATE". Install and upgrade must end in the same catalogue.

CREATE FUNCTION close_fdw_handler()
RETURNS fdw_handler
LANGUAGE C STRICT
AS 'MODULE_PATHNAME', 'clo_pg_handler';
COMMENT ON FUNCTION close_fdw_handler() IS
    'Routines of the foreign data wrapper.';

CREATE FUNCTION close_fdw_validator(text[], oid)
RETURNS void
LANGUAGE C STRICT
AS 'MODULE_PATHNAME', 'clo_pg_validator';
COMMENT ON FUNCTION close_fdw_validator(text[], oid) IS
    'Checks options of servers, user mappings, tables and columns.';

CREATE FOREIGN DATA WRAPPER close
    HANDLER close_fdw_handler
    VALIDATOR close_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER close IS
    'Lists of the Close CRM as tables.';

-- General calls. They reach every object of the account, so nobody has them by default.

CREATE FUNCTION close_execute(
    tool text,
    params jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000
AS 'MODULE_PATHNAME', 'clo_pg_execute';
REVOKE ALL ON FUNCTION close_execute(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION close_execute(text, jsonb) IS
    'Calls any tool by name, also one that is newer than this extension, with one object of arguments.';

CREATE FUNCTION close_request(
    method text,
    path text,
    query jsonb DEFAULT NULL,
    body jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000
AS 'MODULE_PATHNAME', 'clo_pg_request';
REVOKE ALL ON FUNCTION close_request(text, text, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION close_request(text, text, jsonb, jsonb) IS
    'Sends a request to the REST interface of Close through the proxy: close_request(''GET'', ''/api/v1/me/'').';

CREATE FUNCTION close_authorization_link(
    identifier text DEFAULT NULL)
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000
AS 'MODULE_PATHNAME', 'clo_pg_authorization_link';
REVOKE ALL ON FUNCTION close_authorization_link(text) FROM PUBLIC;
COMMENT ON FUNCTION close_authorization_link(text) IS
    'Makes a link by which a person connects a Close account; without an argument for the identifier of the user mapping.';

CREATE FUNCTION close_account(
    identifier text DEFAULT NULL)
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000
AS 'MODULE_PATHNAME', 'clo_pg_account';
REVOKE ALL ON FUNCTION close_account(text) FROM PUBLIC;
COMMENT ON FUNCTION close_account(text) IS
    'Status, expiry and provider of a connected account, never its credentials.';

-- State.

CREATE FUNCTION close_version()
RETURNS text
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'clo_pg_version';
COMMENT ON FUNCTION close_version() IS
    'Version of the library.';

CREATE FUNCTION close_config()
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clo_pg_config';
COMMENT ON FUNCTION close_config() IS
    'Effective settings of the current user and where each came from; secrets show as ***.';

CREATE FUNCTION close_last_id()
RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clo_pg_last_id';
COMMENT ON FUNCTION close_last_id() IS
    'Id of the object that was last created in this session through the current user''s mapping.';

CREATE FUNCTION close_tools(
    OUT tool text,
    OUT signature text,
    OUT kind text,
    OUT "table" text,
    OUT writes boolean,
    OUT destructive boolean,
    OUT summary text)
RETURNS SETOF record
LANGUAGE C STABLE ROWS 103
AS 'MODULE_PATHNAME', 'clo_pg_tools';
COMMENT ON FUNCTION close_tools() IS
    'The catalogue of tools.';
CREATE VIEW close_tools AS
    SELECT * FROM close_tools();
GRANT SELECT ON close_tools TO PUBLIC;
COMMENT ON VIEW close_tools IS
    'The catalogue of tools: signature, kind, table it belongs to, whether it writes or destroys.';

CREATE FUNCTION close_requests(
    OUT at timestamptz,
    OUT tool text,
    OUT params text,
    OUT status integer,
    OUT error text,
    OUT attempts integer,
    OUT bytes_out bigint,
    OUT bytes_in bigint,
    OUT ms bigint,
    OUT execution_id text)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100
AS 'MODULE_PATHNAME', 'clo_pg_requests';
COMMENT ON FUNCTION close_requests() IS
    'The last calls of this session through the current user''s mapping, oldest first.';
CREATE VIEW close_requests AS
    SELECT * FROM close_requests();
GRANT SELECT ON close_requests TO PUBLIC;
COMMENT ON VIEW close_requests IS
    'The last calls of this session: tool, parameter names, status, attempts, bytes, milliseconds, execution id.';

CREATE FUNCTION close_stats(
    OUT name text,
    OUT value bigint)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 20
AS 'MODULE_PATHNAME', 'clo_pg_stats';
COMMENT ON FUNCTION close_stats() IS
    'Counters of this session''s calls through the current user''s mapping.';
CREATE VIEW close_stats AS
    SELECT * FROM close_stats();
GRANT SELECT ON close_stats TO PUBLIC;
COMMENT ON VIEW close_stats IS
    'Counters of this session: requests, retries, errors, bytes, rows.';
