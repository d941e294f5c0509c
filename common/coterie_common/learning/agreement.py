# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The plan and the terms of every round, which each side derives from a job specification by itself.

The aggregator proposes terms with ``propose_terms``; a party accepts them only if ``check_terms`` finds that they fit
its own plan and cost no more than the specification promises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, Final, TypeAlias

from coterie_common.errors import (
    InvalidJob,
    NoiseInsufficient,
    ParameterMismatch,
    QuorumTooSmall,
    UnsupportedMechanism,
)
from coterie_common.learning.algorithm import Algorithm, get_algorithm
from coterie_common.learning.data.schema import Schema, parse_schema
from coterie_common.learning.plan import Plan, PlannedCountRound, PlannedVectorRound, RoundPlan
from coterie_common.learning.spare_rounds import most_expensive, spare_kinds, spares_of
from coterie_common.privacy.accounting.epsilon import calibrate, epsilon_of
from coterie_common.privacy.accounting.vector_calibration import VectorQuery, calibrate_vectors, choose_rounding
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.event import Event
from coterie_common.privacy.noise.mechanisms import Mechanism, NoiseTerms, Placement, Unit
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import FederationParameters
from coterie_common.protocol.sealing.choice import choose_sealing
from coterie_common.protocol.sealing.padded_vector import is_error_needed
from coterie_common.protocol.spares import Spares
from coterie_common.protocol.terms import CountTerms, JobTerms, RoundTerms, SealingKind, ValueTerms, VectorTerms

DIRECT_SHARE_STDDEV: Final = 4
PADDED_SHARE_STDDEV: Final = 64
"""Minimum standard deviation of a noise share in scaled units, by sealing: from 4 on, the sum of shares is as good as
one discrete Gaussian; from 64 on, a share is the error that the pad needs."""

_UNDER_PADS: Final = frozenset({SealingKind.PADDED, SealingKind.COMPLETE_PADDED})

