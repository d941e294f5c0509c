# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Attacks by an aggregator on its view: every party's reply, as in federated learning without protection, or sums.

- Gradient inversion: the gradient of a linear model is a sum of its records, each times a number. Of a reply about a
  single record the direction *is* the record. Measured by how much of the record it recovers (cosine, 1 is all of it).
- Property inference: is a party's share of one level high or low? Measured by how well the aggregator distinguishes
  the two (area under the ROC curve, ½ is a guess).

Both against one victim among parties that the aggregator knows nothing about.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from coterie.simulation.job import SimulatedRound, Simulation, with_privacy
from coterie.simulation.seeded_random import SeededRandom
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.features import to_inputs
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import choose_parameters
from coterie_lab.evaluation.attacks.membership import auc
from coterie_lab.evaluation.attacks.population import people, spec

PARTIES = 10
EPSILON = "1"
LEVEL_SHARES = (0.4, 0.6)
RECORDS = 100
Float64 = npt.NDArray[np.float64]


class View(StrEnum):
    """The aggregator's view of a round."""

    PLAIN = "every plain reply"
    LOCAL = "every reply with local noise"
    SUM = "the sum without noise"
    RELEASED = "the released sum"


@dataclass(frozen=True)
class Leak:
    """Success of an attack.

    Attributes:
        attack: its kind.
        view: of the aggregator.
        records: of the victim.
        success: mean over the trials; of a cosine, or an area under the ROC curve.
        trials: their number.
    """

    attack: str
    view: View
    records: int
    success: float
    trials: int


def _seen(view: View, done: SimulatedRound, random: SeededRandom) -> Float64:
    """Return the part of the aggregator's view that depends on the victim, the first party, in the values' own unit."""
    scale = 2.0**-done.terms.encoding.scale_bits
    if view is View.PLAIN:
        return np.asarray(done.replies[0] * scale, np.float64)
    if view is View.LOCAL:
        # The whole noise in one reply: as many shares as are guaranteed.
        noise = done.terms.noise
        shares = [noise.draw_share(done.ask.length, random) for _ in range(noise.shares)]
        return np.asarray((done.replies[0] + np.sum(shares, axis=0)) * scale, np.float64)
    if view is View.SUM:
        return np.asarray(np.sum(done.replies, axis=0) * scale, np.float64)
    return done.release.values


def invert_gradients(records: int, trials: int) -> list[Leak]:
    """Reconstruct the victim's first record from one round's gradients."""
    simulation = Simulation(spec(EPSILON, rounds=1), choose_parameters(PARTIES))
    found: dict[View, list[float]] = {view: [] for view in View}
    for trial in range(trials):
        random = SeededRandom(f"inversion/{records}/{trial}")
        order = np.argsort(np.frombuffer(random.token_bytes(8 * people().rows), "<u8"))
        owner = np.full(people().rows, -1)
        owner[order[: records * PARTIES]] = np.arange(records * PARTIES) // records
        parties = [people().select(owner == party) for party in range(PARTIES)]
        victim = to_inputs(people().schema, parties[0].columns, records)[0].astype(np.float64)
        rounds: list[SimulatedRound] = []
        simulation.run(parties, random, watch=rounds.append)
        for view in View:
            # The last value is the intercept's gradient: it gives the sign, and nothing about the record.
            guess = _seen(view, rounds[0], random)[:-1]
            similar = abs(guess @ victim) / (np.linalg.norm(guess) * np.linalg.norm(victim) + 1e-12)
            found[view].append(float(similar))
    return [Leak("gradient inversion", view, records, float(np.mean(found[view])), trials) for view in View]


def infer_property(trials: int) -> list[Leak]:
    """Decide from the counts of one round whether the victim has many records of a level or few."""
    schema = parse_schema({"max_records": 1000, "columns": [{"name": "x", "levels": ["no", "yes"]}]})
    table = {
        "name": "property",
        "algorithm": "statistics",
        "dataset": "people",
        "config": {"histograms": ["x"]},
        "privacy": {"epsilon": EPSILON, "delta": "0.00001"},
        "schema": schema.to_document(),
    }
    simulation = Simulation(with_privacy(JobSpec.from_table(table)), choose_parameters(PARTIES))
    random, coins = SeededRandom("property"), np.random.Generator(np.random.PCG64(7))
    is_high = coins.random(trials) < 0.5
    scores: dict[View, list[float]] = {view: [] for view in View}
    for high in is_high:
        shares = [LEVEL_SHARES[int(high)], *coins.uniform(0, 1, PARTIES - 1)]
        parties = [
            Dataset(schema, {"x": (coins.random(RECORDS) < share).astype(np.int32)}, RECORDS) for share in shares
        ]
        rounds: list[SimulatedRound] = []
        simulation.run(parties, random, watch=rounds.append)
        for view in View:
            # The last value counts the level.
            scores[view].append(float(_seen(view, rounds[0], random)[-1]))
    return [Leak("property inference", view, RECORDS, auc(is_high, np.array(scores[view])), trials) for view in View]
