# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from coterie_common.audit.chain import Finding, verify_chain
from coterie_common.audit.entry import Entry, Head, Kind, Owner
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import MalformedMessage, StateError
from coterie_common.limits import AUDIT_DETAILS_BYTES
from tests.support.audit_records import EVENTS, make_entries

OWNER = Owner("founder", "party-1")
KEY, OTHER_KEY = SigningKey(bytes(32)), SigningKey(b"o" * 32)
ENTRIES = make_entries(EVENTS, OWNER, KEY)


def findings(
    entries: Sequence[Entry], owner: Owner = OWNER, key: SigningKey = KEY, heads: Sequence[Head] = ()
) -> list[tuple[int, str]]:
    return [(finding.sequence, finding.what) for finding in verify_chain(entries, owner, key.verify_key, heads)]


def places(entries: list[Entry] | tuple[Entry, ...], **changes: Any) -> list[int]:
    return [sequence for sequence, _ in findings(entries, **changes)]


def test_whole_record_has_no_findings():
    assert findings(ENTRIES) == findings(()) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"time": "2026-03-01T12:00:09.000000Z"}, 3),
        ({"kind": Kind.DECRYPTION}, 3),
        ({"job_id": "job-2"}, 3),
        ({"round_number": 2}, 3),
        ({"details": b"{}"}, 3),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_altered_entry_is_found_where_it_stands(change, place):
    entries = [*ENTRIES[:2], replace(ENTRIES[2], **change), *ENTRIES[3:]]
    assert findings(entries) == [(place, "altered: its content does not have its hash")]


def test_altered_entry_with_a_new_hash_is_not_signed_and_does_not_fit_the_next():
    altered = replace(ENTRIES[2], details=b"{}")
    altered = replace(altered, hash=altered.expected_hash(OWNER))
    (first, why), (second, _) = findings([*ENTRIES[:2], altered, *ENTRIES[3:]])
    assert (first, second) == (3, 4)
    assert "not signed" in why


def test_missing_entries_are_named():
    assert findings([*ENTRIES[:1], *ENTRIES[2:]]) == [(3, "entry 2 before it missing")]
    assert findings([*ENTRIES[:1], *ENTRIES[4:]]) == [(5, "entries 2 to 4 before it missing")]
    assert findings(ENTRIES[1:]) == [(2, "entry 1 before it missing")]


def test_reordered_entries_are_found():
    assert places([ENTRIES[0], ENTRIES[2], ENTRIES[1], *ENTRIES[3:]]) == [3, 2, 4]


def test_repeated_entry_is_found():
    assert places([*ENTRIES, ENTRIES[-1]]) == [5]


def test_entries_that_were_signed_anew_in_the_middle_do_not_fit_what_follows():
    # Even whoever holds the key must write everything after it again.
    again = make_entries([*EVENTS[:2], EVENTS[3]], OWNER, KEY)
    assert places([*again, *ENTRIES[3:]]) == [4]


def test_record_of_another_party_federation_or_key_is_not_taken():
    everything = [entry.sequence for entry in ENTRIES]
    assert places(ENTRIES, owner=Owner("founder", "party-2")) == everything
    assert places(ENTRIES, owner=Owner("another founder", "party-1")) == everything
    assert places(ENTRIES, key=OTHER_KEY) == everything


def test_record_that_was_cut_off_is_whole_but_falls_short_of_an_earlier_head():
    assert findings(ENTRIES[:3]) == []
    assert findings(ENTRIES[:3], heads=[ENTRIES[1].head, ENTRIES[2].head]) == []
    ((place, why),) = findings(ENTRIES[:3], heads=[ENTRIES[4].head])
    assert (place, why) == (0, "cut off: the record ends with entry 3, but had reached entry 5")


def test_record_that_was_written_anew_contradicts_an_earlier_head():
    again = make_entries([*EVENTS[:2], EVENTS[3], *EVENTS[3:]], OWNER, KEY)
    assert findings(again) == []
    ((place, why),) = findings(again, heads=[ENTRIES[3].head])
    assert place == 4
    assert "rewritten" in why


def test_finding_says_which_entry():
    assert str(Finding(3, "altered")) == "entry 3: altered"
    assert str(Finding(0, "cut off")) == "cut off"


def test_head_survives_text():
    head = ENTRIES[2].head
    assert Head.parse(f" {head}\n") == head


@pytest.mark.parametrize("text", ["", "3", "3:", "x:" + "0" * 64, "3:" + "0" * 63, "3:" + "g" * 64, "-3:" + "0" * 64])
def test_what_is_no_head_is_refused(text):
    with pytest.raises(MalformedMessage) as caught:
        Head.parse(text)
    assert caught.value.code == "malformed-message"


def test_details_that_no_reader_would_take_are_not_written():
    event = replace(EVENTS[0], details={"version": "x" * AUDIT_DETAILS_BYTES})
    with pytest.raises(StateError):
        make_entries([event], OWNER, KEY)
