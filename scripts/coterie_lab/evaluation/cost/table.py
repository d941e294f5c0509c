# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The table of costs: per model and way a mean round, and the whole model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coterie_lab.evaluation.cost.rows import CostRow, Way

_NAMES = {
    Way.PLAIN: "plain",
    Way.NAIVE: "naive: a ciphertext per value",
    Way.PACKED: "packed Paillier",
    Way.PADDED: "padded",
}
_HEADS = (
    *("model", "rounds", "values", "way", "party, ms", "aggregator, ms", "party sends, KiB"),
    *("party receives to open, KiB", "model, s of one core", "all parties send, MiB", "and receive to open, MiB"),
)


def cost_table(rows: Sequence[CostRow]) -> Iterator[str]:
    """Yield the lines of the table, and one about the run that it is of."""
    yield f"| {' | '.join(_HEADS)} |\n"
    yield "|---|" + "---|" * (len(_HEADS) - 1) + "\n"
    for model in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == model]
        for way in Way:
            if found := [row for row in own if row.way is way]:
                yield _line(found, _NAMES[way] + _marked(found))
        chosen = [row for row in own if row.is_chosen]
        if len({row.way for row in chosen}) > 1:
            yield _line(chosen, "each round as this system chooses")
    yield "\n"
    yardstick = min(row.yardstick_ms for row in rows)
    yield f"Yardstick of [benchmarks.md](benchmarks.md) in this run: {yardstick:.1f} ms.\n"


def _marked(rows: Sequence[CostRow]) -> str:
    chosen, all_rounds = sum(row.rounds for row in rows if row.is_chosen), sum(row.rounds for row in rows)
    if not chosen:
        return ""
    return " (chosen)" if chosen == all_rounds else f" (chosen in {chosen} of {all_rounds} rounds)"


def _line(rows: Sequence[CostRow], way: str) -> str:
    rounds = sum(row.rounds for row in rows)
    means = (
        sum(row.rounds * (row.reply_ms + row.help_ms) for row in rows) / rounds,
        sum(row.rounds * row.aggregator_ms for row in rows) / rounds,
        sum(row.rounds * (row.reply_bytes + row.help_bytes) for row in rows) / rounds / 2**10,
        sum(row.rounds * row.request_bytes for row in rows) / rounds / 2**10,
        sum(row.core_ms for row in rows) / 1000,
        sum(row.sent_bytes for row in rows) / 2**20,
        sum(row.received_bytes for row in rows) / 2**20,
    )
    lengths = ", ".join(f"{row.values:,}" for row in sorted(rows, key=lambda row: row.values))
    cells = (rows[0].model, str(rounds), lengths, way, *map(_number, means))
    return f"| {' | '.join(cells)} |\n"


def _number(value: float) -> str:
    """Three digits are all that a busy machine is good for."""
    if 0 < value < 0.001:
        return "< 0.001"
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"
