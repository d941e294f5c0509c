# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from coterie_common.errors import StorageError, UnsupportedMechanism
from coterie_common.identifiers import JobId
from coterie_common.learning.plan import Records
from coterie_common.privacy.accounting.cost import Cost
from coterie_common.privacy.accounting.dominating import Curve, Domination
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_party.policy.budget import charges, division_now, on_side, total, within
from coterie_party.policy.policy import Budget, Limit
from coterie_party.store import LedgerEntry, ReservationStatus

JOB = JobId("job-1")
NOW = datetime(2026, 3, 4, tzinfo=UTC)
LIMIT = Limit(Budget(epsilon=Decimal(2), delta=Decimal("1e-5")), None)
RESERVED, COMMITTED, RELEASED = ReservationStatus


def gaussian(square: float | str) -> Cost:
    return Cost(unit=Unit.RECORD, squared_distance=Fraction(str(square)), pure_epsilon=None)


TOGETHER = Cost(
    unit=Unit.RECORD, pure_epsilon=None, together=(Curve((Domination(Fraction(1, 1 << 30), Fraction(1, 100)),)),)
)


def entry(
    cost: Cost, status: ReservationStatus = RESERVED, *, job_id: JobId = JOB, number: int = 1, **changes: Any
) -> LedgerEntry:
    return LedgerEntry(
        founder="f", job_id=job_id, round_number=number, cost=cost.to_document(), status=status, **changes
    )


def pure(epsilon: int) -> Cost:
    return Cost(unit=Unit.RECORD, squared_distance=Fraction(1, 1000), pure_epsilon=Fraction(epsilon))


def test_charges_count_what_is_reserved_or_committed():
    entries = [
        entry(gaussian(square), status, number=n)
        for n, (square, status) in enumerate([(0.01, RESERVED), (0.02, COMMITTED), (0.04, RELEASED)])
    ]
    (charge,) = charges(entries, LIMIT, NOW)
    assert (charge.spent.squared_distance, charge.reserved.squared_distance) == (Fraction(2, 100), Fraction(1, 100))
    assert total([charge]).squared_distance == Fraction(3, 100)


@pytest.mark.parametrize("entries", [[], [entry(gaussian(1), RELEASED)]])
def test_charges_of_nothing_are_none(entries):
    assert charges(entries, LIMIT, NOW) == ()
    assert total(()) is None


def test_what_is_charged_together_is_charged_once_and_given_back_only_if_none_was_asked():
    lines = [entry(TOGETHER, number=number) for number in range(1, 5)]
    (reserved,) = charges(lines, LIMIT, NOW)
    assert reserved.spent is None
    assert reserved.total.squared_distance == Fraction(1, 100)
    asked = [replace(lines[2], status=COMMITTED, settled_at=NOW), *(replace(x, status=RELEASED) for x in lines[:2])]
    (spent,) = charges([*asked, lines[3]], LIMIT, NOW)
    assert spent.spent == reserved.total
    assert spent.total == reserved.total
    assert charges([replace(line, status=RELEASED) for line in lines], LIMIT, NOW) == ()


def test_job_that_does_not_fit_by_itself_is_charged_as_a_whole_once_it_was_asked():
    lines = [entry(gaussian(0.1), RELEASED, number=number) for number in range(1, 4)]
    assert charges(lines, LIMIT, NOW) == ()
    (whole,) = charges([replace(lines[0], status=COMMITTED, settled_at=NOW), *lines[1:]], LIMIT, NOW)
    assert whole.spent.squared_distance == Fraction(3, 10)


def test_two_jobs_of_one_name_are_charged_each():
    first, second = (entry(TOGETHER, COMMITTED, reserved_at=NOW - timedelta(days=day)) for day in (1, 2))
    assert total(charges([first, second], LIMIT, NOW)).squared_distance == Fraction(2, 100)


def test_charges_that_cannot_be_read_raise():
    with pytest.raises(StorageError, match="privacy ledger cannot be read"):
        charges([replace(entry(gaussian(1)), cost={"epsilon": 0})], LIMIT, NOW)


def test_total_of_different_units_raises():
    other = entry(replace(gaussian(0.1), unit=Unit.PARTY), job_id=JobId("job-2"))
    with pytest.raises(UnsupportedMechanism):
        total(charges([entry(gaussian(0.1)), other], LIMIT, NOW))


def test_sides_are_those_of_the_division_in_force():
    older, newer = (
        entry(gaussian(1), records="training", division=name, reserved_at=NOW + timedelta(days=day))
        for day, name in enumerate(["older", "newer"])
    )
    everything = entry(gaussian(1))
    entries = [newer, older, everything]
    assert division_now(entries) == "newer"
    # Lines that are planned only, and have no time yet, are of the division in force, too.
    assert division_now([replace(newer, reserved_at=None)]) == "newer"
    assert division_now([]) == ""
    assert on_side(entries, Records.SET_ASIDE, "newer") == [older, everything]
    assert on_side(entries, Records.TRAINING, "newer") == entries


def test_within_a_period_counts_what_was_settled_in_it_and_all_that_is_reserved():
    now = datetime(2026, 3, 4, tzinfo=UTC)
    old, new, unknown = (
        replace(entry(pure(1), ReservationStatus.COMMITTED), settled_at=at)
        for at in (now - timedelta(days=7), now - timedelta(days=6.9), None)
    )
    reserved = entry(pure(1))
    assert within([old, new, unknown, reserved], 7, now) == [new, unknown, reserved]
    assert within([old, new, unknown, reserved], None, now) == [old, new, unknown, reserved]
