# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the degree of the sharings of zero stops: a holder that reads a factor from the opened shares of a product.

With an even number of holders k = 2g + 2, shares of degree 2g carry a parity check Σ L_i·h_i = 0. A cheater adds
δ_i = λ_i/L_i to what g + 1 honest holders get of the first factor, with λ_i for the value at 0 from those g + 1 points.
The sum is then the second factor, and nothing else shows it. With zero shared in degree k − 1 there is no such check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isqrt

import numpy as np
import pytest
from gmpy2 import invert

from coterie_common.crypto.generation.candidates import polynomials
from coterie_common.crypto.generation.cells import CellDraws, CellPart
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.sharing import Polynomial
from coterie_common.crypto.generation.steps.inverting import UnitsStage
from coterie_common.crypto.generation.steps.messages import Broadcast, Step, decode_numbers, encode_numbers, width
from coterie_common.crypto.generation.steps.setup import Draft, Stage
from tests.support.joint_generation import Cheat, Holders, make_setups
from tests.support.joint_modulus import make_batch, small

EVEN = (4, 6, 8)
CHEATER = 2


def ratio(numerators: Iterable[int], denominators: Iterable[int], modulus: int) -> int:
    """Return ∏ numerators / ∏ denominators."""
    value = 1
    for each in numerators:
        value = value * each % modulus
    for each in denominators:
        value = value * int(invert(each, modulus)) % modulus
    return value


def parity_weights(holders: int, modulus: int) -> dict[int, int]:
    """Return L_i: Σ L_i·f(i) is the coefficient of x^{k−1}, which is 0 for every f of degree k − 2."""
    points = range(1, holders + 1)
    return {i: ratio((), (i - j for j in points if j != i), modulus) for i in points}


def shifts(holders: int, modulus: int) -> dict[int, int]:
    """Return δ_i for g + 1 honest holders."""
    parity = parity_weights(holders, modulus)
    honest = [i for i in range(1, holders + 1) if i != CHEATER][: (holders - 1) // 2 + 1]
    return {
        i: ratio((j for j in honest if j != i), (j - i for j in honest if j != i), modulus)
        * int(invert(parity[i], modulus))
        % modulus
        for i in honest
    }


def parity(opened: Mapping[int, int], modulus: int) -> int:
    """Return what the cheater reads."""
    weights = parity_weights(len(opened), modulus)
    return sum(weights[i] * value for i, value in opened.items()) % modulus


def of_degree_2g(zero: Polynomial) -> Polynomial:
    """Return a sharing of zero with one coefficient less: k is even."""
    return Polynomial(zero.reveal()[:-1])


class LowDegree(Cheat):
    """Shares zero with degree 2g, as everybody would do it where nobody thought of this attack."""

    def __init__(self, is_low: bool) -> None:
        self._is_low = is_low

    def alter(self, stage: Stage) -> Stage:
        if isinstance(stage, UnitsStage) and self._is_low:
            unit, factors, zero = stage.polynomials
            return replace(stage, polynomials=(unit, factors, of_degree_2g(zero)))
        return stage


class Shifting(LowDegree):
    """Adds δ_i to the shares of r."""

    modulus = 0

    def say(self, stage: Stage, draft: Draft) -> Draft:
        if not isinstance(stage, UnitsStage):
            return draft
        n = self.modulus = stage.modulus.value
        added, parts = shifts(stage.run.setup.parameters.holders, n), {}
        for other, data in draft.parts.items():
            unit, *rest = decode_numbers(data, width(n), 3, n) or ()
            parts[other] = encode_numbers([(unit + added.get(other, 0)) % n, *rest], width(n))
        return Draft(draft.body, parts)


@pytest.mark.parametrize("holders", EVEN)
@pytest.mark.parametrize("is_low", [True, False], ids=["degree 2g", "degree k-1"])
def test_shifted_shares_of_the_unit_show_the_factors_only_where_zero_has_degree_2g(holders, is_low):
    parameters = GenerationParameters._insecure_for_tests(
        holders=holders, decryption_threshold=holders // 2, key_bits=256, batch=64
    )
    cheat = Shifting(is_low)
    others = {index: LowDegree(is_low) for index in parameters.indices}
    run = Holders(make_setups(parameters, 5), {**others, CHEATER: cheat})
    run.run()
    # Nobody sees anything of it.
    assert all(each.completed is not None for each in run.outcomes.values())
    opened = {
        frame.sender: int.from_bytes(frame.body, "big")
        for frame in run.frames
        if isinstance(frame, Broadcast) and frame.step is Step.UNIT
    }
    total = parity(opened, cheat.modulus) + 1
    discriminant = total**2 - 4 * cheat.modulus
    p = (total + isqrt(max(discriminant, 0))) // 2
    assert (p * (total - p) == cheat.modulus) == is_low


def product_shares(values: Sequence[Sequence[int]], added: Mapping[int, int], modulus: int) -> dict[int, int]:
    """Return what every holder opens, from its values of both factors and of zero."""
    return {
        i: ((first + added.get(i, 0)) * second + zero) % modulus
        for i, (first, second, zero) in enumerate(values, start=1)
    }


@pytest.mark.parametrize("holders", EVEN)
def test_shifted_shares_of_p_show_q_only_where_zero_has_degree_2g(holders):
    batch = make_batch(small(holders, holders, batch=8), f"products {holders}")
    prime = batch.parameters.product_modulus
    added = shifts(holders, prime)
    for candidate in range(batch.choice.candidates):
        _, q = batch.factors(candidate)
        drawn = [polynomials(s[candidate], d[candidate]) for s, d in zip(batch.shares, batch.draws, strict=True)]
        p_total, q_total, zero = (Polynomial.total(of) for of in zip(*drawn, strict=True))
        for is_low, hidden in ((True, of_degree_2g(zero)), (False, zero)):
            values = [[int(each.at(i, prime)) for each in (p_total, q_total, hidden)] for i in batch.parameters.indices]
            assert (parity(product_shares(values, added, prime), prime) == q) == is_low


@pytest.mark.parametrize("holders", EVEN)
def test_shifted_shares_of_r_show_residues_only_where_zero_has_degree_2g(holders):
    batch = make_batch(small(holders, holders, batch=8), f"cells {holders}")
    parameters, primes = batch.parameters, batch.parameters.cell_primes
    total = CellDraws.total(batch.cells, primes)
    low = total.reveal().copy()
    low[:, -1] = 0
    p = total.reveal()[:, 0].tolist()
    read = {}
    for is_low, draws in ((True, CellDraws(low)), (False, total)):
        parts = [draws.part(parameters, i, primes) for i in parameters.indices]
        read[is_low] = [residue(parts, cell, int(prime)) for cell, prime in enumerate(primes)]
    assert read[True] == p
    # As many as chance makes: one in ℓ.
    expected = float((1 / primes).sum())
    assert np.count_nonzero(np.array(read[False]) == p) < expected + 6 * expected**0.5


def residue(parts: Sequence[CellPart], cell: int, prime: int) -> int:
    """Return what the cheater reads of p from one cell."""
    values = [[int(part.reveal()[row, cell]) for row in (1, 0, 2)] for part in parts]
    return parity(product_shares(values, shifts(len(parts), prime), prime), prime)
