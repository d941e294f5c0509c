# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'coterie[torch]'")

from torch import nn  # noqa: E402

from coterie_common.errors import InvalidJob, TrainingFailed  # noqa: E402
from coterie_common.learning.network.flat import FlatNetwork, load_network  # noqa: E402
from coterie_common.learning.network.shapes import parameter_count  # noqa: E402

DRAW = np.random.default_rng(11)


def make_inputs(rows: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    return DRAW.uniform(-1, 1, (rows, width)).astype(np.float32), DRAW.integers(0, 3, rows)


@pytest.mark.parametrize(("name", "inputs"), [("mlp", 5), ("cnn", 196), ("cnn", 784)])
def test_built_in_network_has_as_many_parameters_as_planned(name, inputs):
    assert load_network(name, inputs, 3, 0).length == parameter_count(name, inputs, 3)


@pytest.mark.parametrize(("name", "width"), [("mlp", 5), ("cnn", 196)])
def test_gradients_are_those_of_one_record_at_a_time(name, width):
    network = load_network(name, width, 3, 1)
    inputs, classes = make_inputs(4, width)
    rows = network.gradients(network.initial(), inputs, classes)
    assert (rows.dtype, rows.shape) == (np.float32, (4, network.length))
    module = network._module
    for row, record, label in zip(rows, inputs, classes, strict=True):
        module.zero_grad()
        outputs = module(torch.from_numpy(record[np.newaxis]))
        nn.functional.cross_entropy(outputs, torch.tensor([int(label)])).backward()
        expected = torch.cat([parameter.grad.reshape(-1) for parameter in module.parameters()]).numpy()
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-6)


def test_initial_parameters_follow_from_the_seed_and_leave_torch_alone():
    before = torch.random.get_rng_state()
    first, again, other = (FlatNetwork(load_network("mlp", 5, 3, seed)._module, 5, 3).initial() for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_threads_that_share_a_network_get_what_each_would_get_alone():
    network = load_network("mlp", 5, 3, 3)
    inputs, classes = make_inputs(300, 5)
    parameters = [network.initial() * factor for factor in (1, 2, 4, 8)]

    def compute(flat: NDArray[np.float32]) -> tuple[bytes, ...]:
        trained = network.train(flat, inputs, classes, epochs=1, batch=50, learning_rate=0.1)
        gradients = network.gradients(flat, inputs[:8], classes[:8])
        return tuple(part.tobytes() for part in (network.logits(flat, inputs), trained, gradients, network.initial()))

    alone = [compute(flat) for flat in parameters]
    before = torch.random.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(compute, parameters * 5))
    assert together == alone * 5
    assert torch.equal(torch.random.get_rng_state(), before)


def test_logits_of_parameters_that_cannot_be_written_to_are_those_of_the_module():
    network = load_network("mlp", 5, 3, 1)
    inputs, _ = make_inputs(1500, 5)
    parameters = network.initial()
    parameters.flags.writeable = False
    with torch.no_grad():
        expected = network._module(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(network.logits(parameters, inputs), expected, rtol=1e-4, atol=1e-5)
    assert network.logits(parameters, inputs[:0]).shape == (0, 3)


def test_named_parameters_are_a_state_dict():
    network = load_network("mlp", 5, 3, 1)
    named = network.named(network.initial())
    assert list(named) == list(network._module.state_dict())
    for name, tensor in network._module.state_dict().items():
        assert np.array_equal(named[name], tensor.numpy())


def test_train_makes_the_steps_of_stochastic_gradient_descent():
    network = load_network("mlp", 5, 3, 1)
    inputs, classes = make_inputs(6, 5)
    start = network.initial()
    # one batch of all records: a step along the mean gradient, twice
    expected = start
    for _ in range(2):
        expected = expected - np.float32(0.5) * network.gradients(expected, inputs, classes).mean(axis=0)
    trained = network.train(start, inputs, classes, epochs=2, batch=6, learning_rate=0.5)
    np.testing.assert_allclose(trained, expected, rtol=1e-4, atol=1e-6)
    assert not np.array_equal(trained, start)


def test_train_on_no_records_changes_nothing():
    network = load_network("mlp", 5, 3, 1)
    inputs, classes = make_inputs(0, 5)
    start = network.initial()
    assert np.array_equal(network.train(start, inputs, classes, epochs=3, batch=2, learning_rate=1.0), start)


class Reserved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, rows: Tensor) -> Tensor:
        return rows[:, :3] * self.scale


