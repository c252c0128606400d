"""Opening a connection, over TCP or TLS, before a deadline."""

import socket
import ssl
import time
from typing import Any, Optional


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout("timed out")
    return left


def _connected(family: int, kind: int, protocol: int, address: Any, seconds: float) -> socket.socket:
    wire = socket.socket(family, kind, protocol)
    try:
        wire.settimeout(seconds)
        wire.connect(address)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        wire.close()
        raise
    return wire


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """``socket.create_connection`` would give each address of the name the whole time. Here those that are left share
    what is left, so that one which is silent does not take it all.
    """
    try:
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("the name of the host is malformed") from None
    failure = OSError("the name of the host has no address")
    for index, (family, kind, protocol, _, address) in enumerate(found):
        try:
            return _connected(family, kind, protocol, address, _left(deadline) / (len(found) - index))
        except OSError as error:
            failure = error
    raise failure


def open_socket(host: str, port: int, deadline: float, context: Optional[ssl.SSLContext]) -> socket.socket:
    """Raise ``OSError`` where there is no connection until ``deadline``, which is in ``time.monotonic()`` seconds. The
    look-up of the name is the system's, and takes the time that it takes.
    """
    wire = _connect(host, port, deadline)
    if context is None:
        return wire
    try:
        wire.settimeout(_left(deadline))
        return context.wrap_socket(wire, server_hostname=host)
    except BaseException:
        wire.close()
        raise
