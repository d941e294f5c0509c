# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The secrets that the parties of a job agree on, once all of their acceptances were checked.

Every two parties have one pair secret: the party with the lower id encapsulates to the other, whose acceptance carries
its keys, and both exchange by X25519. ``crypto.masks`` has the arithmetic, ``verification.acceptance`` the checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.masks.ephemeral import EphemeralKey, EphemeralSecret
from coterie_common.crypto.masks.pairwise import Pair, PairSecret
from coterie_common.errors import StateError
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Encapsulation
from coterie_common.protocol.signed import UNSIGNED


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One party of a job that is sealed completely.

    Attributes:
        acceptance: digest of its acceptance.
        key: that the acceptance carries.
    """

    acceptance: bytes
    key: EphemeralKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The checked acceptances of a job.

    Attributes:
        job_id: the job.
        roster_digest: of the roster in force.
        digest: of all acceptances, as it enters session ids.
        participants: by id, in the order of the ids.
    """

    job_id: JobId
    roster_digest: bytes
    digest: bytes
    participants: Mapping[PartyId, Participant]

    @property
    def cohort(self) -> tuple[PartyId, ...]:
        """Sorted ids of everybody who takes part."""
        return tuple(self.participants)

    def acceptances(self, sender: PartyId, recipient: PartyId) -> tuple[bytes, bytes]:
        """Return the digests of the acceptances of two parties, as an encapsulation names them."""
        return self.participants[sender].acceptance, self.participants[recipient].acceptance

    def encapsulate(
        self, own: PartyId, secret: EphemeralSecret, key: SigningKey
    ) -> tuple[tuple[Encapsulation, ...], dict[PartyId, PairSecret]]:
        """Make the pair secrets with everybody of a higher id.

        Args:
            own: id of this party.
            secret: whose public keys are in its acceptance.
            key: signs.

        Returns:
            What is sent, in the order of the recipients, and the secrets, which stay. Both are different at every call:
                the caller keeps them before anything leaves, and never calls again.

        Raises:
            StateError: ``secret`` is not that of this party's acceptance.
        """
        self._check_own(own, secret)
        sent, secrets = list[Encapsulation](), dict[PartyId, PairSecret]()
        for other in self.cohort:
            if own < other:
                encapsulated, ciphertext = self.participants[other].key.encapsulate()
                exchanged = secret.exchange(self.participants[other].key)
                secrets[other] = self._pair(own, other).derive(exchanged, encapsulated, ciphertext)
                made = Encapsulation(
                    job_id=self.job_id,
                    sender=own,
                    recipient=other,
                    acceptances=self.acceptances(own, other),
                    ciphertext=ciphertext,
                    signature=UNSIGNED,
                )
                sent.append(made.signed_by(key))
        return tuple(sent), secrets

    def decapsulate(
        self, own: PartyId, secret: EphemeralSecret, received: Sequence[Encapsulation]
    ) -> dict[PartyId, PairSecret]:
        """Make the pair secrets with everybody of a lower id.

        Args:
            own: id of this party.
            secret: whose public keys are in its acceptance.
            received: one checked encapsulation of each of them.

        Raises:
            MalformedMessage: a ciphertext of another length.
            StateError: not one of each, or as ``encapsulate``.
        """
        self._check_own(own, secret)
        if [each.sender for each in received] != [other for other in self.cohort if other < own]:
            raise StateError("encapsulations do not come from everybody with a lower id")
        return {
            each.sender: self._pair(each.sender, own).derive(
                secret.exchange(self.participants[each.sender].key),
                secret.decapsulate(each.ciphertext),
                each.ciphertext,
            )
            for each in received
        }

    def _pair(self, lower: PartyId, higher: PartyId) -> Pair:
        first, second = self.acceptances(lower, higher)
        return Pair(job_id=self.job_id, roster_digest=self.roster_digest, lower=first, higher=second)

    def _check_own(self, own: PartyId, secret: EphemeralSecret) -> None:
        if self.participants[own].key != secret.public:
            raise StateError("the ephemeral secret is not that of this party's acceptance")
