# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The public check of a key record: that its shares make N^s-th roots, found without any secret.

1. V^{A·e}·v^{Δ²·B·e} = v^{Δ²} mod N with V = ∏ v_i^{λ_i}, for sets of t indices in which every index occurs: (A, B) and
   the shares behind the v_i give the exponent 1/e.
2. All v_i are powers of v with exponents on one polynomial of degree t − 1: ∏ v_i^{g(i)·w_i} = 1 for a polynomial g of
   degree k − t − 1 with coefficients hashed from the record, where w_i = (−1)^{k−i}·C(k−1, i−1). Check 1 alone is for
   the sets that it tries; with this, every set of t opens what one of them opens.

Every party runs it on import, also of a dealt key: the record is all that the founder vouches for.

Source of check 2: Cascudo and David, "SCRAPE: scalable randomness attested by public entities", ACNS 2017, the dual
code of Shamir's.
Deviation: modulo a prime order, other exponents pass with negligible probability; here a v_i that is off by an element
of small order r passes both checks with probability 1/r or more. Everybody knows one for r = 2, −1: a record with
N − v_i for v_i is accepted more often than not. It does no harm: opening takes partial decryptions and no v_i, and the
holder of i refuses its share, which does not match (``check_share``), so that it makes no proof under such a record.
For r > 2 such elements are none for a dealt key, and for a generated key an assumption: nobody finds one.
"""

from __future__ import annotations

from math import comb
from typing import Final

from gmpy2 import mpz

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.threshold.key import ThresholdPublicKey
from coterie_common.crypto.threshold.lagrange import lagrange_coefficients, signed_power, signed_product
from coterie_common.errors import KeyFileError

_COEFFICIENT_BYTES: Final = 16


def check_record(key: ThresholdPublicKey) -> None:
    """Check a key record as above.

    Costs a few powers, at 3072 bits some 50 ms for ten holders.

    Raises:
        KeyFileError: (A, B) or verification keys do not belong to the modulus.
    """
    modulus, e = key.public_key.modulus, key.public_key.plaintext_modulus
    base, squared = key.verification_base, key.delta**2
    shares = dict(enumerate(key.verification_keys, start=1))
    right = signed_power(base, squared - squared * key.root_offset * e, modulus)
    # 1. Every set of t gives the exponent 1/e.
    for indices in _covering_sets(key.holders, key.decryption_threshold):
        interpolated = signed_product(shares, lagrange_coefficients(key.delta, indices), modulus)
        if signed_power(int(interpolated), key.root_factor * e, modulus) != right:
            raise KeyFileError("the threshold key's verification keys and root exponents do not belong to its modulus")
    # 2. All shares are on one polynomial.
    if key.holders > key.decryption_threshold and signed_product(shares, _dual_weights(key), modulus) != 1:
        raise KeyFileError("the threshold key's verification keys are of no one polynomial of its degree")


def _covering_sets(holders: int, threshold: int) -> list[range]:
    """Return windows of ``threshold`` indices that cover 1..holders."""
    starts = [*range(1, holders - threshold + 1, threshold), holders - threshold + 1]
    return [range(start, start + threshold) for start in starts]


def _dual_weights(key: ThresholdPublicKey) -> dict[int, int]:
    k = key.holders
    count = k - key.decryption_threshold
    octets = tuple_hash(Label.KEY_RECORD_CHECK, key.digest, digest_bytes=count * _COEFFICIENT_BYTES)
    coefficients = [
        mpz(int.from_bytes(octets[start : start + _COEFFICIENT_BYTES], "big"))
        for start in range(0, len(octets), _COEFFICIENT_BYTES)
    ]
    weights = {}
    for i in range(1, k + 1):
        value = mpz(0)
        for coefficient in coefficients:
            value = value * i + coefficient
        weights[i] = int(value * comb(k - 1, i - 1)) * (-1) ** (k - i)
    return weights
