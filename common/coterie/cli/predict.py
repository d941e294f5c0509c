# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie predict``: apply a model to records in a file, read as a party reads its data. Works offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli.options import DecimalMark, Encoding, Missing, Separator, Trim, file_format, put_out
from coterie_common.host.console import say
from coterie_common.shown import counted

if TYPE_CHECKING:
    from coterie_common.learning.algorithm import Values
    from coterie_common.learning.data.column import Column
    from coterie_common.learning.data.file_format import FileFormat
    from coterie_common.learning.model import Model


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model, from 'coterie models fetch'.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Records: CSV, gzipped or not, or Parquet.")],
    out: Annotated[Path | None, typer.Option(help="CSV file to write; standard output by default, and with -.")] = None,
    separator: Separator = None,
    decimal: DecimalMark = ".",
    encoding: Encoding = "utf-8",
    trim: Trim = False,
    missing: Missing = None,
) -> None:
    """Add a model's prediction, and the probability of a class, to every record.

    If the records include the label, standard error reports the accuracy or the mean error, and that of always guessing
    the most frequent class or the mean.
    """
    from coterie.records import to_csv
    from coterie_common.learning.data.dataset_file import load_table, load_values
    from coterie_common.learning.model import load_model

    form = file_format(separator, decimal, encoding, trim=trim, missing=missing)
    known = load_model(model)
    features = known.schema.features
    values, _ = load_values(data, features, form)
    records = load_table(data, form, needed=[column.name for column in features])
    predictions = _predictions(known, values)
    rows = zip(*records.columns, *predictions.values(), strict=True)
    table = to_csv((*records.names, *predictions), rows)
    predicted = predictions["prediction"]
    if put_out(out, table):
        say(f"{out}: {counted(len(predicted), 'prediction')}", err=True)
    label = known.schema.label
    if label is not None and (truth := records.column(label)) is not None and predicted:
        say(f"{label}: {_comparison(known.schema.by_name[label], truth, predicted, form)}", err=True)


def _predictions(model: Model, values: Values) -> dict[str, list[str]]:
    """Return the columns to add, by name; numbers keep all their digits.

    Raises:
        ConfigurationError: the model predicts nothing.
    """
    from coterie_common.learning.algorithm import Regressor, get_algorithm
    from coterie_common.learning.model import classifier_of

    algorithm = get_algorithm(model.algorithm)
    if isinstance(algorithm, Regressor):
        return {"prediction": [_digits(x) for x in algorithm.predictions(model.schema, model.body, values)]}
    probabilities = classifier_of(model).probabilities(model.schema, model.body, values)
    classes = model.schema.class_names
    return {
        "prediction": [classes[position] for position in probabilities.argmax(axis=1)],
        "probability": [_digits(row.max()) for row in probabilities],
    }


def _digits(number: float) -> str:
    return repr(float(number)).removesuffix(".0")


def _comparison(label: Column, truth: Sequence[str], predicted: Sequence[str], form: FileFormat) -> str:
    """Compare predictions with the records' labels, and with the best guess that uses no feature.

    Records without a label that the schema allows are left out, and counted.
    """
    from coterie_common.learning.data.raw_values import parse_values

    known, is_unknown = parse_values(label, truth, form)
    pairs = [
        (float(own), guess) for own, unknown, guess in zip(known, is_unknown, predicted, strict=True) if not unknown
    ]
    if not pairs:
        return "no record has a value of its own"
    left_out = len(known) - len(pairs)
    note = f" ({left_out} records without a value of their own are left out)" if left_out else ""
    return f"{_score(label, pairs)}{note}"


def _score(label: Column, pairs: Sequence[tuple[float, str]]) -> str:
    from collections import Counter

    from coterie_common.learning.data.column import CategoricalColumn

    if isinstance(label, CategoricalColumn):
        met = sum(label.levels[int(own)] == guess for own, guess in pairs)
        ((usual, count),) = Counter(label.levels[int(own)] for own, _ in pairs).most_common(1)
        return (
            f"{met} of {len(pairs)} right, accuracy {met / len(pairs):.3f}; always {usual!r}: {count / len(pairs):.3f}"
        )
    mean = sum(own for own, _ in pairs) / len(pairs)
    missed = sum(abs(own - float(guess)) for own, guess in pairs) / len(pairs)
    base = sum(abs(own - mean) for own, _ in pairs) / len(pairs)
    return f"{missed:.6g} off on average; always their mean: {base:.6g}"
