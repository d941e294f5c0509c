# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from datetime import datetime

import pytest

from coterie_party.policy.hours import WEEK, Hours

WEDNESDAY = datetime(2026, 3, 4)


def hours(start: str, until: str, *days: str) -> Hours:
    return Hours.model_validate({"from": start, "until": until, "days": list(days or WEEK)})


@pytest.mark.parametrize(
    ("span", "day", "time", "included"),
    [
        (hours("08:00", "17:30"), 4, "08:00", True),
        (hours("08:00", "17:30"), 4, "07:59", False),
        (hours("08:00", "17:30"), 4, "17:29", True),
        (hours("08:00", "17:30"), 4, "17:30", False),
        (hours("00:00", "24:00", "wed"), 4, "23:59", True),
        (hours("00:00", "24:00", "wed"), 5, "00:00", False),
        (hours("20:00", "06:00"), 4, "05:59", True),
        (hours("20:00", "06:00"), 4, "06:00", False),
        (hours("20:00", "06:00"), 4, "20:00", True),
        # The night belongs to the day on which it begins.
        (hours("20:00", "06:00", "wed"), 5, "05:59", True),
        (hours("20:00", "06:00", "wed"), 4, "05:59", False),
        (hours("20:00", "06:00", "wed"), 5, "20:00", False),
        (hours("20:00", "06:00", "sun"), 2, "03:00", True),
    ],
)
def test_include(span, day, time, included):
    hour, minute = map(int, time.split(":"))
    assert span.include(WEDNESDAY.replace(day=day, hour=hour, minute=minute)) is included


def test_hours_in_words():
    assert str(hours("20:00", "06:00")) == "from 20:00 until 06:00"
    assert str(hours("00:00", "24:00", "sat", "sun")) == "sat, sun from 00:00 until 24:00"
