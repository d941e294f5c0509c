# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from coterie_common import document
from coterie_common.crypto.hashing import Label
from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.threshold import KeyKind
from coterie_common.errors import IdentityMismatch, InvalidSignature, MalformedMessage, NotInCohort, OldKeyError
from coterie_common.fingerprint import parse_fingerprint, printed_fingerprint
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.protocol.roster import Roster, SignedRoster, founder_fingerprint
from tests.support.federation import digest_of, make_federation
from tests.support.key_makings import make_making, of_generated_key
from tests.support.seeded_random import SeededRandom


@pytest.fixture
def roster() -> Roster:
    return make_federation(5, 4).roster


def holders() -> list[SigningKey]:
    """The signing keys of the key holders, in the order of their indices."""
    federation = make_federation(5, 4)
    return [federation.party_keys[party_id] for party_id in federation.roster.key_holders]


@pytest.fixture
def generated(roster: Roster) -> Roster:
    return of_generated_key(roster, holders())


@pytest.fixture
def founder() -> SigningKey:
    return SigningKey.generate(SeededRandom("founder"))


def test_roster_bytes_round_trip_and_keep_the_digest(roster):
    parsed = Roster.from_bytes(roster.to_bytes())
    assert parsed == roster
    assert parsed.digest == roster.digest
    assert len(roster.digest) == 32


def variants_of_the_making(roster: Roster) -> list[Roster]:
    """The roster of a generated key, and the same with one entry of the making changed."""
    making = roster.key_making
    assert making is not None
    changed = (
        making,
        replace(making, draft_digest=digest_of("another draft")),
        replace(making, steps_digest=digest_of("other steps")),
        replace(making, signatures=(*making.signatures[:-1], bytes(64))),
        replace(making, signatures=making.signatures[::-1]),
    )
    return [replace(roster, key_making=each) for each in changed]


def test_roster_of_a_generated_key_round_trips_with_the_making(generated):
    parsed = Roster.from_bytes(generated.to_bytes())
    assert (parsed, parsed.digest) == (generated, generated.digest)


def test_roster_digest_changes_with_every_entry(roster):
    member = roster.members[0]
    other = SigningKey.generate(SeededRandom("other")).verify_key
    variants = [
        roster,
        replace(roster, federation="other"),
        replace(roster, serial=2),
        replace(roster, serial=2, key_epoch=2),
        replace(roster, parameters=choose_parameters(5, quorum=5)),
        replace(roster, key_digest=bytes(32)),
        replace(roster, authority_digest=bytes(32)),
        *variants_of_the_making(of_generated_key(roster, holders())),
        replace(roster, key_holders=roster.key_holders[::-1]),
        replace(
            roster,
            members=(replace(member, party_id="other"), *roster.members[1:]),
            key_holders=("other", *roster.key_holders[1:]),
        ),
        replace(roster, members=(replace(member, certificate_fingerprint=bytes(32)), *roster.members[1:])),
        replace(roster, members=(replace(member, verify_key=other), *roster.members[1:])),
        replace(roster, members=(replace(member, sealing_key=bytes(32)), *roster.members[1:])),
        replace(roster, aggregator=replace(roster.aggregator, id="other")),
        replace(roster, aggregator=replace(roster.aggregator, names=("other",))),
        replace(roster, aggregator=replace(roster.aggregator, verify_key=other)),
    ]
    assert len({variant.digest for variant in variants}) == len(variants)


def test_member_is_found_by_id(roster):
    assert roster.member("party-2").index == 2


def test_holder_indices_follow_the_order_of_the_key_holders(roster):
    turned = replace(roster, key_holders=roster.key_holders[::-1])
    assert [turned.holder_index(party_id) for party_id in roster.key_holders] == [5, 4, 3, 2, 1]
    with pytest.raises(NotInCohort) as caught:
        turned.holder_index("party-9")
    assert caught.value.code == "not-in-cohort"


@pytest.mark.parametrize(
    "added",
    [
        ("earlier_jobs_until", "ends_jobs", "key_holders", "key_kind", "key_making"),
        ("earlier_jobs_until", "key_making"),
    ],
    ids=["first", "dealt keys only"],
)
def test_roster_that_an_earlier_version_signed_is_refused_with_the_way_out(roster, added):
    content = json.loads(roster.to_bytes())
    for name in added:
        del content[name]
    with pytest.raises(OldKeyError, match="coterie keys deal --new-epoch") as caught:
        Roster.from_bytes(document.encode(content))
    assert caught.value.code == "old-key"


def test_member_that_is_not_there_raises(roster):
    with pytest.raises(NotInCohort) as caught:
        roster.member("party-9")
    assert caught.value.code == "not-in-cohort"


def swapped(roster: Roster) -> Roster:
    first, second, *rest = roster.members
    return replace(roster, members=(second, first, *rest))


UNTIL = datetime(2026, 12, 24, tzinfo=UTC)


def with_first(roster: Roster, **changes: Any) -> Roster:
    return replace(roster, members=(replace(roster.members[0], **changes), *roster.members[1:]))


