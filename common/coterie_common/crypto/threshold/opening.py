# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Combining partial decryptions into powers of the ciphertexts' roots, which open them.

Combined, they make Y = u^{4Δ²} with the N^s-th root u of a ciphertext C modulo N. Since C = (1+N)^M·u^{N^s}, it opens
C^{4Δ²}·Y^{−N^s} = (1+N)^{4Δ²M}. That is checked: it must be ≡ 1 modulo N. N is prime to φ(N), so there is one Y that
fits, and the check is complete: whatever opens is the plaintext, whoever made the partial decryptions and however.
Their proofs matter only where the check fails (``NotOpened``), to find out whose fault it is.

Y is as good as u, which is a product of powers of Y and C, 4Δ² and N^s having no common factor; taking it would only
cost a power of the length of N^s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, islice
from typing import Final

from gmpy2 import mpz, powmod_base_list

from coterie_common.crypto.exponential import logarithm
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.crypto.threshold.key import ThresholdPublicKey
from coterie_common.crypto.threshold.lagrange import inverse, lagrange_coefficients
from coterie_common.errors import InsufficientShares, KeyMismatch, NotOpened

_THREADS: Final = 2
"""Share the powers of one opening: the interpreter's lock is released while they are computed."""

MAX_SETS: Final = 256
"""Sets of t partial decryptions that are tried where all proofs hold: all of them for up to 9 of 12 holders."""


def combine(
    key: ThresholdPublicKey, ciphertexts: Sequence[Ciphertext], partials: Mapping[int, Sequence[int]]
) -> tuple[int, ...]:
    """Open ciphertexts with enough partial decryptions.

    Args:
        key: the threshold key.
        ciphertexts: of that key.
        partials: holder index → its partial decryptions of these ciphertexts, in their order; need not be verified.
            Of more than ``decryption_threshold`` the lowest indices are used.

    Returns:
        The plaintexts in ``[0, N**s)``.

    Raises:
        InsufficientShares: fewer than ``decryption_threshold`` holders.
        KeyMismatch: an index that the key does not have, another number of partial decryptions than ciphertexts, a
            value that is no unit modulo N, or a ciphertext of another key.
        NotOpened: a partial decryption is wrong.

    Source: Shoup, EUROCRYPT 2000, combining shares; Paillier, EUROCRYPT '99, decryption by the root.
    """
    indices = sorted(partials)[: key.decryption_threshold]
    _check(key, ciphertexts, partials)
    return _in_parallel(key, ciphertexts, {index: partials[index] for index in indices})


def combine_any(
    key: ThresholdPublicKey, ciphertexts: Sequence[Ciphertext], partials: Mapping[int, Sequence[int]]
) -> tuple[int, ...]:
    """Open ciphertexts with any set of partial decryptions that does it; of many sets, the first ``MAX_SETS``.

    For partial decryptions whose proofs all hold although they do not open: of a generated key that is thinkable, with
    an element of small order in one of them.

    Raises:
        NotOpened: no set opens.
        InsufficientShares, KeyMismatch: as ``combine``.
    """
    _check(key, ciphertexts, partials)
    for indices in islice(combinations(sorted(partials), key.decryption_threshold), MAX_SETS):
        chosen = {index: partials[index] for index in indices}
        if all(_opens(key, one, {i: [values[n]] for i, values in chosen.items()}) for n, one in enumerate(ciphertexts)):
            return _in_parallel(key, ciphertexts, chosen)
    raise NotOpened(f"none of the sets of {key.decryption_threshold} partial decryptions opens the ciphertexts")


def combine_powers(
    key: ThresholdPublicKey, ciphertexts: Sequence[Ciphertext], partials: Mapping[int, Sequence[int]]
) -> tuple[int, ...]:
    """Return Y = u^{4Δ²} modulo N for the root u of each ciphertext, unchecked; arguments and errors as ``combine``."""
    _check(key, ciphertexts, partials)
    indices = sorted(partials)[: key.decryption_threshold]
    return tuple(map(int, _powers(key, len(ciphertexts), {index: partials[index] for index in indices})))


