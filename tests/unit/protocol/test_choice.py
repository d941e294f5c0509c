# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import pytest

from coterie_common.errors import CapacityExceeded
from coterie_common.limits import MAX_CIPHERTEXTS
from coterie_common.protocol.sealing.choice import check_capacity, packing_for
from coterie_common.protocol.terms import JobTerms, RoundTerms
from tests.support.federation import make_federation, with_encoding

FEDERATION = make_federation()
KEY = FEDERATION.dealing.key.public_key
TERMS = FEDERATION.terms()


def encoded(**changes: int) -> RoundTerms:
    return with_encoding(TERMS, **changes)


def test_packing_leaves_room_for_the_sum_of_all_parties_with_their_noise():
    tail = TERMS.noise.share_tail()
    packing = packing_for(TERMS, 5, KEY)
    # values from 0 to 100, times 4
    assert (packing.lower, packing.upper) == (-tail, 400 + tail)
    assert 2**packing.slot_bits > 5 * (400 + 2 * tail) >= 2 ** (packing.slot_bits - 1)
    assert packing.plaintexts == 1


def test_packing_for_more_parties_has_wider_slots():
    assert packing_for(TERMS, 200, KEY).slot_bits > packing_for(TERMS, 5, KEY).slot_bits


def test_vector_of_too_many_ciphertexts_raises_with_the_numbers():
    fitting = packing_for(TERMS, 5, KEY)
    length = MAX_CIPHERTEXTS * fitting.slots_per_plaintext
    assert packing_for(encoded(length=length), 5, KEY).plaintexts == MAX_CIPHERTEXTS
    with pytest.raises(CapacityExceeded) as refusal:
        packing_for(encoded(length=length + 1), 5, KEY)
    assert refusal.value.code == "capacity-exceeded"
    for number in (length + 1, fitting.slot_bits, MAX_CIPHERTEXTS + 1, MAX_CIPHERTEXTS):
        assert str(number) in refusal.value.message


def test_sum_beyond_64_bits_raises_with_the_numbers():
    with pytest.raises(CapacityExceeded, match="5 contributions"):
        packing_for(encoded(upper=2**59), 5, KEY)


def test_reply_beyond_62_bits_raises():
    with pytest.raises(CapacityExceeded, match="62 bits"):
        packing_for(encoded(upper=2**60 - 1), 3, KEY)


def test_check_capacity_names_the_round():
    fine, too_long = TERMS, encoded(length=10**9)
    check_capacity(JobTerms((fine, fine)), 5, KEY)
    with pytest.raises(CapacityExceeded, match=r"^round 2: .*1000000000 values"):
        check_capacity(JobTerms((fine, too_long, too_long)), 5, KEY)
