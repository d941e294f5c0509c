# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One running round: what it asks, what comes in, and the arithmetic that opens its sum."""
