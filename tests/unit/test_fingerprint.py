# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest

from coterie_common.crypto.hashing import Label
from coterie_common.errors import ConfigurationError
from coterie_common.fingerprint import parse_fingerprint, readable_fingerprint

FINGERPRINT = readable_fingerprint(Label.FOUNDER_FINGERPRINT, b"key")


def test_fingerprint_has_eight_groups_of_four_and_depends_on_label_and_items():
    assert [len(group) for group in FINGERPRINT.split("-")] == [4] * 8
    assert readable_fingerprint(Label.REQUEST_FINGERPRINT, b"key") != FINGERPRINT
    assert readable_fingerprint(Label.FOUNDER_FINGERPRINT, b"kez") != FINGERPRINT


@pytest.mark.parametrize(
    "typed",
    [FINGERPRINT, FINGERPRINT.upper(), FINGERPRINT.replace("-", ""), f"  {FINGERPRINT.replace('-', ' ')}\n"],
)
def test_parse_fingerprint_forgives_how_it_was_typed(typed):
    assert parse_fingerprint(typed) == FINGERPRINT


@pytest.mark.parametrize("typed", ["", "abcd", FINGERPRINT[:-1], FINGERPRINT + "a", "1" * 32, "ä" * 32, "a" * 31 + "="])
def test_parse_fingerprint_of_something_else_raises(typed):
    with pytest.raises(ConfigurationError, match="8 groups of 4") as caught:
        parse_fingerprint(typed)
    assert caught.value.code == "configuration"
