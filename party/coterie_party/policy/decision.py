# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The decision on a job that follows from the policy, and the further conditions on queries of an accepted job.

A pure function of the policy, the job, the party's own ledger and the time. Another module checks that the terms of a
job cost what its specification promises.

Invariants: anything that is not explicitly allowed is refused; a refusal states the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from coterie_common.errors import BudgetExhausted, ConsentDenied, NotConfined, QuorumTooSmall, RefusedError
from coterie_common.identifiers import JobId
from coterie_common.learning.agreement import PlannedJob
from coterie_common.learning.algorithm import Algorithm, VectorAlgorithm, get_algorithm
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import FederationParameters
from coterie_common.shown import counted
from coterie_party.policy.budget import check_budget, decimal_text
from coterie_party.policy.policy import Confinement as ConfinementDemand
from coterie_party.policy.policy import Policy
from coterie_party.store.records import LedgerEntry
from coterie_party.training.confinement import Confinement


@dataclass(frozen=True, slots=True)
class Verdict:
    """The party's decision on a job; ``code`` and ``detail`` give the reason if it is not accepted."""

    decision: Decision
    code: str = ""
    detail: str = ""


def decide(
    policy: Policy,
    *,
    spec: JobSpec,
    algorithm: Algorithm[Any, Any],
    parameters: FederationParameters,
    round_quorum: int,
    planned: Sequence[LedgerEntry],
    exact: Callable[[Fraction], float],
    entries: Sequence[LedgerEntry],
    local: datetime,
    is_approved: bool = False,
    run_before: JobId | None = None,
    asked_others: JobId | None = None,
) -> Verdict:
    """Decide on a job whose terms were checked against its specification.

    Args:
        policy: the steward's.
        spec: the job.
        algorithm: of the job, loaded.
        parameters: of the roster in force.
        round_quorum: minimum number of contributors to the job's releases.
        planned: a line of the ledger for every round of the plan, priced by the party's own accountant.
        exact: ε of the whole plan at a given δ.
        entries: the ledger of ``spec.dataset``, without this job.
        local: the current time, in the zone of the machine.
        is_approved: the steward approved this very job.
        run_before: a job with the same specification that the ledger was charged for.
        asked_others: a job without noise on the same data that was asked of other parties than this one would be.

    Privacy: a job whose cost is zero or cannot be bounded by the accountant is refused; an approval does not change
    that. A job without noise is accepted only if the policy names its digest, regardless of past spending, only once,
    and only if all such jobs on the same data have the same contributors: the sums of two that differ in one
    contributor differ by its exact reply. After it no other job fits.
    """
    try:
        check_consent(policy, spec, algorithm)
        _check_earlier_runs(spec, run_before, asked_others)
        if len(planned) > policy.rounds_per_job:
            raise ConsentDenied(
                f"plans {counted(len(planned), 'round')}, this party's limit per job is {policy.rounds_per_job}"
            )
        check_floors(policy, cohort=parameters.parties - len(spec.rounds.without), round_quorum=round_quorum)
        if spec.privacy.placement is not Placement.NONE:
            _check_limits_per_job(policy, spec)
            check_budget(policy.limits(spec.dataset), spec, planned, entries, local, exact)
    except RefusedError as refusal:
        return Verdict(Decision.REFUSED, refusal.code, refusal.message)
    reason = policy.reason_to_hold(spec.dataset, local, is_approved=is_approved)
    return Verdict(Decision.HELD, detail=reason) if reason else Verdict(Decision.ACCEPTED)


def check_algorithms(policy: Policy, spec: JobSpec) -> None:
    """Check the names of all algorithms and networks that a job would run, before any of their code is loaded.

    The job's own algorithm is loaded once the policy allows it, and declares the other code that its config names.

    Raises:
        ConsentDenied: one is not in the policy.
        MalformedMessage: the job embeds a model that cannot be read.
        InvalidJob, MissingLibrary, ConfigurationError: the job's own algorithm cannot be loaded.
    """
    _check_names("algorithm", (spec.algorithm,), policy.algorithms_on(spec.dataset))
    _check_named_code(policy, spec, get_algorithm(spec.algorithm))


