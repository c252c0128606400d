"""What a listener makes of what the relay says: frames go in, events and questions come out."""

import unittest

from groupcast import Gap, GroupcastError, Listener
from groupcast.listener import _Session
from groupcast.positions import GroupQueue, Position
from groupcast.transports import Answered, Ended, Said
from groupcast.websocket import WebSocketError

from .test_broadcaster import Relay


def position(seq, epoch="1-a"):
    return {"epoch": epoch, "seq": seq}


def message(seq, epoch="1-a", group="g"):
    return {"groupId": group, "id": f"{epoch}:{seq}", "n": seq, **position(seq, epoch)}


def page(events, at, more=False, recovered=True):
    return {
        "recovered": recovered,
        "position": at,
        "events": [{"event": "new-message", **each} for each in events],
        "more": more,
    }


class Conversation:
    """A session, and what was said on it."""

    def __init__(self, known=None, wanted=()):
        self.queues = {group: GroupQueue(at) for group, at in (known or {}).items()}
        self.skipped = []

        def fill(group, queue, at, _token):
            self.skipped.append((group, queue.cursor, at))
            return queue.restart(at)

        self.session = _Session(self.queues, wanted, fill)
        self.sent = self.session.positions()

    def hears(self, name, payload):
        return [each.data.get("n", each.name) for each in self.session.handle(Said(name, payload))]

    def answers(self, id, body):
        return [each.data["n"] for each in self.session.handle(Answered(id, body))]

    def asks(self):
        """What it says once a gap has been there for a while."""
        for group in self.session._ask_at:
            self.session._ask_at[group] = 0.0
        return self.session.outgoing()


