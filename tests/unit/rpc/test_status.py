# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc import StatusCode

from coterie_common import errors
from coterie_common.errors import CoterieError
from coterie_common.host.incidents import Incidents
from coterie_common.rpc.abort import translated
from coterie_common.rpc.status import CODE_KEY, INCIDENT_KEY, RETRY_KEY, STATUS, error_from_rpc
from tests.support.seeded_random import SeededRandom

Metadata = tuple[tuple[str, str], ...]


def concrete_errors(kind: type[CoterieError] = CoterieError) -> Iterator[type[CoterieError]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("coterie"):
            if child.code:
                yield child
            yield from concrete_errors(child)


class Failure(grpc.RpcError):
    def __init__(self, status: StatusCode, details: str = "", metadata: Metadata = ()) -> None:
        self._parts = status, details, metadata

    def code(self) -> StatusCode:
        return self._parts[0]

    def details(self) -> str:
        return self._parts[1]

    def trailing_metadata(self) -> Any:
        return self._parts[2]


def test_every_concrete_error_has_a_status_and_a_code_of_its_own():
    kinds = set(concrete_errors())
    assert kinds == set(STATUS)
    assert len({kind.code for kind in kinds}) == len(kinds)


@pytest.mark.parametrize("kind", [kind for kind in STATUS if STATUS[kind] is not StatusCode.INTERNAL])
def test_error_comes_back_as_the_class_of_its_code(kind):
    failure = Failure(STATUS[kind], "what happened", ((CODE_KEY, kind.code),))
    error = error_from_rpc(failure)
    assert type(error) is kind
    assert error.message == "what happened"


@pytest.mark.parametrize("kind", [errors.StorageError, errors.KeyFileError, errors.KeyMismatch, errors.StateError])
def test_what_is_ours_alone_is_internal_and_never_another_class(kind):
    assert not kind.may_be_told
    assert kind("secret").public_message == ""
    assert type(error_from_rpc(Failure(StatusCode.INTERNAL, "incident 1", ((CODE_KEY, kind.code),)))) in (
        errors.InternalError,
    )


@pytest.mark.parametrize("kind", STATUS)
def test_words_may_be_told_of_exactly_the_errors_that_have_a_status_of_their_own(kind):
    assert kind.may_be_told == (STATUS[kind] is not StatusCode.INTERNAL)


def test_unforeseen_exception_is_ours_alone_and_a_peers_error_is_not():
    incidents = Incidents("the aggregator's", SeededRandom("incidents"))
    assert ended_with(ValueError("secret"), incidents) == (
        StatusCode.INTERNAL,
        f"internal error, incident {incidents.note[-8:]} in the aggregator's log",
        ((CODE_KEY, "internal"), (INCIDENT_KEY, incidents.note[-8:])),
    )
    assert ended_with(errors.StaleRound("x"), incidents) == (
        StatusCode.FAILED_PRECONDITION,
        "x",
        ((CODE_KEY, "stale-round"),),
    )


def ended_with(failure: Exception, incidents: Incidents) -> tuple[Any, ...]:
    """How a call ends whose body raises."""

    class Context:
        async def abort(self, *how: Any) -> None:
            aborted.append(how)
            raise grpc.aio.AbortError

    async def scenario() -> None:
        with pytest.raises(grpc.aio.AbortError):
            async with translated(Context(), incidents):
                raise failure

    aborted: list[tuple[Any, ...]] = []
    asyncio.run(scenario())
    (how,) = aborted
    return how


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (StatusCode.UNAVAILABLE, errors.Unavailable),
        (StatusCode.CANCELLED, errors.Unavailable),
        (StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (StatusCode.UNIMPLEMENTED, errors.ParameterMismatch),
        (StatusCode.RESOURCE_EXHAUSTED, errors.Overloaded),
        (StatusCode.UNKNOWN, errors.InternalError),
        (StatusCode.DATA_LOSS, errors.InternalError),
    ],
)
@pytest.mark.parametrize("metadata", [None, (), ((CODE_KEY, "no-such-code"),), ((CODE_KEY, b"bytes"),)])
def test_status_without_a_known_code_still_becomes_an_error(status, kind, metadata):
    assert type(error_from_rpc(Failure(status, "details", metadata))) is kind


@pytest.mark.parametrize(("text", "seconds"), [("12.5", 12.5), ("", 5.0), ("soon", 5.0), ("nan", 5.0), ("1e9", 5.0)])
def test_retry_delay_is_taken_only_if_it_makes_sense(text, seconds):
    error = error_from_rpc(Failure(StatusCode.RESOURCE_EXHAUSTED, "", ((CODE_KEY, "overloaded"), (RETRY_KEY, text))))
    assert isinstance(error, errors.Overloaded)
    assert error.retry_after_s == seconds


def test_details_of_the_other_side_become_one_printable_line():
    error = error_from_rpc(Failure(StatusCode.NOT_FOUND, "two\nlines\x1b[31m", ((CODE_KEY, "not-found"),)))
    assert error.message == "two lines [31m"
