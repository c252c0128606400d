#!/usr/bin/env python3
"""Prints the events of a group, one JSON object a line: listen.py --user alice --group 7."""

import argparse
import json
import os
import sys
import time

from groupcast import WebSocket, sign

URL = os.environ.get("RELAY_WS_URL", "ws://127.0.0.1:3001/ws")
SECRET = os.environ["JWT_SECRET"]
RECONNECT_SECONDS = 0.5


class Refused(Exception):
    """The relay has said no, and would say it again."""


def listen(user, group, position):
    """Yields events until the connection ends. `position` is that of the last one that was seen, or None."""
    relay = WebSocket(URL)
    relay.send({"type": "auth", "token": sign({"sub": user, "groups": [group]}, SECRET)})
    # With a position the answer has what was missed since then; see docs/recovery.md.
    join = {"type": "join-group", "id": 1, "groupId": group}
    relay.send({**join, "position": position} if position else join)
    for frame in relay:
        if frame.get("type") == "ack":
            if not frame.get("ok"):
                raise Refused(frame["error"]["message"])
            if frame.get("id") == 1:
                print(f"joined {group}", file=sys.stderr, flush=True)
                yield from frame.get("events", [])
        elif frame.get("type") == "auth-error":
            raise Refused(frame["message"])
        elif frame.get("groupId") == group and frame.get("seq"):
            yield frame


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--user", required=True)
    options.add_argument("--group", required=True)
    given = options.parse_args()
    last = None
    while True:
        try:
            for event in listen(given.user, given.group, last):
                here = {"epoch": event["epoch"], "seq": event["seq"]}
                # A second copy has a position that was there before.
                if last and last["epoch"] == here["epoch"] and here["seq"] <= last["seq"]:
                    continue
                last = here
                print(json.dumps(event), flush=True)
        except OSError as error:
            print(f"trying again: {error}", file=sys.stderr, flush=True)
        except Refused as error:
            sys.exit(str(error))
        time.sleep(RECONNECT_SECONDS)
