# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The record that a party keeps of what it was told, said, opened and refused: entries, chain, export, comparison."""
