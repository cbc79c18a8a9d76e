"""The management API over HTTP: what is asked well, what is asked badly, and what is asked slowly."""
import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import brokers

GUEST = "Basic " + base64.b64encode(b"guest:guest").decode()


def ask(broker, method, path, body=None, headers=None, login=GUEST):
    """Status, headers in lower case, body."""
    conn = http.client.HTTPConnection(broker.http, timeout=20)
    headers = {**({"Authorization": login} if login else {}), **(headers or {})}
    try:
        conn.request(method, path, body, headers)
        answer = conn.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        conn.close()


def get(broker, path):
    status, _, body = ask(broker, "GET", path)
    assert status == 200, (path, body)
    return json.loads(body)


def raw(broker):
    host, port = broker.http.rsplit(":", 1)
    return socket.create_connection((host, int(port)), 20)


def read_all(sock):
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
    except (ConnectionResetError, TimeoutError):
        pass
    return data


def test_the_api_is_in_the_ready_line_and_says_who_asks(broker):
    status, headers, body = ask(broker, "GET", "/api/whoami")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == {"name": "guest", "tags": ["administrator"], "is_internal_user": True}


def test_head_says_what_get_would(broker):
    _, wanted, body = ask(broker, "GET", "/api/version")
    status, headers, nothing = ask(broker, "HEAD", "/api/version")
    assert (status, nothing, headers["content-length"]) == (200, b"", str(len(body)))


def test_a_method_that_is_not_there_is_told_which_are(broker):
    for method, wanted in (("DELETE", 405), ("PATCH", 405), ("OPTIONS", 200)):
        status, headers, _ = ask(broker, method, "/api/whoami")
        assert (status, headers["allow"]) == (wanted, "HEAD, GET, OPTIONS")


@pytest.mark.parametrize("login", [None, "Basic", "Basic !!!", "Basic Zm9v", "Bearer x",
                                   "Basic " + base64.b64encode(b"guest:wrong").decode(),
                                   "Basic " + base64.b64encode(b"\xff\x00:\x00").decode(),
                                   "Basic " + "A" * 5000])
def test_who_is_not_known_learns_nothing(broker, login):
    status, headers, body = ask(broker, "GET", "/api/overview", login=login)
    assert status == 401 and b"version" not in body
    assert login is not None or "basic" in headers["www-authenticate"].lower()


def test_every_list_is_a_list(broker):
    for name in ("queues", "exchanges", "bindings", "connections", "channels", "consumers", "vhosts",
                 "users", "permissions", "nodes", "feature-flags"):
        assert isinstance(get(broker, f"/api/{name}"), list), name


def test_names_of_any_kind_travel_in_paths(broker):
    for name in ("a b", "slash/in", "per%cent", "plus+", "quote\"'", "umlaut-\u00e4", "\u65e5\u672c", "?&#"):
        path = "/api/queues/%2F/" + "".join(f"%{b:02X}" for b in name.encode())
        status, _, body = ask(broker, "PUT", path, "{}")
        assert status in (201, 204), body
        assert get(broker, path)["name"] == name
        assert ask(broker, "DELETE", path)[0] == 204


@pytest.mark.parametrize("target", ["/api/%2", "/api/%zz", "//api//whoami", "/api/whoami/" + "x/" * 50,
                                    "/", "/api", "*", "/api/../etc/passwd", "/api/" + "a" * 10000])
def test_a_path_that_is_none_is_not_found(broker, target):
    status, _, _ = ask(broker, "GET", target)
    assert status in (400, 404, 414)


@pytest.mark.parametrize("target", ["/api/whoami?a=%zz", "/api/queues?page=0", "/api/queues?page=1&page_size=1000",
                                    "/api/queues?page=2", "/api/queues?page=%00"])
def test_a_query_that_is_wrong_is_refused(broker, target):
    assert ask(broker, "GET", target)[0] == 400


@pytest.mark.parametrize("body", ["{", "[1,2", "null x", "\xff\xfe", '{"a":1,"a":2}', "[" * 100_000,
                                  '{"arguments":' * 3000])
def test_a_body_that_is_no_json_is_refused(broker, body):
    status, _, answer = ask(broker, "PUT", "/api/queues/%2F/never", body.encode("latin-1"))
    assert (status, json.loads(answer)["error"]) == (400, "bad_request")


