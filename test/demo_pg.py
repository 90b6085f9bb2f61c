#!/usr/bin/env python3
"""The PostgreSQL act of `make demo`: a private cluster, real statements, each with its answer.

Usage: demo_pg.py BUILD, with the four SCALEKIT_/CLOSE_ variables of the stand-in service set.
"""
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "host"))
import pgcluster  # noqa: E402

SETUP = """CREATE EXTENSION close;
CREATE SERVER close FOREIGN DATA WRAPPER close OPTIONS (env_url '{env_url}');
CREATE USER MAPPING FOR CURRENT_USER SERVER close OPTIONS (client_id '{client_id}', client_secret '{client_secret}', identifier '{identifier}');
IMPORT FOREIGN SCHEMA close FROM SERVER close INTO public;"""
STATEMENTS = (
    "SELECT id, name FROM close_leads WHERE query = 'Acme' LIMIT 3;",
    "SELECT count(*) FROM close_leads;",
    "CREATE TABLE visits(lead_id text, visited date);",
    "INSERT INTO visits SELECT id, current_date FROM close_leads ORDER BY date_created LIMIT 3;",
    "SELECT l.name, l.status_label, v.visited FROM visits v JOIN close_leads l ON l.id = v.lead_id ORDER BY l.name;",
    "SELECT o.status_label, count(*), sum(o.value) / 100 AS amount FROM close_opportunities o"
    " WHERE o.status_type = 'active' GROUP BY 1 ORDER BY 3 DESC;",
    "INSERT INTO close_notes(lead_id, note) SELECT lead_id, 'Visited' FROM visits LIMIT 1 RETURNING id, note;",
    "EXPLAIN (VERBOSE, COSTS OFF) SELECT id, name FROM close_leads WHERE query = 'Acme' LIMIT 3;",
)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    env = os.environ
    setup = SETUP.format(env_url=env["SCALEKIT_ENV_URL"], client_id=env["SCALEKIT_CLIENT_ID"],
                         client_secret=env["SCALEKIT_CLIENT_SECRET"], identifier=env["CLOSE_IDENTIFIER"])
    with pgcluster.Cluster(os.path.abspath(sys.argv[1])) as cluster:
        for statement in (*setup.splitlines(), *STATEMENTS):
            print("\npostgres=# " + statement, flush=True)
            done = subprocess.run([cluster.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-P", "pager=off", "-c",
                                   statement], env=cluster.environment(), check=False)
            if done.returncode:
                return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
