# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The cost of opening the sum of the pads' keys, for keys of both kinds and sizes, in ms of one core.

Nothing of it depends on the vector's length. Records of the generated kind are made by hand from published primes
(``tests/support/generated_keys``); their exponents, shares and (A, B) have the lengths of real ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from coterie_common.crypto.dealer import Dealing
from coterie_common.crypto.pads.pad import key_packing
from coterie_common.crypto.paillier import Ciphertext, Encryptor
from coterie_common.crypto.proofs import partial_decryption
from coterie_common.crypto.threshold import KeyKind, combine, combine_powers, partial_decrypt
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.randomness import OsRandom
from coterie_lab.benchmarks.measuring import Work, Yardstick, measure
from coterie_lab.benchmarks.rows import Measured, measured, opening_metric
from coterie_lab.benchmarks.workload import SESSION
from tests.support.dealings import make_dealing
from tests.support.generated_keys import make_generated


class NotTheSum(Exception):
    """What was opened is not what was encrypted: the figures would be meaningless."""


def measure_opening(
    parties: int, key_bits: int, kind: KeyKind, yardstick: Yardstick, repetitions: int
) -> Iterator[Measured]:
    """Measure one holder's part, and the aggregator's, in opening the key of one round.

    Args:
        parties: members of the federation, all of whom hold a share.
        key_bits: of the modulus.
        kind: of the key.
        yardstick: notes its own times.
        repetitions: turns.

    Raises:
        NotTheSum: the ciphertexts did not open to their plaintexts.
    """
    make = make_dealing if kind is KeyKind.DEALT else make_generated
    opening = _KeyOpening(make(parties, choose_parameters(parties).decryption_threshold, key_bits=key_bits))
    if opening.open_key() != opening.plaintexts:
        raise NotTheSum(f"a {kind.value} key of {key_bits} bits does not open what it encrypted")
    tasks: dict[str, Work] = {
        "partial_decrypt": opening.partial_decrypt,
        "combine": opening.combine,
        "open_key": opening.open_key,
    }
    for step, figures in measure(tasks, yardstick, repetitions).items():
        yield measured(opening_metric(step, kind.value, key_bits), len(opening.plaintexts), parties, figures)


class _KeyOpening:
    """The ciphertexts of a pad's key, and the partial decryptions of enough holders.

    Attributes:
        plaintexts: what the ciphertexts hold.
    """

    def __init__(self, dealing: Dealing) -> None:
        self._key, self._share = dealing.key, dealing.shares[0]
        public_key, random = self._key.public_key, OsRandom()
        encryptor = Encryptor(public_key)
        count = key_packing(self._key.holders, public_key.plaintext_bits).plaintexts
        self.plaintexts = tuple(random.randbits(public_key.plaintext_bits) for _ in range(count))
        self._total: tuple[Ciphertext, ...] = tuple(
            encryptor.encrypt(plaintext, encryptor.draw_nonce(random)) for plaintext in self.plaintexts
        )
        helping = dealing.shares[: self._key.decryption_threshold]
        self._partials = {share.index: partial_decrypt(self._key, share, self._total) for share in helping}

    def partial_decrypt(self) -> object:
        """One holder's work, its proof included."""
        statement = partial_decryption.Statement(
            session_id=SESSION,
            transcript_digest=SESSION,
            index=self._share.index,
            key=self._key,
            ciphertexts=self._total,
            partials=partial_decrypt(self._key, self._share, self._total),
        )
        return partial_decryption.prove(statement, self._share, OsRandom())

    def combine(self) -> object:
        """What the partial decryptions make together: powers of the ciphertexts' roots."""
        return combine_powers(self._key, self._total, self._partials)

    def open_key(self) -> tuple[int, ...]:
        """The plaintexts: the combined powers, their check, and the logarithms."""
        return combine(self._key, self._total, self._partials)
