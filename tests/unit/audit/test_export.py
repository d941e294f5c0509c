# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from coterie_common import document
from coterie_common.audit.entry import Event, Kind
from coterie_common.audit.export import Export
from coterie_common.audit.page import read_record, render
from coterie_common.audit.words import sentence
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import IdentityMismatch, InvalidSignature, MalformedMessage, NotInCohort
from coterie_common.protocol.roster import SignedRoster
from tests.support.audit_records import EVENTS, make_export
from tests.support.federation import FOUNDER, make_federation

FEDERATION = make_federation()
EXPORT = make_export(FEDERATION, FEDERATION.parties[0])


def test_export_survives_both_forms():
    assert read_record(EXPORT.to_bytes()) == read_record(render(EXPORT)) == EXPORT
    assert EXPORT.verify(FOUNDER) == ()


def test_export_of_an_empty_record_survives():
    empty = replace(EXPORT, entries=())
    assert read_record(empty.to_bytes()) == read_record(render(empty)) == empty
    assert empty.verify(FOUNDER) == ()


def test_export_of_another_founders_federation_is_not_believed():
    other = SignedRoster.create(FEDERATION.roster, SigningKey(bytes(32)))
    with pytest.raises(IdentityMismatch):
        replace(EXPORT, signed_roster=other).verify(FOUNDER)
    forged = replace(EXPORT.signed_roster, signature=other.signature)
    with pytest.raises(InvalidSignature):
        replace(EXPORT, signed_roster=forged).verify(FOUNDER)


def test_export_of_nobody_in_the_roster_is_not_believed():
    with pytest.raises(NotInCohort):
        replace(EXPORT, party_id="party-99").verify(FOUNDER)


def test_export_that_lost_its_last_entry_contradicts_its_head():
    value = document.decode(EXPORT.to_bytes(), "", maximum=1 << 20)
    value["entries"].pop()
    with pytest.raises(MalformedMessage, match="cut off"):
        Export.from_bytes(document.encode(value))


def test_malformed_entry_is_named():
    value = document.decode(EXPORT.to_bytes(), "", maximum=1 << 20)
    value["entries"][2]["kind"] = "gossip"
    with pytest.raises(MalformedMessage, match="entry 3"):
        Export.from_bytes(document.encode(value))


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_shows_every_entry_escaped_and_needs_nothing_from_elsewhere():
    page = Page()
    page.feed(render(EXPORT).decode())
    for entry in EXPORT.entries:
        assert sentence(entry) in page.text
        assert entry.signature.hex() in page.text
    # Of what the aggregator said nothing becomes markup, and the record's script element is the only one.
    assert [tag for tag, _ in page.tags].count("b") == 0
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [
        {"type": "application/json", "id": "record"}
    ]
    assert not any(name in attributes for _, attributes in page.tags for name in ("src", "href", "onclick"))
    assert "prefers-color-scheme: dark" in page.text
    assert "@media print" in page.text


@pytest.mark.parametrize(
    ("old", "new"),
    [("Agreed to the job", "Refused the job"), ("<td>job-1</td>", "<td>job-2</td>"), ("4,711", "4,712")],
)
def test_page_whose_words_were_altered_is_refused(old, new):
    page = render(EXPORT).decode()
    assert old in page
    with pytest.raises(MalformedMessage, match="not those of the record"):
        read_record(page.replace(old, new, 1).encode())


def test_page_without_its_record_is_refused():
    page = re.sub(r"<script.*?</script>", "", render(EXPORT).decode(), flags=re.S)
    with pytest.raises(MalformedMessage, match="no record"):
        read_record(page.encode())


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_entry_has_words_also_when_it_lacks_everything(kind):
    (entry,) = make_export(FEDERATION, FEDERATION.parties[0], [Event(kind=kind, details={})]).entries
    assert sentence(entry).endswith(".")


def test_words_say_what_was_not_listed():
    event = replace(EVENTS[-1], details={**EVENTS[-1].details, "not_listed_before": 1234, "culprits": ["party-2"]})
    (entry,) = make_export(FEDERATION, FEDERATION.parties[0], [event]).entries
    assert "1,234 refusals were not listed" in sentence(entry)
    assert "party-2" in sentence(entry)
