# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What every noise mechanism must do behind the one interface; a new one needs a size here, and nothing else."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from coterie_common.errors import UnsupportedMechanism
from coterie_common.limits import MAX_PARTIES
from coterie_common.privacy.noise.mechanisms import Mechanism, NoiseTerms, Placement, noise_from_document
from tests.support.seeded_random import SeededRandom

SIZES = {Mechanism.DISCRETE_GAUSSIAN: Fraction(48), Mechanism.DISCRETE_LAPLACE: Fraction(1, 5)}
NOISY = (Placement.DISTRIBUTED, Placement.LOCAL)


def make(mechanism: Mechanism, placement: Placement = Placement.DISTRIBUTED, shares: int = 3) -> NoiseTerms:
    size = None if placement is Placement.NONE else SIZES[mechanism]
    return mechanism.terms.of(size, placement=placement, shares=shares)


each = pytest.mark.parametrize("mechanism", Mechanism, ids=str)
noisy = pytest.mark.parametrize("placement", NOISY, ids=str)


def test_every_mechanism_has_a_class_of_its_own_that_bears_its_name():
    assert SIZES.keys() == set(Mechanism)
    assert [mechanism.terms.mechanism for mechanism in Mechanism] == [mechanism.value for mechanism in Mechanism]
    assert len({mechanism.terms for mechanism in Mechanism}) == len(Mechanism)


@each
@pytest.mark.parametrize("placement", Placement, ids=str)
def test_terms_from_their_document_are_equal_and_of_the_same_class(mechanism, placement):
    terms = make(mechanism, placement)
    read = noise_from_document(terms.to_document())
    assert (type(read), read) == (mechanism.terms, terms)


@each
@noisy
def test_share_is_drawn_within_its_tail_and_from_the_source_alone(mechanism, placement):
    terms = make(mechanism, placement)
    share = terms.draw_share(5000, SeededRandom("share"))
    assert (share.dtype, share.shape) == (np.int64, (5000,))
    assert 0 < np.abs(share).max() <= terms.share_tail()
    assert np.array_equal(share, terms.draw_share(5000, SeededRandom("share")))
    assert not np.array_equal(share, terms.draw_share(5000, SeededRandom("another")))


@each
@noisy
def test_share_has_the_stated_variance(mechanism, placement):
    # The variance of 20,000 draws deviates by 10 % with a probability far below 10^−6 for tails like these: their
    # fourth moment is below 12 times the square of the variance, so that 0.1 is more than 4 standard deviations.
    terms = make(mechanism, placement)
    share = terms.draw_share(20_000, SeededRandom("variance"))
    assert float(np.var(share)) == pytest.approx(terms.share_variance, rel=0.1)


@each
def test_guaranteed_noise_is_whole_at_its_shares_and_grows_with_contributors(mechanism):
    distributed, local = make(mechanism), make(mechanism, Placement.LOCAL)
    assert distributed.aggregate_stddev(3) == pytest.approx(local.aggregate_stddev(1))
    assert distributed.aggregate_stddev(3) < distributed.aggregate_stddev(4) < local.aggregate_stddev(4)


@each
@noisy
def test_sum_of_one_share_has_its_tail_and_more_shares_have_longer_ones(mechanism, placement):
    terms = make(mechanism, placement)
    tails = [terms.sum_tail(contributors) for contributors in range(1, 10)]
    assert tails[0] == terms.share_tail() > 0
    assert tails == sorted(set(tails))
    assert all(tail <= count * tails[0] for count, tail in enumerate(tails, 1))


@each
def test_placement_without_noise_draws_nothing(mechanism):
    class NoRandom:
        """Fails wherever randomness is asked for."""

    terms = make(mechanism, Placement.NONE)
    assert not terms.draw_share(7, NoRandom()).any()  # type: ignore[arg-type]  # on purpose
    assert (terms.size, terms.share_variance, terms.aggregate_stddev(4)) == (None, 0.0, 0.0)
    assert terms.share_tail() == terms.sum_tail(9) == 0


@each
@pytest.mark.parametrize(
    ("size", "placement"),
    [(None, Placement.DISTRIBUTED), (None, Placement.LOCAL), (Fraction(1), Placement.NONE)],
    ids=["no size", "no local size", "a size of no noise"],
)
def test_size_that_does_not_fit_the_placement_raises_unsupported(mechanism, size, placement):
    with pytest.raises(UnsupportedMechanism) as refusal:
        mechanism.terms.of(size, placement=placement, shares=3)
    assert refusal.value.code == "unsupported-mechanism"


@each
@pytest.mark.parametrize("size", [Fraction(0), Fraction(-1), Fraction(1, 10**12), Fraction(10**30)], ids=str)
def test_impossible_size_raises_unsupported(mechanism, size):
    with pytest.raises(UnsupportedMechanism):
        mechanism.terms.of(size, placement=Placement.DISTRIBUTED, shares=3)


@each
@pytest.mark.parametrize("shares", [0, -1, MAX_PARTIES + 1])
def test_impossible_shares_raise_unsupported(mechanism, shares):
    with pytest.raises(UnsupportedMechanism):
        make(mechanism, shares=shares)
