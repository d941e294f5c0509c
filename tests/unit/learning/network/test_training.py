# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coterie.simulation.division import as_party, deal
from coterie_common.clock import SystemClock
from coterie_common.errors import (
    ConfigurationError,
    InvalidJob,
    MalformedMessage,
    VectorsNotFinite,
    WrongVectorShape,
)
from coterie_common.learning.algorithm import Ask, Classifier, Release, VectorAlgorithm, get_algorithm
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.evaluation import Evaluation
from coterie_common.learning.model import Model
from coterie_common.learning.network.descent import DescentNetworkConfig, NetworkDescent
from coterie_common.learning.plan import Records
from coterie_common.learning.predictor import load_predictor
from coterie_common.privacy.noise.mechanisms import Placement, Unit
from coterie_common.privacy.vectors import clip_and_sum
from coterie_party.training.process import TrainingLimits, TrainingProcess, probe_confinement
from tests.support import attempts
from tests.support.models import make_lineage
from tests.support.present import present
from tests.support.repository import ROOT
from tests.support.seeded_random import SeededRandom
from tests.support.vector_simulation import Goal, SimulatedJob, simulate_vector_job

SCHEMA = parse_schema(
    {
        "label": "kind",
        "max_records": 400,
        "columns": [
            {"name": "x", "lower": -2, "upper": 2},
            {"name": "y", "lower": -2, "upper": 2},
            {"name": "kind", "levels": ["inside", "outside"]},
        ],
    }
)
NAMES = ["network", "federated_averaging"]
NO_NOISE = Goal(placement=Placement.NONE)
MLP = {"network": 2 * 64 + 64 + 64 * 2 + 2}


def make_dataset(rows: int = 300, seed: int = 1) -> Dataset:
    """Inside or outside a circle: nothing that a linear model could tell."""
    points = np.random.default_rng(seed).uniform(-2, 2, (rows, 2))
    kind = (np.hypot(*points.T) > 1.5).astype(np.int32)
    return Dataset(SCHEMA, {"x": points[:, 0], "y": points[:, 1], "kind": kind}, rows)


def prepare(name: str, **config: Any) -> tuple[Any, Any]:
    algorithm = get_algorithm(name)
    own = {"records": 300} if name == "network" else {}
    return algorithm, algorithm.parse_config({"network": "mlp", "rounds": 2, **own, **config})


def train(
    name: str, dataset: Dataset, goal: Goal = NO_NOISE, held_out: Dataset | None = None, **config: Any
) -> SimulatedJob:
    random = SeededRandom("network")
    aside = [None] * 3 if held_out is None else deal(held_out, 3, random)
    parties = [as_party(part, other) for part, other in zip(deal(dataset, 3, random), aside, strict=True)]
    own = {"records": dataset.rows} if name == "network" else {}
    table = {"network": "mlp", **own, **config, "held_out": held_out is not None}
    return simulate_vector_job(name, table, SCHEMA, parties, goal, random)


def as_model(name: str, job: SimulatedJob) -> Model:
    return Model(name="m", algorithm=name, schema=SCHEMA, body=job.body, lineage=make_lineage(len(job.releases)))


def accuracy_of(model: Model, dataset: Dataset) -> float:
    records = np.stack([dataset.columns["x"], dataset.columns["y"]], axis=1)
    return float(
        np.mean(load_predictor(model).predict(records) == np.array(SCHEMA.class_names)[dataset.columns["kind"]])
    )


@pytest.mark.parametrize("name", NAMES)
def test_algorithm_of_name_has_both_halves(name):
    algorithm = get_algorithm(name)
    assert isinstance(algorithm, VectorAlgorithm)
    assert isinstance(algorithm, Classifier)
    assert algorithm.name == name


