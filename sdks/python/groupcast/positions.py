"""Where an event stands in its group, and the order that follows from it."""

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

_EPOCH = re.compile(r"(?:0|[1-9][0-9]{0,14})-[A-Za-z0-9_]{1,64}\Z")
#: Most events that are held per group above a gap; the relay's log brings the others again.
MAX_HELD = 1_000


class Position(NamedTuple):
    """``seq`` counts 1, 2, 3 … without holes inside an ``epoch``; a higher generation of it replaces a lower one."""

    epoch: str
    seq: int

    def to_json(self) -> Dict[str, Any]:
        return {"epoch": self.epoch, "seq": self.seq}

    @property
    def generation(self) -> int:
        return int(self.epoch.split("-", 1)[0])


def read_position(value: object) -> Optional[Position]:
    """The position in a dictionary of the wire; None where there is none, or it is malformed."""
    if isinstance(value, Position):
        return value
    if not isinstance(value, Mapping):
        return None
    epoch, seq = value.get("epoch"), value.get("seq")
    if not isinstance(epoch, str) or not _EPOCH.match(epoch):
        return None
    return Position(epoch, seq) if isinstance(seq, int) and not isinstance(seq, bool) and seq >= 0 else None


@dataclass(frozen=True)
class Event:
    """An event as it is handed to the application.

    ``position`` is None for events without one: typing, presence, notifications of a back end, and what the relay says
    of the connection.
    """

    name: str
    data: Dict[str, Any] = field(default_factory=dict)
    group_id: Optional[str] = None
    position: Optional[Position] = None

    @property
    def id(self) -> Optional[str]:
        return self.data.get("id")


class GroupQueue:
    """Puts the events of one group in order, without I/O.

    Events that come from any source, in any order and any number of times, go out once, by ``seq``, without holes. A
    number is passed over only where the relay says so. Methods return the events that are due.
    """

    def __init__(self, cursor: Optional[Position] = None) -> None:
        self.cursor = cursor
        #: The relay has said where the group stands, or the application has.
        self.is_open = cursor is not None
        #: The relay did not know the group: everything that it will have is after this moment.
        self.began_empty = False
        #: The highest number of the cursor's epoch that was mentioned, and a position of an epoch that replaces it.
        self.target = cursor.seq if cursor else 0
        self.newer: Optional[Position] = None
        self._held: Dict[int, Optional[Event]] = {}
        self._pending: List[Tuple[Position, Optional[Event]]] = []

    @property
    def has_gap(self) -> bool:
        return self.newer is not None or (self.cursor is not None and self.target > self.cursor.seq)

    def open(self, position: Optional[Position]) -> List[Event]:
        """Begin where the group stands; a group that has begun is left alone. None: it has no events yet."""
        if self.is_open:
            if position is not None:
                self.mention(position)
            return []
        self.is_open = True
        if position is None:
            self.began_empty = True
            return self._take_all(self._release())
        return self.restart(position)

    def take(self, position: Position, event: Optional[Event]) -> List[Event]:
        """Take the event at ``position``; None: it is not for this user."""
        if not self.is_open:
            self._wait(position, event)
            return []
        if self.cursor is None:
            # The first event of a group that had none. It is number 1, unless a back end counts otherwise.
            self.cursor = Position(position.epoch, position.seq - 1)
            self.target = position.seq
        if position.epoch != self.cursor.epoch:
            if position.generation >= self.cursor.generation:
                if self.newer is None or position.generation > self.newer.generation:
                    self.newer = position
                self._wait(position, event)
            return []
        if position.seq <= self.cursor.seq:
            return []
        self.target = max(self.target, position.seq)
        if position.seq > self.cursor.seq + 1:
            if len(self._held) < MAX_HELD:
                self._held.setdefault(position.seq, event)
            return []
        return ([event] if event else []) + self._advance(position)

    def mention(self, position: Position) -> None:
        """The group has got to ``position``."""
        if not self.is_open or (self.cursor is None and position.seq == 0):
            return
        if self.cursor is None:
            self.cursor = Position(position.epoch, 0)
        if position.epoch == self.cursor.epoch:
            self.target = max(self.target, position.seq)
        elif position.generation >= self.cursor.generation:
            self.newer = position

    def page(self, after: Position, events: List[Tuple[Position, Event]], position: Position) -> List[Event]:
        """Everything after ``after`` and up to ``position``. The answer to a question from before a restart is ignored."""
        cursor = self.cursor
        if cursor is None or cursor.epoch != after.epoch or position.epoch != cursor.epoch or after.seq > cursor.seq:
            return []
        due: List[Event] = []
        for at, event in sorted(events, key=lambda each: each[0].seq):
            if at.epoch == cursor.epoch and self.cursor is not None and self.cursor.seq < at.seq <= position.seq:
                due.append(event)
                self.cursor = at
        return due + self._advance(Position(cursor.epoch, max(self.cursor.seq if self.cursor else 0, position.seq)))

    def restart(self, position: Position) -> List[Event]:
        """Go on after ``position``: what is missing before it cannot be had."""
        waiting = self._release()
        self.cursor, self.target, self.newer = position, position.seq, None
        self._held.clear()
        return self._take_all(waiting)

    def _wait(self, position: Position, event: Optional[Event]) -> None:
        self._pending.append((position, event))
        if len(self._pending) > MAX_HELD:
            # The newest are kept: they show that others are missing.
            self._pending.pop(0)

    def _release(self) -> List[Tuple[Position, Optional[Event]]]:
        waiting, self._pending = self._pending, []
        return sorted(waiting, key=lambda each: (each[0].generation, each[0].seq))

    def _take_all(self, waiting: List[Tuple[Position, Optional[Event]]]) -> List[Event]:
        return [due for position, event in waiting for due in self.take(position, event)]

    def _advance(self, position: Position) -> List[Event]:
        """Move the cursor to ``position``, and on over the held events that follow directly."""
        due: List[Event] = []
        seq = position.seq
        for held in [number for number in self._held if number <= seq]:
            del self._held[held]
        while seq + 1 in self._held:
            seq += 1
            event = self._held.pop(seq)
            if event:
                due.append(event)
        self.cursor = Position(position.epoch, seq)
        self.target = max(self.target, seq)
        return due
