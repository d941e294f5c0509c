# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The secret that decides which records of a data set are set aside, inside a transaction of the store."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, insert, select

from coterie_common.randomness import RandomSource
from coterie_party.store.tables import SALTS

SALT_BYTES: Final = 32


def salt(connection: Connection, dataset: str, random: RandomSource) -> bytes:
    """Return the salt of a data set; drawn once, and never changed."""
    known: bytes | None = connection.execute(
        select(SALTS.c.salt).where(SALTS.c.dataset == dataset)
    ).scalar_one_or_none()
    if known is not None:
        return known
    drawn = random.token_bytes(SALT_BYTES)
    connection.execute(insert(SALTS).values(dataset=dataset, salt=drawn))
    return drawn
