# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whole federations in one process, for research: what a job would learn, and what its noise would cost.

Everything but encryption and network is the product's own code; see docs/simulation.md.
"""
