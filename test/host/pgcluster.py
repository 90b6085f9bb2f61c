"""A PostgreSQL cluster of our own: never the machine's, gone when the run ends.

PostgreSQL before 18 looks for extensions only in its installation. To test what lies in the build
folder without installing it, the installation is mirrored: a private tree with the same relative
layout holds copies of the few programs and links to everything else, plus our files. PostgreSQL
finds its folders relative to the program that runs, so the mirrored server sees the extension and
the machine's own server does not.

The server listens on a Unix socket inside the private folder and nowhere else. It refuses to run as
root; then an unprivileged user is borrowed for it.
"""

import glob
import os
import pwd
import re
import shutil
import subprocess
import tempfile

PROGRAMS = ("postgres", "initdb", "pg_ctl", "psql", "pg_dump")
SETTINGS = """
listen_addresses = ''
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 30
shared_buffers = 16MB
timezone = 'UTC'
logging_collector = off
log_min_messages = warning
lc_messages = 'C'
"""


class ClusterError(Exception):
    """The cluster could not be made or started; the text has the server's words."""


def _user():
    """None when we may run the server ourselves, else the name of an unprivileged user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
            return name
        except KeyError:
            continue
    raise ClusterError("no unprivileged user to run PostgreSQL as")


class Cluster:
    """A running private cluster; stop() removes it."""

    def __init__(self, build, pg_config="pg_config", settings="", preload=None):
        self.pg_config = pg_config
        self.user = _user()
        self._folder = tempfile.mkdtemp(prefix="close-pg-")
        os.chmod(self._folder, 0o755)
        try:
            self.bindir = self._mirror()
            self._install(os.path.abspath(build))
            self.psql = os.path.join(self.bindir, "psql")
            self.data = os.path.join(self._folder, "data")
            self.socket = self._folder
            if self.user:
                shutil.chown(self._folder, self.user)
            self._run([os.path.join(self.bindir, "initdb"), "-D", self.data, "-A", "trust", "-U",
                       "owner", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
            self._configure(settings, preload)
            self.start()
        except BaseException:
            self.stop()
            raise

    def _config(self, name):
        return subprocess.run([self.pg_config, "--" + name], capture_output=True, text=True,
                              check=True).stdout.strip()

    @property
    def version(self):
        """(15, 4) from "PostgreSQL 15.4 (Debian ...)", (19,) from "PostgreSQL 19rc1"."""
        return tuple(int(part) for part in re.match(r"[\d.]+", self._config("version").split()[1])
                     .group().split("."))

    # --- the mirrored installation ----------------------------------------------------------------

    def _mirror(self):
        """Copies of the programs, links to the rest; returns the folder of the programs."""
        bindir = self._config("bindir")
        mirrored = self._folder + bindir
        os.makedirs(mirrored)
        for program in PROGRAMS:
            source = os.path.join(bindir, program)
            if not os.path.exists(source):
                raise FileNotFoundError(f"{source} is missing: install the PostgreSQL server")
            shutil.copy(source, mirrored)
        self._link_all(self._config("pkglibdir"), ())
        self._link_all(self._config("sharedir"), ("extension",))
        self._link_all(os.path.join(self._config("sharedir"), "extension"), ())
        return mirrored

    def _link_all(self, folder, leave_out):
        target = self._folder + folder
        os.makedirs(target, exist_ok=True)
        for name in os.listdir(folder):
            path = os.path.join(target, name)
            # An installed copy of this extension must not stand in for the built one.
            if name not in leave_out and not name.startswith("close") and not os.path.lexists(path):
                os.symlink(os.path.join(folder, name), path)

    def _install(self, build):
        """The built module, the control file and the scripts."""
        module = os.path.join(build, "pg", "close.so")
        if not os.path.exists(module):
            raise FileNotFoundError(f"{module} is missing: run make pg")
        shutil.copy(module, self._folder + self._config("pkglibdir"))
        extension = self._folder + os.path.join(self._config("sharedir"), "extension")
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        scripts = glob.glob(os.path.join(build, "pg", "close--*.sql")) + \
            glob.glob(os.path.join(root, "sql", "close--*--*.sql"))
        if not scripts:
            raise FileNotFoundError(f"no close--*.sql in {build}/pg: run make pg")
        for path in [os.path.join(root, "pg_ext", "close.control"), *scripts]:
            shutil.copy(path, extension)

    # --- the server -----------------------------------------------------------------------------

    def environment(self):
        """What clients need to reach this cluster, and nothing that leads to another."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy",
                     "ALL_PROXY"):
            env.pop(name, None)
        env.update(PGHOST=self.socket, PGPORT="5432", PGUSER="owner", PGDATABASE="postgres",
                   PSQLRC="/dev/null", LC_ALL="C.UTF-8")
        return env

    def _run(self, command, check=True):
        if self.user:
            command = ["runuser", "-u", self.user, "--", *command]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment(),
                              cwd="/")
        if check and done.returncode:
            raise ClusterError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done

    def _configure(self, settings, preload):
        text = SETTINGS + f"unix_socket_directories = '{self.socket}'\n" + settings + "\n"
        if preload:
            text += f"shared_preload_libraries = '{preload}'\n"
        path = os.path.join(self.data, "postgresql.conf")
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)

    @property
    def log(self):
        return os.path.join(self._folder, "server.log")

    def start(self):
        done = self._run([os.path.join(self.bindir, "pg_ctl"), "-D", self.data, "-l", self.log, "-w",
                          "-s", "start"], check=False)
        if done.returncode:
            words = ""
            if os.path.exists(self.log):
                with open(self.log, encoding="utf-8", errors="replace") as file:
                    words = file.read()[-2000:]
            raise ClusterError(f"the server did not start\n{done.stderr}{words}")

    def halt(self, mode="fast"):
        """Stops the server and keeps its data; "immediate" is a crash."""
        self._run([os.path.join(self.bindir, "pg_ctl"), "-D", self.data, "-m", mode, "-w", "-s",
                   "stop"], check=False)

    def sql(self, statement, database="postgres", user="owner"):
        """Runs statements as a script; raises with the server's words when one fails."""
        done = subprocess.run([self.psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U",
                               user, "-d", database], input=statement, capture_output=True,
                              text=True, env=self.environment(), check=False)
        if done.returncode:
            raise ClusterError(done.stderr)
        return done.stdout

    def create_database(self, name, extension=True):
        self.sql(f'CREATE DATABASE "{name}";')
        if extension:
            self.sql("CREATE EXTENSION close;", name)

    def stop(self):
        """Stops the server and removes everything. Safe to call twice."""
        if getattr(self, "data", None) and os.path.exists(os.path.join(self.data, "postmaster.pid")):
            self.halt("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