class ASession(unittest.TestCase):
    def test_begins_where_the_groups_stand(self):
        it = Conversation()
        it.hears("joined-groups", {"groups": [{"groupId": "g", "position": position(4)}]})
        self.assertEqual(it.hears("new-message", message(4)), [])
        self.assertEqual(it.hears("new-message", message(5)), [5])
        self.assertEqual(it.asks(), [])

    def test_goes_on_after_the_positions_that_it_has_and_hears_nothing_twice(self):
        it = Conversation({"g": Position("1-a", 2)})
        self.assertEqual(it.sent, {"g": position(2)})
        self.assertEqual(it.hears("resumed", {"groups": {"g": page([message(3), message(4)], position(4))}}), [3, 4])
        it.hears("joined-groups", {"groups": [{"groupId": "g", "position": position(4)}]})
        self.assertEqual(it.hears("new-message", message(4)), [])
        self.assertEqual(it.hears("new-message", message(5)), [5])

    def test_asks_for_more_until_there_is_no_more(self):
        it = Conversation({"g": Position("1-a", 0)})
        self.assertEqual(it.hears("resumed", {"groups": {"g": page([message(1)], position(1), more=True)}}), [1])
        self.assertEqual(it.asks(), [("resume", {"positions": {"g": position(1)}}, 1)])
        answer = {"ok": True, "groups": {"g": page([message(2), message(3)], position(3))}}
        self.assertEqual(it.answers(1, answer), [2, 3])
        self.assertEqual(it.asks(), [])

    def test_asks_for_what_is_missing_between_two_events_and_behind_a_head(self):
        it = Conversation({"g": Position("1-a", 1)})
        self.assertEqual(it.hears("new-message", message(4)), [])
        self.assertEqual(it.asks(), [("resume", {"positions": {"g": position(1)}}, 1)])
        # It asks once, whatever comes meanwhile.
        self.assertEqual((it.hears("new-message", message(5)), it.asks()), ([], []))
        answer = {"ok": True, "groups": {"g": page([message(2), message(3), message(4)], position(4))}}
        self.assertEqual(it.answers(1, answer), [2, 3, 4, 5])
        it.hears("group-head", {"groupId": "g", **position(6)})
        self.assertEqual(it.asks(), [("resume", {"positions": {"g": position(5)}}, 2)])

    def test_steps_over_an_event_that_is_for_others(self):
        it = Conversation({"g": Position("1-a", 1)})
        self.assertEqual(it.hears("group-head", {"groupId": "g", "skipId": "x", **position(2)}), [])
        self.assertEqual(it.hears("new-message", message(3)), [3])
        self.assertEqual(it.asks(), [])

    def test_hears_all_of_a_group_that_was_started_over(self):
        it = Conversation({"g": Position("1-a", 9)})
        # The relay has lost its memory, and does not know the group.
        it.hears("resumed", {"groups": {"g": page([], None, recovered=False)}})
        self.assertEqual(it.hears("new-message", message(2, "2-b")), [])
        self.assertEqual(it.asks(), [("resume", {"positions": {"g": position(0, "2-b")}}, 1)])
        answer = {"ok": True, "groups": {"g": page([message(1, "2-b"), message(2, "2-b")], position(2, "2-b"))}}
        self.assertEqual(it.answers(1, answer), [1, 2])
        self.assertEqual((it.skipped, it.asks()), ([], []))

    def test_asks_from_the_beginning_of_an_epoch_that_began_while_it_was_away(self):
        it = Conversation({"g": Position("1-a", 9)})
        it.hears("resumed", {"groups": {"g": page([], position(2, "2-b"), recovered=False)}})
        self.assertEqual(it.asks(), [("resume", {"positions": {"g": position(0, "2-b")}}, 1)])

    def test_says_so_where_an_epoch_has_begun_that_nobody_has_all_of(self):
        it = Conversation({"g": Position("1-a", 9)})
        it.hears("resumed", {"groups": {"g": page([], position(900, "2-b"), recovered=False)}})
        it.asks()
        self.assertEqual(
            it.answers(1, {"ok": True, "groups": {"g": page([], position(900, "2-b"), recovered=False)}}), []
        )
        self.assertEqual(it.skipped, [("g", Position("1-a", 9), Position("2-b", 900))])
        self.assertEqual((it.asks(), it.hears("new-message", message(901, "2-b"))), ([], [901]))

    def test_says_what_cannot_be_had_and_goes_on(self):
        it = Conversation({"g": Position("1-a", 9)})
        it.hears("resumed", {"groups": {"g": page([], position(900), recovered=False)}})
        self.assertEqual(it.skipped, [("g", Position("1-a", 9), Position("1-a", 900))])
        self.assertEqual(it.hears("new-message", message(901)), [901])

    def test_joins_the_groups_that_the_token_does_not_name(self):
        it = Conversation({"h": Position("1-a", 3)}, wanted=["g", "h"])
        it.hears("joined-groups", {"groups": [{"groupId": "g", "position": None}]})
        self.assertEqual(it.asks(), [("join-group", {"groupId": "h", "position": position(3)}, 1)])
        answer = {"ok": True, "groupId": "h", **page([message(4, group="h")], position(4))}
        self.assertEqual(it.answers(1, answer), [4])

    def test_forgets_a_group_that_it_has_left_or_is_refused(self):
        it = Conversation({"g": Position("1-a", 3)}, wanted=["h"])
        self.assertEqual(it.hears("left-groups", {"groups": ["g"], "reason": "member-removed"}), ["left-groups"])
        self.assertEqual(it.queues, {})
        it.hears("joined-groups", {"groups": []})
        it.asks()
        refused = {"ok": False, "error": {"code": "NOT_A_MEMBER", "message": "no", "retryable": False}}
        with self.assertLogs("groupcast", "WARNING"):
            left = it.session.handle(Answered(1, refused))
        self.assertEqual([each.data["reason"] for each in left], ["NOT_A_MEMBER"])

    def test_ends_with_what_the_relay_has_said(self):
        it = Conversation()
        it.hears("session-ending", {"code": "TOKEN_REVOKED", "message": "over", "next": "stop", "retryAfterMs": 0})
        with self.assertRaises(GroupcastError) as raised:
            it.session.handle(Ended(None, "closed"))
        self.assertEqual((raised.exception.code, raised.exception.retryable), ("TOKEN_REVOKED", False))
        again = Conversation()
        again.hears(
            "session-ending", {"code": "SERVER_DRAINING", "message": "", "next": "reconnect", "retryAfterMs": 70}
        )
        with self.assertRaises(GroupcastError) as raised:
            again.session.handle(Ended(None, "closed"))
        self.assertEqual((raised.exception.retryable, raised.exception.retry_after_ms), (True, 70))
        with self.assertRaises(WebSocketError):
            Conversation().session.handle(Ended(None, "closed"))

    def test_brings_a_new_token_where_it_is_asked_for_one(self):
        it = Conversation()
        it.hears("session-ending", {"code": "TOKEN_EXPIRED", "message": "", "next": "refresh-token", "retryAfterMs": 0})
        self.assertTrue(it.session.needs_token)
        it.session.renew("new")
        self.assertEqual(it.session.outgoing(), [("refresh-token", {"token": "new"}, None)])

    def test_malformed_frames_end_nothing(self):
        it = Conversation({"g": Position("1-a", 3)})
        for payload in (
            None,
            7,
            "x",
            [],
            {"groups": None},
            {"groups": {"g": 7}},
            {"groupId": 7, "epoch": 1, "seq": "x"},
        ):
            for name in ("resumed", "group-head", "new-message", "typing"):
                it.session.handle(Said(name, payload))
        self.assertEqual(it.queues["g"].cursor, Position("1-a", 3))


