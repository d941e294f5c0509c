# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from sklearn.base import clone, is_classifier
from sklearn.metrics import accuracy_score, f1_score, get_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

from coterie_common.errors import DataError
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.model import Model
from coterie_common.learning.predictor import load_predictor
from tests.support.models import make_lineage, make_model

PREDICTOR = load_predictor(make_model())
COLUMNS: dict[str, list[Any]] = {"outlook": ["sunny", "sunny", "rain"], "humidity": [30, 70.5, 100]}
EXPECTED = ["yes", "no", "yes"]


class Frame:
    """What the predictor needs of a DataFrame, whichever library it is of."""

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> Sequence[Any]:
        return self._columns[name]

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))


def as_rows() -> list[list[Any]]:
    return [list(row) for row in zip(*COLUMNS.values(), strict=True)]


def as_dictionaries() -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in as_rows()]


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(Frame(COLUMNS), id="frame"),
        pytest.param(
            Frame({"extra": [None] * 3, "humidity": COLUMNS["humidity"], "outlook": COLUMNS["outlook"]}), id="x"
        ),
        pytest.param(pa.table({**COLUMNS, "humidity": pa.array([30, 70.5, 100])}), id="arrow table"),
        pytest.param(
            pa.table({"outlook": pa.array(COLUMNS["outlook"]).dictionary_encode(), "humidity": ["30", "70.5", "100"]}),
            id="arrow dictionary",
        ),
        pytest.param(as_dictionaries(), id="dictionaries"),
        pytest.param(as_rows(), id="rows"),
        pytest.param(np.array(as_rows(), dtype=object), id="object array"),
        pytest.param(np.array(as_rows()), id="text array"),
    ],
)
def test_predict_of_every_kind_of_table_returns_class_names(records):
    assert PREDICTOR.predict(records).tolist() == EXPECTED


def test_predict_of_pandas_frame_returns_class_names():
    frame = pd.DataFrame(COLUMNS)
    kinds = [frame, frame.convert_dtypes(), frame.astype("string"), frame.astype({"outlook": "category"})]
    kinds += [frame.astype({"outlook": pd.ArrowDtype(pa.string()), "humidity": pd.ArrowDtype(pa.float64())})]
    kinds += [frame.astype({"humidity": pd.SparseDtype(float)}), frame.set_index(pd.Index([7, 7, 9]))]
    for each in kinds:
        assert PREDICTOR.predict(each).tolist() == EXPECTED


def test_predict_proba_returns_shares_of_the_leaf():
    np.testing.assert_allclose(PREDICTOR.predict_proba(as_rows()), [[0.1, 0.9], [0.8, 0.2], [0.05, 0.95]])


def test_predict_of_no_records_returns_nothing():
    assert PREDICTOR.predict([]).tolist() == []
    assert PREDICTOR.predict(Frame({name: [] for name in COLUMNS})).tolist() == []


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (
            [{"outlook": "snow", "humidity": 3}],
            "row 1, column 'outlook': 'snow'; 'outlook' holds one of 'sunny', 'rain'",
        ),
        ([["rain", 5], ["rain", 101]], "row 2, column 'humidity': 101; 'humidity' holds a number from 0 to 100"),
        ([["rain", None]], "row 1, column 'humidity': an empty cell"),
        ([["rain", float("nan")]], "nan"),
        ([[["rain"], 5]], "column 'outlook': ['rain']"),
        (Frame({"outlook": ["rain"]}), "no column 'humidity'; there are 'outlook'"),
        (pa.table({"humidity": [1]}), "no column 'outlook'"),
        ([{"outlook": "rain"}], "no column 'humidity'"),
        ([["rain", 5, 7]], "2 values each: outlook, humidity"),
        (["rain"], "2 values each"),
        (np.zeros(3), "2 values each"),
        ({"outlook": "rain", "humidity": 3}, "a table, a list"),
        ("rain", "a table, a list"),
        (3, "a table, a list"),
        (Frame({"outlook": ["rain", "rain"], "humidity": [1]}), "different lengths"),
        (scipy.sparse.csr_matrix([[1, 2]]), "a sparse matrix; give its records as a table"),
        (scipy.sparse.coo_array([[1, 2]]), "a sparse matrix"),
        (pd.DataFrame([["rain", 1, 2]], columns=["outlook", "humidity", "humidity"]), "2 columns named 'humidity'"),
        (pa.table([["rain"], [1], [2]], names=["outlook", "humidity", "humidity"]), "2 columns named 'humidity'"),
        (pd.DataFrame([["rain", 1]]), "some of which are not names but numbers"),
        (pd.DataFrame([["rain", 1]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])), "not names"),
        (pa.table({"outlook": ["rain"], "humidity": pa.array([10**8], pa.date32())}), "values that cannot be read"),
        (pd.Series(["rain", 5]), "2 values each"),
        (np.zeros((2, 2, 2)), "2 values each"),
        (pd.DataFrame({"outlook": ["rain"], "humidity": [pd.NA]}), "row 1, column 'humidity': an empty cell (<NA>)"),
        (np.ma.masked_array([[1.0, 2.0]], [[False, True]]), "row 1, column 'outlook': 1.0"),
        (pd.DataFrame({"outlook": ["rain"], "humidity": [True]}), "row 1, column 'humidity': True"),
        (pd.DataFrame({"outlook": ["rain"], "humidity": [10**5000]}), "row 1, column 'humidity': a number too long"),
    ],
)
def test_predict_of_unusable_records_raises_data_error(records, words):
    with pytest.raises(DataError) as caught:
        PREDICTOR.predict(records)
    assert caught.value.code == "data"
    assert words in caught.value.message


