# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import math
from fractions import Fraction
from typing import Any

import pytest

from coterie_common.privacy.accounting.renyi import ORDERS
from coterie_common.privacy.accounting.vector_renyi import sampled_divergence, vector_divergences
from coterie_common.privacy.event import CountEvent, VectorEvent
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from tests.support.noise import noise_terms

MILLION = Fraction(10**6)


def event(variance: Fraction = MILLION, shares: int = 3, **change: Any) -> VectorEvent:
    noise = noise_terms(
        mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.DISTRIBUTED, variance=variance, shares=shares
    )
    terms: dict[str, Any] = {"length": 1000, "squared_sensitivity": 10**6, "noise": noise, "unit": Unit.RECORD}
    return VectorEvent(**{**terms, **change})


def exact_divergence(order: int, rate: Fraction, square: Fraction) -> float:
    """The sum of the module's text in 60-digit decimals."""
    import decimal

    with decimal.localcontext(decimal.Context(prec=60, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)):
        q = decimal.Decimal(rate.numerator) / rate.denominator
        mu = decimal.Decimal(square.numerator) / square.denominator
        total = decimal.Decimal(0)
        for k in range(order + 1):
            total += math.comb(order, k) * (1 - q) ** (order - k) * q**k * ((k * k - k) * mu / 2).exp()
        return float(total.ln() / (order - 1))


@pytest.mark.parametrize(
    "rate", [Fraction(2048, 60000), Fraction(1, 2), Fraction(999, 1000), Fraction(1, 10**7)], ids=str
)
@pytest.mark.parametrize("square", [Fraction(1), Fraction(1, 400), Fraction(30), Fraction(1, 10**10)], ids=str)
@pytest.mark.parametrize("order", [2, 3, 17, 64, 256])
def test_sampled_divergence_is_the_exact_sum_and_not_below(rate, square, order):
    exact = exact_divergence(order, rate, square)
    assert exact <= sampled_divergence(order, rate, square) <= exact * (1 + 2e-9)


@pytest.mark.parametrize("unit", ["record", "party"])
@pytest.mark.parametrize(("rate", "multiplier"), [(2048 / 60000, 1.1), (0.5, 3.0), (1.0, 2.0)])
def test_divergences_agree_with_the_library(unit, rate, multiplier):
    import dp_accounting
    from dp_accounting.rdp import rdp_privacy_accountant

    relations = dp_accounting.NeighboringRelation
    relation = relations.ADD_OR_REMOVE_ONE if unit == "record" else relations.REPLACE_SPECIAL
    square = Fraction(1 / multiplier**2)
    for order in (2, 8, 32):
        accountant = rdp_privacy_accountant.RdpAccountant([order], relation)
        gaussian = dp_accounting.GaussianDpEvent(multiplier)
        accountant.compose(dp_accounting.PoissonSampledDpEvent(rate, gaussian) if rate < 1 else gaussian, 100)
        ours = 100 * (order * float(square) / 2 if rate == 1 else sampled_divergence(order, Fraction(rate), square))
        converted = ours + math.log1p(-1 / order) - math.log(1e-5 * order) / (order - 1)
        assert converted == pytest.approx(accountant.get_epsilon(1e-5), rel=1e-8)


def test_divergences_where_the_library_loses_everything_are_still_positive():
    # q² · (e^μ² − 1) = 10^−24: doubles next to 1 cannot hold it.
    value = sampled_divergence(2, Fraction(1, 10**10), Fraction(1, 10**4))
    assert value == pytest.approx(1e-24, rel=1e-3)


def test_divergences_of_vectors_add_up_over_rounds_and_leave_counts_out():
    noise = noise_terms(
        mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.DISTRIBUTED, variance=Fraction(300), shares=3
    )
    counts = CountEvent(l0=8, linf=1, scale_bits=0, noise=noise)
    sampled = event(sampling_rate=Fraction(1, 30))
    totals = vector_divergences([sampled, counts, event(), sampled], ORDERS)
    for order, total in zip(ORDERS, totals, strict=True):
        expected = 2 * sampled_divergence(order, Fraction(1, 30), Fraction(1)) + order / 2
        assert float(total) == pytest.approx(expected, rel=1e-9)
    assert vector_divergences([counts], (2, 3)) == [0, 0]


def test_divergences_pay_for_the_sum_of_shares():
    narrow = event(Fraction(6), length=10**6, squared_sensitivity=3)
    tau = 10**6 * 10 * (math.exp(-2 * math.pi**2) + math.exp(-8 / 3 * math.pi**2))
    (total,) = vector_divergences([narrow], (5,))
    assert float(total) == pytest.approx(5 * 3 / 12 + 9 / 4 * tau, rel=1e-9)


def test_sampling_never_costs_more_than_taking_every_record():
    almost = event(sampling_rate=1 - Fraction(1, 10**15))
    for with_batches, without in zip(
        vector_divergences([almost], ORDERS), vector_divergences([event()], ORDERS), strict=True
    ):
        assert with_batches <= without
