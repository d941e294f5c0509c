# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A model in words: what it predicts from what, its promise and its origin. Pure."""

from __future__ import annotations

from typing import Final

from coterie_common.learning.data.schema import Schema
from coterie_common.learning.model import Model
from coterie_common.shown import counted

_MANY: Final = 12
"""Up to this number of columns names are shown; beyond it, the number."""


def facts(model: Model) -> tuple[tuple[str, str], ...]:
    """Return what a person asks of a model, as names with values."""
    lineage = model.lineage
    noise = "" if lineage.epsilon == "0" else f", {lineage.placement} {lineage.mechanism} noise"
    fewest, most = min(lineage.contributors), max(lineage.contributors)
    return (
        ("model", model.name),
        ("algorithm", model.algorithm),
        ("predicts", model.schema.label or "nothing"),
        ("from", _columns(model.schema)),
        ("privacy", f"{lineage.promise}{noise}"),
        ("rounds", lineage.words),
        ("parties", f"{fewest} in each round" if fewest == most else f"{fewest} to {most} in a round"),
        ("federation", lineage.federation),
        ("job", lineage.job_id),
        ("digest", model.digest.hex()),
    )


def _columns(schema: Schema) -> str:
    names = [column.name for column in schema.features]
    return ", ".join(names) if len(names) <= _MANY else f"{counted(len(names), 'column')}, {names[0]} to {names[-1]}"
