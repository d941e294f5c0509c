# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every error that Coterie raises on purpose, in families by who is at fault.

- ``ConfigurationError``: the operator or steward wrote something that cannot work; one line, exit status 78.
- ``StateError``, ``InternalError``: ours, a bug.
- ``PeerError``: the other side broke the protocol; ``culprits`` names it.
- ``RefusedError``: privacy or policy forbids it; never retried automatically.
- ``CryptoError``: a caller passed values that do not belong together.
- ``TransientError``: nobody's fault; try again later.
- ``StorageError``: durable state cannot be trusted; a daemon stops rather than going on.

Each concrete class has a stable ``code``: programs decide by it, never by the text. Texts carry no secrets
and no bytes that a peer controls.
"""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override


class CoterieError(Exception):
    """Base of all deliberate errors; never raised itself.

    Attributes:
        code: stable identifier, lower case with hyphens.
        may_be_told: true if the other side may see the text. Texts of our own errors, in a party's data, configuration
            or code, stay local: they may quote them. Code that reports an error to others takes its text from
            ``public_message``, which applies this rule.
        culprits: ids of the members proven or claimed to be at fault; empty unless a subclass of ``PeerError``.
    """

    code: ClassVar[str] = ""
    may_be_told: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        if not self.code:
            raise TypeError(f"{type(self).__name__} is a family of errors, raise one of its members")
        super().__init__(message)
        self.message = message
        self.culprits: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    @property
    def public_message(self) -> str:
        """The words that others may see; empty if they stay in the house."""
        return self.message if self.may_be_told else ""


class ConfigurationError(CoterieError):
    """A setting, file or argument given by a person cannot be used."""

    code = "configuration"


class DataError(ConfigurationError):
    """A data set does not fit its schema; the message names file, row, column and the allowed values."""

    code = "data"


class RecordsMoved(DataError):
    """A data set's rows moved after a job's cost was reserved for one division of them."""

    code = "records-moved"


class KeyFileError(ConfigurationError):
    """A key file is missing, damaged, of another version, or its password is wrong."""

    code = "key-file"


class OldKeyError(KeyFileError):
    """A key, or what belongs to one, that an earlier version dealt and this version does not open with.

    Args:
        what: is of such a key; begins the message.
    """

    code = "old-key"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} belongs to a key that an earlier version of Coterie dealt, and this version opens nothing with "
            "it; the founder deals a new epoch with 'coterie keys deal --new-epoch', every member imports its new "
            "bundle, and every person the new credential"
        )


class WrongOrderError(ConfigurationError):
    """A set-up command was run before the one it builds on; the message names that one."""

    code = "wrong-order"


class MistypedToken(ConfigurationError):
    """A text is no token of an invitation, or part of it is missing or mistyped."""

    code = "mistyped-token"


class TrainingFailed(ConfigurationError):
    """A party could not compute the vectors of a round, because of its network, its algorithm or its limits."""

    code = "training-failed"


class TrainingTimeout(TrainingFailed):
    """The computation took longer than the party allows."""

    code = "training-timeout"


class TrainingDied(TrainingFailed):
    """The process that computes ended by itself or was ended, by the memory limit for example."""

    code = "training-died"


class VectorsNotFinite(TrainingFailed):
    """A vector holds NaN or infinity."""

    code = "vectors-not-finite"


class WrongVectorShape(TrainingFailed):
    """There are more, fewer, longer or shorter vectors than the round asks."""

    code = "wrong-vector-shape"


class RowsNotIndependent(TrainingFailed):
    """On this machine a record's vector depends on the other records of its batch, so that clipping bounds nothing."""

    code = "rows-not-independent"


class StateError(CoterieError):
    """Our code called something out of order."""

    code = "state"


class InternalError(CoterieError):
    """Something impossible happened; a comment at the raise states why it is impossible.

    Attributes:
        incident: number under which the log has the traceback; empty until ``Incidents.take`` has logged it. The
            message then says no more than the number, so others may see it.
    """

    code = "internal"

    def __init__(self, message: str, *, incident: str = "") -> None:
        super().__init__(message)
        self.incident = incident

    @property
    @override
    def public_message(self) -> str:
        return self.message if self.incident else ""


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


