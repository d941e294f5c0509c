# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.crypto.pads.expansion import PublicElements
from tests.support.negacyclic import DEGREE, public_element

SESSION = bytes(range(32))


def expand(first: int, count: int, session_id: bytes = SESSION) -> NDArray[np.int32]:
    elements = np.empty((count, DEGREE), dtype=np.int32)
    PublicElements(session_id).expand(first, elements)
    return elements


@pytest.mark.parametrize("first", [0, 1, 7, 2**24, 2**55 - 1, 2**119 - 2])
def test_expand_gives_the_keystream_of_another_library(first):
    elements = expand(first, 2)
    assert np.array_equal(elements[0], public_element(SESSION, first))
    assert np.array_equal(elements[1], public_element(SESSION, first + 1))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 40])
def test_expand_of_any_length_gives_the_same_elements(count):
    long = expand(0, 50)
    for first in (0, 3, 10):
        assert np.array_equal(expand(first, count), long[first : first + count])


def test_expand_of_another_session_gives_other_elements():
    assert np.mean(expand(0, 4) == expand(0, 4, bytes(32))) < 0.01


def test_expanded_numbers_are_centred_and_all_different_blocks():
    elements = expand(0, 32)
    assert abs(float(elements.mean())) < 6 * 2**32 / (12 * elements.size) ** 0.5
    assert elements.min() < -(2**31) + 2**20
    assert elements.max() > 2**31 - 2**20
    assert len({row.tobytes() for row in elements}) == 32
