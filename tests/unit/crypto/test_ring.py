# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.crypto.pads.ring import DEGREE, MAX_FACTOR, Multiplier, Workspace
from coterie_common.errors import InternalError, StateError
from tests.support.negacyclic import fold, folded_product

MIN, MAX = -(2**31), 2**31 - 1


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def uniform(count: int, seed: int = 1) -> NDArray[np.int32]:
    return generator(seed).integers(MIN, MAX, (count, DEGREE), endpoint=True).astype(np.int32)


def multiply(factor: NDArray[np.int64], elements: NDArray[np.int32]) -> tuple[NDArray[np.uint32], float]:
    workspace = Workspace(len(elements))
    return Multiplier(factor).multiply(elements, workspace), workspace.distance


def monomial(power: int, coefficient: int = 1) -> NDArray[np.int64]:
    """Return coefficient·X^power, stored."""
    coefficients = np.zeros(DEGREE, dtype=np.int64)
    coefficients[power] = coefficient
    return fold(coefficients)


SIGNS = generator(2).choice([-1, 1], DEGREE)
ALTERNATING = np.tile([1, -1], DEGREE // 2)
FACTORS = {
    "all-64": np.full(DEGREE, 64),
    "all-minus-64": np.full(DEGREE, -64),
    "signs": 64 * SIGNS,
    "alternating": 64 * ALTERNATING,
    "halves": 64 * np.repeat([1, -1], DEGREE // 2),
    "one-number": monomial(77, -64),
    "zero": np.zeros(DEGREE, dtype=np.int64),
}
ELEMENTS = {
    "uniform": uniform(1)[0],
    "all-least": np.full(DEGREE, MIN),
    "all-most": np.full(DEGREE, MAX),
    "extreme-signs": np.where(generator(3).integers(0, 2, DEGREE) == 0, MIN, MAX),
    "extreme-alternating": np.where(ALTERNATING > 0, MIN, MAX),
    "as-the-signs": np.where(SIGNS > 0, MAX, MIN),
    "one-number": monomial(2000, MIN),
    "zero": np.zeros(DEGREE, dtype=np.int64),
}


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("element", ELEMENTS)
def test_product_of_extreme_factor_and_element_is_exact(factor, element):
    elements = ELEMENTS[element].astype(np.int32).reshape(1, DEGREE)
    products, distance = multiply(FACTORS[factor], elements)
    assert np.array_equal(products[0], folded_product(elements[0], FACTORS[factor]))
    assert distance <= 0.125


@pytest.mark.parametrize(("contributors", "distance_most"), [(1, 0.001), (10, 0.004), (1_000, 0.04), (10_000, 0.125)])
def test_product_with_a_sum_of_keys_is_exact_and_near_its_integers(contributors, distance_most):
    # Rounded normal numbers have the size of sums of keys, which is what precision depends on.
    factor = np.rint(generator(contributors).normal(0, 6.4 * contributors**0.5, DEGREE)).astype(np.int64)
    elements = uniform(16)
    products, distance = multiply(factor, elements)
    assert 0 < distance < distance_most
    for element, product in zip(elements[:4], products, strict=False):
        assert np.array_equal(product, folded_product(element, factor))


@pytest.mark.parametrize("factor", [1086 * SIGNS, np.full(DEGREE, 1086)], ids=["signs", "constant"])
def test_product_with_the_largest_accepted_sum_of_200_keys_is_exact(factor):
    elements = uniform(32)  # 1086 = ⌊12 · 6.4 · √200⌋
    products, distance = multiply(factor, elements)
    assert distance < 0.2
    for element, product in zip(elements[:4], products, strict=False):
        assert np.array_equal(product, folded_product(element, factor))


@pytest.mark.parametrize("factor", [np.full(DEGREE, MAX_FACTOR), -MAX_FACTOR * SIGNS], ids=["constant", "signs"])
def test_product_that_double_precision_cannot_hold_raises(factor):
    with pytest.raises(InternalError, match="nearest integer") as raised:
        multiply(factor, uniform(32))
    assert raised.value.code == "internal"


@pytest.mark.parametrize("number", [MAX_FACTOR + 1, -MAX_FACTOR - 1, 2**62, -(2**63)])
def test_multiplier_of_a_number_too_large_raises(number):
    # In doubles beyond 2^53 everything is an integer: the distance would be 0 and the product wrong.
    with pytest.raises(StateError, match="too large") as raised:
        Multiplier(monomial(5, number))
    assert raised.value.code == "state"


def test_product_with_one_is_the_element():
    elements = uniform(3)
    products, _ = multiply(monomial(0), elements)
    assert np.array_equal(products.view(np.int32), elements)


@pytest.mark.parametrize(
    ("first", "second", "power", "sign"),
    [(0, 1, 1, 1), (1, 1023, 1024, 1), (1024, 1024, 0, -1), (2047, 1, 0, -1), (2047, 2047, 2046, -1)],
)
def test_product_of_monomials_wraps_with_a_sign(first, second, power, sign):
    products, _ = multiply(monomial(first, 3), monomial(second, 5).astype(np.int32).reshape(1, DEGREE))
    assert np.array_equal(products[0].view(np.int32), monomial(power, 15 * sign))


def test_products_in_pieces_equal_products_at_once():
    elements, factor = uniform(20), FACTORS["signs"]
    at_once, _ = multiply(factor, elements)
    multiplier, workspace = Multiplier(factor), Workspace(7)
    pieces = [multiplier.multiply(elements[start : start + 7], workspace).copy() for start in range(0, 20, 7)]
    assert np.array_equal(np.concatenate(pieces), at_once)


def test_multiply_leaves_the_elements_alone():
    elements = uniform(2)
    before = elements.copy()
    multiply(FACTORS["all-64"], elements)
    assert np.array_equal(elements, before)


def test_multiplier_used_by_threads_at_once_gives_the_same_products():
    multiplier, elements = Multiplier(FACTORS["signs"]), uniform(64)
    expected = multiplier.multiply(elements, Workspace(64))

    def work(start: int) -> bool:
        workspace = Workspace(8)
        return all(
            np.array_equal(multiplier.multiply(elements[start : start + 8], workspace), expected[start : start + 8])
            for _ in range(20)
        )

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(0, 64, 8)))


@pytest.mark.parametrize(
    "factor", [np.zeros(DEGREE - 1, dtype=np.int64), np.zeros((1, DEGREE), dtype=np.int64), np.zeros(DEGREE)]
)
def test_multiplier_of_a_wrong_shape_or_type_raises(factor):
    with pytest.raises(StateError, match="factor") as raised:
        Multiplier(factor)
    assert raised.value.code == "state"


def test_multiplier_does_not_show_or_copy_its_factor():
    multiplier = Multiplier(FACTORS["signs"])
    assert repr(multiplier._transform) == "_Transform(<redacted>)"
    for copying in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            copying(multiplier)
