# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a party's steward agrees to: ``policy.toml``, and the decision on a job that follows from it.

The decision is a pure function of the policy, the job and the party's own ledger. That the terms of a job cost what
its specification promises is checked elsewhere.

Invariants: limits are exact decimals; whatever is not allowed in words is refused; a refusal says the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import add
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from coterie_common.config import load_toml
from coterie_common.errors import (
    BudgetExhausted,
    ConsentDenied,
    MalformedMessage,
    QuorumTooSmall,
    RefusedError,
    StorageError,
    UnsupportedMechanism,
)
from coterie_common.identifiers import JobId
from coterie_common.learning.network.architectures import BUILT_IN
from coterie_common.limits import ROUNDS_MOST
from coterie_common.privacy.cost import Cost
from coterie_common.privacy.noise import Placement
from coterie_common.protocol.job_spec import Exact, JobSpec
from coterie_common.protocol.messages import Decision
from coterie_common.protocol.parameters import FederationParameters
from coterie_common.strict_model import StrictModel, parse
from coterie_party.store.records import LedgerEntry, ReservationStatus

POLICY_FILE_NAME: Final = "policy.toml"

DEFAULT_POLICY_TOML: Final = """\
# What this party agrees to. Jobs that fit are accepted, all others refused; the daemon reads this file at start.

# false: jobs that fit are held instead of accepted.
automatic = true

# Algorithms that may be run on this party's data.
algorithms = ["decision_tree", "evaluation", "statistics"]

# Networks that these algorithms may train. "cnn" and "mlp" are built in; any other is somebody's code, which runs on
# this party's data, in a process without network and without keys.
networks = ["cnn", "mlp"]

# Who adds how much noise. "distributed": each party a share, the sum as much as was promised.
# "local": each party all of it, for comparison.
placements = ["distributed"]

# Jobs without any noise, each by the digest of its specification, which the refusal of such a job names; it runs
# once. Their results are exact: nothing is promised to the people in the data any more, and after such a job no other
# fits the lifetime budget of its data set.
jobs_without_noise = []

# Most privacy that one job may cost, and most rounds that it may have.
epsilon_per_job = 1.0
delta_per_job = 1e-5
rounds_per_job = 100

# Fewest parties that are asked, and fewest whose replies a released sum holds. The federation has its own limits.
minimum_cohort = 3
minimum_quorum = 3

# Most privacy that all jobs together may cost, for each data set. It is never renewed.
[lifetime]
epsilon = 10.0
delta = 1e-4

# A data set with a budget of its own:
# [datasets.nursery]
# epsilon = 4.0
# delta = 1e-5
"""


def _delta(value: Decimal) -> Decimal:
    if not 0 <= value <= Decimal("0.01"):
        raise ValueError("must be from 0 to 0.01")
    return value


Epsilon = Annotated[Exact, Field(gt=0, le=1000)]
Delta = Annotated[Exact, AfterValidator(_delta)]
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Budget(StrictModel):
    """Most privacy that all jobs on a data set may cost together: ε at this δ."""

    epsilon: Epsilon
    delta: Delta


