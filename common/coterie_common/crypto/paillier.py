# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Damgård–Jurik encryption under a public key, and all operations that need no secret key.

``Enc(M) = (1+N)^M · h_s^α mod N^{s+1}`` for M in Z_{N^s}, ``h_s = h^{N^s}``, ``h = −y²``. The key states the length
of α: half that of N where p and q are safe primes, 128 bits more than N where they are not known to be.
Decryption is in ``threshold``, and only by enough parties together; no private key exists as a type.

- A ``PublicKey`` that exists is well formed; that N has exactly two large prime factors is trusted to its makers.
- A ``Ciphertext`` that exists is a unit in range: made here, or passed by ``PublicKey.check``.
- Nothing here is constant time.

Source: Damgård and Jurik, PKC 2001; short exponents: Damgård, Jurik and Nielsen, "A generalization of Paillier's
public-key system with applications to electronic voting", 2010.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from gmpy2 import gcd, is_prime, jacobi, mpz, powmod, primorial

from coterie_common.crypto.comb import Comb
from coterie_common.crypto.exponential import exponential
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.errors import InvalidCiphertext, KeyFileError, KeyMismatch, PlaintextOutOfRange, StateError
from coterie_common.limits import KEY_BITS, MAX_CIPHERTEXTS
from coterie_common.randomness import RandomSource
from coterie_common.secret import Secret

MAX_S: Final = 8
"""Ciphertexts of 9·|N| bits; beyond that, more of them are cheaper than longer ones."""

PROOF_NONCE_BITS: Final = 256
"""Bits by which a proof's nonce exceeds the witness that it hides: 128 of challenge and 128 of hiding."""

_SMALL_PRIMES_BELOW: Final = 1 << 16
_STATISTICAL_BITS: Final = 128


def short_nonce_bits(key_bits: int) -> int:
    """Return |α| = |N|/2, for products of safe primes only (Damgård, Jurik and Nielsen)."""
    return key_bits // 2


def full_nonce_bits(key_bits: int) -> int:
    """Return |α| = |N| + 128: h^α is then as good as uniform in the group that h generates, whatever its order."""
    return key_bits + _STATISTICAL_BITS


