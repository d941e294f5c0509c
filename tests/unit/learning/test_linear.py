# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import base64
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import approx_fprime
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score

from coterie.simulation.division import as_party, deal
from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage, StateError, StorageError
from coterie_common.learning.algorithm import Ask, Classifier, Regressor, Release, VectorAlgorithm, get_algorithm
from coterie_common.learning.algorithms.linear_losses import Loss, derivatives
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema, parse_schema
from coterie_common.learning.evaluation import Evaluation, embed_model
from coterie_common.learning.model import Model, load_model
from coterie_common.learning.plan import Records
from coterie_common.learning.predictor import load_predictor
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.job_spec import JobSpec
from tests.support.models import make_lineage
from tests.support.models import make_model as make_tree
from tests.support.present import present
from tests.support.seeded_random import SeededRandom
from tests.support.vector_simulation import Goal, SimulatedJob, simulate_vector_job

FEATURES: list[dict[str, Any]] = [
    {"name": "age", "lower": 0, "upper": 100},
    {"name": "dose", "lower": -3, "upper": 3},
    {"name": "ward", "levels": ["a", "b", "c"]},
]
LABELS = {
    2: {"name": "label", "levels": ["no", "yes"]},
    3: {"name": "label", "levels": ["low", "mid", "high"]},
    None: {"name": "label", "lower": -10, "upper": 30},
}
NO_NOISE = Goal(placement=Placement.NONE)
CLASSIFIERS = ["logistic_regression", "linear_svm"]
NAMES = [*CLASSIFIERS, "linear_regression"]


def make_schema(classes: int | None) -> Schema:
    return parse_schema({"label": "label", "max_records": 500, "columns": [*FEATURES, LABELS[classes]]})


def make_dataset(classes: int | None, rows: int = 300, seed: int = 5) -> Dataset:
    draw = np.random.default_rng(seed)
    age, dose, ward = draw.uniform(0, 100, rows), draw.uniform(-3, 3, rows), draw.integers(0, 3, rows).astype(np.int32)
    score = (age - 50) / 25 - dose + 0.8 * (ward == 1) + draw.normal(size=rows) * 0.3
    if classes is None:
        label = np.clip(10 + 2 * score, -10, 30)
    else:
        label = np.digitize(score, np.quantile(score, np.arange(1, classes) / classes)).astype(np.int32)
    return Dataset(make_schema(classes), {"age": age, "dose": dose, "ward": ward, "label": label}, rows)


def classes_of(name: str) -> int | None:
    return None if name == "linear_regression" else 3


def train(
    name: str, dataset: Dataset, goal: Goal = NO_NOISE, set_aside: Dataset | None = None, **config: Any
) -> SimulatedJob:
    random = SeededRandom("linear")
    aside = [None] * 3 if set_aside is None else deal(set_aside, 3, random)
    parties = [as_party(part, other) for part, other in zip(deal(dataset, 3, random), aside, strict=True)]
    table = {"rounds": 60, "records": dataset.rows, "clip_norm": 4, **config}
    return simulate_vector_job(name, table, dataset.schema, parties, goal, random)


def make_model(name: str, dataset: Dataset, job: SimulatedJob) -> Model:
    lineage = make_lineage(len(job.releases))
    return Model(name="model", algorithm=name, schema=dataset.schema, body=job.body, lineage=lineage)


def raw(dataset: Dataset) -> list[dict[str, Any]]:
    wards = np.array(["a", "b", "c"])[dataset.columns["ward"]]
    return [
        {"age": age, "dose": dose, "ward": ward}
        for age, dose, ward in zip(dataset.columns["age"], dataset.columns["dose"], wards, strict=True)
    ]


def prepare(name: str, **config: Any) -> tuple[Any, Any, Schema]:
    algorithm, schema = get_algorithm(name), make_schema(classes_of(name))
    parsed = algorithm.parse_config({"rounds": 2, "records": 300, "clip_norm": "0.5", **config})
    return algorithm, parsed, schema


