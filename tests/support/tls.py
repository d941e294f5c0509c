# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A federation's certificates and roster for tests, made with the product's own authority."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from coterie_common.crypto.authority import create_authority, create_request, issue
from coterie_common.crypto.certificates import Identity, Role, fingerprint, make_tls_key
from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.crypto.identity import SealingKey, SigningKey
from coterie_common.crypto.threshold import KeyKind
from coterie_common.identifiers import parse_federation_name, parse_member_id, parse_party_id
from coterie_common.membership.membership import TlsCredentials
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.roster.members import AggregatorMember, Member
from coterie_common.randomness import OsRandom

YEAR = timedelta(days=365)
PARTIES = ("alpha", "beta", "gamma")
HOSTS = ("localhost", "127.0.0.1")


class Certificates:
    """One authority and what it issues."""

    def __init__(self, federation: str = "trees") -> None:
        self.federation = parse_federation_name(federation)
        self.now = datetime.now(UTC)
        self.authority = create_authority(self.federation, now=self.now - YEAR, lifetime=5 * YEAR)

    def issue(
        self, role: Role, name: str, *, hosts: tuple[str, ...] = HOSTS, until: datetime | None = None
    ) -> TlsCredentials:
        key = make_tls_key()
        certificate = issue(
            self.authority,
            create_request(key, binding=bytes(32)),
            Identity(federation=self.federation, role=role, id=parse_member_id(name)),
            host_names=hosts if role is Role.AGGREGATOR else (),
            now=self.now - timedelta(days=30),
            until=until or self.now + YEAR,
        )
        return TlsCredentials(key=key, certificate=certificate, authority=self.authority.certificate)

    def issue_expired(self, role: Role, name: str) -> TlsCredentials:
        return self.issue(role, name, until=self.now - timedelta(days=1))


class Federation:
    """An aggregator and three parties that are in each other's roster, and two people."""

    def __init__(self) -> None:
        self.certificates = Certificates()
        self.aggregator = self.certificates.issue(Role.AGGREGATOR, "hub")
        self.parties = {name: self.certificates.issue(Role.PARTY, name) for name in PARTIES}
        self.operator = self.certificates.issue(Role.OPERATOR, "olga")
        self.scientist = self.certificates.issue(Role.SCIENTIST, "sam")
        random = OsRandom()
        self.roster = Roster(
            federation=self.certificates.federation,
            serial=2,
            key_epoch=1,
            parameters=choose_parameters(3),
            key_holders=tuple(map(parse_party_id, PARTIES)),
            key_kind=KeyKind.DEALT,
            key_digest=bytes(DIGEST_BYTES),
            authority_digest=fingerprint(self.certificates.authority.certificate),
            members=tuple(
                Member(
                    party_id=parse_party_id(name),
                    index=index,
                    certificate_fingerprint=fingerprint(self.parties[name].certificate),
                    verify_key=SigningKey.generate(random).verify_key,
                    sealing_key=SealingKey.generate(random).public,
                )
                for index, name in enumerate(PARTIES, 1)
            ),
            aggregator=AggregatorMember(
                id=parse_member_id("hub"),
                names=HOSTS,
                certificate_fingerprint=fingerprint(self.aggregator.certificate),
                verify_key=SigningKey.generate(random).verify_key,
            ),
        )

    def other_roster(self) -> Roster:
        return replace(self.roster, serial=self.roster.serial + 1)
