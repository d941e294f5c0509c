# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Algorithms, both halves in one file each, and their dependencies."""
