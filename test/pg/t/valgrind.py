"""A backend under Valgrind runs every kind of statement: no invalid access, no use of what is not set.

The backend runs in single-user mode, because Valgrind follows one process best. The backend itself writes
padding that it never set; a report counts when our library is in its stack or when it is about anything
but such a write. Skipped where Valgrind is not installed.
"""
import re
import shutil
import subprocess

import pgcluster
import standin

STATEMENTS = """
SELECT close_me_get()
SELECT * FROM close_leads WHERE query = 'Acme'
SELECT count(*) FROM close_leads
SELECT id, name FROM close_leads ORDER BY date_created LIMIT 3 OFFSET 1
SELECT * FROM close_opportunities WHERE status_type = 'won'
SELECT c.* FROM close_contacts c JOIN close_leads l ON l.id = c.lead_id WHERE l.query = 'Acme'
SELECT * FROM close_comments
SELECT * FROM close_tasks WHERE NOT is_complete
SELECT * FROM close_events
EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM close_leads WHERE id IN ('{lead}', 'lead_x')
INSERT INTO close_notes (lead_id, note) SELECT '{lead}', 'v' || n FROM generate_series(1, 12) n
INSERT INTO close_notes (lead_id, note) VALUES ('{lead}', 'r') RETURNING *
UPDATE close_leads SET description = 'x' WHERE id = '{lead}' RETURNING *
DELETE FROM close_notes WHERE lead_id = '{lead}' AND note = 'r' RETURNING *
SELECT close_lead_get('lead_none')
SELECT close_contact_create('{lead}', emails => '{{}}')
INSERT INTO close_leads (name, date_created) VALUES ('x', now())
SELECT 1 / (length(name) - length(name)) FROM close_leads
DO $$ BEGIN FOR i IN 1 .. 5 LOOP BEGIN PERFORM close_lead_get('lead_none'); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$
ANALYZE close_leads
CREATE SCHEMA f
IMPORT FOREIGN SCHEMA close LIMIT TO (close_leads) FROM SERVER close INTO f OPTIONS (custom_fields 'true', raw 'true')
SELECT * FROM f.close_leads LIMIT 3
ALTER SERVER close OPTIONS (ADD retries '1')
SELECT close_me_get()
SELECT * FROM close_requests
SELECT * FROM close_stats
SELECT 'the end'
"""


def reports(text):
    """Valgrind's paragraphs, without its prefix."""
    lines = [re.sub(r"^==\d+== ?", "", line) for line in text.splitlines() if re.match(r"^==\d+==", line)]
    return [part for part in "\n".join(lines).split("\n\n") if part.strip()]


def test_one_backend(env):
    program = shutil.which("valgrind")
    if program is None:
        print("# valgrind is not installed: skipped")
        return
    with pgcluster.Cluster(env.build) as cluster, standin.Standin(env.build, "--leads 40") as server:
        cluster.create_database("vg")
        cluster.sql(f"""
            CREATE SERVER close FOREIGN DATA WRAPPER close OPTIONS (env_url '{server.url}');
            CREATE USER MAPPING FOR CURRENT_USER SERVER close OPTIONS (client_id '{standin.CLIENT_ID}',
                client_secret '{standin.CLIENT_SECRET}', identifier '{standin.IDENTIFIER}');
            IMPORT FOREIGN SCHEMA close FROM SERVER close INTO public;""", "vg")
        cluster.halt()
        command = [program, "-q", "--num-callers=30", cluster.bindir + "/postgres", "--single", "-D",
                   cluster.data, "vg"]
        if cluster.user:
            command = ["runuser", "-u", cluster.user, "--", *command]
        script = STATEMENTS.strip().format(lead=server.objects("leads")[0]["id"]) + "\n"
        done = subprocess.run(command, input=script, capture_output=True, text=True, errors="replace",
                              env=cluster.environment(), cwd="/", timeout=900, check=False)
        bad = [r for r in reports(done.stderr)
               if "close.so" in r or "clo_" in r or not r.startswith("Syscall param pwrite64(buf)")]
        assert not bad, "\n\n".join(bad[:5])
        assert done.returncode == 0 and "the end" in done.stdout, done.stderr[-3000:]
