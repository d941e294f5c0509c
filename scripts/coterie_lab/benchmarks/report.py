# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The tables of a run as Markdown, and its plot."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from coterie_lab.benchmarks.checking import share_of_round
from coterie_lab.benchmarks.peers import PeerFigures
from coterie_lab.benchmarks.plot import Series, draw
from coterie_lab.benchmarks.rows import CHECKING, METRICS, OPENING, ROUNDS, Measured, Results, opening_metric

STEPS: Final = ("encode", "noise", "seal", "seal_exact", "add", "open", "partial_decrypt")
MEMORY: Final = ("peak_memory_party", "peak_memory_aggregator")
ROUND_COLUMNS: Final = (
    "values",
    "ms",
    "ms of one core, all processes",
    "ms per further million values",
    "ms of one core per further million values",
    "most memory: aggregator / party, MiB",
)
PLOT_PARTIES: Final = 10


def markdown(results: Results, machine: str, peers: Sequence[PeerFigures], missing: Sequence[tuple[str, str]]) -> str:
    """Return all tables of a run."""
    parts = [
        f"{machine} Reference: {_figure(results.reference_ms)} ms (one complex Fourier transform of 2^20 points and "
        "4 MiB of AES-CTR). Times are the least of several repetitions, in ms of one core; in parentheses, multiples "
        "of the reference.",
    ]
    for parties in results.parties:
        parts += _steps(results, parties)
    parts += _opening(results)
    parts += _checking(results)
    parts += _rounds(results)
    parts += _memory(results)
    if peers:
        parts += _peers(peers)
    for name, reason in missing:
        parts.append(f"Not compared with {name}: {reason}.")
    return "\n\n".join(part if part.startswith("|") else _wrapped(part) for part in parts) + "\n"


def _wrapped(paragraph: str) -> str:
    # docs/benchmarks.md has these paragraphs as they are, and keeps to the width of a line.
    return textwrap.fill(paragraph, width=120, break_long_words=False, break_on_hyphens=False)


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = "|".join(["---", *("---:" for _ in header[1:])])
    return "\n".join(
        ["| " + " | ".join(header) + " |", f"|{rule}|", *("| " + " | ".join(line) + " |" for line in lines)]
    )


def _steps(results: Results, parties: int) -> list[str]:
    lines = []
    for values in results.values:
        cells = [_cell(results, metric, values, parties) for metric in STEPS]
        if any(cells):
            upload = results.figure("upload", values, parties)
            lines.append([f"{values:,}", *cells, "" if upload is None else f"{upload:.3f}"])
    if not lines:
        return []
    return [f"**Single steps, {parties} parties**", _table(["values", *STEPS, "upload, bytes per value"], lines)]


def _opening(results: Results) -> list[str]:
    lines = []
    for kind in ("dealt", "generated"):
        for key_bits in (2048, 3072):
            # A partial decryption has rows for every length of vector as well; combining has none but these.
            for found in results.all:
                if found.row.metric == opening_metric("combine", kind, key_bits):
                    values, parties = found.row.values, found.row.parties
                    metrics = [opening_metric(step, kind, key_bits) for step in OPENING]
                    cells = [_cell(results, metric, values, parties) for metric in metrics]
                    lines.append([f"{kind}, {key_bits} bits", f"{parties}", f"{values}", *cells])
    if not lines:
        return []
    title = "**Opening the key of a round**, ms of one core, whatever the vector's length"
    return [title, _table(["key", "parties", "ciphertexts", *OPENING], lines)]


def _checking(results: Results) -> list[str]:
    lines, shares = [], []
    for parties in results.parties:
        for values in results.values:
            cells = [_cell(results, metric, values, parties) for metric in CHECKING]
            if any(cells):
                lines.append([f"{parties}", *cells])
                if share := share_of_round(results, parties, values):
                    shares.append(
                        f"All proofs and verifications of a round of {parties} parties and {values:,} values take "
                        f"{_figure(share[0])} ms of one core, {100 * share[1]:.0f} % on top of the rest of the round."
                    )
    if not lines:
        return []
    title = "**Proofs and verifications**, ms of one core, whatever the vector's length"
    return [title, _table(["parties", *CHECKING], lines), *shares]


def _cell(results: Results, metric: str, values: int, parties: int) -> str:
    figure = results.figure(metric, values, parties)
    return "" if figure is None else f"{_figure(figure)} ({figure / results.reference_ms:.2g})"


