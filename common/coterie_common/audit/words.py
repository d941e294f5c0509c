# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Entries of a record in plain words, for people who do not know the protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from coterie_common.audit.entry import Entry, Kind
from coterie_common.protocol.messages import DecryptionRequest, JobEnd, JobProposal, ModelDelivery, Query
from coterie_common.shown import counted

_DIGITS: Final = 12
"""Digits of a digest that people compare at a glance; the details hold the whole digest."""

_MESSAGES: Final = {
    JobProposal.stored_as: "a proposed job",
    Query.stored_as: "a query",
    DecryptionRequest.stored_as: "a request to decrypt",
    ModelDelivery.stored_as: "a model",
    JobEnd.stored_as: "a notice that a job is over",
    "": "a message that could not be read",
}


def sentence(entry: Entry) -> str:
    """Return an entry as one sentence; missing facts are shown as ``?``."""
    return _SENTENCES[entry.kind](_Facts(entry.facts))


class _Facts(dict[str, Any]):
    """Facts of an entry of any age: missing ones have no value."""

    def __missing__(self, name: str) -> str:
        return "?"

    def short(self, name: str) -> str:
        return str(self[name])[:_DIGITS]

    def names(self, name: str) -> str:
        value = self[name]
        return ", ".join(map(str, value)) if isinstance(value, list) else "?"

    def count(self, name: str) -> str:
        return f"{self[name]:,}" if isinstance(self[name], int) else "?"


def _started(facts: _Facts) -> str:
    return f"The daemon started, version {facts['version']}, under roster {facts['roster_serial']}."


def _decision(facts: _Facts) -> str:
    said = {"accepted": "Agreed to the job", "held": "Held the job for the steward", "refused": "Refused the job"}
    dataset = f" on the data set {facts['dataset']}" if facts.get("dataset") else ""
    reason = f": {facts.get('detail') or facts['code']} [{facts['code']}]" if facts.get("code") else ""
    return f"{said.get(facts['decision'], '?')}{dataset}{reason}."


def _ledger(facts: _Facts) -> str:
    carried = facts["carried"]
    if isinstance(carried, list):
        return f"Took over {counted(len(carried), 'line')} of the ledger of another machine or federation."
    lines = facts["lines"] if isinstance(facts["lines"], list) else []
    count = sum(line[1] - line[0] + 1 for line in lines if _is_run(line))
    return f"Set aside in the ledger of the data set {facts['dataset']}: the privacy cost of {counted(count, 'round')}."


def _is_run(line: Any) -> bool:
    return isinstance(line, list) and len(line) > 1 and type(line[0]) is int and type(line[1]) is int


def _query(facts: _Facts) -> str:
    return (
        f"Accepted the query {facts.short('session_id')}…, which is asked of {facts.names('cohort')}; "
        "its privacy cost is spent from here on."
    )


def _reply(facts: _Facts) -> str:
    return (
        f"Made the encrypted reply {facts.short('contribution_digest')}… of {facts.count('bytes')} bytes, to be sent."
    )


def _decryption(facts: _Facts) -> str:
    return (
        f"Agreed to help to decrypt the sum of the replies of {facts.names('contributors')} "
        f"(transcript {facts.short('transcript_digest')}…), and of no other for this round."
    )


def _partial(facts: _Facts) -> str:
    return f"Made its share of the decryption, {facts.count('bytes')} bytes, to be sent."


def _refusal(facts: _Facts) -> str:
    # Members named here signed the failed content: see ``protocol.verification.request``.
    culprits = f" At fault by their own signature: {facts.names('culprits')}." if facts.get("culprits") else ""
    unlisted = facts.get("not_listed_before")
    more = f" Before it, {unlisted:,} refusals were not listed." if isinstance(unlisted, int) and unlisted else ""
    what = _MESSAGES.get(facts["message"], "a message")
    return f"Refused {what}: {facts.get('detail') or 'see the log'} [{facts['code']}].{culprits}{more}"


def _model(facts: _Facts) -> str:
    return f"Received the model {facts.short('model_digest')}… of {facts.count('bytes')} bytes and kept it."


def _job_end(facts: _Facts) -> str:
    # The aggregator can claim anything about anyone in it.
    reason = f". The aggregator gives as its reason: {facts['reason']}" if facts.get("reason") else ""
    return f"The job is over, {facts['outcome']}{reason}. What it had not spent is given back."


_SENTENCES: Final[Mapping[Kind, Callable[[_Facts], str]]] = {
    Kind.STARTED: _started,
    Kind.DECISION: _decision,
    Kind.LEDGER: _ledger,
    Kind.QUERY: _query,
    Kind.REPLY: _reply,
    Kind.DECRYPTION: _decryption,
    Kind.PARTIAL: _partial,
    Kind.REFUSAL: _refusal,
    Kind.MODEL: _model,
    Kind.JOB_END: _job_end,
}
