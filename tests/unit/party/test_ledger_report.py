# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the steward is told of the ledger, and whether an auditor who has the export alone agrees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest

from coterie_common.identifiers import JobId
from coterie_common.privacy.accounting.cost import Cost, cost, costs
from coterie_common.privacy.event import CountEvent, VectorEvent
from coterie_common.privacy.noise.mechanisms import Mechanism, NoiseTerms, Unit
from coterie_common.privacy.noise.terms import Placement
from coterie_party.policy.budget import cost_of
from coterie_party.policy.policy import Policy
from coterie_party.steward.ledger_plot import draw
from coterie_party.steward.ledger_report import LedgerReport, limit_uses, report
from coterie_party.store import LedgerEntry, ReservationStatus
from tests.support.noise import noise_terms
from tests.support.policies import policy_of
from tests.support.present import present

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
RESERVED, COMMITTED, RELEASED = ReservationStatus
HELD_AND_SPENT = frozenset({"reserved", "committed"})
POLICY = policy_of("[[periods]]\ndays = 30\nepsilon = 8\ndelta = 1e-5")


def noise(
    mechanism: Mechanism = Mechanism.DISCRETE_GAUSSIAN, placement: Placement = Placement.DISTRIBUTED, **size: Any
) -> NoiseTerms:
    return noise_terms(mechanism=mechanism, placement=placement, shares=3, **size)


COUNTS = CountEvent(l0=8, linf=3, scale_bits=2, noise=noise(variance=Fraction(60_000)))
LAPLACE = CountEvent(l0=2, linf=1, scale_bits=0, noise=noise(Mechanism.DISCRETE_LAPLACE, ratio=Fraction(1, 80)))
SAMPLED = VectorEvent(
    length=1000,
    squared_sensitivity=1 << 16,
    noise=noise(variance=Fraction(1 << 17)),
    unit=Unit.RECORD,
    sampling_rate=Fraction(1, 30),
)
WHOLE = replace(SAMPLED, sampling_rate=None, noise=noise(variance=Fraction(1 << 21)))
EXACT = replace(COUNTS, noise=noise(placement=Placement.NONE))
NARROW = replace(WHOLE, noise=noise(variance=Fraction(1 << 18)))
WHOLE_PARTY = replace(WHOLE, unit=Unit.PARTY)


def line(
    event: CountEvent | VectorEvent,
    status: ReservationStatus,
    *,
    job: str = "job-1",
    number: int = 1,
    days_ago: float = 1.0,
    price: Cost | None = None,
    records: str = "all",
) -> LedgerEntry:
    return LedgerEntry(
        founder="founder",
        job_id=JobId(job),
        round_number=number,
        cost=(price or cost([event])).to_document(),
        status=status,
        event=event.to_document(),
        records=records,
        reserved_at=NOW - timedelta(days=400),
        settled_at=None if status is RESERVED else NOW - timedelta(days=days_ago),
    )


@cache
def lines() -> tuple[LedgerEntry, ...]:
    """A ledger of four jobs; pricing them takes a second."""
    return (
        *(line(COUNTS, COMMITTED, number=number, days_ago=40) for number in (1, 2, 3)),
        line(COUNTS, RELEASED, number=4),
        *(
            line(SAMPLED, COMMITTED if number <= 40 else RESERVED, job="job-2", number=number, price=price)
            for number, price in enumerate(costs([SAMPLED] * 60), 1)
        ),
        line(WHOLE, COMMITTED, job="job-3"),
        line(LAPLACE, RESERVED, job="job-4"),
    )


def only(entries: Sequence[LedgerEntry], policy: Policy | None = POLICY) -> LedgerReport:
    (found,) = report("nursery", entries, policy, NOW)
    return found


def exported(entries: Sequence[LedgerEntry], policy: Policy | None = POLICY) -> Any:
    """The report as a file has it."""
    return json.loads(json.dumps(only(entries, policy).to_document(), allow_nan=False))


@pytest.mark.slow  # imports dp-accounting
def test_auditor_with_the_export_alone_finds_every_charge_enough():
    from tests.support.ledger_auditor import excess

    ledger = exported(lines())
    # What is charged for each job dominates what it released, and not by much where nothing was sampled.
    for job, slack in (("job-1", 1.01), ("job-2", 1.6), ("job-3", 1.01), ("job-4", 2.1)):
        # Theirs is rounded up, too.
        assert 0.998 <= excess(ledger, job) <= slack


def test_auditor_adds_up_the_charges_to_the_part_that_is_reported():
    from tests.support.ledger_auditor import charged

    ledger = exported(lines())
    jobs = [charged(ledger, job) for job in ("job-1", "job-2", "job-3", "job-4")]
    limit = ledger["limits"][0]
    part = sum(squared for squared, _ in jobs) / Fraction(limit["squared_distance"])
    assert limit["spent"] + limit["reserved"] == pytest.approx(float(part), rel=1e-9)
    assert sum(slack for _, slack in jobs) <= Fraction(limit["slack"])


def test_report_says_what_is_spent_reserved_and_left_per_limit_and_per_job():
    found = only(lines())
    assert (found.dataset, found.unit) == ("nursery", "record")
    lifetime, period = found.limits
    assert [limit.limit.days for limit in found.limits] == [None, 30]
    assert 0 < lifetime.reserved < lifetime.spent < 1
    assert lifetime.left == pytest.approx(1 - lifetime.spent - lifetime.reserved)
    # The parts of the jobs are those of the whole.
    assert sum(job.part or 0 for job in found.jobs) == pytest.approx(lifetime.spent + lifetime.reserved)
    assert [(job.job_id, job.spent, job.reserved, job.given_back) for job in found.jobs] == [
        ("job-1", 3, 0, 1),
        ("job-2", 40, 20, 0),
        ("job-3", 1, 0, 0),
        ("job-4", 0, 1, 0),
    ]
    # job-1 was asked before the period.
    without = only([entry for entry in lines() if entry.job_id != "job-1"]).limits[1]
    assert (period.spent, period.reserved) == (without.spent, without.reserved)


