# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The founding ceremony in one process, into a folder: real code throughout, but a key with published primes.

INSECURE: everybody knows the factors of the 2048-bit key that ``deal_known_primes`` deals.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from coterie.founding.admission import Admitted, admit
from coterie.founding.dealing import Dealt, deal_keys
from coterie.founding.founding import found
from coterie.founding.home import FederationHome
from coterie_aggregator.home.home import AggregatorHome
from coterie_aggregator.home.joining import import_bundle as import_aggregator_bundle
from coterie_common.crypto.certificates import Role, make_tls_key
from coterie_common.crypto.dealer import Dealing, _deal_insecure_for_tests
from coterie_common.crypto.identity import SealingKey, SigningKey
from coterie_common.identifiers import FederationName, MemberId, PartyId
from coterie_common.membership.enrolment import Applicant, EnrolmentRequest, read_request
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.randomness import RandomSource
from coterie_common.secret import Password
from coterie_party.home.home import PartyHome
from coterie_party.home.joining import Joined, import_bundle
from tests.support.dealings import load_primes
from tests.support.seeded_random import SeededRandom

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PASSWORD = Password(b"correct horse")
PARTIES = 3
FEDERATION = FederationName("test")

_CEREMONIES = itertools.count()


def deal_known_primes(*, key_bits: int, holders: int, decryption_threshold: int, random: RandomSource) -> Dealing:
    """Stand in for ``crypto.dealer.deal``, without the search for primes."""
    p, q = load_primes(key_bits)
    return _deal_insecure_for_tests(p, q, holders=holders, decryption_threshold=decryption_threshold, random=random)


@dataclass
class AskPassword:
    """Answers with one password and counts how often it was asked."""

    password: Password = field(default_factory=lambda: PASSWORD)
    asked: int = 0

    def __call__(self) -> Password:
        self.asked += 1
        return self.password


@dataclass
class Ceremony:
    """Folders of a founder, an aggregator and the parties p1, p2, …, and the steps between them."""

    root: Path
    now: datetime = NOW
    random: SeededRandom = field(default_factory=lambda: SeededRandom(f"ceremony {next(_CEREMONIES)}"))

    @property
    def federation(self) -> FederationHome:
        return FederationHome(self.root / "federation")

    @property
    def aggregator(self) -> AggregatorHome:
        return AggregatorHome(self.root / "aggregator")

    def party(self, index: int) -> PartyHome:
        return PartyHome(self.root / f"p{index}")

    def bundle(self, name: str) -> Path:
        return self.federation.bundles / f"{name}.bundle"

    def request(self, index: int) -> EnrolmentRequest:
        return read_request(self.party(index).request_path(f"p{index}"))

    def found(self, ask_password: Callable[[], Password] = lambda: PASSWORD) -> str:
        """Found the federation; returns the founder's fingerprint."""
        return found(
            self.federation,
            FEDERATION,
            choose_parameters(PARTIES),
            key_bits=2048,
            ask_password=ask_password,
            random=self.random,
            now=self.now,
        ).record.fingerprint

    def make_party(self, index: int, founder: str) -> EnrolmentRequest:
        return self.party(index).create(PartyId(f"p{index}"), founder, None, password=PASSWORD, random=self.random)

    def make_aggregator(self, founder: str | None) -> EnrolmentRequest:
        return self.aggregator.create(MemberId("aggregator"), ["localhost"], founder, random=self.random)

    def admit(
        self,
        *requests: EnrolmentRequest,
        role: Role = Role.PARTY,
        ask_password: Callable[[], Password] = lambda: PASSWORD,
        replace: bool = False,
    ) -> tuple[Admitted, ...]:
        return admit(self.federation, requests, role, ask_password=ask_password, now=self.now, replace=replace)

    def deal(self, ask_password: Callable[[], Password] = lambda: PASSWORD, *, new_epoch: bool = False) -> Dealt:
        return deal_keys(
            self.federation,
            ask_password=ask_password,
            deal=deal_known_primes,
            random=self.random,
            now=self.now,
            new_epoch=new_epoch,
        )

    def join(
        self,
        index: int,
        bundle: Path | None = None,
        *,
        ask_password: Callable[[], Password] = lambda: PASSWORD,
        now: datetime | None = None,
    ) -> Joined:
        return import_bundle(
            self.party(index),
            bundle or self.bundle(f"p{index}"),
            ask_password=ask_password,
            random=self.random,
            now=now or self.now,
        )

    def admit_everybody(self) -> None:
        """After founding: make everybody's keys and admit everybody."""
        founder = self.federation.record().fingerprint
        self.admit(*(self.make_party(index, founder) for index in range(1, PARTIES + 1)))
        self.admit(self.make_aggregator(None), role=Role.AGGREGATOR)

    def join_everybody(self) -> None:
        """After dealing: let everybody import."""
        for index in range(1, PARTIES + 1):
            self.join(index)
        import_aggregator_bundle(self.aggregator, self.bundle("aggregator"), now=self.now)


def make_party_request(party_id: str, seed: str = "party") -> EnrolmentRequest:
    """Return the request of a party that has no folder."""
    random = SeededRandom(seed)
    signing, sealing = SigningKey.generate(random), SealingKey.generate(random)
    applicant = Applicant(
        role=Role.PARTY, id=MemberId(party_id), verify_key=signing.verify_key, sealing_key=sealing.public
    )
    return EnrolmentRequest.create(applicant, make_tls_key(), signing)
