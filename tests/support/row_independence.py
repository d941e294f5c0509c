# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Does a record's vector depend on its own record and the ask alone? A program, so that a test can choose the threads.

``python -m tests.support.row_independence linear|mlp|cnn`` compares the rows of many subsets of one data set, bit by
bit, with the rows of the whole; it prints how many it compared, and ends with an error at the first that differs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from coterie_common.learning.algorithm import Ask, VectorAlgorithm, get_algorithm
from coterie_common.learning.algorithms.row_functions import same_bits
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema, parse_schema
from coterie_common.learning.features import width
from coterie_common.learning.model import Model, classifier_of, regressor_of
from coterie_common.privacy.vectors import clip_factors, squared_norms
from tests.support.models import make_lineage

ALL = 604
EDGES = sorted({0, 1, 2, 3, 5, 100, 600} | {256 * block + step for block in (1, 2) for step in range(-4, 5)})
"""Numbers of records; on either side of where blocks end."""

Rows = npt.NDArray[Any]
Compute = Callable[[Dataset], Rows]


def schema_of(classes: int, numbers: int = 3) -> Schema:
    """Return a schema with levels and numbers; 0 classes are a label that is a number."""
    label = (
        {"name": "y", "levels": [f"k{n}" for n in range(classes)]}
        if classes
        else {"name": "y", "lower": -1, "upper": 1}
    )
    levels = [{"name": f"c{n}", "levels": ["a", "b"]} for n in range(8)] if numbers < 100 else []
    columns = [*levels, *({"name": f"x{n}", "lower": -1, "upper": 1} for n in range(numbers)), label]
    return parse_schema({"label": "y", "max_records": 1000, "columns": columns})


def dataset_of(schema: Schema) -> Dataset:
    draw = np.random.default_rng(5)
    columns: dict[str, npt.NDArray[Any]] = {}
    for column in schema.columns:
        levels = getattr(column, "levels", None)
        values = draw.integers(0, len(levels), ALL).astype(np.int32) if levels else draw.uniform(-1, 1, ALL)
        columns[column.name] = values
    return Dataset(schema, columns, ALL)


