# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A small federation with real keys and everything that its members would sign: INSECURE key size, made for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property

import numpy as np

from coterie_common.crypto.dealer import Dealing
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.identity import SealingKey, SigningKey
from coterie_common.crypto.paillier import Encryptor
from coterie_common.identifiers import FederationName, JobId, MemberId, PartyId
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply, KeyPart
from coterie_common.protocol.messages import DecryptionRequest, Query
from coterie_common.protocol.padded_part import padded_digest
from coterie_common.protocol.parameters import FederationParameters, choose_parameters
from coterie_common.protocol.roster import Roster, SignedRoster, founder_fingerprint
from coterie_common.protocol.roster.members import AggregatorMember, Member
from coterie_common.protocol.sealing.choice import make_sealing
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.session import SessionFields, body_digest
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import CountTerms, JobTerms, RoundTerms, SealingKind
from coterie_common.protocol.transcript import transcript_digest_of
from tests.support.dealings import load_dealing, load_encryptor, make_dealing
from tests.support.noise import noise_terms
from tests.support.seeded_random import SeededRandom

FOUNDER_KEY = SigningKey.generate(SeededRandom("founder"))
FOUNDER = founder_fingerprint(FOUNDER_KEY.verify_key)
JOB = JobId("job-1")
BODY = b'{"length":6}'


def with_values(terms: RoundTerms, **changes: object) -> RoundTerms:
    """Change l0 or linf of terms of counts."""
    return replace(terms, values=replace(terms.values, **changes))  # type: ignore[arg-type]  # names of the fields


def with_encoding(terms: RoundTerms, **changes: object) -> RoundTerms:
    """Change length, scale or range of terms of counts."""
    return with_values(terms, encoding=replace(terms.encoding, **changes))  # type: ignore[arg-type]  # as above


def digest_of(text: str) -> bytes:
    return tuple_hash(Label.LIST, text)


@dataclass(frozen=True)
class Federation:
    parameters: FederationParameters
    dealing: Dealing
    encryptor: Encryptor
    aggregator_key: SigningKey
    party_keys: dict[PartyId, SigningKey]
    sealing_keys: dict[PartyId, SealingKey]
    roster: Roster

    @property
    def parties(self) -> tuple[PartyId, ...]:
        return tuple(self.party_keys)

    @cached_property
    def random(self) -> SeededRandom:
        return SeededRandom("federation")

    @cached_property
    def signed_roster(self) -> SignedRoster:
        return SignedRoster.create(self.roster, FOUNDER_KEY)

    def terms(self, length: int = 6) -> RoundTerms:
        shares = self.parameters.quorum - self.parameters.corruption_bound
        return RoundTerms(
            sealing=SealingKind.DIRECT,
            values=CountTerms(
                encoding=CountEncoding(length=length, scale_bits=2, lower=0, upper=100),
                l0=2,
                linf=1,
            ),
            noise=noise_terms(
                mechanism=Mechanism.DISCRETE_GAUSSIAN,
                placement=Placement.DISTRIBUTED,
                variance=Fraction(300),
                shares=shares,
            ),
            unit=Unit.RECORD,
        )

    def job_terms(self) -> JobTerms:
        return JobTerms((self.terms().in_shares(self.parameters.honest_shares(self.parameters.parties)),))

    def fields(self, **changes: object) -> SessionFields:
        # Unless a test says otherwise, the noise is in the shares of the round quorum.
        quorum = changes.get("round_quorum", self.parameters.quorum)
        assert isinstance(quorum, int)
        terms = self.terms().in_shares(max(1, quorum - self.parameters.corruption_bound))
        fields = SessionFields(
            roster_digest=self.roster.digest,
            key_epoch=self.roster.key_epoch,
            job_id=JOB,
            spec_digest=digest_of("spec"),
            round_number=1,
            plan_step=1,
            body_digest=body_digest(BODY),
            cohort=tuple(sorted(self.parties)),
            round_quorum=self.parameters.quorum,
            terms=terms,
            previous_transcript=b"",
        )
        # Unless a test says otherwise, no round was abandoned.
        changes = {"plan_step": changes.get("round_number", 1), **changes}
        return replace(fields, **changes)  # type: ignore[arg-type]  # names of the fields above

    def query(self, body: bytes = BODY, **changes: object) -> Query:
        fields = self.fields(**{"body_digest": body_digest(body), **changes})
        return Query(fields=fields, body=body, signature=UNSIGNED).signed_by(self.aggregator_key)

    def sealing(self, terms: RoundTerms | None = None) -> EncryptedSealing:
        return make_sealing(terms or self.terms(), self.parameters.parties, self.encryptor)

    def contribution(
        self, party_id: PartyId, session_id: bytes, values: list[int] | None = None, key_part: KeyPart | None = None
    ) -> Contribution:
        exact = np.array(values or [1, 2, 3, 4, 5, 6], dtype=np.int64)
        if key_part is None:
            key_part = self.sealing().seal(exact, session_id, party_id, self.random).key_part
        return self.signed(party_id, session_id, key_part)

    def signed(self, party_id: PartyId, session_id: bytes, key_part: KeyPart, padded: bytes = b"") -> Contribution:
        contribution = Contribution(
            party_id=party_id, key_part=key_part, padded_digest=padded_digest(padded), signature=UNSIGNED
        )
        return contribution.signed_by(self.party_keys[party_id], session_id)

    def reply(self, contribution: Contribution, session_id: bytes) -> EncryptedReply:
        return EncryptedReply(job_id=JOB, round_number=1, session_id=session_id, contribution=contribution)

    def request(self, fields: SessionFields, contributions: tuple[Contribution, ...]) -> DecryptionRequest:
        request = DecryptionRequest(fields=fields, contributions=contributions, signature=UNSIGNED)
        return request.signed_by(self.aggregator_key)


