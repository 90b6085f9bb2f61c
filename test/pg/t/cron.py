"""pg_cron drains, as the README says, in both of its ways: in background workers and through connections.

A job of the recipe runs at the next full minute; these run when the server starts (@reboot), so that nobody has to
wait. Skipped where pg_cron is not installed.
"""
import pgcluster

from t._outbox import NOTE, Box, quote, same, until

JOBS = {"close outbox": "CALL close_outbox_drain()", "not alone": "SELECT 1; CALL close_outbox_drain()"}


def ended(b, name):
    """(status, message) of the runs of a job that are over."""
    return [tuple(line.split("|", 1)) for line in b.ok(
        "SELECT d.status, replace(d.return_message, E'\\n', ' ') FROM cron.job_run_details d JOIN cron.job j USING (jobid)"
        f" WHERE j.jobname = {quote(name)} AND d.status IN ('succeeded', 'failed') ORDER BY d.runid")]


def restart(cluster, workers):
    cluster.sql(f"ALTER SYSTEM SET cron.use_background_workers = {workers}")
    cluster.halt()
    cluster.start()


def test_jobs_drain_when_they_stand_alone(env):
    if env.cluster.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_cron'").strip() == "0":
        print("# pg_cron is not installed: skipped")
        return
    with pgcluster.Cluster(env.build, settings="cron.database_name = 'jobs'\n", preload="pg_cron") as cluster:
        env.server.reset()
        b = Box.made(cluster, "jobs", env.server)
        b.ok("CREATE EXTENSION pg_cron")
        for name, command in JOBS.items():
            b.ok(f"SELECT cron.schedule({quote(name)}, '@reboot', {quote(command)})")
        b.ok(f"UPDATE cron.job SET nodename = {quote(cluster.socket)}")  # where it connects to
        for run, workers in enumerate(("off", "on"), 1):
            row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": f"by cron, workers {workers}"})
            restart(cluster, workers)
            for name in JOBS:
                until(lambda name=name: len(ended(b, name)) == run, f"{name} ends, workers {workers}")
            same((ended(b, "close outbox")[-1][0], b.row(row)), ("succeeded", ("done",)), f"workers {workers}")
            status, message = ended(b, "not alone")[-1]
            same((status, "close_outbox_drain" in message), ("failed", True), message)
        same([text for _, text in b.notes("by cron")], ["by cron, workers off", "by cron, workers on"])
