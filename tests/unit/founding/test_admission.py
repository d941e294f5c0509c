# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from dataclasses import replace
from datetime import timedelta

import pytest

from coterie.credential_folder import create_credential_request, import_credential, load_credential
from coterie.founding.credentials import credential_path
from coterie.founding.register import load_register
from coterie_common.crypto.certificates import Role, expires_at, identity_of, make_tls_key
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import (
    ConfigurationError,
    IdentityMismatch,
    InvalidSignature,
    KeyFileError,
    MalformedMessage,
    WrongOrderError,
)
from coterie_common.identifiers import MemberId
from coterie_common.membership.enrolment import Applicant, EnrolmentRequest, read_request
from coterie_common.secret import Password
from tests.support.ceremony import NOW, AskPassword, Ceremony, make_party_request
from tests.support.seeded_random import SeededRandom

ELSEWHERE = "-".join(["aaaa"] * 8)


def register_bytes(ceremony: Ceremony) -> bytes:
    return ceremony.federation.register_path.read_bytes()


def test_admit_before_founding_raises(tmp_path):
    with pytest.raises(WrongOrderError, match="coterie found") as caught:
        Ceremony(tmp_path).admit(make_party_request("p1"))
    assert caught.value.code == "wrong-order"


def test_admit_again_changes_nothing_and_asks_nothing(admitted):
    before, ask = register_bytes(admitted), AskPassword()
    outcome = admitted.admit(admitted.request(2), admitted.request(1), ask_password=ask)
    assert [(entry.admission.id, entry.admission.index, entry.is_new) for entry in outcome] == [
        ("p2", 2, False),
        ("p1", 1, False),
    ]
    assert (register_bytes(admitted), ask.asked) == (before, 0)


@pytest.mark.parametrize(
    ("party_id", "words"),
    [("p4", "no place for p4"), ("p1", "already admitted as party; --replace"), ("aggregator", "as aggregator")],
)
def test_admit_a_party_without_a_place_raises(admitted, party_id, words):
    before, ask = register_bytes(admitted), AskPassword()
    with pytest.raises(ConfigurationError, match=words):
        admitted.admit(make_party_request(party_id), ask_password=ask)
    assert (register_bytes(admitted), ask.asked) == (before, 0)


def test_admit_as_another_role_than_asked_raises(admitted):
    with pytest.raises(ConfigurationError, match="asks to be admitted as party, not as operator"):
        admitted.admit(make_party_request("p9"), role=Role.OPERATOR)


def test_admit_a_second_aggregator_raises(admitted):
    signing = SigningKey.generate(SeededRandom("second"))
    applicant = Applicant(
        role=Role.AGGREGATOR, id=MemberId("second"), names=("localhost",), verify_key=signing.verify_key
    )
    with pytest.raises(ConfigurationError, match="one aggregator, and aggregator is already admitted"):
        admitted.admit(EnrolmentRequest.create(applicant, make_tls_key(), signing), role=Role.AGGREGATOR)


def test_admit_a_key_under_a_second_id_raises(admitted):
    stolen = admitted.request(1).applicant
    random = SeededRandom("thief")
    signing = SigningKey.generate(random)
    applicant = replace(stolen, id="p9", verify_key=signing.verify_key)
    with pytest.raises(ConfigurationError, match="a key in the request of p9 is already admitted under the id p1"):
        admitted.admit(EnrolmentRequest.create(applicant, make_tls_key(), signing))


def test_admit_several_admits_none_if_one_cannot_be(founded):
    before = register_bytes(founded)
    with pytest.raises(ConfigurationError, match="p1 is already admitted"):
        founded.admit(make_party_request("p1", "one"), make_party_request("p1", "two"))
    assert register_bytes(founded) == before


def test_admit_with_a_wrong_password_changes_nothing(founded):
    before = register_bytes(founded)
    with pytest.raises(KeyFileError, match="wrong password"):
        founded.admit(make_party_request("p1"), ask_password=AskPassword(Password(b"wrong")))
    assert register_bytes(founded) == before