def changed(ask: Ask, **entries: Any) -> Ask:
    body = {name: value for name, value in {**ask.body, **entries}.items() if value is not None}
    return Ask(ask.round_number, body)


@pytest.mark.parametrize("name", NAMES)
def test_algorithm_of_name_has_both_halves(name):
    algorithm = get_algorithm(name)
    assert isinstance(algorithm, VectorAlgorithm)
    assert algorithm.name == name
    assert isinstance(algorithm, Classifier) == (name in CLASSIFIERS)
    assert isinstance(algorithm, Regressor) == (name not in CLASSIFIERS)


@pytest.mark.parametrize("name", NAMES)
def test_plan_has_a_vector_round_per_step_and_the_rounds_asked_for_around_them(name):
    algorithm, config, schema = prepare(name, batch=30, scaling="statistics", held_out=True)
    statistics, *training, last = algorithm.plan(config, schema).rounds
    outputs = 3 if name in CLASSIFIERS else 1
    assert [planned.length for planned in training] == [6 * outputs] * 2
    assert {(planned.clip_norm, planned.sampling_rate) for planned in training} == {(Fraction(1, 2), Fraction(1, 10))}
    assert (statistics.length, statistics.sampling_rate, statistics.records) == (5, None, None)
    # twice a sampling rate of 1/10, and a tenth of it all: 1/(0.1·√0.2) = 22.4
    assert float(statistics.noise_factor) == pytest.approx(22.36, abs=0.01)
    length = 3 + 3 if name in CLASSIFIERS else 5
    assert (last.length, last.sampling_rate, last.records) == (length, None, Records.SET_ASIDE)
    assert last.noise_factor > statistics.noise_factor


def test_plan_of_full_batches_has_no_sampling():
    for batch in ({}, {"batch": 300}):
        algorithm, config, schema = prepare("logistic_regression", **batch)
        assert {planned.sampling_rate for planned in algorithm.plan(config, schema).rounds} == {None}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"rounds": 0}, "rounds"),
        ({"rounds": 9_999}, "rounds"),
        ({"records": 0}, "records"),
        ({"batch": 301}, "batch must be at most records"),
        ({"clip_norm": 0}, "clip_norm"),
        ({"clip_norm": 0.5}, "clip_norm"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"l2": 10}, "l2 times learning_rate"),
        ({"momentum": 1}, "momentum"),
        ({"optimiser": "newton"}, "optimiser"),
        ({"scaling": "none"}, "scaling"),
        ({"loss": "logistic"}, "loss"),
        ({"more": 1}, "more is not a known key"),
    ],
)
def test_parse_config_of_wrong_table_raises_invalid_job(table, words):
    with pytest.raises(InvalidJob, match=words) as caught:
        prepare("linear_svm", **table)
    assert caught.value.code == "invalid-job"


