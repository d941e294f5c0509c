# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Events of a job at the aggregator: ``job`` folds them and the store keeps them.

``stored_as`` and the names of the fields are part of the stored format; the names of the classes are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision


@dataclass(frozen=True, slots=True)
class PartyReplied:
    """A verified ``JobReply``."""

    stored_as: ClassVar[str] = "PartyReplied"

    party_id: PartyId
    decision: Decision
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ProposalDeadlinePassed:
    """Start as soon as enough parties accepted."""

    stored_as: ClassVar[str] = "ProposalDeadlinePassed"


@dataclass(frozen=True, slots=True)
class ProposalTimedOut:
    """The job has waited long enough for parties to accept it."""

    stored_as: ClassVar[str] = "ProposalTimedOut"


@dataclass(frozen=True, slots=True)
class EncapsulationsReceived:
    """A party agreed with the acceptances; its verified encapsulations are in the spool."""

    stored_as: ClassVar[str] = "EncapsulationsReceived"

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class AgreementTimedOut:
    """The parties of a job that is sealed completely had long enough to agree on secrets."""

    stored_as: ClassVar[str] = "AgreementTimedOut"


@dataclass(frozen=True, slots=True)
class RoundReleased:
    """The round's sum is open and the algorithm's state updated; another round follows."""

    stored_as: ClassVar[str] = "RoundReleased"

    round_number: int


@dataclass(frozen=True, slots=True)
class RoundAbandoned:
    """The round cannot complete; its step is asked again, without counting on those that were absent or refused."""

    stored_as: ClassVar[str] = "RoundAbandoned"

    round_number: int
    absent: tuple[PartyId, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ModelFinished:
    """The algorithm is done and its model stored."""

    stored_as: ClassVar[str] = "ModelFinished"


@dataclass(frozen=True, slots=True)
class ReceiptReceived:
    """A party holds the model."""

    stored_as: ClassVar[str] = "ReceiptReceived"

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class DeliveryPatiencePassed:
    """Parties that are away get the model when they come back; the job does not wait for them."""

    stored_as: ClassVar[str] = "DeliveryPatiencePassed"


@dataclass(frozen=True, slots=True)
class JobFailed:
    """The job cannot go on."""

    stored_as: ClassVar[str] = "JobFailed"

    reason: str


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """A person cancelled it."""

    stored_as: ClassVar[str] = "JobCancelled"

    reason: str


@dataclass(frozen=True, slots=True)
class UnfinishedModelKept:
    """Of a job that ended early: the model of its last released round is stored, or there can be none."""

    stored_as: ClassVar[str] = "UnfinishedModelKept"

    is_kept: bool


Event = (
    PartyReplied
    | ProposalDeadlinePassed
    | ProposalTimedOut
    | EncapsulationsReceived
    | AgreementTimedOut
    | RoundReleased
    | RoundAbandoned
    | ModelFinished
    | ReceiptReceived
    | DeliveryPatiencePassed
    | JobFailed
    | JobCancelled
    | UnfinishedModelKept
)
