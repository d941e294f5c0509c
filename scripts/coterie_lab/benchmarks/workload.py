# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The workload of the measurements: an update of norm 1, its encoding, its noise, and a key to seal it under.

The numbers are those of a real round in which a party's reply is protected at a noise multiplier of 1. The factors of
the key's modulus are published (tests/support/keys): nothing sealed here is secret; otherwise the key is like any real
one of 2048 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Final

import numpy as np

from coterie_common.crypto.dealer import Dealing
from coterie_common.crypto.paillier import Ciphertext, Encryptor
from coterie_common.identifiers import PartyId
from coterie_common.privacy.noise.mechanisms import DiscreteGaussianNoise, NoiseTerms, Placement, Unit
from coterie_common.privacy.strips import Float64Array, Int64Array
from coterie_common.privacy.vector_encoding import Rounding, VectorEncoding
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.protocol.sealing.choice import choose_sealing, make_sealing
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.terms import RoundTerms, VectorTerms
from tests.support.dealings import load_primes, make_dealing

KEY_BITS: Final = 2048
SESSION: Final = bytes(range(32))
PARTY: Final = PartyId("party-1")

SCALE_BITS: Final = 17
"""Times 2^17, an update of norm 1 has a norm of 131 roundings at 10^6 values: rounding costs next to no privacy."""

_BOUND: Final = 1 << SCALE_BITS
NO_NOISE: Final = DiscreteGaussianNoise(placement=Placement.NONE, shares=1)


@dataclass(frozen=True)
class Workload:
    """One length of vector in one size of federation.

    Attributes:
        values: length of the vector.
        parties: members of the federation.
        key_bits: of the modulus of the threshold key; the tests measure with less.
    """

    values: int
    parties: int
    key_bits: int = KEY_BITS

    @cached_property
    def dealing(self) -> Dealing:
        """The threshold key, dealt to the given number of parties."""
        threshold = choose_parameters(self.parties).decryption_threshold
        return make_dealing(self.parties, threshold, key_bits=self.key_bits)

    @cached_property
    def encryptor(self) -> Encryptor:
        """The tables for encrypting, which a party makes once."""
        return Encryptor(self.dealing.key.public_key)

    @cached_property
    def noise(self) -> NoiseTerms:
        """A noise multiplier of 1 in honest shares: each has a standard deviation of some 2^16 units."""
        parameters = choose_parameters(self.parties)
        return DiscreteGaussianNoise(
            placement=Placement.DISTRIBUTED,
            variance=Fraction(_BOUND) ** 2,
            shares=parameters.honest_shares(parameters.quorum),
        )

    @cached_property
    def encoding(self) -> VectorEncoding:
        """Clipped to norm 1, rounded stochastically."""
        return VectorEncoding(
            length=self.values,
            clip_norm=Fraction(1),
            scale_bits=SCALE_BITS,
            rounding=Rounding.EACH,
            units=1,
            lower=-_BOUND,
            upper=_BOUND,
        )

    def sealing(self, noise: NoiseTerms) -> EncryptedSealing:
        """Return the sealing that is used for a round of this length."""
        values, key = VectorTerms(encoding=self.encoding, sampling_rate=None), self.encryptor.public_key
        kind = choose_sealing(values, noise, self.parties, key.plaintext_bits)
        terms = RoundTerms(sealing=kind, values=values, noise=noise, unit=Unit.PARTY)
        return make_sealing(terms, self.parties, self.encryptor)

    def update(self, seed: int = 1) -> Float64Array:
        """Return an update of norm 1, Float64[1, values]; its content makes no difference to any time."""
        row = np.cos(np.arange(self.values, dtype=np.float64) * 1.61803 + seed)[np.newaxis]
        row /= np.linalg.norm(row)
        return row

    def exact(self, seed: int = 1) -> Int64Array:
        """Return ``update`` in scaled units, rounded to the nearest."""
        rounded: Int64Array = np.rint(self.update(seed)[0] * _BOUND).astype(np.int64)
        return rounded

    def decrypt(self, ciphertexts: tuple[Ciphertext, ...]) -> tuple[int, ...]:
        """Open with the published factors: partial decryptions by 67 of 100 parties would take half a minute."""
        p, q = load_primes(self.key_bits)
        modulus, order = p * q, lcm(p - 1, q - 1)
        inverse = pow(order, -1, modulus)
        powers = (pow(ciphertext.value, order, modulus**2) for ciphertext in ciphertexts)
        return tuple((power - 1) // modulus * inverse % modulus for power in powers)