_CALIBRATION_MARGIN = Fraction(999_999, 1_000_000)
"""The parties' accountants may round the last digits differently from the aggregator's; this covers it."""


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job specification, parsed and planned.

    Attributes:
        spec: as submitted.
        algorithm: both halves.
        config: of the algorithm, parsed.
        schema: of the data.
        plan: the worst case.
    """

    spec: JobSpec
    algorithm: Algorithm[Any, Any]
    config: Any
    schema: Schema
    plan: Plan


def plan_job(spec: JobSpec) -> PlannedJob:
    """Derive algorithm, configuration, schema and plan.

    Raises:
        InvalidJob: an entry of the specification cannot be used; the message names it.
    """
    algorithm = get_algorithm(spec.algorithm)
    schema = parse_schema(spec.schema)
    config = algorithm.parse_config(spec.config)
    plan = algorithm.plan(config, schema)
    if plan.unit is not spec.privacy.unit:
        raise InvalidJob(
            f"privacy.unit: {spec.algorithm} protects one {plan.unit.value}, not {spec.privacy.unit.value}"
        )
    _check_delta(spec, config)
    vector_rounds(plan)
    return PlannedJob(spec, algorithm, config, schema, plan)


def _check_delta(spec: JobSpec, config: Any) -> None:
    """Refuse a δ that even a mechanism publishing some records unchanged would satisfy.

    Raises:
        InvalidJob: δ is above one in the job's stated number of records, and the job does not explicitly allow that.
    """
    goal, records = spec.privacy, getattr(config, "records", None)
    is_promised = goal.placement is not Placement.NONE and goal.unit is Unit.RECORD and not goal.allow_large_delta
    if is_promised and isinstance(records, int) and goal.exact_delta * records > 1:
        raise InvalidJob(
            f"privacy.delta: {goal.delta_text} is above one in {records}, the job's stated number of records: "
            f"{float(goal.exact_delta * records):.3g} of them could be published unchanged within the promise. "
            f"Take 1e-{len(str(records))}, or write allow_large_delta = true below [privacy]"
        )


def round_quorum(spec: JobSpec, parameters: FederationParameters) -> int:
    """Return the round quorum of a job: its own, or the federation's; without noise all parties.

    Raises:
        QuorumTooSmall: not between the federation's quorum and the number of parties; or the job adds no noise and
            names fewer than all parties.

    Privacy: exact sums over different parties differ by some party's exact reply, so without noise every release of
        every job is over the one set that nobody can choose: all members.
    """
    if spec.privacy.placement is Placement.NONE:
        if spec.rounds.quorum not in (None, parameters.parties):
            raise QuorumTooSmall(
                f"a job without noise is released with the replies of all {parameters.parties} parties only, not of "
                f"{spec.rounds.quorum}: leave out rounds.quorum"
            )
        return parameters.parties
    quorum = parameters.quorum if spec.rounds.quorum is None else spec.rounds.quorum
    parameters.honest_shares(quorum)
    return quorum


def propose_terms(job: PlannedJob, parameters: FederationParameters, plaintext_bits: int) -> JobTerms:
    """Choose encoding, noise and sealing of every round so that the plan's total cost is the one promised.

    Scale and sealing follow the narrowest shares that a query may ask for, n − c, when all parties are there. A query
    with fewer has wider shares of the same noise.

    Args:
        job: parsed and planned.
        parameters: of the federation.
        plaintext_bits: usable bits of one plaintext under its key; with the length it determines the sealing of a
            vector.

    Raises:
        UnsupportedMechanism: the accountant has no sound bound for this goal.
        QuorumTooSmall: see ``round_quorum``.
        CapacityExceeded: a sum's range fits neither a slot nor 62 bits.
    """
    round_quorum(job.spec, parameters)
    shares = parameters.honest_shares(parameters.parties)
    vectors = vector_rounds(job.plan)
    if vectors:
        return _sealed(job, _propose_vectors(job, vectors, shares), parameters, plaintext_bits)
    terms = _sealed(job, _propose_counts(job, shares, DIRECT_SHARE_STDDEV), parameters, plaintext_bits)
    if any(proposed.sealing in _UNDER_PADS for proposed in terms.rounds):
        # Only then is the wider scale worth its bits: a share that wide is the pad's error itself.
        terms = _sealed(job, _propose_counts(job, shares, PADDED_SHARE_STDDEV), parameters, plaintext_bits)
    return terms


def check_terms(
    job: PlannedJob, terms: JobTerms, parameters: FederationParameters, plaintext_bits: int
) -> tuple[Event, ...]:
    """Check proposed terms against the party's own plan and accountant, and return the lines for the ledger.

    Returns:
        The event of each line: of every step, then of every spare round.

    Raises:
        ParameterMismatch: they do not follow from the plan.
        NoiseInsufficient: they cost more than the specification promises, or divide the noise by too many shares.
        QuorumTooSmall: see ``round_quorum``.
        UnsupportedMechanism: the accountant has no sound bound for them.
        CapacityExceeded: a sum's range fits neither a slot nor 62 bits.
    """
    goal = job.spec.privacy
    shares, fewest = map(parameters.honest_shares, (parameters.parties, round_quorum(job.spec, parameters)))
    if len(terms.rounds) != len(job.plan.rounds):
        raise ParameterMismatch(f"the terms have {len(terms.rounds)} rounds, the plan has {len(job.plan.rounds)}")
    # A job repeats the same round hundreds of times; equal terms of equal rounds are checked once.
    checked: set[tuple[RoundPlan, RoundTerms]] = set()
    for number, (planned, proposed) in enumerate(zip(job.plan.rounds, terms.rounds, strict=True), 1):
        if (planned, proposed) in checked:
            continue
        noise, values = proposed.noise, _values_of(job, planned, proposed.encoding.scale_bits)
        expected = RoundTerms(
            sealing=choose_sealing(values, noise, parameters.parties, plaintext_bits, is_complete=job.spec.is_complete),
            values=values,
            noise=noise,
            unit=job.plan.unit,
        )
        if proposed != expected:
            raise ParameterMismatch(f"the terms of round {number} do not follow from the plan")
        if (noise.mechanism, noise.placement) != (goal.mechanism, goal.placement):
            raise ParameterMismatch(f"the noise of round {number} is not of the kind that the specification names")
        if goal.placement is Placement.DISTRIBUTED and noise.shares > shares:
            raise NoiseInsufficient(
                f"the noise of round {number} is divided by {noise.shares} although only {shares} honest shares "
                "are guaranteed"
            )
        if noise.shares != shares:
            # The accountant reckons with the narrowest shares, and so do scale and sealing.
            raise ParameterMismatch(f"the noise of round {number} is in {noise.shares} shares, not in all {shares}")
        if is_error_needed(noise) != is_error_needed(noise.in_shares(fewest)):
            raise ParameterMismatch(f"whether a pad of round {number} draws errors depends on who is there")
        checked.add((planned, proposed))
    planned_events = tuple(proposed.event for proposed in terms.rounds)
    spares = _spares(job)(planned_events)
    events = (*planned_events, *spares.events)
    if goal.placement is not Placement.NONE:
        cost = epsilon_of(events, goal.exact_delta)
        if not 0 < cost <= goal.exact_epsilon:
            raise NoiseInsufficient(
                f"the terms cost ε = {cost:.6g} at δ = {goal.delta}, the specification promises {goal.epsilon}"
            )
    if terms.spares != spares:
        raise ParameterMismatch("the spare rounds of the terms do not follow from the plan")
    return events


def vector_rounds(plan: Plan) -> tuple[PlannedVectorRound, ...]:
    """Return the rounds of a plan that asks for real vectors; none where it asks for counts.

    Raises:
        InvalidJob: it asks for both; their noise would have to be weighed against each other.
    """
    vectors = tuple(planned for planned in plan.rounds if isinstance(planned, PlannedVectorRound))
    if vectors and len(vectors) != len(plan.rounds):
        raise InvalidJob("a job asks for counts or for vectors of real numbers, not for both")
    return vectors


_Chosen: TypeAlias = tuple[ValueTerms, NoiseTerms]


def _propose_counts(job: PlannedJob, shares: int, min_share_stddev: int) -> list[_Chosen]:
    goal = job.spec.privacy
    counts = [planned for planned in job.plan.rounds if isinstance(planned, PlannedCountRound)]
    events = calibrate(
        [(planned.l0, planned.linf) for planned in counts],
        epsilon=goal.exact_epsilon * _CALIBRATION_MARGIN,
        delta=goal.exact_delta,
        mechanism=goal.mechanism,
        placement=goal.placement,
        shares=shares,
        min_share_stddev=min_share_stddev,
        unit=job.plan.unit,
        factors=[planned.noise_factor for planned in counts],
        spares=_spares(job),
        repeated=most_expensive(job.plan, spare_kinds(job.spec, job.plan, job.algorithm.records)),
    )
    return [
        (_values_of(job, planned, event.scale_bits), event.noise) for planned, event in zip(counts, events, strict=True)
    ]


def _propose_vectors(job: PlannedJob, vectors: Sequence[PlannedVectorRound], shares: int) -> list[_Chosen]:
    goal = job.spec.privacy
    if not goal.mechanism.terms.has_norm_bound:
        others = " or ".join(f'"{each.value}"' for each in Mechanism if each.terms.has_norm_bound)
        raise UnsupportedMechanism(
            f"privacy.mechanism: {goal.mechanism.value} noise has no bound for vectors of real numbers; use {others}"
        )
    # Wide enough for a pad for both short and long vectors: sealed directly, this costs 4 bits a value.
    choices = calibrate_vectors(
        [_query_of(job, planned) for planned in vectors],
        epsilon=goal.exact_epsilon * _CALIBRATION_MARGIN,
        delta=goal.exact_delta,
        mechanism=goal.mechanism,
        placement=goal.placement,
        shares=shares,
        unit=job.plan.unit,
        min_share_stddev=PADDED_SHARE_STDDEV,
        spares=_spares(job),
    )
    return [
        (VectorTerms(encoding=choice.encoding, sampling_rate=planned.sampling_rate), choice.event.noise)
        for planned, choice in zip(vectors, choices, strict=True)
    ]


def _spares(job: PlannedJob) -> Callable[[Sequence[Event]], Spares]:
    """Return the function from the events of all steps to the spare rounds."""
    return partial(spares_of, job.spec, job.plan, spare_kinds(job.spec, job.plan, job.algorithm.records))


def _sealed(
    job: PlannedJob, chosen: Sequence[_Chosen], parameters: FederationParameters, plaintext_bits: int
) -> JobTerms:
    rounds = tuple(
        RoundTerms(
            sealing=choose_sealing(values, noise, parameters.parties, plaintext_bits, is_complete=job.spec.is_complete),
            values=values,
            noise=noise,
            unit=job.plan.unit,
        )
        for values, noise in chosen
    )
    return JobTerms(rounds, _spares(job)([terms.event for terms in rounds]))


def _values_of(job: PlannedJob, planned: RoundPlan, scale_bits: int) -> ValueTerms:
    """Return the values that follow from the plan for a round once its scale is chosen."""
    if isinstance(planned, PlannedVectorRound):
        encoding = _query_of(job, planned).encoding(scale_bits)
        return VectorTerms(encoding=encoding, sampling_rate=planned.sampling_rate)
    return CountTerms(
        encoding=CountEncoding(length=planned.length, scale_bits=scale_bits, lower=planned.lower, upper=planned.upper),
        l0=planned.l0,
        linf=planned.linf,
    )


def _query_of(job: PlannedJob, planned: PlannedVectorRound) -> VectorQuery:
    # Public, and the same for all: the number of vectors that a party really adds up must stay private.
    units = job.schema.max_records if job.plan.unit is Unit.RECORD else 1
    return VectorQuery(
        length=planned.length,
        clip_norm=planned.clip_norm,
        units=units,
        rounding=choose_rounding(planned.length, units, planned.sampling_rate),
        sampling_rate=planned.sampling_rate,
        noise_factor=planned.noise_factor,
    )
