# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Count, means and histograms of a federation's records, in one round.

A count changes by 1 when a record comes or goes, a sum by up to half the column's range. Asked together with the
larger of both as the bound, the count would drown. So every value is put on one public integer scale: a record adds
``steps`` to a count or to one cell of a histogram, and −``steps`` … ``steps`` to a sum, which is measured from the
middle of the column's bounds (measured from the lower bound it would need twice the noise). With equal bounds one round
costs no more noise than a round per kind would, because composition adds up the same squares, and saves those rounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field
from typing_extensions import override

from coterie_common import document
from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage, StateError, StorageError
from coterie_common.learning.algorithm import Algorithm, Ask, Int64, NamedCode, Release, check_round
from coterie_common.learning.data.column import NumericColumn
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema
from coterie_common.learning.plan import Plan, PlannedCountRound, Records
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.randomness import RandomSource
from coterie_common.strict_model import StrictModel, parse

STEPS: Final = 4096
"""Default integer steps of half a column's range: rounding is at most 1/8192 of it per record."""

_Names = Annotated[tuple[str, ...], Field(strict=False)]


class StatisticsConfig(StrictModel):
    """Configuration of the job; the number of records is always counted.

    Attributes:
        means: numeric columns.
        histograms: columns with levels or bins.
        steps: integer steps of half a column's range.
    """

    means: _Names = ()
    histograms: _Names = ()
    steps: Annotated[int, Field(ge=1, le=1 << 20)] = STEPS

    @property
    def unit(self) -> int:
        """The contribution of one record to a count; 1 if no sum asks for a finer scale."""
        return self.steps if self.means else 1


@dataclass(frozen=True, slots=True)
class StatisticsState:
    """The released values.

    Attributes:
        config, schema: of the job.
        values: sums on the common scale; empty before the round.
        noise_stddev: of the noise in each.
    """

    config: StatisticsConfig
    schema: Schema
    values: tuple[float, ...] = ()
    noise_stddev: float = 0.0


