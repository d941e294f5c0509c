# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import numpy as np
import pytest

from coterie_common.learning.algorithms import private_scaling

NUMBERS = np.random.default_rng(1).uniform(-0.4, 0.8, (500, 3)).astype(np.float32)


def test_scaling_from_exact_sums_is_mean_and_standard_deviation():
    scaling = private_scaling.scaling_from(private_scaling.rows(NUMBERS).astype(np.float64).sum(axis=0))
    np.testing.assert_allclose(scaling.centre, NUMBERS.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(scaling.scale, NUMBERS.std(axis=0), rtol=1e-4)


@pytest.mark.parametrize("numbers", [1, 2, 4, 12, 40, 784])
def test_row_of_extreme_numbers_is_never_longer_than_the_clipping_norm(numbers):
    rows = private_scaling.rows(np.ones((1, numbers), np.float32))
    assert rows.shape == (1, private_scaling.length(numbers))
    norm = float(private_scaling.clip_norm(numbers))
    assert np.linalg.norm(rows[0].astype(np.float64)) <= norm <= np.sqrt(1 + 2 * numbers) + 0.001


@pytest.mark.parametrize("sums", [[0.0, 50.0, 1.0], [-40.0, 3.0, -5.0], [100.0, -900.0, 4.0], [100.0, 10.0, 1.0]])
def test_scaling_from_noisy_sums_stays_within_what_can_be(sums):
    scaling = private_scaling.scaling_from(np.array(sums))
    assert -1 <= scaling.centre[0] <= 1
    assert 0.02 <= scaling.scale[0] <= 1
