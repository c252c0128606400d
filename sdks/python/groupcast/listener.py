"""The listener: every event of every group of a user, once and in order, across disconnects."""

import json
import logging
import random
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Set, Tuple, Union
from urllib.parse import quote, urlencode, urlsplit

from .errors import GroupcastError
from .http import HttpClient, Lost, Unsent
from .positions import Event, GroupQueue, Position, read_position
from .tokens import read_token
from .transports import Answered, Ended, Frame, RawTransport, Said, SocketIoTransport, Transport, socketio_options
from .websocket import WebSocketError

log = logging.getLogger("groupcast")

#: How long a gap may close by itself before the relay is asked, and how long it is not asked again after a failure, in
#: seconds.
_GAP_SECONDS = 0.2
_ASK_AGAIN_SECONDS = 1.0
#: How long the relay may take to answer, and the API, in seconds.
_ANSWER_SECONDS = 15.0
_API_SECONDS = 10.0
_BACKOFF_MIN_SECONDS = 0.25
_BACKOFF_MAX_SECONDS = 10.0
#: Refusals that a newer token may end.
_OF_TOKEN = frozenset({"TOKEN_EXPIRED", "TOKEN_INVALID", "TOKEN_MISSING"})
#: Events that are the listener's own business.
_OWN = frozenset(
    {"auth-success", "auth-error", "joined-groups", "resumed", "group-head", "session-ending", "pong", "error"}
)


#: When an answer is late, and from where each group was asked; None: it was joined without a position.
_Asked = Tuple[float, Dict[str, Optional[Position]]]
_UNASKED: _Asked = (0.0, {})


@dataclass(frozen=True)
class Gap:
    """Events of a group that can no longer be had: those after ``after`` and up to ``position``.

    Where the epochs differ the group was started over, and nobody can say whether there were any.
    """

    group_id: str
    after: Optional[Position]
    position: Position


Positions = Mapping[str, Union[Position, Mapping[str, Any]]]