def _rounds(results: Results) -> list[str]:
    parts = []
    for parties in results.parties:
        lengths = [found for values in results.values if len(found := _kinds_of_rounds(results, values, parties)) > 1]
        if lengths:
            names = " / ".join(ROUNDS[kind.row.metric] for kind in lengths[0])
            parts += [
                f"**Whole rounds, {parties} parties**, over gRPC with mutual TLS on loopback: {names}",
                _table(
                    ROUND_COLUMNS,
                    [_round(before, kinds) for before, kinds in zip([None, *lengths], lengths, strict=False)],
                ),
            ]
            parts += _shortest_rounds(lengths[0], parties)
    return parts


def _kinds_of_rounds(results: Results, values: int, parties: int) -> list[Measured]:
    """Return what was measured of whole rounds, in the order of ``ROUNDS``."""
    return [found for metric in ROUNDS if (found := results.find(metric, values, parties))]


def _shortest_rounds(kinds: Sequence[Measured], parties: int) -> list[str]:
    shares = [f"{kind.core_ms / parties:.0f} ms" for kind in kinds if kind.core_ms is not None]
    if len(shares) < len(kinds):
        return []
    others = [f"one that is {ROUNDS[k.row.metric]} took {share}" for k, share in zip(kinds, shares, strict=True)]
    return [
        f"A sealed round of {kinds[0].row.values:,} values, of which next to nothing depends on the length, took "
        f"{shares[0]} of one core per party, the aggregator's and everything else included; {', '.join(others[1:])}."
    ]


def _round(before: Sequence[Measured] | None, kinds: Sequence[Measured]) -> list[str]:
    """Return a line of the table of rounds; ``before`` are those of the next smaller length."""
    times = [kind.row.figure for kind in kinds]
    cores = [kind.core_ms for kind in kinds]
    cells = [f"{kinds[0].row.values:,}", " / ".join(map(_figure, times))]
    cells.append(" / ".join("?" if core is None else _figure(core) for core in cores))
    if before is None:
        cells += ["", ""]
    else:
        further = (kinds[0].row.values - before[0].row.values) / 1e6
        cells.append(_further(times, [kind.row.figure for kind in before], further))
        cells.append(_further(cores, [kind.core_ms for kind in before], further))
    memory = kinds[0].memory
    cells.append("" if memory is None else " / ".join(f"{mib:.0f}" for mib in memory))
    return cells


def _further(after: Sequence[float | None], before: Sequence[float | None], millions: float) -> str:
    """Return the cost of a million further values in rounds of each kind, and their ratios to the last."""
    slopes = [(a - b) / millions for a, b in zip(after, before, strict=True) if a is not None and b is not None]
    if len(slopes) < len(after) or slopes[-1] <= 0:
        return ""
    ratios = " / ".join(f"{slope / slopes[-1]:.2f}" for slope in slopes[:-1])
    return f"{' / '.join(map(_figure, slopes))} = {ratios}"


def _memory(results: Results) -> list[str]:
    lines = []
    for parties in results.parties:
        for values in results.values:
            figures = [results.figure(metric, values, parties) for metric in MEMORY]
            if any(figure is not None for figure in figures):
                cells = ["" if figure is None else f"{figure:.0f}" for figure in figures]
                lines.append([f"{values:,}", f"{parties}", f"{4 * values / 2**20:.0f}", *cells])
    if not lines:
        return []
    header = ["values", "parties", "the vector at 4 bytes a value, MiB", *(f"{metric}, MiB" for metric in MEMORY)]
    return ["**Most memory** that a process of its own had at a time, everything included", _table(header, lines)]


def _peers(peers: Sequence[PeerFigures]) -> list[str]:
    lines = [
        [
            peer.name,
            *("" if time is None else _figure(time) for time in (peer.seal, peer.add, peer.open)),
            f"{peer.upload:.1f}",
        ]
        for peer in peers
    ]
    header = ["library", "seal", "add", "open", "bytes per value"]
    return ["**Other libraries**, ms of one core per million values", _table(header, lines)]


def plot(results: Results) -> str:
    """Return the plot of the times for the middle size of federation."""
    with_steps = [parties for parties in results.parties if any(_line(results, "seal", parties))]
    parties = PLOT_PARTIES if PLOT_PARTIES in with_steps else (with_steps or results.parties)[0]
    names = [metric for metric in (*STEPS, *ROUNDS) if METRICS[metric] == "ms"]
    series = [Series(name, _line(results, name, parties), dashed=name.startswith("round")) for name in names]
    return draw(f"Steps (ms of one core) and whole rounds (ms), {parties} parties", series)


def _line(results: Results, metric: str, parties: int) -> list[tuple[float, float]]:
    figures = [(values, results.figure(metric, values, parties)) for values in results.values]
    return [(values, figure) for values, figure in figures if figure is not None]


def _figure(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
