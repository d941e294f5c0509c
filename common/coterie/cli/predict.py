# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie predict``: apply a model to records in a CSV file. Works offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from coterie_common.learning.column import Column


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL.json", help="A model, from 'coterie models fetch'.")],
    data: Annotated[Path, typer.Argument(metavar="DATA.csv", help="Records with a header line.")],
    out: Annotated[Path | None, typer.Option(help="Where to write; standard output by default.")] = None,
) -> None:
    """Add a model's prediction, and the probability of a class, to every record.

    Where the records have the label too, standard error says how often it was met, or by how much it was missed, and
    how good the most frequent class, or the mean, would have been.
    """
    from coterie.records import read_records, to_csv
    from coterie_common.files import write_atomically
    from coterie_common.learning.model import load_predictor

    records = read_records(data)
    predictor = load_predictor(model)
    if hasattr(predictor, "predict_proba"):
        probabilities = predictor.predict_proba(records.as_dicts())
        predicted = [str(name) for name in predictor.classes_[probabilities.argmax(axis=1)]]
        added = {"prediction": predicted, "probability": [f"{row:.4f}" for row in probabilities.max(axis=1)]}
    else:
        added = {"prediction": [f"{number:.6g}" for number in predictor.predict(records.as_dicts())]}
    rows = ((*row, *cells) for row, *cells in zip(records.rows, *added.values(), strict=True))
    table = to_csv((*records.columns, *added), rows)
    predicted = added["prediction"]
    if out is None:
        typer.echo(table.decode("utf-8"), nl=False)
    else:
        write_atomically(out, table)
        typer.echo(f"{out}: {len(predicted)} predictions", err=True)
    label = predictor.model.schema.label
    if label in records.columns:
        column = predictor.model.schema.by_name[label]
        typer.echo(f"{label}: {_comparison(column, records.column(label), predicted)}", err=True)


def _comparison(label: Column, truth: Sequence[str], predicted: Sequence[str]) -> str:
    """Compare predictions with the records' own labels, and with the best guess that looks at no feature.

    Records without a label that the schema allows are left out, and counted.
    """
    known = [(label.parse(true), guess) for true, guess in zip(truth, predicted, strict=True)]
    pairs = [(own, guess) for own, guess in known if own is not None]
    if not pairs:
        return "no record has a value of its own"
    left_out = len(known) - len(pairs)
    note = f" ({left_out} records without a value of their own are left out)" if left_out else ""
    return f"{_score(label, pairs)}{note}"


def _score(label: Column, pairs: Sequence[tuple[float, str]]) -> str:
    from collections import Counter

    from coterie_common.learning.column import CategoricalColumn

    if isinstance(label, CategoricalColumn):
        met = sum(label.levels[int(own)] == guess for own, guess in pairs)
        ((most, count),) = Counter(label.levels[int(own)] for own, _ in pairs).most_common(1)
        return (
            f"{met} of {len(pairs)} right, accuracy {met / len(pairs):.3f}; always {most!r}: {count / len(pairs):.3f}"
        )
    mean = sum(own for own, _ in pairs) / len(pairs)
    missed = sum(abs(own - float(guess)) for own, guess in pairs) / len(pairs)
    base = sum(abs(own - mean) for own, _ in pairs) / len(pairs)
    return f"{missed:.6g} off on average; always their mean: {base:.6g}"
