# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a quorum that was brought to decrypt gives away: the plaintexts, and what an attacker reads from them."""

from __future__ import annotations

from collections.abc import Sequence

from coterie_common.crypto import threshold
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.protocol.verification.request import VerifiedRequest
from tests.support.federation import Federation


def decrypted(federation: Federation, ciphertexts: Sequence[Ciphertext]) -> tuple[int, ...]:
    """Plaintexts, from the shares of as many parties as are needed."""
    key = federation.dealing.key
    shares = federation.dealing.shares[: key.decryption_threshold]
    partials = {share.index: threshold.partial_decrypt(key, share, ciphertexts) for share in shares}
    return threshold.combine(key, ciphertexts, partials)


def opened(federation: Federation, verified: VerifiedRequest) -> list[int]:
    """The sum of the vectors in a request that the parties accepted."""
    plaintexts = decrypted(federation, verified.total)
    return [int(value) for value in federation.sealing().open(plaintexts, verified.contributors)]
