# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coterie.founding.home import FounderKeys
from coterie_aggregator.home.joining import import_bundle as import_aggregator_bundle
from coterie_common import document
from coterie_common.crypto.authority import create_authority, issue
from coterie_common.crypto.certificates import Identity, Role
from coterie_common.errors import (
    ConfigurationError,
    Equivocation,
    IdentityMismatch,
    InvalidSignature,
    KeyFileError,
    ParameterMismatch,
    Unauthenticated,
    WrongOrderError,
)
from coterie_common.fingerprint import printed_fingerprint
from coterie_common.identifiers import FederationName, MemberId
from coterie_common.membership.bundle import Bundle, read_bundle
from coterie_common.protocol.roster import SignedRoster
from coterie_common.secret import Password
from tests.support.ceremony import NOW, PASSWORD, AskPassword, Ceremony
from tests.support.seeded_random import SeededRandom


@pytest.fixture
def dealt(joined: Ceremony) -> Ceremony:
    """Keys were dealt; p1 and the aggregator are as if they had not imported anything."""
    (joined.party(1).federation().root / "membership.json").unlink()
    shutil.rmtree(joined.party(1).federation().shares)
    (joined.aggregator.root / "membership.json").unlink()
    (joined.aggregator.root / "founder").unlink()
    return joined


def assert_nothing_imported(ceremony: Ceremony) -> None:
    assert not (ceremony.party(1).federation().root / "membership.json").exists()
    assert not ceremony.party(1).federation().shares.exists()


def founder_keys(ceremony: Ceremony) -> FounderKeys:
    return ceremony.federation.unlock_keys(ceremony.federation.record(), PASSWORD)


def resigned(ceremony: Ceremony, **changes: Any) -> Path:
    """A bundle of p1 that the founder itself signed, with another membership."""
    bundle = read_bundle(ceremony.bundle("p1"))
    forged = Bundle.create(
        replace(bundle.membership, **changes), bundle.sealed_share, founder_keys(ceremony).signing_key
    )
    path = ceremony.root / "resigned.bundle"
    path.write_bytes(forged.to_bytes())
    return path


def test_import_gives_the_party_its_index(dealt):
    joined = dealt.join(1)
    assert (joined.is_new, joined.index, joined.roster.serial) == (True, 1, 1)


def test_import_again_changes_nothing_and_asks_nothing(joined):
    before = {path: path.read_bytes() for path in joined.party(1).root.rglob("*") if path.is_file()}
    ask = AskPassword()
    assert not joined.join(1, ask_password=ask).is_new
    assert ask.asked == 0
    assert {path: path.read_bytes() for path in joined.party(1).root.rglob("*") if path.is_file()} == before


def test_import_again_restores_a_lost_share(joined):
    joined.party(1).federation().share_path(1).unlink()
    joined.join(1)
    assert joined.party(1).federation().share_path(1).is_file()


def test_import_before_making_the_folder_raises(dealt):
    with pytest.raises(WrongOrderError, match="coterie-party init"):
        dealt.join(9, dealt.bundle("p1"))
    shutil.rmtree(dealt.aggregator.root)
    with pytest.raises(WrongOrderError, match="coterie-aggregator init"):
        import_aggregator_bundle(dealt.aggregator, dealt.bundle("aggregator"), now=NOW)


def test_import_of_a_missing_bundle_raises(dealt):
    with pytest.raises(ConfigurationError, match="does not exist"):
        dealt.join(1, dealt.root / "missing.bundle")


@pytest.mark.parametrize("name", ["p2", "aggregator"])
def test_import_of_somebody_elses_bundle_raises(dealt, name):
    ask = AskPassword()
    with pytest.raises(IdentityMismatch, match="not for the party p1") as caught:
        dealt.join(1, dealt.bundle(name), ask_password=ask)
    assert (caught.value.code, ask.asked) == ("identity-mismatch", 0)
    assert_nothing_imported(dealt)


def test_import_under_another_pinned_fingerprint_raises(dealt):
    path = dealt.party(1).config_path
    path.write_text(
        path.read_text().replace(printed_fingerprint(dealt.federation.record().fingerprint), "-".join(["aaaa"] * 8))
    )
    with pytest.raises(IdentityMismatch, match="another founder"):
        dealt.join(1)
    assert_nothing_imported(dealt)


def test_import_with_a_wrong_password_raises(dealt):
    with pytest.raises(KeyFileError, match="wrong password"):
        dealt.join(1, ask_password=AskPassword(Password(b"wrong")))
    assert_nothing_imported(dealt)


def other_share(bundle: dict[str, Any]) -> None:
    bundle["sealed_share"] = bundle["sealed_share"][:-2] + ("00" if bundle["sealed_share"][-2:] != "00" else "01")


def other_roster(bundle: dict[str, Any]) -> None:
    bundle["membership"]["signed_roster"]["roster"]["serial"] = 7


def other_certificate(bundle: dict[str, Any]) -> None:
    bundle["membership"]["certificate"] += "\n"


def other_signature(bundle: dict[str, Any]) -> None:
    bundle["signature"] = "00" * 64


@pytest.mark.parametrize("tamper", [other_share, other_roster, other_certificate, other_signature])
def test_import_of_a_tampered_bundle_raises(dealt, tamper):
    content = json.loads(dealt.bundle("p1").read_bytes())
    tamper(content)
    path = dealt.root / "tampered.bundle"
    path.write_bytes(document.encode(content))
    with pytest.raises(InvalidSignature) as caught:
        dealt.join(1, path)
    assert caught.value.code == "invalid-signature"
    assert_nothing_imported(dealt)


