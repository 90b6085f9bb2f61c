-- The connector's enrichment workflow as one PL/pgSQL function, and a note from a row trigger.
SELECT no_plan();

-- Finds or makes a lead, a contact, an opportunity on an active status of the first pipeline, a note, a
-- task for tomorrow, and enrols the contact in a sequence. A second run of the same finds them all.
CREATE FUNCTION enrich(company text, person text, email text, note text, cents bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    lead text;
    contact text;
    stage text;
    opportunity text;
    sequence text;
    enrolled text;
BEGIN
    SELECT id INTO lead FROM close_leads WHERE query = format('name:"%s"', company) AND name = company LIMIT 1;
    IF lead IS NULL THEN
        INSERT INTO close_leads (name) VALUES (company) RETURNING id INTO lead;
    END IF;
    SELECT id INTO contact FROM close_contacts WHERE lead_id = lead AND emails @> jsonb_build_array(jsonb_build_object('email', email));
    IF contact IS NULL THEN
        INSERT INTO close_contacts (lead_id, name, emails)
        VALUES (lead, person, jsonb_build_array(jsonb_build_object('email', email, 'type', 'office'))) RETURNING id INTO contact;
    END IF;
    SELECT s.id INTO stage FROM close_opportunity_statuses s
     WHERE s.type = 'active' AND s.pipeline_id = (SELECT id FROM close_pipelines LIMIT 1) LIMIT 1;
    SELECT id INTO opportunity FROM close_opportunities WHERE lead_id = lead AND status_type = 'active' LIMIT 1;
    IF opportunity IS NULL THEN
        opportunity := close_opportunity_create(lead, stage, value => cents, value_period => 'one_time') ->> 'id';
    END IF;
    PERFORM close_note_create(lead, note);
    PERFORM close_task_create(lead, text => 'Call ' || person, date => (current_date + 1)::text);
    SELECT id INTO sequence FROM close_sequences WHERE status = 'active' LIMIT 1;
    SELECT id INTO enrolled FROM close_sequence_subscriptions WHERE contact_id = contact AND sequence_id = sequence LIMIT 1;
    IF enrolled IS NULL THEN
        enrolled := close_sequence_subscription_create(contact, sequence, 'emailacct_example') ->> 'id';
    END IF;
    RETURN jsonb_build_object('lead', lead, 'contact', contact, 'opportunity', opportunity, 'subscription', enrolled);
END $$;

CREATE TABLE done AS SELECT 1 AS run, enrich('Nordwind Test KG', 'Ada Example', 'ada@nordwind.example', 'First call went well', 250000) AS made;
SELECT is((SELECT count(*) FROM jsonb_each_text(made) WHERE value IS NOT NULL), 4::bigint, 'all four objects') FROM done;
SELECT is(close_lead_get(made ->> 'lead') ->> 'name', 'Nordwind Test KG', 'lead') FROM done;
SELECT is(close_opportunity_get(made ->> 'opportunity') ->> 'value', '250000', 'opportunity') FROM done;
SELECT is((SELECT count(*) FROM close_notes WHERE lead_id = made ->> 'lead'), 1::bigint, 'note') FROM done;
SELECT is((SELECT date::text FROM close_tasks WHERE lead_id = made ->> 'lead' AND NOT is_complete), (current_date + 1)::text, 'task for tomorrow') FROM done;
INSERT INTO done SELECT 2, enrich('Nordwind Test KG', 'Ada Example', 'ada@nordwind.example', 'Second call', 250000);
SELECT is((SELECT made FROM done WHERE run = 2), (SELECT made FROM done WHERE run = 1), 'a second run finds what is there');
\set leads `$CTL count leads name 'Nordwind Test KG'`
SELECT is(:leads, 1, 'and makes no second lead');

-- A note from a row trigger; its failure fails the statement.
CREATE TABLE visits (id bigint GENERATED ALWAYS AS IDENTITY, lead_id text, remark text);
CREATE FUNCTION note_visit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM close_note_create(NEW.lead_id, NEW.remark);
    RETURN NEW;
END $$;
CREATE TRIGGER note_visit AFTER INSERT ON visits FOR EACH ROW EXECUTE FUNCTION note_visit();
INSERT INTO visits (lead_id, remark) SELECT made ->> 'lead', 'visited ' || n FROM done, generate_series(1, 3) n WHERE run = 1;
SELECT is((SELECT count(*) FROM close_notes WHERE lead_id = made ->> 'lead' AND note LIKE 'visited %'), 3::bigint, 'notes from a trigger') FROM done WHERE run = 1;
SELECT throws_ok($$INSERT INTO visits (lead_id, remark) VALUES ('lead_none', 'x')$$, NULL, NULL, 'a failing call fails the statement');
SELECT is((SELECT count(*) FROM visits), 3::bigint, 'whose row is not there');
SELECT * FROM finish();
