# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Was this person in the data? Three attacks on the same models, from weak to strong.

- ``loss``: a person who is predicted well is called a member. Needs the model only.
- ``shadow``: a likelihood ratio per person, between models that were trained with the person and without; the attacker
  can train as many as it likes on people like these. Needs the model, and data of the same kind. Source: Carlini et
  al., "Membership Inference Attacks From First Principles", 2022.
- ``releases``: which set of people explains all released sums best, given everybody's gradients at every round's model:
  the posterior mean of each membership, as if memberships were Gaussian too. Needs what the aggregator sees and the
  records of all who may be members, and is close to the best there is against noisy sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from coterie.simulation.job import SimulatedRound, Simulation
from coterie.simulation.seeded_random import SeededRandom
from coterie_common.learning.algorithm import get_algorithm
from coterie_common.protocol.parameters import choose_parameters
from coterie_lab.evaluation.attacks.population import PARTIES, Members, deal, draw_members, people, spec

Float64 = npt.NDArray[np.float64]

ROUNDING = 0.01
ATTACKS = ("loss", "shadow", "releases")


@dataclass(frozen=True)
class Trained:
    """One model, and an attacker's statistics of it.

    Attributes:
        members: Bool[people], true for those in the data.
        confidence: Float64[people], logit of the probability of each person's own label.
        explained: Float64[people], posterior mean of each membership, given all releases.
    """

    members: Members
    confidence: Float64
    explained: Float64


def train(simulation: Simulation, seed: int) -> Trained:
    """Draw the members, train, and collect the attackers' view."""
    random = np.random.Generator(np.random.PCG64(seed))
    members = draw_members(random)
    count = people().rows
    # Prior: memberships are coins, of mean ½ and variance ¼.
    precision, weighted = 4 * np.eye(count), np.zeros(count)

    def watch(done: SimulatedRound) -> None:
        nonlocal precision, weighted
        gradients = _clipped_gradients(done)
        # Without noise only the rounding of gradients is in the way.
        variance = max(done.release.noise_stddev, ROUNDING) ** 2
        precision += gradients @ gradients.T / variance
        weighted += gradients @ (done.release.values - gradients.sum(axis=0) / 2) / variance

    model = simulation.run(deal(members, random), SeededRandom(f"membership/{seed}"), watch=watch)
    algorithm = get_algorithm("logistic_regression")
    shares = algorithm.probabilities(people().schema, model.body, people().columns)  # type: ignore[attr-defined]
    own = shares[np.arange(people().rows), people().cells("y")].clip(1e-9, 1 - 1e-9)
    explained = np.linalg.solve(precision, weighted).astype(np.float64)
    return Trained(members, np.log(own / (1 - own)), explained)


def simulation(epsilon: str | None) -> Simulation:
    """Return the job at an ε, or without noise."""
    if epsilon is None:
        return Simulation.without_privacy(spec("1"))
    return Simulation(spec(epsilon), choose_parameters(PARTIES))


def scores(attack: str, target: Trained, shadows: Sequence[Trained]) -> Float64:
    """Return an attack's score for each person's membership, Float64[people]."""
    if attack == "loss":
        return target.confidence
    if attack == "releases":
        return target.explained
    confidence = np.array([shadow.confidence for shadow in shadows])
    inside = np.array([shadow.members for shadow in shadows])
    spread: Float64 = np.asarray(confidence.std(axis=0) + 1e-6)

    def mean(where: npt.NDArray[np.bool_]) -> Float64:
        means: Float64 = np.where(where, confidence, 0).sum(axis=0) / np.maximum(where.sum(axis=0), 1)
        return means

    # One spread for both sides: with dozens of shadows, two of each person's own are estimated worse than they differ.
    likely, unlikely = (norm.logpdf(target.confidence, mean(where), spread) for where in (inside, ~inside))
    return np.asarray(likely - unlikely)


def _clipped_gradients(done: SimulatedRound) -> Float64:
    """Return everybody's clipped gradient at the model that a round asked about, Float64[people, parameters]."""
    algorithm = get_algorithm("logistic_regression")
    gradients = np.concatenate(list(algorithm.vectors(done.ask, people()))).astype(np.float64)  # type: ignore[attr-defined]
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    clipped: Float64 = gradients / np.maximum(norms, 1)
    return clipped


def auc(members: Members, score: Float64) -> float:
    """Return the probability that a member scores higher than somebody who is none."""
    order = np.argsort(np.argsort(score, kind="stable"), kind="stable") + 1.0
    inside = int(members.sum())
    outside = len(members) - inside
    return float((order[members].sum() - inside * (inside + 1) / 2) / (inside * outside))


def roc(members: Members, score: Float64, points: int = 41) -> tuple[Float64, Float64]:
    """Return rates of false and true alarms at as many thresholds, from none called a member to all."""
    thresholds = np.quantile(score, np.linspace(1, 0, points))
    false = np.array([(score[~members] > threshold).mean() for threshold in thresholds])
    true = np.array([(score[members] > threshold).mean() for threshold in thresholds])
    return np.concatenate([false, [1.0]]), np.concatenate([true, [1.0]])


__all__ = ["ATTACKS", "Trained", "auc", "roc", "scores", "simulation", "train"]
