# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Upload of one party's padded part to the spool: piece by piece, outside the coordinator's task.

All decisions, at the beginning and at the end, are made in the coordinator's task; the pieces in between do not pass
through it, so that a long upload delays nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from coterie_aggregator.live.rounds.live_round import LiveRound
from coterie_common.files import FileDraft
from coterie_common.identifiers import PartyId
from coterie_common.protocol.messages import PaddedPart
from coterie_common.protocol.verification.contribution import blaming
from coterie_common.rpc.content import Content


async def receive_padded(
    party_id: PartyId,
    part: PaddedPart,
    content: Content,
    find: Callable[[], LiveRound],
    in_order: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]],
) -> None:
    """Take a padded part if it is wanted; anything received before stays where it is.

    Args:
        party_id: its sender.
        part: as announced.
        content: of it.
        find: returns its round, in the coordinator's task.
        in_order: runs work in the coordinator's task.

    Raises:
        PeerError: it is not wanted, or not complete, or the round has ended in the meantime; the sender is the culprit.
        StorageError: the file system reports an error.
    """

    async def begin() -> FileDraft | None:
        return await find().padded_begins(party_id, part, content.digest)

    async def keep(draft: FileDraft) -> None:
        try:
            await find().padded_received(party_id, draft, content.digest)
        finally:
            draft.discard()

    with blaming(party_id):
        draft: FileDraft | None = await in_order(begin)
        if draft is None:
            return
        is_handed_over = False
        try:
            async with aclosing(content.pieces()) as pieces:
                async for piece in pieces:
                    await asyncio.to_thread(draft.write, piece)
            await asyncio.to_thread(draft.sync)
            # From here on the draft is the coordinator's: a stream that ends must not take it away at the last moment.
            is_handed_over = True
            await in_order(partial(keep, draft))
        finally:
            if not is_handed_over:
                draft.discard()
