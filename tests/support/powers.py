# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Ciphertexts are malleable: whoever has one can make those of every multiple of its plaintext. Attacks start there."""

from __future__ import annotations

from coterie_common.crypto.paillier import Ciphertext


def power(ciphertext: Ciphertext, exponent: int) -> Ciphertext:
    """Return a ciphertext of plaintext · exponent modulo N^s; the exponent may be negative."""
    return Ciphertext(pow(ciphertext.value, exponent, ciphertext.key.ciphertext_modulus), ciphertext.key)
