# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Phrases: four words that stand for a request, which an applicant and the founder compare by voice.

A phrase has 44 bits. It is stretched by scrypt, because somebody with a stolen token could otherwise search for keys
whose request has the very phrase that its owner reads out: that takes 2^44 stretchings on average, each of 128 MiB and
about half a second, and none of them can be made before the invitation is there.
"""

from __future__ import annotations

import re
from typing import Final

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.keystore import stretched_digest
from coterie_common.errors import ConfigurationError
from coterie_common.membership.enrolment import EnrolmentRequest
from coterie_common.membership.invitations.invitation import Invitation
from coterie_common.membership.invitations.phrase_words import WORDS

PHRASE_WORDS: Final = 4
_WORD_BITS: Final = 11
_PHRASE_BYTES: Final = 6
"""48 bits, of which the first 44 count."""

_POSITIONS: Final = {word: position for position, word in enumerate(WORDS)}


def phrase_of(request: EnrolmentRequest, invitation: Invitation) -> str:
    """Return the phrase of a request under an invitation, such as ``"acid-river-olive-tunnel"``; takes half a second.

    Source: scrypt (RFC 7914) over the request, with the invitation as salt.
    """
    digest = tuple_hash(Label.PHRASE, request.to_bytes())
    stretched = stretched_digest(digest, salt=invitation.digest, digest_bytes=_PHRASE_BYTES)
    bits = int.from_bytes(stretched, "big") >> (8 * _PHRASE_BYTES - PHRASE_WORDS * _WORD_BITS)
    shifts = range((PHRASE_WORDS - 1) * _WORD_BITS, -1, -_WORD_BITS)
    return "-".join(WORDS[bits >> shift & (len(WORDS) - 1)] for shift in shifts)


def parse_phrase(text: str) -> str:
    """Return the one form of a phrase that a person typed, forgiving capitals, spaces and commas.

    Raises:
        ConfigurationError: not four words of the list.
    """
    words = re.sub(r"[\s,-]+", " ", text).strip().lower().split(" ")
    if len(words) != PHRASE_WORDS or not all(word in _POSITIONS for word in words):
        raise ConfigurationError(f"a phrase has {PHRASE_WORDS} words, as the applicant's own command shows them")
    return "-".join(words)