def test_import_of_any_shortened_or_altered_bytes_raises(dealt):
    data = dealt.bundle("p1").read_bytes()
    path = dealt.root / "altered.bundle"
    random = SeededRandom("positions")
    for _ in range(40):
        position = random.randbelow(len(data))
        path.write_bytes(data[:position] + bytes([data[position] ^ 1 << random.randbelow(7)]) + data[position + 1 :])
        with pytest.raises((KeyFileError, InvalidSignature, IdentityMismatch, ParameterMismatch)):
            dealt.join(1, path)
        path.write_bytes(data[:position])
        with pytest.raises(KeyFileError):
            dealt.join(1, path)
    assert_nothing_imported(dealt)


def test_import_with_a_certificate_of_another_authority_raises(dealt):
    other = create_authority(FederationName("test"), now=NOW, lifetime=timedelta(days=3650))
    identity = Identity(federation=FederationName("test"), role=Role.PARTY, id=MemberId("p1"))
    certificate = issue(other, dealt.request(1).certificate_request, identity, now=NOW, until=NOW + timedelta(days=365))
    with pytest.raises(Unauthenticated, match="not issued by the federation's authority") as caught:
        dealt.join(1, resigned(dealt, certificate=certificate))
    assert caught.value.code == "unauthenticated"
    with pytest.raises(ParameterMismatch, match="authority's certificate"):
        dealt.join(1, resigned(dealt, certificate=certificate, authority=other.certificate))
    assert_nothing_imported(dealt)


def test_import_with_another_certificate_than_the_rosters_raises(dealt):
    identity = Identity(federation=FederationName("test"), role=Role.PARTY, id=MemberId("p1"))
    certificate = issue(
        founder_keys(dealt).authority,
        dealt.request(1).certificate_request,
        identity,
        now=NOW,
        until=NOW + timedelta(days=365),
    )
    with pytest.raises(IdentityMismatch, match="another certificate under this id"):
        dealt.join(1, resigned(dealt, certificate=certificate))


def test_import_with_an_expired_certificate_raises(dealt):
    with pytest.raises(Unauthenticated, match="expired"):
        dealt.join(1, now=NOW + timedelta(days=4000))
    assert_nothing_imported(dealt)


def test_import_with_another_threshold_key_raises(dealt):
    old = read_bundle(dealt.bundle("p1")).membership.key
    dealt.deal(new_epoch=True)
    with pytest.raises(ParameterMismatch, match="threshold key") as caught:
        dealt.join(1, resigned(dealt, key=old))
    assert caught.value.code == "parameter-mismatch"


def test_import_with_keys_made_again_raises(dealt):
    shutil.rmtree(dealt.party(1).root)
    dealt.make_party(1, dealt.federation.record().fingerprint)
    with pytest.raises(IdentityMismatch, match="another TLS key"):
        dealt.join(1)


def test_import_with_other_member_keys_raises(dealt):
    home, spare = dealt.party(1), dealt.party(8)
    dealt.make_party(8, dealt.federation.record().fingerprint)
    shutil.copy(spare.keys_path, home.keys_path)
    with pytest.raises(IdentityMismatch, match="another signing key"):
        dealt.join(1)


def test_import_with_another_partys_sealed_share_raises(dealt):
    mine, theirs = read_bundle(dealt.bundle("p1")), read_bundle(dealt.bundle("p2"))
    crossed = Bundle.create(mine.membership, theirs.sealed_share, founder_keys(dealt).signing_key)
    path = dealt.root / "crossed.bundle"
    path.write_bytes(crossed.to_bytes())
    with pytest.raises(KeyFileError, match="does not open"):
        dealt.join(1, path)
    empty = Bundle.create(mine.membership, b"", founder_keys(dealt).signing_key)
    path.write_bytes(empty.to_bytes())
    with pytest.raises(KeyFileError, match="holds no key share"):
        dealt.join(1, path)
    assert_nothing_imported(dealt)


def test_import_of_a_second_roster_with_the_same_serial_raises(joined):
    roster = joined.federation.latest_roster().roster
    twin = SignedRoster.create(
        replace(roster, aggregator=replace(roster.aggregator, names=("elsewhere",))), founder_keys(joined).signing_key
    )
    with pytest.raises(Equivocation) as caught:
        joined.join(1, resigned(joined, signed_roster=twin))
    assert caught.value.code == "equivocation"


def test_aggregator_import_pins_the_founder_it_sees_first(dealt):
    first = import_aggregator_bundle(dealt.aggregator, dealt.bundle("aggregator"), now=NOW)
    again = import_aggregator_bundle(dealt.aggregator, dealt.bundle("aggregator"), now=NOW)
    assert (first.is_new, first.was_pinned) == (True, False)
    assert (again.is_new, again.was_pinned) == (False, True)
    assert first.founder == dealt.federation.record().fingerprint


def test_aggregator_import_of_another_founder_than_pinned_raises(dealt):
    (dealt.aggregator.root / "founder").write_text("-".join(["aaaa"] * 8))
    with pytest.raises(IdentityMismatch, match="another founder"):
        import_aggregator_bundle(dealt.aggregator, dealt.bundle("aggregator"), now=NOW)
    assert not (dealt.aggregator.root / "membership.json").exists()


def test_aggregator_import_of_a_partys_bundle_raises(dealt):
    with pytest.raises(IdentityMismatch, match="not for the aggregator aggregator"):
        import_aggregator_bundle(dealt.aggregator, dealt.bundle("p1"), now=NOW)
    assert not (dealt.aggregator.root / "founder").exists()
