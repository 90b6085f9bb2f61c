"""sqlsmith's random statements over the foreign tables and functions: errors as may be, no crash.

It runs as a role that may read everything and write nothing but through functions that it was granted,
so that it can't stop the server in ways that are not ours. Skipped where sqlsmith is not installed.
"""
import shutil
import subprocess

COUNT = {True: 5000, False: 400}


def test_sqlsmith(env):
    program = shutil.which("sqlsmith")
    if program is None:
        print("# sqlsmith is not installed: skipped")
        return
    with env.session() as s:
        s.ok("CREATE ROLE smith LOGIN")
        s.ok("ALTER ROLE smith SET statement_timeout = 500")
        s.ok("GRANT USAGE ON FOREIGN SERVER close TO smith")
        s.ok("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO smith")
        s.ok("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO smith")
        s.ok("CREATE USER MAPPING FOR smith SERVER close OPTIONS (client_id 'skc_demo',"
             " client_secret 'demo-secret', identifier 'user_demo')")
        started = s.value("SELECT pg_postmaster_start_time()")
        done = subprocess.run(
            [program, f"--target=host={env.cluster.socket} port=5432 user=smith dbname={env.database}",
             "--exclude-catalog", f"--max-queries={COUNT[env.long]}", "--seed=7"],
            env=env.environment(), capture_output=True, text=True, errors="replace", timeout=1500, check=False)
        text = done.stdout + done.stderr
        assert "server closed the connection" not in text and "terminating connection" not in text, text[-3000:]
        outcome = s.run("SELECT pg_postmaster_start_time()")
        assert outcome.rows and outcome.rows[0][0] == started, f"the server restarted\n{text[-3000:]}"
        s.ok("DROP OWNED BY smith; DROP ROLE smith")
