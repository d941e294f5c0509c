# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Errors that are nobody's fault: try again later."""

from __future__ import annotations

from coterie_common.errors.error import CoterieError


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
