"""Settings, the read-only entry point, interrupts, threads, reloading, the tables about ourselves."""

import os
import subprocess

import bench

SECRET = bench.standin.CLIENT_SECRET


def test_loading_needs_no_settings(b):
    missing = dict.fromkeys(("SCALEKIT_ENV_URL", "SCALEKIT_CLIENT_ID", "SCALEKIT_CLIENT_SECRET",
                             "CLOSE_CONNECTION", "CLOSE_IDENTIFIER"))
    with b.shell(**missing) as s:
        b.expect(s.value("SELECT count(*) FROM close_tools"), 103)
        b.expect_match(r"^\d+\.\d+\.\d+$", s.value("SELECT close_version()"))
        for sql, name in (("SELECT close_me_get()", "close_me_get"),
                          ("SELECT * FROM close_leads", "close_leads")):
            code, text = s.error(sql)
            b.expect_match(f"^{name}: CONFIG: .*SCALEKIT_ENV_URL", text)
            b.expect(code, 1)


def test_settings_hide_secrets(b):
    with b.shell() as s:
        everything = s.run("SELECT close_config();").output
        b.expect(SECRET in everything, False, "close_config()")
        b.expect(s.value("SELECT close_config() ->> '$.client_secret.value'"), "***")
        b.expect(s.value("SELECT close_config('client_secret')"), "***")
        b.expect(s.value("SELECT close_config('client_secret', 'other-secret-value')"), "***")
        outcome = s.run("SELECT close_me_get();\nSELECT * FROM close_requests;\nSELECT close_config();")
        b.expect(len(outcome.errors), 1, "a wrong secret is refused")
        for secret in (SECRET, "other-secret-value"):
            b.expect(secret in outcome.output + outcome.stderr, False, "output after a refused token")
        b.expect(outcome.errors[0][0], 23, outcome.errors)
        s.rows(f"SELECT close_config('client_secret', '{SECRET}')")
        b.expect(s.value("SELECT close_me_get() IS NOT NULL"), 1)


def test_settings_are_checked(b):
    with b.shell() as s:
        b.expect(s.value("SELECT close_config('retries', 2)"), "2")
        b.expect(s.value("SELECT close_config('retries')"), "2")
        b.expect(s.value("SELECT close_config() ->> '$.retries.from'"), "session")
        default = s.value("SELECT close_config('retries', NULL)")
        b.expect(default != "2" and default is not None, True, default)
        for sql, pattern in (("SELECT close_config('retrys')", "retries"),
                             ("SELECT close_config('retries', 'many')", "retries"),
                             ("SELECT close_config('retries', -1)", "retries"),
                             ("SELECT close_config(NULL)", "name is NULL"),
                             ("SELECT close_config(NULL, 1)", "name is NULL"),
                             ("SELECT close_config('env_url', 'http://example.org')", "env_url")):
            _, text = s.error(sql)
            b.expect_match("^close_config: (ARG|CONFIG): ", text, sql)
            b.expect_in(pattern, text, sql)


def test_a_wrong_environment_is_named_by_the_first_call(b):
    with b.shell(SCALEKIT_ENV_URL="ftp://nowhere") as s:
        b.expect(s.value("SELECT count(*) FROM close_tools"), 103)
        _, text = s.error("SELECT close_me_get()")
        b.expect_match("^close_me_get: CONFIG: .*SCALEKIT_ENV_URL", text)


def test_readonly_entry_point(b):
    with b.shell(entry="sqlite3_closereadonly_init") as s:
        lead = s.value("SELECT id FROM close_leads LIMIT 1")
        b.expect(s.value(f"SELECT close_lead_get('{lead}') ->> 'id'"), lead)
        b.expect(s.value("SELECT close_execute('close_me_get') IS NOT NULL"), 1)
        b.calls()
        writers = s.column("SELECT tool FROM close_tools WHERE writes")
        b.expect(len(writers) > 40, True, "writers are catalogued")
        for tool in writers:
            _, text = s.error(f"SELECT {tool}()")
            b.expect_in("no such function", text, tool)
        for sql in ("INSERT INTO close_leads(name) VALUES ('x')", "DELETE FROM close_leads",
                    "UPDATE close_leads SET name = 'x'"):
            _, text = s.error(sql)
            b.expect_in("may not be modified", text, sql)
        for sql in ("SELECT close_execute('close_lead_create', json_object('name', 'x'))",
                    "SELECT close_execute('close_tool_of_tomorrow')",
                    "SELECT close_request('POST', '/api/v1/lead/', NULL, '{\"name\":\"x\"}')",
                    "SELECT close_request('DELETE', '/api/v1/lead/lead_x/')"):
            code, text = s.error(sql)
            b.expect_match("FORBIDDEN", text, sql)
            b.expect(code, 23, sql)
        _, text = s.error("SELECT close_config('readonly', 'off')")
        b.expect_in("readonly", text)
        b.expect(s.value("SELECT close_config('readonly')") in ("on", "1", "true"), True)
        b.expect(b.calls(), [])


