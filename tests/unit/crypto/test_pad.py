# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import copy
import inspect
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.crypto.pads import pad as pad_module
from coterie_common.crypto.pads.pad import (
    ERROR_BOUND,
    KEY_BOUND,
    OneTimePad,
    PadKey,
    SummedPad,
    add_covered,
    key_packing,
)
from coterie_common.crypto.pads.ring import DEGREE
from coterie_common.errors import CapacityExceeded, InternalError, InvalidPadKey, StateError
from coterie_common.randomness import OsRandom
from tests.support.negacyclic import pads
from tests.support.seeded_random import SeededRandom

SESSION = bytes(range(32))
THREADED = 8 * 32 * DEGREE + 5000
"""Long enough for two threads, with a last block that is not whole."""


def values_of(length: int, seed: int = 0, maximum: int = 10**6) -> NDArray[np.int64]:
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.integers(-maximum, maximum, length, endpoint=True)


def new_pad(
    length: int, seed: int | str = "pad", *, draw_error: bool = False, session_id: bytes = SESSION
) -> OneTimePad:
    return OneTimePad(session_id, length, SeededRandom(seed), draw_error=draw_error)


def covered_sum(
    vectors: list[NDArray[np.int64]], *, draw_error: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Cover each vector with its own pad; return the sums of keys and of covered vectors."""
    key_sum = np.zeros(DEGREE, dtype=np.int64)
    total = np.zeros(len(vectors[0]), dtype=np.uint32)
    for number, vector in enumerate(vectors):
        pad = new_pad(len(vector), f"party {number}", draw_error=draw_error)
        key_sum += pad.take_key().reveal()
        add_covered(total, pad.cover(vector))
    return key_sum, total


@pytest.mark.parametrize("length", [1, 2, 2047, 2048, 2049, 3 * 2048, 70_001])
@pytest.mark.parametrize("parties", [1, 2, 10])
def test_uncovered_sum_of_covered_vectors_is_their_sum(length, parties):
    vectors = [values_of(length, seed) for seed in range(parties)]
    key_sum, total = covered_sum(vectors)
    assert np.array_equal(SummedPad(SESSION, key_sum, parties).uncover(total), sum(vectors))


def test_uncovered_sum_holds_the_drawn_errors_and_no_more():
    parties, length = 5, 40_000
    vectors = [values_of(length, seed) for seed in range(parties)]
    key_sum, total = covered_sum(vectors, draw_error=True)
    errors = SummedPad(SESSION, key_sum, parties).uncover(total) - sum(vectors)
    assert np.abs(errors).max() <= ERROR_BOUND * parties
    assert errors.std() == pytest.approx(6.4 * parties**0.5, rel=0.02)
    assert abs(errors.mean()) < 6 * 6.4 * (parties / length) ** 0.5


def test_uncovered_sum_reaches_both_ends_of_32_bits_and_wraps_beyond():
    ends = np.array([-(2**31), 2**31 - 1, 2**31, -(2**31) - 1, 2**40 + 7], dtype=np.int64)
    key_sum, total = covered_sum([ends])
    uncovered = SummedPad(SESSION, key_sum, 1).uncover(total)
    assert uncovered.dtype == np.int64
    assert uncovered.tolist() == [-(2**31), 2**31 - 1, -(2**31), 2**31 - 1, 7]


@pytest.mark.parametrize("length", [5, 2048, 5000])
def test_cover_adds_the_exact_product_of_public_elements_and_key(length):
    pad = new_pad(length)
    key = pad.take_key().reveal()
    covered = pad.cover(np.zeros(length, dtype=np.int64))
    assert np.array_equal(covered, pads(SESSION, key, 0, -(-length // DEGREE))[:length])


def test_cover_on_two_threads_equals_cover_in_small_pieces():
    values = values_of(THREADED)
    at_once = new_pad(THREADED, draw_error=True).cover(values)
    pad = new_pad(THREADED, draw_error=True)
    piece = 4 * 32 * DEGREE
    pieces = [pad.cover(values[start : start + piece]) for start in range(0, THREADED, piece)]
    assert np.array_equal(np.concatenate(pieces), at_once)


def test_uncover_of_pieces_in_any_order_equals_uncover_at_once():
    key_sum, total = covered_sum([values_of(THREADED)])
    summed = SummedPad(SESSION, key_sum, 1)
    whole = summed.uncover(total)
    assert np.array_equal(whole, values_of(THREADED))
    for first in (600 * DEGREE // 4, 0, 100 * DEGREE):
        assert np.array_equal(summed.uncover(total[first : first + 9999], first), whole[first : first + 9999])


def test_cover_and_uncover_leave_their_arguments_alone():
    values = values_of(5000)
    key_sum, total = covered_sum([values])
    before = total.copy()
    SummedPad(SESSION, key_sum, 1).uncover(total)
    assert np.array_equal(values, values_of(5000))
    assert np.array_equal(total, before)


def test_memory_beyond_the_vectors_is_a_few_mebibytes():
    values = np.zeros(2_000_000, dtype=np.int64)
    pad = new_pad(len(values), draw_error=True)
    tracemalloc.start()
    try:
        covered = pad.cover(values)
        beyond = tracemalloc.get_traced_memory()[1] - covered.nbytes
    finally:
        tracemalloc.stop()
    assert beyond < 6 << 20


# No key covers two values at one position.


def test_pad_that_covered_its_vector_covers_nothing_more():
    pad = new_pad(3000)
    pad.cover(values_of(3000))
    for again in (3000, 952, 1):
        with pytest.raises(StateError, match="covered once") as raised:
            pad.cover(values_of(again))
        assert raised.value.code == "state"


def test_pad_never_covers_a_position_twice():
    pad, zeros = new_pad(4 * DEGREE), np.zeros(DEGREE, dtype=np.int64)
    pieces = [pad.cover(zeros).tobytes() for _ in range(4)]
    assert len(set(pieces)) == 4
    with pytest.raises(StateError):
        pad.cover(zeros)


@pytest.mark.parametrize("count", [0, 1, 2047, 2049, 5001])
def test_piece_that_does_not_fit_is_refused_and_nothing_is_used_up(count):
    pad = new_pad(5000)
    with pytest.raises(StateError):
        pad.cover(values_of(count))
    assert np.array_equal(pad.cover(values_of(5000)), new_pad(5000).cover(values_of(5000)))


def test_piece_whose_covering_failed_is_used_up():
    class Failing(SeededRandom):
        def token_bytes(self, count: int) -> bytes:
            if count == 2 * 5000:
                raise InternalError("no randomness")
            return super().token_bytes(count)

    pad = OneTimePad(SESSION, 5000, Failing("failing"), draw_error=True)
    with pytest.raises(InternalError):
        pad.cover(values_of(5000))
    with pytest.raises(StateError, match="covered once"):
        pad.cover(values_of(5000))


def test_pad_used_by_threads_at_once_covers_every_position_for_one_of_them():
    pad, barrier = new_pad(3 * DEGREE), Barrier(8)

    def work(_: int) -> bytes | None:
        barrier.wait()
        try:
            return pad.cover(np.zeros(DEGREE, dtype=np.int64)).tobytes()
        except StateError:
            return None

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(work, range(8)))
    assert results.count(None) == 5
    assert len(set(results) - {None}) == 3


def test_pad_cannot_be_copied_or_pickled():
    pad = new_pad(10)
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="one-time pad"):
            copying(pad)


def test_nothing_covers_values_with_a_key_that_is_handed_in():
    covering = inspect.signature(OneTimePad).parameters.keys() | inspect.signature(OneTimePad.cover).parameters.keys()
    assert covering == {"session_id", "length", "random", "draw_error", "self", "values"}
    public = {
        name for name, thing in vars(pad_module).items() if getattr(thing, "__module__", "") == pad_module.__name__
    }
    assert {name for name in public if not name.startswith("_")} == {
        "PadKey",
        "MaskablePadKey",
        "OneTimePad",
        "SummedPad",
        "add_covered",
        "key_packing",
    }


def test_two_pads_of_one_session_have_unrelated_keys():
    first, second = (OneTimePad(SESSION, 4000, OsRandom(), draw_error=False) for _ in range(2))
    assert not np.array_equal(first.take_key().reveal(), second.take_key().reveal())
    values = values_of(4000)
    assert np.mean(first.cover(values) == second.cover(values)) < 0.01


def test_pad_of_another_session_does_not_uncover():
    key_sum, total = covered_sum([values_of(4000)])
    other = SummedPad(bytes(32), key_sum, 1).uncover(total)
    assert np.mean(np.abs(other) < 2**24) < 0.05


def test_key_is_handed_out_once_and_redacted():
    pad = new_pad(10)
    key = pad.take_key()
    assert isinstance(key, PadKey)
    assert f"{key!r} {key} {key:>3}" == "PadKey(<redacted>) PadKey(<redacted>) PadKey(<redacted>)"
    with pytest.raises(StateError, match="taken before") as raised:
        pad.take_key()
    with pytest.raises(StateError):
        pad.take_maskable_key()
    assert raised.value.code == "state"
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(key)


def test_key_is_within_its_bound_and_has_its_deviation():
    keys = np.array([new_pad(1, seed).take_key().reveal() for seed in range(20)])
    assert keys.shape == (20, DEGREE)
    assert np.abs(keys).max() <= KEY_BOUND
    assert keys.std() == pytest.approx(6.4, rel=0.02)


@pytest.mark.parametrize("length", [0, -1])
def test_pad_of_no_values_is_refused(length):
    with pytest.raises(StateError, match="at least one value"):
        new_pad(length)


@pytest.mark.parametrize(
    "values",
    [np.zeros(10), np.zeros(10, dtype=np.uint32), np.zeros((2, 5), dtype=np.int64)],
    ids=lambda v: str(v.dtype),
)
def test_cover_of_a_wrong_shape_or_type_raises(values):
    with pytest.raises(StateError, match="int64 vectors"):
        new_pad(10).cover(values)


# Sums of keys.


@pytest.mark.parametrize(("contributors", "maximum"), [(1, 76), (3, 133), (10, 242), (100, 768), (200, 1086)])
@pytest.mark.parametrize("sign", [1, -1])
def test_sum_of_keys_is_accepted_up_to_12_deviations(contributors, maximum, sign):
    key_sum = np.zeros(DEGREE, dtype=np.int64)
    key_sum[1234] = sign * maximum
    SummedPad(SESSION, key_sum, contributors)
    key_sum[1234] = sign * (maximum + 1)
    with pytest.raises(InvalidPadKey, match="no pad key") as raised:
        SummedPad(SESSION, key_sum, contributors)
    assert (raised.value.code, raised.value.culprits) == ("invalid-pad-key", ())


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 2**40])
def test_sum_of_keys_far_outside_is_refused(number):
    key_sum = np.zeros(DEGREE, dtype=np.int64)
    key_sum[0] = number
    with pytest.raises(InvalidPadKey):
        SummedPad(SESSION, key_sum, 200)


def test_sum_with_a_key_that_is_none_is_refused():
    key_sum, _ = covered_sum([values_of(10, seed) for seed in range(9)])
    for forged in (np.full(DEGREE, 500), values_of(DEGREE, maximum=2000)):
        with pytest.raises(InvalidPadKey):
            SummedPad(SESSION, key_sum + forged, 10)


@pytest.mark.parametrize("first", [1, 2047, 2049])
def test_uncover_from_within_a_block_raises(first):
    with pytest.raises(StateError, match="block"):
        SummedPad(SESSION, np.zeros(DEGREE, dtype=np.int64), 1).uncover(np.zeros(10, dtype=np.uint32), first)


@pytest.mark.parametrize("total", [np.zeros(10, dtype=np.int64), np.zeros((2, 5), dtype=np.uint32)])
def test_uncover_of_a_wrong_shape_or_type_raises(total):
    with pytest.raises(StateError, match="uint32"):
        SummedPad(SESSION, np.zeros(DEGREE, dtype=np.int64), 1).uncover(total)


def test_add_covered_wraps_modulo_two_to_the_32():
    total = np.array([0, 2**32 - 1, 2**31], dtype=np.uint32)
    add_covered(total, np.array([5, 1, 2**31], dtype=np.uint32))
    assert total.tolist() == [5, 0, 0]


@pytest.mark.parametrize("covered", [np.zeros(9, dtype=np.uint32), np.zeros(10, dtype=np.int64)])
def test_add_covered_of_another_length_or_type_raises(covered):
    with pytest.raises(StateError, match="cannot be added"):
        add_covered(np.zeros(10, dtype=np.uint32), covered)


# Packing of keys.


@pytest.mark.parametrize(
    ("key_bits", "parties", "slot_bits", "ciphertexts"),
    [
        (2048, 3, 9, 10),
        (2048, 10, 11, 12),
        (2048, 100, 14, 15),
        (2048, 200, 15, 16),
        (3072, 10, 11, 8),
        (4096, 10, 11, 6),
    ],
)
def test_key_packing_needs_as_many_ciphertexts_as_stated(key_bits, parties, slot_bits, ciphertexts):
    packing = key_packing(parties, key_bits - 2)
    assert packing.slot_bits == (128 * parties).bit_length() == slot_bits
    assert packing.plaintexts == ciphertexts


@pytest.mark.parametrize("parties", [1, 3, 10, 200])
@pytest.mark.parametrize("bound", [-KEY_BOUND, KEY_BOUND])
def test_packed_keys_at_their_bounds_add_up(parties, bound):
    packing = key_packing(parties, 2046)
    packed = packing.pack(np.full(DEGREE, bound, dtype=np.int64))
    total = [plaintext * parties for plaintext in packed]
    assert np.array_equal(packing.unpack(total, parties), np.full(DEGREE, bound * parties))


def test_key_packing_of_a_key_too_small_is_refused():
    with pytest.raises(CapacityExceeded):
        key_packing(200, 14)
