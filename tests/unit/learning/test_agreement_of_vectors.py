# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What both sides derive for rounds of real vectors, and what a party refuses of it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from coterie_common.errors import CoterieError, InvalidJob, UnsupportedMechanism
from coterie_common.learning.agreement import PADDED_SHARE_STDDEV, check_terms, plan_job, propose_terms, vector_rounds
from coterie_common.learning.plan import Plan, PlannedCountRound, PlannedVectorRound
from coterie_common.privacy.accounting.epsilon import epsilon_of
from coterie_common.privacy.noise.mechanisms import Placement, Unit
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.protocol.terms import JobTerms, RoundTerms, SealingKind, VectorTerms
from tests.support.noise import gaussian
from tests.support.small_jobs import make_spec

PARAMETERS = choose_parameters(10)
BITS = 2046
JOB = """
name = "severity"
algorithm = "logistic_regression"
dataset = "patients"

[config]
rounds = 3
records = 900
batch = 300
clip_norm = 0.5
learning_rate = 0.1
held_out = true

[privacy]
epsilon = 1
delta = 1e-5

[schema]
label = "ill"
max_records = 1000

[[schema.columns]]
name = "feature"
count = COUNT
lower = 0
upper = 120

[[schema.columns]]
name = "ill"
levels = ["no", "yes"]
"""


def job(count: int = 1, **privacy: Any) -> Any:
    table = tomllib.loads(JOB.replace("COUNT", str(count)), parse_float=Decimal)
    return plan_job(JobSpec.from_table({**table, "privacy": {**table["privacy"], **privacy}}))


SHORT, LONG = job(), job(1900)
TERMS = propose_terms(SHORT, PARAMETERS, BITS)


@pytest.mark.parametrize(("records", "delta"), [(900, "0.0012"), (100_001, "1e-5"), (3_000_000, "0.000000334")])
def test_delta_above_one_in_the_records_is_refused_unless_the_job_allows_it_in_words(records, delta):
    text = JOB.replace("COUNT", "1").replace("records = 900\nbatch = 300", f"records = {records}")

    def planned(**privacy: Any) -> Any:
        table = tomllib.loads(text, parse_float=Decimal)
        return plan_job(JobSpec.from_table({**table, "privacy": {"epsilon": 1, "delta": Decimal(delta), **privacy}}))

    with pytest.raises(InvalidJob, match=f"is above one in {records}, .* or write allow_large_delta = true") as caught:
        planned()
    assert caught.value.code == "invalid-job"
    # What the line says is enough.
    suggested = caught.value.message.partition("Take ")[2].partition(",")[0]
    planned(delta=Decimal(suggested))
    planned(delta=Decimal(1) / (records + 1))
    allowed = planned(allow_large_delta=True).spec
    assert JobSpec.from_bytes(allowed.to_bytes()).privacy.allow_large_delta
    assert planned(placement="none")
    assert b"allow_large_delta" not in SHORT.spec.to_bytes()


def vectors_of(terms: RoundTerms) -> VectorTerms:
    assert isinstance(terms.values, VectorTerms)
    return terms.values


def test_terms_of_vectors_cost_what_the_job_promises_and_pass_the_partys_check():
    events = check_terms(SHORT, JobTerms.from_bytes(TERMS.to_bytes()), PARAMETERS, BITS)
    assert 0.98 < epsilon_of(events, Fraction(1, 100_000)) <= 1
    assert [vectors_of(terms).sampling_rate for terms in TERMS.rounds] == [Fraction(1, 3)] * 3 + [None]


def test_short_vectors_are_sealed_directly_and_long_ones_are_padded():
    assert {terms.sealing for terms in TERMS.rounds} == {SealingKind.DIRECT}
    terms = propose_terms(LONG, PARAMETERS, BITS)
    # the round on held-out records has a few figures only
    assert [terms.sealing for terms in terms.rounds] == [SealingKind.PADDED] * 3 + [SealingKind.DIRECT]
    check_terms(LONG, terms, PARAMETERS, BITS)


@pytest.mark.parametrize("planned", [SHORT, LONG], ids=["short", "long"])
def test_every_share_is_as_wide_as_the_error_of_a_pad(planned):
    for terms in propose_terms(planned, PARAMETERS, BITS).rounds:
        assert terms.noise.share_variance >= PADDED_SHARE_STDDEV**2


