-- What a user does once, as README's first minute shows it.
CREATE EXTENSION pgtap;
CREATE EXTENSION close;
CREATE SERVER close FOREIGN DATA WRAPPER close
    OPTIONS (env_url :'url', connection :'connection', retry_budget_ms '2000');
CREATE USER MAPPING FOR CURRENT_USER SERVER close
    OPTIONS (client_id :'client_id', client_secret :'client_secret', identifier :'identifier');
IMPORT FOREIGN SCHEMA close FROM SERVER close INTO public;

-- Runs a query to its end and gives the number of rows.
CREATE FUNCTION run(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE query;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- The plan of a query as one text.
CREATE FUNCTION plan_of(query text, options text DEFAULT 'costs off') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    lines text := '';
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
        lines := lines || line || E'\n';
    END LOOP;
    RETURN lines;
END $$;
