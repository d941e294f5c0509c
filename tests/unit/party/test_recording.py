# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from coterie_common.audit.entry import Entry, Kind
from coterie_common.audit.words import sentence
from coterie_common.errors import AlreadyAnswered
from coterie_common.identifiers import JobId
from coterie_common.protocol.messages import JobEnd, JobOutcome
from coterie_party.live.context import Context
from coterie_party.live.recording import record_refusal
from tests.support.asynchronous import asynchronous

WORDS = {
    "JobProposal": "a proposed job",
    "Query": "a query",
    "DecryptionRequest": "a request to decrypt",
    "ModelDelivery": "a model",
    "JobEnd": "a notice that a job is over",
    "Rejection": "a message",
    "": "a message that could not be read",
}


class RenamedNotice(JobEnd):
    """As if the class of a message had got another name."""


@asynchronous
async def test_refusal_of_a_message_whose_class_was_renamed_has_the_same_word():
    written: list[tuple[Any, ...]] = []

    async def write(function: object, *arguments: Any) -> None:
        written.append(arguments)

    async def look(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    context = cast(Context, SimpleNamespace(on_writer=write, look=look, audit=SimpleNamespace(record_refusal=None)))
    message = RenamedNotice(job_id=JobId("job-1"), outcome=JobOutcome.FAILED, reason="", signature=bytes(64))
    await record_refusal(context, AlreadyAnswered("no"), message)
    assert [(job_id, number, details["message"]) for job_id, number, details in written] == [("job-1", 0, "JobEnd")]


@pytest.mark.parametrize(("word", "shown"), WORDS.items())
def test_refusal_names_its_message_in_plain_words(word, shown):
    entry = cast(Entry, SimpleNamespace(kind=Kind.REFUSAL, facts={"message": word, "detail": "no", "code": "state"}))
    assert sentence(entry).startswith(f"Refused {shown}: no [state].")
