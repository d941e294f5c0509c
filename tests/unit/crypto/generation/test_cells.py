# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import numpy as np
import pytest

from coterie_common.crypto.generation.cells import CellDraws, CellPart, choose, decode, encode
from tests.support.joint_modulus import Batch, make_batch, small


@pytest.fixture(scope="module")
def batch() -> Batch:
    return make_batch(small(5, 3, 256, batch=16), "cells")


def test_cells_open_the_product_of_the_sums_of_what_was_drawn(batch):
    parameters, primes = batch.parameters, batch.parameters.cell_primes
    terms = parameters.degree + 1
    p = sum(each.reveal()[:, 0] for each in batch.cells) % primes
    r = sum(each.reveal()[:, terms] for each in batch.cells) % primes
    # By plain integers, cell by cell: each holder's polynomials, the sum at each index, the product, Lagrange at 0.
    z = []
    for cell, prime in enumerate(primes.tolist()):
        total = 0
        for point, weight in zip(range(1, 6), (5, -10, 10, -5, 1), strict=True):
            rows = [each.reveal()[cell].tolist() for each in batch.cells]
            value_p = sum(sum(c * point**n for n, c in enumerate(row[:3])) for row in rows)
            value_r = sum(sum(c * point**n for n, c in enumerate(row[3:6])) for row in rows)
            zero = sum(sum(c * point ** (n + 1) for n, c in enumerate(row[6:])) for row in rows)
            total += weight * (value_p * value_r + zero)
        z.append(total % prime)
    assert z == (p * r % primes).tolist()
    opened = {i: part.product_share(primes) for i, part in enumerate(batch.parts, start=1)}
    assert choose(parameters, opened).cells.tolist() == batch.choice.cells.tolist()
    start = 0
    for column, count in enumerate(parameters.cells):
        wanted = [cell for cell in range(start, start + count) if z[cell]]
        assert batch.choice.cells[:, column].tolist() == wanted[: len(batch.choice.cells)]
        start += count


@pytest.mark.parametrize("holders", [3, 4, 8, 9])
def test_zero_is_shared_in_cells_with_one_coefficient_less_than_holders(holders):
    batch = make_batch(small(holders, holders, batch=2), "degrees")
    drawn, g = batch.cells[0].reveal(), (holders - 1) // 2
    assert drawn.shape == (len(batch.parameters.cell_primes), 2 * (g + 1) + holders - 1)
    assert drawn.any(axis=0).all()
    assert len(batch.draws[0][0].zero) == holders - 1


def test_chosen_cells_are_used_once(batch):
    cells = batch.choice.cells.reshape(-1).tolist()
    assert len(set(cells)) == len(cells)
    assert batch.choice.candidates == 16
    both = batch.choice.of_candidate(3)
    assert both == set(batch.choice.cells[6].tolist()) | set(batch.choice.cells[7].tolist())


@pytest.mark.parametrize("holders", range(3, 10))
def test_batch_has_nearly_always_all_candidates(holders):
    parameters = small(holders, holders, 256, batch=32)
    assert [make_batch(parameters, seed).choice.candidates for seed in range(3)] == [32] * 3


def test_too_few_cells_make_fewer_candidates():
    parameters = small(batch=4)
    primes = parameters.cell_primes
    ones = {i: np.zeros(len(primes), np.int64) for i in parameters.indices}
    ones[1][0:3] = 1
    ones[1][parameters.cells[0] :] = 1
    assert choose(parameters, ones).candidates == 1


def test_parts_add_up_to_the_parts_of_the_sum(batch):
    parameters, primes = batch.parameters, batch.parameters.cell_primes
    total = CellDraws.total(batch.cells, primes)
    for point, part in enumerate(batch.parts, start=1):
        assert (total.part(parameters, point, primes).reveal() == part.reveal()).all()


def test_residues_have_one_encoding(batch):
    primes = batch.parameters.cell_primes
    values = batch.parts[0].reveal()
    data = encode(values)
    assert len(data) == 6 * len(primes)
    assert (decode(data, primes, 3) == values).all()
    assert decode(data[:-1], primes, 3) is None
    assert decode(data + b"\0\0", primes, 3) is None
    assert decode(int(primes[0]).to_bytes(2, "big") + data[2:], primes, 3) is None


def test_shares_reveal_nothing_when_printed(batch):
    assert repr(batch.cells[0]) == "CellDraws(<redacted>)"
    assert repr(CellPart(np.zeros(1, np.int64))) == "CellPart(<redacted>)"
