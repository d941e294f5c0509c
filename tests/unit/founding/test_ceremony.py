# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import os
import stat
from pathlib import Path

import pytest

from coterie.credential_folder import load_credential
from coterie_aggregator.home.home import AggregatorHome, load_aggregator_home
from coterie_common.crypto.certificates import Role, identity_of
from coterie_common.crypto.paillier import Encryptor
from coterie_common.crypto.threshold import combine, partial_decrypt
from coterie_common.errors import ConfigurationError, KeyFileError, WrongOrderError
from coterie_common.fingerprint import printed_fingerprint
from coterie_common.identifiers import FederationName, MemberId, PartyId
from coterie_common.secret import Password
from coterie_party.home.home import load_party_home
from tests.support.ceremony import NOW, PARTIES, PASSWORD, AskPassword, Ceremony
from tests.support.seeded_random import SeededRandom

PRIVATE_FILES = {"founder.key", "member.key", "tls.key", "signing.key", "key.pem", "1.key"}


def test_ceremony_makes_members_that_hold_one_key_together(joined):
    members = [load_party_home(joined.party(index).root, PASSWORD, now=NOW) for index in range(1, PARTIES + 1)]
    aggregator = load_aggregator_home(joined.aggregator.root, now=NOW)
    rosters = {member.signed_roster.roster.digest for member in members}
    assert rosters == {aggregator.signed_roster.roster.digest}
    encryptor = Encryptor(aggregator.key.public_key)
    ciphertext = encryptor.encrypt(4711, encryptor.draw_nonce(SeededRandom("nonce")))
    partials = {member.share.index: partial_decrypt(member.key, member.share, [ciphertext]) for member in members}
    assert combine(aggregator.key, [ciphertext], partials) == (4711,)


def test_ceremony_gives_indices_in_the_order_of_admission(joined):
    roster = load_aggregator_home(joined.aggregator.root, now=NOW).signed_roster.roster
    assert [(member.party_id, member.index) for member in roster.members] == [("p1", 1), ("p2", 2), ("p3", 3)]
    assert (roster.serial, roster.key_epoch, roster.federation) == (1, 1, "test")


def test_ceremony_writes_secrets_for_their_owner_only(joined):
    found = set()
    for folder, _, files in os.walk(joined.root):
        for name in files:
            mode = stat.S_IMODE((Path(folder) / name).lstat().st_mode)
            if name in PRIVATE_FILES:
                found.add(name)
                assert mode == 0o600, name
    assert found == PRIVATE_FILES
    homes = [joined.federation.root, joined.federation.operator, joined.aggregator.root, joined.party(1).root]
    assert {stat.S_IMODE(home.stat().st_mode) for home in homes} == {0o700}


def test_ceremony_leaves_no_share_in_clear(joined):
    shares = [load_party_home(joined.party(index).root, PASSWORD, now=NOW).share for index in range(1, PARTIES + 1)]
    needles = []
    for share in shares:
        value = share.value.reveal()
        # The low half of a share: found whatever the padding in front of it, in bytes, in hexadecimal or in decimal.
        low = (value % (1 << 1024)).to_bytes(128, "big")
        needles += [low, low.hex().encode(), str(value).encode()]
    contents = [path.read_bytes() for path in joined.root.rglob("*") if path.is_file()]
    assert len(contents) > 30
    assert not any(needle in content for needle in needles for content in contents)


def test_ceremony_makes_the_founder_an_operator_with_the_roster(joined):
    credential = load_credential(joined.federation.operator)
    assert (credential.identity.role, credential.identity.id) == (Role.OPERATOR, "operator")
    assert credential.identity.federation == "test"
    assert credential.founder == joined.federation.record().fingerprint
    assert credential.signed_roster == joined.federation.latest_roster()
    assert identity_of(credential.tls.certificate) == credential.identity


