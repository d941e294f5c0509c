# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The division of a data set's records into training records and records set aside for evaluation."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from fractions import Fraction

import numpy as np

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.errors import ConfigurationError
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.plan import Records


def records_of(dataset: Dataset, records: Records, set_aside: Decimal, salt: bytes) -> Dataset:
    """Return one kind of the records of a data set; see ``set_aside_split``."""
    if records is Records.ALL:
        return dataset
    training, evaluation = set_aside_split(dataset, Fraction(set_aside), salt)
    return training if records is Records.TRAINING else evaluation


def set_aside_split(dataset: Dataset, fraction: Fraction, salt: bytes) -> tuple[Dataset, Dataset]:
    """Divide the records into those to train with and those set aside for evaluation.

    The side of each record is drawn by a coin of its own, a keyed hash of its row number. So the sides are the same in
    every job, records added at the end of the file change no other record's side, and without the salt nobody can
    determine the sides.

    Args:
        dataset: all records.
        fraction: expected share of those set aside, 0 to 1.
        salt: the party's own, kept secret and never changed; at least 16 bytes.

    Returns:
        Training and set-aside records, in the file's order.

    Privacy: the row number counts as a part of the record. If a row is deleted, or rows are reordered, others change
        sides too: see ``coterie_party.live.division``.
    """
    if not 0 <= fraction <= 1 or len(salt) < 16:
        raise ConfigurationError("the fraction to set aside must be 0 to 1, and its salt have at least 16 bytes")
    stream = hashlib.shake_256(tuple_hash(Label.SET_ASIDE, salt)).digest(8 * dataset.rows)
    coins = np.frombuffer(stream, "<u8")
    bound = int(fraction * 2**64)
    mask = np.ones(dataset.rows, np.bool_) if bound == 2**64 else coins < np.uint64(bound)
    return dataset.select(~mask), dataset.select(mask)


def division_of(set_aside: Decimal, salt: bytes, generation: str) -> str:
    """Return the name of a division of records; it reveals nothing about the salt.

    Args:
        set_aside: expected share of the records.
        salt: as of ``set_aside_split``.
        generation: of rows that kept their numbers; empty where sides do not depend on numbers.

    Returns:
        A different name for different arguments.
    """
    items = salt, str(Fraction(set_aside)).encode("ascii"), generation.encode("ascii")
    return tuple_hash(Label.SET_ASIDE, *items).hex()[:32]