def test_plan_of_descent_protects_records_and_that_of_averaging_parties():
    network, config = prepare("network", batch=30)
    plan = network.plan(config, SCHEMA)
    assert plan.unit is Unit.RECORD
    assert {(p.length, p.clip_norm, p.sampling_rate) for p in plan.rounds} == {
        (MLP["network"], Fraction(1, 10), Fraction(1, 10))
    }
    averaging, config = prepare("federated_averaging", held_out=True, clip_norm="0.5")
    plan = averaging.plan(config, SCHEMA)
    assert plan.unit is Unit.PARTY
    assert [planned.clip_norm for planned in plan.rounds[:2]] == [Fraction(1, 2)] * 2
    assert plan.rounds[2].records is Records.SET_ASIDE


@pytest.mark.parametrize(
    ("name", "table", "words"),
    [
        ("network", {"network": "No network"}, "network"),
        ("network", {"parameters": 0}, "parameters"),
        ("network", {"seed": -1}, "seed"),
        ("network", {"epochs": 1}, "epochs is not a known key"),
        ("federated_averaging", {"records": 3}, "records is not a known key"),
        ("federated_averaging", {"epochs": 0}, "epochs"),
        ("federated_averaging", {"local_batch": 0}, "local_batch"),
    ],
)
def test_parse_config_of_wrong_table_raises_invalid_job(name, table, words):
    with pytest.raises(InvalidJob, match=words) as caught:
        prepare(name, **table)
    assert caught.value.code == "invalid-job"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"network": "theirs"}, "say how many"),
        ({"network": "mlp", "parameters": 7}, "has 322"),
        ({"network": "cnn"}, "square images"),
    ],
)
def test_plan_of_network_that_does_not_fit_raises_invalid_job(table, words):
    network, config = prepare("network", **table)
    with pytest.raises(InvalidJob, match=words):
        network.plan(config, SCHEMA)


def body_of_model(**changes: Any) -> dict[str, Any]:
    body = {"network": "mlp", "0.weight": np.zeros((64, 2), np.float32), "rest": np.zeros(194, np.float32)}
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {"network": None},
        {"network": 3},
        {"more": 1},
        {"rest": None},
        {"rest": np.zeros(194)},
        {"0.weight": None, "rest": None},
        {"rest": np.zeros(195, np.float32)},
        {"centre": np.zeros(2)},
        {"centre": np.zeros(2), "scale": np.zeros(2)},
        {"centre": np.zeros(3), "scale": np.ones(3)},
        {"centre": np.zeros(2, np.float32), "scale": np.ones(2, np.float32)},
    ],
)
def test_check_body_of_wrong_body_raises_malformed_message(changes):
    network = get_algorithm("network")
    assert isinstance(network, Classifier)
    network.check_body(SCHEMA, body_of_model(centre=np.zeros(2), scale=np.ones(2)))
    with pytest.raises(MalformedMessage) as caught:
        network.check_body(SCHEMA, body_of_model(**changes))
    assert caught.value.code == "malformed-message"


def test_check_body_of_no_object_raises_malformed_message():
    network = get_algorithm("network")
    assert isinstance(network, Classifier)
    with pytest.raises(MalformedMessage):
        network.check_body(SCHEMA, [])


