# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every limit on what is accepted from outside, each with its reason.

Memory that one peer can make us hold follows from this file: at most ``TRANSFER_BYTES`` per stream being assembled,
plus ``QUEUED_MESSAGES`` parsed messages.
"""

from __future__ import annotations

from typing import Final

CONFIG_FILE_BYTES: Final = 1 << 20
"""A configuration is written by a person; a megabyte is a mistake."""

KEY_FILE_BYTES: Final = 1 << 20
"""Rosters, bundles, certificates and key files hold a few numbers per member: 200 members × 4096 bits × s + 1 fit."""

PARTIES_MOST: Final = 200
"""Δ = n! enters exponents: at 200 members it has 1,246 bits, and partial decryption grows with it."""

PARTIES_FEWEST: Final = 3
"""With two, each learns the other's reply by subtracting its own."""

HOST_NAMES_MOST: Final = 16
"""Host names and addresses of the aggregator's certificate."""

KEY_BITS: Final = (2048, 3072, 4096)
"""Moduli that a federation may use: about 112, 128 and 152 bits of security."""

FRAME_BYTES: Final = 1 << 20
"""One frame of a transfer; measured best throughput over mutual TLS, and small enough for flow control to work."""

FRAME_MESSAGE_BYTES: Final = FRAME_BYTES + 4096
"""gRPC's limit for one stream message: a frame and its header."""

TRANSFER_BYTES: Final = 256 << 20
"""One assembled message: a decryption request of 100 parties × 1,000 ciphertexts at 4096 bits is 100 MiB."""

QUEUED_MESSAGES: Final = 64
"""Messages waiting for one stream; more means the peer does not read."""

CIPHERTEXTS_MOST: Final = 1000
"""Ciphertexts of one directly sealed reply; longer vectors need a pad."""

ROUNDS_MOST: Final = 10_000
"""Rounds that one job may plan."""

JOB_SPEC_BYTES: Final = 1 << 20
"""A job specification with its schema."""

MODEL_BYTES: Final = 128 << 20
"""A delivered model."""

JOB_TERMS_BYTES: Final = 8 << 20
"""Terms take some 400 bytes a round, and a job has at most ``ROUNDS_MOST``."""