class Statistics(Algorithm[StatisticsConfig, StatisticsState]):
    """The algorithm ``statistics``."""

    name = "statistics"
    records = Records.ALL
    config_type = StatisticsConfig

    @override
    def named_code(self, table: Mapping[str, Any]) -> NamedCode:
        return NamedCode()

    @override
    def parse_config(self, table: Mapping[str, Any]) -> StatisticsConfig:
        try:
            config = parse(StatisticsConfig, dict(table), "[config]")
        except ConfigurationError as cause:
            raise InvalidJob(cause.message) from cause
        for names in (config.means, config.histograms):
            if len(set(names)) != len(names):
                raise InvalidJob("[config] asks for a column twice")
        return config

    def plan(self, config: StatisticsConfig, schema: Schema) -> Plan:
        """See ``Algorithm``; a record touches the count, every sum and one cell of every histogram."""
        for name in config.means:
            if not isinstance(schema.by_name.get(name), NumericColumn):
                raise InvalidJob(f"[config] means: {name[:80]!r} is no column with lower and upper")
        maximum = schema.max_records * config.unit
        planned = PlannedCountRound(
            length=_length(config, schema),
            lower=-maximum if config.means else 0,
            upper=maximum,
            l0=1 + len(config.means) + len(config.histograms),
            linf=config.unit,
        )
        return Plan(Unit.RECORD, (planned,))

    @override
    def initial_state(self, config: StatisticsConfig, schema: Schema) -> StatisticsState:
        return StatisticsState(config, schema)

    @override
    def next_ask(self, state: StatisticsState) -> Ask | None:
        return None if state.values else _ask(state.config, state.schema)

    def check_ask(self, config: StatisticsConfig, schema: Schema, ask: Ask, plan: Plan) -> None:
        """See ``Algorithm``; only one ask follows from the job."""
        check_round(ask, plan)
        if document.encode(ask.body) != document.encode(_ask(config, schema).body):
            raise MalformedMessage("the ask is not the one that follows from the job's configuration")

    def answer(self, ask: Ask, dataset: Dataset, random: RandomSource) -> Int64:
        """See ``Algorithm``; the count, the sums, then the cells of each histogram."""
        config = self.parse_config({key: value for key, value in ask.body.items() if key != "length"})
        parts = [np.array([dataset.rows * config.unit], np.int64)]
        for name in config.means:
            column = dataset.schema.by_name[name]
            assert isinstance(column, NumericColumn)  # noqa: S101  # plan() has refused any other
            share = (dataset.columns[name] - _middle(column)) / _half(column)
            # the bounds hold for every stored value; clipping keeps rounding in a division from stepping over them
            steps = np.clip(np.rint(share * config.steps), -config.steps, config.steps)
            parts.append(steps.astype(np.int64).sum(keepdims=True))
        for name in config.histograms:
            counts = np.bincount(dataset.cells(name), minlength=dataset.schema.cells_of(name))
            parts.append(counts.astype(np.int64) * config.unit)
        return np.concatenate(parts)

    @override
    def update(self, state: StatisticsState, ask: Ask, release: Release) -> StatisticsState:
        if release.values.shape != (ask.length,):
            raise StateError(f"a release of {release.values.size} values for an ask of {ask.length}")
        return replace(state, values=tuple(release.values.tolist()), noise_stddev=release.noise_stddev)

    def finish(self, state: StatisticsState) -> Mapping[str, Any]:
        """See ``Algorithm``; every figure with the standard deviation of its noise."""
        config, schema = state.config, state.schema
        if not state.values:
            raise StateError("statistics are finished before their round was released")
        values, noise = [value / config.unit for value in state.values], state.noise_stddev / config.unit
        means = {
            name: _mean(schema.by_name[name], values[0], values[position], noise)
            for position, name in enumerate(config.means, start=1)
        }
        histograms: dict[str, Any] = {}
        start = 1 + len(means)
        for name in config.histograms:
            end = start + schema.cells_of(name)
            histograms[name] = {"cells": list(schema.by_name[name].cell_names()), "counts": values[start:end]}
            start = end
        return {"count": values[0], "means": means, "histograms": histograms, "noise_stddev": noise}

    @override
    def state_to_document(self, state: StatisticsState) -> Mapping[str, Any]:
        return {"values": list(state.values), "noise_stddev": state.noise_stddev}

    @override
    def state_from_document(self, config: StatisticsConfig, schema: Schema, value: Any) -> StatisticsState:
        try:
            values, noise = tuple(float(entry) for entry in value["values"]), float(value["noise_stddev"])
        except (KeyError, TypeError, ValueError) as cause:
            raise StorageError("the stored state of statistics cannot be read") from cause
        if len(values) not in (0, _length(config, schema)):
            raise StorageError("the stored state of statistics does not fit its job")
        return StatisticsState(config, schema, values, noise)


def _length(config: StatisticsConfig, schema: Schema) -> int:
    return 1 + len(config.means) + sum(schema.cells_of(name) for name in config.histograms)


def _ask(config: StatisticsConfig, schema: Schema) -> Ask:
    return Ask(1, {"length": _length(config, schema), **config.model_dump(mode="json")})


def _middle(column: NumericColumn) -> float:
    return column.lower + _half(column)


def _half(column: NumericColumn) -> float:
    return (column.upper - column.lower) / 2


def _mean(column: Any, count: float, total: float, noise: float) -> dict[str, float | None]:
    """Return a mean and its first-order error from the noise of sum and count; none if the count is not positive.

    Args:
        column: a ``NumericColumn``.
        count: of the records.
        total: sum of (value − middle) / half.
        noise: standard deviation of the noise in both.
    """
    if count <= 0:
        return {"value": None, "noise_stddev": None}
    share = max(-1.0, min(1.0, total / count))
    return {
        "value": _middle(column) + _half(column) * share,
        "noise_stddev": _half(column) * math.hypot(noise, noise * share) / count,
    }
