# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_aggregator.machines import job_events, round_events
from coterie_aggregator.store.event_codec import EventCodec
from coterie_common.errors import StorageError
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision

MACHINES = {"job": job_events.Event, "round": round_events.Event}
CODECS: dict[str, EventCodec[Any]] = {name: EventCodec(union) for name, union in MACHINES.items()}
EVENTS = [
    pytest.param(name, event, id=f"{name}-{event.__name__}") for name in MACHINES for event in get_args(MACHINES[name])
]
REPLY = job_events.PartyReplied(PartyId("alpha"), Decision.HELD, "", "wait")


@pytest.mark.parametrize(("machine", "event"), EVENTS)
@given(data=st.data())
def test_decode_of_encoded_event_is_equal(machine, event, data):
    value = data.draw(st.from_type(event))
    kind, document = CODECS[machine].encode(value)
    decoded = CODECS[machine].decode(kind, document)
    assert decoded == value
    assert type(decoded) is event
    assert [type(getattr(decoded, name)) for name in event.__slots__] == [
        type(getattr(value, name)) for name in event.__slots__
    ]


@pytest.mark.parametrize("machine", MACHINES)
def test_codec_knows_every_event_of_the_machine(machine):
    assert CODECS[machine].classes == get_args(MACHINES[machine])


def test_encoded_event_is_its_word_and_its_fields():
    assert CODECS["job"].encode(REPLY) == (
        "PartyReplied",
        b'{"code":"","decision":"held","detail":"wait","party_id":"alpha"}',
    )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        pytest.param("PartyReplied", b"", id="no JSON"),
        pytest.param("PartyReplied", b"[]", id="no object"),
        pytest.param("PartyReplied", b'{"code":"","decision":"held","detail":"wait"}', id="missing field"),
        pytest.param("RoundReleased", b'{"more":1,"round_number":1}', id="unknown field"),
        pytest.param("RoundReleased", b'{"round_number": 1}', id="not canonical"),
        pytest.param("RoundReleased", b'{"round_number":"1"}', id="text for a number"),
        pytest.param("RoundReleased", b'{"round_number":true}', id="truth for a number"),
        pytest.param("JobFailed", b'{"reason":null}', id="nothing for text"),
        pytest.param(
            "PartyReplied", b'{"code":"","decision":"perhaps","detail":"","party_id":"alpha"}', id="unknown decision"
        ),
        pytest.param("RoundRelaesed", b'{"round_number":1}', id="unknown event"),
        pytest.param("DeadlinePassed", b"{}", id="event of another machine"),
    ],
)
def test_decode_of_anything_else_raises(kind, data):
    with pytest.raises(StorageError, match=kind):
        CODECS["job"].decode(kind, data)


def test_encoded_event_of_a_renamed_class_is_the_same():
    @dataclass(frozen=True, slots=True)
    class AnsweredByParty:
        stored_as: ClassVar[str] = job_events.PartyReplied.stored_as
        party_id: str

    AnsweredByParty.__annotations__["party_id"] = str
    codec: EventCodec[Any] = EventCodec(AnsweredByParty | job_events.ModelFinished)
    assert codec.encode(AnsweredByParty("alpha")) == ("PartyReplied", b'{"party_id":"alpha"}')
    assert codec.decode("PartyReplied", b'{"party_id":"alpha"}') == AnsweredByParty("alpha")


def test_codec_of_events_without_a_word_of_their_own_is_refused():
    class Wordless:
        pass

    class Again:
        stored_as: ClassVar[str] = job_events.ModelFinished.stored_as

    class Finished(job_events.ModelFinished):
        """Has its word from its base only."""

    for event in (Wordless, Again, Finished):
        with pytest.raises(TypeError, match=event.__name__):
            EventCodec(job_events.ModelFinished | event)


def test_codec_of_events_with_other_fields_is_refused():
    @dataclass
    class Weighed:
        stored_as: ClassVar[str] = "Weighed"
        weight: float

    Weighed.__annotations__["weight"] = float
    with pytest.raises(TypeError, match="float"):
        EventCodec(Weighed | job_events.ModelFinished)
