"""How a case's session is made on each host: settings, environment, database.

`SqliteHost` starts a sqlite3 shell per case, configured by environment variables as users do it.
`PgHost` keeps one private cluster with one database per worker; a case gets a psql session, and its
settings become options of the server or the user mapping, or GUCs where they are offered as such.
"""

import glob
import os
import subprocess
import tempfile

import shells
import standin

KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SQLITE3", "TZ")


def base_environment(folder):
    """What a shell inherits: nothing of the user's settings, and no proxy."""
    env = {name: os.environ[name] for name in KEPT if name in os.environ}
    env["HOME"] = folder
    env["LANG"] = env.get("LANG", "C.UTF-8")
    env["SQLITE_HISTORY"] = "/dev/null"
    return env


class SqliteHost:
    """Makes sqlite3 sessions."""

    name = "sqlite"

    def __init__(self, build, engine="normal", valgrind=False):
        self.build = build
        self.engine = engine
        self.valgrind = valgrind
        self.version = shells.sqlite_version()
        self.preload = _sanitizer_runtime() if self._sanitized() else None
        if engine == "asan" and not self.preload:
            raise SystemExit("the library is not built with SAN=address,undefined")

    def _sanitized(self):
        """Whether the library needs the sanitizer's runtime, which the stock shell lacks."""
        path = os.path.join(self.build, "sqlite", "close.so")
        with open(path, "rb") as file:
            return b"__asan_init" in file.read()

    def session(self, server, case, env_extra, settings, folder, name):
        env = base_environment(folder)
        env.update({
            "SCALEKIT_ENV_URL": server.url,
            "SCALEKIT_CLIENT_ID": standin.CLIENT_ID,
            "SCALEKIT_CLIENT_SECRET": standin.CLIENT_SECRET,
            "CLOSE_CONNECTION": standin.CONNECTION,
            "CLOSE_IDENTIFIER": standin.IDENTIFIER,
        })
        for key, value in env_extra.items():
            if value == "":
                env.pop(key, None)
            else:
                env[key] = value
        prefix = []
        if self.preload:
            env["ASAN_OPTIONS"] = "abort_on_error=0:exitcode=99:detect_leaks=1"
            env["UBSAN_OPTIONS"] = "print_stacktrace=1:exitcode=99"
            env["LSAN_OPTIONS"] = "exitcode=99"
        if self.valgrind:
            prefix = ["valgrind", "-q", "--error-exitcode=98", "--leak-check=full",
                      "--errors-for-leak-kinds=definite", "--child-silent-after-fork=yes"]
        shell = shells.SqliteShell(self.build, env, folder, name, entry=case.entry, prefix=prefix,
                                   preload=self.preload)
        if self.engine == "window1":
            shell.set("concurrency", "1")
        for key, value in settings:
            shell.set(key, value)
        return shell

    def close(self):
        """Nothing outlives a session."""


def _sanitizer_runtime():
    """The runtime that a sanitized library needs in an unsanitized program."""
    for name in ("libasan.so", "libclang_rt.asan-x86_64.so"):
        path = subprocess.run(["gcc", "-print-file-name=" + name], capture_output=True, text=True,
                              check=True).stdout.strip()
        if os.path.isabs(path):
            return os.path.realpath(path)
    found = glob.glob("/usr/lib/gcc/*/*/libasan.so")
    if not found:
        raise SystemExit("no AddressSanitizer runtime found for the asan engine")
    return os.path.realpath(found[-1])


class PgHost:
    """Makes psql sessions in a private cluster."""

    name = "pg"

    # Settings that belong to the user mapping; the others are options of the server.
    MAPPING = {"client_id", "client_secret", "identifier"}
    VARIABLES = {"SCALEKIT_ENV_URL": "env_url", "SCALEKIT_CLIENT_ID": "client_id",
                 "SCALEKIT_CLIENT_SECRET": "client_secret", "CLOSE_CONNECTION": "connection",
                 "CLOSE_IDENTIFIER": "identifier", "CLOSE_CA_FILE": "ca_file"}

    def __init__(self, build, engine="normal"):
        import pgcluster  # only this host needs it
        self.engine = engine
        self.cluster = pgcluster.Cluster(build)
        self.version = self.cluster.version
        self._prepared = set()

    def session(self, server, case, env_extra, settings, folder, name):
        database = "w" + name.split("-")[0]
        if database not in self._prepared:
            self.cluster.create_database(database)
            self._prepared.add(database)
        shell = shells.PsqlShell(self.cluster, database, folder, name)
        options = {
            "env_url": server.url, "client_id": standin.CLIENT_ID,
            "client_secret": standin.CLIENT_SECRET, "connection": standin.CONNECTION,
            "identifier": standin.IDENTIFIER,
        }
        for key, value in env_extra.items():
            options[self.VARIABLES[key]] = value
        if self.engine == "window1":
            options["concurrency"] = "1"
        options.update(settings)
        outcome = shell.run(self._setup(options))
        if outcome.errors:
            shell.close()
            raise shells.ShellDied("setting up: " + outcome.stderr)
        return shell

    def _setup(self, settings):
        def options(names):
            given = [f"{key} {_quote(value)}" for key, value in settings.items()
                     if key in names and value not in ("", "NULL")]
            return f" OPTIONS ({', '.join(given)})" if given else ""

        server = set(settings) - self.MAPPING
        return ("SET client_min_messages = warning;\n"
                "DROP SERVER IF EXISTS close CASCADE;\n"
                f"CREATE SERVER close FOREIGN DATA WRAPPER close{options(server)};\n"
                f"CREATE USER MAPPING FOR CURRENT_USER SERVER close{options(self.MAPPING)};\n"
                "IMPORT FOREIGN SCHEMA close FROM SERVER close INTO public;\n"
                "SET client_min_messages = notice;")

    def close(self):
        self.cluster.stop()


def _quote(value):
    return "'" + value.replace("'", "''") + "'"


def private_folder():
    """A folder for one run, removed with its object."""
    folder = tempfile.TemporaryDirectory(prefix="close-test-")
    os.chmod(folder.name, 0o755)
    return folder