def test_plan_without_what_it_needs_raises_invalid_job():
    categorical = parse_schema({"label": "label", "max_records": 9, "columns": [FEATURES[2], LABELS[2]]})
    algorithm, config, _ = prepare("logistic_regression", scaling="statistics")
    with pytest.raises(InvalidJob, match="scaling"):
        algorithm.plan(config, categorical)
    regression, config, _ = prepare("linear_regression")
    with pytest.raises(InvalidJob, match="lower and upper"):
        regression.plan(config, categorical)


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("outputs", [1, 3])
def test_derivatives_are_those_of_the_loss(loss, outputs):
    draw = np.random.default_rng(2)

    def value(row: NDArray[np.float64], label: Any) -> Any:
        if loss is Loss.SQUARED:
            return ((row - label) ** 2).sum() / 2
        if loss is Loss.LOGISTIC and outputs > 1:
            return np.log(np.exp(row).sum()) - row[label]
        signs = np.where(np.arange(outputs) == label, 1, -1) if outputs > 1 else np.array([2 * label - 1])
        if loss is Loss.LOGISTIC:
            return np.log1p(np.exp(-signs * row)).sum()
        slack = np.maximum(0, 1 - signs * row)
        return (slack**2 if loss is Loss.SQUARED_HINGE else slack).sum()

    rows = draw.normal(size=(8, outputs))
    labels = draw.uniform(-1, 1, 8) if loss is Loss.SQUARED else draw.integers(0, max(2, outputs), 8)
    expected = [approx_fprime(row, value, 1e-7, label) for row, label in zip(rows, labels, strict=True)]
    np.testing.assert_allclose(derivatives(loss, rows, labels), expected, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_vectors_have_a_row_per_record_that_depends_on_this_record_only(name):
    algorithm, config, _ = prepare(name, batch=30, scaling="statistics", held_out=True)
    dataset = make_dataset(classes_of(name), rows=300)
    state = algorithm.initial_state(config, dataset.schema)
    draw = np.random.default_rng(4)
    for number in range(1, 5):
        ask = algorithm.next_ask(state)
        assert ask.round_number == number
        rows = np.concatenate(list(algorithm.vectors(ask, dataset)))
        assert rows.shape == (300, ask.length)
        assert rows.dtype == np.float32
        alone = dataset.select(np.arange(300) == 17)
        np.testing.assert_allclose(np.concatenate(list(algorithm.vectors(ask, alone)))[0], rows[17], rtol=1e-4)
        values = rows.sum(axis=0) + draw.normal(size=ask.length)
        state = algorithm.update(state, ask, Release(values.astype(np.float64), 3, 1.0))
    assert algorithm.next_ask(state) is None


@pytest.mark.parametrize("name", NAMES)
def test_vectors_of_no_records_are_none(name):
    algorithm, config, schema = prepare(name)
    ask = algorithm.next_ask(algorithm.initial_state(config, schema))
    nothing = make_dataset(classes_of(name), rows=10).select(np.zeros(10, bool))
    assert sum(len(rows) for rows in algorithm.vectors(ask, nothing)) == 0


@pytest.mark.slow  # a job of many rounds
@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_without_noise_is_that_of_scikit_learn(classes):
    dataset = make_dataset(classes)
    job = train("logistic_regression", dataset, rounds=100, clip_norm=100, l2="0.02", learning_rate="0.3", decay=True)
    model = make_model("logistic_regression", dataset, job)
    values = dataset.columns
    age, dose = (values["age"] - 50) / 50, values["dose"] / 3
    inputs = np.stack([age, dose, *(values["ward"] == ward for ward in range(3))], axis=1)
    # scikit-learn penalises the sum of losses by ‖w‖²/2C; its two outputs of opposite sign share the weight of one
    theirs = LogisticRegression(C=1 / (0.02 * dataset.rows), max_iter=5000).fit(inputs, values["label"])
    ours = load_predictor(model).predict_proba(raw(dataset))
    np.testing.assert_allclose(ours, theirs.predict_proba(inputs), atol=0.02)


@pytest.mark.slow  # a job of many rounds
@pytest.mark.parametrize("loss", ["hinge", "squared-hinge"])
@pytest.mark.parametrize("classes", [2, 3])
def test_svm_without_noise_separates_the_classes(classes, loss):
    dataset = make_dataset(classes)
    model = make_model("linear_svm", dataset, train("linear_svm", dataset, loss=loss))
    predictor = load_predictor(model)
    names = np.array(dataset.schema.class_names)
    # one machine against the rest cannot cut out the middle one of three classes in a row as well as two halves
    expected = 0.93 if classes == 2 else 0.7
    assert accuracy_score(names[dataset.columns["label"]], predictor.predict(raw(dataset))) > expected


@pytest.mark.slow  # a job of many rounds
def test_ridge_regression_without_noise_is_that_of_scikit_learn():
    dataset = make_dataset(None)
    job = train("linear_regression", dataset, rounds=100, clip_norm=100, l2="0.02", learning_rate="0.2", decay=True)
    predictor = load_predictor(make_model("linear_regression", dataset, job))
    values = dataset.columns
    inputs = np.stack(
        [(values["age"] - 50) / 50, values["dose"] / 3, *(values["ward"] == ward for ward in range(3))], axis=1
    )
    theirs = Ridge(alpha=0.02 * dataset.rows).fit(inputs, (values["label"] - 10) / 20).predict(inputs) * 20 + 10
    # gradients of norm up to 100 are rounded coarsely, at random: of labels between 0 and 20, some are 0.05 off
    np.testing.assert_allclose(predictor.predict(raw(dataset)), theirs, atol=0.1)
    assert predictor.score(raw(dataset), values["label"]) > 0.8


@pytest.mark.parametrize("kind", ["plain", "crowded label", "many features"])
def test_regression_with_its_defaults_comes_near_least_squares_in_twenty_rounds(kind):
    draw = np.random.default_rng(4)
    features = draw.normal(size=(500, 12 if kind == "many features" else 3))
    label = features @ draw.normal(size=features.shape[1]) + draw.normal(size=500)
    if kind == "crowded label":
        # most are 0 and few are large, as costs and counts are
        features = np.stack([draw.integers(low, high, 500) for low, high in ((1, 6), (17, 43), (0, 24))], 1).astype(
            float
        )
        label = np.where(draw.random(500) < 0.3, draw.exponential(2.0, 500) * (6 - features[:, 0]), 0)
    bounds = [(f"x{n}", values) for n, values in enumerate(features.T)] + [("label", label)]
    columns = [{"name": name, "lower": int(min(v)) - 1, "upper": int(max(v)) + 1} for name, v in bounds]
    schema = parse_schema({"label": "label", "max_records": 500, "columns": columns})
    dataset = Dataset(schema, dict(bounds), 500)
    job = train("linear_regression", dataset, rounds=20, clip_norm=1)
    ours = load_predictor(make_model("linear_regression", dataset, job)).score(features, label)
    assert ours > LinearRegression().fit(features, label).score(features, label) - 0.05


def test_scaling_by_statistics_finds_what_bounds_hide():
    dataset = make_dataset(None)
    wide = parse_schema(
        {"label": "label", "max_records": 500, "columns": [{**FEATURES[0], "upper": 3000}, *FEATURES[1:], LABELS[None]]}
    )
    dataset = Dataset(wide, dataset.columns, dataset.rows)
    scores = {}
    for scaling in ("bounds", "statistics"):
        job = train("linear_regression", dataset, clip_norm=100, scaling=scaling)
        predictor = load_predictor(make_model("linear_regression", dataset, job))
        scores[scaling] = r2_score(dataset.columns["label"], predictor.predict(raw(dataset)))
    assert scores["statistics"] > scores["bounds"] + 0.1


@pytest.mark.slow  # the accountant searches for the noise of three kinds of rounds
@pytest.mark.parametrize("name", NAMES)
def test_job_with_noise_reports_figures_of_records_held_out(name):
    dataset = make_dataset(classes_of(name), rows=450)
    goal = Goal(epsilon=Fraction(8), shares=2)
    aside = make_dataset(classes_of(name), rows=240, seed=6)
    job = train(name, dataset, goal, aside, clip_norm=1, batch=150, held_out=True, rounds=20)
    figures = job.body["held_out"]
    assert figures["records"] == pytest.approx(240, abs=6 * figures["noise_stddev"] * 2**0.5)
    assert 0 < figures["noise_stddev"] < 30
    accuracy = figures["accuracy"] if name in CLASSIFIERS else 1 - figures["mean_absolute_error"] / 20
    assert 0.5 < accuracy <= 1


@pytest.mark.parametrize("name", NAMES)
def test_model_survives_its_file_and_says_how_it_ends(name, tmp_path):
    dataset = make_dataset(classes_of(name), rows=60)
    model = make_model(name, dataset, train(name, dataset, rounds=3, scaling="statistics", held_out=True))
    assert model.suffix == ".safetensors"
    path = tmp_path / f"model{model.suffix}"
    path.write_bytes(model.to_bytes())
    assert load_model(path) == model
    assert Model.from_document(model.to_document()) == model
    assert hash(load_model(path)) == hash(model)
    assert load_predictor(path).predict(raw(dataset)).tolist() == load_predictor(model).predict(raw(dataset)).tolist()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_evaluation_counts_what_the_predictor_predicts(name):
    dataset = make_dataset(3, rows=90)
    model = make_model(name, dataset, train(name, dataset, rounds=3))
    evaluation = Evaluation()
    config = evaluation.parse_config({"model": model.to_document()})
    ask = present(evaluation.next_ask(evaluation.initial_state(config, dataset.schema)))
    counts = evaluation.answer(ask, dataset, SeededRandom("unused")).reshape(3, 3)
    truth = np.array(dataset.schema.class_names)[dataset.columns["label"]]
    assert counts.trace() == (load_predictor(model).predict(raw(dataset)) == truth).sum()


def test_evaluation_of_a_regression_raises_invalid_job():
    dataset = make_dataset(None, rows=30)
    model = make_model("linear_regression", dataset, train("linear_regression", dataset, rounds=1))
    with pytest.raises(InvalidJob, match="predicts nothing"):
        Evaluation().parse_config({"model": model.to_document()})


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"length": 17}, "18"),
        ({"length": 19}, "19"),
        ({"parameters": None}, "keys"),
        ({"more": 1}, "keys"),
        ({"config": {}}, "another configuration"),
        ({"parameters": [0.0] * 18}, "parameters"),
        ({"parameters": np.zeros(18)}, "parameters"),
        ({"parameters": np.zeros((1, 18), np.float32)}, "parameters"),
        ({"parameters": np.zeros(17, np.float32)}, "parameters"),
        ({"centre": np.zeros(3)}, "centre"),
        ({"scale": np.array([1.0, 0.0])}, "scale"),
        ({"scale": np.array([1.0, -1.0])}, "scale"),
    ],
)
def test_check_ask_of_wrong_ask_raises_malformed_message(entries, words):
    algorithm, config, schema = prepare("logistic_regression", scaling="statistics")
    plan = algorithm.plan(config, schema)
    state = algorithm.initial_state(config, schema)
    first = algorithm.next_ask(state)
    algorithm.check_ask(config, schema, first, plan)
    with pytest.raises(MalformedMessage):
        algorithm.check_ask(config, schema, changed(first, parameters=np.zeros(18, np.float32)), plan)
    second = algorithm.next_ask(algorithm.update(state, first, Release(np.array([300.0, 3, 4, 50, 60]), 3, 0.0)))
    algorithm.check_ask(config, schema, second, plan)
    with pytest.raises(MalformedMessage, match=words) as caught:
        algorithm.check_ask(config, schema, changed(second, **entries), plan)
    assert caught.value.code == "malformed-message"


