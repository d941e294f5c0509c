# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Domain separation holds only as long as no two purposes share a label."""

from __future__ import annotations

import re
from collections import Counter

from coterie_common.crypto.hashing import Label
from tests.support.repository import PACKAGES, sources


def test_labels_are_distinct_and_versioned():
    # A second name for a value would become an alias, which iterating over the enumeration does not show.
    values = [label.value for label in Label.__members__.values()]
    assert [value for value, count in Counter(values).items() if count > 1] == []
    assert all(re.fullmatch(r"coterie/[a-z-]+/[1-9][0-9]*", value) for value in values)


def test_labels_are_spelled_in_one_place():
    hashing = PACKAGES["coterie_common"] / "crypto/hashing.py"
    spelled = {path: re.findall(r"\"coterie/[a-z-]+/[0-9]+\"", path.read_text("utf-8")) for path in sources()}
    assert [path for path, found in spelled.items() if found and path != hashing] == []


def test_every_label_has_a_purpose():
    text = "\n".join(path.read_text("utf-8") for path in sources())
    assert [label.name for label in Label if f"Label.{label.name}" not in text] == []
