# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Errors of the other side: it broke the protocol, and ``culprits`` names it."""

from __future__ import annotations

from coterie_common.errors.error import CoterieError


class PeerError(CoterieError):
    """The other side broke the protocol.

    Attributes:
        culprits: the members at fault, as far as proven.
    """

    may_be_told = True

    def __init__(self, message: str, *, culprits: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.culprits = culprits


class MalformedMessage(PeerError):
    """Cannot be parsed: wrong size, unknown or missing field, non-canonical number."""

    code = "malformed-message"


class UnexpectedMessage(PeerError):
    """Well formed but not expected in this phase."""

    code = "unexpected-message"


class StaleRound(UnexpectedMessage):
    """Belongs to a round that is over."""

    code = "stale-round"


class UnknownRound(UnexpectedMessage):
    """Belongs to a job or round that this side does not know."""

    code = "unknown-round"


class NotInCohort(PeerError):
    """The sender or a contributor is no member of the round's cohort."""

    code = "not-in-cohort"


class IdentityMismatch(PeerError):
    """The claimed identity is not the one that the certificate or signature shows."""

    code = "identity-mismatch"


class NotTheAggregator(IdentityMismatch):
    """The host at the address of an invitation did not prove to be the founder's aggregator."""

    code = "not-the-aggregator"


class InvitationReplayed(PeerError):
    """The proof of an invitation, or an order of the founder, was made for another connection."""

    code = "invitation-replayed"


class Unauthenticated(PeerError):
    """No certificate, or one that the federation's authority did not issue."""

    code = "unauthenticated"


class Equivocation(PeerError):
    """Two different messages where there can be only one."""

    code = "equivocation"


class AlteredReplyList(PeerError):
    """The aggregator's list of a round's replies omits this party's, or alters it; it gets no further reply."""

    code = "altered-reply-list"


class ParameterMismatch(PeerError):
    """The recomputed session id, roster or parameters differ from the claimed ones."""

    code = "parameter-mismatch"


class InvalidSignature(PeerError):
    """A signature does not verify under the roster's key."""

    code = "invalid-signature"


class InvalidCiphertext(PeerError):
    """A ciphertext is out of range or no unit."""

    code = "invalid-ciphertext"


class InvalidProof(PeerError):
    """A zero-knowledge proof does not verify.

    Attributes:
        check: number of the failed check, for logs and tests; never sent to the peer.
    """

    code = "invalid-proof"

    def __init__(self, message: str, *, check: int, culprits: tuple[str, ...] = ()) -> None:
        super().__init__(message, culprits=culprits)
        self.check = check


class GenerationDeviation(PeerError):
    """A holder deviated from the protocol while a key was made without a dealer; the run is over."""

    code = "generation-deviation"


class GenerationFailed(PeerError):
    """A key could not be made without a dealer, and nobody can be named; the run is over."""

    code = "generation-failed"


class InvalidPadKey(PeerError):
    """The opened sum of a round's pad keys is impossible: an unknown contributor encrypted something else."""

    code = "invalid-pad-key"