def test_predictor_works_in_scorers_and_pipelines():
    assert PREDICTOR.score(as_rows(), EXPECTED) == accuracy_score(EXPECTED, PREDICTOR.predict(as_rows())) == 1
    pipeline = make_pipeline(FunctionTransformer(lambda records: records), PREDICTOR).fit(as_rows(), EXPECTED)
    assert f1_score(EXPECTED, pipeline.predict(as_rows()), average="weighted") == 1
    assert get_scorer("neg_log_loss")(PREDICTOR, as_rows(), EXPECTED) > -1


def test_predictor_is_a_fitted_classifier_that_can_be_cloned():
    copied = clone(PREDICTOR)
    assert is_classifier(copied)
    check_is_fitted(copied)
    assert copied.__sklearn_is_fitted__()
    assert copied.predict(as_rows()).tolist() == EXPECTED
    assert copied.classes_.tolist() == ["no", "yes"]
    assert copied.feature_names_in_.tolist() == ["outlook", "humidity"]
    assert copied.n_features_in_ == 2


@pytest.mark.parametrize(
    "check",
    # those that feed records of their own making cannot apply: what a record is, the model's schema says
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_predictor_passes_the_estimator_check(check):
    getattr(estimator_checks, check)("FederatedClassifier", clone(PREDICTOR))


CODED = {
    "label": "grade",
    "max_records": 9,
    "columns": [
        {"name": "ward", "levels": ["1.0", "2.0", ""]},
        {"name": "is_new", "levels": ["true", "false"]},
        {"name": "Größe", "lower": 0, "upper": 9, "missing": 1},
        {"name": "grade", "levels": ["0", "1"]},
    ],
}
FILE = "ward,is_new,Gr\u006f\u0308ße,grade\n1,True,3,0\n2.0,FALSE,,1.0\n,true,4,1\n"


def test_predict_of_a_frame_takes_codes_and_truth_values_as_pandas_types_them():
    schema = parse_schema(CODED)
    body = {"coefficients": np.array([[5.0], [-5], [0], [0], [0], [0]]), "intercepts": np.zeros(1)}
    model = Model(name="m", algorithm="logistic_regression", schema=schema, body=body, lineage=make_lineage())
    predictor = load_predictor(model)
    due = ["1", "0", "0"]
    for options in ({}, {"dtype": str}, {"dtype": "string"}, {"dtype_backend": "pyarrow"}):
        frame = pd.read_csv(io.StringIO(FILE), **options)
        assert predictor.predict(frame).tolist()[:2] == due[:2]
        # Labels too: 1 of the first two is right for none, the third as its intercept says.
        assert predictor.score(frame.iloc[:2], frame["grade"].iloc[:2]) == 0
        assert clone(predictor).score(frame.iloc[:2], [1, 0.0]) == 1
    with pytest.raises(DataError, match=r"true classes: row 2, column 'grade': 7; 'grade' holds one of '0', '1'"):
        predictor.score(frame.iloc[:2], [1, 7])
