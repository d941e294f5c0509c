# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie predict``: apply a model to records in a CSV file. Works offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL.json", help="A model, from 'coterie models fetch'.")],
    data: Annotated[Path, typer.Argument(metavar="DATA.csv", help="Records with a header line.")],
    out: Annotated[Path | None, typer.Option(help="Where to write; standard output by default.")] = None,
) -> None:
    """Add a model's prediction and its probability to every record.

    Where the records have the label too, standard error says how often it was met.
    """
    from coterie.records import read_records, to_csv
    from coterie_common.files import write_atomically
    from coterie_common.learning.model import load_predictor

    records = read_records(data)
    predictor = load_predictor(model)
    probabilities = predictor.predict_proba(records.as_dicts())
    predicted = [str(name) for name in predictor.classes_[probabilities.argmax(axis=1)]]
    added = ("prediction", "probability")
    rows = (
        (*row, name, f"{probability:.4f}")
        for row, name, probability in zip(records.rows, predicted, probabilities.max(axis=1), strict=True)
    )
    table = to_csv((*records.columns, *added), rows)
    if out is None:
        typer.echo(table.decode("utf-8"), nl=False)
    else:
        write_atomically(out, table)
        typer.echo(f"{out}: {len(predicted)} predictions", err=True)
    label = predictor.model.schema.label
    if label in records.columns:
        met = sum(truth == name for truth, name in zip(records.column(label), predicted, strict=True))
        typer.echo(f"{label}: {met} of {len(predicted)} right, accuracy {met / len(predicted):.3f}", err=True)
