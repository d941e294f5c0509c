# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Inviting: the same token again, renewed ones, and whom the founder's machine believes that the desk shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from coterie.founding.invitations import MAX_DAYS, Issued, invite, load_invitations
from coterie.founding.reception import (
    Applications,
    check_applications,
    choose,
    publish_everything,
    rivals,
    with_phrases,
)
from coterie_common.address import Address
from coterie_common.crypto.certificates import Role
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import ConfigurationError, KeyFileError, WrongOrderError
from coterie_common.identifiers import MemberId
from coterie_common.membership.bundle import Bundle
from coterie_common.membership.credential import IssuedCredential
from coterie_common.membership.invitations.application import Application, request_digest
from coterie_common.membership.invitations.channel import DocumentKind, Kept, document_digest
from coterie_common.membership.invitations.token import Token
from tests.support.ceremony import FEDERATION, NOW, PASSWORD, AskPassword, Ceremony
from tests.support.invitations import STRANGER, make_request, make_token

ADDRESS = Address("aggregator.example.org", 8444)
WEEK = timedelta(days=7)


def issue(
    ceremony: Ceremony, *ids: str, role: Role = Role.PARTY, renew: bool = False, **changed: object
) -> list[Issued]:
    values: dict[str, object] = {"address": ADDRESS, "lifetime": WEEK, "now": NOW, "ask_password": lambda: PASSWORD}
    return list(invite(ceremony.federation, [MemberId(each) for each in ids], role, renew=renew, **(values | changed)))  # type: ignore[arg-type]  # as the test says


def token_of(ceremony: Ceremony, member: str, role: Role = Role.PARTY, *, renew: bool = False) -> Token:
    (issued,) = issue(ceremony, member, role=role, renew=renew)
    return issued.token


@dataclass
class DeskOfLists:
    """A desk in memory, which believes everything."""

    applications: list[Application] = field(default_factory=list)
    documents: dict[tuple[bytes, DocumentKind], bytes] = field(default_factory=dict)
    orders: int = 0

    def kept(self, founder: SigningKey) -> Sequence[Kept]:
        digests = [
            frozenset(
                document_digest(kind, content)
                for (request, kind), content in self.documents.items()
                if request == request_digest(each.request)
            )
            for each in self.applications
        ]
        return [
            Kept(application=each.to_bytes(), published=published)
            for each, published in zip(self.applications, digests, strict=True)
        ]

    def publish(self, request: bytes, kind: DocumentKind, content: bytes, founder: SigningKey) -> None:
        self.orders += 1
        self.documents[request, kind] = content

    def checked(self, ceremony: Ceremony, *, late: timedelta = timedelta(), replace: bool = False) -> Applications:
        found = self.kept(ceremony.federation.unlock_keys(ceremony.federation.record(), PASSWORD).signing_key)
        return check_applications(ceremony.federation, found, now=NOW + late, replace=replace)


def test_token_is_the_same_again_and_another_after_renewing(founded):
    first, second = issue(founded, "p1", "p2")
    assert (first.is_new, second.is_new) == (True, True)
    (again,) = issue(founded, "p1", now=NOW + timedelta(days=6), address=None)
    assert not again.is_new
    assert again.token.reveal() == first.token.reveal() != second.token.reveal()
    (renewed,) = issue(founded, "p1", renew=True)
    assert renewed.token.secret != first.token.secret
    (after_its_end,) = issue(founded, "p2", now=NOW + WEEK + timedelta(seconds=1))
    assert after_its_end.is_new
    invitation = first.token.invitation
    record = founded.federation.record()
    assert (invitation.federation, invitation.founder_key) == (FEDERATION, record.founder_key)
    assert (invitation.address, invitation.expires) == (ADDRESS, NOW + WEEK)


def test_folder_holds_no_secret_of_a_token(founded):
    token = token_of(founded, "p1")
    secret = token.secret.reveal()
    for path in founded.federation.root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert secret not in data
            assert secret.hex().encode() not in data
            assert token.reveal()[-40:].encode() not in data


