"""Readers copy the code of the README: it has to call what is there, as it is."""

import os
import re
import unittest
from unittest import mock

import groupcast

README = os.path.join(os.path.dirname(__file__), "..", "README.md")


class TheReadme(unittest.TestCase):
    def test_has_code_that_runs(self):
        with open(README, encoding="utf-8") as file:
            blocks = re.findall(r"^```python\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)
        self.assertEqual(len(blocks), 2)
        broadcaster = mock.create_autospec(groupcast.Broadcaster)
        broadcaster.return_value.broadcast.return_value = {"recipients": {}, "delivery": {"proven": ["alice"]}}
        listener = mock.create_autospec(groupcast.Listener)
        event = groupcast.Event("new-message", {"content": "hi"}, "42", groupcast.Position("1-a", 1))
        listener.return_value.__enter__.return_value = [event]
        printed = mock.Mock()
        secrets = {"RELAY_SERVICE_SECRET": "s", "JWT_SECRET": "j"}
        with mock.patch.multiple(groupcast, Broadcaster=broadcaster, Listener=listener), mock.patch.dict(
            os.environ, secrets
        ):
            for block in blocks:
                names = {"print": printed}
                exec(compile(block, "README.md", "exec"), names)
                if "token" in names:
                    self.assertEqual(names["token"]().count("."), 2)
        self.assertEqual(printed.call_args_list, [mock.call({}, ["alice"]), mock.call("42", event.position, "hi")])


if __name__ == "__main__":
    unittest.main()
