# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A database that the version before wrote (schema party_0003): what was spent stays spent, at no less than it cost."""

from __future__ import annotations

import gzip
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from coterie_common import document
from coterie_common.errors import StorageError
from coterie_common.host.database import open_database
from coterie_common.privacy.accounting.cost import Charge
from coterie_common.privacy.accounting.epsilon import epsilon_of
from coterie_common.privacy.accounting.gaussian_dp import delta_bounds
from coterie_common.privacy.accounting.renyi import ORDERS
from coterie_common.privacy.event import event_from_document
from coterie_party.policy.budget import charges, total
from coterie_party.policy.policy import Budget, Limit
from coterie_party.store import MIGRATIONS, PartyStore, ReservationStatus
from coterie_party.store.ledger.former_costs import renewed
from tests.support.independent_accountant import profile

STORED = Path(__file__).parents[2] / "support" / "ledgers" / "party-0003.db.gz"
FOUNDER = "uktb-chq6-2ywh-lz5u-6rkd-x3fa-p7mn-q4ve"
NOW = datetime(2026, 3, 4, tzinfo=UTC)
DELTA = Fraction(1, 10**5)
LIMIT = Limit(Budget(epsilon=Decimal(8), delta=Decimal("1e-5")), None)
RESERVED, COMMITTED, RELEASED = ReservationStatus


def faint(divergence: float) -> bytes:
    """What an older version wrote of releases with hardly any noise."""
    cost = {"unit": "record", "orders": list(ORDERS), "divergences": [divergence * order for order in ORDERS]}
    return document.encode({**cost, "pure_epsilon": 0, "unprotected": 0})


def add_faint(path: Path) -> None:
    """Add a job of which only divergences are known that no Gaussian pair dominates."""
    columns = "founder, number, status, reserved_at, settled_at"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f"INSERT INTO ledger (job_id, dataset, cost, {columns}) "  # noqa: S608  # of the test
            f"SELECT 'faint-1', 'faint', ?, {columns} FROM ledger WHERE job_id = 'older-1'",
            (faint(1e6),),
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PartyStore]:
    path = tmp_path_factory.mktemp("former") / "party.db"
    path.write_bytes(gzip.decompress(STORED.read_bytes()))
    add_faint(path)
    engine = open_database(f"sqlite:///{path}", MIGRATIONS)
    yield PartyStore(engine, FOUNDER)
    engine.dispose()


def charge(store: PartyStore, job_id: str, dataset: str = "nursery") -> Charge | None:
    return total(charges([line for line in store.ledger(dataset) if line.job_id == job_id], LIMIT, NOW))


@pytest.mark.slow  # imports dp-accounting
def test_nothing_that_was_spent_or_reserved_is_forgotten(store):
    lines = store.ledger("nursery")
    statuses = {job: [line.status for line in lines if line.job_id == job] for job in {line.job_id for line in lines}}
    assert statuses == {
        "tree-1": [COMMITTED, COMMITTED, RELEASED],
        "network-1": [COMMITTED] * 12 + [RELEASED] * 4,
        "network-2": [COMMITTED] * 2 + [RESERVED] * 4,
        "laplace-1": [COMMITTED],
        "older-1": [COMMITTED] * 3,
    }
    assert {(line.records, line.division) for line in lines} == {("all", "")}


@pytest.mark.slow  # imports dp-accounting
@pytest.mark.parametrize("job", ["tree-1", "network-1", "network-2", "laplace-1"])
def test_no_job_is_charged_less_than_its_exact_cost(store, job):
    lines = [line for line in store.ledger("nursery") if line.job_id == job and line.status is not RELEASED]
    # Itself an upper bound, on a grid that may cost 2 in 1000.
    exact = epsilon_of([event_from_document(line.event) for line in lines], DELTA)
    assert charge(store, job).epsilon(DELTA) >= exact * (1 - 2e-3) or job == "laplace-1"
    assert charge(store, job).epsilon(Fraction(0)) >= exact * (1 - 2e-3)


@pytest.mark.slow  # composes distributions of loss
def test_sampled_rounds_of_a_former_job_are_dominated_by_the_tests_own_accountant(store):
    found, epsilons = charge(store, "network-1"), np.linspace(0, 6, 200)
    true = profile(1 / 30, 1.0, 12, epsilons)
    square, slack = float(found.squared_distance), float(found.slack)
    seen = true > 1e-9
    assert (true[seen] <= (slack + (1 - slack) * delta_bounds(square, epsilons)[1])[seen]).all()


@pytest.mark.slow  # imports dp-accounting
def test_line_without_its_event_is_charged_by_what_it_recorded(store):
    # The same releases as a tree's round and two rounds of a network; only their divergences are known.
    lines = [line for line in store.ledger("nursery") if line.job_id == "older-1"]
    assert {line.event for line in lines} == {None}
    known = [event_from_document(line.event) for line in store.ledger("nursery") if line.job_id == "tree-1"][:1]
    known += [event_from_document(line.event) for line in store.ledger("nursery") if line.job_id == "network-2"][:2]
    assert charge(store, "older-1").epsilon(DELTA) >= epsilon_of(known, DELTA)


@pytest.mark.slow  # imports dp-accounting
def test_release_without_noise_is_never_forgotten_and_pure_ones_stay_pure(store):
    assert charge(store, "bare-1", "open").unprotected == 1
    assert charge(store, "pure-1", "pure").pure_epsilon == 3 * Fraction(2, 80)


@pytest.mark.slow  # imports dp-accounting
def test_releases_that_no_pair_dominates_count_as_if_they_had_no_noise(store):
    found = charge(store, "faint-1", "faint")
    assert (found.unprotected, found.pure_epsilon) == (3, None)
    assert found.epsilon(DELTA) == math.inf
    assert not found.fits(Fraction(1000), DELTA)
    # What has a pair is charged by it.
    (wide,) = (document.decode(cost, "a cost", maximum=1 << 20) for cost in renewed([(faint(0.5), None)]))
    assert wide["unprotected"] == 0
    assert wide["together"]


@pytest.mark.slow  # imports dp-accounting
def test_migrated_database_is_at_the_newest_schema_once(store):
    with store._engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == ["party_0007"]


@pytest.mark.parametrize("cost", [b"{}", b"not json", b'{"unit":"record"}'])
def test_ledger_that_cannot_be_read_is_refused(cost):
    with pytest.raises(StorageError, match="older version cannot be read"):
        renewed([(cost, None)])
