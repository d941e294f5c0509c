# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Measures generating a key without a dealer, all holders in one process.

    PYTHONPATH=scripts:. .venv/bin/python -m coterie_lab.generation [--bits 2048] [--holders 5] [--batches 1]
    PYTHONPATH=scripts:. .venv/bin/python -m coterie_lab.generation --keys 3
    PYTHONPATH=scripts:. .venv/bin/python -m coterie_lab.generation --small 1000

The first makes and checks some batches of 1,000 candidates, the second whole keys, the third keys of the size of tests;
each N is checked with its factors, which only a measurement pools. A JSON object per line goes to standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping

from gmpy2 import is_prime

from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.limits import KEY_BITS
from coterie_lab.generation.measured import CHECKING, MeasuredHolders, measured

SMALL_BITS = 256


def main() -> int:
    """Run; returns the exit status."""
    options = _options()
    if options.small or options.batch:
        parameters = GenerationParameters._insecure_for_tests(
            holders=options.holders,
            decryption_threshold=_threshold(options.holders),
            key_bits=SMALL_BITS if options.small else options.bits,
            batch=options.batch or 128,
        )
    else:
        parameters = GenerationParameters(
            holders=options.holders, decryption_threshold=_threshold(options.holders), key_bits=options.bits
        )
    for run in range(options.small or options.keys or 1):
        began = time.monotonic()
        batches = 0 if options.small or options.keys else options.batches
        holders = measured(parameters, batches, lambda text: print(text, file=sys.stderr))
        row = {"run": run + 1, "wall_s": round(time.monotonic() - began, 2), **_row(parameters, holders)}
        if holders.outcomes[1].completed is not None:
            row |= _checked(parameters, holders)
        print(json.dumps(row), flush=True)
    return 0


def _row(parameters: GenerationParameters, holders: MeasuredHolders) -> Mapping[str, object]:
    """Return figures per holder."""
    k, thousands = parameters.holders, holders.candidates / 1000
    checking = sum(holders.seconds[step] for step in CHECKING)
    making = sum(holders.seconds.values()) - checking
    return {
        "bits": parameters.key_bits,
        "holders": k,
        "candidates": holders.candidates,
        "tested": holders.tested,
        "making_s_per_1000": round(making / k / thousands, 3),
        "checking_s_per_1000": round(checking / k / thousands, 3),
        "s_per_1000": round((making + checking) / k / thousands, 3),
        "mb_sent_per_1000": round(sum(holders.bytes.values()) / k / thousands / 1e6, 2),
        "s_by_step": {step.value: round(seconds / k, 3) for step, seconds in holders.seconds.items()},
        "mb_by_step": {step.value: round(count / k / 1e6, 3) for step, count in holders.bytes.items()},
    }


def _checked(parameters: GenerationParameters, holders: MeasuredHolders) -> Mapping[str, object]:
    """Check N with its factors.

    Raises:
        AssertionError: it is not what it has to be.
    """
    completed = holders.outcomes[1].completed
    assert completed is not None
    modulus, (p, q) = completed.key.public_key.modulus, holders.factors
    assert p * q == modulus
    assert is_prime(p)
    assert is_prime(q)
    assert p % 4 == q % 4 == 3
    assert modulus.bit_length() == parameters.key_bits
    assert all(modulus % prime == 4 % prime for prime in parameters.residue_primes)
    return {"is_product_of_two_primes": True}


def _threshold(holders: int) -> int:
    return (holders - 1) // 2 + 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="coterie_lab.generation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bits", type=int, choices=KEY_BITS, default=KEY_BITS[0])
    parser.add_argument(
        "--batch", type=int, help="candidates of a batch, for a quick look (default: as in the product)"
    )
    parser.add_argument("--holders", type=int, choices=range(3, 10), default=5)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--batches", type=int, default=1, help="batches to make and check (default: 1)")
    kinds.add_argument("--keys", type=int, help="whole keys")
    kinds.add_argument("--small", type=int, help="whole keys of the size of tests")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
