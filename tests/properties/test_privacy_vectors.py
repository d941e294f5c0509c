# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coterie_common.errors import CapacityExceeded, VectorsNotFinite
from coterie_common.privacy.accounting.epsilon import epsilon_of
from coterie_common.privacy.accounting.renyi import renyi_bound
from coterie_common.privacy.accounting.vector_calibration import VectorQuery, calibrate_vectors
from coterie_common.privacy.conditional_rounding import conditional_bound, round_blocks, round_rows
from coterie_common.privacy.event import VectorEvent
from coterie_common.privacy.headroom import check_headroom
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from coterie_common.privacy.rounding import round_stochastically
from coterie_common.privacy.vector_encoding import Rounding, VectorEncoding
from coterie_common.privacy.vectors import clip, clip_and_sum, summation_error
from tests.support.noise import noise_terms
from tests.support.seeded_random import SeededRandom

norms = st.fractions(min_value=Fraction(1, 1 << 20), max_value=1 << 20, max_denominator=1 << 20)
shapes = st.tuples(st.integers(0, 6), st.integers(1, 8))
doubles = arrays.arrays(np.float64, shapes, elements=st.floats(-(2.0**100), 2.0**100))
singles = arrays.arrays(np.float32, shapes, elements=st.floats(-(2.0**100), 2.0**100, width=32))
anything = arrays.arrays(np.float64, shapes, elements=st.floats())


def exact_square(row: np.ndarray) -> Fraction:
    return sum((Fraction(float(x)) ** 2 for x in row), Fraction(0))


@given(st.one_of(doubles, singles), norms)
def test_clipped_rows_are_within_the_norm_and_keep_their_direction(rows, norm):
    clipped = clip(rows, norm)
    for before, after in zip(rows, clipped, strict=True):
        square = exact_square(before)
        assert exact_square(after) <= norm**2
        if square <= norm**2 * (1 - Fraction(1, 10**12)):
            assert np.array_equal(before, after)
        elif square > norm**2:
            assert exact_square(after) >= norm**2 * (1 - Fraction(1, 10**12))
        assert np.all(np.sign(before) * np.sign(after) >= 0)


@given(anything, norms)
def test_clipping_either_bounds_every_row_or_names_one_that_is_not_finite(rows, norm):
    try:
        clipped = clip(rows, norm)
    except VectorsNotFinite as error:
        number = int(error.message.split(",")[0].removeprefix("vector "))
        assert not np.all(np.abs(rows[number]) < 1e150)
        assert np.all(np.abs(rows[:number]) < 1e155)
    else:
        assert all(exact_square(row) <= norm**2 for row in clipped)


@given(doubles, norms, st.data())
def test_sums_of_clipped_rows_stay_within_the_declared_error(rows, norm, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    total = clip_and_sum(np.split(rows, cuts), norm, length=rows.shape[1], maximum=6)
    clipped = clip(rows, norm)
    error = Fraction(0)
    for x, column in zip(total, clipped.T, strict=True):
        # clip rounds each product once more than the sum does.
        error += (Fraction(float(x)) - sum((Fraction(float(y)) for y in column), Fraction(0))) ** 2
    assert error <= (norm * summation_error(6)) ** 2


@given(arrays.arrays(np.float64, st.integers(0, 50), elements=st.floats(-(2.0**52), 2.0**52)), st.integers())
def test_rounding_returns_neighbours_and_keeps_integers(values, seed):
    rounded = round_stochastically(values, SeededRandom(seed))
    for x, y in zip(values, rounded, strict=True):
        assert abs(Fraction(int(y)) - Fraction(float(x))) < 1


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.floats(-1e6, 1e6)),
    norms,
    st.integers(1, 12),
    st.integers(),
)
def test_conditional_rounding_stays_within_its_bound(rows, norm, size, seed):
    clipped = clip(rows, norm)
    bound = conditional_bound(norm, rows.shape[1])
    assume(bound < 1 << 62)
    rounded = round_rows(clipped, bound, SeededRandom(seed))
    in_blocks = np.concatenate(list(round_blocks(clipped[:1], 1.0, bound, size, SeededRandom(seed))))
    for row in (*rounded, in_blocks):
        assert sum(int(x) ** 2 for x in row) <= bound
    assert np.all(np.abs(rounded - clipped) <= 1)
    assert np.all(np.abs(in_blocks - clipped[0]) <= 1)


