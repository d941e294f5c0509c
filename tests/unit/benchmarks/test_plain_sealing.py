# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What benchmarks compare with: right sums without sealing, and out of reach of every daemon of the product."""

from __future__ import annotations

import inspect
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from coterie_aggregator import app as aggregator
from coterie_common.errors import StateError
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.protocol.sealing.choice import make_sealing
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.sealing.padded import PaddedSealing
from coterie_common.protocol.terms import RoundTerms, SealingKind, VectorTerms
from coterie_lab.benchmarks.whole_rounds.plain_sealing import PLAIN_CLIP_NORM, PlainSealing, make_either_sealing
from coterie_lab.benchmarks.workload import PARTY, SESSION, Workload
from coterie_party import app as party
from tests.support.repository import sources
from tests.support.seeded_random import SeededRandom

WORKLOAD = Workload(5000, 3, key_bits=512)


def sealing_of(clip_norm: int) -> EncryptedSealing:
    encoding = replace(WORKLOAD.encoding, clip_norm=Fraction(clip_norm))
    values = VectorTerms(encoding=encoding, sampling_rate=None)
    terms = RoundTerms(sealing=SealingKind.PADDED, values=values, noise=WORKLOAD.noise, unit=Unit.PARTY)
    return make_either_sealing(terms, WORKLOAD.parties, WORKLOAD.encryptor)


def test_sum_of_unsealed_vectors_is_their_sum():
    sealing = sealing_of(PLAIN_CLIP_NORM)
    vectors = [WORKLOAD.exact(seed) for seed in range(3)]
    total = sealing.new_padded_sum(SESSION)
    for vector in vectors:
        sealed = sealing.seal(vector, SESSION, PARTY, SeededRandom("plain"))
        sealing.check_padded(len(sealed.padded))
        sealing.check_padded_digest(sealed.padded_digest)
        total.add(sealed.padded)
    assert np.array_equal(sealing.open((0,), 3, total), np.sum(vectors, axis=0))


def test_plain_sealing_with_something_encrypted_raises():
    sealing = sealing_of(PLAIN_CLIP_NORM)
    with pytest.raises(StateError):
        sealing.open((1,), 3, sealing.new_padded_sum(SESSION))


def test_only_jobs_that_a_benchmark_marks_are_unsealed():
    assert type(sealing_of(PLAIN_CLIP_NORM)) is PlainSealing
    assert type(sealing_of(1)) is PaddedSealing


def test_daemons_seal_unless_somebody_hands_them_something_else():
    for start in (aggregator.serve, party.run):
        assert inspect.signature(start).parameters["make_sealing"].default is make_sealing


def test_nothing_in_the_product_knows_benchmarks():
    named = [path.name for path in sources() for line in path.read_text("utf-8").splitlines() if "benchmarks" in line]
    assert named == []