class Failing(nn.Module):
    def __init__(self, error: IndexError | TypeError) -> None:
        super().__init__()
        self.dense, self._error = nn.Linear(5, 3), error

    def forward(self, rows: Tensor) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Tanh(), "must have parameters"),
        (nn.Linear(5, 3).double(), "32-bit"),
        (nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)), "batch normalisation"),
        (Reserved(), "can be called"),
        (nn.Linear(4, 3), "cannot take 5 inputs"),
        (nn.Linear(5, 2), r"\(2, 2\) for 2 records"),
        (nn.Sequential(nn.Linear(5, 3), nn.Flatten(0)), r"returns shape \(6,\)"),
        (Failing(TypeError("no")), "cannot take 5 inputs"),
        (Failing(IndexError("no")), "cannot take 5 inputs"),
    ],
)
def test_module_that_cannot_be_used_raises_invalid_job(module, words):
    with pytest.raises(InvalidJob, match=words) as caught:
        FlatNetwork(module, 5, 3)
    assert caught.value.code == "invalid-job"


class DependsOnData(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 3)

    def forward(self, rows: Tensor) -> Tensor:
        return self.dense(rows) if rows.sum().item() > -1000 else rows[:, :3]


def test_gradients_that_torch_cannot_compute_per_record_raise_training_failed():
    network = FlatNetwork(DependsOnData(), 5, 3)
    inputs, classes = make_inputs(4, 5)
    with pytest.raises(TrainingFailed, match="per record") as caught:
        network.gradients(network.initial(), inputs, classes)
    assert caught.value.code == "training-failed"


def test_dropout_is_drawn_once_for_all_records_of_a_round():
    network = FlatNetwork(nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 3)), 5, 3)
    inputs, classes = make_inputs(300, 5)
    parameters = network.initial()
    before = torch.random.get_rng_state()
    rows = network.gradients(parameters, inputs, classes)
    # a record's neighbours and place make no difference
    assert np.array_equal(network.gradients(parameters, inputs[7:], classes[7:]), rows[7:])
    dropped = {tuple(row[: network.length - 3].reshape(3, 5).any(axis=0).tolist()) for row in rows}
    assert len(dropped) == 1
    others = network.gradients(parameters * np.float32(1.5), inputs, classes)
    again = network.gradients(parameters * np.float32(1.25), inputs, classes)
    masks = [(each[0] == 0).tobytes() for each in (rows, others, again)]
    assert len(set(masks)) > 1
    assert torch.equal(torch.random.get_rng_state(), before)


class Mixing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 3)

    def forward(self, rows: Tensor) -> Tensor:
        mixed: Tensor = self.dense(rows - rows.mean(dim=0))
        return mixed


def test_network_that_mixes_records_is_refused():
    with pytest.raises(InvalidJob, match="mixes records"):
        FlatNetwork(Mixing(), 5, 3)


def test_what_a_call_leaves_in_a_buffer_does_not_reach_the_next():
    adding = Adding()
    network = FlatNetwork(nn.Sequential(nn.Flatten(), nn.Linear(5, 3)), 5, 3)
    network._module.add_module("2", adding)
    inputs, _ = make_inputs(5, 5)
    first = network.logits(network.initial(), inputs)
    assert np.array_equal(network.logits(network.initial(), inputs), first)
    assert adding.added.tolist() == [0, 0, 0]


class Adding(nn.Module):
    added: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("added", torch.zeros(3))

    def forward(self, rows: Tensor) -> Tensor:
        self.added += 1
        return rows + self.added


def test_torch_has_one_thread():
    assert torch.get_num_threads() == 1
