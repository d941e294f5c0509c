# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie_common.address import Address
from coterie_common.crypto.certificates import Role
from coterie_common.errors import InvitationExpired, MalformedMessage, MistypedToken, UnknownInvitation
from coterie_common.limits import INVITATION_BYTES
from coterie_common.membership.invitations.invitation import Invitation
from coterie_common.membership.invitations.token import InvitationSecret, Token
from tests.support.invitations import FOUNDER, NOW, STRANGER, WEEK, make_token

TOKEN = make_token()
TEXT = TOKEN.reveal()
BYTES = TOKEN.invitation.to_bytes()


@pytest.mark.parametrize("role", list(Role))
def test_token_of_every_role_returns_from_its_text(role):
    token = make_token(role, "someone")
    parsed = Token.parse(token.reveal())
    assert parsed.invitation == token.invitation
    assert parsed.secret == token.secret


def test_token_forgives_how_a_mail_program_wrapped_it():
    wrapped = "\n".join(TEXT[start : start + 60] for start in range(0, len(TEXT), 60))
    assert Token.parse(f"  {wrapped} \r\n").invitation == TOKEN.invitation


def test_token_of_the_longest_address_fits():
    address = Address(".".join(["a" * 62] * 4)[:253].rstrip("."), 65535)
    token = make_token(member="x" * 32, address=address)
    assert len(token.invitation.to_bytes()) <= INVITATION_BYTES
    assert Token.parse(token.reveal()).invitation.address == address


def test_token_shows_its_secret_nowhere_but_in_its_text():
    shown = f"{TOKEN!r} {TOKEN} {TOKEN.secret!r}"
    assert TOKEN.secret.reveal().hex() not in shown
    assert repr(TOKEN.secret.reveal()) not in shown
    assert "redacted" in shown
    assert TOKEN.secret.reveal() not in BYTES


@pytest.mark.parametrize(
    "text",
    ["", "coterie-", "coterie", "hello", TEXT[:-1], TEXT[:40], TEXT + "A", TEXT[1:], TEXT.upper(), TEXT + "=",
     "coterie-" + "ä" * 50, TEXT * 9],
)  # fmt: skip
def test_token_that_is_cut_or_something_else_is_mistyped(text):
    with pytest.raises(MistypedToken) as caught:
        Token.parse(text)
    assert caught.value.code == "mistyped-token"


@given(position=st.integers(min_value=8, max_value=len(TEXT) - 1), character=st.characters(codec="ascii"))
def test_token_with_another_character_is_mistyped(position, character):
    changed = TEXT[:position] + character + TEXT[position + 1 :]
    if "".join(changed.split()) == TEXT:
        return
    with pytest.raises(MistypedToken):
        Token.parse(changed)


@given(first=st.integers(8, len(TEXT) - 2))
def test_token_with_two_characters_exchanged_is_mistyped(first):
    changed = TEXT[:first] + TEXT[first + 1] + TEXT[first] + TEXT[first + 2 :]
    if changed != TEXT:
        with pytest.raises(MistypedToken):
            Token.parse(changed)


@given(st.text(max_size=600))
def test_no_text_makes_parsing_fail_otherwise(text):
    with pytest.raises(MistypedToken):
        Token.parse("coterie-" + text)


def test_token_with_the_secret_of_another_is_mistyped():
    with pytest.raises(MistypedToken, match="secret"):
        Token(invitation=TOKEN.invitation, secret=InvitationSecret(bytes(16)))


@given(st.binary(max_size=600))
def test_no_bytes_make_an_invitation_fail_otherwise(data):
    with pytest.raises(MalformedMessage):
        Invitation.from_bytes(data)


@given(position=st.integers(0, len(BYTES) - 1), bit=st.integers(0, 7))
@settings(max_examples=400)
def test_invitation_with_a_bit_changed_is_not_the_founders(position, bit):
    changed = bytearray(BYTES)
    changed[position] ^= 1 << bit
    with pytest.raises((MalformedMessage, UnknownInvitation)):
        Invitation.from_bytes(bytes(changed))


def test_invitation_is_cut_nowhere():
    for length in range(len(BYTES)):
        with pytest.raises(MalformedMessage):
            Invitation.from_bytes(BYTES[:length])


def test_invitation_of_another_founder_or_signed_by_one_is_unknown():
    with pytest.raises(UnknownInvitation) as caught:
        make_token(founder=STRANGER).invitation.require_of(FOUNDER.verify_key)
    assert caught.value.code == "unknown-invitation"
    forged = replace(make_token(founder=STRANGER).invitation, founder_key=FOUNDER.verify_key)
    with pytest.raises(UnknownInvitation):
        Invitation.from_bytes(forged.to_bytes())


@pytest.mark.parametrize(
    "change",
    [{"role": Role.OPERATOR}, {"id": "hospital-2"}, {"federation": "other"}, {"address": Address("evil.example", 8444)},
     {"expires": NOW + 2 * WEEK}, {"key": STRANGER.verify_key}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_invitation_with_an_entry_changed_is_unknown(change):
    with pytest.raises(UnknownInvitation):
        Invitation.from_bytes(replace(TOKEN.invitation, **change).to_bytes())


def test_invitation_is_good_until_it_expires():
    TOKEN.invitation.require_valid(NOW + WEEK)
    with pytest.raises(InvitationExpired, match="2026-03-08 12:00 UTC") as caught:
        TOKEN.invitation.require_valid(NOW + WEEK + timedelta(seconds=1))
    assert caught.value.code == "invitation-expired"
