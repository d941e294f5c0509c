# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The interface of an algorithm: the aggregator's half and the party's half of one method of learning from sums.

An algorithm is a stateless object. It never sees a key, a connection or noise: a party's half returns exact integers,
or one real vector per record; the aggregator's half receives noisy sums. Users register their own, a class without
constructor arguments, through an entry point of the group ``coterie.algorithms``; a party runs only those that its
policy names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from coterie_common import arrays as containers
from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage, MissingLibrary
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema
from coterie_common.learning.plan import Plan, PlannedVectorRound, Records, RoundPlan
from coterie_common.randomness import RandomSource

Int64: TypeAlias = npt.NDArray[np.int64]
Float32: TypeAlias = npt.NDArray[np.float32]
Float64: TypeAlias = npt.NDArray[np.float64]
Values: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""Stored values by name of the column: Int32[records] positions of levels, Float64[records] numbers."""

Config = TypeVar("Config")
State = TypeVar("State")

GROUP: Final = "coterie.algorithms"
BUILT_IN_ALGORITHMS: Final = {
    "decision_tree": "coterie_common.learning.algorithms.decision_tree:DecisionTree",
    "evaluation": "coterie_common.learning.evaluation:Evaluation",
    "federated_averaging": "coterie_common.learning.network.averaging:FederatedAveraging",
    "linear_regression": "coterie_common.learning.algorithms.linear:LinearRegression",
    "linear_svm": "coterie_common.learning.algorithms.linear:LinearSupportVectorMachine",
    "logistic_regression": "coterie_common.learning.algorithms.linear:LogisticRegression",
    "network": "coterie_common.learning.network.descent:NetworkDescent",
    "statistics": "coterie_common.learning.algorithms.statistics:Statistics",
}


@dataclass(frozen=True, slots=True)
class Ask:
    """The request of one round to every party.

    Attributes:
        round_number: 1-based.
        body: a JSON object, the same for all parties, whose entries on top may also be arrays. Its key ``length``
            states how many values the reply has, the other keys are the algorithm's own.
    """

    round_number: int
    body: Mapping[str, Any]
    # As it was parsed: its one encoding, of which the arrays in the body are views. So a model is passed on as it is.
    _encoded: bytes | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.body, Mapping):
            raise MalformedMessage("an ask must be a JSON object")
        if type(self.body.get("length")) is not int or self.body["length"] < 1:
            raise MalformedMessage("an ask must state the length of its reply, at least 1")

    @property
    def length(self) -> int:
        """Return the number of values of the reply."""
        length: int = self.body["length"]
        return length

    @property
    def arrays(self) -> Mapping[str, containers.Array]:
        """Return the entries of the body that are arrays."""
        return containers.split(self.body).arrays

    def to_bytes(self) -> bytes:
        """Return the one encoding of the body."""
        return self._encoded or containers.encode(*containers.split(self.body))

    @classmethod
    def from_bytes(cls, round_number: int, data: bytes, *, maximum: int) -> Ask:
        """Parse a body of at most ``maximum`` bytes; raises ``MalformedMessage``."""
        return cls(round_number, containers.decode(data, "the body of the query", maximum=maximum).joined(), data)


@dataclass(frozen=True, eq=False, slots=True)
class Release:
    """The opened sum of one round.

    Attributes:
        values: Float64[length of the ask], decoded; noise included.
        contributors: parties in the sum.
        noise_stddev: standard deviation of the noise in each value, in the values' own unit; 0 without noise.
    """

    values: Float64
    contributors: int
    noise_stddev: float


@dataclass(frozen=True, slots=True)
class NamedCode:
    """Other code that a job would run, by the names that stand in its configuration; none of them was checked.

    Attributes:
        algorithms: names of algorithms.
        networks: names of networks.
    """

    algorithms: tuple[Any, ...] = ()
    networks: tuple[Any, ...] = ()


@runtime_checkable
class Algorithm(Protocol[Config, State]):
    """Both halves of an algorithm.

    Attributes:
        name: as in a job's ``algorithm``.
        records: the kind of a party's records that ``answer`` must be given.
    """

    name: str
    records: Records

    def named_code(self, table: Mapping[str, Any]) -> NamedCode:
        """Return the other code that a job's ``[config]`` table names; a party runs only what its policy allows.

        It is called before ``parse_config``, with a table from outside, and loads nothing. An entry that cannot be a
        name is returned as it is.

        Raises:
            MalformedMessage: the entry that names the code cannot be read.
        """
        ...

    def parse_config(self, table: Mapping[str, Any]) -> Config:
        """Check a job's ``[config]`` table; raises ``InvalidJob`` naming the entry."""
        ...

    def plan(self, config: Config, schema: Schema) -> Plan:
        """Return the worst case; raises ``InvalidJob`` where configuration and schema do not fit together."""
        ...

    def initial_state(self, config: Config, schema: Schema) -> State:
        """Aggregator: return the state before the first round."""
        ...

    def next_ask(self, state: State) -> Ask | None:
        """Aggregator: return the ask of the next round, or ``None`` when the job is finished."""
        ...

    def check_ask(self, config: Config, schema: Schema, ask: Ask, plan: Plan) -> None:
        """Party: check an ask from outside before anything is computed.

        Once it returns, ``answer`` cannot exceed the plan's length, range and sensitivity, regardless of the
        aggregator's intent.

        Raises:
            MalformedMessage: outside the plan, or not well formed.
        """
        ...

    def answer(self, ask: Ask, dataset: Dataset, random: RandomSource) -> Int64:
        """Party: return the exact reply, Int64[length of the ask], to an ask that passed ``check_ask``."""
        ...

    def update(self, state: State, ask: Ask, release: Release) -> State:
        """Aggregator: return the state after a round; never touches more than the release."""
        ...

    def finish(self, state: State) -> Mapping[str, Any]:
        """Aggregator: return the body of the model, a JSON object whose entries on top may also be arrays.

        A job that is cancelled or fails keeps the model of its released rounds; raise ``StateError`` if there is none.
        """
        ...

    def state_to_document(self, state: State) -> Mapping[str, Any]:
        """Return the document of a state for ``state_from_document``: JSON, top-level entries may also be arrays."""
        ...

    def state_from_document(self, config: Config, schema: Schema, value: Any) -> State:
        """Resume a stored state; raises ``StorageError`` where it does not fit."""
        ...


