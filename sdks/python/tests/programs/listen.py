"""Prints what a listener hears, one JSON object a line, until it has heard the message `last`."""

import json
import logging
import os
import sys

from groupcast import GroupcastError, Listener, sign_user_token


def say(**line):
    print(json.dumps(line), flush=True)


logging.basicConfig(stream=sys.stderr, level=logging.INFO)
transport, user, group, last = sys.argv[1:5]
listener = Listener(
    os.environ["RELAY_URL"],
    token_provider=lambda: sign_user_token(
        os.environ["JWT_SECRET"],
        user,
        groups=[group],
        user_claim=os.environ.get("JWT_USER_CLAIM"),
        issuer=os.environ.get("JWT_ISSUER"),
        audience=os.environ.get("JWT_AUDIENCE"),
    ),
    groups=[group],
    transport=transport,
    on_gap=lambda gap: say(gap=[gap.after, gap.position]),
)
try:
    with listener:
        for event in listener:
            if event.name == "new-message":
                say(n=event.data["n"], seq=event.position and event.position.seq)
                if event.data["n"] == last:
                    break
            elif event.name == "presence":
                say(present=event.data["online"])
except GroupcastError as error:
    say(error=error.code)
    sys.exit(1)
