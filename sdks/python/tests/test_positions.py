import random
import unittest

from groupcast.positions import MAX_HELD, Event, GroupQueue, Position, read_position


def at(seq, epoch="1-a"):
    return Position(epoch, seq)


def event(seq, epoch="1-a"):
    return Event("new-message", {"n": seq}, "g", at(seq, epoch))


def numbers(due):
    return [each.data["n"] for each in due]


class Queue(unittest.TestCase):
    def test_events_in_any_order_and_number_go_out_once_and_in_order(self):
        for seed in range(50):
            order = list(range(1, 40)) * 2
            random.Random(seed).shuffle(order)
            queue = GroupQueue(at(0))
            out = [n for seq in order for n in numbers(queue.take(at(seq), event(seq)))]
            self.assertEqual(out, list(range(1, 40)))
            self.assertFalse(queue.has_gap)

    def test_a_gap_is_closed_by_a_page_and_what_was_held_follows(self):
        queue = GroupQueue(at(3))
        self.assertEqual(numbers(queue.take(at(7), event(7))), [])
        self.assertEqual(numbers(queue.take(at(6), event(6))), [])
        self.assertTrue(queue.has_gap)
        # Number 5 was not for this user.
        self.assertEqual(numbers(queue.page(at(3), [(at(4), event(4))], at(5))), [4, 6, 7])
        self.assertEqual((queue.cursor, queue.has_gap), (at(7), False))

    def test_a_page_that_was_asked_for_before_more_came_repeats_nothing(self):
        queue = GroupQueue(at(3))
        self.assertEqual(numbers(queue.take(at(4), event(4))), [4])
        page = [(at(seq), event(seq)) for seq in (4, 5, 5)]
        self.assertEqual(numbers(queue.page(at(3), page, at(5))), [5])
        # And one from a place where the cursor has not been joins on to nothing.
        self.assertEqual(numbers(queue.page(at(9), [(at(10), event(10))], at(10))), [])

    def test_an_event_that_is_not_for_this_user_is_passed_over(self):
        queue = GroupQueue(at(1))
        self.assertEqual(queue.take(at(2), None), [])
        self.assertEqual(numbers(queue.take(at(3), event(3))), [3])

    def test_events_before_it_is_known_where_the_group_stands_wait(self):
        queue = GroupQueue()
        self.assertEqual(queue.take(at(6), event(6)), [])
        self.assertEqual(queue.take(at(5), event(5)), [])
        self.assertEqual(numbers(queue.open(at(4))), [5, 6])
        empty = GroupQueue()
        self.assertEqual(empty.take(at(1), event(1)), [])
        self.assertEqual(numbers(empty.open(None)), [1])

    def test_a_group_that_was_empty_and_has_events_now_misses_all_of_them(self):
        queue = GroupQueue()
        queue.open(None)
        queue.open(at(3))
        self.assertEqual((queue.cursor, queue.has_gap), (at(0), True))

    def test_a_higher_generation_replaces_a_lower_one_and_waits_for_an_answer(self):
        queue = GroupQueue(at(8))
        self.assertEqual(queue.take(at(2, "2-b"), event(2, "2-b")), [])
        self.assertEqual((queue.newer, queue.has_gap), (at(2, "2-b"), True))
        self.assertEqual(queue.take(at(9, "0-z"), event(9, "0-z")), [])
        self.assertEqual(queue.restart(at(0, "2-b")), [])
        self.assertEqual(numbers(queue.page(at(0, "2-b"), [(at(1, "2-b"), event(1, "2-b"))], at(1, "2-b"))), [1, 2])
        self.assertFalse(queue.has_gap)

    def test_what_is_held_is_bounded(self):
        queue = GroupQueue(at(0))
        for seq in range(2, 2 * MAX_HELD):
            queue.take(at(seq), event(seq))
        self.assertEqual(len(queue._held), MAX_HELD)
        unopened = GroupQueue()
        for seq in range(1, 2 * MAX_HELD):
            unopened.take(at(seq), event(seq))
        self.assertEqual(len(unopened._pending), MAX_HELD)

    def test_only_positions_are_positions(self):
        self.assertEqual(read_position({"epoch": "12-aB_9", "seq": 0, "more": 1}), Position("12-aB_9", 0))
        for wrong in (
            None,
            7,
            {},
            {"epoch": "01-a", "seq": 1},
            {"epoch": "1-a", "seq": -1},
            {"epoch": "1-a", "seq": True},
        ):
            self.assertIsNone(read_position(wrong))
        self.assertIsNone(read_position({"epoch": "1-a\n", "seq": 1}))


if __name__ == "__main__":
    unittest.main()
