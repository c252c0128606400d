"""Tokens and a WebSocket: all that a Python program needs to talk to a Groupcast relay. Standard library only."""

import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import time
from urllib.parse import urlsplit


def sign(claims, secret, ttl=300):
    """A JWT, HS256. A service token may live for ten minutes at most."""

    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    now = int(time.time())
    body = {"iat": now, "exp": now + ttl, **claims}
    text = b".".join(part(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, body))
    return (text + b"." + part(hmac.new(secret.encode(), text, hashlib.sha256).digest())).decode()


class WebSocket:
    """Text frames of RFC 6455 over plain TCP: enough for one JSON object a frame. Behind TLS, wrap the socket with `ssl`."""

    def __init__(self, url, timeout=30):
        address = urlsplit(url)
        path = address.path + (f"?{address.query}" if address.query else "")
        self.socket = socket.create_connection((address.hostname, address.port or 80), timeout)
        self.input = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        status = self.input.readline().decode().strip()
        if " 101 " not in status + " ":
            raise ConnectionError(f"no WebSocket at {url}: {status}")
        while self.input.readline().strip():
            pass

    def send(self, frame):
        self._write(0x1, json.dumps(frame).encode())

    def __iter__(self):
        """The frames of the relay, until it closes the connection."""
        while True:
            opcode, data = self._read()
            if opcode == 0x1:
                yield json.loads(data)
            elif opcode == 0x9:
                self._write(0xA, data)
            elif opcode == 0x8:
                return

    def _write(self, opcode, data):
        mask = os.urandom(4)
        size = len(data)
        if size < 126:
            length = struct.pack("!B", 0x80 | size)
        elif size < 65536:
            length = struct.pack("!BH", 0x80 | 126, size)
        else:
            length = struct.pack("!BQ", 0x80 | 127, size)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def _read(self):
        """One whole message, put together from its frames; a ping or a close may stand between them."""
        message, kind = b"", 0
        while True:
            first, second = self._exactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self._exactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._exactly(8))
            data, opcode = self._exactly(size), first & 0x0F
            if opcode >= 0x8:
                if kind == 0:
                    return opcode, data
                if opcode == 0x9:
                    self._write(0xA, data)
                    continue
                return opcode, data
            message, kind = message + data, kind or opcode
            if first & 0x80:
                return kind, message

    def _exactly(self, size):
        data = self.input.read(size)
        if len(data) < size:
            raise ConnectionError("the relay has gone")
        return data
