"""What one backend learns about the allowed rate holds for all where the library is preloaded."""

import pgcluster
import pgsession
import standin

RATE = 10
BACKENDS = 4
CALLS = 15


class Preloaded:
    """A cluster of its own, in the form that sessions ask for."""

    def __init__(self, env):
        self.server = env.server
        self.cluster = pgcluster.Cluster(env.build, preload="close")
        self.database = "limits"
        self.cluster.create_database(self.database)
        self.cluster.sql(f"""
            CREATE SERVER close FOREIGN DATA WRAPPER close OPTIONS (env_url '{env.server.url}');
            CREATE USER MAPPING FOR CURRENT_USER SERVER close OPTIONS (client_id '{standin.CLIENT_ID}',
                client_secret '{standin.CLIENT_SECRET}', identifier '{standin.IDENTIFIER}')""", self.database)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cluster.stop()


def stat(session, name):
    return int(session.value(f"SELECT value FROM close_stats WHERE name = '{name}'"))


def refused(server):
    return sum(1 for entry in server.log() if entry["status"] == 429)


def test_one_is_told_and_the_other_waits(env):
    with Preloaded(env) as pre, pgsession.Session(pre) as one, pgsession.Session(pre) as two:
        two.ok("SELECT close_lead_statuses_list()")  # it has a token
        one.ok("SET close.retries = 0")
        for _ in range(20):  # until the second one asks while the pause of a second lasts
            env.server.fault({"tool": "close_me_get", "kind": "status", "status": 429,
                              "shape": "tool_error_kept", "retry_after": 1})
            one.fails("SELECT close_me_get()", "53400", "rate limit")
            two.ok("SELECT close_me_get()")
            if stat(two, "rate_held_ms") > 0:
                break
        assert stat(two, "rate_held_ms") > 0, "it did not wait"
        assert stat(two, "rate_waits") == 0, "it was refused itself"
        assert stat(two, "rate_per_minute") > 0, "it does not know the rate"


def test_backends_take_turns_below_the_rate(env):
    """Several backends that call as fast as they can are refused a few times in all."""
    with Preloaded(env) as pre:
        sessions = [pgsession.Session(pre) for _ in range(BACKENDS)]
        try:
            for s in sessions:
                s.ok("SELECT close_lead_statuses_list()")
                s.ok("SET close.retries = 20; SET close.retry_budget_ms = 600000")
            env.server.config({"rate": RATE})
            env.server.control("DELETE", "log")
            for s in sessions:
                s._shell._session.send(f"SELECT close_me_get() FROM generate_series(1, {CALLS});\n")
            for s in sessions:
                assert s.value("SELECT 1") is not None
            calls = [entry for entry in env.server.log() if entry["tool"] == "close_me_get"]
            good = sum(1 for entry in calls if entry["status"] == 200)
            assert good == BACKENDS * CALLS, good
            # Each once in the first burst and once more while the pace is found; alone, each would be
            # refused again and again, since together they are four times too fast.
            assert refused(env.server) <= 4 * BACKENDS, refused(env.server)
        finally:
            env.server.config({"rate": 0})
            for s in sessions:
                s.close()
