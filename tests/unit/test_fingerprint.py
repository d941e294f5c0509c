# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest

from coterie_common.crypto.hashing import Label
from coterie_common.errors import ConfigurationError
from coterie_common.fingerprint import parse_fingerprint, printed_fingerprint, read_fingerprint, readable_fingerprint

FINGERPRINT = readable_fingerprint(Label.FOUNDER_FINGERPRINT, b"key")
PRINTED = printed_fingerprint(FINGERPRINT)
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def test_fingerprint_has_eight_groups_of_four_and_depends_on_label_and_items():
    assert [len(group) for group in FINGERPRINT.split("-")] == [4] * 8
    assert readable_fingerprint(Label.REQUEST_FINGERPRINT, b"key") != FINGERPRINT
    assert readable_fingerprint(Label.FOUNDER_FINGERPRINT, b"kez") != FINGERPRINT


@pytest.mark.parametrize(
    "typed",
    [PRINTED, PRINTED.upper(), PRINTED.replace("-", ""), f"  {PRINTED.replace('-', ' ')}\n"],
)
def test_parse_fingerprint_forgives_how_it_was_typed(typed):
    assert parse_fingerprint(typed) == FINGERPRINT


@pytest.mark.parametrize(
    "typed", ["", "abcd", FINGERPRINT, PRINTED[:-1], PRINTED + "a", "1" * 33, "ä" * 33, "a" * 32 + "="]
)
def test_parse_fingerprint_of_something_else_raises(typed):
    with pytest.raises(ConfigurationError, match="8 groups of 4") as caught:
        parse_fingerprint(typed)
    assert caught.value.code == "configuration"


def test_check_character_finds_every_mistyped_character():
    for position, right in enumerate(PRINTED):
        for wrong in ALPHABET:
            if right not in ("-", wrong):
                with pytest.raises(ConfigurationError, match="is mistyped"):
                    parse_fingerprint(PRINTED[:position] + wrong + PRINTED[position + 1 :])


@pytest.mark.parametrize("key", [b"key", b"other", b"third"])
def test_check_character_finds_neighbours_in_the_wrong_order(key):
    text = printed_fingerprint(readable_fingerprint(Label.REQUEST_FINGERPRINT, key)).replace("-", "")
    for position in range(len(text) - 1):
        one, other = text[position], text[position + 1]
        if one != other:
            with pytest.raises(ConfigurationError, match="is mistyped"):
                parse_fingerprint(text[:position] + other + one + text[position + 2 :])


def test_check_character_of_a_known_fingerprint():
    # From the definition, by hand: all characters but the last are 0, the last is 1, and its weight is x, which is "c".
    assert printed_fingerprint("-".join(["aaaa"] * 7 + ["aaab"])).endswith("-aaab-c")
    assert printed_fingerprint("-".join(["aaaa"] * 8)).endswith("-aaaa-a")


def test_fingerprint_in_a_file_of_an_earlier_version_has_no_check_character():
    assert read_fingerprint(f"{FINGERPRINT}\n") == FINGERPRINT == read_fingerprint(PRINTED)
    with pytest.raises(ConfigurationError, match="is mistyped"):
        read_fingerprint(PRINTED[:-1] + ("a" if PRINTED[-1] != "a" else "b"))