def _check_named_code(policy: Policy, spec: JobSpec, algorithm: Algorithm[Any, Any]) -> None:
    named = algorithm.named_code(spec.config)
    _check_names("algorithm", named.algorithms, policy.algorithms_on(spec.dataset))
    _check_names("network", named.networks, policy.networks)


def _check_names(kind: str, names: Sequence[Any], allowed: Sequence[str]) -> None:
    for name in names:
        if not isinstance(name, str) or name not in allowed:
            words = ", ".join(allowed) or "none"
            raise ConsentDenied(f"this party does not allow the {kind} {str(name)[:80]}, only: {words}")


def check_consent(policy: Policy, spec: JobSpec, algorithm: Algorithm[Any, Any]) -> None:
    """Check the algorithms and the data of a job, when it is decided on and again for each of its queries.

    Args:
        policy: the steward's.
        spec: the job.
        algorithm: of the job, loaded.

    Raises:
        ConsentDenied: the policy does not allow it.
    """
    _check_names("algorithm", (spec.algorithm,), policy.algorithms_on(spec.dataset))
    _check_named_code(policy, spec, algorithm)
    if policy.allowed_datasets is not None and spec.dataset not in policy.allowed_datasets:
        raise ConsentDenied(f"this party does not allow jobs on the data set {spec.dataset}")
    if spec.sealing not in policy.sealings:
        raise ConsentDenied(f"this party does not allow jobs with {spec.sealing.value} sealing")
    placement = spec.privacy.placement
    if placement is Placement.NONE:
        if spec.digest.hex() not in policy.jobs_without_noise:
            raise ConsentDenied(
                f"the job adds no noise, which this party allows per job only; digest {spec.digest.hex()}"
            )
    elif placement not in policy.placements:
        raise ConsentDenied(f"this party does not allow noise placed {placement.value}")


def check_confinement(policy: Policy, job: PlannedJob, confinement: Confinement) -> None:
    """Check, for a job and again for each of its queries, that its vectors are computed as the policy demands.

    Raises:
        NotConfined: they would be computed in a process that this system does not confine.
    """
    is_demanded = policy.confinement is ConfinementDemand.REQUIRED and isinstance(job.algorithm, VectorAlgorithm)
    if is_demanded and confinement.missing:
        raise NotConfined(
            f"this party's policy demands that the code of {job.spec.algorithm} is confined, which its system does not "
            "enforce; 'coterie-party health' there reports what is missing"
        )


def check_floors(policy: Policy, *, cohort: int, round_quorum: int) -> None:
    """Check the sizes of a cohort and of its quorum, for a job and again for each query.

    Raises:
        QuorumTooSmall: fewer than the policy demands.
    """
    if cohort < policy.minimum_cohort:
        raise QuorumTooSmall(f"{cohort} parties are asked, this party's limit is at least {policy.minimum_cohort}")
    if round_quorum < policy.minimum_quorum:
        raise QuorumTooSmall(
            f"a sum may hold as few as {round_quorum} replies, this party's limit is at least {policy.minimum_quorum}"
        )


def check_asked_others(asked_others: JobId | None) -> None:
    """Check that no job without noise on the same data asked others, when the job at hand adds none either.

    It counts when the job is accepted, and again whenever it asks: the roster, or another job, may have come between.

    Raises:
        ConsentDenied: there is one.
    """
    if asked_others is not None:
        raise ConsentDenied(
            f"the job adds no noise, and job {asked_others}, without noise on the same data, was asked of other "
            "parties: the two sums would differ by exact replies"
        )


def _check_earlier_runs(spec: JobSpec, run_before: JobId | None, asked_others: JobId | None) -> None:
    if spec.privacy.placement is not Placement.NONE:
        return
    check_asked_others(asked_others)
    if run_before is not None:
        raise ConsentDenied(
            f"the job adds no noise, and this party's consent to it was used by job {run_before}; to ask again, "
            "change its name"
        )


def _check_limits_per_job(policy: Policy, spec: JobSpec) -> None:
    goal = spec.privacy
    for sign, asked, maximum in (("ε", goal.epsilon, policy.epsilon_per_job), ("δ", goal.delta, policy.delta_per_job)):
        if asked > maximum:
            raise BudgetExhausted(
                f"asks {sign} = {decimal_text(asked)}, this party's limit per job is {decimal_text(maximum)}"
            )
