# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Builders for invitations: a founder's key, tokens, requests, applications."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coterie_common.address import Address
from coterie_common.crypto.certificates import Role, make_tls_key
from coterie_common.crypto.identity import SealingKey, SigningKey
from coterie_common.identifiers import FederationName, MemberId
from coterie_common.membership.enrolment import Applicant, EnrolmentRequest
from coterie_common.membership.invitations.application import Application
from coterie_common.membership.invitations.channel import Channel
from coterie_common.membership.invitations.invitation import Invitation
from coterie_common.membership.invitations.token import InvitationSecret, Token
from tests.support.seeded_random import SeededRandom

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
FOUNDER = SigningKey.generate(SeededRandom("founder"))
STRANGER = SigningKey.generate(SeededRandom("another founder"))
ADDRESS = Address("aggregator.example.org", 8444)
SECRET = bytes(range(16))


def make_token(
    role: Role = Role.PARTY,
    member: str = "hospital-1",
    *,
    founder: SigningKey = FOUNDER,
    secret: bytes = SECRET,
    address: Address = ADDRESS,
    expires: datetime = NOW + WEEK,
) -> Token:
    own = InvitationSecret(secret)
    invitation = Invitation.create(
        role,
        MemberId(member),
        federation=FederationName("clinics"),
        address=address,
        key=own.signing_key().verify_key,
        expires=expires,
        founder=founder,
    )
    return Token(invitation=invitation, secret=own)


def make_request(role: Role = Role.PARTY, member: str = "hospital-1", seed: str = "keys") -> EnrolmentRequest:
    """Return a request with keys of its own; the TLS key is another one with every call."""
    random = SeededRandom(seed)
    signing, sealing = SigningKey.generate(random), SealingKey.generate(random)
    signs = role in (Role.PARTY, Role.AGGREGATOR)
    applicant = Applicant(
        role=role,
        id=MemberId(member),
        names=("localhost",) if role is Role.AGGREGATOR else (),
        verify_key=signing.verify_key if signs else None,
        sealing_key=sealing.public if role is Role.PARTY else None,
    )
    return EnrolmentRequest.create(applicant, make_tls_key(), signing if signs else None)


def make_application(token: Token | None = None, seed: str = "keys") -> Application:
    used = token or make_token()
    return Application.create(used, make_request(used.invitation.role, used.invitation.id, seed))


def make_channel(certificate: bytes = bytes(32), guest: bytes = bytes(32), desk: bytes = bytes(32)) -> Channel:
    return Channel(certificate=certificate, guest_nonce=guest, desk_nonce=desk)
