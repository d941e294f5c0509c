# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Data sets as a steward would bind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coterie_party.data.bindings import BoundDataset


@dataclass(frozen=True)
class FixedBindings:
    """Bindings that nobody edits."""

    datasets: Mapping[str, BoundDataset]

    def current(self) -> Mapping[str, BoundDataset]:
        return self.datasets