class TestWithTorch:
    """Everything that builds a network."""

    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        pytest.importorskip("torch", reason="torch is not installed: pip install 'coterie[torch]'")

    @pytest.mark.slow  # a job of many rounds
    @pytest.mark.parametrize(
        ("name", "config"),
        [
            ("network", {"rounds": 60, "clip_norm": 10, "learning_rate": "0.05"}),
            ("federated_averaging", {"rounds": 25, "clip_norm": 10, "epochs": 5, "local_learning_rate": "0.3"}),
        ],
    )
    def test_job_without_noise_learns_what_no_linear_model_could(self, name, config):
        dataset = make_dataset()
        job = train(name, dataset, held_out=make_dataset(150, seed=2), **config)
        model = as_model(name, job)
        assert accuracy_of(model, dataset) > 0.9
        assert job.body["held_out"]["accuracy"] == pytest.approx(
            accuracy_of(model, make_dataset(150, seed=2)), abs=0.001 if name == "network" else 0.05
        )
        assert 0 < job.body["held_out"]["loss"] < 0.5

    @pytest.mark.slow  # the accountant searches for the noise
    @pytest.mark.parametrize("name", NAMES)
    def test_job_with_noise_runs_to_its_end(self, name):
        goal = Goal(epsilon=Fraction(8), shares=2)
        config = {"batch": 100, "clip_norm": "0.5"} if name == "network" else {}
        job = train(name, make_dataset(), goal, make_dataset(90, seed=2), rounds=4, **config)
        assert len(job.releases) == 5
        assert job.releases[0].noise_stddev > 0
        assert Model.from_bytes(as_model(name, job).to_bytes()) == as_model(name, job)

    def test_vectors_of_descent_are_a_row_per_record_that_depends_on_it_alone(self):
        network, config = prepare("network")
        dataset = make_dataset(300)
        ask = network.next_ask(network.initial_state(config, SCHEMA))
        rows = np.concatenate(list(network.vectors(ask, dataset)))
        assert rows.shape == (300, MLP["network"])
        alone = np.concatenate(list(network.vectors(ask, dataset.select(np.arange(300) == 280))))
        np.testing.assert_allclose(alone[0], rows[280], rtol=1e-4, atol=1e-6)

    def test_vectors_of_averaging_are_one_row_also_without_records(self):
        averaging, config = prepare("federated_averaging", held_out=True)
        state = averaging.initial_state(config, SCHEMA)
        nothing = make_dataset(10).select(np.zeros(10, bool))
        for number in (1, 2, 3):
            ask = averaging.next_ask(state)
            (row,) = averaging.vectors(ask, make_dataset(10))
            assert row.shape == (1, ask.length)
            assert np.any(row)
            (row,) = averaging.vectors(ask, nothing)
            assert row.tolist() == [[0] * ask.length]
            state = averaging.update(state, ask, Release(np.ones(ask.length), 3, 0.0))
            assert state.released == number

    def test_accuracy_of_averaging_is_of_records_not_of_parties(self):
        averaging, config = prepare("federated_averaging", held_out=True, rounds=1)
        state = averaging.initial_state(config, SCHEMA)
        state = averaging.update(state, averaging.next_ask(state), Release(np.zeros(MLP["network"]), 3, 0.0))
        ask = averaging.next_ask(state)
        sizes, everything = (300, 7, 12, 0), make_dataset(319, seed=8)
        bounds = np.cumsum((0, *sizes))
        rows = np.arange(319)
        parties = [everything.select((start <= rows) & (rows < end)) for start, end in pairwise(bounds)]
        total = np.sum([np.concatenate(list(averaging.vectors(ask, party))).astype(float) for party in parties], axis=0)
        figures = averaging.measure(SCHEMA).figures(Release(total[0], 4, 0.0))
        (alone,) = averaging.vectors(ask, everything)
        pooled = averaging.measure(SCHEMA).figures(Release(alone[0].astype(float), 1, 0.0))
        assert figures["records"] == pytest.approx(319, rel=1e-5)
        for name in ("accuracy", "loss", "base_rate"):
            assert figures[name] == pytest.approx(pooled[name], rel=1e-4)
        counts = np.bincount(everything.columns["kind"])
        assert figures["base_rate"] == pytest.approx(counts.max() / 319, rel=1e-4)

    def test_noise_of_averaging_is_stated_in_records(self):
        averaging, _ = prepare("federated_averaging", held_out=True)
        sums = np.array([0.2, 0.1, 0.05, 0.2, 0.1])
        figures = averaging.measure(SCHEMA).figures(Release(sums, 3, 0.05))
        assert figures["noise_stddev"] == pytest.approx(0.05 * 400)
        assert figures["too_few_records"]  # 120 ± 28
        assert not averaging.measure(SCHEMA).figures(Release(sums, 3, 0.005))["too_few_records"]

    def test_update_of_averaging_adds_the_mean_of_the_updates(self):
        averaging, config = prepare("federated_averaging")
        state = averaging.initial_state(config, SCHEMA)
        ask = averaging.next_ask(state)
        total = np.random.default_rng(0).normal(size=ask.length)
        following = averaging.update(state, ask, Release(total, 4, 0.0))
        np.testing.assert_allclose(following.parameters, state.parameters + total / 4, rtol=1e-5, atol=1e-6)

    def test_state_dict_of_a_model_loads_into_the_module(self, tmp_path):
        import torch

        load_file = pytest.importorskip("safetensors.torch", reason="safetensors is not installed").load_file
        from coterie_common.learning.network.built_in import mlp

        job = train("network", make_dataset(60), rounds=2)
        model = as_model("network", job)
        (tmp_path / "model").write_bytes(model.to_bytes())
        module = mlp(2, 2)
        module.load_state_dict(load_file(tmp_path / "model"))
        points = np.random.default_rng(1).uniform(-2, 2, (20, 2))
        with torch.no_grad():
            logits = module(torch.from_numpy((points / 2).astype(np.float32)))
        np.testing.assert_allclose(
            load_predictor(model).predict_proba(points), logits.softmax(1).numpy(), rtol=1e-4, atol=1e-6
        )

    def test_model_trained_with_statistics_predicts_as_the_job_did(self):
        held_out = make_dataset(120, seed=4)
        job = train(
            "network", make_dataset(200), held_out=held_out, rounds=5, scaling="statistics", learning_rate="0.1"
        )
        assert job.body["held_out"]["accuracy"] == pytest.approx(
            accuracy_of(as_model("network", job), held_out), abs=0.001
        )

    def test_evaluation_counts_what_a_network_predicts(self):
        dataset = make_dataset(80)
        model = as_model("network", train("network", dataset, rounds=2))
        evaluation = Evaluation()
        config = evaluation.parse_config({"model": model.to_document()})
        ask = present(evaluation.next_ask(evaluation.initial_state(config, SCHEMA)))
        counts = evaluation.answer(ask, dataset, SeededRandom("unused")).reshape(2, 2)
        assert counts.trace() == round(accuracy_of(model, dataset) * 80)

    def test_network_with_another_number_of_parameters_than_the_job_is_refused_on_both_sides(self, registered):
        network, config = prepare("network", network="theirs", parameters=99)
        with pytest.raises(InvalidJob, match="trains 10"):
            network.initial_state(config, SCHEMA)
        ask = self.ask_of(network, config, 99)
        network.check_ask(config, SCHEMA, ask, network.plan(config, SCHEMA))
        with pytest.raises(WrongVectorShape, match="trains 10 parameters here, 99 in the job") as caught:
            list(network.vectors(ask, make_dataset(5)))
        assert caught.value.code == "wrong-vector-shape"

    def test_model_of_a_network_that_has_changed_is_refused(self, registered):
        body = {"network": "theirs", "hidden.weight": np.zeros((2, 3), np.float32), "x": np.zeros(3, np.float32)}
        model = Model(name="m", algorithm="network", schema=SCHEMA, body=body, lineage=make_lineage())
        with pytest.raises(ConfigurationError, match="is not the model's"):
            load_predictor(model).predict([[0, 0]])

    @pytest.mark.slow  # starts processes, which load torch
    def test_registered_network_trains_in_the_process_apart(self, registered, monkeypatch):
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(registered), str(ROOT)]))
        network, config = prepare("network", network="theirs", parameters=10)
        dataset = make_dataset(40)
        process = TrainingProcess(
            "network", {Records.TRAINING: dataset}, TrainingLimits(seconds=120, must_be_isolated=True), SystemClock()
        )
        everyone = np.ones(40, bool)
        ask = network.next_ask(network.initial_state(config, SCHEMA))
        rows = np.concatenate(list(process.vectors(ask, Records.TRAINING, everyone, expected=40)))
        assert np.array_equal(rows, np.concatenate(list(network.vectors(ask, dataset))))
        # parameters that overflow: gradients are no numbers, and whoever clips them says so
        broken = self.ask_of(network, config, 10, 3e38)
        with pytest.raises(VectorsNotFinite) as caught:
            clip_and_sum(
                process.vectors(broken, Records.TRAINING, everyone, expected=40), Fraction(1), length=10, maximum=40
            )
        assert caught.value.code == "vectors-not-finite"
        # the process had no fault in it, but said too much to be used again: it is a new one, and works
        again = np.concatenate(list(process.vectors(ask, Records.TRAINING, everyone, expected=40)))
        assert np.array_equal(again, rows)
        process.close()

    @pytest.mark.slow  # starts a process, which loads torch
    def test_network_that_goes_after_the_party_trains_and_reaches_nothing(self, monkeypatch, tmp_path):
        code, home = tmp_path / "code", attempts.make_home(tmp_path)
        (code / "their_networks-1.0.dist-info").mkdir(parents=True)
        (code / "their_networks-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: x\nVersion: 1\n")
        (code / "their_networks-1.0.dist-info" / "entry_points.txt").write_text(
            "[coterie.networks]\ncurious = their_networks:make\n"
        )
        (code / "attempts.py").write_text(Path(attempts.__file__).read_text())
        with socket.create_server(("127.0.0.1", 0)) as server:
            (code / "their_networks.py").write_text(
                "import os\nfrom pathlib import Path\nfrom torch import nn\nfrom attempts import reached\n\n"
                "def make(inputs, outputs):\n"
                f"    home, port = Path({str(home)!r}), {server.getsockname()[1]}\n"
                "    if found := reached(home, os.getppid(), home / 'nobody', port):\n"
                "        raise ZeroDivisionError(found)\n"
                "    return nn.Linear(inputs, outputs)\n"
            )
            network, config = prepare("network", network="curious", parameters=6)
            ask = self.ask_of(network, config, 6)
            limits = TrainingLimits(seconds=120, hidden=(home,), code=(code,))
            process = TrainingProcess("network", {Records.TRAINING: make_dataset(40)}, limits, SystemClock())
            if missing := probe_confinement(limits, SystemClock()).missing:
                pytest.skip(f"on this system a training process can {missing}")
            rows = list(process.vectors(ask, Records.TRAINING, np.ones(40, bool), expected=40))
            process.close()
        assert sum(map(len, rows)) == 40
        assert (home / "store" / "party.db").read_bytes() == b"secret"

    @staticmethod
    def ask_of(network: NetworkDescent, config: DescentNetworkConfig, length: int, value: float = 0.0) -> Ask:
        parameters = np.full(length, value, np.float32)
        return Ask(1, {"length": length, "config": config.model_dump(mode="json"), "parameters": parameters})

    @pytest.fixture
    def registered(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
        from coterie_common.learning.network import flat

        (tmp_path / "their_networks.py").write_text(
            "from torch import nn\n\n"
            "class Theirs(nn.Module):\n"
            "    def __init__(self, inputs, outputs):\n"
            "        super().__init__()\n"
            "        self.hidden = nn.Linear(inputs, 2)\n"
            "        self.last = nn.Linear(2, outputs, bias=False)\n\n"
            "    def forward(self, rows):\n"
            "        return self.last(self.hidden(rows) ** 2)\n"
        )
        information = tmp_path / "their_networks-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: their-networks\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text("[coterie.networks]\ntheirs = their_networks:Theirs\n")
        monkeypatch.syspath_prepend(tmp_path)
        yield tmp_path
        flat.load_network.cache_clear()
