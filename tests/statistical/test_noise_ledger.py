# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The noise in a release is as wide as the formulas say: √(contributors/(m_r − c))·σ distributed, √n·σ local, σ of a
curator.

Each case measures 100,000 noise values; the estimate of the standard deviation of Gaussian noise has a relative
standard error of 1/√(2·100,000) = 0.22 %. The bound of 1.5 % is six of them: by chance it is passed with a probability
below 10^−8. A Laplace distribution has kurtosis 6: its standard error is √(5/2) times that, and so is its bound.
"""

from __future__ import annotations

import pytest

from coterie.simulation.method import Method
from coterie_common.privacy.noise.mechanisms import Mechanism
from coterie_lab.evaluation.noise import Setting, measure

# slow: up to five million noise shares per case
pytestmark = pytest.mark.slow

ROUNDS = 50
LAPLACE = Mechanism.DISCRETE_LAPLACE


@pytest.mark.parametrize(
    ("setting", "shares", "ratio"),
    [
        pytest.param(Setting(Method.DISTRIBUTED, 10, 3, 10), 7, 1.195, id="ten, all present"),
        pytest.param(Setting(Method.DISTRIBUTED, 5, 1, 5), 4, 1.118, id="five, all present"),
        pytest.param(Setting(Method.DISTRIBUTED, 10, 3, 10, quorum=7), 4, 1.581, id="all of ten"),
        pytest.param(Setting(Method.DISTRIBUTED, 10, 3, 7), 4, 1.323, id="seven of ten"),
        pytest.param(Setting(Method.DISTRIBUTED, 10, 8, 10), 2, 2.236, id="eight corrupted"),
        pytest.param(Setting(Method.DISTRIBUTED, 50, 4, 50, quorum=46), 42, 1.091, id="fifty"),
        pytest.param(Setting(Method.DISTRIBUTED, 10, 3, 10, LAPLACE, 7), 4, 1.581, id="Laplace"),
        pytest.param(Setting(Method.LOCAL, 10, 3, 10), 7, 3.162, id="local"),
        pytest.param(Setting(Method.CURATOR, 10, 3, 10), 7, 1.0, id="curator"),
    ],
)
def test_measured_noise_is_as_wide_as_the_formula(setting, shares, ratio):
    found = measure(setting, ROUNDS)
    assert found.shares == shares
    assert found.values > 100_000
    assert found.predicted == pytest.approx(ratio, abs=1e-3)
    assert found.measured == pytest.approx(ratio, rel=0.0375 if setting.mechanism is LAPLACE else 0.015)
    assert found.low < found.measured < found.high
    assert found.high / found.low < (1.02 if setting.mechanism is LAPLACE else 1.01)
