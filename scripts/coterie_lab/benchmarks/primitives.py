# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The cost of single steps of a round, in ms of one core: all work of a party and the aggregator but communication."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coterie_common.crypto import threshold
from coterie_common.crypto.proofs import partial_decryption
from coterie_common.privacy.strips import Int64Array
from coterie_common.protocol.encrypted_reply import KeyPart
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.sealing.sealing import SealedVector
from coterie_common.randomness import OsRandom
from coterie_lab.benchmarks.measuring import Work, Yardstick, measure
from coterie_lab.benchmarks.rows import Measured, measured
from coterie_lab.benchmarks.workload import NO_NOISE, PARTY, SESSION, Workload

CONTRIBUTORS = 2
"""Sealed vectors that are added and opened; their number makes no difference to either."""


class WrongSum(Exception):
    """The opened sum is not the sum of the sealed vectors: the figures would be meaningless."""


def measure_primitives(workload: Workload, yardstick: Yardstick, repetitions: int) -> Iterator[Measured]:
    """Measure all steps for one length and one size of federation.

    Raises:
        WrongSum: the vectors did not add up.
    """
    random = OsRandom()
    update, exact = workload.update(), workload.exact()
    noised = exact + workload.noise.draw_share(workload.values, random)
    sealing, exact_sealing = workload.sealing(workload.noise), workload.sealing(NO_NOISE)
    sealed = [sealing.seal(noised, SESSION, PARTY, random) for _ in range(CONTRIBUTORS)]
    opening = _Opening(workload, sealing, sealed)
    if not np.array_equal(opening.open(), CONTRIBUTORS * noised):
        raise WrongSum(f"{CONTRIBUTORS} vectors of {workload.values} values did not add up")
    tasks: dict[str, Work] = {
        "encode": lambda: workload.encoding.encode([update], random),
        "noise": lambda: workload.noise.draw_share(workload.values, random),
        "seal": lambda: sealing.seal(noised, SESSION, PARTY, random),
        "seal_exact": lambda: exact_sealing.seal(exact, SESSION, PARTY, random),
        "add": _Adding(sealing, sealed).add,
        "open": opening.open,
        "partial_decrypt": opening.partial_decrypt,
    }
    for metric, figures in measure(tasks, yardstick, repetitions).items():
        yield measured(metric, workload.values, workload.parties, figures)
    yield measured("upload", workload.values, workload.parties, [_octets(sealed[0]) / workload.values])


class _Adding:
    """Adds one contribution after the other to a sum, as the aggregator does."""

    def __init__(self, sealing: EncryptedSealing, sealed: list[SealedVector[KeyPart]]) -> None:
        self._sealing = sealing
        self._padded = sealed[0].padded
        self._sum = sealing.new_padded_sum(SESSION)
        # Their form was checked when they came.
        self._ciphertexts = [sealing.check_ciphertexts(one.key_part) for one in sealed[:2]]

    def add(self) -> None:
        self._sealing.add(self._ciphertexts)
        self._sum.add(self._padded)


class _Opening:
    """Opens the sum of some sealed vectors."""

    def __init__(self, workload: Workload, sealing: EncryptedSealing, sealed: list[SealedVector[KeyPart]]) -> None:
        self._sealing = sealing
        self._contributors = len(sealed)
        self._key, self._share = workload.dealing.key, workload.dealing.shares[0]
        self._sum = sealing.new_padded_sum(SESSION)
        for one in sealed:
            self._sum.add(one.padded)
        self._total = sealing.add([sealing.check_ciphertexts(one.key_part) for one in sealed])
        self._plaintexts = workload.decrypt(self._total)

    def open(self) -> Int64Array:
        return self._sealing.open(self._plaintexts, self._contributors, self._sum)

    def partial_decrypt(self) -> object:
        """One party's work, including its proof, without which its result is not accepted."""
        partials = threshold.partial_decrypt(self._key, self._share, self._total)
        statement = partial_decryption.Statement(
            session_id=SESSION,
            transcript_digest=SESSION,
            index=self._share.index,
            key=self._key,
            ciphertexts=self._total,
            partials=partials,
        )
        return partial_decryption.prove(statement, self._share, OsRandom())


def _octets(sealed: SealedVector[KeyPart]) -> int:
    """Bytes that a party sends: its padded part, ciphertexts and proof."""
    return len(sealed.padded) + sum(map(len, sealed.key_part.ciphertexts)) + len(sealed.key_part.proof)