class Listener:
    """Hears what a user hears: ``for event in Listener(…)``.

    ``url``: the relay's public URL. ``token_provider`` returns a user token and is asked at each connect; ``token`` is
    one that lasts. The groups that the token names are joined by the relay, and those in ``groups`` are asked for.
    ``positions`` are those of an earlier listener: it goes on where that one was.

    ``transport="raw"`` takes the relay's plain WebSocket at ``path`` (``RELAY_WS_PATH``), ``transport="socketio"``
    needs ``python-socketio``. One that is too old to take ``ssl_context`` is a ``ValueError``.

    Events come once and in order, also across disconnects and restarts of the relay. What its log has no longer is read
    from the Groupcast API at ``api_url``; without one ``on_gap`` is called, and a warning is logged, before the group
    goes on.

    Iterating raises ``GroupcastError`` where the relay has said no and would say it again, and ends after ``close()``.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Optional[str] = None,
        token_provider: Optional[Callable[[], str]] = None,
        groups: Iterable[Union[str, int]] = (),
        positions: Optional[Positions] = None,
        transport: str = "raw",
        path: str = "/ws",
        api_url: Optional[str] = None,
        on_gap: Optional[Callable[[Gap], None]] = None,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        if (token is None) == (token_provider is None):
            raise TypeError("Listener needs token or token_provider, and not both")
        if transport not in ("raw", "socketio"):
            raise ValueError('transport is "raw" or "socketio"')
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError("the url begins with http:// or https:// and a host")
        if transport == "socketio":
            # Where it cannot be used, this says so now.
            socketio_options(ssl_context)
        self._url, self._path, self._transport_name, self._ssl = url, path, transport, ssl_context
        self._has_provider = token_provider is not None
        self._get_token = token_provider if token_provider is not None else lambda: token or ""
        self._wanted = [str(group) for group in groups]
        self._api = HttpClient(api_url, max_connections=1, ssl_context=ssl_context) if api_url else None
        self._on_gap = on_gap
        self._queues: Dict[str, GroupQueue] = {}
        self._handed: Dict[str, Position] = {}
        for group, given in (positions or {}).items():
            position = read_position(given)
            if position is None:
                raise ValueError(f"the position of group {group} is malformed")
            self._queues[group] = GroupQueue(position)
            self._handed[group] = position
        self._closing = threading.Event()
        self._transport: Optional[Transport] = None
        self._is_used = False

    @property
    def positions(self) -> Dict[str, Dict[str, Any]]:
        """The position of the last event that was handed out, of each group, as JSON takes it. Store it once the event
        is handled.
        """
        return {group: position.to_json() for group, position in self._handed.copy().items()}

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._closing.set()
        transport = self._transport
        if transport:
            transport.close()

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def run(self, handle: Callable[[Event], None]) -> None:
        """Call ``handle`` for each event, in this thread, until ``close()``."""
        for event in self:
            handle(event)

    def __iter__(self) -> Iterator[Event]:
        if self._is_used:
            raise RuntimeError("a listener is iterated once; make another one, with its positions")
        self._is_used = True
        return self._listen()

    def _listen(self) -> Iterator[Event]:
        backoff, refusals = _BACKOFF_MIN_SECONDS, 0
        while not self._closing.is_set():
            session = _Session(self._queues, self._wanted, self._fill)
            wait: Optional[float] = None
            try:
                yield from self._connected(session)
            except GroupcastError as error:
                refusals += 1
                may_be_renewed = self._has_provider and refusals == 1 and error.code in _OF_TOKEN
                if not error.retryable and not may_be_renewed:
                    raise
                wait = None if error.retry_after_ms is None else error.retry_after_ms / 1_000
                log.warning("the relay refuses the listener for now: %s", error)
            except WebSocketError as error:
                if not self._closing.is_set():
                    log.info("connecting again: %s", error)
            if session.is_welcome:
                backoff, refusals = _BACKOFF_MIN_SECONDS, 0
            pause = backoff * (0.5 + random.random() / 2)
            self._closing.wait(pause if wait is None else max(pause / 2, wait))
            backoff = min(backoff * 2, _BACKOFF_MAX_SECONDS)

    def _connected(self, session: "_Session") -> Iterator[Event]:
        try:
            given = self._get_token()
        except Exception as error:
            # It may have asked a back end that is away for a moment. Its text may have anything in it.
            log.warning("there is no token (%s)", type(error).__name__)
            raise WebSocketError("there is no token") from error
        session.token = read_token(given, "TOKEN_INVALID")
        auth: Dict[str, Any] = {"token": session.token, "positions": session.positions()}
        transport: Transport = (
            RawTransport(self._url, self._path, auth, self._ssl)
            if self._transport_name == "raw"
            else SocketIoTransport(self._url, auth, self._ssl)
        )
        self._transport = transport
        try:
            while not self._closing.is_set():
                # While the application was busy with an event, an answer may have come that would seem late.
                frame = transport.next_frame(0) or transport.next_frame(session.seconds_left())
                if frame is not None:
                    for event in session.handle(frame):
                        if event.group_id is not None and event.position is not None:
                            self._handed[event.group_id] = event.position
                        yield event
                    self._follow(session)
                if session.needs_token:
                    session.renew(self._renewed())
                for name, payload, id in session.outgoing():
                    transport.send(name, payload, id)
        finally:
            self._transport = None
            transport.close()

    def _follow(self, session: "_Session") -> None:
        """A group may move without an event, and may be left."""
        for group in session.touched():
            queue = self._queues.get(group)
            if queue is None:
                self._handed.pop(group, None)
            elif queue.cursor is not None:
                self._handed[group] = queue.cursor

    def _renewed(self) -> Optional[str]:
        try:
            return read_token(self._get_token(), "TOKEN_INVALID")
        except Exception as error:
            log.warning("there is no new token (%s): the session ends with the old one", type(error).__name__)
            return None

    def _fill(self, group: str, queue: GroupQueue, position: Position, token: str) -> List[Event]:
        """What the relay's log has no longer: from the API, or as a gap."""
        after = queue.cursor
        if self._api is not None and after is not None:
            try:
                return self._fill_from_api(group, queue, after, token)
            except (Unsent, Lost, ValueError) as error:
                raise WebSocketError(f"the API cannot be asked for events of group {group}: {error}") from error
        return self._skip(group, queue, position)

    def _skip(self, group: str, queue: GroupQueue, position: Position) -> List[Event]:
        gap = Gap(group, queue.cursor, position)
        log.warning("events of group %s cannot be had: after %s, up to %s", group, gap.after, gap.position)
        if self._on_gap:
            self._on_gap(gap)
        return queue.restart(position)

    def _fill_from_api(self, group: str, queue: GroupQueue, after: Position, token: str) -> List[Event]:
        assert self._api is not None
        due: List[Event] = []
        while True:
            query = urlencode({"after": after.seq, "epoch": after.epoch})
            path = f"/api/messaging/groups/{quote(group, safe='')}/events?{query}"
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            answer = self._api.ask("GET", path, body=None, headers=headers, deadline=time.monotonic() + _API_SECONDS)
            body = json.loads(answer.body)
            position = read_position(body.get("position")) if isinstance(body, dict) else None
            if answer.status != 200 or position is None:
                raise ValueError(f"it answered {answer.status}")
            if body.get("reset") is True or position.epoch != after.epoch:
                return due + self._skip(group, queue, position)
            due += queue.page(after, _events_of(group, body.get("events")), position)
            if body.get("more") is not True or position.seq <= after.seq:
                return due
            after = position


