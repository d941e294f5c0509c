# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial as bind

import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from coterie_common.errors import DataError, InternalError, StorageError
from coterie_common.host.incidents import ForeignFailure, Incidents, contained
from tests.support.foreign import FOREIGN
from tests.support.seeded_random import SeededRandom


def raising(failure: BaseException) -> None:
    raise failure


@pytest.mark.parametrize("failure", FOREIGN, ids=lambda failure: type(failure).__name__)
def test_whatever_a_thread_raises_reaches_whoever_awaits_it(failure):
    async def scenario() -> BaseException:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(Exception) as caught:  # any, but nothing that ends a loop
                await asyncio.wait_for(loop.run_in_executor(pool, bind(contained, raising, failure)), 20)
            # The task goes on, and so does the thread.
            assert await loop.run_in_executor(pool, bind(contained, len, "next")) == 4
        return caught.value

    raised = asyncio.run(scenario())
    # asyncio hands on a timeout as another one.
    is_same = raised is failure or type(raised) is type(failure) is TimeoutError
    assert is_same or (isinstance(raised, ForeignFailure) and raised.__cause__ is failure)


def test_what_is_ours_comes_as_it_is():
    for failure in (DataError("row 3"), StorageError("full")):
        with pytest.raises(type(failure)) as caught:
            contained(raising, failure)
        assert caught.value is failure
    assert contained(divmod, 7, 2) == (3, 1)


@capture_logs()
def test_incident_tells_its_number_and_nothing_of_what_happened():
    incidents = Incidents("the party's", SeededRandom("incidents"))
    assert incidents.note == ""
    first = incidents.take(pa.ArrowInvalid("a patient's name"), "reading", job="job-1")
    assert first.code == "internal"
    assert first.message.startswith("internal error, incident ")
    assert "patient" not in first.message
    assert incidents.note.startswith("1 unforeseen failure since")
    second = incidents.take(SystemExit(3), "planning")
    number = second.message.split()[3]
    assert number in incidents.note
    assert incidents.note.startswith("2 unforeseen failures")
    assert first.message != second.message


def test_incident_is_in_the_log_under_its_number():
    failure = KeyError("column")
    with capture_logs() as logged:
        told = Incidents("the party's", SeededRandom("incidents")).take(failure, "reading", job="job-1", round=3)
    (line,) = logged
    assert line["incident"] == told.message.split()[3]
    assert (line["kind"], line["doing"], line["job"], line["round"]) == ("KeyError", "reading", "job-1", 3)
    assert line["exc_info"] is failure


def test_failure_that_is_an_incident_already_keeps_its_number():
    incidents = Incidents("the party's", SeededRandom("incidents"))
    with capture_logs() as logged:
        first = incidents.take(KeyError("column"), "reading")
        assert incidents.take(first, "handling the message") is first
    assert [line["incident"] for line in logged] == [first.incident]
    assert first.public_message == first.message
    assert incidents.note.startswith("1 unforeseen failure since")


def test_impossible_error_is_told_as_an_incident_only():
    incidents = Incidents("the party's", SeededRandom("incidents"))
    impossible = InternalError("the sum quotes a cell")
    assert impossible.public_message == ""
    with capture_logs() as logged:
        taken = incidents.take(impossible, "opening")
    assert "cell" not in taken.public_message
    assert (taken.incident in taken.public_message, logged[0]["exc_info"]) == (True, impossible)


@pytest.mark.parametrize("failure", [KeyError("column"), InternalError("impossible")])
def test_daemon_that_nobody_foresaw_to_end_ends_with_an_incident(failure):
    incidents = Incidents("the party's", SeededRandom("incidents"))
    with capture_logs() as logged, pytest.raises(InternalError) as ended, incidents.ending("daemon"):
        raise failure
    assert ended.value.message == f"internal error, incident {ended.value.incident} in the party's log"
    assert (logged[0]["incident"], logged[0]["exc_info"]) == (ended.value.incident, failure)


def test_daemon_that_ends_for_a_reason_gives_it():
    incidents = Incidents("the party's", SeededRandom("incidents"))
    with pytest.raises(StorageError, match="full"), incidents.ending("daemon"):
        raise StorageError("full")
    assert incidents.note == ""
