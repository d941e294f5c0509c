# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Masks cancel in the sum over a whole cohort, for any cohort, vectors and sessions, and only over a whole one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.crypto.masks.mask import PairSecrets, SessionMasks, add_masked
from coterie_common.crypto.masks.pairwise import PairSecret
from coterie_common.identifiers import PartyId

INT64 = st.integers(-(2**63), 2**63 - 1)
COHORTS = st.sets(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), min_size=2, max_size=8)


def masks_of(cohort: set[str], seed: bytes, session_id: bytes) -> dict[PartyId, SessionMasks]:
    ids = sorted(map(PartyId, cohort))
    pairs = {
        pair: PairSecret(bytes(a ^ number for a in seed)) for number, pair in enumerate(combinations(ids, 2), start=1)
    }
    return {
        one: PairSecrets(
            one, {other: pairs[min(one, other), max(one, other)] for other in ids if other != one}
        ).masks_for(session_id, ids)
        for one in ids
    }


@given(st.data(), COHORTS, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_masked_sum_is_the_sum_modulo_two_to_the_64(data, cohort, seed, session_id):
    length = data.draw(st.integers(1, 12))
    total, expected = np.zeros(length, np.uint64), [0] * length
    for masks in masks_of(cohort, seed, session_id).values():
        values = data.draw(st.lists(INT64, min_size=length, max_size=length))
        expected = [(a + b) % 2**64 for a, b in zip(expected, values, strict=True)]
        add_masked(total, masks.cover_values(np.array(values, np.int64)))
    assert total.tolist() == expected


@given(COHORTS, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_sum_without_any_one_member_stays_masked(cohort, seed, session_id):
    covered = {
        party: masks.cover_values(np.zeros(4, np.int64)) for party, masks in masks_of(cohort, seed, session_id).items()
    }
    for missing in covered:
        total = np.zeros(4, np.uint64)
        for party, vector in covered.items():
            if party != missing:
                add_masked(total, vector)
        assert total.any()
