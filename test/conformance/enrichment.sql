-- The connector's enrichment workflow as one SQL script, for the sqlite3 shell:
--
--   sqlite3 -cmd '.load build/sqlite/close' < test/conformance/enrichment.sql
--
-- For every row of `incoming` (made below; in real life the output of a form or an import): find the
-- lead by name or create it, find or create the contact by its e-mail address, open an opportunity on
-- the first active status of the first pipeline unless one is open, write a note, make a task for
-- tomorrow, and enrol the contact in the first active sequence unless it is enrolled already.
--
-- Every step writes only what is missing, so that running the script again does no harm. Remote writes
-- are immediate: a ROLLBACK would not take them back, which is why there is no transaction here.

CREATE TEMP TABLE IF NOT EXISTS incoming (
    company TEXT NOT NULL,
    url TEXT,
    person TEXT NOT NULL,
    email TEXT NOT NULL,
    value INTEGER NOT NULL,        -- cents
    remark TEXT NOT NULL
);

-- Where the ids of this run are kept.
CREATE TEMP TABLE work (
    company TEXT PRIMARY KEY,
    person TEXT, email TEXT, url TEXT, value INTEGER, remark TEXT,
    lead_id TEXT, contact_id TEXT, opportunity_id TEXT
);
INSERT INTO work (company, url, person, email, value, remark)
    SELECT company, url, person, email, value, remark FROM incoming WHERE true;

-- What is the same for all rows: the first pipeline's first active status, the sequence, and the
-- e-mail account that its messages come from.
CREATE TEMP TABLE plan AS
    SELECT (SELECT s.value ->> 'id'
              FROM (SELECT statuses FROM close_pipelines LIMIT 1) p, json_each(p.statuses) s
             WHERE s.value ->> 'type' = 'active' LIMIT 1) AS status_id,
           (SELECT id FROM close_sequences WHERE status = 'active' LIMIT 1) AS sequence_id,
           (SELECT a.value ->> 'id' FROM close_me m, json_each(m.email_accounts) a LIMIT 1) AS sender_id;

-- 1. The lead: search by name, compare exactly, create what is not there.
UPDATE work SET lead_id =
    (SELECT l.id FROM close_leads l WHERE l.query = 'name:"' || work.company || '"' AND l.name = work.company LIMIT 1);
UPDATE work SET lead_id = close_lead_create(company, NULL, url) ->> 'id' WHERE lead_id IS NULL;

-- 2. The contact: by e-mail address among the contacts of the lead.
UPDATE work SET contact_id =
    (SELECT c.id FROM close_contacts c, json_each(c.emails) e
      WHERE c.lead_id = work.lead_id AND e.value ->> 'email' = work.email LIMIT 1);
UPDATE work SET contact_id =
    close_contact_create(lead_id, person, NULL,
                         json_array(json_object('email', email, 'type', 'office'))) ->> 'id'
 WHERE contact_id IS NULL;

-- 3. The opportunity: one open one per lead.
UPDATE work SET opportunity_id =
    (SELECT o.id FROM close_opportunities o
      WHERE o.lead_id = work.lead_id AND o.status_type = 'active' LIMIT 1);
UPDATE work SET opportunity_id =
    close_opportunity_create(json_object('lead_id', lead_id, 'status_id', (SELECT status_id FROM plan),
                                         'value', value, 'value_period', 'one_time',
                                         'confidence', 30)) ->> 'id'
 WHERE opportunity_id IS NULL;

-- 4. The note, unless the same text is there.
INSERT INTO close_notes (lead_id, note, contact_id)
    SELECT w.lead_id, w.remark, w.contact_id FROM work w
     WHERE NOT EXISTS (SELECT 1 FROM close_notes n WHERE n.lead_id = w.lead_id AND n.note = w.remark);

-- 5. A task for tomorrow, unless one with this text is open.
INSERT INTO close_tasks (lead_id, text, date)
    SELECT w.lead_id, 'Call ' || w.person, date('now', '+1 day') FROM work w
     WHERE NOT EXISTS (SELECT 1 FROM close_tasks t
                        WHERE t.lead_id = w.lead_id AND t.is_complete = false
                          AND t.text = 'Call ' || w.person);

-- 6. The sequence, unless the contact is in it.
INSERT INTO close_sequence_subscriptions (contact_id, sequence_id, sender_account_id)
    SELECT w.contact_id, p.sequence_id, p.sender_id FROM work w, plan p
     WHERE p.sequence_id IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM close_sequence_subscriptions s
                        WHERE s.contact_id = w.contact_id AND s.sequence_id = p.sequence_id);

SELECT company, lead_id IS NOT NULL AS has_lead, contact_id IS NOT NULL AS has_contact,
       opportunity_id IS NOT NULL AS has_opportunity
  FROM work ORDER BY company;
DROP TABLE work;
DROP TABLE plan;