@pytest.mark.parametrize(
    "defect",
    [
        lambda r: replace(r, serial=0),
        lambda r: replace(r, key_epoch=2),
        lambda r: replace(r, key_epoch=0),
        lambda r: replace(r, serial=2**31),
        lambda r: replace(r, members=r.members[:-1]),
        swapped,
        lambda r: with_first(r, index=2),
        lambda r: with_first(r, party_id=r.members[1].party_id),
        lambda r: with_first(r, party_id=r.aggregator.id),
        lambda r: with_first(r, verify_key=r.members[1].verify_key),
        lambda r: with_first(r, verify_key=r.aggregator.verify_key),
        lambda r: with_first(r, sealing_key=r.members[1].sealing_key),
        lambda r: with_first(r, certificate_fingerprint=r.aggregator.certificate_fingerprint),
        lambda r: replace(r, aggregator=replace(r.aggregator, names=())),
        lambda r: replace(r, ends_jobs=False),
        lambda r: replace(r, key_holders=r.key_holders[:-1]),
        lambda r: replace(r, key_holders=(*r.key_holders[:-1], r.key_holders[0])),
        lambda r: replace(r, key_holders=(*r.key_holders[:-1], "stranger")),
        lambda r: replace(r, key_holders=(*r.key_holders, "stranger")),
        lambda r: replace(r, ends_jobs=False, earlier_jobs_until=UNTIL),
        lambda r: replace(r, earlier_jobs_until=UNTIL),
        lambda r: replace(r, key_kind=KeyKind.GENERATED),
        lambda r: replace(r, key_making=make_making(r.key_digest, holders())),
        lambda r: of_generated_key(r, holders()[:-1]),
        lambda r: of_generated_key(r, [*holders(), holders()[0]]),
    ],
)
def test_roster_that_is_inconsistent_raises(roster, defect):
    with pytest.raises(MalformedMessage) as caught:
        defect(roster)
    assert caught.value.code == "malformed-message"


@pytest.mark.parametrize(
    ("until", "why"),
    [
        (UNTIL, "continues none"),
        (None, "either end the jobs of earlier rosters or say until when"),
        (UNTIL.replace(tzinfo=None), "UTC and whole seconds"),
        (UNTIL.astimezone(timezone(timedelta(hours=1))), "UTC and whole seconds"),
        (UNTIL + timedelta(microseconds=1), "UTC and whole seconds"),
    ],
    ids=["this version continues none", "no date", "no zone", "another zone", "a part of a second"],
)
def test_roster_that_lets_earlier_jobs_go_on_is_refused_and_says_why(roster, until, why):
    with pytest.raises(MalformedMessage, match=why):
        replace(roster, ends_jobs=False, earlier_jobs_until=until)


def test_date_of_earlier_jobs_is_read_before_it_is_refused(roster):
    content = json.loads(roster.to_bytes())
    content |= {"ends_jobs": False, "earlier_jobs_until": "2026-12-24T00:00:00+00:00"}
    with pytest.raises(MalformedMessage, match="continues none"):
        Roster.from_bytes(document.encode(content))


@pytest.mark.parametrize(
    "change",
    [
        lambda roster: replace(roster, key_digest=digest_of("another key")),
        lambda roster: replace(roster, key_holders=roster.key_holders[::-1]),
        lambda roster: variants_of_the_making(roster)[1],
        lambda roster: variants_of_the_making(roster)[2],
        lambda roster: variants_of_the_making(roster)[3],
        lambda roster: variants_of_the_making(roster)[4],
        lambda roster: of_generated_key(roster, [*holders()[:-1], SigningKey.generate(SeededRandom("stranger"))]),
        lambda roster: of_generated_key(roster, [*holders()[:-1], holders()[0]]),
    ],
    ids=[
        "of another key",
        "other holder indices",
        "another draft",
        "other steps",
        "one signature missing",
        "signatures in another order",
        "signed by a stranger",
        "signed twice by one",
    ],
)
def test_roster_of_a_generated_key_without_the_signatures_of_all_holders_is_neither_signed_nor_trusted(
    generated, founder, change
):
    changed: Roster = change(generated)
    with pytest.raises(InvalidSignature, match="not signed by the holder of the key share") as caught:
        SignedRoster.create(changed, founder)
    assert caught.value.code == "invalid-signature"
    # A founder that signs it all the same convinces nobody.
    signature = founder.sign(Label.ROSTER_SIGNATURE, changed.digest)
    signed = SignedRoster(roster=changed, signature=signature, founder_key=founder.verify_key)
    with pytest.raises(InvalidSignature, match="not signed by the holder of the key share"):
        signed.verify(founder_fingerprint(founder.verify_key))


def test_roster_of_a_generated_key_that_all_holders_signed_is_trusted(generated, founder):
    assert SignedRoster.create(generated, founder).verify(founder_fingerprint(founder.verify_key)) == generated


