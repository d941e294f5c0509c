# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Models of every kind of network load as documented, and keep what was not trained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from coterie_common.learning.algorithm import VectorAlgorithm
from tests.support.vector_simulation import SimulatedJob

if TYPE_CHECKING:
    from torch import Tensor

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'coterie[torch]'")
pytest.importorskip("safetensors.torch", reason="safetensors is not installed")

from torch import nn  # noqa: E402

from coterie.simulation.division import as_party  # noqa: E402
from coterie_common.errors import InvalidJob  # noqa: E402
from coterie_common.learning.algorithm import get_algorithm  # noqa: E402
from coterie_common.learning.data.dataset import Dataset  # noqa: E402
from coterie_common.learning.data.schema import parse_schema  # noqa: E402
from coterie_common.learning.model import Model  # noqa: E402
from coterie_common.learning.network.architectures import build  # noqa: E402
from coterie_common.learning.network.flat import FlatNetwork, load_network  # noqa: E402
from coterie_common.learning.predictor import load_predictor  # noqa: E402
from coterie_common.privacy.noise.mechanisms import Placement  # noqa: E402
from tests.support import networks  # noqa: E402
from tests.support.models import make_lineage  # noqa: E402
from tests.support.repository import ROOT  # noqa: E402
from tests.support.seeded_random import SeededRandom  # noqa: E402
from tests.support.vector_simulation import Goal, simulate_vector_job  # noqa: E402

