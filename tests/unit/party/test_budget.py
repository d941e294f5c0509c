# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from coterie_common.errors import StorageError, UnsupportedMechanism
from coterie_common.privacy.cost import Cost
from coterie_common.privacy.noise import Unit
from coterie_party.budget import spent_cost, within
from coterie_party.store import LedgerEntry, ReservationStatus


def pure(epsilon):
    return Cost(unit=Unit.RECORD, pure_epsilon=epsilon)


def entry(cost, status=ReservationStatus.RESERVED):
    return LedgerEntry(founder="f", job_id="job-1", round_number=1, cost=cost.to_document(), status=status)


def test_spent_cost_counts_what_is_reserved_or_committed():
    entries = [entry(pure(float(1 << position)), status) for position, status in enumerate(ReservationStatus)]
    assert spent_cost(entries) == pure(1.0) + pure(2.0)


@pytest.mark.parametrize("entries", [[], [entry(pure(1.0), ReservationStatus.RELEASED)]])
def test_spent_cost_of_nothing_is_none(entries):
    assert spent_cost(entries) is None


def test_spent_cost_that_cannot_be_read_raises():
    with pytest.raises(StorageError, match="privacy ledger cannot be read"):
        spent_cost([replace(entry(pure(1.0)), cost={"epsilon": 0})])


def test_spent_cost_of_different_units_raises():
    with pytest.raises(UnsupportedMechanism):
        spent_cost([entry(pure(1.0)), entry(Cost(unit=Unit.PARTY, pure_epsilon=1.0))])


def test_within_a_period_counts_what_was_settled_in_it_and_all_that_is_reserved():
    now = datetime(2026, 3, 4, tzinfo=UTC)
    old, new, unknown = (
        replace(entry(pure(1.0), ReservationStatus.COMMITTED), settled_at=at)
        for at in (now - timedelta(days=7), now - timedelta(days=6.9), None)
    )
    reserved = entry(pure(1.0))
    assert within([old, new, unknown, reserved], 7, now) == [new, unknown, reserved]
    assert within([old, new, unknown, reserved], None, now) == [old, new, unknown, reserved]