def test_aggregator_address_comes_from_the_roster_unless_configured(joined):
    home = joined.party(1)
    assert str(load_party_home(home.root, PASSWORD, now=NOW).aggregator_address) == "localhost:8443"
    text = home.config_path.read_text().replace("# aggregator =", "aggregator =")
    home.config_path.write_text(text)
    assert str(load_party_home(home.root, PASSWORD, now=NOW).aggregator_address) == "aggregator.example:8443"


def test_load_party_with_a_wrong_password_raises(joined):
    with pytest.raises(KeyFileError, match="wrong password") as caught:
        load_party_home(joined.party(1).root, Password(b"battery staple"), now=NOW)
    assert caught.value.code == "key-file"


def test_load_party_with_an_expired_certificate_raises(joined):
    with pytest.raises(KeyFileError, match="expired"):
        load_party_home(joined.party(1).root, PASSWORD, now=NOW.replace(year=2040))


def test_load_aggregator_with_an_expired_certificate_raises(joined):
    with pytest.raises(KeyFileError, match="expired"):
        load_aggregator_home(joined.aggregator.root, now=NOW.replace(year=2040))


def test_load_party_with_another_partys_share_raises(joined):
    share = joined.party(2).federation().share_path(1).read_bytes()
    joined.party(1).federation().share_path(1).write_bytes(share)
    with pytest.raises(KeyFileError, match="another index"):
        load_party_home(joined.party(1).root, PASSWORD, now=NOW)


def test_load_party_with_another_partys_membership_raises(joined):
    membership = (joined.party(2).federation().root / "membership.json").read_bytes()
    (joined.party(1).federation().root / "membership.json").write_bytes(membership)
    with pytest.raises(KeyFileError, match="cannot be used"):
        load_party_home(joined.party(1).root, PASSWORD, now=NOW)


def test_load_party_with_another_founder_in_its_configuration_raises(joined):
    path = joined.party(1).config_path
    path.write_text(
        path.read_text().replace(printed_fingerprint(joined.federation.record().fingerprint), "-".join(["aaaa"] * 8))
    )
    with pytest.raises(WrongOrderError, match="no membership of the founder that"):
        load_party_home(joined.party(1).root, PASSWORD, now=NOW)
    # Nor is a membership believed because of where it lies.
    folder = joined.party(1).federation()
    joined.party(1).root.joinpath("federations", joined.federation.record().fingerprint).rename(folder.root)
    with pytest.raises(KeyFileError, match="another founder"):
        load_party_home(joined.party(1).root, PASSWORD, now=NOW)


def test_load_with_a_damaged_membership_raises(joined):
    for root in (joined.party(1).federation().root, joined.aggregator.root):
        path = root / "membership.json"
        path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(KeyFileError, match="damaged"):
        load_party_home(joined.party(1).root, PASSWORD, now=NOW)
    with pytest.raises(KeyFileError, match="damaged"):
        load_aggregator_home(joined.aggregator.root, now=NOW)


def test_load_aggregator_with_a_key_that_others_can_read_raises(joined):
    joined.aggregator.signing_key_path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_aggregator_home(joined.aggregator.root, now=NOW)


def test_load_before_making_the_folder_raises(tmp_path):
    with pytest.raises(WrongOrderError, match="coterie-party init") as caught:
        load_party_home(tmp_path / "none", PASSWORD, now=NOW)
    assert caught.value.code == "wrong-order"
    with pytest.raises(WrongOrderError, match="coterie-aggregator init"):
        load_aggregator_home(tmp_path / "none", now=NOW)
    with pytest.raises(WrongOrderError, match="coterie credential init"):
        load_credential(tmp_path / "none")


def test_load_before_importing_a_bundle_raises(admitted):
    with pytest.raises(WrongOrderError, match="coterie-party keys import"):
        load_party_home(admitted.party(1).root, PASSWORD, now=NOW)
    with pytest.raises(WrongOrderError, match="coterie-aggregator keys import"):
        load_aggregator_home(admitted.aggregator.root, now=NOW)


