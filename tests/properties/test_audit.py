# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whatever one thing is changed in an exported record: it is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from coterie_common import document
from coterie_common.audit.export import Export
from coterie_common.audit.page import read_record, render
from coterie_common.errors import CoterieError
from tests.support.audit_records import make_export
from tests.support.federation import FOUNDER, make_federation

FEDERATION = make_federation()
EXPORT = make_export(FEDERATION, FEDERATION.parties[0])
DATA, PAGE = EXPORT.to_bytes(), render(EXPORT)
VALUE = document.decode(DATA, "the record", maximum=1 << 20)


def is_noticed(data: bytes) -> bool:
    try:
        return bool(read_record(data).verify(FOUNDER))
    except CoterieError:
        return True


Path = tuple[str | int, ...]
"""Keys and indices that lead into a JSON value."""


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*path, key))


def without(value: Any, path: Path) -> Any:
    """The value without one entry of an object or list."""
    return _changed(value, path, None, is_removed=True)


def replaced(value: Any, path: Path, new: Any) -> Any:
    return _changed(value, path, new, is_removed=False)


def _changed(value: Any, path: Path, new: Any, is_removed: bool) -> Any:
    copy = document.decode(document.encode(value), "", maximum=1 << 20)
    place = copy
    for key in path[:-1]:
        place = place[key]
    if is_removed:
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return copy


PLACES = [path for path in paths(VALUE) if path]
ENTRIES = len(VALUE["entries"])
OTHERS = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 9), st.text(max_size=3), st.just("00" * 32), st.just([]), st.just({})
)


def test_untouched_record_is_whole():
    assert not is_noticed(DATA)
    assert not is_noticed(PAGE)


@given(data=st.data(), place=st.integers(0, len(DATA) - 1), value=st.integers(0, 255))
def test_any_changed_byte_is_noticed(data, place, value):
    whole = data.draw(st.sampled_from([DATA, PAGE]))
    assume(whole[place] != value)
    assert is_noticed(whole[:place] + bytes([value]) + whole[place + 1 :])


def test_anything_that_is_left_out_is_noticed():
    assert [path for path in PLACES if not is_noticed(document.encode(without(VALUE, path)))] == []


@given(path=st.sampled_from(PLACES), new=OTHERS)
def test_any_value_that_is_exchanged_is_noticed(path, new):
    changed = replaced(VALUE, path, new)
    assume(document.encode(changed) != DATA)
    assert is_noticed(document.encode(changed))


@given(st.permutations(range(ENTRIES)), st.data())
def test_any_other_order_or_choice_of_entries_is_noticed_even_with_the_head_to_match(order, data):
    # What is kept must not be a beginning of the record: that a record once ended earlier is no contradiction.
    kept = order[: data.draw(st.integers(1, ENTRIES))]
    assume(kept != list(range(len(kept))))
    entries = tuple(EXPORT.entries[place] for place in kept)
    forged = Export(party_id=EXPORT.party_id, signed_roster=EXPORT.signed_roster, entries=entries)
    assert is_noticed(forged.to_bytes())