def test_a_body_over_the_limit_is_refused_before_it_is_read(broker):
    with raw(broker) as sock:
        sock.sendall(f"PUT /api/queues/%2F/big HTTP/1.1\r\nHost: x\r\nAuthorization: {GUEST}\r\n"
                     "Content-Length: 99999999999\r\n\r\n".encode())
        assert b"400 Bad Request" in read_all(sock)


def test_a_large_body_of_a_stranger_is_thrown_away(broker):
    before = broker.rss_mib()
    status, _, _ = ask(broker, "PUT", "/api/queues/%2F/big", b"x" * (15 << 20), login=None)
    assert status == 401
    assert broker.rss_mib() < before + 8
    status, _, answer = ask(broker, "PUT", "/api/queues/%2F/big", b"x" * (15 << 20))
    assert (status, json.loads(answer)["reason"]) == (400, "not_json")


def test_a_chunked_body_over_the_limit_is_refused(broker):
    def pieces():
        for _ in range(25):
            yield b"x" * (1 << 20)

    status, _, answer = ask(broker, "PUT", "/api/queues/%2F/big", pieces())
    assert (status, json.loads(answer)["error"]) == (400, "bad_request")


def test_a_connection_serves_many_requests(broker):
    conn = http.client.HTTPConnection(broker.http, timeout=20)
    for _ in range(200):
        conn.request("GET", "/api/version", headers={"Authorization": GUEST})
        answer = conn.getresponse()
        assert (answer.status, answer.will_close) == (200, False)
        answer.read()
    conn.close()


def test_requests_that_come_at_once_are_answered_in_order(broker):
    with raw(broker) as sock:
        for i in range(20):
            path = "/api/version" if i % 2 else "/api/whoami"
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {GUEST}\r\n"
                         f"{'Connection: close' if i == 19 else 'X: y'}\r\n\r\n".encode())
        parts = read_all(sock).split(b"HTTP/1.1 200 OK")[1:]
    assert len(parts) == 20
    assert all((b'"guest"' in part) == (i % 2 == 0) for i, part in enumerate(parts))


def test_who_shuts_down_his_side_is_still_answered(broker):
    with raw(broker) as sock:
        sock.sendall(f"GET /api/version HTTP/1.1\r\nHost: x\r\nAuthorization: {GUEST}\r\n"
                     "Connection: close\r\n\r\n".encode())
        sock.shutdown(socket.SHUT_WR)
        assert b"200 OK" in read_all(sock)


def test_who_goes_away_before_the_answer_disturbs_nobody(broker):
    for _ in range(200):
        with raw(broker) as sock:
            sock.sendall(f"GET /api/overview HTTP/1.1\r\nHost: x\r\nAuthorization: {GUEST}\r\n\r\n".encode())
    assert get(broker, "/api/whoami")["name"] == "guest"


def test_a_slow_client_does_not_hold_up_others(broker):
    with raw(broker) as slow:
        for byte in b"GET /api/version HTTP/1.1\r\n":
            slow.sendall(bytes([byte]))
            assert get(broker, "/api/whoami")["name"] == "guest"
        slow.sendall(f"Host: x\r\nAuthorization: {GUEST}\r\nConnection: close\r\n\r\n".encode())
        assert b"200 OK" in read_all(slow)


