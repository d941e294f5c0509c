# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The steward's policy, ``policy.toml``. Unknown keys are errors, so a misspelt limit cannot silently disappear.

Decisions on jobs are in ``decision``; noticing that the file was edited is in ``policy_file``.

Invariant: limits are exact decimals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, field_validator, model_validator

from coterie_common.host.config import load_toml
from coterie_common.learning.network.architectures import BUILT_IN
from coterie_common.limits import MAX_ROUNDS
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.job_spec import Exact, JobSealing
from coterie_common.shown import counted
from coterie_common.strict_model import StrictModel, parse
from coterie_party.policy.hours import Hours
from coterie_party.policy.template import DEFAULT_POLICY_TOML

__all__ = [
    "DEFAULT_POLICY_TOML",
    "POLICY_FILE_NAME",
    "Budget",
    "Confinement",
    "DatasetRules",
    "Limit",
    "Period",
    "Policy",
    "load_policy",
]

POLICY_FILE_NAME: Final = "policy.toml"

MAX_PERIOD_DAYS: Final = 36_525
"""A hundred years: a longer limit is a lifetime budget."""


def _delta(value: Decimal) -> Decimal:
    if not 0 <= value <= Decimal("0.01"):
        raise ValueError("must be from 0 to 0.01")
    return value


def _as_tuple(value: Any) -> Any:
    # TOML has lists, an immutable model has tuples; strict models do not take one for the other.
    return tuple(value) if isinstance(value, list) else value


Epsilon = Annotated[Exact, Field(gt=0, le=1000)]
Delta = Annotated[Exact, AfterValidator(_delta)]


class Confinement(StrEnum):
    """The treatment of jobs that need a training process where the system does not confine it."""

    REQUIRED = "required"
    PREFERRED = "preferred"


_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


class Budget(StrictModel):
    """Most privacy that some jobs on a data set may cost together.

    Attributes:
        epsilon: at most this ε.
        delta: at this δ.
    """

    epsilon: Epsilon
    delta: Delta


class Period(Budget):
    """A budget for any number of days in a row.

    Attributes:
        days: how many.
    """

    days: Annotated[int, Field(ge=1, le=MAX_PERIOD_DAYS)]


_Periods = Annotated[tuple[Period, ...], BeforeValidator(_as_tuple)]


