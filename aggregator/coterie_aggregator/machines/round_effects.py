# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Effects of a round at the aggregator: the work that follows from its state (``round.outstanding``)."""

from __future__ import annotations

from dataclasses import dataclass

from coterie_aggregator.machines.round_events import DeadlinePassed, PatiencePassed, RoundTimedOut
from coterie_common.identifiers import PartyId


@dataclass(frozen=True, slots=True)
class SendQuery:
    """Send the query to this party, also again when it connects."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class VerifyContribution:
    """Run ``verify_reply`` on the spooled reply."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class AddToSum:
    """Add the verified reply to the running sum, unless it is in it already."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class SendDecryptionRequest:
    """Send the decryption request for the fixed transcript, also again when the party connects."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class VerifyPartial:
    """Run ``verify_partial``, without the proof, on the spooled partial decryption."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class OpenSum:
    """Combine the partial decryptions of these parties and update the algorithm's state."""

    party_ids: tuple[PartyId, ...]


@dataclass(frozen=True, slots=True)
class AskAgain:
    """The round was abandoned: what it cost stays spent, and its step is asked again in a new round."""


@dataclass(frozen=True, slots=True)
class EndJob:
    """The round was aborted: no other round could do better."""


Timed = DeadlinePassed | PatiencePassed | RoundTimedOut


@dataclass(frozen=True, slots=True)
class Timer:
    """Deliver this event after the time that the job gives it; it lapses when no longer outstanding."""

    event: Timed


Effect = (
    SendQuery
    | VerifyContribution
    | AddToSum
    | SendDecryptionRequest
    | VerifyPartial
    | OpenSum
    | AskAgain
    | EndJob
    | Timer
)