def test_long_counts_are_padded_with_wider_noise_and_exact_ones_never():
    levels = [str(number) for number in range(5000)]
    noisy, exact = (
        plan_job(
            JobSpec.from_table(
                {
                    "name": "ages",
                    "algorithm": "statistics",
                    "dataset": "patients",
                    "config": {"histograms": ["age"]},
                    "privacy": {"epsilon": Decimal(1), "delta": Decimal("1e-5"), "placement": placement},
                    "schema": {"max_records": 1000, "columns": [{"name": "age", "levels": levels}]},
                }
            )
        )
        for placement in ("distributed", "none")
    )
    (padded,) = propose_terms(noisy, PARAMETERS, BITS).rounds
    assert padded.sealing is SealingKind.PADDED
    assert padded.noise.share_variance >= PADDED_SHARE_STDDEV**2
    check_terms(noisy, propose_terms(noisy, PARAMETERS, BITS), PARAMETERS, BITS)
    (direct,) = propose_terms(exact, PARAMETERS, BITS).rounds
    assert direct.sealing is SealingKind.DIRECT


def changed(change: Callable[[RoundTerms], RoundTerms]) -> JobTerms:
    return JobTerms((change(TERMS.rounds[0]), *TERMS.rounds[1:]))


def with_vectors(**changes: Any) -> Callable[[RoundTerms], RoundTerms]:
    return lambda terms: replace(terms, values=replace(vectors_of(terms), **changes))


def with_encoding(**changes: Any) -> Callable[[RoundTerms], RoundTerms]:
    return lambda terms: with_vectors(encoding=replace(vectors_of(terms).encoding, **changes))(terms)


def with_noise(**changes: Any) -> Callable[[RoundTerms], RoundTerms]:
    return lambda terms: replace(terms, noise=replace(terms.noise, **changes))


BAD: dict[str, tuple[str, JobTerms]] = {
    "a round less": ("parameter-mismatch", JobTerms(TERMS.rounds[1:])),
    "padded where a pad costs more": ("parameter-mismatch", changed(lambda t: replace(t, sealing=SealingKind.PADDED))),
    "another sampling rate": ("parameter-mismatch", changed(with_vectors(sampling_rate=Fraction(1, 4)))),
    "every record takes part": ("parameter-mismatch", changed(with_vectors(sampling_rate=None))),
    "another clipping norm": ("parameter-mismatch", changed(with_encoding(clip_norm=Fraction(2)))),
    "another length": ("parameter-mismatch", changed(with_encoding(length=1))),
    "fewer vectors than records": ("parameter-mismatch", changed(with_encoding(units=10))),
    "a wider range": ("parameter-mismatch", changed(with_encoding(upper=TERMS.rounds[0].encoding.upper + 1))),
    "counts in place of vectors": (
        "parameter-mismatch",
        changed(lambda t: propose_terms(plan_job(make_spec("statistics", {})), PARAMETERS, BITS).rounds[0]),
    ),
    "a protected party in place of a record": (
        "parameter-mismatch",
        changed(lambda t: replace(with_vectors(sampling_rate=None)(t), unit=Unit.PARTY)),
    ),
    "less noise": (
        "noise-insufficient",
        changed(lambda t: with_noise(variance=(gaussian(t.noise).variance or Fraction(0)) * Fraction(3, 4))(t)),
    ),
    "noise in too many shares": ("noise-insufficient", changed(lambda t: with_noise(shares=t.noise.shares + 1)(t))),
    "noise drawn locally": ("parameter-mismatch", changed(with_noise(placement=Placement.LOCAL))),
}


@pytest.mark.parametrize("name", BAD)
def test_terms_that_do_not_follow_from_the_plan_are_refused(name):
    code, terms = BAD[name]
    with pytest.raises(CoterieError) as refusal:
        check_terms(SHORT, terms, PARAMETERS, BITS)
    assert refusal.value.code == code


def test_vectors_with_laplace_noise_are_refused_in_words():
    with pytest.raises(UnsupportedMechanism, match="discrete-gaussian"):
        propose_terms(job(mechanism="discrete-laplace", delta=Decimal(0)), PARAMETERS, BITS)


def test_a_plan_of_counts_and_vectors_is_refused():
    rounds = (
        PlannedCountRound(length=1, lower=0, upper=1, l0=1, linf=1),
        PlannedVectorRound(length=1, clip_norm=Fraction(1)),
    )
    with pytest.raises(InvalidJob, match="not for both"):
        vector_rounds(Plan(Unit.RECORD, rounds))