def test_found_again_changes_nothing_and_asks_nothing(admitted):
    before = {path: path.read_bytes() for path in admitted.federation.root.rglob("*") if path.is_file()}
    ask = AskPassword()
    assert admitted.found(ask) == admitted.federation.record().fingerprint
    assert ask.asked == 0
    assert {path: path.read_bytes() for path in admitted.federation.root.rglob("*") if path.is_file()} == before


def test_found_again_after_a_crash_completes_the_operators_credential(admitted):
    (admitted.federation.operator / "credential.json").unlink()
    (admitted.federation.credentials / "operator.credential").unlink()
    admitted.found()
    assert load_credential(admitted.federation.operator).identity.role is Role.OPERATOR


def test_found_another_federation_in_the_same_folder_raises(admitted):
    from coterie.founding.founding import found
    from coterie_common.protocol.parameters import choose_parameters

    for name, parties in ((FederationName("other"), PARTIES), (FederationName("test"), 5)):
        with pytest.raises(ConfigurationError, match="already holds the federation test"):
            found(
                admitted.federation,
                name,
                choose_parameters(parties),
                key_bits=2048,
                ask_password=AskPassword(),
                random=admitted.random,
                now=NOW,
            )


def test_found_with_an_empty_password_leaves_nothing_founded(tmp_path):
    ceremony = Ceremony(tmp_path)
    with pytest.raises(KeyFileError, match="empty"):
        ceremony.found(lambda: Password(b""))
    assert not ceremony.federation.is_founded


def test_make_party_with_an_empty_password_makes_nothing(tmp_path):
    ceremony = Ceremony(tmp_path)
    with pytest.raises(KeyFileError, match="empty"):
        ceremony.party(1).create(
            PartyId("p1"), "-".join(["aaaa"] * 8), None, password=Password(b""), random=ceremony.random
        )
    assert not ceremony.party(1).root.exists()


def test_make_party_again_returns_the_same_request(admitted):
    founder = admitted.federation.record().fingerprint
    assert admitted.party(1).existing_request("p1", founder) == admitted.request(1)


def test_make_party_again_as_somebody_else_raises(admitted):
    founder = admitted.federation.record().fingerprint
    for party_id, pinned in (("p2", founder), ("p1", "-".join(["aaaa"] * 8))):
        with pytest.raises(ConfigurationError, match="already the folder of the party p1"):
            admitted.party(1).existing_request(party_id, pinned)


def test_make_aggregator_again_with_other_names_raises(admitted):
    assert admitted.aggregator.existing_request("aggregator", ["localhost"], None).applicant.id == "aggregator"
    with pytest.raises(ConfigurationError, match="with the names localhost"):
        admitted.aggregator.existing_request("aggregator", ["localhost", "127.0.0.1"], None)
    with pytest.raises(ConfigurationError, match="without pinning this founder"):
        admitted.aggregator.existing_request("aggregator", ["localhost"], "-".join(["aaaa"] * 8))


def test_making_keys_again_where_only_the_configuration_is_missing_raises(joined):
    kept: dict[Path, bytes] = {}
    for home in (joined.party(1), joined.aggregator):
        home.config_path.unlink()
        kept |= {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    joined.federation.record_path.unlink()
    founder_key = joined.federation.keys_path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"party\.toml is missing"):
        joined.make_party(1, "-".join(["aaaa"] * 8))
    with pytest.raises(ConfigurationError, match=r"aggregator\.toml is missing"):
        joined.make_aggregator(None)
    with pytest.raises(ConfigurationError, match=r"federation\.json is missing"):
        joined.found()
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert joined.federation.keys_path.read_bytes() == founder_key


def test_make_aggregator_with_a_malformed_name_makes_nothing(tmp_path):
    home = AggregatorHome(tmp_path / "aggregator")
    with pytest.raises(ConfigurationError, match="neither a host name nor an IP address"):
        home.create(MemberId("aggregator"), ["local host"], None, random=SeededRandom(1))
    assert not home.root.exists()