def test_loading_again(b):
    with b.shell() as s:
        total = s.value("SELECT count(*) FROM close_leads")
        s.rows("SELECT close_config('page_size', 7)")
        for _ in range(3):
            s.rows(f".load {b.library()}")
            b.expect(s.value("SELECT count(*) FROM close_leads"), total)
            b.expect(s.value("SELECT close_config('page_size')") == "7", False, "a fresh client")


def test_reopening_after_close(b):
    with b.shell() as s:
        for _ in range(3):
            b.expect(s.value("SELECT count(*) > 0 FROM close_leads"), 1)
            s.run(".open :memory:")
            _, text = s.error("SELECT count(*) FROM close_leads")
            b.expect_in("no such table", text)
            s.rows(f".load {b.library()}")


def test_files_with_stored_tables(b):
    path = os.path.join(b.folder, "stored.db")
    with b.shell(database=path) as s:
        s.rows("CREATE VIRTUAL TABLE leads USING close_leads;"
               "\nCREATE VIEW names AS SELECT name FROM leads;")
        names = s.rows("SELECT name FROM names ORDER BY name")
    with b.shell(database=path) as s:
        b.expect(s.rows("SELECT name FROM names ORDER BY name"), names)
        s.rows("DROP VIEW names; DROP TABLE leads;")
    os.remove(path)


def test_databases_in_another_encoding(b):
    with b.shell() as s:
        s.rows("PRAGMA encoding = 'UTF-16';\nCREATE TABLE t(x); INSERT INTO t VALUES ('Acme'), ('Bolt');")
        plain = s.column("SELECT id FROM close_leads WHERE query = 'Acme' ORDER BY 1")
        b.expect(len(plain) > 1, True)
        b.expect(s.column("SELECT id FROM close_leads WHERE query = (SELECT x FROM t) ORDER BY 1"), plain)
        b.expect(s.value("SELECT count(*) FROM close_leads WHERE id IN"
                         " (SELECT id FROM close_leads LIMIT 3)"), 3)
        b.expect(s.value("SELECT close_note_create(id, 'grüße ☃ 𝄞') ->> 'note' FROM close_leads LIMIT 1"),
                 "grüße ☃ 𝄞")
        b.expect(s.value("SELECT note FROM close_notes WHERE id = close_last_id()"), "grüße ☃ 𝄞")


def test_two_connections_in_one_shell(b):
    with b.shell() as s:
        s.rows("SELECT close_config('page_size', 11)")
        s.run(".connection 1")
        s.rows(f".load {b.library()}")
        b.expect(s.value("SELECT close_config('page_size')") == "11", False)
        total = s.value("SELECT count(*) FROM close_leads")
        s.run(".connection 0")
        b.expect(s.value("SELECT close_config('page_size')"), "11")
        b.expect(s.value("SELECT count(*) FROM close_leads"), total)
        s.run(".connection close 1")


def test_connections_share_what_they_learn_of_the_rate(b):
    """One is told to slow down, and the other one waits, which was told nothing."""
    def stat(s, name):
        return s.value(f"SELECT value FROM close_stats WHERE name = '{name}'")
    with b.shell() as s:
        s.run(".connection 1")
        s.rows(f".load {b.library()}")
        s.rows("SELECT count(*) FROM close_users")  # it has a token
        for _ in range(20):  # until the second one asks while the pause of a second lasts
            s.run(".connection 0")
            s.rows("SELECT close_config('retries', 0)")
            b.server.fault({"tool": "close_me_get", "kind": "status", "status": 429, "shape": "tool_error_kept",
                            "retry_after": 1})
            b.expect_in("RATE", s.error("SELECT close_me_get()")[1])
            s.run(".connection 1")
            s.rows("SELECT close_me_get()")
            if stat(s, "rate_held_ms") > 0:
                break
        b.expect(stat(s, "rate_held_ms") > 0, True)
        b.expect(stat(s, "rate_waits"), 0)
        b.expect(stat(s, "rate_per_minute") > 0, True)
        s.run(".connection 0")
        s.run(".connection close 1")


def held(b, tool):
    """Whether the service holds a call that it has not answered."""
    return any(entry["tool"] == tool and entry["status"] == 0 for entry in b.server.log())


def connections(b):
    return b.server.stats()["open_connections"]


def interrupted(b, process, tool, sql):
    """Sends `sql`, interrupts while the service holds `tool` back, and gives the output."""
    b.server.fault({"tool": tool, "kind": "delay", "ms": 300000})
    process.send(sql)
    b.until(lambda: held(b, tool), "the request to arrive")
    process.interrupt()
    return process.finish("")


def test_ctrl_c_ends_a_read_and_closes_its_socket(b):
    before = connections(b)
    with bench.Process(b) as process:
        output = interrupted(b, process, "close_leads_list", "SELECT count(*) FROM close_leads;")
        b.expect_in("STOPPED: interrupted", output)
        # The service would answer five minutes from now: only a closed socket ends the connection.
        b.until(lambda: connections(b) <= before, "the socket to be closed")
        b.server.control("DELETE", "faults")
        output = process.finish("SELECT 'alive ' || count(*) FROM close_leads;")
        b.expect_in(f"alive {bench.LEADS}", output)


