# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The quality of a job's models, compared with the methods it competes with.

All methods of one seed get the same division of the data, so differences between methods do not come from the division.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coterie.simulation.division import Party, as_party, deal, hold_out
from coterie.simulation.job import Simulation, with_privacy
from coterie.simulation.method import Method
from coterie.simulation.scores import Scores, class_scores, mean_of, number_scores, scores_of
from coterie.simulation.seeded_random import SeededRandom
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.model import Model
from coterie_common.learning.plan import Records
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import FederationParameters


@dataclass(frozen=True, slots=True)
class Division:
    """One seed's division of the data.

    Attributes:
        parties: training records of each party.
        tested: records that are used in no training.
        seed: of the division.
    """

    parties: tuple[Dataset, ...]
    tested: Dataset
    seed: int

    @classmethod
    def of(cls, dataset: Dataset, parties: int, held_out: Fraction, seed: int) -> Division:
        """Hold out a fraction of the records and deal out the rest."""
        random = SeededRandom(f"{seed}/division")
        training, tested = hold_out(dataset, held_out, random)
        return cls(deal(training, parties, random), tested, seed)


class Contest:
    """A method, prepared for a job: everything independent of the data is computed once.

    Attributes:
        method: the method.
        simulation: of the job; ``None`` where nothing is learnt.
        noise_stddev: per planned round the standard deviation of the noise in a released value, in the value's own
            unit, when every party contributes; empty where nothing is learnt.
    """

    def __init__(self, method: Method, spec: JobSpec, parameters: FederationParameters) -> None:
        """Agree on the job's terms; raises as ``Simulation``."""
        self.method = method
        self.simulation: Simulation | None = None
        self.noise_stddev: tuple[float, ...] = ()
        self._quorum: int | None = None
        if method is Method.CURATOR:
            self.simulation = Simulation(spec, parameters, curator=True)
        elif method in (Method.DISTRIBUTED, Method.WORST_CASE, Method.LOCAL):
            placement = Placement.LOCAL if method is Method.LOCAL else Placement.DISTRIBUTED
            self.simulation = Simulation(with_privacy(spec, placement=placement), parameters)
        elif method in (Method.NONE, Method.ALONE):
            self.simulation = Simulation.without_privacy(spec)
        if self.simulation is not None:
            if method is Method.WORST_CASE:
                self._quorum = self.simulation.fewest
            self.noise_stddev = self.simulation.noise_stddev(parameters.parties, self._quorum)

    def models(self, division: Division) -> Iterator[Model]:
        """Train: one model; for ``ALONE`` one per party; for a guess none."""
        if self.simulation is None:
            return
        # Both ways to divide the noise draw it from the same randomness, so that only its width is different.
        method = Method.DISTRIBUTED if self.method is Method.WORST_CASE else self.method
        random = SeededRandom(f"{division.seed}/{method}")
        parties = self._records(division)
        groups = [(party,) for party in parties] if self.method is Method.ALONE else [parties]
        for group in groups:
            yield self.simulation.run(group, random, quorum=self._quorum)

    def _records(self, division: Division) -> tuple[Party, ...]:
        """Return every party's records, with those held out from training where the job asks for them."""
        if self.simulation is None or self.simulation.job.algorithm.records is not Records.SET_ASIDE:
            return tuple(map(as_party, division.parties))
        # A party's set-aside records are the division's held-out part, dealt out like the rest.
        random = SeededRandom(f"{division.seed}/set aside")
        dealt = deal(division.tested, len(division.parties), random)
        return tuple(as_party(training, aside) for training, aside in zip(division.parties, dealt, strict=True))

    def score(self, division: Division) -> Scores:
        """Train and predict the test records; raises ``InvalidJob`` for a class guess where the label is no class."""
        tested = division.tested
        if self.simulation is not None:
            return mean_of([scores_of(model, tested) for model in self.models(division)])
        if self.method is Method.MEAN:
            numbers = np.concatenate([party.columns[tested.schema.label_name] for party in division.parties])
            return number_scores(np.full(tested.rows, numbers.mean()), tested)
        classes = len(tested.schema.class_names)
        if self.method is Method.MAJORITY:
            labels = np.concatenate([party.cells(tested.schema.label_name) for party in division.parties])
            return class_scores(np.full(tested.rows, np.bincount(labels).argmax()), tested)
        words = np.frombuffer(SeededRandom(f"{division.seed}/{self.method}").token_bytes(8 * tested.rows), "<u8")
        return class_scores((words % classes).astype(np.int64), tested)
