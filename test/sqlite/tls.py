"""TLS, HTTP/2 and proxies: what is trusted, what is refused before a credential leaves, what is reused.

The stand-in speaks plain HTTP, so each test puts a front before it: `Front` ends TLS itself and passes the
bytes on (HTTP/1.1), nghttpx does the same for HTTP/2; it and the certificates, made once per run, come from
test/host/tlsfront.py. `Together` speaks HTTP/2 itself, where it matters which bytes arrive at once. A front
counts what it decrypts: "nothing was sent" means that it saw no byte of a request, not only that the
service logged none.
"""

import contextlib
import http.client
import json
import os
import select
import socket
import ssl
import threading

import bench
import tlsfront  # found by the path that bench sets

HINT = "set ca_file to its certificate"
CREATE = "SELECT close_lead_create('Made over TLS') ->> 'id'"


def certificates(b):
    return tlsfront.certificates(os.path.join(b.folder, "tls"))


# --- fronts -----------------------------------------------------------------------------------------

class Listener:
    """A port of this machine; each connection is served by a thread until either side ends it."""

    def __init__(self):
        self.connections = 0
        self._open = set()
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
            threading.Thread(target=self._guarded, args=(client,), daemon=True).start()

    def _guarded(self, client):
        with contextlib.suppress(OSError, ssl.SSLError), client:
            self.serve(client)

    def keep(self, *sockets):
        """The sockets that `drop` cuts."""
        with self._lock:
            self._open.update(sockets)

    def drop(self):
        """Cuts every connection without a word of farewell, as a killed process does."""
        with self._lock:
            for item in self._open:
                with contextlib.suppress(OSError):
                    # Not SSLSocket.shutdown, which would pull its state from under the thread.
                    socket.socket.shutdown(item, socket.SHUT_RDWR)
            self._open.clear()

    def stop(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.drop()
        self._thread.join()

    def serve(self, client):
        raise NotImplementedError

    def passed(self, data):
        """Told of every piece that goes from the client to the service."""

    def relay(self, client, upstream):
        """Both directions until one side ends. One thread: a TLS object bears no more."""
        self.keep(client, upstream)
        while True:
            waiting = isinstance(client, ssl.SSLSocket) and client.pending()
            ready = [client] if waiting else select.select([client, upstream], [], [])[0]
            for source, target in ((client, upstream), (upstream, client)):
                if source not in ready:
                    continue
                data = source.recv(65536)
                if not data:
                    return
                if source is client:
                    self.passed(data)
                target.sendall(data)


class Front(Listener):
    """TLS before the stand-in, with one of the certificates."""

    def __init__(self, b, certificate="here", host="127.0.0.1"):
        folder = certificates(b)
        self._service = b.server.url.rsplit(":", 1)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(os.path.join(folder, f"{certificate}.pem"),
                                      os.path.join(folder, f"{certificate}.key"))
        self.received = 0
        super().__init__()
        self.url = f"https://{host}:{self.port}"

    def serve(self, client):
        with self._context.wrap_socket(client, server_side=True) as tls, \
                socket.create_connection(("127.0.0.1", int(self._service[1]))) as upstream:
            self.relay(tls, upstream)

    def passed(self, data):
        self.received += len(data)


class Proxy(Listener):
    """A forward proxy that connects every CONNECT to one port of this machine, or refuses them."""

    def __init__(self, port=None):
        self._target = port
        self.heads = []
        self.bytes = b""
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(4096)
            if not piece:
                return
            head += piece
        self.heads.append(head.decode("latin-1"))
        if self._target is None or not head.startswith(b"CONNECT "):
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self._target)) as upstream:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            self.relay(client, upstream)

    def passed(self, data):
        self.bytes += data


H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
H2_DATA, H2_HEADERS, H2_SETTINGS, H2_PING = 0, 1, 4, 6
H2_END_STREAM, H2_ACK, H2_END_HEADERS = 1, 1, 4
TLS_RECORD = 16384


