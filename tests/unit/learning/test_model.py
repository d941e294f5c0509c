# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from coterie_common.errors import ConfigurationError, MalformedMessage
from coterie_common.learning.model import Model, load_model
from coterie_common.learning.predictor import load_predictor
from tests.support.models import make_lineage, make_model

MODEL = make_model()
DOCUMENT = MODEL.to_document()


def changed(part: str, **entries: Any) -> dict[str, Any]:
    return {**DOCUMENT, part: {**DOCUMENT[part], **entries}}


def without(part: str, key: str) -> dict[str, Any]:
    return {**DOCUMENT, part: {name: value for name, value in DOCUMENT[part].items() if name != key}}


def test_model_from_its_bytes_is_equal():
    again = Model.from_bytes(MODEL.to_bytes())
    assert again == MODEL
    assert again.to_bytes() == MODEL.to_bytes()
    assert again.digest == MODEL.digest
    assert len(MODEL.digest) == 32


def test_load_model_reads_a_file(tmp_path):
    (tmp_path / "tennis.json").write_bytes(MODEL.to_bytes())
    assert load_model(tmp_path / "tennis.json") == MODEL


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "JSON object"),
        ({}, "coterie_model is missing"),
        ({**DOCUMENT, "coterie_model": 2}, "coterie_model"),
        ({**DOCUMENT, "more": 1}, "more is not a known key"),
        ({**DOCUMENT, "name": ""}, "name"),
        ({**DOCUMENT, "algorithm": "oracle"}, "no algorithm 'oracle'"),
        ({**DOCUMENT, "body": []}, "body"),
        ({**DOCUMENT, "schema": {}}, "max_records is missing"),
        ({**changed("schema", label=None)}, "label"),
        (changed("body", counts=[]), "counts"),
        (changed("body", tree=["outlook"]), "tree"),
        (changed("lineage", epsilon=1), "epsilon"),
        (changed("lineage", roster_digest="AB" * 32), "roster_digest"),
        (changed("lineage", rounds=3), "one entry per round"),
        (changed("lineage", contributors=[5, 0]), "contributors"),
        (without("lineage", "delta"), "delta is missing"),
    ],
)
def test_model_from_wrong_document_raises_malformed_message(document, words):
    with pytest.raises(MalformedMessage) as caught:
        Model.from_document(document)
    assert caught.value.code == "malformed-message"
    assert words in caught.value.message


def test_model_from_truncated_bytes_raises_malformed_message():
    with pytest.raises(MalformedMessage):
        Model.from_bytes(MODEL.to_bytes()[:-1])


@pytest.mark.parametrize("content", [b"", b"not a model", MODEL.to_bytes() + b"\n"])
def test_load_model_of_damaged_file_raises_configuration_error_naming_it(tmp_path, content):
    (tmp_path / "tennis.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"tennis\.json is no model") as caught:
        load_model(tmp_path / "tennis.json")
    assert caught.value.code == "configuration"


def test_load_model_of_missing_file_raises_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_model(tmp_path / "tennis.json")


def test_lineage_without_one_contributor_count_per_round_is_refused():
    with pytest.raises(ValueError, match="one entry per round"):
        type(make_lineage()).model_validate({**make_lineage().model_dump(), "rounds": 1})


def test_load_predictor_of_a_path_predicts(tmp_path):
    (tmp_path / "tennis.json").write_bytes(MODEL.to_bytes())
    assert load_predictor(tmp_path / "tennis.json").predict([["sunny", 80]]).tolist() == ["no"]


def test_load_predictor_of_model_that_predicts_nothing_raises_configuration_error():
    counts = Model(
        name="counts", algorithm="statistics", schema=MODEL.schema, body={"count": 3.0}, lineage=make_lineage(1)
    )
    with pytest.raises(ConfigurationError, match="predicts nothing") as caught:
        load_predictor(counts)
    assert caught.value.code == "configuration"


def test_learning_imports_no_heavy_library_before_it_is_needed():
    # an interpreter of its own, whose modules no other test has touched
    code = (
        "import sys\n"
        "from coterie_common.learning import algorithm, evaluation, model\n"
        "from coterie_common.learning.algorithms import decision_tree, statistics\n"
        "from coterie_common.learning.data import dataset_file\n"
        "heavy = {'sklearn', 'pandas', 'pyarrow', 'torch', 'grpc', 'google.protobuf', 'sqlalchemy', 'dp_accounting'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or None)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