def test_steps_out_of_order_raise_state_error():
    algorithm, config, schema = prepare("logistic_regression")
    state = algorithm.initial_state(config, schema)
    ask = algorithm.next_ask(state)
    with pytest.raises(StateError, match="before its first round of training"):
        algorithm.finish(state)
    with pytest.raises(StateError, match="asks for vectors"):
        algorithm.answer(ask, make_dataset(3, rows=3), SeededRandom("unused"))
    with pytest.raises(StateError, match="out of order"):
        algorithm.update(state, Ask(2, ask.body), Release(np.zeros(18), 3, 0.0))
    with pytest.raises(StateError, match="out of order"):
        algorithm.update(state, ask, Release(np.zeros(17), 3, 0.0))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"released": None},
        {"released": "1"},
        {"parameters": None},
        {"parameters": np.zeros(17, np.float32)},
        {"figures": None, "parameters": [0.0]},
        {"centre": None},
        {"scale": np.zeros(3)},
        {"scale": "1"},
        {"steps": None},
    ],
)
def test_state_from_wrong_document_raises_storage_error(wrong):
    algorithm, config, schema = prepare("logistic_regression", scaling="statistics")
    state = algorithm.initial_state(config, schema)
    state = algorithm.update(state, algorithm.next_ask(state), Release(np.array([300.0, 3, 4, 50, 60]), 3, 0.0))
    value = dict(algorithm.state_to_document(state))
    assert algorithm.state_from_document(config, schema, value).released == 1
    if wrong is not None:
        value = {name: entry for name, entry in {**value, **wrong}.items() if entry is not None or name == "figures"}
    with pytest.raises(StorageError) as caught:
        algorithm.state_from_document(config, schema, value if wrong else wrong)
    assert caught.value.code == "storage"


