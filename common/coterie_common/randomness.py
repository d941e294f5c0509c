# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The source of random bits: the operating system, passed as an argument.

No function of the core has a default source and none accepts a seed: production passes ``OsRandom``,
tests pass a seeded stream that is part of the tests.
"""

from __future__ import annotations

import secrets
from typing import Protocol

from typing_extensions import override


class RandomSource(Protocol):
    """A cryptographically secure source of uniform bits. Implementations must be safe to use from several threads."""

    def token_bytes(self, count: int) -> bytes:
        """Return ``count`` ≥ 0 uniform bytes."""
        ...

    def randbits(self, bits: int) -> int:
        """Return a uniform integer in ``[0, 2**bits)``, ``bits`` ≥ 0."""
        ...

    def randbelow(self, bound: int) -> int:
        """Return a uniform integer in ``[0, bound)``, ``bound`` ≥ 1."""
        ...


class OsRandom(RandomSource):
    """The operating system's generator."""

    @override
    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    @override
    def randbits(self, bits: int) -> int:
        return secrets.randbits(bits) if bits else 0

    @override
    def randbelow(self, bound: int) -> int:
        return secrets.randbelow(bound)
