# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Events of a round at the aggregator: ``round`` folds them and the store keeps them.

``stored_as`` and the names of the fields are part of the stored format; the names of the classes are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from coterie_common.identifiers import PartyId


@dataclass(frozen=True, slots=True)
class ContributionReceived:
    """A reply is stored in the spool."""

    stored_as: ClassVar[str] = "ContributionReceived"

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class ContributionVerified:
    """It passed ``verify_reply``."""

    stored_as: ClassVar[str] = "ContributionVerified"

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class ContributionRejected:
    """It failed; the party is out of this round's sum."""

    stored_as: ClassVar[str] = "ContributionRejected"

    party_id: PartyId
    code: str


@dataclass(frozen=True, slots=True)
class ReplyRefused:
    """The party declined to answer the query."""

    stored_as: ClassVar[str] = "ReplyRefused"

    party_id: PartyId
    code: str


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The time for replies is over: go on as soon as there are enough."""

    stored_as: ClassVar[str] = "DeadlinePassed"


@dataclass(frozen=True, slots=True)
class PartialReceived:
    """A partial decryption is stored in the spool."""

    stored_as: ClassVar[str] = "PartialReceived"

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class PartialVerified:
    """It passed ``verify_partial``: its form and signature."""

    stored_as: ClassVar[str] = "PartialVerified"

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class PartialRejected:
    """Its form or signature failed; its sender is named and another party asked.

    Earlier versions also stored one for each culprit of a sum that did not open.
    """

    stored_as: ClassVar[str] = "PartialRejected"

    party_id: PartyId
    code: str


@dataclass(frozen=True, slots=True)
class PartialsDisproved:
    """The sum did not open, and the proofs of these partial decryptions failed: all their senders are named at once."""

    stored_as: ClassVar[str] = "PartialsDisproved"

    party_ids: tuple[PartyId, ...]
    code: str


@dataclass(frozen=True, slots=True)
class OpeningFailed:
    """No set of the partial decryptions opens the sum, although all their proofs hold."""

    stored_as: ClassVar[str] = "OpeningFailed"


@dataclass(frozen=True, slots=True)
class DecryptionRefused:
    """The party declined to help to open the sum."""

    stored_as: ClassVar[str] = "DecryptionRefused"

    party_id: PartyId
    code: str


@dataclass(frozen=True, slots=True)
class PatiencePassed:
    """The parties asked for partial decryptions took too long: ask the rest."""

    stored_as: ClassVar[str] = "PatiencePassed"


@dataclass(frozen=True, slots=True)
class RoundTimedOut:
    """The job's round timeout is over."""

    stored_as: ClassVar[str] = "RoundTimedOut"


Event = (
    ContributionReceived
    | ContributionVerified
    | ContributionRejected
    | ReplyRefused
    | DeadlinePassed
    | PartialReceived
    | PartialVerified
    | PartialRejected
    | PartialsDisproved
    | OpeningFailed
    | DecryptionRefused
    | PatiencePassed
    | RoundTimedOut
)
