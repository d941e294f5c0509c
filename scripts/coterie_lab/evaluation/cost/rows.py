# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The cost of one round for each way of summing vectors, and the cost of a model of such rounds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Way(StrEnum):
    """A way of summing the parties' vectors.

    ``PLAIN``: each in clear, 32 bits a value. ``NAIVE``: Paillier by ``phe``, a ciphertext for every value, under a key
    that somebody has as a whole. ``PACKED`` and ``PADDED``: the product's two sealings, with everything that they need.
    """

    PLAIN = "plain"
    NAIVE = "naive"
    PACKED = "packed"
    PADDED = "padded"


@dataclass(frozen=True)
class RoundCost:
    """One round to which all parties reply; times are ms of one core, the least of several repetitions.

    Attributes:
        reply_ms: of one party: to make its reply from a noised vector of integers.
        help_ms: of one party that helps to open: to check the request, and for its partial decryption with its proof.
        aggregator_ms: to check all replies, add them, check the partial decryptions, and open the sum.
        helpers: parties that are asked to help.
        reply_bytes: that one party sends as its reply.
        help_bytes: that a helper sends besides.
        request_bytes: that a helper receives, the request to open.
    """

    reply_ms: float
    help_ms: float
    aggregator_ms: float
    helpers: int
    reply_bytes: int
    help_bytes: int
    request_bytes: int


@dataclass(frozen=True)
class CostRow(RoundCost):
    """A kind of round of a model, in one way.

    Attributes:
        model: name of the workload.
        way: of summing.
        is_chosen: whether the product seals this round in this way.
        parties: n, all of which reply.
        values: length of the vector.
        rounds: of this kind in the model.
        yardstick_ms: the least time of the yardstick of ``benchmarks`` in the same run.
    """

    model: str
    way: Way
    is_chosen: bool
    parties: int
    values: int
    rounds: int
    yardstick_ms: float

    @property
    def core_ms(self) -> float:
        """Of all rounds of this kind: all parties and the aggregator together."""
        once = self.parties * self.reply_ms + self.helpers * self.help_ms + self.aggregator_ms
        return self.rounds * once

    @property
    def sent_bytes(self) -> int:
        """Of all rounds of this kind: bytes that all parties send."""
        return self.rounds * (self.parties * self.reply_bytes + self.helpers * self.help_bytes)

    @property
    def received_bytes(self) -> int:
        """Of all rounds of this kind: bytes that all parties receive as requests to open."""
        return self.rounds * self.helpers * self.request_bytes
