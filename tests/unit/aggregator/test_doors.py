# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from contextlib import ExitStack

import pytest

from coterie_aggregator.enrolment.doors import Doors, host_of
from coterie_common.errors import Overloaded
from coterie_common.limits import (
    DESK_SESSIONS,
    DESK_SESSIONS_PER_HOST,
    GUESSING_HOSTS,
    MAX_GUESSES,
    MAX_GUESSES_PER_HOST,
)


def is_let_in(doors: Doors, host: str, now: float) -> bool:
    try:
        with doors.passing(host, now):
            return True
    except Overloaded as refused:
        return not (refused.code == "overloaded" and 0 < refused.retry_after_s <= 60)


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:10.1.2.3:55555", "10.1.2.3"),
        ("ipv6:[2001:db8:1:2:3:4:5:6]:55555", "2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2:9:9:9:9%5D:1", "2001:db8:1:2::/64"),
        ("ipv6:[fe80::1%25eth0]:1", "fe80::/64"),
        ("ipv6:[::ffff:10.1.2.3]:55555", "10.1.2.3"),
        ("unix:", "unix:"),
    ],
)
def test_host_is_what_one_owner_has(peer, host):
    assert host_of(peer) == host


def test_guesses_of_one_host_shut_out_itself_for_a_while():
    doors = Doors()
    told = [doors.count_guess("10.0.0.1", float(number)) for number in range(MAX_GUESSES_PER_HOST)]
    assert told == [False] * (MAX_GUESSES_PER_HOST - 1) + [True]
    assert not is_let_in(doors, "10.0.0.1", 59.9)
    assert is_let_in(doors, "10.0.0.2", 30.0)
    assert is_let_in(doors, "10.0.0.1", 60.0)
    assert not doors.count_guess("10.0.0.1", 61.0)
    assert is_let_in(doors, "10.0.0.1", 61.0)


def test_guesses_of_many_hosts_shut_out_everybody_for_a_while():
    doors = Doors()
    for number in range(MAX_GUESSES):
        assert is_let_in(doors, "192.0.2.1", 1.0)
        doors.count_guess(f"10.0.{number // 256}.{number % 256}", 1.0)
    assert not is_let_in(doors, "192.0.2.1", 60.9)
    assert is_let_in(doors, "192.0.2.1", 61.0)


def test_guesses_of_any_number_of_hosts_take_bounded_memory():
    doors = Doors()
    for number in range(GUESSING_HOSTS + 50):
        doors.count_guess(str(number), float(number))
    assert len(doors._counts) == GUESSING_HOSTS


def test_sessions_are_limited_for_each_host_and_in_all():
    doors = Doors()
    with ExitStack() as stack:
        for _ in range(DESK_SESSIONS_PER_HOST):
            stack.enter_context(doors.passing("10.0.0.1", 0.0))
        assert not is_let_in(doors, "10.0.0.1", 0.0)
        for number in range(DESK_SESSIONS - DESK_SESSIONS_PER_HOST):
            stack.enter_context(doors.passing(f"10.0.1.{number}", 0.0))
        assert not is_let_in(doors, "10.0.0.2", 0.0)
    assert is_let_in(doors, "10.0.0.1", 0.0)
    assert doors._open.total() == 0