@dataclass(frozen=True)
class PublicKey:
    """Everything needed to encrypt and to compute with ciphertexts.

    Attributes:
        modulus: N, of one of the lengths in ``limits.KEY_BITS``.
        s: plaintexts are integers modulo N^s.
        generator: h = −y² mod N.
        nonce_bits: |α|, the length of an encryption nonce: ``short_nonce_bits`` or ``full_nonce_bits``.

    Raises:
        KeyFileError: a number is out of range or does not have the required form.
    """

    modulus: int = field(repr=False)
    s: int
    generator: int = field(repr=False)
    nonce_bits: int

    def __post_init__(self) -> None:
        if self.modulus.bit_length() not in KEY_BITS:
            raise KeyFileError(
                f"the public key's modulus has {self.modulus.bit_length()} bits, "
                f"allowed are {', '.join(map(str, KEY_BITS))}"
            )
        self._validate()

    @classmethod
    def _insecure_for_tests(cls, modulus: int, s: int, generator: int, nonce_bits: int) -> PublicKey:
        """Make a key of any size. Tests only: nothing that reads a file or a configuration calls this."""
        key = object.__new__(cls)
        values = {"modulus": modulus, "s": s, "generator": generator, "nonce_bits": nonce_bits}
        for name, value in values.items():
            object.__setattr__(key, name, value)
        key._validate()
        return key

    def _validate(self) -> None:
        n, h = mpz(self.modulus), mpz(self.generator)
        if not 1 <= self.s <= MAX_S:
            raise KeyFileError(f"the public key's s is {self.s}, allowed are 1 to {MAX_S}")
        if n.bit_length() % 2 or gcd(n, primorial(_SMALL_PRIMES_BELOW)) != 1 or is_prime(n):
            raise KeyFileError("the public key's modulus is no product of two large primes of equal length")
        # −y² has Jacobi symbol 1, p and q being 3 modulo 4; 1 and −1 would encrypt to the plaintext itself.
        if not 1 < h < n - 1 or jacobi(h, n) != 1:
            raise KeyFileError("the public key's generator is not of the form −y² modulo the modulus")
        if self.nonce_bits not in (short_nonce_bits(self.key_bits), full_nonce_bits(self.key_bits)):
            raise KeyFileError(f"the public key's encryption exponents cannot have {self.nonce_bits} bits")

    @property
    def key_bits(self) -> int:
        """|N|, the length of the modulus."""
        return self.modulus.bit_length()

    @cached_property
    def plaintext_modulus(self) -> int:
        """N^s."""
        return int(mpz(self.modulus) ** self.s)

    @cached_property
    def ciphertext_modulus(self) -> int:
        """N^{s+1}."""
        return int(mpz(self.modulus) ** (self.s + 1))

    @property
    def modulus_bytes(self) -> int:
        """Length of an encoded residue modulo N, such as a partial decryption."""
        return -(-self.key_bits // 8)

    @property
    def ciphertext_bytes(self) -> int:
        """Length of an encoded ciphertext."""
        return -(-self.key_bits * (self.s + 1) // 8)

    @property
    def plaintext_bits(self) -> int:
        """All integers of this many bits are plaintexts: |N| − 2 for s = 1."""
        return (self.key_bits - 1) * self.s - 1

    @cached_property
    def blinding_base(self) -> int:
        """h_s = h^{N^s} mod N^{s+1}, whose powers hide plaintexts."""
        return int(powmod(self.generator, self.plaintext_modulus, self.ciphertext_modulus))

    @cached_property
    def _digest(self) -> bytes:
        return tuple_hash(Label.PUBLIC_KEY, self.modulus, self.s, self.generator, self.nonce_bits)

    @property
    def digest(self) -> bytes:
        """Return the items that identify the key in every hash."""
        return self._digest

    def check(self, value: int | bytes) -> Ciphertext:
        """Accept a ciphertext from outside.

        Args:
            value: the number, or its big-endian encoding of exactly ``ciphertext_bytes``.

        Raises:
            InvalidCiphertext: wrong length, out of 1..N^{s+1}−1, or no unit.
        """
        if isinstance(value, bytes):
            if len(value) != self.ciphertext_bytes:
                raise InvalidCiphertext(f"a ciphertext has {len(value)} bytes instead of {self.ciphertext_bytes}")
            value = int.from_bytes(value, "big")
        if not self.is_unit(value):
            raise InvalidCiphertext("a ciphertext is out of range or shares a factor with the modulus")
        return Ciphertext(value, self)

    def check_all(self, values: Sequence[bytes]) -> tuple[Ciphertext, ...]:
        """Accept encoded ciphertexts from outside, each as ``check`` would, with one greatest common divisor for all.

        Raises:
            InvalidCiphertext: for the first that ``check`` refuses.
        """
        numbers = [int.from_bytes(value, "big") for value in values if len(value) == self.ciphertext_bytes]
        n, product = mpz(self.modulus), mpz(1)
        for number in numbers:
            product = product * number % n
        # The product shares a prime factor with N if and only if one of them does. Zero shares them all.
        if len(numbers) < len(values) or gcd(product, n) != 1 or max(numbers, default=0) >= self.ciphertext_modulus:
            return tuple(map(self.check, values))
        return tuple(Ciphertext(number, self) for number in numbers)

    def check_residue(self, value: bytes) -> int:
        """Accept a unit modulo N from outside, in its big-endian encoding of exactly ``modulus_bytes``.

        Raises:
            InvalidCiphertext: wrong length, out of 1..N−1, or no unit.
        """
        if len(value) != self.modulus_bytes:
            raise InvalidCiphertext(f"a residue has {len(value)} bytes instead of {self.modulus_bytes}")
        number = int.from_bytes(value, "big")
        if not self.is_unit_modulo_n(number):
            raise InvalidCiphertext("a residue is out of range or shares a factor with the modulus")
        return number

    def is_unit(self, value: int) -> bool:
        """Return true if ``value`` is in 1..N^{s+1}−1 and coprime to N."""
        return 0 < value < self.ciphertext_modulus and gcd(mpz(value), self.modulus) == 1

    def is_unit_modulo_n(self, value: int) -> bool:
        """Return true if ``value`` is in 1..N−1 and coprime to N."""
        return 0 < value < self.modulus and gcd(mpz(value), self.modulus) == 1

    def add(self, ciphertexts: Iterable[Ciphertext]) -> Ciphertext:
        """Return a ciphertext of the sum of the plaintexts modulo N^s; at least one summand.

        Raises:
            KeyMismatch: a ciphertext belongs to another key.
            StateError: there is nothing to add.
        """
        summands = list(ciphertexts)
        if not summands:
            raise StateError("a sum of ciphertexts needs at least one")
        modulus, product = mpz(self.ciphertext_modulus), mpz(1)
        for summand in summands:
            self.require_own(summand)
            product = product * summand.value % modulus
        return Ciphertext(int(product), self)

    def require_own(self, ciphertext: Ciphertext) -> None:
        """Raise ``KeyMismatch`` unless ``ciphertext`` belongs to this key."""
        if ciphertext.key is not self and ciphertext.key != self:
            raise KeyMismatch("a ciphertext of another key")


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """A unit modulo N^{s+1}. Made by ``Encryptor`` and ``PublicKey`` only; from outside through ``PublicKey.check``."""

    value: int = field(repr=False)
    key: PublicKey

    def to_bytes(self) -> bytes:
        """Return the big-endian encoding of ``key.ciphertext_bytes`` bytes."""
        return self.value.to_bytes(self.key.ciphertext_bytes, "big")


class Nonce(Secret[int]):
    """The α of one ciphertext: with it, anyone reads the plaintext."""


class Encryptor:
    """Encrypts under one key with the help of tables for powers of h_s.

    Building it costs about 0.1 s at 2048 bits, 0.2 s at 3072 and 0.5 s at 4096 (see ``comb``), and nearly twice as
    much where nonces have the full length: make one per key and keep it. After construction it may be used from several
    threads.
    """

    def __init__(self, public_key: PublicKey) -> None:
        self.public_key: Final = public_key
        # The second segment covers the bits by which the nonce of a proof over MAX_CIPHERTEXTS ciphertexts, and its
        # response, exceed α.
        beyond = PROOF_NONCE_BITS + (MAX_CIPHERTEXTS - 1).bit_length() + 1
        self._comb = Comb(public_key.blinding_base, public_key.ciphertext_modulus, (public_key.nonce_bits, beyond))

    def draw_nonce(self, random: RandomSource) -> Nonce:
        """Draw the nonce of one encryption: as many uniform bits as the key states. Never use one twice."""
        return Nonce(random.randbits(self.public_key.nonce_bits))

    def encrypt(self, plaintext: int, nonce: Nonce) -> Ciphertext:
        """Encrypt an integer in ``[0, N**s)``.

        Raises:
            PlaintextOutOfRange: it is not.

        Source: Damgård, Jurik and Nielsen 2010: a power of h^{N^s} instead of the N^s-th power of a unit modulo N.
        Security: indistinguishable under decisional composite residuosity and the indistinguishability of powers of h
            from elements of Jacobi symbol 1: short powers for a dealt key, powers of full length for a generated one,
            whose h need not generate them all. Not constant time.
        """
        if not 0 <= plaintext < self.public_key.plaintext_modulus:
            raise PlaintextOutOfRange("a plaintext must be at least 0 and below N^s")
        return Ciphertext(self.masked(plaintext, nonce.reveal()), self.public_key)

    def masked(self, plaintext: int, exponent: int) -> int:
        """Return ``(1+N)**plaintext · h_s**exponent``; the exponent may be as long as a proof's response.

        Raises:
            StateError: the exponent is negative or too long.
        """
        key = self.public_key
        mask = mpz(self._comb.power(exponent))
        return int(mask * exponential(plaintext, key.modulus, key.s) % key.ciphertext_modulus)
