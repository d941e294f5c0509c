# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Makes the key material in this folder: INSECURE, published with the source, for tests only.

Usage: python -m tests.support.keys.make_keys [--new-primes]

Primes come from the operating system and are kept in the folder, because full-size ones take seconds; dealings are made
from them with seeded randomness, so that running this again changes nothing unless the dealer did.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from coterie_common.crypto.dealer import _deal_insecure_for_tests
from coterie_common.crypto.primes import safe_prime_pair
from coterie_common.randomness import OsRandom
from tests.support.seeded_random import SeededRandom

FOLDER = Path(__file__).parent
WARNING = "INSECURE: published test key. Whoever reads this file can open everything encrypted under it."
KEY_BITS = (512, 2048, 3072)
SHAPES = {512: ((3, 3), (4, 3), (5, 4), (10, 7), (12, 9)), 2048: ((3, 3), (5, 4), (12, 9)), 3072: ()}


def make_primes(key_bits: int) -> tuple[int, int]:
    path = FOLDER / f"insecure-primes-{key_bits}.json"
    if not path.exists() or "--new-primes" in sys.argv:
        p, q = safe_prime_pair(key_bits // 2, OsRandom())
        write(path, {"warning": WARNING, "p": f"{p:x}", "q": f"{q:x}"})
    document = json.loads(path.read_text())
    return int(document["p"], 16), int(document["q"], 16)


def make_dealing(key_bits: int, parties: int, decryption_threshold: int) -> None:
    p, q = make_primes(key_bits)
    dealing = _deal_insecure_for_tests(
        p,
        q,
        holders=parties,
        decryption_threshold=decryption_threshold,
        random=SeededRandom(f"insecure dealing {key_bits} {parties} {decryption_threshold}"),
    )
    write(
        FOLDER / f"insecure-dealing-{key_bits}-{parties}-{decryption_threshold}.json",
        {
            "warning": WARNING,
            "key": dealing.key.to_document(),
            "shares": [f"{share.value.reveal():x}" for share in dealing.shares],
        },
    )


def write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    for bits in KEY_BITS:
        make_primes(bits)
        for shape in SHAPES[bits]:
            make_dealing(bits, *shape)
