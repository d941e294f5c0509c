# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An auditor who has an exported ledger and dp-accounting, and nothing of ours."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.rdp import RdpAccountant


def recomputed_epsilon(ledger: dict[str, Any], statuses: frozenset[str], job_id: str | None = None) -> float:
    """ε of the lines of a ledger with these statuses: Rényi divergences added up at the ledger's orders, and pure ε."""
    accountant = RdpAccountant(orders=ledger["orders"])
    pure, is_gaussian = Fraction(0), False
    for line in ledger["lines"]:
        if line["status"] not in statuses or job_id not in (None, line["job_id"]):
            continue
        event, noise = line["event"], line["event"]["noise"]
        if noise["placement"] == "none":
            return math.inf
        if noise["mechanism"] == "discrete-laplace":
            pure += event["l0"] * (event["linf"] << event["scale_bits"]) * Fraction(noise["ratio"])
            continue
        is_gaussian = True
        if event["kind"] == "counts":
            squared = event["l0"] * (event["linf"] << event["scale_bits"]) ** 2
        else:
            squared = event["squared_sensitivity"]
        release: Any = GaussianDpEvent(math.sqrt(Fraction(noise["variance"]) / squared))
        if event.get("sampling_rate") is not None:
            release = PoissonSampledDpEvent(float(Fraction(event["sampling_rate"])), release)
        accountant.compose(release)
    return float(pure) + (float(accountant.get_epsilon(float(ledger["delta"]))) if is_gaussian else 0.0)
