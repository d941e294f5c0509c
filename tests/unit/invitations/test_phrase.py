# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import pytest

from coterie_common.errors import ConfigurationError
from coterie_common.membership.invitations.phrase import parse_phrase, phrase_of
from coterie_common.membership.invitations.phrase_words import WORDS
from tests.support.invitations import make_request, make_token


def test_words_are_distinct_short_and_begin_differently():
    assert len(WORDS) == len(set(WORDS)) == 2048
    assert list(WORDS) == sorted(WORDS)
    assert all(word.isascii() and word.isalpha() and word.islower() and 3 <= len(word) <= 8 for word in WORDS)
    assert len({word[:4] for word in WORDS}) == 2048


def test_phrase_has_four_words_and_depends_on_request_and_invitation():
    request, token = make_request(), make_token()
    phrase = phrase_of(request, token.invitation)
    assert parse_phrase(phrase) == phrase
    assert phrase_of(request, token.invitation) == phrase
    others = {phrase_of(make_request(), token.invitation), phrase_of(request, make_token(secret=bytes(16)).invitation)}
    assert len({phrase, *others}) == 3


@pytest.mark.parametrize("typed", ["zoo abandon  Able YOUTH", "zoo-abandon-able-youth\n", "zoo, abandon, able, youth"])
def test_phrase_forgives_how_it_was_typed(typed):
    assert parse_phrase(typed) == "zoo-abandon-able-youth"


@pytest.mark.parametrize("typed", ["", "zoo abandon able", "zoo abandon able youth zoo", "zoo abandon able yuoth"])
def test_phrase_of_other_words_raises(typed):
    with pytest.raises(ConfigurationError, match="4 words"):
        parse_phrase(typed)
