# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The plan of experiments: per kind of model over parties, ε, and the corruption bound.

A federation is measured twice: with all parties present, and with the noise divided by the quorum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from coterie.simulation.method import Method
from coterie_common.protocol.parameters import FederationParameters, choose_parameters


class Sweep(StrEnum):
    """The varied parameter, the other two being fixed."""

    PARTIES = "parties"
    EPSILON = "epsilon"
    CORRUPTION = "corruption"


@dataclass(frozen=True, order=True)
class Point:
    """One experiment; a parameter that does not matter to its method is ``None``, so that it is run once.

    Attributes:
        model: name of the workload.
        method: way to learn.
        parties: n.
        epsilon: as decimal text, of the noisy methods.
        corruption_bound: c, of distributed noise only.
        seeds: number of runs, with seeds 0, 1, ….
    """

    model: str
    method: Method
    parties: int
    epsilon: str | None
    corruption_bound: int | None
    seeds: int

    @classmethod
    def of(cls, model: str, method: Method, parties: int, epsilon: str, corruption_bound: int, seeds: int) -> Point:
        """Drop the parameters that do not matter."""
        distributed = method in (Method.DISTRIBUTED, Method.WORST_CASE)
        return cls(
            model,
            method,
            parties,
            epsilon if method.is_noisy else None,
            corruption_bound if distributed else None,
            seeds,
        )

    @property
    def parameters(self) -> FederationParameters:
        """Of the federation."""
        return choose_parameters(self.parties, corruption_bound=self.corruption_bound)


@dataclass(frozen=True)
class Grid:
    """Experiments with one kind of model.

    Attributes:
        model: name of the workload.
        parties: numbers of parties, at ``epsilon``, with the default corruption bound and with ``few``.
        epsilon: fixed where something else is varied; decimal text.
        epsilons: at ``fixed_parties``.
        seeds: per point.
        single: numbers of parties whose runs are so long that there is one seed only.
        bounds: corruption bounds, at ``bound_parties``; or none.
        methods: to compare.
        has_few: whether ``few`` is run besides the default corruption bound.
    """

    model: str
    parties: tuple[int, ...]
    epsilon: str
    epsilons: tuple[str, ...]
    fixed_parties: int
    seeds: int
    single: tuple[int, ...] = ()
    bounds: tuple[int, ...] = ()
    bound_parties: int = 0
    methods: tuple[Method, ...] = tuple(method for method in Method if method is not Method.MEAN)
    has_few: bool = True

    def points(self, sweep: Sweep) -> Iterator[Point]:
        """Yield the experiments of a sweep."""
        if sweep is Sweep.PARTIES:
            for n in self.parties:
                for method in self.methods:
                    for bound in self._usual_bounds(n):
                        yield self._point(method, n, self.epsilon, bound)
        elif sweep is Sweep.EPSILON:
            n = self.fixed_parties
            for epsilon in self.epsilons:
                for method in self.methods:
                    for bound in self._usual_bounds(n):
                        yield self._point(method, n, epsilon, bound)
        else:
            for bound in self.bounds:
                for method in self.methods:
                    yield self._point(method, self.bound_parties, self.epsilon, bound)

    def all_points(self) -> Iterable[Point]:
        """Return every experiment once."""
        return dict.fromkeys(point for sweep in Sweep for point in self.points(sweep))

    def _usual_bounds(self, parties: int) -> list[int]:
        return sorted({default_bound(parties), few(parties) if self.has_few else default_bound(parties)})

    def _point(self, method: Method, parties: int, epsilon: str, bound: int) -> Point:
        return Point.of(self.model, method, parties, epsilon, bound, self.seeds_with(parties))

    def seeds_with(self, parties: int) -> int:
        """Return the number of seeds for a point with this number of parties."""
        return 1 if parties in self.single else self.seeds


def few(parties: int) -> int:
    """A corruption bound for federations whose members mostly trust each other: one in twelve, at least one."""
    return max(1, parties // 12)


def default_bound(parties: int) -> int:
    """The bound that a founder gets by default."""
    return choose_parameters(parties).corruption_bound


EPSILONS = ("0.05", "0.1", "0.25", "0.5", "1", "2", "4", "8")

FULL = {
    "tree": Grid(
        model="tree",
        parties=(3, 5, 10, 15, 20, 30, 40, 50),
        epsilon="0.5",
        epsilons=EPSILONS,
        fixed_parties=50,
        bounds=tuple(range(1, 19)),
        bound_parties=20,
        seeds=20,
    ),
    "svm": Grid(
        model="svm",
        parties=(3, 10, 50),
        epsilon="0.1",
        epsilons=("0.05", "0.1", "0.5", "2"),
        fixed_parties=10,
        bounds=tuple(range(1, 9)),
        bound_parties=10,
        seeds=5,
    ),
    "cnn": Grid(
        model="cnn",
        parties=(10, 50),
        epsilon="2",
        epsilons=("0.5", "2", "8"),
        fixed_parties=10,
        seeds=3,
        single=(50,),
        has_few=False,
    ),
}
QUICK = {
    "tree": Grid(
        model="tree",
        parties=(3, 10, 50),
        epsilon="0.5",
        epsilons=("0.05", "0.5", "8"),
        fixed_parties=50,
        bounds=(1, 6, 7, 18),
        bound_parties=20,
        seeds=20,
    ),
    "svm": Grid(
        model="svm",
        parties=(3, 50),
        epsilon="0.1",
        epsilons=(),
        fixed_parties=50,
        seeds=1,
        methods=(Method.DISTRIBUTED, Method.CURATOR, Method.LOCAL, Method.NONE),
        has_few=False,
    ),
    "cnn": Grid(
        model="cnn",
        parties=(10,),
        epsilon="0.5",
        epsilons=(),
        fixed_parties=10,
        seeds=1,
        methods=(Method.DISTRIBUTED, Method.LOCAL),
        has_few=False,
    ),
}
