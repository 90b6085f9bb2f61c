"""TLS before the stand-in, which speaks plain HTTP: certificates of an own authority, and nghttpx.

nghttpx (Debian: nghttp2-proxy) ends TLS and speaks HTTP/2 or HTTP/1.1 with the client, as it is told, and
HTTP/1.1 with the service behind it. The certificates are made by the openssl program, good for two days.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time

ELSEWHERE = "service.example"  # a name that no resolver knows
PROGRAMS = {"nghttpx": "nghttp2-proxy", "openssl": "openssl"}
GIVE_UP_SECONDS = 60


class FrontError(Exception):
    """A program that is needed is missing or does not work."""


def missing():
    """What a front needs and this machine lacks, as Debian packages."""
    return [package for program, package in PROGRAMS.items() if shutil.which(program) is None]


def _openssl(folder, *words):
    done = subprocess.run(["openssl", *words], cwd=folder, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise FrontError(f"openssl {words[0]}: {done.stdout}")


def certificates(folder):
    """Fills the new `folder` with ca.pem, stranger.pem (another authority), here.pem/.key for this machine's
    names and elsewhere.pem/.key for another one; does nothing when it is there. Returns it."""
    if os.path.isdir(folder):
        return folder
    os.mkdir(folder)
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for name in ("ca", "stranger"):
        _openssl(folder, "req", "-x509", *new_key, "-subj", f"/CN=Test {name}", "-days", "2",
                 "-keyout", f"{name}.key", "-out", f"{name}.pem")
    for name, names in (("here", "DNS:localhost,IP:127.0.0.1"), ("elsewhere", f"DNS:{ELSEWHERE}")):
        with open(os.path.join(folder, f"{name}.ext"), "w", encoding="ascii") as file:
            file.write(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
        _openssl(folder, "req", "-new", *new_key, "-subj", f"/CN=Test {name}", "-keyout", f"{name}.key",
                 "-out", f"{name}.csr")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                 "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    return folder


class Nghttpx:
    """A running nghttpx before the service at `service_url`, with the certificate `here` of `folder`. Use
    it as a context manager or call stop(). `protocols` are what it offers, best first."""

    def __init__(self, folder, service_url, protocols="h2,http/1.1"):
        self._folder = folder
        self._arguments = [
            "nghttpx", "--conf=/dev/null", "--single-process", "--workers=1", "--no-ocsp",
            "--backend=127.0.0.1," + service_url.rsplit(":", 1)[1], "--npn-list=" + protocols,
            "--errorlog-file=/dev/null", "--accesslog-format=$remote_port $alpn"]
        for _ in range(5):  # it cannot choose a port itself: another program may be faster
            if self._start():
                return
        raise FrontError("nghttpx does not start")

    def _start(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.url = f"https://127.0.0.1:{port}"
        self._log = os.path.join(self._folder, f"nghttpx-{port}.log")
        self._process = subprocess.Popen(
            [*self._arguments, f"--frontend=127.0.0.1,{port}", "--accesslog-file=" + self._log,
             "here.key", "here.pem"],
            cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + GIVE_UP_SECONDS
        while self._process.poll() is None and time.monotonic() < end:
            if _answers(port):
                return True
            time.sleep(0.01)
        self.stop()
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def requests(self):
        """(port of the client, protocol) for each request that was answered. Asking twice gives no less; a
        request may be answered a moment before it is here."""
        with open(self._log, encoding="ascii") as file:
            return [tuple(line.split()) for line in file if line.endswith("\n")]

    def stop(self):
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(FileNotFoundError):
            os.remove(self._log)


def _answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except OSError:
        return False
    return True
