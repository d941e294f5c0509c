# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from coterie.simulation.job import Simulation
from coterie.simulation.seeded_random import SeededRandom
from coterie_common.privacy.vector_encoding import VectorEncoding
from coterie_common.protocol.parameters import choose_parameters
from coterie_lab.evaluation.csv_file import read_csv, write_csv
from coterie_lab.evaluation.scale import JOBS, Fineness, at_scale, finenesses
from coterie_lab.evaluation.workloads import workload


@pytest.mark.slow  # calibrates the noise of two jobs
def test_scale_of_the_product_is_the_coarsest_that_costs_next_to_nothing():
    for job in JOBS:
        found = list(finenesses(*job))
        (usual,) = (each for each in found if each.is_default)
        assert usual.more_by_sensitivity <= 0.0025
        assert all(each.more_by_sensitivity > 0.0025 for each in found if each.scale_bits < usual.scale_bits)
        # what the pads of a sum can hold
        assert usual.sum_bits is not None
        assert usual.sum_bits <= 32


def test_noise_at_the_products_own_scale_is_that_of_its_terms():
    terms = Simulation(workload("svm", None).spec_at("0.1"), choose_parameters(10)).terms.rounds[0]
    (usual,) = (each for each in finenesses("svm", 10, "0.1") if each.is_default)
    assert usual.share_stddev == pytest.approx(math.sqrt(terms.noise.share_variance), rel=1e-4)


def test_rounding_adds_no_more_than_computed_at_a_coarse_scale():
    encoding = Simulation(workload("svm", None).spec_at("0.1"), choose_parameters(10)).terms.rounds[0].encoding
    assert isinstance(encoding, VectorEncoding)
    coarse = at_scale(encoding, encoding.scale_bits - 6)
    # Values half way between integers, the most that rounding can add; too short a vector to be clipped.
    rows = np.full((200, encoding.length), 2.0 ** -(coarse.scale_bits + 1))
    bound = float(coarse.rounding_variance(Fraction(1))) * len(rows) / encoding.units
    off = coarse.encode([rows], SeededRandom("rounding")) - len(rows) / 2
    # 1,001 squares of what is nearly normal: their mean has a standard deviation of 4.5 %
    assert np.square(off).mean() == pytest.approx(bound, rel=0.2)


def test_rows_survive_their_file(tmp_path):
    found = list(finenesses("svm", 10, "0.1"))
    write_csv(tmp_path / "scale.csv", found)
    read = read_csv(tmp_path / "scale.csv", Fineness)
    assert [(row.scale_bits, row.is_default, row.sum_bits) for row in read] == [
        (row.scale_bits, row.is_default, row.sum_bits) for row in found
    ]
    assert read[0].more_by_sensitivity == pytest.approx(found[0].more_by_sensitivity, rel=1e-4)
