# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from coterie_common.crypto.pads.pad import ERROR_BOUND, key_packing
from coterie_common.errors import CapacityExceeded
from coterie_common.privacy.noise.mechanisms import Mechanism, NoiseTerms, Placement
from coterie_common.protocol.sealing.choice import is_pad_cheaper
from coterie_common.protocol.sealing.padded import padded_packing
from coterie_common.protocol.sealing.padded_vector import is_error_needed
from coterie_common.protocol.terms import RoundTerms
from tests.support.dealings import load_encryptor
from tests.support.federation import make_federation, with_encoding
from tests.support.noise import gaussian, noise_terms

FEDERATION = make_federation()
KEY = FEDERATION.dealing.key.public_key
TERMS = FEDERATION.terms()
NARROW = TERMS.noise
WIDE = replace(gaussian(NARROW), variance=Fraction(4096) * NARROW.shares)
NO_NOISE = noise_terms(mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.NONE, shares=1)


def terms_with(noise: NoiseTerms, **encoding: int) -> RoundTerms:
    return replace(with_encoding(TERMS, scale_bits=0, **encoding), noise=noise)


@pytest.mark.parametrize("noise", [NARROW, WIDE, NO_NOISE], ids=["narrow", "wide", "none"])
@pytest.mark.parametrize("parties", [3, 200])
@pytest.mark.parametrize("side", ["lower", "upper"])
def test_sums_of_values_noise_and_errors_fit_32_bits_up_to_the_last_unit(noise, parties, side):
    errors = 0 if noise is WIDE else parties * ERROR_BOUND
    besides = noise.sum_tail(parties) + errors
    maximum = (2**31 - 1 - besides) // parties
    key = load_encryptor(12, 9, 2048).public_key
    fitting, beyond = ({"lower": -n, "upper": 0} if side == "lower" else {"upper": n} for n in (maximum, maximum + 1))
    assert padded_packing(terms_with(noise, **fitting), parties, key) == key_packing(parties, key.plaintext_bits)
    with pytest.raises(CapacityExceeded, match="32 bits") as refusal:
        padded_packing(terms_with(noise, **beyond), parties, key)
    assert refusal.value.code == "capacity-exceeded"
    for number in (parties, maximum + 1, besides):
        assert str(number) in refusal.value.message


@pytest.mark.parametrize(
    ("noise", "needed"),
    [
        (NARROW, True),
        (WIDE, False),
        (replace(WIDE, variance=Fraction(4096) * WIDE.shares - Fraction(1, 1000)), True),
        (replace(WIDE, placement=Placement.LOCAL, variance=Fraction(4096)), False),
        (replace(WIDE, placement=Placement.LOCAL, variance=Fraction(4095)), True),
        (NO_NOISE, True),
        (noise_terms(mechanism=Mechanism.DISCRETE_LAPLACE, placement=Placement.NONE, shares=1), True),
        (
            noise_terms(
                mechanism=Mechanism.DISCRETE_LAPLACE,
                placement=Placement.DISTRIBUTED,
                ratio=Fraction(1, 10_000),
                shares=2,
            ),
            True,
        ),
    ],
)
def test_errors_are_drawn_unless_a_share_is_a_gaussian_of_64_units(noise, needed):
    assert is_error_needed(noise) is needed


@pytest.mark.parametrize("parties", [3, 10, 100])
def test_vector_is_padded_from_where_it_needs_more_ciphertexts_than_the_key(parties):
    key = load_encryptor(12, 9, 2048).public_key
    value_range = (-1000, 9000)
    slots = key.plaintext_bits // (10_000 * parties).bit_length()
    maximum = slots * key_packing(parties, key.plaintext_bits).plaintexts
    assert 1000 < maximum < 2000
    assert not is_pad_cheaper(1, value_range, parties, key.plaintext_bits)
    assert not is_pad_cheaper(maximum, value_range, parties, key.plaintext_bits)
    assert is_pad_cheaper(maximum + 1, value_range, parties, key.plaintext_bits)


def test_vector_whose_sum_fits_no_slot_raises():
    with pytest.raises(CapacityExceeded, match="64-bit"):
        is_pad_cheaper(10, (-(2**62), 2**62), 3, KEY.plaintext_bits)