def test_admit_with_replace_keeps_the_index(admitted):
    (outcome,) = admitted.admit(make_party_request("p2"), replace=True)
    assert (outcome.is_new, outcome.admission.index) == (True, 2)
    assert len(load_register(admitted.federation).with_role(Role.PARTY)) == 3


def test_admit_issues_members_to_the_end_of_the_authority_and_people_for_two_years(admitted, tmp_path):
    record = admitted.federation.record()
    register = load_register(admitted.federation)
    assert expires_at(register.find("p1").certificate) == expires_at(record.authority)
    assert expires_at(register.find("operator").certificate) == NOW + timedelta(days=730)
    assert identity_of(register.find("p1").certificate).uri == "coterie://test/party/p1"


def test_admit_a_scientist_makes_a_credential_to_import(admitted, tmp_path):
    folder = tmp_path / "anna"
    founder = admitted.federation.record().fingerprint
    request = create_credential_request(folder, MemberId("anna"), Role.SCIENTIST, founder)
    admitted.admit(request, role=Role.SCIENTIST)
    issued = credential_path(admitted.federation, "anna")
    imported = import_credential(folder, issued, now=NOW)
    assert imported.identity.uri == "coterie://test/scientist/anna"
    assert load_credential(folder).tls.certificate == imported.tls.certificate
    assert imported.signed_roster is None


def test_request_of_an_earlier_version_is_kept_and_the_new_name_given(tmp_path):
    folder = tmp_path / "anna"
    create_credential_request(folder, MemberId("anna"), Role.SCIENTIST, None)
    key = (folder / "key.pem").read_bytes()
    (folder / "anna.request").rename(folder / "anna.csr")
    with pytest.raises(
        ConfigurationError, match=r"anna\.csr was written by an earlier version; rename it to anna\.request"
    ):
        create_credential_request(folder, MemberId("anna"), Role.SCIENTIST, None)
    assert (folder / "key.pem").read_bytes() == key


def test_admit_again_writes_a_lost_credential_file_again(admitted, tmp_path):
    request = create_credential_request(tmp_path / "anna", MemberId("anna"), Role.OPERATOR, None)
    admitted.admit(request, role=Role.OPERATOR)
    path = credential_path(admitted.federation, "anna")
    content = path.read_bytes()
    path.unlink()
    (outcome,) = admitted.admit(request, role=Role.OPERATOR)
    assert (outcome.is_new, path.read_bytes()) == (False, content)


def test_damaged_register_raises(admitted):
    admitted.federation.register_path.write_bytes(register_bytes(admitted)[:-3])
    with pytest.raises(KeyFileError, match="damaged"):
        load_register(admitted.federation)


def test_damaged_record_of_the_federation_raises(admitted):
    path = admitted.federation.record_path
    path.write_bytes(path.read_bytes().replace(b'"quorum":3', b'"quorum":1'))
    with pytest.raises(KeyFileError, match="damaged"):
        admitted.federation.record()


def test_founders_keys_of_another_federation_raise(admitted, tmp_path):
    other = Ceremony(tmp_path / "other")
    other.found()
    admitted.federation.keys_path.write_bytes(other.federation.keys_path.read_bytes())
    with pytest.raises(KeyFileError, match="another federation"):
        admitted.admit(make_party_request("p1"), replace=True)


