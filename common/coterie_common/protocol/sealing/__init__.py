# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Sealing: a vector as ciphertexts, directly or under a pad, and which of the two terms choose."""