def h2_frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def h2_head(stream, length):
    """The headers of a success: names by their numbers in the table of HPACK, values as they are."""
    digits = str(length).encode()
    kind = b"application/json"
    return h2_frame(H2_HEADERS, H2_END_HEADERS, stream,
                    b"\x88\x0f\x10" + bytes((len(kind),)) + kind + b"\x0f\x0d" + bytes((len(digits),)) + digits)


def exactly(tls, size):
    data = b""
    while len(data) < size:
        piece = tls.recv(size - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
    return data


def h2_requests(tls):
    """(stream, body) of each request that is complete; acknowledges what asks for it. Ends with an error."""
    bodies = {}
    exactly(tls, len(H2_PREFACE))
    while True:
        head = exactly(tls, 9)
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        payload = exactly(tls, int.from_bytes(head[:3], "big"))
        if kind in (H2_SETTINGS, H2_PING) and not flags & H2_ACK:
            tls.sendall(h2_frame(kind, H2_ACK, 0, payload if kind == H2_PING else b""))
        elif kind == H2_DATA:
            bodies[stream] = bodies.get(stream, b"") + payload
            if flags & H2_END_STREAM:
                yield stream, bodies.pop(stream)


class Together(Listener):
    """HTTP/2 over TLS before the stand-in, by hand and just enough of it: requests of tools are held back until
    as many are there as `counts` says next, and their answers are written together. `arrange` makes of the
    answers, by stream, the TLS records that carry them (TLS_RECORD bytes at most, or one would become two)."""

    def __init__(self, b, counts, arrange):
        folder = certificates(b)
        self._service = int(b.server.url.rsplit(":", 1)[1])
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(os.path.join(folder, "here.pem"), os.path.join(folder, "here.key"))
        self._context.set_alpn_protocols(["h2"])
        self._counts = iter(counts)
        self.batches = []
        self._arrange = arrange
        self._bearer = None
        super().__init__()
        self.url = f"https://127.0.0.1:{self.port}"

    def serve(self, client):
        held, count = {}, next(self._counts, 0)
        with self._context.wrap_socket(client, server_side=True) as tls:
            self.keep(tls)
            tls.sendall(h2_frame(H2_SETTINGS, 0, 0))
            for stream, body in h2_requests(tls):
                if body[:1] == b"{":
                    held[stream] = body
                else:
                    text = self.ask("/oauth/token", body, "x-www-form-urlencoded")
                    self._bearer = json.loads(text)["access_token"]
                    tls.sendall(h2_head(stream, len(text)) + h2_frame(H2_DATA, H2_END_STREAM, stream, text))
                if held and len(held) == count:
                    self.answer(tls, held)
                    held, count = {}, next(self._counts, 0)

    def ask(self, path, body, kind, **more):
        """The answer of the service to a POST."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._service)) as upstream:
            upstream.request("POST", path, body, {"Content-Type": "application/" + kind, **more})
            return upstream.getresponse().read()

    def answer(self, tls, held):
        self.batches.append(len(held))
        bearer = {"Authorization": "Bearer " + self._bearer}
        answers = {stream: self.ask("/api/v1/execute_tool", body, "json", **bearer)
                   for stream, body in held.items()}
        # The client must not see one record without the next: the kernel keeps them for one segment.
        tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for record in self._arrange(answers):
            tls.sendall(record)
        tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


def trusting(b, url, authority="ca", **changes):
    """A shell for a service behind TLS."""
    return b.shell(SCALEKIT_ENV_URL=url, CLOSE_CA_FILE=os.path.join(certificates(b), authority + ".pem"),
                   **changes)


def refused(b, session, front, sql, pattern):
    """`sql` fails before anything is sent."""
    _, text = session.error(sql)
    b.expect_match(pattern, text, sql)
    b.expect(bench.SECRET in text, False, text)
    b.expect(front.received, 0, "bytes of requests")
    b.expect(b.server.log(), [], "requests at the service")
    return text


def leads_named(b, name):
    return sum(lead["name"] == name for lead in b.server.objects("leads"))


# --- trust ---------------------------------------------------------------------------------------------

def test_an_unknown_authority_is_refused(b):
    with Front(b) as front:
        for authority in (None, "stranger"):
            path = authority and os.path.join(certificates(b), authority + ".pem")
            with b.shell(SCALEKIT_ENV_URL=front.url, CLOSE_CA_FILE=path) as s:
                for sql in ("SELECT count(*) FROM close_leads", CREATE):
                    text = refused(b, s, front, sql, "^close_[a-z_]+: NET: .*no trusted connection")
                    b.expect_in(HINT, text)
        b.expect(front.connections > 0, True, "the front was asked")
        b.expect(leads_named(b, "Made over TLS"), 0)


def test_a_ca_file_makes_it_work(b):
    for made, host in enumerate(("127.0.0.1", "localhost")):
        with Front(b, host=host) as front, trusting(b, front.url) as s:
            b.expect(s.value("SELECT count(*) FROM close_leads"), bench.LEADS + made)
            lead = s.value(CREATE)
            b.expect(s.value(f"SELECT name FROM close_leads WHERE id = '{lead}'"), "Made over TLS")
            b.expect(front.received > 0, True, "the requests came through the front")
    b.expect(leads_named(b, "Made over TLS"), 2)


def test_a_ca_file_can_be_set_later(b):
    with Front(b) as front, b.shell(SCALEKIT_ENV_URL=front.url) as s:
        refused(b, s, front, "SELECT close_me_get()", "NET")
        path = os.path.join(certificates(b), "ca.pem")
        s.rows(f"SELECT close_config('ca_file', '{path}')")
        b.expect(s.value("SELECT close_me_get() IS NOT NULL"), 1)


def test_a_ca_file_that_cannot_be_read_is_named(b):
    folder = certificates(b)
    empty = os.path.join(folder, "empty.pem")
    with open(empty, "w", encoding="ascii"):
        pass
    with Front(b) as front:
        for path in (os.path.join(folder, "missing.pem"), empty):
            with b.shell(SCALEKIT_ENV_URL=front.url, CLOSE_CA_FILE=path) as s:
                refused(b, s, front, "SELECT close_me_get()", "^close_me_get: CONFIG: .*ca_file")


def test_a_certificate_of_another_host_is_refused(b):
    with Front(b, "elsewhere") as front, trusting(b, front.url) as s:
        for sql in ("SELECT count(*) FROM close_leads", CREATE):
            refused(b, s, front, sql, "^close_[a-z_]+: NET: .*no trusted connection")


def test_plain_http_is_for_this_machine_only(b):
    for url in ("http://service.example", "http://10.0.0.1:80", "http://127.0.0.1.service.example",
                "http://localhost.service.example"):
        with b.shell(SCALEKIT_ENV_URL=url) as s:
            _, text = s.error("SELECT close_me_get()")
            b.expect_match("CONFIG: .*SCALEKIT_ENV_URL.*must begin with https", text, url)
            _, text = s.error(f"SELECT close_config('env_url', '{url}')")
            b.expect_match("CONFIG: .*must begin with https", text, url)


def test_a_redirect_carries_nothing_to_another_host(b):
    with Front(b) as front, Front(b, host="localhost") as other:
        targets = (f"{other.url}/api/v1/execute_tool", f"http://127.0.0.1:{other.port}/")
        with trusting(b, front.url) as s:
            s.rows("SELECT close_me_get()")  # the token is there
            for sql in ("SELECT count(*) FROM close_leads", CREATE,
                        "SELECT close_request('GET', '/api/v1/me/')"):
                for location in targets:
                    _, text = redirected(b, s, "/", location, sql)
                    b.expect_match("^close_[a-z_]+: (PROTO|CONFIG): ", text, sql)
        for location in targets:
            with trusting(b, front.url) as s:  # the first request carries the client's secret
                _, text = redirected(b, s, "/oauth/token", location, "SELECT close_me_get()")
                b.expect_match("^close_me_get: (PROTO|CONFIG): ", text)
        b.expect(other.connections, 0, "connections to the target of the redirect")
    b.expect(leads_named(b, "Made over TLS"), 0)


def redirected(b, session, path, location, sql):
    """The error of a statement whose only request is answered by a redirect."""
    b.server.control("DELETE", "log")
    b.server.fault({"path": path, "kind": "redirect", "location": location, "times": 0})
    error = session.error(sql)
    b.server.control("DELETE", "faults")
    b.expect(len(b.server.log()), 1, f"{sql}: requests")
    return error


# --- connections ---------------------------------------------------------------------------------------

def killed_during(b, fault):
    """A create whose front goes away while the service holds it; the error and the number of leads."""
    before = len(b.server.objects("leads"))
    with Front(b) as front, trusting(b, front.url) as s:
        s.rows("CREATE TABLE t(x); BEGIN; INSERT INTO t VALUES (1);")
        b.server.fault({"tool": "close_lead_create", "kind": "delay", "ms": 300000, **fault})

        def kill():
            with contextlib.suppress(bench.Failure):
                b.until(lambda: any(entry["tool"] == "close_lead_create" for entry in b.server.log()),
                        "the create to arrive")
            front.stop()

        killer = threading.Thread(target=kill)
        killer.start()
        _, text = s.error(CREATE)
        killer.join()
        b.expect(s.value("SELECT count(*) FROM t"), 1, "the user's transaction")
        s.rows("COMMIT")
    sent = [entry for entry in b.server.log() if entry["tool"] == "close_lead_create"]
    b.expect(len(sent), 1, "the create was sent once")
    return text, len(b.server.objects("leads")) - before


def test_a_front_killed_during_a_write_leaves_at_most_one_object(b):
    text, made = killed_during(b, {"after": True})
    b.expect_match("^close_lead_create: UNCERTAIN: ", text)
    b.expect(made, 1)
    b.server.reset()
    b.server.control("DELETE", "log")
    text, made = killed_during(b, {})
    b.expect_match("^close_lead_create: UNCERTAIN: ", text)
    b.expect(made in (0, 1), True, made)


def test_connections_are_kept_and_replaced(b):
    with Front(b) as front, trusting(b, front.url) as s:
        s.rows("SELECT close_me_get()")
        for _ in range(5):
            s.rows("SELECT close_me_get()")
        b.expect(front.connections, 1, "connections for six calls and a token")
        front.drop()
        s.rows(CREATE)  # on a new connection, and once
        b.expect(front.connections, 2)
    b.expect(leads_named(b, "Made over TLS"), 1)


def test_http2_carries_a_scan_over_one_connection(b):
    if tlsfront.missing():
        print("skipped: HTTP/2 needs", *tlsfront.missing())
        return
    with tlsfront.Nghttpx(certificates(b), b.server.url) as front, trusting(b, front.url) as s:
        s.rows("SELECT close_config('page_size', 5)")
        b.server.config({"latency_ms": 20})
        b.expect(s.value("SELECT count(name) FROM close_leads"), bench.LEADS)
        pages = [entry for entry in b.server.log() if entry["tool"] == "close_leads_list"]
        b.expect(len(pages) >= bench.LEADS // 5, True, f"{len(pages)} pages")
        b.expect(b.server.stats()["max_inflight"] > 1, True, "pages at the same time")
        made = s.value(CREATE)
        b.expect(s.value(f"SELECT name FROM close_leads WHERE id = '{made}'"), "Made over TLS")
        b.until(lambda: len(front.requests()) >= len(pages) + 3, "the front's log")
        seen = front.requests()
    b.expect({protocol for _, protocol in seen}, {"h2"})
    b.expect(len({client for client, _ in seen}), 1, "connections")


class Rotating:
    """Each time another one of the streams gets an answer longer than libcurl's buffer of 16,384 bytes. All but
    its last thousand bytes are the first record; the second has those, and after them all other answers."""

    def __init__(self):
        self._turn = 0

    def __call__(self, answers):
        if len(answers) == 1:
            (stream, text), = answers.items()
            return [h2_head(stream, len(text)) + h2_frame(H2_DATA, H2_END_STREAM, stream, text)]
        long = list(answers)[self._turn % len(answers)]
        self._turn += 1
        text = answers[long].ljust(17000)  # white space after a JSON text says nothing
        first = h2_head(long, len(text)) + h2_frame(H2_DATA, 0, long, text[:-1000])
        second = h2_frame(H2_DATA, H2_END_STREAM, long, text[-1000:])
        for stream, text in answers.items():
            if stream != long:
                second += h2_head(stream, len(text)) + h2_frame(H2_DATA, H2_END_STREAM, stream, text)
        if max(len(first), len(second)) > TLS_RECORD:
            raise bench.Failure(f"{len(first)} and {len(second)} bytes are more than two TLS records")
        return [first, second]


def test_answers_that_libcurl_holds_over_http2_are_taken(b):
    """libcurl 7.88.1 stops taking frames apart when the buffer of a stream is full. If that stream then ends by
    its Content-Length, nothing makes libcurl go on: no socket is ready and no timer set, and the answers behind it
    stay where they are until somebody asks. Only the stream that libcurl happens to read for is exempt, so the
    long answer goes to another one each time."""
    with Together(b, [1, *[8] * 7, 3], Rotating()) as front, trusting(b, front.url) as s:
        s.rows("SELECT close_config('page_size', 1), close_config('timeout_ms', 15000)")
        b.expect(s.value("SELECT count(name) FROM close_leads"), bench.LEADS)
        b.expect(s.value("SELECT value FROM close_stats WHERE name = 'retries'"), 0, "retries")
        b.expect(front.batches, [1, *[8] * 7, 3], "answers together")


# --- proxies -------------------------------------------------------------------------------------------

def test_a_proxy_is_used_for_https(b):
    for variable in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        with Front(b, "elsewhere") as front, Proxy(front.port) as proxy, \
                trusting(b, f"https://{tlsfront.ELSEWHERE}:4443", **{variable: proxy.url}) as s:
            b.expect(s.value("SELECT count(*) FROM close_leads"), bench.LEADS, variable)
            b.expect({head.split("\r\n")[0] for head in proxy.heads},
                     {f"CONNECT {tlsfront.ELSEWHERE}:4443 HTTP/1.1"}, variable)
            for secret in ("authorization", "bearer", bench.SECRET):
                b.expect(secret in "".join(proxy.heads).lower(), False, f"{secret} in the CONNECT")
            b.expect(b"HTTP/1.1\r\n" in proxy.bytes, False, "the proxy sees ciphertext only")


def test_a_proxy_that_refuses_is_named(b):
    with Front(b) as front, Proxy() as proxy, trusting(b, front.url, https_proxy=proxy.url) as s:
        for sql in ("SELECT count(*) FROM close_leads", CREATE):
            refused(b, s, front, sql, "^close_[a-z_]+: NET: .*407")
        b.expect(front.connections, 0, "nothing goes around the proxy")


def test_no_proxy_exempts_a_host(b):
    with Front(b) as front, Proxy() as proxy, \
            trusting(b, front.url, https_proxy=proxy.url, no_proxy="127.0.0.1") as s:
        b.expect(s.value("SELECT close_me_get() IS NOT NULL"), 1)
        b.expect(proxy.connections, 0)


def test_no_proxy_sees_plain_http_of_this_machine(b):
    with Proxy() as proxy:
        names = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"), proxy.url)
        with b.shell(**names) as s:
            b.expect(s.value("SELECT count(*) FROM close_leads"), bench.LEADS)
        b.expect(proxy.connections, 0)