class DatasetRules(StrictModel):
    """Rules for one data set, in place of those for all.

    Attributes:
        epsilon, delta: its own lifetime budget, both or neither.
        automatic: its own, instead of the one for all.
        algorithms: its own, instead of those for all.
        periods: its own, instead of those for all.
    """

    epsilon: Epsilon | None = None
    delta: Delta | None = None
    automatic: bool | None = None
    algorithms: _Names | None = None
    periods: _Periods | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> DatasetRules:
        if (self.epsilon is None) != (self.delta is None):
            raise ValueError("a budget has both epsilon and delta")
        return self


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit on what the jobs on a data set cost together.

    Attributes:
        budget: the limit.
        days: within how many days; ``None``: for ever.
    """

    budget: Budget
    days: int | None

    @property
    def words(self) -> str:
        """The span that the limit is for."""
        return "all jobs" if self.days is None else f"any {counted(self.days, 'day')}"


class Policy(StrictModel):
    """The steward's policy.

    Attributes:
        automatic: whether jobs that fit are accepted; otherwise they are held until the steward decides.
        algorithms: which may be run; the code of others is never loaded.
        allowed_datasets: data sets that jobs may use; without it every one that is bound.
        networks: networks that may be trained.
        confinement: whether jobs that need a training process are refused where the system does not confine it.
        placements: who may add how much of the noise.
        sealings: families of sealings that a job may ask for.
        jobs_without_noise: digests of job specifications that may run without any noise.
        epsilon_per_job, delta_per_job: most that one job may promise.
        rounds_per_job: most rounds of one job.
        minimum_cohort: fewest parties that are asked in a round.
        minimum_quorum: fewest parties whose replies a sum holds.
        lifetime: most that all jobs on a data set may cost together; never renewed.
        periods: most within any number of days in a row, besides.
        hours: when jobs start and rounds are answered, in local time; always where there are none.
        datasets: rules of one data set, by its name.
    """

    automatic: bool
    algorithms: _Names
    allowed_datasets: _Names | None = None
    networks: _Names = BUILT_IN
    confinement: Annotated[Confinement, Field(strict=False)] = Confinement.PREFERRED
    placements: tuple[Placement, ...] = (Placement.DISTRIBUTED,)
    sealings: tuple[JobSealing, ...] = (JobSealing.THRESHOLD,)
    jobs_without_noise: Annotated[tuple[_Digest, ...], BeforeValidator(_as_tuple)] = ()
    epsilon_per_job: Epsilon
    delta_per_job: Delta
    rounds_per_job: Annotated[int, Field(ge=1, le=MAX_ROUNDS)] = 100
    minimum_cohort: Annotated[int, Field(ge=3)] = 3
    minimum_quorum: Annotated[int, Field(ge=3)] = 3
    lifetime: Budget
    periods: _Periods = ()
    hours: Annotated[tuple[Hours, ...], BeforeValidator(_as_tuple)] = ()
    datasets: dict[str, DatasetRules] = Field(default_factory=dict)

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

    @field_validator("sealings", mode="before")
    @classmethod
    def _sealings(cls, value: Any) -> Any:
        try:
            return tuple(map(JobSealing, value if isinstance(value, list) else [None]))
        except ValueError as cause:
            raise ValueError('must be a list of "threshold" or "complete"') from cause

    def budget(self, dataset: str) -> Budget:
        """Return the lifetime budget of a data set."""
        own = self._rules(dataset)
        if own.epsilon is None or own.delta is None:
            return self.lifetime
        return Budget(epsilon=own.epsilon, delta=own.delta)

    def limits(self, dataset: str) -> Iterator[Limit]:
        """Yield the limits on a data set: the lifetime budget, then its periods."""
        own = self._rules(dataset)
        yield Limit(self.budget(dataset), None)
        for period in self.periods if own.periods is None else own.periods:
            yield Limit(period, period.days)

    def algorithms_on(self, dataset: str) -> tuple[str, ...]:
        """Return the algorithms that may be run on a data set."""
        own = self._rules(dataset).algorithms
        return self.algorithms if own is None else own

    @property
    def all_algorithms(self) -> frozenset[str]:
        """The algorithms that may be run on some data set: the code of no other is ever loaded."""
        return frozenset(self.algorithms).union(*(rules.algorithms or () for rules in self.datasets.values()))

    def accepts_by_itself(self, dataset: str) -> bool:
        """Return whether jobs on a data set need no approval."""
        own = self._rules(dataset).automatic
        return self.automatic if own is None else own

    def is_open(self, local: datetime) -> bool:
        """Return whether jobs may start and rounds are answered at this local time."""
        return not self.hours or any(hours.include(local) for hours in self.hours)

    def reason_to_hold(self, dataset: str, local: datetime, *, is_approved: bool) -> str:
        """Return why a job that fits does not start now, in words for the aggregator; empty if it does."""
        if not is_approved and not self.accepts_by_itself(dataset):
            return "waits for its steward's word: its policy is not to accept jobs automatically"
        if not self.is_open(local):
            return f"waits for its hours: it starts jobs {self.hours_in_words()} only, local time"
        return ""

    def hours_in_words(self) -> str:
        """Return the hours, such as ``from 20:00 until 06:00``."""
        return "; ".join(map(str, self.hours)) or "at any time"

    def _rules(self, dataset: str) -> DatasetRules:
        return self.datasets.get(dataset, _NO_RULES)


_NO_RULES: Final = DatasetRules()


def load_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        ConfigurationError: missing, not TOML, unknown keys or impossible values; names which.
    """
    return parse(Policy, load_toml(path, "the policy", parse_float=Decimal), str(path))
