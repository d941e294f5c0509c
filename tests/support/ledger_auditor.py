# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An auditor who has an exported ledger and dp-accounting, and nothing of ours."""

from __future__ import annotations

import json
import math
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
from dp_accounting.pld import privacy_loss_distribution
from scipy.special import ndtr


def charged(ledger: dict[str, Any], job_id: str) -> tuple[Fraction, Fraction]:
    """Return Σμ² and Σδ′ of a job's lines that were not given back, for the first limit."""
    limit = ledger["limits"][0]
    lines = [line for line in ledger["lines"] if line["job_id"] == job_id and line["status"] != "released"]
    costs = [line["cost"] for line in lines]
    square = sum((Fraction(cost["squared_distance"]) for cost in costs), Fraction(0))
    slack = sum((Fraction(cost["slack"]) for cost in costs), Fraction(0))
    together = next((cost["together"][0] for cost in costs if cost["together"]), None)
    if together is not None:
        pairs = [(Fraction(slack), Fraction(square)) for slack, square in together]
        maximum = Fraction(limit["slack"]), Fraction(limit["squared_distance"])
        minimum = min(pairs, key=lambda pair: max(pair[0] / maximum[0], pair[1] / maximum[1]))
        slack, square = slack + minimum[0], square + minimum[1]
    return square, slack


def excess(ledger: dict[str, Any], job_id: str) -> float:
    """Return by which factor μ² of a job is above the least that dominates what it released, as dp-accounting has it.

    Below 1 the charge is too small.
    """
    lines = [line for line in ledger["lines"] if line["job_id"] == job_id and line["status"] != "released"]
    total: Any = None
    for release, times in Counter(json.dumps(line["event"]) for line in lines).items():
        one = _loss(json.loads(release)).self_compose(times)
        total = one if total is None else total.compose(one)
    square, slack = map(float, charged(ledger, job_id))
    epsilons = np.linspace(0, 8, 200)
    wanted = np.array([total.get_delta_for_epsilon(float(epsilon)) for epsilon in epsilons])
    low, high = square / 100, square * 4
    for _ in range(40):
        middle = math.sqrt(low * high)
        mu = math.sqrt(middle)
        curve = ndtr(mu / 2 - epsilons / mu) - np.exp(epsilons) * ndtr(-mu / 2 - epsilons / mu)
        if (slack + (1 - slack) * curve >= wanted - 1e-12).all():
            high = middle
        else:
            low = middle
    return square / high


def _loss(event: dict[str, Any]) -> Any:
    noise = event["noise"]
    if noise["mechanism"] == "discrete-laplace":
        shift = event["linf"] << event["scale_bits"]
        ratio = float(Fraction(noise["ratio"]))
        return privacy_loss_distribution.from_discrete_laplace_mechanism(ratio, shift).self_compose(event["l0"])
    counts = event["kind"] == "counts"
    squared = event["l0"] * (event["linf"] << event["scale_bits"]) ** 2 if counts else event["squared_sensitivity"]
    rate = event.get("sampling_rate")
    return privacy_loss_distribution.from_gaussian_mechanism(
        math.sqrt(Fraction(noise["variance"]) / squared),
        sampling_prob=1.0 if rate is None else float(Fraction(rate)),
        value_discretization_interval=1e-4,
    )
