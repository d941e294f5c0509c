# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from itertools import permutations

import pytest

from coterie_common.crypto.generation.channel import (
    SEAL_BYTES,
    ChannelKey,
    Direction,
    SaltedPart,
    derive,
    open_direction,
    open_part,
    seal,
)
from coterie_common.crypto.masks.ephemeral import EphemeralSecret
from coterie_common.errors import MalformedMessage
from tests.support.seeded_random import SeededRandom

OWN, OTHER = (EphemeralSecret.generate(SeededRandom(name)) for name in ("own", "other"))
DIRECTION = Direction(b"session", 2, 5)
PART = SaltedPart(bytes(32), b"the part")


def agreed(direction: Direction = DIRECTION) -> tuple[ChannelKey, ChannelKey]:
    """Return the key that the sender and the one that the recipient has."""
    secret, ciphertext = OTHER.public.encapsulate()
    return (
        derive(direction, OWN.exchange(OTHER.public), secret, ciphertext),
        open_direction(direction, OTHER, OWN.public, ciphertext),
    )


def test_recipient_opens_what_the_sender_sealed():
    sender, recipient = agreed()
    sealed = seal(sender, DIRECTION, 7, PART)
    assert len(sealed) == 32 + 8 + SEAL_BYTES
    assert open_part(recipient, DIRECTION, 7, sealed) == PART


@pytest.mark.parametrize(
    ("direction", "step"),
    [
        (DIRECTION, 8),
        (Direction(b"another", 2, 5), 7),
        (Direction(b"session", 5, 2), 7),
        (Direction(b"session", 2, 4), 7),
    ],
    ids=str,
)
def test_part_of_another_step_direction_or_run_does_not_open(direction, step):
    key, _ = agreed()
    sealed = seal(key, DIRECTION, 7, PART)
    assert open_part(key, direction, step, sealed) is None


def test_altered_or_short_part_does_not_open():
    key, _ = agreed()
    sealed = seal(key, DIRECTION, 7, PART)
    assert open_part(key, DIRECTION, 7, sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert open_part(key, DIRECTION, 7, b"") is None
    assert open_part(key, DIRECTION, 7, seal(key, DIRECTION, 7, SaltedPart(b"short", b""))) is None


def test_keys_differ_with_run_direction_and_encapsulation():
    directions = [Direction(run, *pair) for run in (b"one", b"two") for pair in permutations((1, 2, 3), 2)]
    keys = {agreed(direction)[0].reveal() for direction in directions} | {agreed(directions[0])[0].reveal()}
    assert len(keys) == len(directions) + 1


def test_without_either_ephemeral_secret_the_part_does_not_open():
    key, _ = agreed()
    sealed = seal(key, DIRECTION, 7, PART)
    secret, ciphertext = OTHER.public.encapsulate()
    stranger = EphemeralSecret.generate(SeededRandom("long-term keys of everybody"))
    assert (
        open_part(derive(DIRECTION, stranger.exchange(OTHER.public), secret, ciphertext), DIRECTION, 7, sealed) is None
    )
    with pytest.raises(MalformedMessage):
        open_direction(DIRECTION, OTHER, OWN.public, ciphertext[:-1])


def test_salted_hash_covers_everything():
    changed = [
        PART.hash(DIRECTION, 7),
        PART.hash(DIRECTION, 8),
        PART.hash(Direction(b"session", 5, 2), 7),
        PART.hash(Direction(b"other", 2, 5), 7),
        SaltedPart(bytes(31) + b"\1", b"the part").hash(DIRECTION, 7),
        SaltedPart(bytes(32), b"the-part").hash(DIRECTION, 7),
    ]
    assert len(set(changed)) == len(changed)


def test_part_and_key_reveal_nothing_when_printed():
    assert repr(PART) == "SaltedPart(<redacted>)"
    assert repr(ChannelKey(b"k")) == "ChannelKey(<redacted>)"
