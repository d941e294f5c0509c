# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Stored and signed words outlive the names in the code: none changes unless somebody means it."""

from __future__ import annotations

import difflib

from coterie_common.audit.entry import Kind
from tests.support import stored_words

UPDATE = """\
Stored, signed or sent words are others than tests/packaging/stored_words.json lists.

If only a class, function or module was renamed or moved, give it back the word that it stored: databases, audit
records, signatures, key files, configuration and other members of a federation still have the old one.
If the change is meant, see to what already has the old word (a migration, or a clear refusal), then run
    .venv/bin/python -m tests.support.stored_words
and commit the difference, with the reason in the commit's message.

"""


def test_stored_words_are_those_of_the_list():
    listed, collected = stored_words.FILE.read_text("utf-8"), stored_words.text(stored_words.collect())
    difference = difflib.unified_diff(listed.splitlines(), collected.splitlines(), "listed", "in the code", n=2)
    assert listed == collected, UPDATE + "\n".join(difference)


def test_every_enumeration_and_every_model_is_listed():
    assert stored_words.unlisted() == []


def test_every_kind_of_audit_entry_has_details():
    assert [kind for kind in Kind if not stored_words.audit_details(kind)] == []
