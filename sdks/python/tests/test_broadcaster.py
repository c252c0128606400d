import base64
import hashlib
import hmac
import json
import os
import socket
import threading
import time
import unittest
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

from groupcast import Broadcaster, GroupcastError, sign_service_token, sign_user_token
from groupcast import http as client
from groupcast.websocket import WebSocket, WebSocketError

OK = (200, {"ok": True, "id": "1", "results": [], "delivery": {}})


class Relay:
    """A server that answers as it is told, and keeps what it was asked."""

    def __init__(self, tls=None):
        relay = self
        self.answers, self.asked, self.connections = [], [], set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                relay.connections.add(self.client_address)
                relay.asked.append((self.path, json.loads(body) if body else None, dict(self.headers)))
                answer = relay.answers.pop(0) if relay.answers else OK
                if callable(answer):
                    return answer(self)
                self.reply(*answer)

            do_GET = do_POST = answer

            def reply(self, status, body, headers=()):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        # Clients that hang up are what is tested.
        self.server.handle_error = lambda *_arguments: None
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def hang_up(handler):
    handler.close_connection = True


class ABroadcaster(unittest.TestCase):
    def setUp(self):
        self.relay = Relay()
        self.addCleanup(self.relay.close)

    def broadcaster(self, **options):
        made = Broadcaster(self.relay.url, **{"service_secret": "s" * 32, "timeout_ms": 5_000, **options})
        self.addCleanup(made.close)
        return made

    def refusal(self, call):
        with self.assertRaises(GroupcastError) as raised:
            call()
        return raised.exception

    def test_says_on_the_wire_what_the_javascript_one_says(self):
        made = self.broadcaster()
        made.broadcast_message("g", {"id": 7, "at": datetime(2026, 1, 2, tzinfo=timezone.utc)}, except_user_id="a")
        made.broadcast("g", {"id": 7}, event="news", id="n1", epoch="1-a", seq=2)
        made.broadcast_batch(
            [{"group_id": 1, "message": {}}, {"group_id": 2, "message": {}, "expected_user_ids": ["a"]}]
        )
        made.notify(["a"], "news", {"x": 1})
        made.add_members("g", ["a"], epoch="1-a", seq=3)
        made.remove_members("g", everyone=True)
        made.update_cursors([{"userId": "a", "groupId": "g", "read": 1}])
        made.disconnect_users(["a"], "BYE", next="stop", revoke_before=5)
        made.get_presence("a/b")
        made.get_history("g", since=3)
        made.await_delivery("g", ["a"], id="n1", within_ms=5)
        asked = [(path, body) for path, body, _ in self.relay.asked]
        self.assertEqual(
            asked[0],
            (
                "/v1/broadcast",
                {"groupId": "g", "message": {"id": 7, "at": "2026-01-02T00:00:00+00:00"}, "id": 7, "exceptUserId": "a"},
            ),
        )
        self.assertEqual(
            asked[1][1], {"groupId": "g", "message": {"id": 7}, "event": "news", "id": "n1", "epoch": "1-a", "seq": 2}
        )
        self.assertEqual(
            [sorted(item) for item in asked[2][1]["items"]],
            [["groupId", "id", "message"], ["expectedUserIds", "groupId", "id", "message"]],
        )
        self.assertEqual(
            asked[3:],
            [
                ("/v1/notify", {"userIds": ["a"], "event": "news", "data": {"x": 1}}),
                ("/v1/members/add", {"groupId": "g", "userIds": ["a"], "epoch": "1-a", "seq": 3}),
                ("/v1/members/remove", {"groupId": "g", "everyone": True}),
                ("/v1/cursors", {"cursors": [{"userId": "a", "groupId": "g", "read": 1}]}),
                ("/v1/disconnect", {"userIds": ["a"], "code": "BYE", "next": "stop", "revokeBefore": 5}),
                ("/v1/groups/a%2Fb/presence", None),
                ("/v1/groups/g/history?since=3", None),
                ("/v1/deliveries", {"groupId": "g", "id": "n1", "expectedUserIds": ["a"], "withinMs": 5}),
            ],
        )
        self.assertEqual(len(self.relay.connections), 1)

    def test_a_bad_item_of_a_batch_fails_alone(self):
        results = [{"ok": True, "id": "1"}, {"ok": False, "error": {"code": "INVALID_PAYLOAD"}}, {"ok": True, "id": "3"}]
        self.relay.answers = [(200, {"ok": True, "results": results})]
        answers = self.broadcaster().broadcast_batch(
            item
            for item in (
                {"groupId": 7, "message": {}},
                {"group_id": "a", "message": {"n": 1}},
                {"group_id": "a", "message": {"n": float("nan")}},
                {"group_id": "a", "message": "refused by the relay"},
                {"group_id": "a"},
                "no item",
                {"group_id": "a", "message": {"n": object()}},
                {"group_id": "a", "message": {"n": 3}, "expected_user_ids": 7},
            )
        )
        sent = [body["message"] for body in self.relay.asked[0][1]["items"]]
        self.assertEqual(sent, [{"n": 1}, "refused by the relay", {"n": 3}])
        self.assertEqual([answers[1], answers[3], answers[7]], results)
        refused = [answers[place]["error"] for place in (0, 2, 4, 5, 6)]
        self.assertEqual({(each["code"], each["retryable"]) for each in refused}, {("INVALID_PAYLOAD", False)})
        self.assertEqual(
            refused[0]["message"],
            "unable to send an item; it has no group_id, and groupId is no argument of broadcast_message",
        )
        self.assertIn("no dictionary", refused[3]["message"])
        # Nothing is left to send.
        self.assertEqual([each["ok"] for each in self.broadcaster().broadcast_batch([{}])], [False])
        self.assertEqual(len(self.relay.asked), 1)
        for no_list in ({"group_id": "a", "message": {}}, "ab", 7, None):
            self.assertEqual(self.refusal(lambda: self.broadcaster().broadcast_batch(no_list)).code, "INVALID_PAYLOAD")

    def test_a_user_id_in_place_of_a_list_is_left_to_the_relay_and_never_taken_for_its_letters(self):
        made = self.broadcaster()
        made.broadcast("g", {}, expected_user_ids="al")
        made.notify_users("al", "news", {})
        made.add_members("g", "al")
        made.remove_members("g", "al")
        made.disconnect_users("al", "BYE")
        made.await_delivery("g", 7, seq=1)
        bodies = [body for _, body, _ in self.relay.asked]
        self.assertEqual(
            [body.get("userIds", body.get("expectedUserIds")) for body in bodies], ["al", "al", "al", "al", "al", 7]
        )

    def test_raises_the_code_of_the_relay_at_once(self):
        body = {
            "error": {
                "code": "POSITION_GAP",
                "message": "no",
                "retryable": True,
                "retryAfterMs": 50,
                "details": {"head": 1},
            }
        }
        self.relay.answers = [(409, body)]
        error = self.refusal(lambda: self.broadcaster().broadcast("g", {}))
        self.assertEqual(
            (error.code, error.retryable, error.retry_after_ms, error.details), ("POSITION_GAP", True, 50, {"head": 1})
        )
        self.assertEqual(len(self.relay.asked), 1)

    def test_repeats_a_call_whose_answer_was_lost_with_the_same_id_and_never_a_notification(self):
        self.relay.answers = [hang_up, hang_up, OK]
        made = self.broadcaster()
        made.broadcast("g", {})
        ids = {body["id"] for _, body, _ in self.relay.asked}
        self.assertEqual((len(self.relay.asked), len(ids)), (3, 1))
        self.relay.answers = [hang_up]
        error = self.refusal(lambda: made.notify_users(["a"], "x", {}))
        self.assertEqual((error.code, error.retryable, len(self.relay.asked)), ("RELAY_UNAVAILABLE", True, 4))

    def test_a_connection_that_was_closed_while_it_was_idle_costs_no_notification(self):
        self.relay.answers = [
            (200, {"ok": True}, [("Connection", "close")]),
            lambda handler: (handler.reply(*OK), hang_up(handler)),
        ]
        made = self.broadcaster()
        made.notify_users(["a"], "x", {})
        made.notify_users(["a"], "x", {})
        while any(each.is_usable for each in made._http._idle):
            time.sleep(0.001)
        made.notify_users(["a"], "x", {})
        self.assertEqual((len(self.relay.asked), len(self.relay.connections)), (3, 3))

    def test_gives_up_at_its_deadline_however_slowly_the_answer_comes(self):
        ended = threading.Event()
        self.addCleanup(ended.set)

        def drip(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            while not ended.wait(0.02):
                try:
                    handler.wfile.write(b" ")
                except OSError:
                    return

        def keep_silent(handler):
            ended.wait(10)
            handler.reply(*OK)

        self.relay.answers = [OK, drip, OK, keep_silent]
        # Each time over a connection that was opened for a call with more time.
        made = self.broadcaster()
        for _ in range(2):
            made._timeout_ms = 30_000
            made.broadcast("g", {})
            made._timeout_ms = 100
            error = self.refusal(lambda: made.notify_users(["a"], "x", {}))
            self.assertEqual((error.code, error.retryable), ("RELAY_UNAVAILABLE", True))

    def test_all_addresses_of_a_name_have_no_more_time_than_the_call(self):
        listening = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(listening.close)
        address = listening.getsockname()
        for _ in range(4):
            # More connections than it takes: those that come now are not answered.
            filling = socket.socket()
            filling.setblocking(False)
            filling.connect_ex(address)
            self.addCleanup(filling.close)
        silent = (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
        good = (socket.AF_INET, socket.SOCK_STREAM, 6, "", self.relay.server.server_address)
        made = self.broadcaster(timeout_ms=300)
        with mock.patch("socket.getaddrinfo", return_value=[silent] * 8):
            begin = time.monotonic()
            error = self.refusal(lambda: made.broadcast("g", {}))
            self.assertLess(time.monotonic() - begin, 1.5)
            self.assertEqual((error.code, error.retryable), ("RELAY_UNAVAILABLE", True))
            begin = time.monotonic()
            with self.assertRaises(WebSocketError):
                WebSocket("ws://relay/ws", timeout=0.3)
            self.assertLess(time.monotonic() - begin, 1.5)
        # One address that is silent leaves time for the next one.
        made._timeout_ms = 1_000
        with mock.patch("socket.getaddrinfo", return_value=[silent, good]):
            made.broadcast("g", {})

    def test_a_handshake_has_what_is_left_of_the_time(self):
        """A server that takes the connection, and says nothing to TLS."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        port = listening.getsockname()[1]

        def slow(*arguments, **options):
            time.sleep(0.8)
            return found(*arguments, **options)

        found = socket.getaddrinfo
        for call in (
            lambda: Broadcaster(f"https://127.0.0.1:{port}", service_secret="s", timeout_ms=1_000).broadcast("g", {}),
            lambda: WebSocket(f"wss://127.0.0.1:{port}/ws", timeout=1.0),
        ):
            begin = time.monotonic()
            with mock.patch("socket.getaddrinfo", slow), self.assertRaises((GroupcastError, WebSocketError)):
                call()
            self.assertLess(time.monotonic() - begin, 1.7)

    def test_reads_no_endless_answer_and_no_answer_of_something_else(self):
        with mock.patch.object(client, "MAX_ANSWER_BYTES", 100):
            self.relay.answers = [(200, b" " * 101)]
            self.assertIn("larger", self.refusal(lambda: self.broadcaster().notify_users(["a"], "x", {})).message)
        self.relay.answers = [(502, b"<html>"), (200, b"[]"), (301, b"", [("Location", "http://127.0.0.1:9/")])]
        made = self.broadcaster()
        codes = [self.refusal(lambda: made.broadcast("g", {})) for _ in range(3)]
        self.assertEqual(
            [(each.code, each.retryable) for each in codes],
            [("RELAY_UNAVAILABLE", True), ("INTERNAL", False), ("INTERNAL", False)],
        )
        self.relay.answers = [(400, {"error": {"code": 7, "retryable": "x"}})]
        self.assertEqual(self.refusal(lambda: made.broadcast("g", {})).code, "INTERNAL")

    def test_an_answer_that_is_too_large_is_asked_for_once(self):
        with mock.patch.object(client, "MAX_ANSWER_BYTES", 100):
            self.relay.answers = [(200, b" " * 101)] * 9
            error = self.refusal(lambda: self.broadcaster(timeout_ms=1_000).broadcast("g", {}))
        self.assertEqual((error.code, error.retryable, len(self.relay.asked)), ("PAYLOAD_TOO_LARGE", False, 1))

    def test_what_is_no_json_is_refused_here(self):
        made = self.broadcaster()
        loop = {}
        loop["self"] = loop
        for wrong in ({"x": float("nan")}, {"x": object()}, {"x": "\ud800"}, loop):
            self.assertEqual(self.refusal(lambda: made.broadcast("g", wrong)).code, "INVALID_PAYLOAD")
        self.assertEqual(self.relay.asked, [])

    def test_threads_take_turns_at_its_connections_and_wait_no_longer_than_their_deadline(self):
        made = self.broadcaster(max_connections=3)
        failures = []

        def work():
            try:
                for _ in range(20):
                    made.broadcast("g", {})
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual((failures, len(self.relay.asked)), ([], 160))
        self.assertLessEqual(len(self.relay.connections), 3)
        holding, held = threading.Event(), threading.Event()
        self.relay.answers = [lambda handler: (held.set(), holding.wait(5), handler.reply(*OK))]
        one = self.broadcaster(max_connections=1, timeout_ms=3_000)
        thread = threading.Thread(target=one.get_presence, args=("g",))
        thread.start()
        held.wait(5)
        one._timeout_ms = 50
        self.assertIn("in use", self.refusal(lambda: one.broadcast("g", {})).message)
        holding.set()
        thread.join()

    @unittest.skipUnless(hasattr(os, "fork"), "there is no fork here")
    def test_a_forked_process_opens_connections_of_its_own(self):
        made = self.broadcaster()
        made.broadcast("g", {})
        process = os.fork()
        if process == 0:
            try:
                made.broadcast("g", {"from": "child"})
                os._exit(0)
            except BaseException:
                os._exit(1)
        self.assertEqual(os.waitpid(process, 0)[1], 0)
        made.broadcast("g", {})
        self.assertEqual((len(self.relay.asked), len(self.relay.connections)), (3, 2))

    def test_signs_a_token_and_uses_it_until_it_is_old(self):
        made = self.broadcaster(name="shop")
        for _ in range(2):
            made.broadcast("g", {})
        tokens = [headers["Authorization"] for _, _, headers in self.relay.asked]
        self.assertEqual(tokens[0], tokens[1])
        claims = json.loads(base64.urlsafe_b64decode(tokens[0].split(".")[1] + "=="))
        self.assertEqual((claims["aud"], claims["scope"], claims["sub"]), ("groupcast-relay", "broadcast", "shop"))
        with mock.patch("time.monotonic", lambda base=time.monotonic: base() + 250):
            self.assertNotEqual(made._token[1], 0)
            self.assertGreater(time.monotonic(), made._token[1])
        provided = iter(["one", "two"])
        asking = self.broadcaster(service_secret=None, token_provider=lambda: next(provided))
        for _ in range(2):
            asking.broadcast("g", {})
        self.assertEqual(
            [headers["Authorization"] for _, _, headers in self.relay.asked][2:], ["Bearer one", "Bearer two"]
        )

    def test_no_error_has_the_token_or_the_secret_in_it(self):
        inside = [f"sec{each}ret" for each in ("\n", "\u2028", " ", "\t", "é", "\udcff")]
        for wrong in (*inside, "", " \n", b"secret", None):
            made = self.broadcaster(service_secret=None, token_provider=lambda: wrong)
            error = self.refusal(lambda: made.broadcast("g", {}))
            self.assertEqual((error.code, error.retryable), ("SERVICE_TOKEN_INVALID", False), repr(wrong))
            self.assertEqual((error.__cause__, error.__context__), (None, None))
            self.assertNotRegex(str(error), "sec|ret$")
        self.assertEqual(self.relay.asked, [])
        # Files end with a newline.
        self.broadcaster(service_secret=None, token_provider=lambda: " a.b.c\r\n").broadcast("g", {})
        self.assertEqual(self.relay.asked[0][2]["Authorization"], "Bearer a.b.c")
        with self.assertRaises(ValueError) as raised:
            self.broadcaster(service_secret="sec\udcffret")
        self.assertEqual((type(raised.exception), raised.exception.__context__), (ValueError, None))

    def test_a_provider_that_fails_is_an_error_with_the_name_of_its_own_and_none_of_its_text(self):
        def fail():
            raise KeyError("secret")

        made = self.broadcaster(service_secret=None, token_provider=fail)
        error = self.refusal(lambda: made.broadcast("g", {}))
        self.assertEqual((error.retryable, error.__cause__, error.__context__), (True, None, None))
        self.assertIn("KeyError", str(error))
        self.assertNotIn("secret", str(error))

    def test_refuses_calls_once_it_is_closed_and_arguments_that_cannot_be_meant(self):
        made = self.broadcaster()
        made.close()
        self.assertEqual(self.refusal(lambda: made.broadcast("g", {})).retryable, False)
        with self.assertRaises(TypeError):
            Broadcaster(self.relay.url)
        with self.assertRaises(TypeError):
            self.broadcaster().broadcast("g", {}, exceptUserId="a")
        for url in ("localhost:3002", "ws://x", "http://a:b@x", "http://x/?y"):
            with self.assertRaises(ValueError):
                Broadcaster(url, service_secret="x")


class Tokens(unittest.TestCase):
    def test_are_compact_jwts_signed_with_hs256(self):
        token = sign_user_token("secret", "alice", groups=["1"], ttl_seconds=60)
        text, signature = token.rsplit(".", 1)
        expected = hmac.new(b"secret", text.encode(), hashlib.sha256).digest()
        self.assertEqual(base64.urlsafe_b64decode(signature + "="), expected)
        self.assertNotIn("=", token)
        claims = json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))
        self.assertEqual((claims["sub"], claims["groups"], claims["exp"] - claims["iat"]), ("alice", ["1"], 60))
        with self.assertRaises(ValueError):
            sign_service_token("secret", ttl_seconds=601)
        with self.assertRaises(ValueError):
            sign_service_token("")

    def test_of_users_have_the_claims_that_the_services_are_set_to_read(self):
        def claims_of(**options):
            claims = json.loads(base64.urlsafe_b64decode(sign_user_token("s", "7", **options).split(".")[1] + "=="))
            return {name: value for name, value in claims.items() if name not in ("iat", "exp")}

        self.assertEqual(claims_of(user_claim="_id"), {"sub": "7", "_id": "7"})
        self.assertEqual(claims_of(user_claim="user._id"), {"sub": "7", "user": {"_id": "7"}})
        self.assertEqual(claims_of(user_claim="sub"), {"sub": "7"})
        self.assertEqual(
            claims_of(name="Zoë", issuer="https://id", audience="app", groups=[]),
            {"sub": "7", "groups": [], "name": "Zoë", "iss": "https://id", "aud": "app"},
        )
        # Variables that are not set are often empty texts.
        self.assertEqual(claims_of(user_claim="", name="", issuer="", audience=None), {"sub": "7"})


if __name__ == "__main__":
    unittest.main()