def adversarial(count: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield parameters for which the order of an addition decides: no party refuses any."""
    for seed in range(4):
        draw = np.random.default_rng(seed)
        yield draw.choice([2.0**60, -(2.0**60), 32.0, -32.0, 0.0], count).astype(np.float32)
        yield np.ldexp(draw.choice([1.0, -1.0], count), draw.integers(-60, 61, count)).astype(np.float32)
    draw = np.random.default_rng(9)
    yield draw.choice([2.0**30, -(2.0**30), 8.0, -8.0, 0.0], count).astype(np.float32)
    yield draw.choice([5e-40, -5e-40, 1e-38, 1.0], count).astype(np.float32)
    yield draw.choice([0.0, -0.0], count).astype(np.float32)
    yield draw.choice([3e38, -3e38, 1.0], count).astype(np.float32)
    yield draw.normal(size=count).astype(np.float32)


def subsets(counts: list[int], seed: int) -> Iterator[npt.NDArray[np.intp]]:
    """Yield records to keep: the first of each number, these without one of them, and some drawn record by record.

    Of many numbers, the first only.
    """
    draw = np.random.default_rng(seed)
    for count in counts:
        first = np.arange(count)
        yield first
        if len(counts) > 100:
            continue
        if count:
            yield np.delete(first, draw.integers(0, count))
        yield np.flatnonzero(draw.random(ALL) < count / ALL)


def compare(what: str, compute: Compute, dataset: Dataset, counts: list[int], seed: int) -> int:
    whole, compared = compute(dataset), 0
    for kept in subsets(counts, seed):
        mask = np.zeros(ALL, np.bool_)
        mask[kept] = True
        some = compute(dataset.select(mask))
        if len(some) != len(kept) or not same_bits(some, whole[kept]):
            raise SystemExit(f"{what}: rows of {len(kept)} records differ from the same rows among {ALL}")
        compared += len(kept)
    return compared


def with_clipping(rows: Rows) -> Rows:
    """Return rows and what each is multiplied by when it is clipped: that must be its own, too."""
    finite = np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, 0).astype(np.float32)
    factors = clip_factors(squared_norms(finite), rows.shape[1], Fraction(1))
    return np.column_stack([rows.astype(np.float64), factors])


def vectors_of(name: str, dataset: Dataset, counts: list[int], config: dict[str, Any], chosen: slice) -> int:
    """Compare the vectors of every kind of round of a job, with the chosen kinds of parameters."""
    algorithm, schema = get_algorithm(name), dataset.schema
    parsed = algorithm.parse_config({"records": ALL, "clip_norm": 1, "rounds": 1, **config})
    plan = algorithm.plan(parsed, schema)
    state = algorithm.initial_state(parsed, schema)
    assert isinstance(algorithm, VectorAlgorithm)
    compared = 0
    for number, planned in enumerate(plan.rounds, 1):
        body: dict[str, Any] = {"length": planned.length, "config": parsed.model_dump(mode="json")}
        is_asked = not (parsed.has_statistics and number == 1)
        kinds = list(adversarial(len(state.parameters)))[chosen] if is_asked else [None]
        for seed, parameters in enumerate(kinds):
            scaled = {"centre": np.full(3, 0.25), "scale": np.full(3, 0.02)} if parsed.has_statistics else {}
            ask = Ask(number, {**body, "parameters": parameters, **scaled} if is_asked else body)
            algorithm.check_ask(parsed, schema, ask, plan)

            def compute(records: Dataset, ask: Ask = ask) -> Rows:
                rows = [np.zeros((0, ask.length), np.float32), *algorithm.vectors(ask, records)]
                return with_clipping(np.concatenate(rows))

            compared += compare(f"{name}, round {number}, parameters {seed}", compute, dataset, counts, seed)
    return compared


def predictions_of(name: str, dataset: Dataset, counts: list[int], body: dict[str, Any]) -> int:
    """Compare what a model says of records: what an evaluation counts, and what people get."""
    model = Model(name="m", algorithm=name, schema=dataset.schema, body=body, lineage=make_lineage())
    is_number = name == "linear_regression"
    predict: Any = regressor_of(model).predictions if is_number else classifier_of(model).probabilities

    def compute(records: Dataset) -> Rows:
        rows: Rows = predict(dataset.schema, body, records.columns)
        return rows[:, np.newaxis] if rows.ndim == 1 else rows

    return compare(f"{name}, predictions", compute, dataset, counts, 3)


def linear() -> int:
    """Linear models: training, statistics, held-out records and predictions."""
    compared = 0
    jobs: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("logistic_regression", 2, {"scaling": "statistics", "held_out": True}),
        ("logistic_regression", 3, {"held_out": True}),
        ("linear_svm", 2, {"loss": "hinge"}),
        ("linear_svm", 4, {"loss": "squared-hinge"}),
        ("linear_regression", 0, {"held_out": True}),
    )
    for number, (name, classes, config) in enumerate(jobs):
        chosen = slice(number % 4, None, 4)
        dataset = dataset_of(schema_of(classes))
        compared += vectors_of(name, dataset, EDGES, config, chosen)
        outputs = classes if classes > 2 else 1
        for parameters in list(adversarial((width(dataset.schema) + 1) * outputs))[chosen]:
            table = parameters.reshape(-1, outputs).astype(np.float64)
            body = {"coefficients": table[:-1], "intercepts": table[-1]}
            compared += predictions_of(name, dataset, EDGES[::4], body)
    numbers = list(range(601))
    return compared + vectors_of("logistic_regression", dataset_of(schema_of(2)), numbers, {}, slice(1))


def network(name: str, numbers: int, counts: list[int], chosen: slice) -> int:
    """A built-in network: DP-SGD, held-out records and predictions."""
    from coterie_common.learning.network.flat import load_network

    dataset = dataset_of(schema_of(2, numbers))
    compared = vectors_of("network", dataset, counts, {"network": name, "held_out": True}, chosen)
    flat = load_network(name, width(dataset.schema), 2, 0)
    for parameters in list(adversarial(flat.length))[chosen]:
        compared += predictions_of("network", dataset, counts, {"network": name, **flat.named(parameters)})
    return compared


if __name__ == "__main__":
    kinds: dict[str, Callable[[], int]] = {
        "linear": linear,
        "mlp": lambda: network("mlp", 3, EDGES[::3], slice(2, None, 6)),
        "cnn": lambda: network("cnn", 196, [1, 257], slice(8, 9)),
    }
    with np.errstate(all="ignore"):
        print(kinds[sys.argv[1]]())
