# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie_common.crypto.pads.expansion import PublicElements
from coterie_common.crypto.pads.pad import ERROR_BOUND, KEY_BOUND, OneTimePad, SummedPad, add_covered, key_packing
from coterie_common.crypto.pads.ring import DEGREE, Multiplier, Workspace
from tests.support.negacyclic import folded_product
from tests.support.seeded_random import SeededRandom

lengths = st.integers(1, 3 * DEGREE) | st.sampled_from([DEGREE - 1, DEGREE, DEGREE + 1, 2 * DEGREE])
seeds = st.integers(0, 1 << 32)
sessions = st.binary(min_size=32, max_size=32)
words = st.integers(-(2**31), 2**31 - 1)


def ring_elements(
    numbers: st.SearchStrategy[int], dtype: type[np.int32] | type[np.int64]
) -> st.SearchStrategy[NDArray[Any]]:
    """Elements with few or many different numbers, so that shrinking finds simple ones."""
    return st.lists(numbers, min_size=1, max_size=DEGREE).map(
        lambda some: np.resize(np.array(some, dtype=dtype), DEGREE)
    )


def vector(seed: int, length: int | tuple[int, int], maximum: int = 2**20) -> NDArray[np.int64]:
    return np.random.Generator(np.random.PCG64(seed)).integers(-maximum, maximum, length, endpoint=True)


@settings(max_examples=60)
@given(ring_elements(st.integers(-KEY_BOUND, KEY_BOUND), np.int64), ring_elements(words, np.int32))
def test_products_are_those_of_exact_integers(factor, element):
    product = Multiplier(factor).multiply(element.reshape(1, DEGREE), Workspace(1))
    assert np.array_equal(product[0], folded_product(element, factor))


@settings(max_examples=30)
@given(ring_elements(st.integers(-500, 500), np.int64), ring_elements(st.integers(-500, 500), np.int64), seeds)
def test_products_are_additive_in_the_factor(first, second, seed):
    elements = vector(seed, (2, DEGREE), maximum=2**31 - 1).astype(np.int32)
    products = [
        Multiplier(factor).multiply(elements, Workspace(2)).copy() for factor in (first, second, first + second)
    ]
    assert np.array_equal(products[0] + products[1], products[2])


@settings(max_examples=40)
@given(sessions, lengths, st.integers(1, 7), seeds, st.booleans())
def test_sum_of_covered_vectors_uncovers_to_the_sum_and_errors_within_their_bound(
    session_id, length, parties, seed, draw_error
):
    vectors = [vector(seed + party, length) for party in range(parties)]
    packing = key_packing(parties, 2046)
    packed, total = [], np.zeros(length, dtype=np.uint32)
    for party, values in enumerate(vectors):
        pad = OneTimePad(session_id, length, SeededRandom(f"{seed} {party}"), draw_error=draw_error)
        packed.append(packing.pack(pad.take_key().reveal()))
        add_covered(total, pad.cover(values))
    key_sum = packing.unpack([sum(column) for column in zip(*packed, strict=True)], parties)
    errors = SummedPad(session_id, key_sum, parties).uncover(total) - sum(vectors)
    assert np.abs(errors).max() <= (ERROR_BOUND * parties if draw_error else 0)


@settings(max_examples=40)
@given(sessions, lengths, st.lists(st.integers(1, 2), max_size=3), seeds)
def test_covering_in_pieces_equals_covering_at_once(session_id, length, cuts, seed):
    values = vector(seed, length)
    pad = OneTimePad(session_id, length, SeededRandom(seed), draw_error=False)
    pieces, start = [], 0
    for blocks in cuts:
        if start + blocks * DEGREE < length:
            pieces.append(pad.cover(values[start : start + blocks * DEGREE]))
            start += blocks * DEGREE
    pieces.append(pad.cover(values[start:]))
    at_once = OneTimePad(session_id, length, SeededRandom(seed), draw_error=False).cover(values)
    assert np.array_equal(np.concatenate(pieces), at_once)


@settings(max_examples=40)
@given(sessions, st.integers(0, 2**60), st.integers(1, 20), st.integers(0, 19))
def test_every_public_element_can_be_had_by_itself(session_id, first, count, one):
    elements, alone = np.empty((count, DEGREE), dtype=np.int32), np.empty((1, DEGREE), dtype=np.int32)
    public = PublicElements(session_id)
    public.expand(first, elements)
    public.expand(first + one % count, alone)
    assert np.array_equal(elements[one % count], alone[0])