def _events_of(group: str, given: Any) -> List[Tuple[Position, Event]]:
    """The events of an answer, each with its position."""
    found = []
    for each in given if isinstance(given, list) else []:
        position = read_position(each)
        name = each.get("event") if isinstance(each, dict) else None
        if position is not None and isinstance(name, str):
            found.append((position, Event(name, {k: v for k, v in each.items() if k != "event"}, group, position)))
    return found


class _Session:
    """What a connection has heard, and what there is to say on it. It does no I/O but by ``fill``."""

    def __init__(
        self,
        queues: Dict[str, GroupQueue],
        wanted: Iterable[str],
        fill: Callable[[str, GroupQueue, Position, str], List[Event]],
    ) -> None:
        self.token = ""
        self.is_welcome = False
        self.needs_token = False
        self._queues, self._wanted, self._fill = queues, list(wanted), fill
        self._asked_at_first: Dict[str, Position] = {}
        self._next_id = 1
        self._out: List[Tuple[str, Dict[str, Any], Optional[int]]] = []
        self._waiting: Dict[int, _Asked] = {}
        self._asking: Set[str] = set()
        self._ask_at: Dict[str, float] = {}
        self._touched: Set[str] = set()
        self._welcome_by = time.monotonic() + _ANSWER_SECONDS
        #: What the relay has said about the end that is to come.
        self._ending: Optional[GroupcastError] = None

    def positions(self) -> Dict[str, Dict[str, Any]]:
        self._asked_at_first = {group: queue.cursor for group, queue in self._queues.items() if queue.cursor}
        return {group: position.to_json() for group, position in self._asked_at_first.items()}

    def touched(self) -> Set[str]:
        touched, self._touched = self._touched, set()
        return touched

    def seconds_left(self) -> float:
        """How long it may wait for the next frame. Raises where an answer is late."""
        now = time.monotonic()
        late = min((until for until, _ in self._waiting.values()), default=now + _ANSWER_SECONDS)
        if not self.is_welcome:
            late = min(late, self._welcome_by)
        if now >= late:
            raise WebSocketError("the relay does not answer")
        return max(0.0, min([late, *self._ask_at.values()]) - now)

    def outgoing(self) -> List[Tuple[str, Dict[str, Any], Optional[int]]]:
        now = time.monotonic()
        due = [group for group, at in self._ask_at.items() if at <= now]
        for group in due:
            del self._ask_at[group]
            self._ask(group)
        out, self._out = self._out, []
        return out

    def renew(self, token: Optional[str]) -> None:
        self.needs_token = False
        if token is not None:
            self.token = token
            self._out.append(("refresh-token", {"token": token}, None))

    def handle(self, frame: Frame) -> List[Event]:
        if isinstance(frame, Ended):
            raise self._ending or frame.error or WebSocketError(frame.why)
        if isinstance(frame, Answered):
            return self._answered(frame)
        return self._said(frame)

    def _said(self, said: Said) -> List[Event]:
        name, payload = said.name, said.payload if isinstance(said.payload, dict) else {}
        if name == "auth-error":
            raise GroupcastError.of_body(payload)
        if name == "session-ending":
            self._end(payload)
        elif name == "joined-groups":
            return self._joined(payload)
        elif name == "resumed":
            return self._recovered(payload.get("groups"), dict(self._asked_at_first))
        elif name == "error":
            log.warning("the relay refuses %s: %s", payload.get("event"), payload.get("message"))
        if name in _OWN and name != "group-head":
            return []
        return self._event(name, payload, said.payload)

    def _event(self, name: str, payload: Dict[str, Any], whole: Any) -> List[Event]:
        group, position = payload.get("groupId"), read_position(payload)
        if name == "left-groups":
            for left in payload.get("groups") or []:
                self._leave(str(left))
            return [Event(name, payload)]
        if not isinstance(group, str) or position is None:
            if name == "group-head":
                return []
            data = payload if isinstance(whole, dict) else {"payload": whole}
            return [Event(name, data, group if isinstance(group, str) else None)]
        queue = self._queue(group)
        due: List[Event] = []
        if name != "group-head":
            due = queue.take(position, Event(name, payload, group, position))
        elif payload.get("skipId") is not None:
            due = queue.take(position, None)
        else:
            queue.mention(position)
        self._watch(group, queue)
        return due

    def _end(self, payload: Dict[str, Any]) -> None:
        following = payload.get("next")
        if following == "refresh-token":
            self.needs_token = True
            return
        self._ending = GroupcastError.of_body({**payload, "retryable": following != "stop"})

    def _joined(self, payload: Dict[str, Any]) -> List[Event]:
        due: List[Event] = []
        joined = {str(each.get("groupId")): read_position(each.get("position")) for each in payload.get("groups") or []}
        for group, position in joined.items():
            queue = self._queue(group)
            due += queue.open(position)
            self._watch(group, queue)
        if not self.is_welcome:
            self.is_welcome = True
            for group in self._wanted:
                if group not in joined:
                    self._join(group)
        return due

    def _join(self, group: str) -> None:
        known = self._queues.get(group)
        cursor = known.cursor if known else None
        payload: Dict[str, Any] = {"groupId": group}
        if cursor is not None:
            payload["position"] = cursor.to_json()
        self._send("join-group", payload, {group: cursor})

    def _ask(self, group: str) -> None:
        queue = self._queues.get(group)
        if queue is None or group in self._asking or not queue.has_gap:
            return
        after = Position(queue.newer.epoch, 0) if queue.newer is not None else queue.cursor
        if after is not None:
            self._send("resume", {"positions": {group: after.to_json()}}, {group: after})

    def _send(self, name: str, payload: Dict[str, Any], asked: Dict[str, Optional[Position]]) -> None:
        id, self._next_id = self._next_id, self._next_id + 1
        self._waiting[id] = (time.monotonic() + _ANSWER_SECONDS, asked)
        self._asking.update(asked)
        self._out.append((name, payload, id))

    def _answered(self, answered: Answered) -> List[Event]:
        _, asked = self._waiting.pop(answered.id, _UNASKED)
        self._asking.difference_update(asked)
        body = answered.body if isinstance(answered.body, dict) else {}
        if body.get("ok") is not True:
            return self._recovered({group: {"error": body.get("error")} for group in asked}, asked)
        if "groups" in body:
            return self._recovered(body["groups"], asked)
        return self._recovered({str(body.get("groupId")): body}, asked)

    def _recovered(self, groups: Any, asked: Mapping[str, Optional[Position]]) -> List[Event]:
        due: List[Event] = []
        for group, answer in (groups if isinstance(groups, dict) else {}).items():
            if isinstance(answer, dict) and group in asked:
                due += self._recovered_one(group, answer, asked[group])
        return due

    def _recovered_one(self, group: str, answer: Dict[str, Any], after: Optional[Position]) -> List[Event]:
        if "error" in answer:
            return self._refused(group, GroupcastError.of_body(answer["error"]))
        queue = self._queue(group)
        position = read_position(answer.get("position"))
        due: List[Event] = []
        if after is None or not queue.is_open:
            due = queue.open(position)
        elif answer.get("recovered") is True and position is not None:
            cursor = queue.cursor
            if cursor is None or (after.epoch != cursor.epoch and after.generation >= cursor.generation):
                # The group was started over, and this is all of it. Of the epoch before nobody knows any more.
                if cursor is not None:
                    log.info("group %s was started over: %s after %s", group, after.epoch, cursor)
                due = queue.restart(after)
            due += queue.page(after, _events_of(group, answer.get("events")), position)
            if answer.get("more") is True:
                self._ask_at[group] = 0.0
                queue.mention(Position(position.epoch, position.seq + 1))
        elif position is not None:
            due = self._not_recovered(group, queue, after, position)
        self._watch(group, queue, _ASK_AGAIN_SECONDS if not due else 0.0)
        return due

    def _not_recovered(self, group: str, queue: GroupQueue, after: Position, position: Position) -> List[Event]:
        cursor = queue.cursor
        if cursor is not None and position.epoch != cursor.epoch and after.seq > 0:
            # It may have all of the new epoch.
            queue.mention(position)
            self._ask_at[group] = 0.0
            return []
        if cursor == position:
            return []
        return self._fill(group, queue, position, self.token)

    def _refused(self, group: str, error: GroupcastError) -> List[Event]:
        if error.retryable:
            wait = _ASK_AGAIN_SECONDS if error.retry_after_ms is None else error.retry_after_ms / 1_000
            queue = self._queues.get(group)
            if queue is None or not queue.is_open or not queue.has_gap:
                # Joining has failed: the next connection does it again.
                raise WebSocketError(f"group {group} cannot be joined for now: {error}")
            self._ask_at[group] = time.monotonic() + wait
            return []
        log.warning("group %s is refused: %s", group, error)
        self._leave(group)
        return [Event("left-groups", {"groups": [group], "reason": error.code})]

    def _queue(self, group: str) -> GroupQueue:
        self._touched.add(group)
        return self._queues.setdefault(group, GroupQueue())

    def _leave(self, group: str) -> None:
        self._touched.add(group)
        self._queues.pop(group, None)
        self._ask_at.pop(group, None)

    def _watch(self, group: str, queue: GroupQueue, seconds: float = _GAP_SECONDS) -> None:
        if queue.has_gap and group not in self._asking:
            self._ask_at.setdefault(group, time.monotonic() + seconds)
        elif not queue.has_gap:
            self._ask_at.pop(group, None)
