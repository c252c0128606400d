"""A WebSocket client (RFC 6455) for text messages, over TCP or TLS."""

import base64
import hashlib
import os
import selectors
import socket
import ssl
import struct
import threading
import time
from typing import List, Optional, Tuple
from urllib.parse import urlsplit

from .dial import open_socket

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: Largest message that is read, in bytes, and largest head of the answer.
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
_MAX_HEAD_BYTES = 16 * 1024
#: How long the other side may take to read what is sent to it, in seconds.
_SEND_SECONDS = 10.0


class WebSocketError(ConnectionError):
    """The connection cannot be opened, or has ended. ``code`` and ``reason`` are those of a close frame; 1006: there
    was none.
    """

    def __init__(self, message: str, code: int = 1006, reason: str = "") -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


def _masked(data: bytes, mask: bytes) -> bytes:
    if not data:
        return data
    pattern = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")).to_bytes(len(data), "big")


class WebSocket:
    """One connection. One thread may read while others write."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError("the url of a WebSocket begins with ws:// or wss:// and a host")
        secure = parts.scheme == "wss"
        deadline = time.monotonic() + timeout
        self._deadline: Optional[float] = deadline
        self._lock = threading.Lock()
        self._max = max_message_bytes
        self._buffer = bytearray()
        self._close_sent = False
        try:
            context = (ssl_context or ssl.create_default_context()) if secure else None
            self._wire = open_socket(parts.hostname, parts.port or (443 if secure else 80), deadline, context)
        except OSError as error:
            raise WebSocketError(f"unable to connect to {parts.netloc}; {error}") from error
        self._selector = selectors.DefaultSelector()
        try:
            self._wire.settimeout(max(0.001, deadline - time.monotonic()))
            self._selector.register(self._wire, selectors.EVENT_READ)
            self._open(parts.netloc, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        except BaseException as error:
            self.release()
            if isinstance(error, OSError) and not isinstance(error, WebSocketError):
                raise WebSocketError(f"no WebSocket: {error}") from error
            raise
        self._deadline = None

    def _open(self, host: str, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._wire.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode("latin-1")
        )
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                raise WebSocketError("the answer to the upgrade is too large")
            self._receive()
        end = self._buffer.index(b"\r\n\r\n")
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if status.split(" ")[1:2] != ["101"]:
            raise WebSocketError(f"the upgrade was answered {status!r}")
        expected = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        if headers.get("sec-websocket-accept") != expected:
            raise WebSocketError("the upgrade was answered by something that is no WebSocket server")

    def send_text(self, text: str) -> None:
        self._write(0x1, text.encode("utf-8"))

    def receive(self, timeout: Optional[float] = None) -> Optional[str]:
        """The next text message; pings are answered meanwhile. None: nothing at all has come for ``timeout`` seconds.

        Raises ``WebSocketError`` once the connection has ended.
        """
        parts: List[bytes] = []
        size = 0
        while True:
            try:
                is_last, opcode, data = self._read_frame(timeout)
            except socket.timeout:
                if parts or self._buffer:
                    raise WebSocketError("a message did not come to its end") from None
                return None
            except WebSocketError:
                raise
            except (OSError, ValueError) as error:
                raise WebSocketError(f"the connection has ended; {error}") from error
            if opcode == 0x8:
                raise self._closed(data)
            if opcode == 0x9:
                self._write(0xA, data)
                continue
            if opcode == 0xA:
                continue
            if opcode not in (0x0, 0x1) or (opcode == 0x0) != bool(parts):
                raise WebSocketError("a frame came that is no text")
            size += len(data)
            if size > self._max:
                raise WebSocketError(f"a message is larger than {self._max} bytes")
            parts.append(data)
            if is_last:
                try:
                    return b"".join(parts).decode("utf-8")
                except UnicodeDecodeError as error:
                    raise WebSocketError("a message is no UTF-8") from error

    def close(self, code: int = 1000) -> None:
        """Say that it ends, and end it. A thread that reads gets ``WebSocketError``, and calls ``release``."""
        try:
            if not self._close_sent:
                self._close_sent = True
                self._write(0x8, struct.pack("!H", code), 1.0)
        except OSError:
            pass
        try:
            self._wire.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def release(self) -> None:
        """Give the descriptors back. Nobody may read at the same time."""
        self._selector.close()
        self._wire.close()

    def _closed(self, data: bytes) -> WebSocketError:
        code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 1005
        reason = data[2:].decode("utf-8", "replace")
        self.close(code if code not in (1005, 1006) else 1000)
        return WebSocketError(f"the other side has closed the connection ({code} {reason})", code, reason)

    def _read_frame(self, timeout: Optional[float]) -> Tuple[bool, int, bytes]:
        first, second = self._exactly(2, timeout)
        size = second & 0x7F
        if first & 0x70 or second & 0x80:
            raise WebSocketError("a frame is malformed")
        if size == 126:
            (size,) = struct.unpack("!H", self._exactly(2, timeout))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._exactly(8, timeout))
        if size > (125 if first & 0x08 else self._max):
            raise WebSocketError("a frame is too large")
        return bool(first & 0x80), first & 0x0F, self._exactly(size, timeout)

    def _exactly(self, size: int, timeout: Optional[float]) -> bytes:
        while len(self._buffer) < size:
            self._receive(timeout)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _receive(self, timeout: Optional[float] = None) -> None:
        """Wait for bytes without the lock, and read them with it: a TLS connection may not be read and written at once."""
        if self._deadline is not None:
            timeout = self._deadline - time.monotonic()
            if timeout <= 0:
                raise WebSocketError("the upgrade was not answered in time")
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                self._wire.settimeout(0)
                try:
                    data = self._wire.recv(65_536)
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    data = None
            if data is not None:
                break
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise socket.timeout("timed out")
            self._selector.select(left)
        if not data:
            raise WebSocketError("the connection has ended")
        self._buffer += data

    def _write(self, opcode: int, data: bytes, timeout: float = _SEND_SECONDS) -> None:
        mask = os.urandom(4)
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 65_536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        if not self._lock.acquire(timeout=timeout):
            raise WebSocketError("the other side does not read")
        try:
            self._wire.settimeout(timeout)
            self._wire.sendall(head + mask + _masked(data, mask))
        except OSError as error:
            raise WebSocketError(f"unable to send; {error}") from error
        finally:
            self._lock.release()
