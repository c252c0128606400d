"""HTTP with a deadline for each call, bounded answers, and connections that threads share one after the other."""

import http.client
import io
import os
import select
import socket
import ssl
import threading
import time
from typing import Any, List, Mapping, NamedTuple, Optional
from urllib.parse import urlsplit

from .dial import open_socket

#: Largest answer that is read, in bytes.
MAX_ANSWER_BYTES = 16 * 1024 * 1024


class Unsent(Exception):
    """The request has not left this machine: the same call may be made again, whatever it does."""


class Lost(Exception):
    """The request has left, and no whole answer has come: nobody here knows whether it was carried out."""


class TooLarge(Lost):
    """The request was answered, and would be answered like that again."""


class Answer(NamedTuple):
    status: int
    body: bytes
    retry_after: Optional[str]


class _TimedReader(io.RawIOBase):
    """Reads from a socket until the deadline of the call, however slowly the bytes come."""

    def __init__(self, wire: "_TimedSocket") -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.prepared().recv_into(buffer)


class _TimedSocket:
    """The part of a socket that ``http.client`` uses. The deadline is that of the whole call, and not of each
    operation.
    """

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self.deadline = 0.0

    def prepared(self) -> socket.socket:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self._wire.settimeout(left)
        return self._wire

    def sendall(self, data: Any) -> None:
        self.prepared().sendall(data)

    def makefile(self, *_args: Any, **_options: Any) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self))

    def close(self) -> None:
        """``http.client`` lets go of a connection before it has read the last answer: ``end`` closes it."""

    def end(self) -> None:
        self._wire.close()

    def has_ended(self) -> bool:
        """Whether the other side has closed it, or said something that nobody asked for."""
        try:
            return bool(select.select([self._wire], [], [], 0)[0])
        except (OSError, ValueError):
            return True


class _Connection:
    def __init__(self, host: str, port: int, context: Optional[ssl.SSLContext]) -> None:
        self._host, self._port, self._context = host, port, context
        self._http = http.client.HTTPConnection(host, port)
        # It never connects by itself: the socket is ours.
        self._http.auto_open = 0
        self._wire: Optional[_TimedSocket] = None

    @property
    def is_usable(self) -> bool:
        return self._wire is not None and self._http.sock is not None and not self._wire.has_ended()

    def open(self, deadline: float) -> None:
        try:
            wire = open_socket(self._host, self._port, deadline, self._context)
        except OSError as error:
            raise Unsent(str(error) or type(error).__name__) from error
        self._wire = _TimedSocket(wire)
        self._http.sock = self._wire

    def ask(self, method: str, path: str, body: Optional[bytes], headers: Mapping[str, str], deadline: float) -> Answer:
        assert self._wire is not None
        self._wire.deadline = deadline
        try:
            try:
                self._http.request(method, path, body, dict(headers))
            except (BrokenPipeError, ConnectionResetError):
                # A refusal comes before the body has left. It may be there to be read.
                pass
            with self._http.getresponse() as response:
                content = response.read(MAX_ANSWER_BYTES + 1)
                if len(content) > MAX_ANSWER_BYTES:
                    raise TooLarge(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
                return Answer(response.status, content, response.getheader("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            raise Lost(str(error) or type(error).__name__) from error

    def close(self) -> None:
        self._http.close()
        if self._wire is not None:
            self._wire.end()


class HttpClient:
    """Requests to one host, from any number of threads. A connection serves one call at a time, and is kept for the
    next.

    A process that was forked opens connections of its own. Redirects are not followed: the token is for the host that
    was named.
    """

    def __init__(self, url: str, *, max_connections: int = 16, ssl_context: Optional[ssl.SSLContext] = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the url begins with http:// or https:// and a host")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("the url has no user name, password, query and fragment")
        if max_connections < 1:
            raise ValueError("max_connections is at least 1")
        secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if secure else 80)
        self._prefix = parts.path.rstrip("/")
        self._context = (ssl_context or ssl.create_default_context()) if secure else None
        self._max = max_connections
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(self._max)
        self._idle: List[_Connection] = []
        self._closed = False

    def _take(self) -> Optional[_Connection]:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.close()

    def ask(
        self, method: str, path: str, *, body: Optional[bytes], headers: Mapping[str, str], deadline: float
    ) -> Answer:
        """Raise ``Unsent`` or ``Lost`` where there is no answer until ``deadline``, which is in ``time.monotonic()``
        seconds.
        """
        if self._process != os.getpid():
            # The connections belong to the process that has forked, and its threads may have held the lock.
            forked = self._idle
            self._begin()
            for each in forked:
                each.close()
        places = self._places
        if not places.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise Unsent(f"all {self._max} connections are in use")
        try:
            connection = self._take()
            if connection is None:
                connection = _Connection(self._host, self._port, self._context)
                connection.open(deadline)
            is_whole = False
            try:
                answer = connection.ask(method, self._prefix + path, body, headers, deadline)
                is_whole = True
            finally:
                with self._lock:
                    keeps = is_whole and not self._closed and connection.is_usable
                    if keeps:
                        self._idle.append(connection)
                if not keeps:
                    connection.close()
            return answer
        finally:
            places.release()

    def close(self) -> None:
        """Close the connections that are idle now, and each of the others after its call."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