@runtime_checkable
class VectorAlgorithm(Algorithm[Config, State], Protocol[Config, State]):
    """An algorithm whose plan has rounds of vectors; ``answer`` serves its other rounds, if it has any.

    The party draws the batch, clips, adds up and rounds: this half only computes. Its code may run in a process apart
    from the one that holds the party's key.
    """

    def vectors(self, ask: Ask, dataset: Dataset) -> Iterator[Float32]:
        """Party: compute the vectors of a round of vectors, for an ask that passed ``check_ask``.

        Args:
            ask: of the round.
            dataset: the batch; where the unit of privacy is a party, all of its records.

        Yields:
            Float32[n, length of the ask], not clipped, in chunks of any n ≥ 1: in all one row per record, in the order
            of the data set; where the unit is a party, one row in all.

        Raises:
            TrainingFailed: the computation cannot be done with this data.

        Privacy: a row must depend on the job, the ask and its own record only: that is what clipping bounds. Where the
            unit is a party, it may depend on all of the party's records.
        """
        ...


@runtime_checkable
class NeedsMore(Protocol):
    """An algorithm with jobs that need more than Coterie itself includes."""

    def check_installed(self, config: Any, folders: Sequence[Path]) -> None:
        """Check, before any budget is spent on a job, that this host has the libraries it needs; loads none of them.

        Args:
            config: of the job.
            folders: searched in addition to this interpreter's module path.

        Raises:
            MissingLibrary: it lacks something; the message names it.
        """
        ...


def check_installed(algorithm: Algorithm[Any, Any], config: Any, folders: Sequence[Path] = ()) -> None:
    """Check that this host has the libraries that a job needs besides Coterie; raises ``MissingLibrary``."""
    if isinstance(algorithm, NeedsMore):
        algorithm.check_installed(config, folders)


@runtime_checkable
class Classifier(Protocol):
    """The additional interface of an algorithm whose models predict a class."""

    def check_body(self, schema: Schema, body: Any) -> None:
        """Check the body of a model from outside; raises ``MalformedMessage``."""
        ...

    def probabilities(self, schema: Schema, body: Mapping[str, Any], values: Values) -> Float64:
        """Return Float64[records, classes], rows adding up to 1, from the values of every feature of each record."""
        ...


@runtime_checkable
class Regressor(Protocol):
    """The additional interface of an algorithm whose models predict a number."""

    def check_body(self, schema: Schema, body: Any) -> None:
        """Check the body of a model from outside; raises ``MalformedMessage``."""
        ...

    def predictions(self, schema: Schema, body: Mapping[str, Any], values: Values) -> Float64:
        """Return Float64[records], in the label's own unit, from the values of every feature of each record."""
        ...


def check_round(ask: Ask, plan: Plan) -> RoundPlan:
    """Return the planned round of an ask.

    Raises:
        MalformedMessage: no such round, or the ask is longer than planned; vectors must be exactly as long.
    """
    if not 1 <= ask.round_number <= len(plan.rounds):
        raise MalformedMessage(f"round {ask.round_number} is outside the plan of {len(plan.rounds)}")
    planned = plan.rounds[ask.round_number - 1]
    if ask.length > planned.length:
        raise MalformedMessage(f"round {ask.round_number} asks {ask.length} values, its plan at most {planned.length}")
    if isinstance(planned, PlannedVectorRound) and ask.length != planned.length:
        raise MalformedMessage(f"round {ask.round_number} asks vectors of {ask.length} values, not {planned.length}")
    return planned


def algorithm_names() -> tuple[str, ...]:
    """Return the names of all installed algorithms, sorted."""
    return tuple(sorted({*BUILT_IN_ALGORITHMS, *(entry.name for entry in entry_points(group=GROUP))}))


def get_algorithm(name: str) -> Algorithm[Any, Any]:
    """Return an algorithm; a registered one never replaces a built-in one of the same name.

    Raises:
        InvalidJob: there is no algorithm of that name.
        MissingLibrary: it imports something that is not installed.
        ConfigurationError: it is registered, but cannot be loaded or is no algorithm.
    """
    if name in BUILT_IN_ALGORITHMS:
        entry = EntryPoint(name, BUILT_IN_ALGORITHMS[name], GROUP)
    else:
        found = tuple(entry_points(group=GROUP, name=name))
        if not found:
            raise InvalidJob(f"there is no algorithm {name[:80]!r}; installed are {', '.join(algorithm_names())}")
        entry = found[0]
    try:
        algorithm = entry.load()()
    except ImportError as cause:
        raise MissingLibrary(f"this host cannot load the algorithm {name[:80]!r}: {cause}") from cause
    except (AttributeError, TypeError) as cause:
        raise ConfigurationError(f"algorithm {name!r} cannot be loaded from {entry.value}: {cause}") from cause
    if not isinstance(algorithm, Algorithm):
        raise ConfigurationError(f"algorithm {name!r} ({entry.value}) lacks a method of Algorithm")
    return algorithm
