# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One-line explanations, for people, of why a round, or a refusal before the first one, ended a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coterie_aggregator.machines.round_state import AbortReason, AggregatorRound, Phase
from coterie_common.identifiers import PartyId
from coterie_common.protocol.reason import one_line

_NAMES_CHARACTERS: Final = 240
"""For the ids in a line with other content; the full list is in the aggregator's log and in every party's record."""


def ended_without_release(number: int, state: AggregatorRound) -> str:
    """Explain why a round was abandoned or aborted: its culprits, the parties that refused, those that were silent."""
    words = f"round {number} was {state.phase.value}: {state.reason.value if state.reason else 'unknown'}"
    if state.reason is AbortReason.EPOCH_BROKEN:
        words += " (proven partial decryptions of all key holders open nothing; the founder must deal a new epoch)"
    for who, why in (
        ("blamed", state.culprits),
        ("refused", tuple(f"{p} ({c})" for p, c in state.refusals.items())),
        (
            "no partial decryption from" if state.contributors else "absent",
            state.silent if state.phase is Phase.ABANDONED else (),
        ),
    ):
        words += f"; {who}: {', '.join(why)}" if why else ""
    return one_line(words)


def not_agreed(party_id: PartyId, code: str) -> str:
    """Say which party refused to agree on secrets, and with which code."""
    return one_line(f"not all parties agreed on secrets; refused: {party_id} ({code})")


def begun_earlier(number: int) -> str:
    """Say that a round cannot go on since the aggregator was updated."""
    return f"round {number} was begun under an earlier protocol version: submit the job again"


def unusable(number: int, words: str, contributors: Sequence[PartyId]) -> str:
    """Say whose replies are in a sum that is none: one of them spoilt it, and nothing shows which."""
    names = ", ".join(contributors)
    if len(names) > _NAMES_CHARACTERS:
        names = f"{names[:_NAMES_CHARACTERS].rpartition(',')[0]} and others, {len(contributors)} in all"
    return one_line(
        f"the sum of round {number} is no sum of replies: one of its contributors sealed {words}, and nothing shows "
        f"which: {names}; leave some out of the next job (rounds.without)"
    )
