# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Where a secret is taken out of its wrapping: few modules, each of which somebody has looked at."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.support.repository import module_name, sources

# Adding a module here is a decision: what it reveals must go into arithmetic, a seal or a 0600 file, never into text.
REVEALING = {
    "coterie.cli.founding.invite": "tokens, printed for the person who hands them to their owners",
    "coterie.founding.home": "the authority's and founder's keys, into the locked key file",
    "coterie_aggregator.home.home": "the aggregator's own token, into a file that only its owner reads",
    "coterie_common.crypto.certificates": "a TLS key, to sign a certificate request",
    "coterie_common.crypto.generation.candidates": "shares of residues, into the share of a factor",
    "coterie_common.crypto.generation.cells": "drawn residues, into the values that are sealed to their holders",
    "coterie_common.crypto.generation.channel": "exchanged secrets, into a hash and the key of a seal",
    "coterie_common.crypto.generation.leaves": "leaves, into a hash, and openings of those that nobody needs any more",
    "coterie_common.crypto.generation.root_exponent": "coefficients, into the exponents of commitments",
    "coterie_common.crypto.generation.sharing": "coefficients, into the values that are sealed to their holders",
    "coterie_common.crypto.generation.steps.batches": "shares of factors, into sharings and powers",
    "coterie_common.crypto.generation.steps.inverting": "the sum of integer shares, into the share of γ",
    "coterie_common.crypto.generation.steps.openings": "the survivor's shares, into powers and the next step",
    "coterie_common.crypto.generation.steps.recomputation": "what opened leaves make, into comparisons",
    "coterie_common.crypto.identity": "seeds, into the library's key objects and into locked files",
    "coterie_common.crypto.keystore": "passwords, into scrypt",
    "coterie_common.crypto.masks.mask": "pair secrets and a pad's key, into a hash and under masks",
    "coterie_common.crypto.masks.pairwise": "exchanged secrets, into a hash",
    "coterie_common.crypto.masks.ephemeral": "a seed, into the file of a job's secrets",
    "coterie_common.crypto.paillier": "encryption randomness, into the exponent",
    "coterie_common.crypto.proofs.partial_decryption": "the key share, into the response that a nonce hides",
    "coterie_common.crypto.proofs.plaintext_knowledge": "encryption randomness, into the response that a nonce hides",
    "coterie_common.crypto.pads.ring": "a pad's key, into a product that hides it",
    "coterie_common.crypto.threshold.shares": "the key share, into the exponent and into locked or sealed bytes",
    "coterie_common.membership.invitations.token": "a token's secret, into a key and into the text for its owner",
    "coterie_common.membership.key_files": "a daemon's TLS key, into a file that only its owner reads",
    "coterie_common.protocol.sealing.padded": "a pad's key, into the plaintexts that carry it encrypted",
    "coterie_party.store.files.job_secrets": "pair secrets, into a file that only its owner reads",
    "coterie_common.rpc.credentials": "the TLS key, into gRPC",
}


def reveals(path: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "reveal"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
    )


def test_secrets_are_revealed_only_where_it_was_decided():
    assert {module_name(path) for path in sources() if reveals(path)} - set(REVEALING) == set()