def altered(roster: Roster, path: str, value: object) -> bytes:
    """The roster's canonical bytes with one entry replaced; ``None`` removes it."""
    content = json.loads(roster.to_bytes())
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    target = content
    for part in parents:
        target = target[part]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return document.encode(content)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("serial", None),
        ("serial", True),
        ("serial", "1"),
        ("serial", 1.0),
        ("more", 1),
        ("federation", "Not A Name"),
        ("federation", 7),
        ("key_digest", "00"),
        ("key_digest", "zz" * 32),
        ("authority_digest", "AB" * 32),
        ("authority_digest", " " + "ab" * 31 + "a"),
        ("members", {}),
        ("members.0", []),
        ("members.0.index", None),
        ("members.0.more", 1),
        ("members.0.party_id", "Party"),
        ("members.0.verify_key", "00" * 32),
        ("members.0.verify_key", "01" + "00" * 31),
        ("aggregator.id", ""),
        ("aggregator.names", "localhost"),
        ("aggregator.names", [7]),
        ("aggregator.names", ["a"] * 17),
        ("aggregator.names", ["LOCALHOST"]),
        ("aggregator.names", ["no host"]),
        ("parameters.quorum", 1),
        ("parameters", []),
        ("ends_jobs", 1),
        ("ends_jobs", False),
        ("key_holders", None),
        ("key_holders", ["party-1"]),
        ("key_holders", "party-1"),
        ("key_holders.0", "Party"),
        ("key_kind", "made"),
        ("key_kind", None),
        ("key_kind", "generated"),
        ("earlier_jobs_until", None),
        ("earlier_jobs_until", "2026-12-24"),
        ("earlier_jobs_until", "2026-12-24T00:00:00+00:00"),
        ("earlier_jobs_until", 1798070400),
        ("key_making", None),
        ("key_making", {}),
        ("key_making", {"draft_digest": "00" * 32, "steps_digest": "00" * 32, "signatures": []}),
    ],
)
def test_roster_from_altered_bytes_raises(roster, path, value):
    with pytest.raises(MalformedMessage) as caught:
        Roster.from_bytes(altered(roster, path, value))
    assert caught.value.code == "malformed-message"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("key_kind", "dealt"),
        ("key_making", None),
        ("key_making", []),
        ("key_making.more", 1),
        ("key_making.draft_digest", None),
        ("key_making.draft_digest", "00" * 31),
        ("key_making.steps_digest", "AB" * 32),
        ("key_making.steps_digest", 7),
        ("key_making.signatures", None),
        ("key_making.signatures", "00" * 64),
        ("key_making.signatures", ["00" * 64] * 4),
        ("key_making.signatures", ["00" * 64] * 6),
        ("key_making.signatures.0", "00" * 63),
        ("key_making.signatures.4", 7),
    ],
)
def test_roster_with_an_altered_making_raises(generated, path, value):
    with pytest.raises(MalformedMessage) as caught:
        Roster.from_bytes(altered(generated, path, value))
    assert caught.value.code == "malformed-message"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data + b"\n",
        lambda data: b" " + data,
        lambda data: data[:-1],
        lambda data: data.replace(b'"serial":1', b'"serial":1,"serial":1'),
        lambda data: data.replace(b'"serial":1', b'"serial":01'),
        lambda data: data.replace(b'"serial":1', b'"serial": 1'),
        lambda data: json.dumps(json.loads(data), sort_keys=False).encode(),
        lambda data: b"",
        lambda data: b"\xff" + data,
    ],
)
def test_roster_from_bytes_that_are_not_canonical_raises(roster, spoil):
    with pytest.raises(MalformedMessage):
        Roster.from_bytes(spoil(roster.to_bytes()))


def test_signed_roster_verifies_under_the_pinned_fingerprint(roster, founder):
    signed = SignedRoster.create(roster, founder)
    parsed = SignedRoster.from_bytes(signed.to_bytes())
    assert parsed == signed
    assert parsed.verify(founder_fingerprint(founder.verify_key)) == roster


def test_signed_roster_of_another_founder_raises(roster, founder):
    other = SigningKey.generate(SeededRandom("another founder"))
    with pytest.raises(IdentityMismatch) as caught:
        SignedRoster.create(roster, other).verify(founder_fingerprint(founder.verify_key))
    assert caught.value.code == "identity-mismatch"


def test_signed_roster_that_claims_the_pinned_founder_with_another_signature_raises(roster, founder):
    other = SigningKey.generate(SeededRandom("another founder"))
    forged = replace(SignedRoster.create(roster, other), founder_key=founder.verify_key)
    with pytest.raises(InvalidSignature) as caught:
        forged.verify(founder_fingerprint(founder.verify_key))
    assert caught.value.code == "invalid-signature"


def test_signed_roster_with_another_roster_raises(roster, founder):
    moved = replace(SignedRoster.create(roster, founder), roster=replace(roster, serial=2))
    with pytest.raises(InvalidSignature):
        moved.verify(founder_fingerprint(founder.verify_key))


def test_founder_fingerprint_is_what_parse_fingerprint_returns(founder):
    fingerprint = founder_fingerprint(founder.verify_key)
    assert len(fingerprint) == 39
    printed = printed_fingerprint(fingerprint)
    assert parse_fingerprint(f" {printed.upper().replace('-', ' ')}\n") == fingerprint
