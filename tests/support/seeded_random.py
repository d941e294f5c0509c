# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The reproducible RandomSource of the tests is the one of simulations."""

from __future__ import annotations

from coterie.simulation.seeded_random import SeededRandom

__all__ = ["SeededRandom"]
