# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from coterie_common.errors import ConfigurationError, ConsentDenied, DataError
from coterie_common.identifiers import PartyId
from coterie_common.learning.agreement import plan_job
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.plan import Records
from coterie_party.data.bindings import BoundDataset, bind_datasets
from coterie_party.home.config import DatasetBinding
from tests.support.small_jobs import SCHEMA, play_schema, statistics_spec, tree_spec, write_play

OUTLOOK, WIND, TEMPERATURE, PLAY = SCHEMA["columns"]
TOML = """
name = "play"

[schema]
max_records = 1000

[[schema.columns]]
name = "temperature"
lower = 0.0
upper = 40
"""


def schema_of(*columns: dict[str, Any], max_records: int = 1000, label: str | None = None) -> Any:
    return parse_schema({"max_records": max_records, "columns": list(columns), **({"label": label} if label else {})})


def write_rows(folder: Path, count: int = 96) -> Path:
    return write_play(folder, (PartyId("p1"),), count=count)[PartyId("p1")]


def binding_of(folder: Path, path: str = "p1.csv", schema: str = TOML) -> DatasetBinding:
    (folder / "schema.toml").write_text(schema)
    return DatasetBinding.model_validate({"path": path, "schemas": ["schema.toml"]})


@pytest.mark.parametrize(
    "asked",
    [
        play_schema(),
        schema_of(PLAY, WIND, label="wind"),
        schema_of(TEMPERATURE),
        schema_of(OUTLOOK, max_records=1001),
    ],
    ids=["the same", "some columns with another label", "one column", "more records"],
)
def test_schema_that_asks_for_nothing_else_is_accepted(tmp_path, asked):
    bound = BoundDataset(name="play", path=write_rows(tmp_path), schemas=(play_schema(),))
    assert bound.accepted(asked) == play_schema()
    bound.check(asked)


@pytest.mark.parametrize(
    "asked",
    [
        schema_of(OUTLOOK, max_records=999),
        schema_of({**OUTLOOK, "levels": ["sunny", "rain", "clouds", "fog"]}),
        schema_of({**OUTLOOK, "levels": ["rain", "sunny", "clouds"]}),
        schema_of({**TEMPERATURE, "upper": 41}),
        schema_of({**TEMPERATURE, "bins": 8}),
        schema_of({**TEMPERATURE, "integer": True}),
        schema_of(OUTLOOK, {"name": "humidity", "lower": 0, "upper": 1}),
    ],
)
def test_schema_that_says_anything_else_is_refused_whether_or_not_the_data_fit(tmp_path, asked):
    bound = BoundDataset(name="play", path=tmp_path / "is-never-read.csv", schemas=(play_schema(),))
    with pytest.raises(ConsentDenied, match=r"datasets\.play\.schemas"):
        bound.check(asked)


def test_second_of_several_schemas_is_found(tmp_path):
    bound = BoundDataset(name="play", path=write_rows(tmp_path), schemas=(schema_of(WIND), play_schema()))
    assert bound.accepted(schema_of(OUTLOOK)) == play_schema()


def test_data_that_do_not_fit_the_accepted_schema_are_refused_even_where_the_asked_columns_do(tmp_path):
    narrow = schema_of(OUTLOOK, {**TEMPERATURE, "upper": 39})
    bound = BoundDataset(name="play", path=write_rows(tmp_path), schemas=(narrow,))
    with pytest.raises(DataError, match="temperature"):
        bound.check(schema_of(OUTLOOK))


def test_load_returns_the_columns_of_the_job(tmp_path):
    job = plan_job(statistics_spec())
    reordered = schema_of(PLAY, TEMPERATURE, WIND, OUTLOOK)
    bound = BoundDataset(name="play", path=write_rows(tmp_path), schemas=(reordered,))
    (dataset,) = bound.load(job, [Records.ALL], bytes(32)).values()
    assert dataset.schema == job.schema
    assert dataset.rows == 96


def test_load_divides_the_records_by_kind(tmp_path):
    bound = BoundDataset(name="play", path=write_rows(tmp_path), schemas=(play_schema(),), set_aside=Decimal("0.5"))
    loaded = bound.load(plan_job(tree_spec()), list(Records), bytes(32))
    assert loaded.keys() == set(Records)
    assert 0 < loaded[Records.TRAINING].rows < loaded[Records.ALL].rows == 96
    assert loaded[Records.SET_ASIDE].rows == 96 - loaded[Records.TRAINING].rows


def test_bind_datasets_reads_schemas_from_job_files(tmp_path):
    bound = bind_datasets(tmp_path, {"play": binding_of(tmp_path)})
    assert bound["play"].path == tmp_path / "p1.csv"
    assert bound["play"].schemas == (schema_of({"name": "temperature", "lower": 0, "upper": 40}),)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("", "no table"),
        ("schema = 1", "no table"),
        (TOML.replace("upper = 40", "upper = -1"), "lower must be less"),
        ("[schema", "not valid TOML"),
    ],
)
def test_bind_datasets_with_a_schema_that_is_none_raises_and_names_the_file(tmp_path, schema, words):
    with pytest.raises(ConfigurationError, match=r"schema\.toml") as caught:
        bind_datasets(tmp_path, {"play": binding_of(tmp_path, schema=schema)})
    assert words in caught.value.message


@pytest.mark.parametrize("other", ["p1.csv", "./p1.csv", "link.csv"])
def test_bind_datasets_of_one_file_under_two_names_raises(tmp_path, other):
    write_rows(tmp_path)
    (tmp_path / "link.csv").symlink_to("p1.csv")
    bindings = {"play": binding_of(tmp_path), "again": binding_of(tmp_path, path=other)}
    with pytest.raises(ConfigurationError, match="as play and as again"):
        bind_datasets(tmp_path, bindings)


def test_data_set_behind_a_circle_of_links_is_refused_in_words(tmp_path):
    (tmp_path / "one.csv").symlink_to("other.csv")
    (tmp_path / "other.csv").symlink_to("one.csv")
    with pytest.raises(ConfigurationError, match=r"one\.csv leads nowhere: .*[Ll]oop"):
        bind_datasets(tmp_path, {"play": binding_of(tmp_path, "one.csv")})