class Policy(StrictModel):
    """What the steward agrees to; ``DEFAULT_POLICY_TOML`` says what each entry means."""

    automatic: bool
    algorithms: tuple[str, ...]
    networks: tuple[str, ...] = BUILT_IN
    placements: tuple[Placement, ...] = (Placement.DISTRIBUTED,)
    jobs_without_noise: tuple[_Digest, ...] = ()
    epsilon_per_job: Epsilon
    delta_per_job: Delta
    rounds_per_job: Annotated[int, Field(ge=1, le=ROUNDS_MOST)] = 100
    minimum_cohort: Annotated[int, Field(ge=3)] = 3
    minimum_quorum: Annotated[int, Field(ge=3)] = 3
    lifetime: Budget
    datasets: dict[str, Budget] = Field(default_factory=dict)

    @field_validator("algorithms", "networks", "jobs_without_noise", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        # TOML has lists, an immutable model has tuples; strict models do not take one for the other.
        return tuple(value) if isinstance(value, list) else value

    @field_validator("placements", mode="before")
    @classmethod
    def _placements(cls, value: Any) -> Any:
        names = value if isinstance(value, list) else [None]
        if Placement.NONE.value in names:
            raise ValueError('"none" is allowed per job only: name its digest in jobs_without_noise')
        try:
            return tuple(map(Placement, names))
        except ValueError as cause:
            raise ValueError('must be a list of "distributed" or "local"') from cause

    def budget(self, dataset: str) -> Budget:
        """Return the lifetime budget of a data set."""
        return self.datasets.get(dataset, self.lifetime)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The party's decision on a job; ``code`` and ``detail`` say why it is not accepted."""

    decision: Decision
    code: str = ""
    detail: str = ""


def load_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        ConfigurationError: missing, no TOML, unknown keys or impossible values; says which.
    """
    return parse(Policy, load_toml(path, "the policy", parse_float=Decimal), str(path))


def spent_cost(entries: Iterable[LedgerEntry]) -> Cost | None:
    """Add up what a data set's ledger holds, reserved or committed; ``None`` if nothing.

    Raises:
        StorageError: a line cannot be read.
        UnsupportedMechanism: the lines protect different units of privacy.
    """
    costs = [entry.cost for entry in entries if entry.status is not ReservationStatus.RELEASED]
    try:
        return reduce(add, map(Cost.from_document, costs)) if costs else None
    except MalformedMessage as cause:
        raise StorageError(f"the privacy ledger cannot be read: {cause.message}") from cause


def decide(
    policy: Policy,
    *,
    spec: JobSpec,
    parameters: FederationParameters,
    round_quorum: int,
    rounds: int,
    job_cost: Cost,
    spent: Cost | None,
    run_before: JobId | None = None,
) -> Verdict:
    """Decide on a job whose terms were checked against its specification.

    Args:
        policy: the steward's.
        spec: the job.
        parameters: of the roster in force.
        round_quorum: fewest contributors of the job's releases.
        rounds: most rounds that the plan has.
        job_cost: of all rounds of the plan, by the party's own accountant.
        spent: ``spent_cost`` of the ledger of ``spec.dataset``, without this job.
        run_before: a job with the same specification that the ledger was charged for.

    Privacy: a cost of nothing refuses, and so does whatever the accountant cannot bound. A job without noise is
    accepted only when the policy names its digest, whatever was spent, and only once: the sums of two that differ in
    one contributor differ by its exact reply. After it no other job fits.
    """
    try:
        _check_consent(policy, spec, rounds, run_before)
        check_floors(policy, cohort=parameters.parties, round_quorum=round_quorum)
        if spec.privacy.placement is not Placement.NONE:
            _check_limits_per_job(policy, spec)
            _check_lifetime(policy.budget(spec.dataset), spec, job_cost, spent)
    except RefusedError as refusal:
        return Verdict(Decision.REFUSED, refusal.code, refusal.message)
    if not policy.automatic:
        return Verdict(Decision.HELD, detail="this party's policy is not to accept jobs automatically")
    return Verdict(Decision.ACCEPTED)


def check_algorithms(policy: Policy, spec: JobSpec) -> None:
    """Check the names of all algorithms that a job would run, before any of their code is loaded.

    Raises:
        ConsentDenied: one is not in the policy.
    """
    # Whoever evaluates a model runs the algorithm that made it, too.
    model = spec.config.get("model")
    made_by = [model.get("algorithm")] if isinstance(model, dict) else []
    for name in (spec.algorithm, *made_by):
        if name not in policy.algorithms:
            allowed = ", ".join(policy.algorithms) or "none"
            raise ConsentDenied(f"this party does not allow the algorithm {str(name)[:80]}, only: {allowed}")


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


def _check_consent(policy: Policy, spec: JobSpec, rounds: int, run_before: JobId | None) -> None:
    check_algorithms(policy, spec)
    network = spec.config.get("network")
    if network is not None and network not in policy.networks:
        allowed = ", ".join(policy.networks) or "none"
        raise ConsentDenied(f"this party does not allow the network {str(network)[:80]}, only: {allowed}")
    placement = spec.privacy.placement
    if placement is Placement.NONE:
        if spec.digest.hex() not in policy.jobs_without_noise:
            raise ConsentDenied(
                f"the job adds no noise, which this party allows per job only; digest {spec.digest.hex()}"
            )
        if run_before is not None:
            raise ConsentDenied(
                f"the job adds no noise, and this party's consent to it was used by job {run_before}; to ask again, "
                "change its name"
            )
    elif placement not in policy.placements:
        raise ConsentDenied(f"this party does not allow noise placed {placement.value}")
    if rounds > policy.rounds_per_job:
        raise ConsentDenied(f"plans {rounds} rounds, this party's limit per job is {policy.rounds_per_job}")


def _check_limits_per_job(policy: Policy, spec: JobSpec) -> None:
    goal = spec.privacy
    for sign, asked, most in (("ε", goal.epsilon, policy.epsilon_per_job), ("δ", goal.delta, policy.delta_per_job)):
        if asked > most:
            raise BudgetExhausted(f"asks {sign} = {_text(asked)}, this party's limit per job is {_text(most)}")


def _check_lifetime(budget: Budget, spec: JobSpec, job_cost: Cost, spent: Cost | None) -> None:
    if not (any(job_cost.divergences) or job_cost.pure_epsilon or job_cost.unprotected):
        raise UnsupportedMechanism("the accountant found no cost, and every release has one")
    total = job_cost if spent is None else spent + job_cost
    epsilon, delta = Fraction(budget.epsilon), Fraction(budget.delta)
    if total.fits(epsilon, delta):
        return
    so_far = "nothing" if spent is None else f"ε = {_epsilon_text(spent, delta)}"
    raise BudgetExhausted(
        f"asks ε = {_text(spec.privacy.epsilon)}, and {spec.dataset} has spent {so_far}: together "
        f"ε = {_epsilon_text(total, delta)} at δ = {_text(budget.delta)}, "
        f"this party's limit for all jobs is {_text(budget.epsilon)}"
    )


def _text(number: Decimal) -> str:
    # Not normalize(), which rounds to 28 digits: a limit exceeded in the 29th must be seen to be exceeded.
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _epsilon_text(cost: Cost, delta: Fraction) -> str:
    try:
        epsilon = cost.epsilon(delta)
    except UnsupportedMechanism:
        # Gaussian noise at δ = 0.
        epsilon = math.inf
    return "∞" if math.isinf(epsilon) else f"{epsilon:.4g}"
