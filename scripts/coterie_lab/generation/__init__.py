# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What it costs to generate a key without a dealer, and whether every key is one: all holders in this process."""
