# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The cost of hiding replies: time and bytes per round and per model, beside the plain vector and naive encryption."""