def test_request_round_trips():
    request = make_party_request("p1")
    assert EnrolmentRequest.from_bytes(request.to_bytes()) == request


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b'"id":"p1"', b'"id":"p2"', MalformedMessage),
        (b'"role":"party"', b'"role":"aggregator"', MalformedMessage),
        (b'"role":"party"', b'"role":"king"', MalformedMessage),
        (b'"id":"p1"', b'"id":"P1"', MalformedMessage),
        (b'"names":[]', b'"names":["localhost"]', MalformedMessage),
        (b'"version":1', b'"version":2', MalformedMessage),
        (b'"version":1', b'"more":1,"version":1', MalformedMessage),
    ],
)
def test_altered_request_raises(old, new, error):
    data = make_party_request("p1").to_bytes()
    assert old in data
    with pytest.raises(error):
        EnrolmentRequest.from_bytes(data.replace(old, new))


def test_request_with_an_exchanged_signing_key_raises():
    request, other = make_party_request("p1"), make_party_request("p1", "other")
    for applicant in (
        replace(request.applicant, verify_key=other.applicant.verify_key),
        replace(request.applicant, sealing_key=other.applicant.sealing_key),
    ):
        with pytest.raises(MalformedMessage, match="another enrolment"):
            EnrolmentRequest.from_bytes(replace(request, applicant=applicant).to_bytes())


def test_request_that_its_signing_key_did_not_sign_raises():
    request, other = make_party_request("p1"), make_party_request("p1", "other")
    with pytest.raises(InvalidSignature) as caught:
        EnrolmentRequest.from_bytes(replace(request, signature=other.signature).to_bytes())
    assert caught.value.code == "invalid-signature"


def test_read_request_of_another_file_raises(tmp_path):
    path = tmp_path / "no.request"
    path.write_text("-----BEGIN CERTIFICATE REQUEST-----")
    with pytest.raises(KeyFileError, match="cannot be used"):
        read_request(path)
    with pytest.raises(ConfigurationError, match="does not exist"):
        read_request(tmp_path / "missing.request")


def test_import_credential_before_making_a_key_raises(admitted, tmp_path):
    with pytest.raises(WrongOrderError, match="coterie credential init"):
        import_credential(tmp_path / "none", credential_path(admitted.federation, "operator"), now=NOW)


def test_import_somebody_elses_credential_raises(admitted, tmp_path):
    create_credential_request(tmp_path / "anna", MemberId("anna"), Role.OPERATOR, None)
    with pytest.raises(IdentityMismatch, match="another TLS key"):
        import_credential(tmp_path / "anna", credential_path(admitted.federation, "operator"), now=NOW)
    with pytest.raises(WrongOrderError, match="coterie credential import"):
        load_credential(tmp_path / "anna")


def test_import_credential_of_another_founder_than_pinned_raises(admitted, tmp_path):
    request = create_credential_request(tmp_path / "anna", MemberId("anna"), Role.OPERATOR, ELSEWHERE)
    admitted.admit(request, role=Role.OPERATOR)
    with pytest.raises(IdentityMismatch, match="another founder"):
        import_credential(tmp_path / "anna", credential_path(admitted.federation, "anna"), now=NOW)


def test_import_an_altered_credential_raises(admitted, tmp_path):
    path = tmp_path / "altered"
    data = credential_path(admitted.federation, "operator").read_bytes()
    key = admitted.federation.record().authority
    assert key.replace(b"\n", b"\\n") in data
    path.write_bytes(data.replace(b'"signed_roster":null', b'"signed_roster":{}'))
    with pytest.raises(KeyFileError, match="no credential"):
        import_credential(admitted.federation.operator, path, now=NOW)


def test_make_a_credential_request_again_returns_the_same(tmp_path):
    first = create_credential_request(tmp_path / "anna", MemberId("anna"), Role.OPERATOR, None)
    assert create_credential_request(tmp_path / "anna", MemberId("anna"), Role.OPERATOR, None) == first
    with pytest.raises(ConfigurationError, match="another folder"):
        create_credential_request(tmp_path / "anna", MemberId("bert"), Role.OPERATOR, None)
    with pytest.raises(ConfigurationError, match="without pinning this founder"):
        create_credential_request(tmp_path / "anna", MemberId("anna"), Role.OPERATOR, ELSEWHERE)