def transcript_digest(session_id: bytes, contributions: Sequence[Contribution]) -> bytes:
    """The transcript of contributions in a session, also of one that no request can name."""
    return transcript_digest_of(session_id, [(c.party_id, c.key_part.digest, c.padded_digest) for c in contributions])


@cache
def make_federation(parties: int = 5, decryption_threshold: int = 4, key_bits: int | None = None) -> Federation:
    """Return a federation whose parties are called party-1 … party-n, in roster order; with a made dealing if asked."""
    parameters = choose_parameters(parties)
    assert parameters.decryption_threshold == decryption_threshold
    if key_bits is None:
        dealing, encryptor = load_dealing(parties, decryption_threshold), load_encryptor(parties, decryption_threshold)
    else:
        dealing = make_dealing(parties, decryption_threshold, key_bits=key_bits)
        encryptor = Encryptor(dealing.key.public_key)
    random = SeededRandom("federation keys")
    ids = [PartyId(f"party-{index}") for index in range(1, parties + 1)]
    party_keys = {party_id: SigningKey.generate(random) for party_id in ids}
    sealing_keys = {party_id: SealingKey.generate(random) for party_id in ids}
    aggregator_key = SigningKey.generate(random)
    roster = Roster(
        federation=FederationName("test"),
        serial=1,
        key_epoch=1,
        parameters=parameters,
        key_holders=tuple(ids),
        key_kind=dealing.key.kind,
        key_digest=dealing.key.digest,
        authority_digest=digest_of("authority"),
        members=tuple(
            Member(
                party_id=party_id,
                index=index,
                certificate_fingerprint=digest_of(party_id),
                verify_key=party_keys[party_id].verify_key,
                sealing_key=sealing_keys[party_id].public,
            )
            for index, party_id in enumerate(ids, 1)
        ),
        aggregator=AggregatorMember(
            id=MemberId("aggregator"),
            names=("localhost",),
            certificate_fingerprint=digest_of("aggregator"),
            verify_key=aggregator_key.verify_key,
        ),
    )
    return Federation(
        parameters=parameters,
        dealing=dealing,
        encryptor=encryptor,
        aggregator_key=aggregator_key,
        party_keys=party_keys,
        sealing_keys=sealing_keys,
        roster=roster,
    )
