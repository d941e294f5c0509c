# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from coterie_common.errors import ParameterMismatch, TrainingFailed, WrongVectorShape
from coterie_common.learning.algorithm import Ask
from coterie_common.learning.algorithms.linear import LogisticRegression
from coterie_common.learning.algorithms.statistics import Statistics
from coterie_common.learning.contribution import Contributor, computed_vectors
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.plan import Plan, PlannedCountRound, PlannedVectorRound, Records
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.privacy.vector_encoding import Rounding, VectorEncoding
from tests.support.seeded_random import SeededRandom

SCHEMA = parse_schema({"max_records": 200, "columns": [{"name": "age", "lower": 0, "upper": 200}]})
LENGTH = 3
ASK = Ask(1, {"length": LENGTH})


def make_dataset(rows: int) -> Dataset:
    return Dataset(SCHEMA, {"age": np.arange(1.0, rows + 1)}, rows)


DATASETS = {Records.TRAINING: make_dataset(120), Records.SET_ASIDE: make_dataset(7)}


class Recorder:
    """Stands in for a training process: returns the same row for every vector that is expected, and notes the ask."""

    def __init__(self, row: ArrayLike) -> None:
        self._row = np.asarray(row, np.float32)
        self.asked: list[tuple[Records, NDArray[np.bool_], int]] = []

    def vectors(
        self, ask: Ask, records: Records, batch: NDArray[np.bool_], *, expected: int
    ) -> Iterator[NDArray[np.float32]]:
        self.asked.append((records, batch, expected))
        for _ in range(expected):
            yield self._row[np.newaxis]


def make_encoding(units: int = 200) -> VectorEncoding:
    bound = 200 << 10
    return VectorEncoding(
        length=LENGTH,
        clip_norm=Fraction(1),
        scale_bits=10,
        rounding=Rounding.EACH,
        units=units,
        lower=-bound,
        upper=bound,
    )


REPORTS: list[tuple[int, int]] = []


def make_contributor(
    process: Recorder, planned: PlannedCountRound | PlannedVectorRound, unit: Unit = Unit.RECORD
) -> Contributor:
    REPORTS.clear()
    return Contributor(
        algorithm=LogisticRegression(),  # computes on its training records
        plan=Plan(unit, (planned,)),
        datasets=DATASETS,
        vectors=process.vectors,
        report=lambda unusable, count: REPORTS.append((unusable, count)),
    )


def contribute(
    process: Recorder,
    unit: Unit = Unit.RECORD,
    encoding: VectorEncoding | None = None,
    random: SeededRandom | None = None,
    **planned: Any,
) -> NDArray[np.int64]:
    contributor = make_contributor(process, PlannedVectorRound(length=LENGTH, clip_norm=Fraction(1), **planned), unit)
    encoding = encoding or make_encoding(200 if unit is Unit.RECORD else 1)
    random = random or SeededRandom("contribution")
    return np.concatenate(tuple(contributor.exact(ASK, encoding, random)))


def test_contribution_is_the_sum_of_clipped_vectors():
    process = Recorder([3, 0, 4])
    total = contribute(process)
    np.testing.assert_allclose(total / 2**10, [120 * 0.6, 0, 120 * 0.8], atol=0.1)
    ((records, batch, expected),) = process.asked
    assert (records, batch.tolist(), expected) == (Records.TRAINING, [True] * 120, 120)


def test_contribution_of_one_vector_is_never_longer_than_the_sensitivity():
    encoding = make_encoding(1)
    for number in range(20):
        row = np.random.default_rng(number).normal(size=LENGTH) * 10.0**number
        total = contribute(Recorder(row), Unit.PARTY, encoding, SeededRandom(number))
        assert int((total**2).sum()) <= encoding.squared_sensitivity


def test_contribution_where_parties_are_protected_is_one_vector_of_all_records():
    process = Recorder([0.25, 0, 0])
    np.testing.assert_allclose(contribute(process, Unit.PARTY) / 2**10, [0.25, 0, 0], atol=0.001)
    ((_, batch, expected),) = process.asked
    assert (batch.sum(), expected) == (120, 1)


def test_contribution_of_a_sampled_round_draws_another_batch_every_time():
    process, random = Recorder([1, 0, 0]), SeededRandom("batches")
    totals = [contribute(process, random=random, sampling_rate=Fraction(1, 4)) for _ in range(5)]
    batches = [batch for _, batch, _ in process.asked]
    assert len({batch.tobytes() for batch in batches}) == 5
    assert [expected for _, _, expected in process.asked] == [batch.sum() for batch in batches]
    np.testing.assert_allclose([total[0] / 2**10 for total in totals], [batch.sum() for batch in batches], atol=0.1)


