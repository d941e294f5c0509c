# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The running sum of a round: verified replies are added as they come, and nothing that was added is ever removed.

It holds one vector and the list of who is in it, however many parties there are. ``checkpoint`` gives both as bytes,
for one file that is replaced as a whole, and ``continued`` reads them: so a part that is in a stored checkpoint can be
deleted, and no crash can leave a sum without its members, or members without their sum.

Form of a checkpoint: the length of the heading as 8 bytes, little-endian; the heading, canonical JSON with the session
id, the number of values, and per member its id with size and digest of its padded part; the values, four bytes each.

Not here: the members' ciphertexts or masked parts. They are short, and every party that helps to open a sum of the
former needs all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from coterie_common import document
from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.errors import MalformedMessage, StateError
from coterie_common.fields import Fields
from coterie_common.identifiers import PartyId
from coterie_common.limits import MAX_PARTIES, PADDED_PART_BYTES
from coterie_common.long_bytes import PIECE_BYTES
from coterie_common.protocol.padded_part import VALUE_BYTES, Octets, PaddedFacts, PaddedSum

_LENGTH_BYTES: Final = 8
_MAX_HEADING_BYTES: Final = 1 << 20
"""Some 200 bytes for each of ``MAX_PARTIES`` members."""

_WHAT: Final = "the checkpoint of a sum"


class RunningSum:
    """One round's sum so far. Not for several threads at once.

    Args:
        total: the sum of no padded parts yet, as the round's sealing makes it (``Sealing.new_padded_sum``).
    """

    def __init__(self, total: PaddedSum) -> None:
        self._total = total
        self._members: dict[PartyId, PaddedFacts] = {}
        self._is_whole = True

    @property
    def members(self) -> Mapping[PartyId, PaddedFacts]:
        """The parties in the sum, each with size and digest of the padded part that was added."""
        return MappingProxyType(self._members)

    @property
    def total(self) -> PaddedSum:
        """The sum of the members' padded parts, for ``Sealing.open_pieces``.

        Raises:
            StateError: an addition failed half-way.
        """
        if not self._is_whole:
            raise StateError("a part was added to the sum half-way; it has to begin again from its checkpoint")
        return self._total

    def add(self, party_id: PartyId, padded: PaddedFacts, pieces: Iterable[Octets]) -> None:
        """Add one reply.

        Args:
            party_id: its sender, whose whole reply passed ``verify_reply``.
            padded: the facts of its padded part that were verified.
            pieces: the padded part, in pieces of whole values; none where the sealing is direct.

        Raises:
            StateError: the party is in the sum already, the pieces are not the vector of the terms, or an earlier
                addition failed half-way.
        """
        total, first = self.total, 0
        if party_id in self._members:
            raise StateError(f"{party_id} is in the sum already")
        self._is_whole = False
        for piece in pieces:
            total.add(piece, first)
            first += len(piece) // VALUE_BYTES
        if first != len(total.values) or padded.size != VALUE_BYTES * first:
            raise StateError(f"{first} values and not {len(total.values)} were added for {party_id}")
        self._members[party_id] = padded
        self._is_whole = True

    def checkpoint(self) -> Iterator[Octets]:
        """Yield sum and members in pieces, from which ``continued`` makes the same again; nothing is added meanwhile.

        Raises:
            StateError: an addition failed half-way.
        """
        values = self.total.values
        heading = document.encode(
            {
                "session": self._total.session_id.hex(),
                "values": len(values),
                "members": [
                    {"party": party_id, "size": padded.size, "digest": padded.digest.hex()}
                    for party_id, padded in sorted(self._members.items())
                ],
            }
        )
        yield len(heading).to_bytes(_LENGTH_BYTES, "little") + heading
        for start in range(0, len(values), PIECE_BYTES // VALUE_BYTES):
            yield values[start : start + PIECE_BYTES // VALUE_BYTES].astype("<u4", copy=False).view(np.uint8).data

    @classmethod
    def continued(cls, total: PaddedSum, pieces: Iterable[bytes]) -> RunningSum:
        """Continue from a checkpoint.

        Args:
            total: the sum of no padded parts yet, of the same session; it is filled.
            pieces: the checkpoint, in pieces of at least 4 bytes of any lengths.

        Raises:
            MalformedMessage: it is damaged, or of another round.
        """
        running, content = cls(total), _Reader(pieces)
        length = int.from_bytes(content.take(_LENGTH_BYTES), "little")
        if length > _MAX_HEADING_BYTES:
            raise MalformedMessage(f"{_WHAT} has an impossible heading")
        heading = document.decode(content.take(length), _WHAT, maximum=_MAX_HEADING_BYTES)
        fields = Fields(heading, _WHAT, ("session", "values", "members"))
        if fields.value("session") != total.session_id.hex() or fields.value("values") != len(total.values):
            raise MalformedMessage(f"{_WHAT} belongs to another round")
        for each in fields.items("members", maximum=MAX_PARTIES):
            party_id, padded = _member(each)
            if party_id in running._members:
                raise MalformedMessage(f"{_WHAT} names a member twice")
            running._members[party_id] = padded
        start, octets = 0, total.values.view(np.uint8)
        for piece in content.rest():
            if start + len(piece) > len(octets):
                raise MalformedMessage(f"{_WHAT} goes on after its values")
            octets[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
            start += len(piece)
        if start != len(octets):
            raise MalformedMessage(f"{_WHAT} ends before its values do")
        total.values[:] = total.values.view("<u4")
        return running


def _member(value: Any) -> tuple[PartyId, PaddedFacts]:
    fields = Fields(value, f"a member in {_WHAT}", ("party", "size", "digest"))
    size = fields.integer("size", minimum=0, maximum=PADDED_PART_BYTES)
    digest = fields.octets("digest", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES)
    return PartyId(fields.text("party", longest=_MAX_HEADING_BYTES)), PaddedFacts(size, digest)


class _Reader:
    """Takes the beginning of a content that comes in pieces, then the rest."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""

    def take(self, count: int) -> bytes:
        while len(self._left) < count:
            piece = next(self._pieces, b"")
            if not piece:
                raise MalformedMessage(f"{_WHAT} ends in its heading")
            self._left += piece
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def rest(self) -> Iterator[bytes]:
        yield self._left
        yield from self._pieces
