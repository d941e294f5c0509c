# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What both sides derive from a job specification, each by itself: the plan, and the terms of every round.

The aggregator proposes terms with ``propose_terms``; a party accepts them only if ``check_terms`` finds that they fit
its own plan and cost no more than the specification promises.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from coterie_common.errors import InvalidJob, NoiseInsufficient, ParameterMismatch
from coterie_common.learning.algorithm import Algorithm, get_algorithm
from coterie_common.learning.plan import Plan, PlannedRound
from coterie_common.learning.schema import Schema, parse_schema
from coterie_common.privacy.accounting import CountEvent, calibrate, epsilon_of
from coterie_common.privacy.encoding import Encoding
from coterie_common.privacy.noise import Placement
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import FederationParameters
from coterie_common.protocol.terms import JobTerms, RoundTerms, SealingKind

_CALIBRATION_MARGIN = Fraction(999_999, 1_000_000)
"""The parties' accountants may round otherwise in the last digits than the aggregator's; this covers it."""


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job specification, understood.

    Attributes:
        spec: what was submitted.
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
        InvalidJob: an entry of the specification cannot be used; says which.
    """
    algorithm = get_algorithm(spec.algorithm)
    schema = parse_schema(spec.schema)
    config = algorithm.parse_config(spec.config)
    plan = algorithm.plan(config, schema)
    if plan.unit is not spec.privacy.unit:
        raise InvalidJob(
            f"privacy.unit: {spec.algorithm} protects one {plan.unit.value}, not {spec.privacy.unit.value}"
        )
    # Rounds of real vectors have a plan and an accountant, but no terms yet that parties could agree on.
    if not all(isinstance(planned, PlannedRound) for planned in plan.rounds):
        raise InvalidJob(f"algorithm: {spec.algorithm} asks for vectors of real numbers, which cannot be sealed yet")
    return PlannedJob(spec, algorithm, config, schema, plan)


def round_quorum(spec: JobSpec, parameters: FederationParameters) -> int:
    """Return the round quorum of a job: its own, or the federation's.

    Raises:
        QuorumTooSmall: not between the federation's quorum and the number of parties.
    """
    quorum = parameters.quorum if spec.rounds.quorum is None else spec.rounds.quorum
    parameters.honest_shares(quorum)
    return quorum


def propose_terms(job: PlannedJob, parameters: FederationParameters) -> JobTerms:
    """Choose the noise of every round so that the whole plan costs what the specification promises.

    Raises:
        UnsupportedMechanism: the accountant has no sound bound for this goal.
        QuorumTooSmall: see ``round_quorum``.
    """
    goal = job.spec.privacy
    events = calibrate(
        [(planned.l0, planned.linf) for planned in _counts(job.plan)],
        epsilon=goal.exact_epsilon * _CALIBRATION_MARGIN,
        delta=goal.exact_delta,
        mechanism=goal.mechanism,
        placement=goal.placement,
        shares=parameters.honest_shares(round_quorum(job.spec, parameters)),
    )
    rounds = (_round_terms(job, planned, event) for planned, event in zip(_counts(job.plan), events, strict=True))
    return JobTerms(tuple(rounds))


def check_terms(job: PlannedJob, terms: JobTerms, parameters: FederationParameters) -> tuple[CountEvent, ...]:
    """Check proposed terms against the party's own plan and accountant, and return what the ledger has to carry.

    Raises:
        ParameterMismatch: they do not follow from the plan.
        NoiseInsufficient: they cost more than the specification promises, or divide the noise by too many shares.
    """
    goal = job.spec.privacy
    shares = parameters.honest_shares(round_quorum(job.spec, parameters))
    if len(terms.rounds) != len(job.plan.rounds):
        raise ParameterMismatch(f"the terms have {len(terms.rounds)} rounds, the plan has {len(job.plan.rounds)}")
    events = tuple(map(event_of, terms.rounds))
    for number, (planned, proposed, event) in enumerate(zip(_counts(job.plan), terms.rounds, events, strict=True), 1):
        if proposed != _round_terms(job, planned, event):
            raise ParameterMismatch(f"the terms of round {number} do not follow from the plan")
        noise = proposed.noise
        if (noise.mechanism, noise.placement) != (goal.mechanism, goal.placement):
            raise ParameterMismatch(f"the noise of round {number} is not of the kind that the specification names")
        if goal.placement is Placement.DISTRIBUTED and noise.shares > shares:
            raise NoiseInsufficient(
                f"the noise of round {number} is divided by {noise.shares} although only {shares} honest shares "
                "are guaranteed"
            )
    if goal.placement is not Placement.NONE:
        cost = epsilon_of(events, goal.exact_delta)
        if not 0 < cost <= goal.exact_epsilon:
            raise NoiseInsufficient(
                f"the terms cost ε = {cost:.6g} at δ = {goal.delta}, the specification promises {goal.epsilon}"
            )
    return events


def event_of(terms: RoundTerms) -> CountEvent:
    """Return what a round under these terms costs, as an event for the accountant."""
    return CountEvent(
        l0=terms.l0, linf=terms.linf, scale_bits=terms.encoding.scale_bits, noise=terms.noise, unit=terms.unit
    )


def _counts(plan: Plan) -> tuple[PlannedRound, ...]:
    """Return the rounds of a plan that asks for counts only; raises ``InvalidJob`` for any other."""
    counts = tuple(planned for planned in plan.rounds if isinstance(planned, PlannedRound))
    if len(counts) != len(plan.rounds):
        raise InvalidJob("there are no terms for rounds of real vectors")
    return counts


def _round_terms(job: PlannedJob, planned: PlannedRound, event: CountEvent) -> RoundTerms:
    return RoundTerms(
        sealing=SealingKind.DIRECT,
        encoding=Encoding(length=planned.length, scale_bits=event.scale_bits, lower=planned.lower, upper=planned.upper),
        noise=event.noise,
        unit=job.plan.unit,
        l0=planned.l0,
        linf=planned.linf,
    )
