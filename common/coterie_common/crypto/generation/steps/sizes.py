# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The longest message of every step, from the parameters alone: memory and time of a run are known before it starts."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from coterie_common.crypto.generation import cells
from coterie_common.crypto.generation.channel import SALT_BYTES, SEAL_BYTES
from coterie_common.crypto.generation.leaves import LEAF_BYTES
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.root_exponent import max_gamma, secret_bits, share_bits
from coterie_common.crypto.generation.sharing import integer_share_bound
from coterie_common.crypto.generation.steps.messages import Step, width
from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.crypto.identity import SIGNATURE_BYTES
from coterie_common.crypto.masks.ephemeral import CIPHERTEXT_BYTES, PUBLIC_BYTES
from coterie_common.crypto.paillier import PROOF_NONCE_BITS

_NONCE_BYTES = 32
_EVIDENCE_BYTES = 2 + SALT_BYTES


class StepBytes(NamedTuple):
    """Bytes of one step.

    Attributes:
        body: of the longest body of a broadcast.
        part: of the longest sealed part; 0 in a step without parts.
    """

    body: int
    part: int = 0


@cache
def step_bytes(parameters: GenerationParameters) -> dict[Step, StepBytes]:
    """Return the longest messages of every step."""
    k, n = parameters.holders, parameters.key_bits // 8
    # Everything that depends on N is longest for the largest.
    largest = (1 << parameters.key_bits) - 1
    gamma = -(-(max_gamma(parameters, largest).bit_length() + 3) // 8)
    product = width(parameters.product_modulus)
    primes, all_cells = len(parameters.sieve_primes), len(parameters.cell_primes)
    integer = width(integer_share_bound(secret_bits(largest), k, parameters.decryption_threshold, k))
    proof = 2 * n + -(-(share_bits(parameters, largest) + PROOF_NONCE_BITS + 1) // 8)
    cell_part, factor_part = 2 * cells.ROWS * all_cells, 3 * product * parameters.batch
    kept = 2 * primes + 1
    # A part may come that is longer than those of its step: evidence holds any.
    verdict = StepBytes(_EVIDENCE_BYTES + max(cell_part, factor_part, integer, 3 * n, 3 * gamma))
    commitment = StepBytes(DIGEST_BYTES)
    return {
        Step.START: StepBytes(_NONCE_BYTES + PUBLIC_BYTES + DIGEST_BYTES),
        Step.ENCAPSULATION: StepBytes(CIPHERTEXT_BYTES * (k - 1)),
        Step.ROOT: commitment,
        Step.CELLS: StepBytes(0, _sealed(cell_part)),
        Step.RESIDUES: StepBytes(2 * all_cells),
        Step.FACTORS: StepBytes(0, _sealed(factor_part)),
        Step.PRODUCTS: StepBytes(product * parameters.batch),
        Step.COMMITMENT: commitment,
        Step.POWERS: StepBytes(SALT_BYTES + n * parameters.batch),
        Step.OPENING: StepBytes(LEAF_BYTES * parameters.leaves + (DIGEST_BYTES - LEAF_BYTES) * kept),
        Step.VERDICT: verdict,
        Step.TESTS_COMMITMENT: commitment,
        Step.TESTS: StepBytes(SALT_BYTES + n * parameters.tests),
        Step.CLOSING: StepBytes(LEAF_BYTES * kept),
        Step.CLOSING_VERDICT: verdict,
        Step.UNITS: StepBytes(0, _sealed(3 * n)),
        Step.UNIT: StepBytes(n),
        Step.SECRETS: StepBytes(n * parameters.decryption_threshold, _sealed(integer)),
        Step.SECRETS_VERDICT: verdict,
        Step.MULTIPLES: StepBytes(0, _sealed(3 * gamma)),
        Step.GAMMA: StepBytes(gamma),
        Step.TRIAL: StepBytes(DIGEST_BYTES + n + proof),
        Step.SIGNATURE: StepBytes(SIGNATURE_BYTES),
    }


def _sealed(content: int) -> int:
    return SALT_BYTES + content + SEAL_BYTES
