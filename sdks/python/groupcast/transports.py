"""The two ways to a relay: its plain WebSocket, by the standard library, and Socket.IO, by ``python-socketio``."""

import inspect
import json
import queue
import ssl
import threading
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple, Union
from urllib.parse import urlsplit

from .errors import GroupcastError
from .websocket import WebSocket, WebSocketError

#: Frames that wait for the application. Above it the connection is not read, and the relay's bounds for slow readers
#: hold.
MAX_WAITING = 1_000
#: How long opening a connection may take, and how long one may say nothing before it is asked, in seconds.
OPEN_SECONDS = 10.0
_IDLE_SECONDS = 20.0


class Said(NamedTuple):
    """An event of the relay."""

    name: str
    payload: Any


class Answered(NamedTuple):
    """The acknowledgement of what was sent with this id."""

    id: int
    body: Any


class Ended(NamedTuple):
    """The connection has ended. ``error``: what the relay has said about it."""

    error: Optional[GroupcastError]
    why: str


Frame = Union[Said, Answered, Ended]


class Transport:
    """A connection whose frames come in order; it does not reconnect."""

    def __init__(self) -> None:
        self._frames: "queue.Queue[Frame]" = queue.Queue(MAX_WAITING)
        self._is_closed = threading.Event()

    def next_frame(self, timeout: float) -> Optional[Frame]:
        try:
            return self._frames.get(timeout=max(0.0, timeout))
        except queue.Empty:
            return None

    def send(self, name: str, payload: Mapping[str, Any], id: Optional[int] = None) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._is_closed.set()

    def _put(self, frame: Frame) -> None:
        while not self._is_closed.is_set():
            try:
                return self._frames.put(frame, timeout=0.5)
            except queue.Full:
                continue


def _of_close(error: WebSocketError) -> Optional[GroupcastError]:
    """Close frames repeat code and message as their reason, ``CODE: message``; with 1008 it would be refused again."""
    code, separator, message = error.reason.partition(": ")
    if not separator or not code.isupper():
        return None
    return GroupcastError(code, message, retryable=error.code != 1008)


class RawTransport(Transport):
    """The relay's plain WebSocket (``RELAY_WS_PATH``): one JSON object a message."""

    def __init__(self, url: str, path: str, auth: Mapping[str, Any], ssl_context: Optional[ssl.SSLContext]) -> None:
        super().__init__()
        address = url.rstrip("/").replace("http", "ws", 1) + path
        self._socket = WebSocket(address, timeout=OPEN_SECONDS, ssl_context=ssl_context)
        self._socket.send_text(json.dumps({**auth, "type": "auth"}))
        threading.Thread(target=self._read, name="groupcast-listener", daemon=True).start()

    def send(self, name: str, payload: Mapping[str, Any], id: Optional[int] = None) -> None:
        frame: Dict[str, Any] = {"type": name, "payload": payload}
        self._socket.send_text(json.dumps(frame if id is None else {**frame, "id": id}))

    def close(self) -> None:
        super().close()
        self._socket.close()

    def _read(self) -> None:
        try:
            is_asked = False
            while True:
                text = self._socket.receive(_IDLE_SECONDS)
                if text is None:
                    if is_asked:
                        raise WebSocketError("the relay says nothing")
                    self._socket.send_text('{"type":"ping"}')
                is_asked = text is None
                if text is not None:
                    self._frame(json.loads(text))
        except WebSocketError as error:
            self._put(Ended(_of_close(error), str(error)))
        except Exception as error:  # Whatever it is, the listener has to hear that nothing comes any more.
            self._put(Ended(None, f"{type(error).__name__}: {error}"))
        finally:
            self._socket.close()
            self._socket.release()

    def _frame(self, frame: Any) -> None:
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            raise WebSocketError("a frame came that is not the relay's")
        name = frame.pop("type")
        if name == "ack" and isinstance(frame.get("id"), int):
            id = frame.pop("id")
            payload = frame.get("payload")
            self._put(Answered(id, payload if set(frame) == {"payload"} else frame))
        else:
            self._put(Said(name, frame["payload"] if set(frame) == {"payload"} else frame))


def _libraries() -> Tuple[Any, Any]:
    try:
        import engineio  # type: ignore[import]
        import socketio  # type: ignore[import]
    except ImportError as error:
        raise ImportError('transport="socketio" needs python-socketio: pip install "groupcast[socketio]"') from error
    return engineio, socketio


def socketio_options(ssl_context: Optional[ssl.SSLContext]) -> Dict[str, Any]:
    """The options of a client that trusts whom ``ssl_context`` trusts. Raise ``ValueError`` where the ``engineio`` that
    is installed has none for it: it would trust others.
    """
    if ssl_context is None:
        return {}
    engineio, _ = _libraries()
    # The class itself may hand its arguments on to one below.
    classes = [each for each in engineio.Client.__mro__ if "__init__" in vars(each) and each is not object]
    if not any("websocket_extra_options" in inspect.signature(each.__init__).parameters for each in classes):
        raise ValueError(
            'transport="socketio" takes no ssl_context with the python-engineio that is installed: use transport="raw", '
            "or newer versions of python-socketio and python-engineio"
        )
    # websocket-client has no other place for a context, and would ignore it there.
    return {"websocket_extra_options": {"sslopt": {"context": ssl_context}}}


class SocketIoTransport(Transport):
    """Socket.IO, by a ``python-socketio`` client whose own reconnecting is off."""

    def __init__(self, url: str, auth: Mapping[str, Any], ssl_context: Optional[ssl.SSLContext]) -> None:
        super().__init__()
        engineio, socketio = _libraries()

        class InOrder(engineio.Client):  # type: ignore[name-defined,misc]
            """Handles messages one after the other: by itself it gives each a thread, and they overtake each other."""

            def _trigger_event(self, event: str, *args: Any, **kwargs: Any) -> Any:
                return super()._trigger_event(event, *args, **{**kwargs, "run_async": False})

        class Client(socketio.Client):  # type: ignore[name-defined,misc]
            def _engineio_client_class(self) -> Any:
                return InOrder

        self._client = Client(reconnection=False, handle_sigint=False, **socketio_options(ssl_context))
        refusals: "queue.Queue[Any]" = queue.Queue(10)
        self._client.on("*", lambda name, *args: self._put(Said(name, args[0] if args else {})))
        self._client.on("connect_error", lambda *args: refusals.put_nowait(args[0] if args else None))
        self._client.on("disconnect", lambda *_: self._put(Ended(None, "the connection has ended")))
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        path = f"{parts.path.rstrip('/')}/socket.io".lstrip("/")
        try:
            self._client.connect(
                origin, auth=dict(auth), transports=["websocket"], socketio_path=path, wait_timeout=OPEN_SECONDS
            )
        except socketio.exceptions.ConnectionError as error:
            body = None if refusals.empty() else refusals.get_nowait()
            data = body.get("data") if isinstance(body, dict) else None
            if not isinstance(data, dict):
                raise WebSocketError(f"unable to connect; {error}") from error
            self._put(Said("auth-error", data))

    def send(self, name: str, payload: Mapping[str, Any], id: Optional[int] = None) -> None:
        answered: Optional[Callable[..., None]] = None
        if id is not None:
            at = id
            answered = lambda *args: self._put(Answered(at, args[0] if args else None))  # noqa: E731
        try:
            self._client.emit(name, dict(payload), callback=answered)
        except Exception as error:
            raise WebSocketError(f"unable to send {name}; {error}") from error

    def close(self) -> None:
        super().close()
        try:
            self._client.disconnect()
        except Exception:  # It may have ended by itself meanwhile.
            pass