class RefusedError(CoterieError):
    """Privacy or policy forbids it. Never retried automatically."""

    may_be_told = True


class BudgetExhausted(RefusedError):
    """The privacy cost exceeds the remaining budget, or a limit per job."""

    code = "budget-exhausted"


class UnsupportedMechanism(RefusedError):
    """The accountant has no sound bound for the request."""

    code = "unsupported-mechanism"


class QuorumTooSmall(RefusedError):
    """Fewer contributors than the roster or the party's policy demands."""

    code = "quorum-too-small"


class NoiseInsufficient(RefusedError):
    """Less noise than the promised privacy needs."""

    code = "noise-insufficient"


class CapacityExceeded(RefusedError):
    """The sum could overflow its slot; the message gives the numbers."""

    code = "capacity-exceeded"


class ConsentDenied(RefusedError):
    """The steward's policy does not allow it."""

    code = "consent-denied"


class MissingLibrary(RefusedError):
    """This host lacks a library or a network that a job or a model needs; the message names it."""

    code = "missing-library"


class NotConfined(RefusedError):
    """The policy demands that the training process is confined, and the party's system does not do it."""

    code = "not-confined"


class UnknownInvitation(RefusedError):
    """The founder of this federation did not sign the invitation."""

    code = "unknown-invitation"


class InvitationExpired(RefusedError):
    """The invitation was good until a time that has passed."""

    code = "invitation-expired"


class InvitationUsed(RefusedError):
    """Another request came with the same invitation before: its token is in two hands."""

    code = "invitation-used"


class AlreadySubmitted(RefusedError):
    """A job with the same specification was submitted before; the message names it and the way to resubmit."""

    code = "already-submitted"


class OutsideHours(RefusedError):
    """The party does not answer now, but will within the hours of its policy: a round waits for it."""

    code = "outside-hours"


class QuotaExceeded(RefusedError):
    """Too many jobs at once, or in a day; the message names the limit and how to make room."""

    code = "quota-exceeded"


class AlreadyDecided(RefusedError):
    """The party has already answered the job; its answer is final."""

    code = "already-decided"


class PermissionDenied(RefusedError):
    """The caller is authenticated, but its role may not do this."""

    code = "permission-denied"


class AlreadyAnswered(RefusedError):
    """This round was answered or opened differently before; noise is never drawn twice."""

    code = "already-answered"


class SecretsErased(RefusedError):
    """A job that is sealed completely has no secrets here: they were erased in time, or were never agreed on."""

    code = "secrets-erased"


class DrownedInNoise(RefusedError):
    """A job's noise exceeds any result it can learn; the submitter may run it regardless."""

    code = "drowned-in-noise"


class InvalidJob(RefusedError):
    """A job specification that cannot be run; the message names the entry and the allowed values."""

    code = "invalid-job"


class CryptoError(CoterieError):
    """A caller passed values that do not belong together."""


class KeyMismatch(CryptoError):
    """Values of different keys met."""

    code = "key-mismatch"


class PlaintextOutOfRange(CryptoError):
    """A plaintext or packed value is outside its stated range."""

    code = "plaintext-out-of-range"


class InsufficientShares(CryptoError):
    """Fewer distinct partial decryptions than the decryption threshold."""

    code = "insufficient-shares"


class NotOpened(CryptoError):
    """Partial decryptions, enough of them, do not open the ciphertexts: one of them is wrong."""

    code = "not-opened"


class TransientError(CoterieError):
    """Nobody's fault; retry with jittered backoff."""

    may_be_told = True


class Unavailable(TransientError):
    """The other side cannot be reached now."""

    code = "unavailable"


class Superseded(TransientError):
    """A newer stream of the same party replaced this one; two daemons with one identity displace each other."""

    code = "superseded"


class DeadlineExceeded(TransientError):
    """No answer within the time allowed."""

    code = "deadline-exceeded"


class Overloaded(TransientError):
    """Too much at once.

    Attributes:
        retry_after_s: seconds to wait before trying again.
    """

    code = "overloaded"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StorageError(CoterieError):
    """Durable state cannot be read or written; the daemon stops."""

    code = "storage"


class NotFound(CoterieError):
    """A person asked for a job, model or party that is not there."""

    code = "not-found"
    may_be_told = True