@pytest.mark.parametrize(
    "wrong",
    [
        {"coefficients": None},
        {"more": 1},
        {"coefficients": [[0.0] * 3] * 5},
        {"coefficients": np.zeros((5, 2))},
        {"coefficients": np.zeros((5, 3), np.int64)},
        {"intercepts": np.zeros(1)},
        {"centre": np.zeros(2)},
        {"centre": np.zeros(2), "scale": np.zeros(2)},
        {"centre": np.zeros(2), "scale": np.ones(3)},
    ],
)
def test_model_with_wrong_body_raises_malformed_message(wrong):
    dataset = make_dataset(3, rows=30)
    model = make_model("logistic_regression", dataset, train("logistic_regression", dataset, rounds=1))
    body = {name: value for name, value in {**model.body, **wrong}.items() if value is not None}
    broken = Model(name="m", algorithm=model.algorithm, schema=model.schema, body=body, lineage=model.lineage)
    with pytest.raises(MalformedMessage) as caught:
        Model.from_bytes(broken.to_bytes())
    assert caught.value.code == "malformed-message"


def test_model_is_a_part_of_a_job_specification_also_with_figures(tmp_path):
    dataset = make_dataset(2, rows=60)
    model = make_model("logistic_regression", dataset, train("logistic_regression", dataset, rounds=1, held_out=True))
    (tmp_path / "model.safetensors").write_bytes(model.to_bytes())
    spec = JobSpec.from_table(
        {
            "name": "evaluation",
            "algorithm": "evaluation",
            "dataset": "data",
            "config": embed_model({"model": "model.safetensors"}, tmp_path),
            "privacy": {"epsilon": 1, "delta": "0.00001"},
            "schema": {},
        }
    )
    assert Evaluation().parse_config(JobSpec.from_bytes(spec.to_bytes()).config).model == model


