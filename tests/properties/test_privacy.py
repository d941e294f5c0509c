# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie_common.privacy.accounting.cost import Charge, Cost, cost
from coterie_common.privacy.accounting.epsilon import calibrate, epsilon_of
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.exact import (
    float_above,
    fraction_from_text,
    fraction_to_text,
    short_above,
    short_below,
)
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit, noise_from_document
from coterie_common.privacy.sampling import DiscreteGaussian
from tests.support.noise import noise_terms
from tests.support.seeded_random import SeededRandom

positive = st.fractions(min_value=Fraction(1, 10**9), max_value=10**12, max_denominator=10**9)
variances = st.fractions(min_value=Fraction(1, 100), max_value=10**9, max_denominator=1000)
terms = st.one_of(
    st.builds(
        noise_terms,
        mechanism=st.just(Mechanism.DISCRETE_GAUSSIAN),
        placement=st.sampled_from([Placement.DISTRIBUTED, Placement.LOCAL]),
        variance=variances,
        shares=st.integers(1, 200),
    ),
    st.builds(
        noise_terms,
        mechanism=st.just(Mechanism.DISCRETE_LAPLACE),
        placement=st.sampled_from([Placement.DISTRIBUTED, Placement.LOCAL]),
        ratio=st.fractions(min_value=Fraction(1, 100), max_value=10, max_denominator=1000),
        shares=st.integers(1, 200),
    ),
    st.builds(
        noise_terms,
        mechanism=st.sampled_from(Mechanism),
        placement=st.just(Placement.NONE),
        shares=st.integers(1, 200),
    ),
)


@given(positive)
def test_fraction_text_round_trips(value):
    assert fraction_from_text(fraction_to_text(value), "value") == value


@given(positive, st.integers(2, 8))
def test_short_neighbours_enclose_closely(value, digits):
    above, below = short_above(value, digits), short_below(value, digits)
    assert 0 < below <= value <= above
    assert above - below <= value * Fraction(1, 10 ** (digits - 2))


@given(st.fractions(min_value=0, max_value=10**30))
def test_float_above_is_the_least_double_not_below(value):
    result = float_above(value)
    assert Fraction(result) >= value
    assert result == 0 or Fraction(float(np.nextafter(result, 0))) < value


@given(terms)
@settings(max_examples=40)
def test_noise_terms_round_trip_and_their_share_has_the_declared_spread(noise):
    assert noise_from_document(noise.to_document()) == noise
    share = noise.draw_share(64, SeededRandom("spread"))
    assert np.abs(share).max() <= noise.share_tail()
    assert (noise.share_variance == 0) == (noise.placement is Placement.NONE)


@given(
    st.integers(0, 12),
    st.integers(-1000, 1000),
    st.integers(0, 2000),
    st.lists(st.integers(-5000, 5000), min_size=1, max_size=20),
    terms,
)
@settings(max_examples=40)
def test_encoding_scales_clamped_values_into_the_contribution_range(scale_bits, lower, width, values, noise):
    encoding = CountEncoding(length=len(values), scale_bits=scale_bits, lower=lower, upper=lower + width)
    assert CountEncoding.from_document(encoding.to_document()) == encoding
    encoded = encoding.encode(np.array(values, dtype=np.int64))
    clamped = np.clip(values, lower, lower + width)
    assert np.array_equal(encoding.decode(encoded), clamped)
    assert np.array_equal(encoding.decode(encoded + encoded), 2 * clamped)
    minimum, maximum = encoding.contribution_range(noise)
    contribution = encoded + noise.draw_share(len(values), SeededRandom("contribution"))
    assert minimum <= contribution.min()
    assert contribution.max() <= maximum


@given(variances, st.integers(0, 300))
@settings(max_examples=30)
def test_discrete_gaussian_of_a_prefix_is_not_changed_by_its_length(variance, count):
    gaussian = DiscreteGaussian(variance)
    sample = gaussian.sample(count, SeededRandom("prefix"))
    assert sample.shape == (count,)
    assert np.array_equal(sample, gaussian.sample(count, SeededRandom("prefix")))


small = st.fractions(min_value=0, max_value=10, max_denominator=10**6)
costs = st.builds(
    Cost,
    unit=st.just(Unit.RECORD),
    squared_distance=small,
    slack=st.fractions(min_value=0, max_value=Fraction(1, 1000), max_denominator=10**9),
    pure_epsilon=st.none() | small,
    unprotected=st.integers(0, 2),
)


@given(costs, costs)
@settings(max_examples=30)
def test_charges_add_commutatively_and_never_shrink(one, other):
    limit = Fraction(3), Fraction(1, 10**5)
    left, right = one.under(*limit), other.under(*limit)
    total = left + right
    assert total == right + left
    assert total - right == (left if right.pure_epsilon is not None else replace(left, pure_epsilon=None))
    assert total.squared_distance == one.squared_distance + other.squared_distance
    assert total.epsilon(limit[1]) >= left.epsilon(limit[1])
    assert total.used(*limit) >= left.used(*limit)
    assert isinstance(total, Charge)
    assert Cost.from_document((one | other).to_document()) == one | other


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 50)), min_size=1, max_size=4),
    st.fractions(min_value=Fraction(1, 20), max_value=20, max_denominator=100),
    st.sampled_from([Fraction(1, 10**3), Fraction(1, 10**5), Fraction(1, 10**8)]),
    st.integers(1, 60),
)
@settings(max_examples=10)
def test_calibrated_noise_costs_what_was_asked_and_the_ledger_charges_no_less(queries, epsilon, delta, shares):
    events = calibrate(
        queries,
        epsilon=epsilon,
        delta=delta,
        mechanism=Mechanism.DISCRETE_GAUSSIAN,
        placement=Placement.DISTRIBUTED,
        shares=shares,
    )
    spent = epsilon_of(events, delta)
    assert epsilon * Fraction(98, 100) <= spent <= epsilon
    # The ledger's pairs dominate the exact loss.
    assert cost(events).under(epsilon, delta).epsilon(delta) >= spent * 0.999
