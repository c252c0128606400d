"""The publisher: the broadcast API of a Groupcast relay over HTTP. It needs the standard library alone."""

import json
import random
import ssl
import time
import uuid
from datetime import date, datetime
from inspect import signature
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, Union
from urllib.parse import quote, urlencode

from .errors import GroupcastError
from .http import Answer, HttpClient, Lost, TooLarge, Unsent
from .tokens import read_secret, read_token, sign_service_token

Json = Dict[str, Any]
Id = Union[str, int]

#: How long a token that was signed here is used, and how long before its end it is replaced, in seconds.
_TOKEN_SECONDS = 300
_TOKEN_RENEWED_SECONDS = 60
#: Shortest and longest wait before a call is made again, in seconds.
_RETRY_MIN_SECONDS = 0.1
_RETRY_MAX_SECONDS = 2.0
#: The relay waits for those who are expected for this long where it is not told, in milliseconds.
_DEFAULT_WITHIN_MS = 2_000


def _plain(value: object) -> str:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _refused(what: str, why: str) -> GroupcastError:
    return GroupcastError("INVALID_PAYLOAD", f"unable to send {what}; {why}")


def _encode(body: Mapping[str, Any], what: str) -> bytes:
    try:
        return json.dumps(body, default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8"
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise _refused(what, f"it is no plain JSON ({error})") from error


def _listed(ids: Any) -> Any:
    """The ids as a list. The relay refuses what is none with a code; a text would fall apart into its letters here."""
    return list(ids) if isinstance(ids, Iterable) and not isinstance(ids, (str, bytes, Mapping)) else ids


def _without_none(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _broadcast_body(
    group_id: Id,
    message: Mapping[str, Any],
    *,
    id: Optional[Id] = None,
    event: Optional[str] = None,
    epoch: Optional[str] = None,
    seq: Optional[int] = None,
    except_socket_id: Optional[str] = None,
    except_user_id: Optional[Id] = None,
    expected_user_ids: Optional[Iterable[Id]] = None,
    wait_for: Optional[str] = None,
    within_ms: Optional[int] = None,
    traceparent: Optional[str] = None,
) -> Json:
    """The message's own id where it has one, so that a caller's retry of the whole call is recognised too."""
    own = message.get("id") if event in (None, "new-message") and isinstance(message, Mapping) else None
    is_id = isinstance(own, (str, int)) and not isinstance(own, bool)
    return _without_none(
        groupId=group_id,
        message=message,
        id=id if id is not None else own if is_id else str(uuid.uuid4()),
        event=event,
        epoch=epoch,
        seq=seq,
        exceptSocketId=except_socket_id,
        exceptUserId=except_user_id,
        expectedUserIds=_listed(expected_user_ids),
        waitFor=wait_for,
        withinMs=within_ms,
        traceparent=traceparent,
    )


#: The names that an item of a batch may have.
_ITEM_FIELDS = tuple(signature(_broadcast_body).parameters)


def _item_body(item: object) -> Json:
    """The body of one item of a batch. Raise ``GroupcastError`` where it has not the arguments of a broadcast."""
    if not isinstance(item, Mapping):
        raise _refused("an item", f"it is no dictionary, but {type(item).__name__}")
    missing = [f"it has no {name}" for name in ("group_id", "message") if name not in item]
    unknown = [f"{name} is no argument of broadcast_message" for name in item if name not in _ITEM_FIELDS]
    if missing or unknown:
        raise _refused("an item", ", and ".join(missing + unknown))
    return _broadcast_body(**item)


def _wait_ms(body: Mapping[str, Any]) -> int:
    """How long the relay may wait for those who are expected before it answers."""
    if not body.get("expectedUserIds"):
        return 0
    within = body.get("withinMs", _DEFAULT_WITHIN_MS)
    return within if isinstance(within, int) and 1 <= within <= 30_000 else 0


class Broadcaster:
    """Sends to a relay, from any thread.

    ``url``: the relay's internal port, such as ``http://127.0.0.1:3002``, or its public URL where it has
    ``PUBLIC_BROADCAST_API=1``. ``service_secret`` (``RELAY_SERVICE_SECRET``) signs short tokens; ``token_provider``
    returns one instead, and is asked for every call. ``name`` is how this back end is called in the relay's logs, and
    whose budget it spends.

    Each method returns the relay's answer as a dictionary, with the names of the wire, and raises ``GroupcastError``.
    While the relay cannot be reached a call is made again until ``timeout_ms`` is over; so is one whose answer was
    lost, where doing it twice is doing it once: a broadcast has an id by which the relay knows it. ``notify_users`` has
    none. A refusal is raised at once.
    """

    def __init__(
        self,
        url: str,
        *,
        service_secret: Optional[str] = None,
        token_provider: Optional[Callable[[], str]] = None,
        name: str = "python",
        timeout_ms: int = 10_000,
        max_connections: int = 16,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        if not service_secret and token_provider is None:
            raise TypeError("Broadcaster needs service_secret or token_provider")
        read_secret(service_secret or "")
        self._http = HttpClient(url, max_connections=max_connections, ssl_context=ssl_context)
        self._url, self._name, self._timeout_ms = url.rstrip("/"), name, timeout_ms
        self._secret, self._provider = service_secret or "", token_provider
        self._token: Tuple[str, float] = ("", 0.0)
        self._is_closed = False

    def broadcast_message(self, group_id: Id, message: Mapping[str, Any], **options: Any) -> Json:
        """Send one event to the members of a group; return once the relay has accepted it.

        Options: ``id``, ``event``, ``epoch`` and ``seq``, ``except_socket_id``, ``except_user_id``, ``traceparent``,
        and ``expected_user_ids`` with ``wait_for`` and ``within_ms``, whose answer is in ``delivery``.
        """
        body = _broadcast_body(group_id, message, **options)
        return self._post("/v1/broadcast", body, more_ms=_wait_ms(body))

    def broadcast_batch(self, items: Iterable[Mapping[str, Any]]) -> List[Json]:
        """Send many events; at most 1,000 of them and 900 KB. An item has the arguments of ``broadcast_message``.

        One result per item, in order, each ``{"ok": True, …}`` or ``{"ok": False, "error": {…}}``: a bad item fails
        alone.
        """
        if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
            raise _refused("/v1/batch", "items must be a list")
        parts: List[bytes] = []
        refused: List[Tuple[int, Json]] = []
        more_ms = 0
        for place, item in enumerate(items):
            try:
                body = _item_body(item)
                parts.append(_encode(body, "an item"))
                more_ms = max(more_ms, _wait_ms(body))
            except GroupcastError as error:
                body = {"code": error.code, "message": error.message, "retryable": error.retryable}
                refused.append((place, {"ok": False, "error": body}))
        if refused and not parts:
            return [result for _, result in refused]
        batch = b'{"items":[' + b",".join(parts) + b"]}"
        results: List[Json] = list(self._call("POST", "/v1/batch", batch, more_ms=more_ms)["results"])
        for place, result in refused:
            results.insert(place, result)
        return results

    def notify_users(self, user_ids: Iterable[Id], event: str, data: Mapping[str, Any]) -> Json:
        """Send to every connection of these users, in no group and with no position; nothing is kept for those who are
        offline.
        """
        body = {"userIds": _listed(user_ids), "event": event, "data": data}
        return self._post("/v1/notify", body, is_repeatable=False)

    def add_members(
        self, group_id: Id, user_ids: Iterable[Id], *, epoch: Optional[str] = None, seq: Optional[int] = None
    ) -> None:
        """Return once every live connection of these users is in the group."""
        body = _without_none(groupId=group_id, userIds=_listed(user_ids), epoch=epoch, seq=seq)
        self._post("/v1/members/add", body)

    def remove_members(
        self,
        group_id: Id,
        user_ids: Optional[Iterable[Id]] = None,
        *,
        everyone: bool = False,
        epoch: Optional[str] = None,
        seq: Optional[int] = None,
    ) -> None:
        """Return once no live connection of these users is in the group; older tokens will not bring them back.

        ``everyone=True`` in place of ``user_ids`` removes every user with one change.
        """
        users = _listed(user_ids)
        body = _without_none(groupId=group_id, userIds=users, everyone=everyone or None, epoch=epoch, seq=seq)
        self._post("/v1/members/remove", body)

    def update_cursors(self, cursors: Iterable[Mapping[str, Any]], groups: Optional[Mapping[str, Any]] = None) -> None:
        """Show how far members are, as this back end has stored it: ``{"userId", "groupId", "received"?, "read"?}``
        each.
        """
        self._post("/v1/cursors", _without_none(cursors=_listed(cursors), groups=groups))

    def disconnect_users(
        self,
        user_ids: Iterable[Id],
        code: str,
        *,
        message: Optional[str] = None,
        next: Optional[str] = None,
        revoke_before: Optional[int] = None,
    ) -> Json:
        """End the sessions of users. ``revoke_before``, in Unix seconds, refuses their older tokens from now on."""
        body = _without_none(userIds=_listed(user_ids), code=code, message=message, next=next, revokeBefore=revoke_before)
        return self._post("/v1/disconnect", body)

    def get_presence(self, group_id: Id) -> Json:
        """The users who have connections in the group, but those who hide it."""
        return self._call("GET", f"/v1/groups/{quote(str(group_id), safe='')}/presence")

    def get_history(self, group_id: Id, *, since: Optional[int] = None, limit: Optional[int] = None) -> Json:
        """The events that the relay's log holds of a group after ``since``, oldest first."""
        query = urlencode(_without_none(since=since, limit=limit))
        return self._call("GET", f"/v1/groups/{quote(str(group_id), safe='')}/history" + (f"?{query}" if query else ""))

    def await_delivery(
        self,
        group_id: Id,
        expected_user_ids: Iterable[Id],
        *,
        id: Optional[Id] = None,
        seq: Optional[int] = None,
        epoch: Optional[str] = None,
        wait_for: Optional[str] = None,
        within_ms: Optional[int] = None,
    ) -> Json:
        """Whom an event has reached, once it has reached everybody who is expected, or after ``within_ms``."""
        body = _without_none(
            groupId=group_id,
            id=id,
            seq=seq,
            epoch=epoch,
            expectedUserIds=_listed(expected_user_ids),
            waitFor=wait_for,
            withinMs=within_ms,
        )
        delivery: Json = self._post("/v1/deliveries", body, more_ms=_wait_ms(body))["delivery"]
        return delivery

    #: The short names of the two calls that are made most.
    broadcast = broadcast_message
    notify = notify_users

    def close(self) -> None:
        """Close the connections. Calls that are under way end by themselves, and later ones are refused."""
        self._is_closed = True
        self._http.close()

    def __enter__(self) -> "Broadcaster":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _bearer(self) -> str:
        if self._provider is not None:
            return read_token(self._provided(self._provider), "SERVICE_TOKEN_INVALID")
        token, renewed_at = self._token
        now = time.monotonic()
        if now >= renewed_at:
            token = sign_service_token(self._secret, subject=self._name, ttl_seconds=_TOKEN_SECONDS)
            # Threads that come at once sign one each, and the last one stays.
            self._token = (token, now + _TOKEN_SECONDS - _TOKEN_RENEWED_SECONDS)
        return token

    @staticmethod
    def _provided(provider: Callable[[], str]) -> str:
        try:
            return provider()
        except Exception as error:
            # Its text may have anything in it, and an error that is raised here would bring it along as its context.
            why = type(error).__name__
        raise GroupcastError(
            "RELAY_UNAVAILABLE", f"there is no service token; its provider raised {why}", retryable=True
        )

    def _post(self, path: str, body: Mapping[str, Any], *, more_ms: int = 0, is_repeatable: bool = True) -> Json:
        return self._call("POST", path, _encode(body, path), more_ms=more_ms, is_repeatable=is_repeatable)

    def _call(
        self, method: str, path: str, body: Optional[bytes] = None, *, more_ms: int = 0, is_repeatable: bool = True
    ) -> Json:
        within_ms = self._timeout_ms + more_ms
        deadline = time.monotonic() + within_ms / 1_000
        pause = _RETRY_MIN_SECONDS
        while True:
            if self._is_closed:
                raise GroupcastError("RELAY_UNAVAILABLE", f"unable to send {path}; the broadcaster is closed")
            headers = {"Authorization": f"Bearer {self._bearer()}", "Accept": "application/json"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            try:
                answer = self._http.ask(method, path, body=body, headers=headers, deadline=deadline)
                return self._read(answer, path)
            except TooLarge as error:
                raise GroupcastError("PAYLOAD_TOO_LARGE", f"unable to read the answer to {path}; {error}") from error
            except (Unsent, Lost) as error:
                may_repeat = is_repeatable or isinstance(error, Unsent)
                wait = pause * (0.5 + random.random() / 2)
                if not may_repeat or time.monotonic() + wait >= deadline:
                    why = f"the relay at {self._url} did not answer within {within_ms} ms ({error})"
                    raise GroupcastError(
                        "RELAY_UNAVAILABLE", f"unable to send {path}; {why}", retryable=True
                    ) from error
                time.sleep(wait)
                pause = min(pause * 2, _RETRY_MAX_SECONDS)

    def _read(self, answer: Answer, path: str) -> Json:
        try:
            body = json.loads(answer.body)
        except (ValueError, RecursionError):
            body = None
        if isinstance(body, dict):
            if answer.status == 200 and body.get("ok") is True:
                return {name: value for name, value in body.items() if name != "ok"}
            if isinstance(body.get("error"), dict):
                raise GroupcastError.of_body(body["error"])
        what = f"unable to send {path}; something at {self._url} answered {answer.status}, and not as a relay does"
        if answer.status in (408, 429, 502, 503, 504):
            raise GroupcastError("RELAY_UNAVAILABLE", what, retryable=True)
        raise GroupcastError("INTERNAL", what)