def test_model_from_document_of_another_spelling_raises_malformed_message():
    dataset = make_dataset(2, rows=30)
    model = make_model("logistic_regression", dataset, train("logistic_regression", dataset, rounds=1))
    ((name, text),) = model.to_document().items()
    assert Model.from_document({name: text}) == model
    plain = base64.b64encode(make_tree().to_bytes()).decode()
    for other in (1, None, "*", text + "\n", text[:-8], text[:-1], f"{text[:40]}{text[44:]}", plain):
        with pytest.raises(MalformedMessage) as caught:
            Model.from_document({name: other})
        assert caught.value.code == "malformed-message"


def test_regressor_refuses_records_and_models_as_classifiers_do(tmp_path):
    dataset = make_dataset(None, rows=30)
    predictor = load_predictor(make_model("linear_regression", dataset, train("linear_regression", dataset, rounds=1)))
    with pytest.raises(ConfigurationError, match="'ward'"):
        predictor.predict([{"age": 3, "dose": 0, "ward": "z"}])
    assert predictor.fit(None) is predictor
    assert predictor.n_features_in_ == 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scaling", ["bounds", "statistics"])
def test_job_that_ends_early_leaves_a_model_from_its_first_round_of_training_on(name, scaling):
    algorithm, config, schema = prepare(name, scaling=scaling, held_out=True, rounds=3)
    state = algorithm.initial_state(config, schema)
    for _ in range(1 + (scaling == "statistics")):
        with pytest.raises(StateError, match="first round of training"):
            algorithm.finish(state)
        ask = algorithm.next_ask(state)
        state = algorithm.update(state, ask, Release(np.arange(1.0, ask.length + 1), 3, 0.0))
    body = algorithm.finish(state)
    algorithm.check_body(schema, body)
    assert "held_out" not in body
    model = Model(name="early", algorithm=name, schema=schema, body=body, lineage=make_lineage(1))
    assert len(load_predictor(model).predict(raw(make_dataset(classes_of(name), rows=5)))) == 5
