# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Checks of the secrets that parties encapsulate to each other, by the aggregator and by their recipients.

The checks of one encapsulation, ``ENCAPSULATION_CHECKS``:

1. of this job, from the one to the other
2. over the acceptances of both
3. signed by its sender
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coterie_common.errors import MalformedMessage, NotInCohort, ParameterMismatch
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Encapsulation, Encapsulations, RelayedEncapsulations
from coterie_common.protocol.agreement import Agreement
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.verification.check import Check, run_checks
from coterie_common.protocol.verification.contribution import blaming


@dataclass(frozen=True, slots=True, kw_only=True)
class EncapsulationReceived:
    """An encapsulation as it came, and the two whose secret it should carry.

    Attributes:
        encapsulation: as it came.
        sender: who should have made it.
        recipient: for whom.
        agreement: of the job.
        roster: in force.
    """

    encapsulation: Encapsulation
    sender: PartyId
    recipient: PartyId
    agreement: Agreement
    roster: Roster


def verify_encapsulations(message: Encapsulations, agreement: Agreement, roster: Roster) -> None:
    """Check at the aggregator that a party encapsulated to everybody with a higher id.

    Raises:
        PeerError: to others, or one of the numbered checks fails; the sender is the culprit.
    """
    sender = message.party_id
    with blaming(sender):
        if sender not in agreement.participants:
            raise NotInCohort("the sender of the encapsulations does not take part in the job")
        expected = [other for other in agreement.cohort if sender < other]
        if message.job_id != agreement.job_id or [each.recipient for each in message.encapsulations] != expected:
            raise MalformedMessage("the encapsulations are not one for everybody with a higher id")
        for each, recipient in zip(message.encapsulations, expected, strict=True):
            _verify_encapsulation(each, sender, recipient, agreement, roster)


def verify_relayed(
    message: RelayedEncapsulations, own: PartyId, agreement: Agreement, roster: Roster
) -> tuple[Encapsulation, ...]:
    """Check at a party that everybody with a lower id encapsulated to it.

    Raises:
        PeerError: others did, or one of the numbered checks fails. Nobody is named: the aggregator relays.
    """
    expected = [other for other in agreement.cohort if other < own]
    if message.job_id != agreement.job_id or [each.sender for each in message.encapsulations] != expected:
        raise MalformedMessage("the encapsulations are not one of everybody with a lower id")
    for each, sender in zip(message.encapsulations, expected, strict=True):
        _verify_encapsulation(each, sender, own, agreement, roster)
    return message.encapsulations


def _verify_encapsulation(
    encapsulation: Encapsulation,
    sender: PartyId,
    recipient: PartyId,
    agreement: Agreement,
    roster: Roster,
    checks: Sequence[Check[EncapsulationReceived]] | None = None,
) -> None:
    received = EncapsulationReceived(
        encapsulation=encapsulation, sender=sender, recipient=recipient, agreement=agreement, roster=roster
    )
    run_checks(ENCAPSULATION_CHECKS if checks is None else checks, received)


# Check 1.
def _ends(v: EncapsulationReceived) -> None:
    named = (v.encapsulation.job_id, v.encapsulation.sender, v.encapsulation.recipient)
    if named != (v.agreement.job_id, v.sender, v.recipient):
        raise ParameterMismatch("the encapsulation is of another job, or between others")


# Check 2.
def _acceptances(v: EncapsulationReceived) -> None:
    if v.encapsulation.acceptances != v.agreement.acceptances(v.sender, v.recipient):
        raise ParameterMismatch("the encapsulation answers other acceptances than those of the job")


# Check 3.
def _signature(v: EncapsulationReceived) -> None:
    v.encapsulation.verify(v.roster.member(v.sender).verify_key)


ENCAPSULATION_CHECKS: Final[tuple[Check[EncapsulationReceived], ...]] = (
    Check(1, "of this job, from the one to the other", _ends),
    Check(2, "over the acceptances of both", _acceptances),
    Check(3, "signed by its sender", _signature),
)
