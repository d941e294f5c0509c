# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What shows everybody that a holder sent another one a wrong part: the part, and the salt of its hash.

The sender signed the hash in its broadcast, so nobody can put words into its mouth. Evidence reveals the part, which is
why it ends the run; who shows it needs no secret any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from coterie_common.crypto.generation.channel import SALT_BYTES, Direction, SaltedPart
from coterie_common.crypto.generation.steps.messages import Broadcast, Step

_STEPS: Final = (Step.CELLS, Step.FACTORS, Step.SECRETS)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A part that a holder got, to be judged by everybody.

    Attributes:
        step: in which it came.
        sender: of the part.
        part: with its salt.
    """

    step: Step
    sender: int
    part: SaltedPart = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the one encoding."""
        return bytes((_STEPS.index(self.step), self.sender)) + self.part.salt + self.part.content

    @classmethod
    def from_bytes(cls, data: bytes) -> Evidence | None:
        """Parse the output of ``to_bytes``; ``None`` if it is none."""
        if len(data) < 2 + SALT_BYTES or data[0] >= len(_STEPS):
            return None
        return cls(_STEPS[data[0]], data[1], SaltedPart(data[2 : 2 + SALT_BYTES], data[2 + SALT_BYTES :]))

    def came_to(self, recipient: int, session_id: bytes, broadcasts: Mapping[int, Broadcast]) -> bool:
        """Return whether the sender sent this very part to a holder, by the hash in its broadcast of that step."""
        if self.sender not in broadcasts or self.sender == recipient:
            return False
        broadcast = broadcasts[self.sender]
        direction = Direction(session_id, self.sender, recipient)
        return broadcast.hash_for(recipient) == self.part.hash(direction, broadcast.number)