def test_invitations_of_another_id_or_founder_have_other_secrets(founded, tmp_path):
    secrets = {token_of(founded, member).secret.reveal() for member in ("p1", "p2", "p3")}
    secrets.add(token_of(founded, "anna", Role.SCIENTIST).secret.reveal())
    other = Ceremony(tmp_path / "other")
    other.found()
    secrets.add(token_of(other, "p1").secret.reveal())
    assert len(secrets) == 5


@pytest.mark.parametrize(
    ("ids", "options", "words"),
    [
        (["p1"], {"address": None}, "--aggregator HOST"),
        (["p1"], {"address": Address("hub.example", 8443)}, "8444 by default"),
        (["p1"], {"lifetime": timedelta()}, "1 to 365 days"),
        (["p1"], {"lifetime": timedelta(days=MAX_DAYS + 1)}, "1 to 365 days"),
        (["operator"], {}, "already admitted as operator"),
    ],
)
def test_invitation_that_cannot_be_is_refused_and_leaves_nothing(founded, ids, options, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        issue(founded, *ids, **options)
    assert caught.value.code == "configuration"
    assert load_invitations(founded.federation) is None


def test_id_that_was_invited_as_something_else_or_admitted_is_renewed_only_on_purpose(admitted):
    with pytest.raises(ConfigurationError, match="--renew"):
        issue(admitted, "p1")
    assert issue(admitted, "p1", renew=True)[0].is_new
    issue(admitted, "anna", role=Role.SCIENTIST)
    with pytest.raises(ConfigurationError, match="was invited as scientist"):
        issue(admitted, "anna", role=Role.OPERATOR)


def test_inviting_needs_a_federation_and_its_password(founded, tmp_path):
    with pytest.raises(WrongOrderError):
        issue(Ceremony(tmp_path), "p1")
    with pytest.raises(KeyFileError):
        issue(founded, "p1", ask_password=AskPassword(type(PASSWORD)(b"wrong")))
    founded.federation.invitations_path.write_bytes(b"{}")
    with pytest.raises(KeyFileError, match="damaged"):
        load_invitations(founded.federation)


def test_founder_believes_only_applications_of_its_own_invitations(founded):
    token = token_of(founded, "p1")
    good = Application.create(token, make_request(Role.PARTY, "p1"))
    substituted = replace(good, request=make_request(Role.PARTY, "p1", "aggregator's own"))
    foreign = make_token(founder=STRANGER, member="p1")
    never_invited = Application.create(make_token(member="p9"), make_request(Role.PARTY, "p9"))
    desk = DeskOfLists([substituted, Application.create(foreign, make_request(Role.PARTY, "p1")), never_invited, good])
    found = [*desk.kept(STRANGER), Kept(application=b"nonsense", published=frozenset())]
    applications = check_applications(founded.federation, found, now=NOW)
    assert applications.waiting == (good,)
    assert (applications.admitted, applications.ignored) == ((), 4)


def test_application_under_a_token_that_was_renewed_is_left_out(founded):
    old = Application.create(token_of(founded, "p1"), make_request(Role.PARTY, "p1"))
    new = Application.create(token_of(founded, "p1", renew=True), make_request(Role.PARTY, "p1", "other"))
    applications = DeskOfLists([old, new]).checked(founded)
    assert (applications.waiting, applications.ignored) == ((new,), 1)


def test_application_whose_invitation_expired_is_not_offered(founded):
    """Only the aggregator knows when it came, and the aggregator is not believed."""
    desk = DeskOfLists([Application.create(token_of(founded, "p1"), make_request(Role.PARTY, "p1"))])
    assert len(desk.checked(founded, late=WEEK).waiting) == 1
    late = desk.checked(founded, late=WEEK + timedelta(seconds=1))
    assert (len(late.expired), late.waiting) == (1, ())


def test_applications_wait_in_the_order_of_their_invitations(founded):
    tokens = [issued.token for issued in issue(founded, "p3", "p1", "p2")]
    made = [Application.create(token, make_request(Role.PARTY, token.invitation.id)) for token in tokens]
    assert DeskOfLists([made[1], made[2], made[0]]).checked(founded).waiting == tuple(made)


def test_two_requests_with_one_token_are_admitted_by_phrase_only(founded):
    token, other = token_of(founded, "p1"), token_of(founded, "p2")
    thief, owner = (Application.create(token, make_request(Role.PARTY, "p1", seed)) for seed in ("thief", "owner"))
    honest = Application.create(other, make_request(Role.PARTY, "p2"))
    waiting = with_phrases(DeskOfLists([thief, owner, honest]).checked(founded))
    assert [entry.application for entry in waiting] == [thief, owner, honest]
    assert rivals(waiting) == {"p1"}
    phrases = [entry.phrase for entry in waiting]
    assert len(set(phrases)) == 3
    assert choose(waiting, None) == waiting[2:]
    assert choose(waiting, phrases[1:]) == waiting[1:]
    with pytest.raises(ConfigurationError, match="two requests for one id"):
        choose(waiting, phrases)
    with pytest.raises(ConfigurationError, match="no request has the phrase zoo-zoo-zoo-zoo"):
        choose(waiting, [phrases[1], "zoo-zoo-zoo-zoo"])


def test_rival_of_an_admitted_member_waits_only_for_a_replacement(founded):
    token = token_of(founded, "p1")
    owner, thief = (Application.create(token, make_request(Role.PARTY, "p1", seed)) for seed in ("owner", "thief"))
    founded.admit(owner.request)
    desk = DeskOfLists([owner, thief])
    applications = desk.checked(founded)
    assert (applications.admitted, applications.taken, applications.waiting) == ((owner,), (thief,), ())
    assert desk.checked(founded, replace=True).waiting == (thief,)


def test_everything_is_published_once_and_only_for_the_admitted(founded):
    founder = founded.federation.record().fingerprint
    requests = [founded.make_party(index, founder) for index in (1, 2, 3)]
    requests.append(founded.make_aggregator(founder))
    tokens = [issued.token for issued in issue(founded, "p1", "p2", "p3")]
    tokens.append(token_of(founded, "aggregator", Role.AGGREGATOR))
    anna = token_of(founded, "anna", Role.SCIENTIST)
    made = [Application.create(*pair) for pair in zip(tokens, requests, strict=True)]
    people = Application.create(anna, make_request(Role.SCIENTIST, "anna"))
    desk = DeskOfLists([*made, people])
    federation = founded.federation
    keys = federation.unlock_keys(federation.record(), PASSWORD)

    def publish() -> list[tuple[str, str]]:
        entries = publish_everything(federation, desk, keys, now=NOW)
        return [(entry.id, entry.kind.value) for entry in entries if entry.is_new]

    assert publish() == []
    founded.admit(*requests[:3])
    assert publish() == [(member, "credential") for member in ("p1", "p2", "p3")]
    notice = IssuedCredential.from_bytes(desk.documents[request_digest(requests[0]), DocumentKind.CREDENTIAL])
    notice.verify(founder)
    founded.admit(requests[3], role=Role.AGGREGATOR)
    founded.admit(people.request, role=Role.SCIENTIST)
    assert publish() == [("aggregator", "credential"), ("anna", "credential")]
    founded.deal()
    assert publish() == [
        *((member, "bundle") for member in ("p1", "p2", "p3", "aggregator")),
        ("anna", "credential"),  # with the roster
    ]
    before = desk.orders
    assert publish() == []
    assert desk.orders == before
    for index, request in enumerate(requests[:3], 1):
        bundle = Bundle.from_bytes(desk.documents[request_digest(request), DocumentKind.BUNDLE])
        assert bundle.to_bytes() == founded.bundle(f"p{index}").read_bytes()
    # Other keys for an admitted id have no bundle before the next epoch.
    newcomer = Application.create(token_of(founded, "p1", renew=True), make_request(Role.PARTY, "p1", "new host"))
    founded.admit(newcomer.request, replace=True)
    desk.applications.append(newcomer)
    assert publish() == [("p1", "credential")]
