"""Turns of threads: one at a time, and who goes first does."""

import threading

import pytest
from e2e.rig import eventually

from reconciler.traces.turns import Turns


def test_who_goes_first_need_not_wait_for_those_that_come_again_and_again():
    """It has the very next turn, though the thread before it wants another at once."""
    turns, order = Turns(), []

    def tell():
        with turns.first():
            order.append("fact")

    def tidy():
        for number in range(3):
            with turns.behind():
                if number == 0:
                    teller.start()
                    eventually(lambda: turns._urgent, "somebody who waits")
                order.append(number)

    teller, tidier = threading.Thread(target=tell), threading.Thread(target=tidy)
    tidier.start()
    tidier.join(60)
    teller.join(60)
    assert order == [0, "fact", 1, 2]


def test_nobody_has_a_turn_within_another_s():
    """Four threads add to a sum in two steps, and nothing is lost."""
    turns, told = Turns(), {"sum": 0}

    def add(turn):
        for _ in range(500):
            with turn():
                before = told["sum"]
                threading.Event().wait(0)
                told["sum"] = before + 1

    threads = [threading.Thread(target=add, args=(turn,)) for turn in (turns.first, turns.behind) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told["sum"] == 2000


def test_a_turn_ends_with_an_error_too():
    """The next one has it."""
    turns = Turns()
    for turn in (turns.first, turns.behind):
        with pytest.raises(ValueError, match="refused"), turn():
            raise ValueError("refused")
    with turns.first():
        pass
