# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from coterie.simulation.division import as_party, deal, hold_out
from coterie_common.errors import DataError
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.plan import Records
from tests.support.seeded_random import SeededRandom

SCHEMA = parse_schema({"max_records": 1000, "columns": [{"name": "x", "lower": 0, "upper": 1000}]})


def numbered(rows: int) -> Dataset:
    return Dataset(SCHEMA, {"x": np.arange(rows, dtype=np.float64)}, rows)


def numbers(*datasets: Dataset) -> list[float]:
    return sorted(number for dataset in datasets for number in dataset.columns["x"].tolist())


@pytest.mark.parametrize(("rows", "parties"), [(100, 3), (7, 7), (101, 50)])
def test_deal_gives_every_record_to_one_party_and_each_as_many(rows, parties):
    dealt = deal(numbered(rows), parties, SeededRandom(1))
    assert numbers(*dealt) == list(range(rows))
    assert max(part.rows for part in dealt) - min(part.rows for part in dealt) <= 1


def test_deal_is_at_random():
    first, second = (deal(numbered(100), 2, SeededRandom(seed))[0] for seed in (1, 2))
    assert numbers(first) != numbers(second)
    assert numbers(first) != list(range(0, 100, 2))


def test_deal_of_fewer_records_than_parties_raises_data_error():
    with pytest.raises(DataError, match="2 records cannot be dealt out to 3 parties") as caught:
        deal(numbered(2), 3, SeededRandom(1))
    assert caught.value.code == "data"


@pytest.mark.parametrize(("fraction", "tested"), [("0", 0), ("0.2", 20), ("0.001", 1), ("1", 100)])
def test_hold_out_divides_the_records(fraction, tested):
    training, held_out = hold_out(numbered(100), Fraction(fraction), SeededRandom(1))
    assert held_out.rows == tested
    assert numbers(training, held_out) == list(range(100))


def test_as_party_has_all_records_of_both_kinds():
    training, aside = hold_out(numbered(10), Fraction(1, 5), SeededRandom(1))
    party = as_party(training, aside)
    assert numbers(party[Records.ALL]) == list(range(10))
    assert (party[Records.TRAINING], party[Records.SET_ASIDE]) == (training, aside)
    assert as_party(training)[Records.SET_ASIDE].rows == 0
