# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What can happen in a round at the aggregator: the events that ``round`` folds and the store keeps.

Names and fields are part of the stored format.
"""

from __future__ import annotations

from dataclasses import dataclass

from coterie_common.identifiers import PartyId


@dataclass(frozen=True, slots=True)
class ContributionReceived:
    """A reply lies in the spool."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class ContributionVerified:
    """It passed ``verify_reply``."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class ContributionRejected:
    """It failed; the party is out of this round's sum."""

    party_id: PartyId
    code: str


@dataclass(frozen=True, slots=True)
class ReplyRefused:
    """The party declined to answer the query."""

    party_id: PartyId
    code: str


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The time for replies is over: go on as soon as there are enough."""


@dataclass(frozen=True, slots=True)
class PartialReceived:
    """A partial decryption lies in the spool."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class PartialVerified:
    """It passed ``verify_partial``."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class PartialRejected:
    """It failed; its sender is named and another party asked."""

    party_id: PartyId
    code: str


@dataclass(frozen=True, slots=True)
class DecryptionRefused:
    """The party declined to help to open the sum."""

    party_id: PartyId
    code: str


@dataclass(frozen=True, slots=True)
class PatiencePassed:
    """The parties asked for partial decryptions took too long: ask the rest."""


@dataclass(frozen=True, slots=True)
class RoundTimedOut:
    """The job's round timeout is over."""


Event = (
    ContributionReceived
    | ContributionVerified
    | ContributionRejected
    | ReplyRefused
    | DeadlinePassed
    | PartialReceived
    | PartialVerified
    | PartialRejected
    | DecryptionRefused
    | PatiencePassed
    | RoundTimedOut
)
