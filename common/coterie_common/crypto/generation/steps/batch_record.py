# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What one holder knows of a batch, and the powers of a test, which are committed to before they are opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from coterie_common.crypto.generation.biprimality import SALT_BYTES, base, commitment, power
from coterie_common.crypto.generation.candidates import FactorShares, Shares
from coterie_common.crypto.generation.cells import Choice
from coterie_common.crypto.generation.channel import SaltedPart
from coterie_common.crypto.generation.small_sharing import Int64Array
from coterie_common.crypto.generation.steps.batch_secrets import BatchSecrets
from coterie_common.crypto.generation.steps.messages import Broadcast, Step, decode_numbers, encode_numbers
from coterie_common.crypto.generation.steps.setup import Check, Draft, Received, Run


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """What one holder knows of a batch; it grows step by step.

    Attributes:
        secrets: its own randomness.
        roots: of all holders, by index.
        parts: what it got, by step and sender, with the salt.
        broadcasts: of all holders, by step and index.
        residues: opened shares of z, by index.
        choice: the cells of every candidate.
        shares: its own of all factors.
        product_shares: opened shares of N of every candidate, by index.
        moduli: N of every candidate.
        chain: after N was opened.
        tested: the candidates that were tested.
        powers: opened by all holders for those, by index.
    """

    secrets: BatchSecrets = field(repr=False)
    roots: Mapping[int, bytes] = field(repr=False)
    parts: Mapping[Step, Mapping[int, SaltedPart]] = field(default_factory=dict, repr=False)
    broadcasts: Mapping[Step, Mapping[int, Broadcast]] = field(default_factory=dict, repr=False)
    residues: Mapping[int, Int64Array] = field(default_factory=dict, repr=False)
    choice: Choice = field(default_factory=lambda: Choice(np.zeros((0, 0), np.int64)), repr=False)
    shares: Shares = field(default_factory=lambda: Shares(()), repr=False)
    product_shares: Mapping[int, tuple[int, ...]] = field(default_factory=dict, repr=False)
    moduli: tuple[int, ...] = field(default=(), repr=False)
    chain: bytes = b""
    tested: tuple[int, ...] = ()
    powers: Mapping[int, tuple[int, ...]] = field(default_factory=dict, repr=False)

    def with_parts(self, step: Step, received: Received) -> BatchRecord:
        """Return the record with what came in a step that has parts."""
        return replace(
            self,
            parts={**self.parts, step: received.parts},
            broadcasts={**self.broadcasts, step: received.broadcasts},
        )


@dataclass(frozen=True, kw_only=True)
class Powers:
    """One holder's powers in tests, and the salt of its commitment to them.

    Attributes:
        number: of the commitment in this run; none is used twice.
        salt: of the commitment.
        values: the powers.
    """

    number: int
    salt: bytes = field(repr=False)
    values: tuple[int, ...] = field(repr=False)

    def commitment(self, run: Run) -> Draft:
        """Return the broadcast that commits to the powers."""
        return Draft(commitment(run.session_id, self.number, run.setup.index, self.salt, self.values))

    def opening(self, run: Run) -> Draft:
        """Return the broadcast that opens them."""
        return Draft(self.salt + encode_numbers(self.values, run.setup.parameters.key_bits // 8))


def make_powers(run: Run, number: int, values: Sequence[int]) -> Powers:
    """Draw the salt of a commitment to powers."""
    return Powers(number=number, salt=run.setup.random.token_bytes(SALT_BYTES), values=tuple(values))


def power_of(run: Run, modulus: int, counter: int, holder: int, shares: FactorShares) -> int:
    """Return what one holder opens in one test of N; the first has the counter 0."""
    return power(base(run.session_id, modulus, counter), modulus, holder, shares)


def decode_powers(
    run: Run, received: Received, commitments: Mapping[int, bytes], number: int, moduli: Sequence[int]
) -> dict[int, tuple[int, ...]]:
    """Return the powers that all holders opened, by index: one for each N.

    Raises:
        GenerationDeviation: a body has another length or a power that is not below its N, or does not open its
            commitment.
    """
    setup, opened = run.setup, {}
    for index, body in received.bodies().items():
        salt, rest = body[:SALT_BYTES], body[SALT_BYTES:]
        values = decode_numbers(rest, setup.parameters.key_bits // 8, len(moduli), 1 << setup.parameters.key_bits)
        if values is None or any(value >= n for value, n in zip(values, moduli, strict=True)):
            setup.blame([index], "opened powers are malformed")
        committed = commitment(run.session_id, number, index, salt, values)
        if setup.makes(Check.POWER_COMMITMENTS) and committed != commitments[index]:
            setup.blame([index], "opened powers are not those committed to")
        opened[index] = values
    return opened
