"""Both over TLS, with a certificate that nobody else trusts."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

from groupcast import Broadcaster, GroupcastError, Listener
from groupcast.transports import RawTransport, SocketIoTransport
from groupcast.websocket import WebSocketError

from .test_broadcaster import Relay
from .test_websocket import Server, frame


@unittest.skipUnless(shutil.which("openssl"), "there is no openssl here")
class OverTls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        key, certificate = (os.path.join(folder.name, name) for name in ("key.pem", "certificate.pem"))
        subprocess.run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=relay".split()
            + ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
        cls.server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cls.server_context.load_cert_chain(certificate, key)
        cls.context = ssl.create_default_context(cafile=certificate)

    def test_a_broadcaster_sends_to_whom_its_context_trusts(self):
        relay = Relay(self.server_context)
        self.addCleanup(relay.close)
        with Broadcaster(relay.url, service_secret="s", ssl_context=self.context) as made:
            made.broadcast("g", {"x": "y" * 100_000})
            made.broadcast("g", {})
        self.assertEqual((len(relay.asked), len(relay.connections)), (2, 1))
        with Broadcaster(relay.url, service_secret="s", timeout_ms=200) as made:
            with self.assertRaisesRegex(GroupcastError, "CERTIFICATE_VERIFY_FAILED"):
                made.broadcast("g", {})
        self.assertEqual(len(relay.asked), 2)

    def listen(self):
        said = json.dumps({"type": "notification", "payload": {"n": 1}}).encode()
        server = Server(frame(1, said), tls=self.server_context)
        self.addCleanup(server.close)
        url = server.url.replace("wss", "https", 1).replace("/ws", "")
        return url, server

    def test_a_listener_hears_whom_its_context_trusts(self):
        url, _ = self.listen()
        with Listener(url, token="t", ssl_context=self.context) as listener:
            for event in listener:
                self.assertEqual((event.name, event.data), ("notification", {"n": 1}))
                break
        url, server = self.listen()
        with self.assertRaisesRegex(WebSocketError, "CERTIFICATE_VERIFY_FAILED"):
            RawTransport(url, "/ws", {"token": "t"}, None)
        self.assertEqual(server.heard, b"")


def modules(accepts_options):
    """``engineio`` and ``socketio`` as they are now, or as 4.3 was."""
    made = []

    class Old:
        def __init__(self, logger=False, ssl_verify=True, handle_sigint=True):
            pass

    class New:
        def __init__(self, logger=False, ssl_verify=True, handle_sigint=True, websocket_extra_options=None):
            pass

    class Engine(New if accepts_options else Old):
        """As ``engineio.Client``, which leaves its arguments to a class below."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    class Client:
        def __init__(self, reconnection=True, **options):
            self._engineio_client_class()(**options)
            made.append(options)

        def on(self, *_arguments):
            pass

        def connect(self, *_arguments, **_options):
            pass

    exceptions = types.SimpleNamespace(ConnectionError=ConnectionError)
    engineio = types.SimpleNamespace(Client=Engine)
    return made, {"engineio": engineio, "socketio": types.SimpleNamespace(Client=Client, exceptions=exceptions)}


class SocketIoOverTls(unittest.TestCase):
    def test_gets_the_context_as_websocket_client_takes_it(self):
        made, given = modules(True)
        context = ssl.create_default_context()
        with mock.patch.dict(sys.modules, given):
            Listener("https://localhost", token="t", transport="socketio", ssl_context=context)
            SocketIoTransport("https://localhost", {"token": "t"}, context)
            SocketIoTransport("https://localhost", {"token": "t"}, None)
        given_on = [each.get("websocket_extra_options") for each in made]
        self.assertEqual(given_on, [{"sslopt": {"context": context}}, None])

    def test_a_version_that_takes_none_is_refused_at_once_and_works_without(self):
        _, given = modules(False)
        with mock.patch.dict(sys.modules, given):
            with self.assertRaisesRegex(ValueError, 'transport="raw"'):
                Listener(
                    "https://localhost", token="t", transport="socketio", ssl_context=ssl.create_default_context()
                )
            with self.assertRaises(ValueError):
                SocketIoTransport("https://localhost", {"token": "t"}, ssl.create_default_context())
            Listener("https://localhost", token="t", transport="socketio")
            SocketIoTransport("https://localhost", {"token": "t"}, None)


if __name__ == "__main__":
    unittest.main()
