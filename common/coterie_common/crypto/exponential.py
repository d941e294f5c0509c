# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The map M → (1+N)^M from Z_{N^s} to the units modulo N^{s+1}, and back: the discrete logarithm that is easy.

Nothing here is secret or random; ``paillier`` and ``threshold`` build on it.

Source: Damgård and Jurik, "A generalisation, a simplification and some applications of Paillier's probabilistic
public-key system", PKC 2001.
"""

from __future__ import annotations

from math import factorial

from gmpy2 import invert, mpz

from coterie_common.errors import KeyMismatch


def exponential(plaintext: int, modulus: int, s: int) -> int:
    """Return ``(1+N)**plaintext mod N**(s+1)`` for ``N = modulus``, as the first s + 1 terms of the binomial theorem.

    Args:
        plaintext: any integer; only its residue modulo N^s matters.
        modulus: N, whose prime factors are all above ``s``.
        s: 1 or more.
    """
    n = mpz(modulus)
    space = n**s
    m = mpz(plaintext) % space
    binomial, power, result = mpz(1), mpz(1), mpz(1)
    for i in range(1, s + 1):
        # Modulo N^s is enough: the coefficient is multiplied by N^i.
        binomial = binomial * (m - i + 1) * invert(i, space) % space
        power *= n
        result += binomial * power
    return int(result % (space * n))


def logarithm(value: int, modulus: int, s: int) -> int:
    """Return the M in ``[0, N**s)`` with ``(1+N)**M = value mod N**(s+1)``.

    Args:
        value: in ``[0, N**(s+1))``.
        modulus: N, whose prime factors are all above ``s``.
        s: 1 or more.

    Raises:
        KeyMismatch: ``value`` is no power of 1 + N.

    Source: Damgård–Jurik, PKC 2001: M modulo N^j is found for j = 1, 2, …, s in turn.
    """
    n, x = mpz(modulus), mpz(value)
    if x % n != 1:
        raise KeyMismatch("the value is no power of 1 + N: it was made under another key or from a wrong part")
    result = mpz(0)
    for j in range(1, s + 1):
        space = n**j
        # L(x) = M + ∑ C(M, k)·N^{k−1} over k = 2..j; the sum needs M modulo N^{j−1} only, which is `result`.
        found = (x % (space * n) - 1) // n
        falling = result
        for k in range(2, j + 1):
            falling = falling * (result - k + 1) % space
            found -= falling * n ** (k - 1) * invert(factorial(k), space)
        result = found % space
    return int(result)
