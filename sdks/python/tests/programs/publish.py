"""Publishes numbered messages to a group, and says what each call was answered: publish.py GROUP COUNT [EXPECTED_USER…]

With GATE it publishes half of them, and the others once there is a file of that name.
"""

import json
import os
import sys
import time

from groupcast import Broadcaster, GroupcastError

group, count, expected = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
with Broadcaster(
    os.environ["RELAY_URL"], service_secret=os.environ["RELAY_SERVICE_SECRET"], timeout_ms=20_000
) as broadcaster:
    for n in range(1, count + 1):
        while n == count // 2 + 1 and "GATE" in os.environ and not os.path.exists(os.environ["GATE"]):
            time.sleep(0.01)
        while True:
            try:
                answer = broadcaster.broadcast(
                    group, {"id": f"{group}-{n}", "n": str(n)}, expected_user_ids=expected or None
                )
                break
            except GroupcastError as error:
                print(json.dumps({"refused": error.code, "retryable": error.retryable}), flush=True)
                if not error.retryable:
                    sys.exit(1)
        print(json.dumps(answer), flush=True)
