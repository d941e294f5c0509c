# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Zero-knowledge proofs about Damgård–Jurik ciphertexts."""