FILE = "mnist-cnn-1a2b3c4d.safetensors"
MAKERS = {"frozen": networks.frozen, "buffers": networks.Buffers, "tied": networks.Tied}
ALGORITHMS = ("network", "federated_averaging")


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    information = tmp_path / "theirs-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    lines = (f"{name} = tests.support.networks:{maker.__name__}\n" for name, maker in MAKERS.items())
    (information / "entry_points.txt").write_text("[coterie.networks]\n" + "".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    load_network.cache_clear()


def make_dataset(numbers: int, rows: int = 60) -> Dataset:
    schema = parse_schema(
        {
            "label": "y",
            "max_records": 100,
            "columns": [
                *({"name": f"x{number}", "lower": -1, "upper": 1} for number in range(numbers)),
                {"name": "y", "levels": ["no", "yes"]},
            ],
        }
    )
    draw = np.random.default_rng(3)
    columns = {f"x{number}": draw.uniform(-1, 1, rows) for number in range(numbers)}
    return Dataset(schema, columns | {"y": (columns["x0"] > 0).astype(np.int32)}, rows)


def trained(algorithm: str, network: str, dataset: Dataset, **config: Any) -> tuple[SimulatedJob, Model]:
    own = {"records": dataset.rows, "learning_rate": 1} if algorithm == "network" else {}
    job = simulate_vector_job(
        algorithm,
        {"network": network, "rounds": 2, **own, **config},
        dataset.schema,
        [as_party(dataset)] * 3,
        Goal(placement=Placement.NONE),
        SeededRandom("state"),
    )
    return job, Model(name="m", algorithm=algorithm, schema=dataset.schema, body=job.body, lineage=make_lineage())


def trained_length(name: str, inputs: int = 3, *, everything: bool = False) -> int:
    parameters = MAKERS[name](inputs, 2).parameters()
    return sum(each.numel() for each in parameters if everything or each.requires_grad)


def documented() -> str:
    """Return the lines of docs/algorithms.md that load a network's model, as written."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/algorithms.md").read_text(), re.DOTALL)
    block: str
    (block,) = [each for each in blocks if "load_state_dict" in each]
    return block


def load_as_documented(model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch, module: Any = None) -> Any:
    (folder / FILE).write_bytes(Model.from_bytes(model.to_bytes()).to_bytes())
    monkeypatch.chdir(folder)
    lines = documented()
    variables: dict[str, Any] = {}
    if module is not None:
        assert lines.count("module = ") == 1
        lines = re.sub(r"^module = .*$", "", lines, flags=re.MULTILINE)
        variables["module"] = module
    exec(lines, variables)  # noqa: S102  # the documentation, as a reader would run it
    return variables["module"].eval()


def assert_same(module: Any, model: Model, dataset: Dataset) -> None:
    points = np.column_stack([dataset.columns[column.name] for column in model.schema.features])
    inputs = points
    if "scale" in model.body:
        inputs = (points - np.array(model.body["centre"])) / np.array(model.body["scale"])
    with torch.no_grad():
        shares = module(torch.from_numpy(inputs.astype(np.float32))).softmax(1).numpy()
    np.testing.assert_allclose(load_predictor(model).predict_proba(points), shares, rtol=1e-4, atol=1e-6)


def test_documented_lines_load_a_built_in_network(tmp_path, monkeypatch):
    network = load_network("cnn", 784, 10, 0)
    body: dict[str, Any] = {"network": "cnn", **network.named(network.initial())}
    levels = [str(digit) for digit in range(10)]
    columns = [*({"name": f"p{n}", "lower": -1, "upper": 1} for n in range(784)), {"name": "y", "levels": levels}]
    schema = parse_schema({"label": "y", "max_records": 100, "columns": columns})
    model = Model(name="m", algorithm="network", schema=schema, body=body, lineage=make_lineage())
    module = load_as_documented(model, tmp_path, monkeypatch)
    assert all(np.array_equal(tensor.numpy(), body[name]) for name, tensor in module.state_dict().items())


def test_documented_line_loads_a_model_whose_numbers_were_standardised(tmp_path, monkeypatch):
    dataset = make_dataset(3)
    _, model = trained("network", "mlp", dataset, scaling="statistics")
    module = load_as_documented(model, tmp_path, monkeypatch, build("mlp", 3, 2))
    assert_same(module, model, dataset)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", MAKERS)
def test_documented_line_loads_every_kind_of_network(tmp_path, monkeypatch, registered, algorithm, name):
    dataset = make_dataset(3)
    _, model = trained(algorithm, name, dataset, parameters=trained_length(name))
    other = MAKERS[name](3, 2)
    module = load_as_documented(model, tmp_path, monkeypatch, other)
    assert_same(module, model, dataset)
    for key, tensor in module.state_dict().items():
        assert np.array_equal(tensor.double().numpy(), model.body[key].astype(np.float64)), key


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("everything", [False, True], ids=["trained counted", "all counted"])
def test_frozen_parameters_stay_frozen_and_take_nothing_of_the_clipping_norm(registered, algorithm, everything):
    dataset = make_dataset(3)
    length = trained_length("frozen", everything=everything)
    job, model = trained(algorithm, "frozen", dataset, parameters=length, l2=0.01)
    initial = load_network("frozen", 3, 2, 0)._module.state_dict()
    for name in ("0.weight", "0.bias"):
        assert np.array_equal(model.body[name], initial[name].numpy())
    assert not np.array_equal(model.body["2.weight"], initial["2.weight"].numpy())
    head = trained_length("frozen")
    for ask in job.asks:
        assert ask.length == length
        descent = get_algorithm(algorithm)
        assert isinstance(descent, VectorAlgorithm)
        for rows in descent.vectors(ask, dataset):
            assert rows.shape[1] == length
            assert not rows[:, head:].any()
            assert rows[:, :head].any()


def test_job_with_another_number_of_parameters_says_what_is_trained_and_what_frozen(registered):
    algorithm = get_algorithm("network")
    config = algorithm.parse_config({"network": "frozen", "rounds": 1, "records": 60, "parameters": 15})
    with pytest.raises(InvalidJob, match=r"trains 14, besides 24 that are frozen"):
        algorithm.initial_state(config, make_dataset(3).schema)


class WithBuffer(nn.Module):
    def __init__(self, buffer: Tensor) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)
        self.register_buffer("kept", buffer)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.head(rows)
        return logits


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (WithBuffer(torch.full((2,), -torch.inf)), "'kept' .* not finite.*persistent=False"),
        (WithBuffer(torch.zeros(2, dtype=torch.complex64)), "'kept' .*complex64"),
        (nn.Linear(3, 2).requires_grad_(False), "to be trained"),
    ],
)
def test_network_whose_state_no_model_file_holds_is_refused_before_it_is_trained(module, words):
    with pytest.raises(InvalidJob, match=words):
        FlatNetwork(module, 3, 2)
