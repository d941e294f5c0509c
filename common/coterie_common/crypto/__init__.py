# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Threshold Damgård–Jurik, its proofs, signatures, sealing to a recipient and key files. Bytes in, bytes out."""
