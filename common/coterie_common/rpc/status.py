# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Errors across gRPC: the status of each class, and the class of each code.

The status is for tools that know gRPC; Coterie's own code decides by ``coterie-code`` in the trailing metadata.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import grpc

from coterie_common import errors
from coterie_common.errors import CoterieError
from coterie_common.protocol.reason import one_line

CODE_KEY: Final = "coterie-code"
INCIDENT_KEY: Final = "coterie-incident"
RETRY_KEY: Final = "coterie-retry-after-s"

_Status = grpc.StatusCode

STATUS: Final[dict[type[CoterieError], grpc.StatusCode]] = {
    errors.MalformedMessage: _Status.INVALID_ARGUMENT,
    errors.InvalidSignature: _Status.INVALID_ARGUMENT,
    errors.InvalidCiphertext: _Status.INVALID_ARGUMENT,
    errors.InvalidProof: _Status.INVALID_ARGUMENT,
    errors.GenerationDeviation: _Status.ABORTED,
    errors.GenerationFailed: _Status.ABORTED,
    errors.InvitationReplayed: _Status.INVALID_ARGUMENT,
    errors.InvalidPadKey: _Status.INVALID_ARGUMENT,
    errors.InvalidJob: _Status.INVALID_ARGUMENT,
    errors.UnexpectedMessage: _Status.FAILED_PRECONDITION,
    errors.StaleRound: _Status.FAILED_PRECONDITION,
    errors.UnknownRound: _Status.FAILED_PRECONDITION,
    errors.ParameterMismatch: _Status.FAILED_PRECONDITION,
    errors.BudgetExhausted: _Status.FAILED_PRECONDITION,
    errors.UnsupportedMechanism: _Status.FAILED_PRECONDITION,
    errors.QuorumTooSmall: _Status.FAILED_PRECONDITION,
    errors.NoiseInsufficient: _Status.FAILED_PRECONDITION,
    errors.CapacityExceeded: _Status.FAILED_PRECONDITION,
    errors.DrownedInNoise: _Status.FAILED_PRECONDITION,
    errors.ConsentDenied: _Status.FAILED_PRECONDITION,
    errors.MissingLibrary: _Status.FAILED_PRECONDITION,
    errors.NotConfined: _Status.FAILED_PRECONDITION,
    errors.QuotaExceeded: _Status.FAILED_PRECONDITION,
    errors.AlreadyAnswered: _Status.FAILED_PRECONDITION,
    errors.SecretsErased: _Status.FAILED_PRECONDITION,
    errors.AlreadyDecided: _Status.FAILED_PRECONDITION,
    errors.AlreadySubmitted: _Status.ALREADY_EXISTS,
    errors.InvitationUsed: _Status.ALREADY_EXISTS,
    errors.InvitationExpired: _Status.FAILED_PRECONDITION,
    errors.OutsideHours: _Status.FAILED_PRECONDITION,
    errors.Equivocation: _Status.ABORTED,
    errors.AlteredReplyList: _Status.ABORTED,
    errors.Superseded: _Status.ABORTED,
    errors.Unauthenticated: _Status.UNAUTHENTICATED,
    errors.NotTheAggregator: _Status.UNAUTHENTICATED,
    errors.UnknownInvitation: _Status.PERMISSION_DENIED,
    errors.NotInCohort: _Status.PERMISSION_DENIED,
    errors.IdentityMismatch: _Status.PERMISSION_DENIED,
    errors.PermissionDenied: _Status.PERMISSION_DENIED,
    errors.NotFound: _Status.NOT_FOUND,
    errors.Unavailable: _Status.UNAVAILABLE,
    errors.DeadlineExceeded: _Status.DEADLINE_EXCEEDED,
    errors.Overloaded: _Status.RESOURCE_EXHAUSTED,
    errors.ConfigurationError: _Status.INTERNAL,
    errors.DataError: _Status.INTERNAL,
    errors.RecordsMoved: _Status.INTERNAL,
    errors.KeyFileError: _Status.INTERNAL,
    errors.OldKeyError: _Status.INTERNAL,
    errors.WrongOrderError: _Status.INTERNAL,
    errors.MistypedToken: _Status.INTERNAL,
    errors.TrainingFailed: _Status.INTERNAL,
    errors.TrainingTimeout: _Status.INTERNAL,
    errors.TrainingDied: _Status.INTERNAL,
    errors.VectorsNotFinite: _Status.INTERNAL,
    errors.WrongVectorShape: _Status.INTERNAL,
    errors.RowsNotIndependent: _Status.INTERNAL,
    errors.StateError: _Status.INTERNAL,
    errors.InternalError: _Status.INTERNAL,
    errors.StorageError: _Status.INTERNAL,
    errors.KeyMismatch: _Status.INTERNAL,
    errors.PlaintextOutOfRange: _Status.INTERNAL,
    errors.InsufficientShares: _Status.INTERNAL,
    errors.NotOpened: _Status.INTERNAL,
}
"""Every concrete error."""

_CLASSES: Final = {kind.code: kind for kind in STATUS if kind.may_be_told}
_OVERLOADED_SECONDS: Final = 5.0

_UNCODED: Final[dict[grpc.StatusCode, type[CoterieError]]] = {
    _Status.UNAVAILABLE: errors.Unavailable,
    _Status.CANCELLED: errors.Unavailable,
    _Status.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    _Status.UNAUTHENTICATED: errors.Unauthenticated,
    _Status.PERMISSION_DENIED: errors.PermissionDenied,
    _Status.INVALID_ARGUMENT: errors.MalformedMessage,
    _Status.UNIMPLEMENTED: errors.ParameterMismatch,
}
"""The meaning of a status that gRPC itself, or a proxy, produced."""


_WORDS: Final[dict[type[CoterieError], str]] = {
    errors.Unavailable: "the aggregator cannot be reached",
    errors.DeadlineExceeded: "no answer in time",
    errors.Unauthenticated: "the aggregator does not know this certificate",
    errors.PermissionDenied: "the call is not allowed",
    errors.MalformedMessage: "the call was not understood",
    errors.ParameterMismatch: "the other side does not offer this call; it may run another version",
}


def error_from_rpc(failure: Any) -> CoterieError:
    """Return the other side's error in a failed call: a ``grpc.RpcError``, blocking or ``grpc.aio``'s."""
    metadata = _texts(failure.trailing_metadata())
    status: grpc.StatusCode = failure.code()
    details = one_line(failure.details() or "")
    code = metadata.get(CODE_KEY)
    if status is _Status.RESOURCE_EXHAUSTED:
        return errors.Overloaded(details or "the other side is overloaded", retry_after_s=_retry_after(metadata))
    if code == errors.InvalidProof.code:
        return errors.InvalidProof(details, check=0)
    if code in _CLASSES:
        return _CLASSES[code](details)
    if code == errors.InternalError.code:
        return errors.InternalError(f"the other side failed: {details}")
    kind = _UNCODED.get(status)
    if kind is None:
        return errors.InternalError(f"the call failed with {status.name}: {details}")
    return kind(f"{_WORDS[kind]}: {details}" if details else _WORDS[kind])


def _texts(metadata: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    return {key: value for key, value in metadata or () if isinstance(value, str)}


def _retry_after(metadata: dict[str, str]) -> float:
    try:
        seconds = float(metadata.get(RETRY_KEY, ""))
    except ValueError:
        return _OVERLOADED_SECONDS
    return seconds if 0 <= seconds <= 3600 else _OVERLOADED_SECONDS
