# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""All attacks on memberships: models at several ε, each attacked in every way, and the bounds on ε that this proves."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coterie_lab.evaluation.attacks.audit import epsilon_at_least
from coterie_lab.evaluation.attacks.membership import ATTACKS, Trained, auc, roc, scores, simulation, train
from coterie_lab.evaluation.attacks.population import DELTA

EPSILONS = (None, "16", "4", "1")
"""Promised; ``None`` is a federation without noise."""

FALSE_ALARMS = 0.01


@dataclass(frozen=True)
class Breach:
    """Success of one attack at one ε.

    Attributes:
        epsilon: promised, or ``None``.
        attack: of ``ATTACKS``.
        auc: area under the ROC curve, mean over the models.
        true_alarms: of members found when 1 % of the others are called members too; over all models together.
        bound: of ε, proven with 95 % confidence.
        models: attacked.
        curve: rates of false and true alarms, over all models together.
    """

    epsilon: str | None
    attack: str
    auc: float
    true_alarms: float
    bound: float
    models: int
    curve: tuple[tuple[float, float], ...]


def attack_all(models: int, folder: Path, show: Callable[[str], None]) -> list[Breach]:
    """Train as many models per ε, each with other members, and attack them all.

    Args:
        models: per ε; each is attacked with the others as shadow models.
        folder: keeps the trained models.
        show: receives progress messages.
    """
    breaches = []
    for epsilon in EPSILONS:
        trained = _trained(epsilon, models, folder)
        for attack in ATTACKS:
            found = [
                (target.members, scores(attack, target, [*trained[:number], *trained[number + 1 :]]))
                for number, target in enumerate(trained)
            ]
            breaches.append(_breach(epsilon, attack, found))
            show(f"{attack} at ε = {epsilon or 'infinity'}: AUC {breaches[-1].auc:.3f}, ε ≥ {breaches[-1].bound:.2f}")
    return breaches


def _breach(
    epsilon: str | None, attack: str, found: Sequence[tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]]
) -> Breach:
    members, score = np.concatenate([each for each, _ in found]), np.concatenate([each for _, each in found])
    threshold = np.quantile(score[~members], 1 - FALSE_ALARMS)
    return Breach(
        epsilon=epsilon,
        attack=attack,
        auc=float(np.mean([auc(*each) for each in found])),
        true_alarms=float((score[members] > threshold).mean()),
        bound=epsilon_at_least(found, 0.0 if epsilon is None else float(DELTA)),
        models=len(found),
        curve=tuple(zip(*(rates.tolist() for rates in roc(members, score)), strict=True)),
    )


def _trained(epsilon: str | None, models: int, folder: Path) -> list[Trained]:
    """Train the models that the folder lacks."""
    agreed = simulation(epsilon)
    folder.mkdir(parents=True, exist_ok=True)
    trained = []
    for seed in range(models):
        path = folder / f"membership-{agreed.job.spec.digest.hex()[:12]}-{seed}.npz"
        if not path.exists():
            made = train(agreed, seed)
            unfinished = path.with_suffix(".tmp.npz")
            np.savez(unfinished, members=made.members, confidence=made.confidence, explained=made.explained)
            unfinished.rename(path)
        with np.load(path) as stored:
            trained.append(Trained(stored["members"], stored["confidence"], stored["explained"]))
    return trained


def write_breaches(folder: Path, breaches: Sequence[Breach]) -> None:
    """Write results as they are committed: a table, and the ROC curves."""
    with (folder / "membership.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("epsilon", "attack", "auc", "true_alarms", "epsilon_at_least", "models"))
        for found in breaches:
            numbers = (f"{number:.4f}" for number in (found.auc, found.true_alarms, found.bound))
            writer.writerow((found.epsilon or "", found.attack, *numbers, found.models))
    with (folder / "membership-roc.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("epsilon", "attack", "false_alarms", "true_alarms"))
        for found in breaches:
            for false, true in found.curve:
                writer.writerow((found.epsilon or "", found.attack, f"{false:.4f}", f"{true:.4f}"))


def read_breaches(folder: Path) -> list[Breach]:
    """Read what ``write_breaches`` wrote."""
    with (folder / "membership-roc.csv").open(newline="") as stream:
        points = list(csv.DictReader(stream))
    with (folder / "membership.csv").open(newline="") as stream:
        return [
            Breach(
                epsilon=cells["epsilon"] or None,
                attack=cells["attack"],
                auc=float(cells["auc"]),
                true_alarms=float(cells["true_alarms"]),
                bound=float(cells["epsilon_at_least"]),
                models=int(cells["models"]),
                curve=tuple(
                    (float(point["false_alarms"]), float(point["true_alarms"]))
                    for point in points
                    if (point["epsilon"], point["attack"]) == (cells["epsilon"], cells["attack"])
                ),
            )
            for cells in csv.DictReader(stream)
        ]
