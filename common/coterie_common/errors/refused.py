# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Errors for what privacy, policy or a quota forbids."""

from __future__ import annotations

from coterie_common.errors.error import CoterieError


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
