# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A network's rows in blocks of one shape: the result of a record does not depend on the others of its batch.

torch's matrix products and convolutions choose their order of addition by the shape of a batch: one record more can
change the last bits of all, and parameters that are far apart turn last bits into all bits. So a network sees batches
of one shape only, the last filled up with records of zeros. The shape follows from the network, never from the number
of records.

That every place of such a batch then gives the same bits is not proven but *checked*, by each process for each network
before the network sees a record: with its initial parameters, and with parameters spread over 60 powers of two. Where
places differ, a batch is one record: slow, but it has one place only.

Imports torch; reached through ``flat`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from coterie_common.errors import RowsNotIndependent
from coterie_common.learning.algorithm import Float32
from coterie_common.learning.algorithms.row_functions import same_bits
from coterie_common.learning.features import Classes

_SEED: Final = 20190613
"""Seed of the tried patterns; any will do."""


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """The state that a network computes with, the same for all records of a round.

    Attributes:
        tensors: by the names of a state dict; others are the module's own.
        seed: of the random draws of a network during training.
    """

    tensors: Mapping[str, torch.Tensor]
    seed: int = 0


Compute = Callable[[State, torch.Tensor, torch.Tensor], torch.Tensor]
"""From Float32[block, inputs] and Int64[block] classes to Float32[block, …], a row per record."""


class Blocks:
    """Computes something for every record, block by block.

    Args:
        compute: for one block.
        size: records of a block, if all its places are alike on this machine.
        inputs, classes: numbers per record; number of classes.
        tried: states to check the places of a block with.
    """

    def __init__(
        self, compute: Compute, size: int, inputs: int, classes: int, tried: Callable[[], Iterator[State]]
    ) -> None:
        self._compute = compute
        self._wanted = size
        self._inputs, self._classes = inputs, classes
        self._tried = tried
        self._found: int | None = None

    @property
    def size(self) -> int:
        """Records of a block; asked for the first time, it checks the places of a block.

        Raises:
            RowsNotIndependent: even alone, a record does not always get the same bits.
        """
        if self._found is None:
            self._found = next((size for size in (self._wanted, 1) if self._is_alike(size)), 0)
        if not self._found:
            raise RowsNotIndependent(
                "the network does not compute the same from the same record twice: leave out what differs, or use "
                "another build of PyTorch"
            )
        return self._found

    def rows(self, state: State, inputs: Float32, classes: Classes) -> Iterator[torch.Tensor]:
        """Yield the rows of all records in their order, at most ``size`` at a time.

        Without records, a block of zeros is computed and none of its rows are yielded: a network that fails does so
        with and without records.
        """
        size = self.size
        for start in range(0, max(1, len(inputs)), size):
            x, y = torch.zeros(size, self._inputs), torch.zeros(size, dtype=torch.int64)
            count = len(inputs[start : start + size])
            x[:count] = torch.from_numpy(np.array(inputs[start : start + size]))
            y[:count] = torch.from_numpy(np.array(classes[start : start + size]))
            yield self._compute(state, x, y)[:count]

    def _is_alike(self, size: int) -> bool:
        """Return true if two records get the same bits at every place of a block, regardless of the other records."""
        draw = torch.Generator().manual_seed(_SEED)
        records = torch.rand(2, self._inputs, generator=draw) * 2 - 1
        records[1] = (records[1] > 0).float()  # as levels are: most products are 0
        labels = torch.tensor([0, self._classes - 1])
        first = (torch.rand(size, generator=draw) < 0.5).long()
        # A record alone is computed again after another: the other must leave no trace.
        patterns = (first, 1 - first) if size > 1 else (first, 1 - first, first)
        for state in self._tried():
            seen: dict[int, Float32] = {}
            for chosen in patterns:
                rows = self._compute(state, records[chosen], labels[chosen]).reshape(size, -1).numpy()
                for which in (0, 1):
                    places = rows[chosen.numpy() == which]
                    if len(places):
                        expected = seen.setdefault(which, places[0].copy())
                        if not same_bits(places, np.broadcast_to(expected, places.shape)):
                            return False
        return True


def spread(length: int) -> torch.Tensor:
    """Return Float32[length] of magnitudes from 2^−30 to 2^30 and either sign, always the same."""
    draw = torch.Generator().manual_seed(_SEED)
    signs = torch.randint(0, 2, (length,), generator=draw) * 2 - 1
    return torch.ldexp(signs.float(), torch.randint(-30, 31, (length,), generator=draw))