def _check(key: ThresholdPublicKey, ciphertexts: Sequence[Ciphertext], partials: Mapping[int, Sequence[int]]) -> None:
    if len(partials) < key.decryption_threshold:
        raise InsufficientShares(
            f"{len(partials)} partial decryptions are not enough: {key.decryption_threshold} are needed"
        )
    for ciphertext in ciphertexts:
        key.public_key.require_own(ciphertext)
    for index, values in partials.items():
        key.require_index(index)
        if len(values) != len(ciphertexts):
            raise KeyMismatch(f"holder index {index} decrypted {len(values)} ciphertexts instead of {len(ciphertexts)}")
        if not all(map(key.public_key.is_unit_modulo_n, values)):
            raise KeyMismatch(f"a partial decryption of holder index {index} is out of range or no unit")


def _in_parallel(
    key: ThresholdPublicKey, ciphertexts: Sequence[Ciphertext], partials: Mapping[int, Sequence[int]]
) -> tuple[int, ...]:
    if len(ciphertexts) < _THREADS:
        return tuple(_combine(key, ciphertexts, partials))
    parts = [slice(part, None, _THREADS) for part in range(_THREADS)]
    opened = [0] * len(ciphertexts)
    with ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="combine") as threads:
        running = [
            threads.submit(_combine, key, ciphertexts[part], {i: values[part] for i, values in partials.items()})
            for part in parts
        ]
        for part, found in zip(parts, running, strict=True):
            opened[part] = found.result()
    return tuple(opened)


def _combine(
    key: ThresholdPublicKey, ciphertexts: Sequence[Ciphertext], partials: Mapping[int, Sequence[int]]
) -> list[int]:
    public_key = key.public_key
    powers = _powers(key, len(ciphertexts), partials)
    # Modulo N^{s+1}, and therefore the most expensive step.
    blindings = powmod_base_list(powers, public_key.plaintext_modulus, public_key.ciphertext_modulus)
    raised = powmod_base_list([c.value for c in ciphertexts], _multiple(key), public_key.ciphertext_modulus)
    return [_open(key, value, blinding) for value, blinding in zip(raised, blindings, strict=True)]


def _multiple(key: ThresholdPublicKey) -> int:
    """Return 4Δ², by which the exponents of combined partial decryptions exceed those of a root."""
    return int(4 * key.delta**2)


def _powers(key: ThresholdPublicKey, count: int, partials: Mapping[int, Sequence[int]]) -> list[mpz]:
    """Return Y = ∏ D_i^{2λ_i} mod N for each of ``count`` ciphertexts, which is u^{4Δ²}."""
    modulus = mpz(key.public_key.modulus)
    above, below = [mpz(1)] * count, [mpz(1)] * count
    for index, coefficient in lagrange_coefficients(key.delta, sorted(partials)).items():
        powers = powmod_base_list(list(partials[index]), 2 * abs(coefficient), modulus)
        side = above if coefficient > 0 else below
        side[:] = [product * power % modulus for product, power in zip(side, powers, strict=True)]
    return [a * inverse(b, modulus) % modulus for a, b in zip(above, below, strict=True)]


def _opens(key: ThresholdPublicKey, ciphertext: Ciphertext, partials: Mapping[int, Sequence[int]]) -> bool:
    modulus = key.public_key.modulus
    residue = ciphertext.value % modulus
    (power,) = _powers(key, 1, partials)
    (blinding,) = powmod_base_list([power], key.public_key.plaintext_modulus, modulus)
    return bool(blinding == powmod_base_list([residue], _multiple(key), modulus)[0])


def _open(key: ThresholdPublicKey, raised: mpz, blinding: mpz) -> int:
    """Return M from C^{4Δ²} = (1+N)^{4Δ²M}·Y^e."""
    public_key = key.public_key
    opened = raised * inverse(blinding, public_key.ciphertext_modulus) % public_key.ciphertext_modulus
    if opened % public_key.modulus != 1:
        raise NotOpened("the partial decryptions make no root of the ciphertext")
    multiple = logarithm(int(opened), public_key.modulus, public_key.s)
    return int(multiple * inverse(_multiple(key), public_key.plaintext_modulus) % public_key.plaintext_modulus)
