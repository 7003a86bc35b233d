"""Ids: what is read ahead must be as good as what is read each time."""

from __future__ import annotations

import os

from rowlock.randomness import random_bits, random_bytes


def test_nothing_is_given_twice() -> None:
    """Two bookings would get one id."""
    given = [random_bytes(9) for _ in range(20_000)]
    assert len(set(given)) == len(given)
    assert {len(each) for each in given} == {9}


def test_a_number_uses_all_its_bits_and_no_more() -> None:
    """A tail with fewer random bits would be easier to guess; one with more would run into the show's id."""
    numbers = [random_bits(69) for _ in range(2_000)]
    assert max(numbers) < 2**69
    for bit in range(69):
        share = sum(number >> bit & 1 for number in numbers) / len(numbers)
        assert 0.4 < share < 0.6, bit


def test_a_forked_process_has_its_own() -> None:
    """A worker that was forked would give out the ids of its siblings."""
    random_bytes(1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, random_bytes(32))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 32) != random_bytes(32)