encodings = st.builds(
    lambda rounding, units, **terms: VectorEncoding(
        rounding=rounding, units=units + (rounding is Rounding.SUM), **terms
    ),
    length=st.integers(1, 8),
    clip_norm=norms,
    scale_bits=st.integers(-10, 8),
    rounding=st.sampled_from(Rounding),
    units=st.integers(1, 1000),
    lower=st.integers(-(10**6), 0),
    upper=st.integers(1, 10**6),
)


@given(encodings, st.integers(), st.integers(0, 5), st.sampled_from([1e-3, 1.0, 1e8]))
@settings(max_examples=60)
def test_encoding_round_trips_and_its_sums_are_in_range(encoding, seed, count, size):
    assert VectorEncoding.from_document(encoding.to_document()) == encoding
    rows = np.random.default_rng(abs(seed)).normal(size=(min(count, encoding.units), encoding.length)) * size
    encoded = encoding.encode([rows], SeededRandom(seed))
    assert encoding.lower <= encoded.min()
    assert encoded.max() <= encoding.upper
    exact = np.clip(
        np.ldexp(clip(rows, encoding.clip_norm).sum(axis=0), encoding.scale_bits), encoding.lower, encoding.upper
    )
    assert np.all(np.abs(encoded - exact) <= max(1, count) + 1e-9 * np.abs(exact))
    assert np.array_equal(np.ldexp(encoding.decode(encoded), encoding.scale_bits), encoded)
    assert encoding.squared_sensitivity >= encoding.scaled_norm**2


@given(encodings, st.integers(1, 200), st.integers(0, 96))
@settings(max_examples=60)
def test_headroom_is_granted_exactly_where_the_sum_fits(encoding, contributors, error):
    noise = noise_terms(
        mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.LOCAL, variance=Fraction(10**4), shares=1
    )
    greatest = contributors * (max(-encoding.lower, encoding.upper) + error) + noise.sum_tail(contributors)
    try:
        assert check_headroom(encoding, noise, contributors, modulus_bits=26, error=error) == greatest < 1 << 25
    except CapacityExceeded:
        assert greatest >= 1 << 25


def vector_event(square: int, variance: Fraction, rate: Fraction | None, shares: int) -> VectorEvent:
    noise = noise_terms(
        mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.DISTRIBUTED, variance=variance, shares=shares
    )
    return VectorEvent(length=1000, squared_sensitivity=square, noise=noise, unit=Unit.RECORD, sampling_rate=rate)


vector_events = st.builds(
    vector_event,
    st.integers(10**4, 10**6),
    st.integers(10**5, 10**8).map(Fraction),
    st.one_of(st.none(), st.fractions(min_value=Fraction(1, 1000), max_value=1, max_denominator=1000)),
    st.integers(1, 100),
)


@pytest.mark.slow  # some thirty distributions of loss, a tenth of a second each
@given(vector_events, st.integers(1, 200))
@settings(max_examples=15, deadline=None)
def test_epsilon_of_vectors_is_positive_rises_with_rounds_and_is_no_more_than_that_of_divergences(event, rounds):
    delta = Fraction(1, 10**5)
    spent = epsilon_of([event] * rounds, delta)
    assert 0 < spent <= renyi_bound([event] * rounds, delta)
    # Another grid may be finer: 1 in 1000 is its error.
    assert spent <= epsilon_of([event] * (rounds + 1), delta) * 1.002
    assert math.isfinite(spent)


@pytest.mark.slow  # each example composes a dozen distributions of loss
@given(
    st.builds(
        VectorQuery,
        length=st.integers(1, 10**6),
        clip_norm=norms,
        units=st.integers(2, 10**5),
        rounding=st.sampled_from(Rounding),
        sampling_rate=st.fractions(min_value=Fraction(1, 100), max_value=1, max_denominator=100),
    ),
    st.integers(1, 30),
    st.fractions(min_value=Fraction(1, 4), max_value=10, max_denominator=100),
    st.integers(1, 60),
)
@settings(max_examples=4, deadline=None)
def test_calibrated_vectors_cost_what_was_asked(query, rounds, epsilon, shares):
    delta = Fraction(1, 10**5)
    chosen = calibrate_vectors(
        [query] * rounds,
        epsilon=epsilon,
        delta=delta,
        mechanism=Mechanism.DISCRETE_GAUSSIAN,
        placement=Placement.DISTRIBUTED,
        shares=shares,
        unit=Unit.RECORD,
        min_share_stddev=64,
    )
    assert epsilon * Fraction(98, 100) <= epsilon_of([terms.event for terms in chosen], delta) <= epsilon
