# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What hiding replies costs: time and bytes per round and per model, beside the plain vector and naive encryption."""
