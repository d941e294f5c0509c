# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Unforeseen failures: contained where foreign code runs, logged under a number, and reported to others by that number.

Readers, algorithms and libraries may raise anything. A daemon answers with a refusal and goes on: others receive a code
and an incident; a reader of the log finds the rest under its number; ``health`` reports that there was one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, ParamSpec, TypeVar

import structlog

from coterie_common.errors import CoterieError, InternalError
from coterie_common.randomness import RandomSource

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

_NEVER_DELIVERED: Final = (StopIteration, StopAsyncIteration, concurrent.futures.CancelledError)
"""Exceptions with another meaning for the code that awaits a thread: it would hang, or take them for cancelling."""


class ForeignFailure(Exception):
    """Foreign code raised an exception that must not reach an event loop; its cause is that exception."""


def contained(function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
    """Run a function that may raise anything, on a worker thread, so that its caller gets an ordinary ``Exception``.

    ``SystemExit`` and ``KeyboardInterrupt`` would end the event loop of the code that awaits the thread, a
    ``CancelledError`` would end its task silently, and a ``StopIteration`` would never arrive: it would wait for ever.

    Raises:
        ForeignFailure: one of these.
    """
    try:
        return function(*arguments, **named)
    except _NEVER_DELIVERED as failure:
        raise ForeignFailure(f"{type(failure).__name__} left the code that raised it") from failure
    except Exception:
        raise
    except BaseException as failure:  # a supervisor: see above
        raise ForeignFailure(f"{type(failure).__name__} left the code that raised it") from failure


def is_own_cancelling() -> bool:
    """Return true if the current task was asked to end: otherwise a ``CancelledError`` in it is a failure."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def new_incident(random: RandomSource) -> str:
    """Return the number of a new incident: 8 hexadecimal digits."""
    return random.token_bytes(4).hex()


class Incidents:
    """The unforeseen failures of a daemon since its start. Used by its event loop alone.

    Args:
        whose: the daemon, for people elsewhere, such as ``"the party's"``.
        random: for numbers of incidents.
    """

    def __init__(self, whose: str, random: RandomSource) -> None:
        self._whose = whose
        self._random = random
        self._count = 0
        self._last = ""

    def take(self, failure: BaseException, doing: str, **where: object) -> InternalError:
        """Log a failure with its traceback under a new number, and return the error that others may see.

        Args:
            failure: the exception; its text may quote data, and goes into the log only. One that was taken before is
                returned unchanged: one failure has one number.
            doing: the failed activity, for the log.
            where: job, round and the like, for the log.
        """
        if isinstance(failure, InternalError) and failure.incident:
            return failure
        incident = new_incident(self._random)
        self._count += 1
        self._last = incident
        cause = (isinstance(failure, ForeignFailure) and failure.__cause__) or failure
        kind, why = type(cause).__name__, str(cause)
        log.error("unforeseen failure", incident=incident, doing=doing, kind=kind, why=why, **where, exc_info=failure)
        return InternalError(f"internal error, incident {incident} in {self._whose} log", incident=incident)

    @contextmanager
    def ending(self, doing: str) -> Iterator[None]:
        """Run what a daemon does until it ends; raises a failure that nobody foresaw as the incident that it is."""
        try:
            yield
        except InternalError as failure:
            raise self.take(failure, doing) from failure
        except CoterieError:
            raise
        except Exception as failure:  # the last supervisor of a daemon
            raise self.take(failure, doing) from failure

    @property
    def note(self) -> str:
        """One sentence for ``health``; empty if there was none."""
        if not self._count:
            return ""
        failures = "1 unforeseen failure" if self._count == 1 else f"{self._count:,} unforeseen failures"
        return f"{failures} since the daemon was started; the log has the details of the last, incident {self._last}"