def test_garbage_is_not_answered_with_anything_good(broker):
    for junk in (bytes(range(256)) * 40, b"\x16\x03\x01\x00\xc8" + b"x" * 500,
                 b"GET /api/version HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"A" * 100_000):
        with raw(broker) as sock:
            sock.settimeout(1)  # what has no end of line may be the beginning of something
            try:
                sock.sendall(junk)
            except OSError:
                pass
            assert b"200 OK" not in read_all(sock)
    assert get(broker, "/api/whoami")["name"] == "guest"


def test_several_clients_at_once_are_all_answered(broker):
    failed = []

    def work():
        conn = http.client.HTTPConnection(broker.http, timeout=20)
        for _ in range(50):
            conn.request("GET", "/api/overview", headers={"Authorization": GUEST})
            answer = conn.getresponse()
            if answer.status != 200 or not json.loads(answer.read())["rabbitmq_version"]:
                failed.append(answer.status)
        conn.close()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_prometheus_is_answered_without_a_log_in(broker):
    status, headers, body = ask(broker, "GET", "/metrics", login=None)
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"\nrabbitmq_queues " in body and b"\npabal_commits_total " in body


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not there: Debian's prometheus has it")
@pytest.mark.parametrize("path", ["/metrics", "/metrics/per-object",
                                  "/metrics/detailed?family=queue_coarse_metrics&family=vhost_status"])
def test_promtool_finds_nothing_to_say(broker, path):
    ask(broker, "PUT", "/api/queues/%2F/odd%22%5C%0Aname", "{}")
    _, _, body = ask(broker, "GET", path, login=None)
    said = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")


def test_counters_do_not_go_back_when_queues_are_deleted(broker):
    def published():
        lines = ask(broker, "GET", "/metrics", login=None)[2].decode().splitlines()
        return next(float(line.split()[-1]) for line in lines
                    if line.startswith("rabbitmq_global_messages_received_total{"))

    ask(broker, "PUT", "/api/queues/%2F/counted", "{}")
    before = published()
    body = {"properties": {}, "routing_key": "counted", "payload": "x", "payload_encoding": "string"}
    for _ in range(5):
        status, _, answer = ask(broker, "POST", "/api/exchanges/%2F/amq.default/publish", json.dumps(body))
        assert (status, json.loads(answer)) == (200, {"routed": True})
    ask(broker, "DELETE", "/api/queues/%2F/counted")
    assert published() >= before + 5


# ---- brokers of their own ----


def test_the_connections_have_a_limit(pabal):
    broker = pabal({"http.max.connections": "8", "http.idle.timeout": "5s"})
    socks = [raw(broker) for _ in range(20)]
    answered = 0
    for sock in socks:
        try:
            sock.settimeout(0.1)
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            answered += b"200 OK" in sock.recv(100)
        except OSError:
            pass
    assert 0 < answered <= 8
    for sock in socks:
        sock.close()
    brokers.wait_until(lambda: _is_served(broker), 10, what="room for a new connection")


def _is_served(broker):
    try:
        return get(broker, "/api/whoami")["name"] == "guest"
    except OSError:
        return False


def test_a_connection_that_says_nothing_is_closed(pabal):
    broker = pabal({"http.idle.timeout": "1s"})
    for said in (b"", b"GET /api/", b"\x00" * 1000):
        with raw(broker) as sock:
            sock.sendall(said)
            begun = time.monotonic()
            read_all(sock)
            assert time.monotonic() - begun < 8


def test_one_address_leaves_connections_to_others(pabal):
    broker = pabal({"http.max.connections": "8"})
    socks = [raw(broker) for _ in range(20)]
    brokers.wait_until(lambda: _is_served_from(broker, "127.0.0.2"), 5, what="another address")
    for sock in socks:
        sock.close()


def _is_served_from(broker, address):
    conn = http.client.HTTPConnection(broker.http, timeout=2, source_address=(address, 0))
    try:
        conn.request("GET", "/api/whoami", headers={"Authorization": GUEST})
        return conn.getresponse().status == 200
    except OSError:
        return False
    finally:
        conn.close()


LARGE = f"PUT /api/definitions HTTP/1.1\r\nHost: x\r\nAuthorization: {GUEST}\r\nContent-Length: 90000\r\n\r\n"


@pytest.mark.parametrize("said", ["", "GET /api/version HTTP/1.1\r\nX: ", LARGE, LARGE.replace(GUEST, "")],
                         ids=["line", "header", "body", "body of a stranger"])
def test_a_client_that_says_a_byte_now_and_then_is_closed(pabal, said):
    broker = pabal({"http.idle.timeout": "1s"})
    with raw(broker) as sock:
        sock.sendall(said.encode())
        begun = time.monotonic()
        while time.monotonic() - begun < 10 and not _is_closed_after(sock, b"x", 0.2):
            pass
        assert time.monotonic() - begun < 8
        assert get(broker, "/api/whoami")["name"] == "guest"


def _is_closed_after(sock, byte, wait_s):
    """The end, or an answer that says what was wrong, which is followed by the end."""
    try:
        sock.sendall(byte)
        sock.settimeout(wait_s)
        return sock.recv(1000) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_client_that_is_not_fast_is_served(pabal):
    broker = pabal({"http.idle.timeout": "1s"})
    body = b'{"queues": []' + b" " * 90000 + b"}"
    head = f"POST /api/definitions HTTP/1.1\r\nHost: x\r\nAuthorization: {GUEST}\r\n" \
           f"Content-Length: {len(body)}\r\n\r\n"
    with raw(broker) as sock:
        for _ in range(2):  # also after another request, and a while without one
            sock.sendall(head.encode())
            for at in range(0, len(body), 10000):
                sock.sendall(body[at:at + 10000])
                time.sleep(0.15)
            sock.settimeout(5)
            assert b" 204 " in sock.recv(1000)
            time.sleep(0.7)


def test_nothing_is_loaded_before_the_first_client(pabal):
    broker = pabal()
    assert "microhttpd" not in _maps(broker)
    get(broker, "/api/whoami")
    assert "microhttpd" in _maps(broker)


def _maps(broker):
    with open(f"/proc/{broker.process.pid}/maps") as maps:
        return maps.read()


def test_without_the_library_the_listener_closes_and_the_broker_goes_on(pabal, tmp_path):
    (tmp_path / "libmicrohttpd.so.12").touch()  # none that could be loaded
    broker = pabal(env={"LD_LIBRARY_PATH": str(tmp_path)})
    try:
        with raw(broker) as sock:
            assert read_all(sock) == b""
    except ConnectionResetError:
        pass  # the listener closed before the client knew that it was connected
    assert broker.wait_log("listener closed: port=")
    with pytest.raises(OSError):
        raw(broker)
    assert brokers.accepts(broker.amqp) and broker.stop() == 0


def test_an_idle_listener_burns_no_time(pabal):
    broker = pabal()
    with raw(broker) as idle:
        idle.sendall(f"GET /api/version HTTP/1.1\r\nHost: x\r\nAuthorization: {GUEST}\r\n\r\n".encode())
        idle.recv(1000)
        before = _cpu_ticks(broker)
        time.sleep(2)
        assert _cpu_ticks(broker) - before <= 2


def _cpu_ticks(broker):
    with open(f"/proc/{broker.process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_the_metrics_have_a_listener_of_their_own(pabal):
    port = brokers.free_ports(1)
    broker = pabal({"listener.metrics": f"127.0.0.1:{port}"})
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for path, wanted in (("/metrics", 200), ("/metrics/per-object", 200), ("/api/whoami", 404)):
        conn.request("GET", path, headers={"Authorization": GUEST})
        answer = conn.getresponse()
        assert (answer.status, bool(answer.read())) == (wanted, True)
    assert get(broker, "/api/health/checks/protocol-listener/http%2Fprometheus")["status"] == "ok"


def test_without_a_listener_there_is_only_the_control_socket(pabal):
    broker = pabal({"listener.http": "none"})
    assert broker.http is None
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(os.path.join(broker.data_dir, "control"))
        file = sock.makefile("rw")
        for path, wanted in (("/api/whoami", 200), ("/api/none", 404)):
            file.write(json.dumps({"command": "api", "method": "GET", "path": path}) + "\n")
            file.flush()
            assert json.loads(file.readline())["result"]["status"] == wanted
        file.write(json.dumps({"command": "api", "method": "PUT", "path": "/api/queues/%2F/q",
                               "body": {"durable": True}}) + "\n")
        file.flush()
        assert json.loads(file.readline()) == {"ok": True, "result": {"status": 201}}


def test_a_stop_waits_for_what_is_under_way_and_not_for_what_is_slow(pabal):
    broker = pabal()
    with raw(broker) as slow, raw(broker) as idle:
        slow.sendall(b"GET /api/")
        idle.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in idle.recv(100)
        begun = time.monotonic()
        broker.process.send_signal(signal.SIGTERM)
        assert broker.process.wait(10) == 0
        assert time.monotonic() - begun < 3


def test_what_was_answered_survives_a_kill(pabal):
    broker = pabal()
    assert ask(broker, "PUT", "/api/queues/%2F/kept", '{"durable":true}')[0] == 201
    assert ask(broker, "PUT", "/api/users/u", '{"password":"p","tags":"management"}')[0] == 201
    broker.kill()
    broker.start()
    assert get(broker, "/api/queues/%2F/kept")["durable"] is True
    assert get(broker, "/api/users/u")["tags"] == ["management"]


@pytest.mark.parametrize("piece, end", [("[", "]"), ('{"a":', "}")])
def test_what_nests_deep_is_refused_before_anybody_reads_it(broker, piece, end):
    for login in (None, GUEST):
        for depth, closes in ((700, True), (3000, False)):
            body = '{"value":' + piece * depth + (("1" + end * depth + "}") if closes else "")
            status, _, _ = ask(broker, "PUT", "/api/global-parameters/deep", body, login=login)
            assert status == (400 if login else 401), (depth, login)
    assert get(broker, "/api/whoami")["name"] == "guest"
