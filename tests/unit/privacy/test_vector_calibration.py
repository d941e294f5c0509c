# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from coterie_common.errors import CapacityExceeded, UnsupportedMechanism
from coterie_common.privacy.accounting.epsilon import calibrate, epsilon_of
from coterie_common.privacy.accounting.vector_calibration import (
    VectorChoice,
    VectorQuery,
    calibrate_vectors,
    choose_rounding,
)
from coterie_common.privacy.event import CountEvent, VectorEvent
from coterie_common.privacy.headroom import check_headroom
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from coterie_common.privacy.vector_encoding import Rounding
from tests.support.noise import variance_of

DELTA = Fraction(1, 10**5)
# MNIST: ten parties of up to 6,000 records, 2,048 records a round on average, a network of 26,010 parameters.
MNIST = VectorQuery(
    length=26_010,
    clip_norm=Fraction(1, 10),
    units=6_000,
    rounding=Rounding.EACH,
    sampling_rate=Fraction(2048, 60_000),
)
AVERAGING = VectorQuery(length=10**6, clip_norm=Fraction(5), units=1, rounding=Rounding.EACH)
HEART = VectorQuery(length=20, clip_norm=Fraction(1), units=300, rounding=Rounding.EACH)


def calibrated(
    queries: list[VectorQuery], epsilon: Fraction = Fraction(2), delta: Fraction = DELTA, **change: Any
) -> tuple[VectorChoice, ...]:
    terms = {"placement": Placement.DISTRIBUTED, "shares": 4, "unit": Unit.RECORD, "min_share_stddev": 64}
    gaussian = Mechanism.DISCRETE_GAUSSIAN
    return calibrate_vectors(queries, epsilon=epsilon, delta=delta, mechanism=gaussian, **{**terms, **change})


def multiplier(terms: VectorChoice) -> float:
    return math.sqrt(variance_of(terms.event.noise) / terms.event.squared_sensitivity)


@pytest.mark.parametrize(
    ("queries", "epsilon", "delta", "change"),
    [
        ([MNIST] * 100, Fraction(2), DELTA, {}),
        ([MNIST] * 100, Fraction(1, 2), DELTA, {}),
        ([replace(MNIST, rounding=Rounding.SUM)] * 100, Fraction(2), DELTA, {"shares": 2}),
        ([MNIST] * 10_000, Fraction(8), Fraction(1, 10**6), {}),
        ([MNIST] * 5, Fraction(30), DELTA, {}),
        ([MNIST] * 100, Fraction(1), Fraction(1, 10**12), {}),  # by Rényi divergences
        ([AVERAGING] * 20, Fraction(8), DELTA, {"unit": Unit.PARTY}),
        ([HEART] * 30, Fraction(4), DELTA, {"shares": 2, "min_share_stddev": 4}),
        ([HEART, replace(HEART, length=3, clip_norm=Fraction(2))] * 3, Fraction(1, 10), DELTA, {}),
    ],
    ids=["mnist-2", "mnist-1/2", "sum", "long", "loose", "tiny-delta", "averaging", "heart", "two-kinds"],
)
def test_calibrate_vectors_reaches_epsilon_within_a_percent(queries, epsilon, delta, change):
    chosen = calibrated(queries, epsilon, delta, **change)
    events = [terms.event for terms in chosen]
    assert epsilon * Fraction(99, 100) <= epsilon_of(events, delta) <= epsilon
    for terms, query in zip(chosen, queries, strict=True):
        encoding, noise = terms.encoding, terms.event.noise
        assert terms.event == encoding.event(noise, terms.event.unit, query.sampling_rate)
        assert encoding == query.encoding(encoding.scale_bits)
        assert encoding.inflation <= (0.0025 if query.rounding is Rounding.EACH else 0.01)
        assert noise.share_variance >= change.get("min_share_stddev", 64) ** 2
        assert encoding.rounding_variance(query.batch / query.units) <= Fraction(noise.share_variance) / 100
        assert variance_of(noise) == Fraction(f"{float(variance_of(noise)):.5g}")  # short


def test_calibrate_vectors_for_mnist_needs_the_noise_on_record():
    # dp-accounting by itself: its PLD of the Poisson-subsampled Gaussian needs 1.0878 and 2.6554, its RDP at integer
    # orders 1.1773 and 2.8936.
    for epsilon, recorded, renyi in ((Fraction(2), 1.0878, 1.1773), (Fraction(1, 2), 2.6554, 2.8936)):
        chosen = calibrated([MNIST] * 100, epsilon)[0]
        assert recorded * 0.9999 <= multiplier(chosen) <= recorded * 1.002
        assert multiplier(chosen) < renyi * 0.93
        # What rounding costs on top, relative to the clipping norm itself.
        total = math.sqrt(variance_of(chosen.event.noise)) / float(chosen.encoding.scaled_norm)
        assert multiplier(chosen) < total < multiplier(chosen) * 1.0025


def test_calibrate_vectors_uses_the_least_scale_that_will_do():
    for query in (MNIST, replace(MNIST, rounding=Rounding.SUM)):
        chosen = calibrated([query] * 100, Fraction(1))[0].encoding
        coarser = query.encoding(chosen.scale_bits - 1)
        assert coarser.inflation > (0.0025 if query.rounding is Rounding.EACH else 0.01)
    # A full batch of a million short vectors: here it is the variance of a million roundings that decides.
    many = VectorQuery(length=3, clip_norm=Fraction(1), units=10**6, rounding=Rounding.EACH)
    found = calibrated([many], shares=2)[0]
    assert found.encoding.rounding_variance(Fraction(1)) == 250_000
    assert 25 * 10**6 <= found.event.noise.share_variance < 4 * 25 * 10**6 * 1.01