def test_contribution_of_a_round_on_other_records_takes_those():
    process = Recorder([1, 0, 0])
    contribute(process, records=Records.SET_ASIDE)
    assert process.asked[0][0] is Records.SET_ASIDE
    assert process.asked[0][2] == 7


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_count_as_nothing(bad):
    class Spoiled(Recorder):
        def vectors(
            self, ask: Ask, records: Records, batch: NDArray[np.bool_], *, expected: int
        ) -> Iterator[NDArray[np.float32]]:
            for number, rows in enumerate(super().vectors(ask, records, batch, expected=expected)):
                yield np.array([[1, bad, 0]], np.float32) if number % 3 == 0 else rows

    total = contribute(Spoiled([0.5, 0, 0]))
    np.testing.assert_allclose(total / 2**10, [80 * 0.5, 0, 0], atol=0.1)
    assert REPORTS == [(40, 120)]
    alone = contribute(Spoiled([0.5, 0, 0]), Unit.PARTY)
    assert alone.tolist() == [0, 0, 0]
    assert REPORTS == [(1, 1)]


def test_vectors_that_are_not_finite_stay_as_they_are_where_they_were_computed():
    kept = np.array([[1, np.nan, 0]], np.float32)
    kept.flags.writeable = False

    class Keeping(Recorder):
        def vectors(
            self, ask: Ask, records: Records, batch: NDArray[np.bool_], *, expected: int
        ) -> Iterator[NDArray[np.float32]]:
            yield kept

    assert contribute(Keeping([0, 0, 0]), Unit.PARTY).tolist() == [0, 0, 0]
    assert np.isnan(kept[0, 1])


def test_contribution_with_an_encoding_of_another_kind_raises_parameter_mismatch():
    vectors = make_contributor(Recorder([1, 0, 0]), PlannedVectorRound(length=LENGTH, clip_norm=Fraction(1)))
    counts = make_contributor(Recorder([1, 0, 0]), PlannedCountRound(length=LENGTH, lower=0, upper=9, l0=1, linf=1))
    count_encoding = CountEncoding(length=LENGTH, scale_bits=0, lower=0, upper=9)
    for contributor, encoding in ((vectors, count_encoding), (counts, make_encoding())):
        with pytest.raises(ParameterMismatch) as caught:
            list(contributor.exact(ASK, encoding, SeededRandom("mismatch")))
        assert caught.value.code == "parameter-mismatch"


@pytest.mark.parametrize("unit", [Unit.RECORD, Unit.PARTY])
def test_contribution_that_lacks_vectors_raises(unit):
    class GivenUp(Recorder):
        def vectors(
            self, ask: Ask, records: Records, batch: NDArray[np.bool_], *, expected: int
        ) -> Iterator[NDArray[np.float32]]:
            yield from list(super().vectors(ask, records, batch, expected=expected))[1:]

    with pytest.raises(WrongVectorShape, match="were asked for") as caught:
        contribute(GivenUp([1, 0, 0]), unit)
    assert caught.value.code == "wrong-vector-shape"


class Computing(LogisticRegression):
    """Returns what it is made with, whatever is asked."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def vectors(self, ask: Ask, dataset: Dataset) -> Iterator[Any]:
        yield self._rows


def test_computed_vectors_are_those_of_the_algorithm():
    rows = np.ones((2, LENGTH), np.float32)
    assert list(computed_vectors(Computing(rows), ASK, DATASETS[Records.TRAINING])) == [rows]


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((2, LENGTH)),
        np.ones((2, LENGTH - 1), np.float32),
        np.ones(LENGTH, np.float32),
        [[1.0] * LENGTH],
    ],
    ids=["other type", "other length", "one vector", "no array"],
)
def test_computed_vectors_of_another_form_raise_wrong_vector_shape(rows):
    with pytest.raises(WrongVectorShape, match=f"must be rows of {LENGTH} 32-bit reals") as caught:
        list(computed_vectors(Computing(rows), ASK, DATASETS[Records.TRAINING]))
    assert caught.value.code == "wrong-vector-shape"


def test_computed_vectors_of_an_algorithm_of_counts_raise_training_failed():
    with pytest.raises(TrainingFailed, match="computes no vectors") as caught:
        list(computed_vectors(Statistics(), ASK, DATASETS[Records.TRAINING]))
    assert caught.value.code == "training-failed"
