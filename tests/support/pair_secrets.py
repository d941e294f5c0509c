# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Pair secrets of a cohort as if its members had agreed on them: one per pair, from the names alone."""

from __future__ import annotations

from collections.abc import Sequence

from coterie_common.crypto.masks.mask import PairSecrets
from coterie_common.crypto.masks.pairwise import PairSecret
from coterie_common.identifiers import PartyId
from tests.support.federation import digest_of


def pair_secret(one: PartyId, other: PartyId) -> PairSecret:
    """The secret of two parties, in either order."""
    return PairSecret(digest_of(" ".join(sorted((one, other)))))


def secrets_of(cohort: Sequence[PartyId]) -> dict[PartyId, PairSecrets]:
    """What every member of a cohort holds."""
    return {
        one: PairSecrets(one, {other: pair_secret(one, other) for other in cohort if other != one}) for one in cohort
    }