def test_calibrate_vectors_fits_the_pad_with_room_to_spare():
    chosen = calibrated([MNIST] * 100)[0]
    assert check_headroom(chosen.encoding, chosen.event.noise, 10) < 1 << 24
    long = calibrated([replace(AVERAGING, length=10**8)] * 20, Fraction(8), unit=Unit.PARTY)[0]
    assert check_headroom(long.encoding, long.event.noise, 200) < 1 << 28


def test_calibrate_vectors_gives_rounds_their_own_noise_factor():
    first, second = calibrated([HEART, replace(HEART, noise_factor=Fraction(5))])
    assert multiplier(second) == pytest.approx(5 * multiplier(first), rel=1e-4)


def test_calibrate_vectors_local_gives_every_party_the_whole_noise():
    local = calibrated([HEART] * 10, placement=Placement.LOCAL)[0]
    distributed = calibrated([HEART] * 10)[0]
    assert multiplier(local) == pytest.approx(multiplier(distributed), rel=1e-3)
    assert local.event.noise.share_variance == pytest.approx(4 * distributed.event.noise.share_variance, rel=1e-3)


def test_calibrate_vectors_without_noise_chooses_a_fine_scale():
    chosen = calibrated([MNIST], placement=Placement.NONE)[0]
    assert chosen.event.noise.share_variance == 0
    assert epsilon_of([chosen.event], DELTA) == math.inf
    assert 1 <= float(chosen.encoding.scaled_norm) / (1024 * math.sqrt(26_010)) < 2


def test_calibrate_vectors_leaves_room_for_the_jobs_other_rounds():
    counts = calibrate(
        [(8, 1)],
        epsilon=Fraction(1, 4),
        delta=DELTA,
        mechanism=Mechanism.DISCRETE_GAUSSIAN,
        placement=Placement.DISTRIBUTED,
        shares=4,
    )
    chosen = calibrated([HEART] * 10, Fraction(1), besides=counts)
    events: list[CountEvent | VectorEvent] = [*counts, *(terms.event for terms in chosen)]
    assert Fraction(99, 100) <= epsilon_of(events, DELTA) <= 1
    assert multiplier(chosen[0]) > multiplier(calibrated([HEART] * 10, Fraction(1))[0])
    with pytest.raises(UnsupportedMechanism, match="leave nothing"):
        calibrated([HEART], Fraction(1, 4), besides=counts * 2)


@pytest.mark.parametrize(
    "change",
    [
        {"queries": []},
        {"epsilon": Fraction(0)},
        {"epsilon": Fraction(1001)},
        {"delta": Fraction(0)},
        {"delta": Fraction(1)},
        {"shares": 0},
        {"shares": 201},
        {"unit": Unit.PARTY},  # a party's reply is one vector
        {"queries": [replace(AVERAGING, sampling_rate=Fraction(1, 2))], "unit": Unit.PARTY},
    ],
    ids=str,
)
def test_calibrate_vectors_of_the_impossible_raises(change):
    with pytest.raises(UnsupportedMechanism) as raised:
        calibrated(**{"queries": [MNIST], **change})
    assert raised.value.code == "unsupported-mechanism"


@pytest.mark.parametrize(
    "change", [{"clip_norm": Fraction(0)}, {"noise_factor": Fraction(0)}, {"noise_factor": Fraction(1 << 21)}], ids=str
)
def test_query_that_cannot_be_raises(change):
    with pytest.raises(UnsupportedMechanism) as raised:
        replace(MNIST, **change)
    assert raised.value.code == "unsupported-mechanism"


def test_calibrate_vectors_where_no_scale_is_fine_enough_raises():
    # Adding up 10^7 vectors in doubles errs by 2 % of one.
    with pytest.raises(CapacityExceeded) as raised:
        calibrated([replace(MNIST, rounding=Rounding.SUM, units=10**7)])
    assert raised.value.code == "capacity-exceeded"
    with pytest.raises(CapacityExceeded):
        calibrated([HEART], min_share_stddev=1 << 40)


def test_query_clamps_at_a_batch_that_is_never_exceeded():
    assert AVERAGING.largest == 5
    assert HEART.largest == 300
    mean = float(MNIST.batch)
    largest = MNIST.largest / MNIST.clip_norm
    assert mean + 7 * math.sqrt(mean) < largest < 2 * mean
    from scipy import stats

    for units, rate in (
        (6000, Fraction(2048, 60_000)),
        (10**6, Fraction(1, 10**6)),
        (100, Fraction(1, 2)),
        (50, Fraction(1, 50)),
    ):
        query = replace(MNIST, units=units, sampling_rate=rate)
        assert stats.binom.sf(int(query.largest / query.clip_norm), units, float(rate)) < 1e-10
    encoding = MNIST.encoding(15)
    assert encoding.upper == -encoding.lower == math.ceil(MNIST.largest * 2**15)


def test_choose_rounding_takes_the_fast_way_for_much_work_only():
    assert choose_rounding(26_010, 6_000, Fraction(2048, 60_000)) is Rounding.EACH
    assert choose_rounding(10**6, 6_000, Fraction(2048, 60_000)) is Rounding.SUM
    assert choose_rounding(10**9, 1, None) is Rounding.EACH
    assert choose_rounding(1000, 10**6, None) is Rounding.SUM
    assert choose_rounding(1000, 10**8, None) is Rounding.EACH  # doubles do not add so many up


def test_calibrate_vectors_for_thousands_of_equal_rounds_computes_them_once():
    chosen = calibrated([MNIST] * 10_000, Fraction(8))
    assert len({id(terms) for terms in chosen}) == 1
    assert epsilon_of([terms.event for terms in chosen], DELTA) <= 8