class AListener(unittest.TestCase):
    def test_says_what_is_wrong_with_its_arguments(self):
        for arguments in ({}, {"token": "a", "token_provider": str}):
            with self.assertRaises(TypeError):
                Listener("http://localhost", **arguments)
        for url, more in (("ws://localhost", {}), ("localhost", {}), ("http://x", {"transport": "polling"})):
            with self.assertRaises(ValueError):
                Listener(url, token="a", **more)
        with self.assertRaises(ValueError):
            Listener("http://localhost", token="a", positions={"g": {"epoch": "x", "seq": 1}})

    def test_reports_a_gap_once_and_gives_back_its_positions(self):
        gaps = []
        listener = Listener("http://localhost", token="a", positions={"g": position(4)}, on_gap=gaps.append)
        self.assertEqual(listener.positions, {"g": position(4)})
        with self.assertLogs("groupcast", "WARNING"):
            listener._fill("g", listener._queues["g"], Position("1-a", 9), "token")
        self.assertEqual(gaps, [Gap("g", Position("1-a", 4), Position("1-a", 9))])

    def test_reads_from_the_api_what_the_relay_has_no_longer(self):
        api = Relay()
        self.addCleanup(api.close)
        gaps = []
        listener = Listener(
            "http://localhost", token="a", positions={"g": position(4)}, api_url=api.url + "/chat", on_gap=gaps.append
        )
        queue = listener._queues["g"]
        events = [[{"event": "new-message", **message(seq)} for seq in seqs] for seqs in ((5, 6), (7,))]
        api.answers = [
            (200, {"events": events[0], "position": position(6), "more": True}),
            (200, {"events": events[1], "position": position(7), "more": False}),
        ]
        due = listener._fill("g", queue, Position("1-a", 7), "token")
        self.assertEqual([(each.name, each.data["n"]) for each in due], [("new-message", n) for n in (5, 6, 7)])
        path = "/chat/api/messaging/groups/g/events?after="
        self.assertEqual([path for path, _, _ in api.asked], [f"{path}4&epoch=1-a", f"{path}6&epoch=1-a"])
        self.assertEqual(api.asked[0][2]["Authorization"], "Bearer token")
        # It was started over, and has no events for this position.
        api.answers = [(200, {"events": [], "position": position(2, "2-b"), "reset": True})]
        with self.assertLogs("groupcast", "WARNING"):
            self.assertEqual(listener._fill("g", queue, Position("2-b", 2), "token"), [])
        self.assertEqual(gaps, [Gap("g", Position("1-a", 7), Position("2-b", 2))])
        # Where it cannot say, it is asked again with the next connection.
        api.answers = [(503, {"error": {"code": "API_UNAVAILABLE"}})]
        with self.assertRaises(WebSocketError):
            listener._fill("g", queue, Position("2-b", 9), "token")
        self.assertEqual(queue.cursor, Position("2-b", 2))

    def test_says_no_token_and_nothing_that_a_provider_has_said(self):
        for wrong in ("sec\nret", "sec\u2028ret", "", b"secret"):
            with self.assertRaises(GroupcastError) as raised:
                list(Listener("http://127.0.0.1:9", token=wrong))
            error = raised.exception
            self.assertEqual((error.code, error.retryable), ("TOKEN_INVALID", False))
            self.assertEqual((error.__cause__, error.__context__), (None, None))
            self.assertNotIn("sec", str(error))

        def fail():
            asked.append(1)
            if len(asked) > 1:
                listener.close()
            raise KeyError("secret")

        asked = []
        listener = Listener("http://127.0.0.1:9", token_provider=fail)
        with self.assertLogs("groupcast", "INFO") as logged:
            self.assertEqual(list(listener), [])
            self.assertIsNone(listener._renewed())
        self.assertIn("KeyError", logged.output[0])
        self.assertNotIn("secret", "".join(logged.output))

    def test_ends_when_it_is_closed(self):
        listener = Listener("http://127.0.0.1:9", token="a")
        listener.close()
        self.assertEqual(list(listener), [])


if __name__ == "__main__":
    unittest.main()
