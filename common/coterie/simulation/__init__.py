# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whole federations in one process, for research: the model a job would learn, and the cost of its noise.

Everything but encryption and network is the product's own code; see docs/simulation.md.
"""
