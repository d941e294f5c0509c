# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Vectors of opening by the root: small keys of both kinds for s = 1 and 2, with everything in between.

``run_open`` recomputes all of it with plain integers: nothing of ours takes part but the functions under test.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import factorial, prod

from coterie_common.crypto.dealer import Dealing
from coterie_common.crypto.paillier import Encryptor
from coterie_common.crypto.threshold import KeyKind, check_record, combine, partial_decrypt
from tests.support.dealings import load_primes, make_dealing
from tests.support.generated_keys import make_generated
from tests.support.seeded_random import SeededRandom
from tests.vectors.crypto.samples import Document, Documents

HOLDERS, THRESHOLD = 5, 3
KEYS = {KeyKind.DEALT: make_dealing, KeyKind.GENERATED: make_generated}


def vectors() -> Documents:
    """Yield file name and content of every vector."""
    for kind, make in KEYS.items():
        for s in (1, 2):
            yield f"opening_{kind.value}_s{s}", _document(make(HOLDERS, THRESHOLD, s=s), kind, s)


def _document(dealing: Dealing, kind: KeyKind, s: int) -> Document:
    key, random = dealing.key, SeededRandom(f"opening {kind} {s}")
    encryptor = Encryptor(key.public_key)
    plaintext = random.randbelow(key.public_key.plaintext_modulus)
    nonce = encryptor.draw_nonce(random)
    ciphertext = encryptor.encrypt(plaintext, nonce)
    n, e = key.public_key.modulus, key.public_key.plaintext_modulus
    partials = {share.index: partial_decrypt(key, share, [ciphertext])[0] for share in dealing.shares}
    chosen = (1, 3, 4)
    numbers = {
        "modulus": n,
        "generator": key.public_key.generator,
        "root_factor": key.root_factor,
        "root_offset": key.root_offset,
        "verification_base": key.verification_base,
        "nonce": nonce.reveal(),
        "ciphertext": ciphertext.value,
        "combined": prod(pow(partials[i], 2 * _lagrange(i, chosen), n) for i in chosen) % n,
        "root": pow(key.public_key.generator, nonce.reveal(), n),
        "plaintext": plaintext,
    }
    assert pow(numbers["root"], e, n) == ciphertext.value % n
    return {
        "operation": "open_key",
        "kind": kind.value,
        "s": s,
        "holders": HOLDERS,
        "decryption_threshold": THRESHOLD,
        "nonce_bits": key.public_key.nonce_bits,
        "share_bits": key.share_bits,
        "chosen": list(chosen),
        **{name: f"{number:x}" for name, number in numbers.items()},
        "shares": [f"{share.value.reveal():x}" for share in dealing.shares],
        "verification_keys": [f"{value:x}" for value in key.verification_keys],
        "partials": {str(index): f"{value:x}" for index, value in partials.items()},
    }


def run_open(vector: Document) -> None:
    """Recompute a vector with plain integers, and compare what our functions return."""
    numbers = {name: int(value, 16) for name, value in vector.items() if name in _NUMBERS}
    n, a, b, c = (numbers[name] for name in ("modulus", "root_factor", "root_offset", "ciphertext"))
    s, chosen, k = vector["s"], vector["chosen"], vector["holders"]
    e, delta = n**s, factorial(k)
    shares = [int(value, 16) for value in vector["shares"]]
    partials = {int(index): int(value, 16) for index, value in vector["partials"].items()}
    # The secret in the shares: f(0) = Δ·R, over the integers or modulo p'q', with A·R + B = 1/e in the exponent.
    p, q = load_primes()
    order = (p // 2) * (q // 2)
    at_zero = sum(_lagrange(i, chosen) * shares[i - 1] for i in chosen)  # Δ²·R
    if vector["kind"] == KeyKind.GENERATED.value:
        assert at_zero % delta**2 == 0
        assert all(0 <= share < 1 << vector["share_bits"] for share in shares)
    assert (a * at_zero + delta**2 * b) * e % order == delta**2 % order
    assert [pow(numbers["verification_base"], share, n) for share in shares] == [
        int(value, 16) for value in vector["verification_keys"]
    ]
    # The encryption, the partial decryptions, and what they combine to.
    blinding = pow(numbers["generator"], e * numbers["nonce"], n ** (s + 1))
    assert c == pow(1 + n, numbers["plaintext"], n ** (s + 1)) * blinding % n ** (s + 1)
    assert partials == {
        index: pow(c, 2 * a * share, n) * pow(c, 2 * delta * b, n) % n for index, share in enumerate(shares, start=1)
    }
    combined = 1
    for i in chosen:
        combined = combined * pow(partials[i], 2 * _lagrange(i, chosen), n) % n
    fourfold = 4 * delta**2
    assert combined == numbers["combined"] == pow(c, (4 * a * at_zero + fourfold * b) % order, n)
    # u = Y^α·C^β, α·4Δ² + β·e = 1.
    alpha = pow(fourfold, -1, e)
    beta = (1 - alpha * fourfold) // e
    root = pow(combined, alpha, n) * pow(c, beta, n) % n
    assert root == numbers["root"]
    assert c * pow(root, -e, n ** (s + 1)) % n ** (s + 1) == pow(1 + n, numbers["plaintext"], n ** (s + 1))
    # Ours.
    dealing = KEYS[KeyKind(vector["kind"])](k, vector["decryption_threshold"], s=s)
    key = dealing.key
    assert [share.value.reveal() for share in dealing.shares] == shares
    assert (key.root_factor, key.root_offset, key.share_bits) == (a, b, vector["share_bits"])
    check_record(key)
    ciphertext = key.public_key.check(c)
    assert {share.index: partial_decrypt(key, share, [ciphertext])[0] for share in dealing.shares} == partials
    assert combine(key, [ciphertext], {i: [partials[i]] for i in chosen}) == (numbers["plaintext"],)


_NUMBERS = (
    "modulus",
    "generator",
    "root_factor",
    "root_offset",
    "verification_base",
    "nonce",
    "ciphertext",
    "combined",
    "root",
    "plaintext",
)


def _lagrange(i: int, indices: Sequence[int]) -> int:
    value = factorial(HOLDERS) * prod(Fraction(j, j - i) for j in indices if j != i)
    assert value.denominator == 1
    return int(value)