def test_ctrl_c_during_a_write_says_that_it_may_have_happened(b):
    with bench.Process(b) as process:
        process.finish("CREATE TABLE t(x); BEGIN; INSERT INTO t VALUES (1);")
        output = interrupted(b, process, "close_note_create",
                             "SELECT close_note_create(id, 'x') FROM close_leads LIMIT 1;")
        b.expect_in("close_note_create: STOPPED: ", output)
        b.expect_in("may have been carried out", output)
        b.expect_in("kept 1", process.finish("SELECT 'kept ' || count(*) FROM t;"))


def test_ctrl_c_in_a_trigger_and_in_insert(b):
    with bench.Process(b) as process:
        output = interrupted(b, process, "close_lead_create",
                             "INSERT INTO close_leads(name) VALUES ('x');")
        b.expect_in("may have been carried out", output)
        b.server.control("DELETE", "faults")
        b.expect_in("alive", process.finish("SELECT 'alive' WHERE close_me_get() IS NOT NULL;"))


def test_close_tools(b):
    with b.shell() as s:
        b.expect(s.value("SELECT count(DISTINCT tool) FROM close_tools"), 103)
        b.expect(s.rows("SELECT kind, \"table\", writes, destructive FROM close_tools"
                        " WHERE tool = 'close_lead_delete'"), [["delete", "close_leads", 1, 1]])
        b.expect(s.value("SELECT signature FROM close_tools WHERE tool = 'close_note_create'")
                 .startswith("close_note_create(lead_id TEXT, note TEXT"), True)
        b.expect(s.value("SELECT count(*) FROM close_tools WHERE summary NOT LIKE '%.'"), 0)


def test_close_requests_and_stats(b):
    with b.shell() as s:
        s.rows("SELECT close_me_get()")
        s.run("SELECT close_lead_get('lead_none')")
        rows = s.rows("SELECT tool, params, status, error, attempts FROM close_requests"
                      " WHERE tool LIKE 'close_%'")
        b.expect([row[0] for row in rows], ["close_me_get", "close_lead_get"])
        b.expect(rows[0][2:], [200, None, 1])
        b.expect((rows[1][1], rows[1][3]), ("lead_id", "NOTFOUND"))
        b.expect("lead_none" in s.run("SELECT * FROM close_requests").output, False)
        b.expect_match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
                       s.value("SELECT at FROM close_requests LIMIT 1"))
        requests = s.value("SELECT value FROM close_stats WHERE name = 'requests'")
        s.rows("SELECT close_me_get()")
        b.expect(s.value("SELECT value FROM close_stats WHERE name = 'requests'"), requests + 1)


def test_the_log_holds_still_while_it_is_read(b):
    with b.shell() as s:
        s.rows("SELECT close_me_get()")
        b.expect(s.value("SELECT count(close_me_get()) FROM close_requests"), 2)
        b.expect(s.value("SELECT count(*) FROM close_requests"), 4)


def test_an_account_and_its_link(b):
    with b.shell() as s:
        b.expect(s.value("SELECT json_type(close_account())"), "object")
        b.expect_match("https?://", s.value("SELECT close_authorization_link()"))
        b.expect(s.value("SELECT close_request('GET', '/api/v1/me/') ->> 'id'"),
                 s.value("SELECT id FROM close_me"))


def program(b, name, *arguments):
    """Builds and runs a C program of this folder; it prints ok and a count, or what is wrong."""
    binary = os.path.join(b.folder, name)
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".c")
    subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-D_GNU_SOURCE", "-g", "-Wall", "-Wextra",
                    "-Werror", "-o", binary, source, "-lsqlite3", "-lpthread"], check=True)
    done = subprocess.run([binary, b.library(), *arguments], env=b.program_environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    b.expect_match("^ok", done.stdout.strip())
    b.expect(done.returncode, 0, done.stdout)
    return done.stdout


def test_threads(b):
    program(b, "threads", str(bench.LEADS))


def test_every_allocation_of_sqlite_may_fail(b):
    tried = int(program(b, "faults", "3").split()[1])
    b.expect(tried > 500, True, f"only {tried} failures were tried")


def test_every_instruction_may_be_interrupted(b):
    def leads(how="Made"):
        return sum(lead["name"] == how + " while stopping" for lead in b.server.objects("leads"))

    interrupts, writes, inserted = map(int, program(b, "stops", "1").split()[1:])
    b.expect(interrupts > 500, True, f"only {interrupts} interrupts were tried")
    # A create may be made and interrupted before its row is out, but never reported and not made.
    b.expect(leads() >= writes > 0, True, f"{leads()} leads, {writes} reported")
    b.expect(leads("Sent") >= inserted > 0, True, f"{leads('Sent')} leads, {inserted} reported")
