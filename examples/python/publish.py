#!/usr/bin/env python3
"""Broadcasts to a group, over HTTP on the relay's internal port: publish.py --group 7 "Hello"."""

import argparse
import json
import os
import time
import urllib.error
import urllib.request
import uuid

from groupcast import sign

RELAY = os.environ.get("RELAY_INTERNAL_URL", "http://127.0.0.1:3002")
SECRET = os.environ["RELAY_SERVICE_SECRET"]


def broadcast(group, message):
    """Returns what the relay says. A message with the same id may be sent again: the relay knows it."""
    token = sign({"aud": "groupcast-relay", "scope": "broadcast", "sub": "python"}, SECRET)
    request = urllib.request.Request(
        f"{RELAY}/v1/broadcast",
        data=json.dumps({"groupId": group, "message": message}).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        return json.load(refusal)


def broadcast_surely(group, message, attempts=20):
    """Goes on while the relay is away, or says that the same may be welcome later."""
    for attempt in range(attempts):
        try:
            answer = broadcast(group, message)
            if "error" not in answer or not answer["error"].get("retryable"):
                return answer
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            answer = {"error": {"code": "RELAY_UNAVAILABLE", "message": str(error)}}
        time.sleep(min(0.25 * 2**attempt, 5))
    return answer


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--group", required=True)
    options.add_argument("--from", dest="sender", default="python")
    options.add_argument("--every", type=float, help="again and again, after so many seconds")
    options.add_argument("content")
    given = options.parse_args()
    while True:
        said = {"id": str(uuid.uuid4()), "senderId": given.sender, "content": given.content}
        print(json.dumps(broadcast_surely(given.group, said)), flush=True)
        if not given.every:
            break
        time.sleep(given.every)
