import base64
import hashlib
import json
import selectors
import socket
import struct
import threading
import unittest
from unittest import mock

from groupcast.transports import RawTransport, Said, _of_close
from groupcast.websocket import WebSocket, WebSocketError, _masked

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode, data, last=True):
    head = bytes([(0x80 if last else 0) | opcode])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    return head + bytes([126]) + struct.pack("!H", len(data)) + data


class Server:
    """Takes one connection, says what it is told, and keeps what it hears."""

    def __init__(self, say=b"", status=b"101 Switching Protocols", accept=None, tls=None):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{self.listening.getsockname()[1]}/ws"
        self.heard = bytearray()
        self._say, self._status, self._accept, self._tls = say, status, accept, tls
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        wire, _ = self.listening.accept()
        if self._tls:
            try:
                wire = self._tls.wrap_socket(wire, server_side=True)
            except OSError:
                return wire.close()
        with wire:
            head = b""
            while b"\r\n\r\n" not in head:
                head += wire.recv(4096)
            key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
            made = base64.b64encode(hashlib.sha1(key + GUID.encode()).digest())
            wire.sendall(
                b"HTTP/1.1 "
                + self._status
                + b"\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
                + (self._accept or made)
                + b"\r\n\r\n"
            )
            # Byte by byte, as the worst of networks would bring it.
            for byte in self._say:
                wire.sendall(bytes([byte]))
            while True:
                data = wire.recv(4096)
                if not data:
                    return
                self.heard += data

    def close(self):
        self.listening.close()


class AWebSocket(unittest.TestCase):
    def open(self, say=b"", **options):
        limits = {key: options.pop(key) for key in ("max_message_bytes",) if key in options}
        self.server = Server(say, **options)
        self.addCleanup(self.server.close)
        made = WebSocket(self.server.url, timeout=5, **limits)
        self.addCleanup(made.release)
        self.addCleanup(made.close)
        return made

    def heard(self, made):
        made.close()
        self.server.thread.join(5)
        return self.server.heard

    def test_puts_a_message_together_and_answers_pings_in_between(self):
        word = "Grüße".encode()
        made = self.open(frame(1, word[:4], False) + frame(9, b"p") + frame(0, word[4:]) + frame(1, b"x" * 300))
        self.assertEqual((made.receive(5), made.receive(5)), ("Grüße", "x" * 300))
        heard = self.heard(made)
        self.assertEqual((heard[0], heard[1], _masked(bytes(heard[6:7]), bytes(heard[2:6]))), (0x8A, 0x81, b"p"))

    def test_masks_what_it_sends_of_any_length(self):
        made = self.open()
        for size in (0, 125, 126, 65_535, 65_536):
            made.send_text("a" * size)
        made.close()
        self.server.thread.join(5)
        heard, found = self.server.heard, []
        while heard and heard[0] == 0x81:
            size, at = heard[1] & 0x7F, 2
            if size == 126:
                (size,), at = struct.unpack("!H", heard[2:4]), 4
            elif size == 127:
                (size,), at = struct.unpack("!Q", heard[2:10]), 10
            mask, data = bytes(heard[at : at + 4]), bytes(heard[at + 4 : at + 4 + size])
            found.append((size, set(_masked(data, mask)) <= {97}))
            heard = heard[at + 4 + size :]
        self.assertEqual(found, [(size, True) for size in (0, 125, 126, 65_535, 65_536)])

    def test_says_with_which_code_it_was_closed(self):
        made = self.open(frame(8, struct.pack("!H", 1008) + b"TOKEN_INVALID: no"))
        with self.assertRaises(WebSocketError) as raised:
            made.receive(5)
        self.assertEqual((raised.exception.code, raised.exception.reason), (1008, "TOKEN_INVALID: no"))
        error = _of_close(raised.exception)
        self.assertEqual((error.code, error.message, error.retryable), ("TOKEN_INVALID", "no", False))
        self.assertIsNone(_of_close(WebSocketError("gone")))

    def test_ends_at_bytes_text_that_is_none_and_frames_that_are_malformed_or_too_large(self):
        for wrong in (
            frame(2, b"x"),
            frame(1, b"\xff"),
            frame(0, b"x"),
            frame(1, b"a", False) + frame(1, b"b"),
            bytes([0xC1, 1]) + b"x",
            bytes([0x81, 0x81]) + b"mask" + b"x",
            bytes([0x89, 126, 0, 126]) + b"x" * 126,
        ):
            with self.assertRaises(WebSocketError, msg=repr(wrong)):
                self.open(wrong).receive(5)
        for large in (
            frame(1, b"x" * 101),
            frame(1, b"x" * 60, False) + frame(0, b"x" * 60),
            bytes([0x81, 127]) + b"\x7f" * 8,
        ):
            with self.assertRaisesRegex(WebSocketError, "large"):
                self.open(large, max_message_bytes=100).receive(5)

    def test_hears_nothing_for_a_while_and_is_ended_by_another_thread(self):
        made = self.open()
        self.assertIsNone(made.receive(0.01))
        timer = threading.Timer(0.01, made.close)
        timer.start()
        with self.assertRaises(WebSocketError):
            made.receive(5)
        timer.join()

    def test_opens_nothing_where_no_websocket_answers(self):
        with self.assertRaisesRegex(WebSocketError, "426"):
            self.open(status=b"426 Upgrade Required")
        with self.assertRaisesRegex(WebSocketError, "no WebSocket server"):
            self.open(accept=b"x")
        with self.assertRaises(ValueError):
            WebSocket("http://localhost")

    def test_keeps_no_descriptor_where_the_upgrade_fails(self):
        made = []

        class Selector(selectors.DefaultSelector):
            def __init__(self):
                super().__init__()
                made.append(self)

        for options in ({"status": b"426 Upgrade Required"}, {"accept": b"x"}):
            with mock.patch("selectors.DefaultSelector", Selector), self.assertRaises(WebSocketError):
                self.open(**options)
        self.assertEqual([each.get_map() for each in made], [None, None])

    def test_the_listener_says_auth_first_and_gets_events_in_order(self):
        said = b"".join(frame(1, json.dumps({"type": "new-message", "n": n}).encode()) for n in range(3))
        server = Server(said)
        self.addCleanup(server.close)
        transport = RawTransport(server.url.replace("ws", "http", 1).replace("/ws", ""), "/ws", {"token": "t"}, None)
        self.addCleanup(transport.close)
        self.assertEqual([transport.next_frame(5) for _ in range(3)], [Said("new-message", {"n": n}) for n in range(3)])


if __name__ == "__main__":
    unittest.main()
