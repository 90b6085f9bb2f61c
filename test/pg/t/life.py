"""Dump and restore, preloading, pooled sessions, and what stays when servers and roles go."""
import subprocess

import pgcluster
import standin


def dump(env, *options):
    done = subprocess.run([env.cluster.bindir + "/pg_dump", "-d", env.database, *options],
                          env=env.environment(), capture_output=True, text=True, check=True)
    return done.stdout


def test_dump_and_restore(env):
    """The extension is dumped as one line, tables and views as they are; an unprivileged dump has no secret."""
    with env.session() as s:
        s.ok("CREATE VIEW acme AS SELECT id, name FROM close_leads WHERE query = 'Acme'")
        s.ok("CREATE MATERIALIZED VIEW statuses AS SELECT id, label FROM close_lead_statuses")
        text = dump(env)
        assert "CREATE EXTENSION IF NOT EXISTS close" in text
        assert "CREATE FUNCTION public.close_" not in text and "CREATE VIEW public.close_" not in text
        assert text.count("CREATE FOREIGN TABLE") == 27
        env.cluster.create_database("restored", extension=False)
        done = subprocess.run([env.cluster.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "restored"],
                              input=text, env=env.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        rows = env.cluster.sql("SELECT count(*) > 2 FROM acme; SELECT count(*) > 0 FROM statuses", "restored")
        assert rows.split() == ["t", "t"], rows
        s.ok("CREATE ROLE dumper LOGIN; GRANT pg_read_all_data TO dumper" if env.cluster.version[0] >= 14 else
             "CREATE ROLE dumper LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO dumper;"
             " GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO dumper")
        assert standin.CLIENT_SECRET not in dump(env, "-U", "dumper", "-s")
        s.ok("DROP OWNED BY dumper; DROP ROLE dumper")


def test_secrets_stay_out_of_logs(env):
    """At the most talkative level, with plans printed, neither the secret nor a token is in the log."""
    with open(env.cluster.log, encoding="utf-8", errors="replace") as log:
        log.seek(0, 2)
        with env.session() as s:
            s.ok("SET log_min_messages = debug5; SET debug_print_plan = on; SET debug_print_rewritten = on;"
                 " SET log_statement = 'all'; SET log_min_error_statement = debug5")
            s.ok("SELECT close_me_get(); SELECT id FROM close_leads LIMIT 3; SELECT close_config();"
                 " SELECT * FROM close_requests")
            env.server.fault({"tool": "close_me_get", "kind": "expire_token"})
            s.ok("SELECT close_me_get()")
            s.fails("SELECT close_lead_get('lead_none')", "P0002")
            s.ok("ALTER SERVER close OPTIONS (SET env_url 'http://127.0.0.1:9')")
            s.fails("SELECT close_me_get()", "08006")
            s.ok(f"ALTER SERVER close OPTIONS (SET env_url '{env.server.url}')")
        text = log.read()
    assert "close_leads" in text, "the log does not talk"
    assert standin.CLIENT_SECRET not in text
    assert "Bearer" not in text


def test_preloaded(env):
    """In shared_preload_libraries it has settings and shared memory; everything works as without."""
    with pgcluster.Cluster(env.build, preload="close") as cluster:
        cluster.create_database("pre")
        areas = cluster.sql("SELECT size FROM pg_shmem_allocations WHERE name = 'close limiter'", "pre")
        assert areas.split() == ["16384"], areas
        assert cluster.sql("SHOW close.server", "pre").strip() == "close"
        try:
            cluster.sql("SET close.retries = 'many'", "pre")
            raise AssertionError("a bad setting was taken")
        except pgcluster.ClusterError:
            pass
        cluster.sql(f"""
            CREATE SERVER close FOREIGN DATA WRAPPER close OPTIONS (env_url '{env.server.url}');
            CREATE USER MAPPING FOR CURRENT_USER SERVER close OPTIONS (client_id '{standin.CLIENT_ID}',
                client_secret '{standin.CLIENT_SECRET}', identifier '{standin.IDENTIFIER}');
            IMPORT FOREIGN SCHEMA close FROM SERVER close INTO public;""", "pre")
        assert cluster.sql("SELECT count(*) FROM close_leads", "pre").strip() == "1000"


def test_pooled_session(env):
    """What one user of a pooled backend leaves, DISCARD ALL takes away."""
    with env.session() as s:
        first = s.value("SELECT close_me_get() ->> 'id'")
        s.ok("CREATE ROLE pooled; GRANT USAGE ON FOREIGN SERVER close TO pooled; CREATE USER MAPPING FOR"
             f" pooled SERVER close OPTIONS (client_id '{standin.CLIENT_ID}',"
             f" client_secret '{standin.CLIENT_SECRET}', identifier 'user_two')")
        s.ok("SET close.retries = 1; SET close.server = 'close'; SET ROLE pooled")
        assert s.value("SELECT close_me_get() ->> 'id'") != first
        s.ok("DISCARD ALL")
        assert s.value("SELECT current_user") == "owner"
        assert s.value("SELECT close_config() -> 'retries' ->> 'from'") != "session"
        assert s.value("SELECT close_me_get() ->> 'id'") == first
        s.ok("DROP OWNED BY pooled; DROP ROLE pooled")


def test_many_roles(env):
    """One backend acts for many roles: descriptors and clients stay bounded, also with many calls at a time."""
    with env.session() as s:
        s.ok("ALTER SERVER close OPTIONS (ADD concurrency '32')")
        for i in range(60):
            s.ok(f"CREATE ROLE r{i}; GRANT USAGE ON FOREIGN SERVER close TO r{i}; CREATE USER MAPPING FOR r{i}"
                 f" SERVER close OPTIONS (client_id '{standin.CLIENT_ID}',"
                 f" client_secret '{standin.CLIENT_SECRET}', identifier '{standin.IDENTIFIER}')")
        for i in range(60):
            s.ok(f"SET ROLE r{i}; SELECT close_me_get(); RESET ROLE")
        open_now = env.server.stats()["open_connections"]
        assert open_now < 60, f"{open_now} connections are open"
        for i in range(60):
            s.ok(f"DROP OWNED BY r{i}; DROP ROLE r{i}")
        s.ok("ALTER SERVER close OPTIONS (DROP concurrency)")


def test_drop_in_use(env):
    """DROP EXTENSION takes servers, mappings and tables along, and a session that used them goes on."""
    with env.session() as s:
        s.ok("SELECT close_me_get()")
        s.ok("DROP EXTENSION close CASCADE")
        assert s.value("SELECT count(*) FROM pg_foreign_server") == "0"
        s.ok("CREATE EXTENSION close")
        s.fails("SELECT close_me_get()", "55000", "no foreign server")


def test_other_encodings(env):
    """A database in LATIN1: texts are converted, and one that can't be is an error that names the row."""
    env.cluster.sql("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    env.cluster.sql("CREATE EXTENSION close", "latin")
    env.database = "latin"
    with env.session() as s:
        s.ok(f"CREATE SERVER close FOREIGN DATA WRAPPER close OPTIONS (env_url '{env.server.url}')")
        s.ok(f"CREATE USER MAPPING FOR CURRENT_USER SERVER close OPTIONS (client_id '{standin.CLIENT_ID}',"
             f" client_secret '{standin.CLIENT_SECRET}', identifier '{standin.IDENTIFIER}')")
        s.ok("IMPORT FOREIGN SCHEMA close FROM SERVER close INTO public")
        s.ok("SET client_encoding = 'UTF8'")
        made = s.value("INSERT INTO close_leads (name) VALUES ('Söhne & Co') RETURNING id")
        assert s.value(f"SELECT name FROM close_leads WHERE id = '{made}'") == "Söhne & Co"
        assert s.value(f"SELECT count(name) FROM close_leads WHERE name = 'Söhne & Co' AND id = '{made}'") == "1"
        rocket = next(o["id"] for o in env.server.objects("leads") if "🚀" in o.get("name", ""))
        text = s.fails(f"SELECT name FROM close_leads WHERE id = '{rocket}'", "22P05")
        assert rocket in text and "column name" in text, text
        env.server.fault({"tool": "close_me_get", "kind": "status", "status": 400, "shape": "close-error",
                          "message": "no 🚀 today"})
        s.fails("SELECT close_me_get()", "22023", "no ???? today")
