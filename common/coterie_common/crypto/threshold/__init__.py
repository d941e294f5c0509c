# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Decryption by any ``decryption_threshold`` key holders together: the key record, key shares, opening a ciphertext.

A ciphertext C = (1+N)^M · u^{N^s} is opened by u, the N^s-th root of C modulo N, which is unique; whoever has u reads
M, and anybody can check u. So decryption is threshold RSA with the public exponent e = N^s, modulo N:

- the holders share R with A·R + B ≡ e^{-1} modulo the order of the squares, as s_i = f(i) with f(0) = Δ·R, Δ = k!;
- each gives ``D_i = C^{2·(A·s_i + Δ·B)} mod N``;
- t of them make u, or a known power of it, and that opens C.

Source: Paillier, EUROCRYPT '99 (decryption by the root); Shoup, "Practical threshold signatures", EUROCRYPT 2000.
"""

from coterie_common.crypto.threshold.key import KeyKind, ThresholdPublicKey
from coterie_common.crypto.threshold.opening import combine, combine_any, combine_powers
from coterie_common.crypto.threshold.record_check import check_record
from coterie_common.crypto.threshold.shares import KeyShare, check_share, partial_decrypt

__all__ = [
    "KeyKind",
    "KeyShare",
    "ThresholdPublicKey",
    "check_record",
    "check_share",
    "combine",
    "combine_any",
    "combine_powers",
    "partial_decrypt",
]