def test_report_of_what_was_given_back_only_is_all_left():
    (use, _) = only([line(COUNTS, RELEASED)]).limits
    assert (use.spent, use.reserved, use.left, use.epsilon) == (0, 0, 1, 0)


def test_limit_use_with_another_job_agrees_with_the_decision():
    (limit, *_) = POLICY.limits("nursery")
    budget = Fraction(limit.budget.epsilon), Fraction(limit.budget.delta)
    one = cost([NARROW]).under(*budget)
    entries: list[LedgerEntry] = []
    fits: list[bool] = []
    total = one
    while not fits or fits[-1]:
        (use,) = limit_uses(limit, entries, NOW, more=[line(NARROW, RESERVED, job="another")])
        fits.append(total.fits(*budget))
        assert (use.spent + use.reserved <= 1) is fits[-1]
        entries.append(line(NARROW, RESERVED, job=f"job-{len(entries)}"))
        total += one
    assert len(fits) > 2


def test_limit_use_of_a_first_job_that_fits_by_its_own_epsilon_only_is_all_of_it():
    (limit, *_) = POLICY.limits("nursery")
    first = line(replace(WHOLE, noise=noise(variance=Fraction(1 << 13))), RESERVED)
    assert (
        not cost_of(first)
        .under(Fraction(limit.budget.epsilon), Fraction(limit.budget.delta))
        .fits(Fraction(limit.budget.epsilon), Fraction(limit.budget.delta))
    )
    (use,) = limit_uses(limit, [], NOW, more=[first], exact=lambda delta: float(limit.budget.epsilon))
    assert (use.spent, use.reserved, use.left) == (0, 1, 0)
    (use,) = limit_uses(limit, [], NOW, more=[first], exact=lambda delta: float(limit.budget.epsilon) + 1)
    assert use.reserved > 1
    (use,) = limit_uses(limit, [replace(first, status=COMMITTED, settled_at=NOW)], NOW)
    assert (use.spent, use.reserved, use.epsilon) == (1, 0, float(limit.budget.epsilon))


def test_limits_are_shown_for_each_side_where_the_records_are_told_apart():
    trained = line(COUNTS, COMMITTED, records="training")
    evaluated = line(WHOLE, COMMITTED, job="job-2", records="set-aside")
    uses = only([trained, evaluated]).limits
    assert [(use.words, use.records) for use in uses[:2]] == [
        ("all jobs, to train with", "training"),
        ("all jobs, set aside", "set-aside"),
    ]
    assert [use.spent for use in uses[:2]] == [
        only([one]).limits[at].spent for at, one in enumerate([trained, evaluated])
    ]


def test_release_without_noise_leaves_nothing_and_is_no_number_in_json():
    ledger = exported([line(EXACT, COMMITTED), line(COUNTS, COMMITTED, job="job-2")])
    assert ledger["limits"][0]["spent"] is ledger["limits"][0]["epsilon"] is None
    assert ledger["limits"][0]["left"] == 0
    assert ledger["jobs"][0]["part"] is None
    assert ledger["jobs"][1]["part"] < 1


def test_units_of_privacy_never_add_up():
    found = list(report("nursery", [line(COUNTS, COMMITTED), line(WHOLE_PARTY, COMMITTED)], POLICY, NOW))
    assert [one.unit for one in found] == ["record", "party"]
    assert all(len(one.entries) == 1 for one in found)


def test_report_without_a_policy_states_epsilon_only():
    found = only(lines(), policy=None)
    assert found.limits == ()
    assert {job.part for job in found.jobs} == {None}
    assert found.jobs[0].epsilon > 0


def test_drawing_shows_parts_in_proportion_and_is_well_formed():
    hostile = [replace(entry, job_id=JobId('<b>&"')) for entry in lines()[:3]]
    found = only([*lines(), *hostile])
    drawing = draw([found])
    root = ElementTree.fromstring(drawing)  # noqa: S314  # our own output
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"nursery, per record", "all jobs", "any 30 days", '<b>&"', "job-2"} <= set(texts)
    assert f"{100 * found.limits[0].left:.1f} % left" in texts
    bars = [element for element in root.iter("{http://www.w3.org/2000/svg}rect") if element.get("class") != "all"]
    frame = next(e for e in root.iter("{http://www.w3.org/2000/svg}rect") if e.get("class") == "all")
    spent, reserved = bars[0], bars[1]
    assert float(present(spent.get("width"))) == pytest.approx(
        found.limits[0].spent * float(present(frame.get("width"))), abs=0.1
    )
    assert float(present(reserved.get("x"))) == pytest.approx(
        float(present(spent.get("x"))) + float(present(spent.get("width"))), abs=0.1
    )
    assert "prefers-color-scheme: dark" in drawing


def test_drawing_of_an_overrun_limit_ends_at_the_limit():
    root = ElementTree.fromstring(draw([only([line(EXACT, COMMITTED)])]))  # noqa: S314  # our own output
    rects = list(root.iter("{http://www.w3.org/2000/svg}rect"))
    right = max(float(present(rect.get("x"))) + float(present(rect.get("width"))) for rect in rects)
    assert right == 620
