# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import shutil
from typing import Any

import pytest

from coterie.credential_folder import load_credential
from coterie.founding.dealing import deal_keys
from coterie_common.crypto.certificates import Role
from coterie_common.crypto.dealer import Dealing
from coterie_common.errors import ConfigurationError, KeyFileError, StateError, WrongOrderError
from coterie_common.membership.bundle import read_bundle
from coterie_party.home.home import load_party_home
from tests.support.ceremony import NOW, PASSWORD, AskPassword, Ceremony, deal_known_primes, make_party_request


def files(ceremony: Ceremony) -> dict[str, bytes]:
    root = ceremony.federation.root
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_deal_before_founding_raises(tmp_path):
    with pytest.raises(WrongOrderError, match="coterie found"):
        Ceremony(tmp_path).deal()


def test_deal_before_admission_names_who_is_missing(founded):
    founded.admit(make_party_request("p1"))
    ask = AskPassword()
    with pytest.raises(WrongOrderError, match=r"2 of 3 parties \(admitted so far: p1\) and the aggregator") as caught:
        founded.deal(ask)
    assert (caught.value.code, ask.asked) == ("wrong-order", 0)


def test_deal_without_the_aggregator_names_it(founded):
    founded.admit(*(make_party_request(name, name) for name in ("p1", "p2", "p3")))
    with pytest.raises(WrongOrderError, match="still to be admitted: the aggregator;"):
        founded.deal()


def test_deal_writes_one_bundle_per_member(admitted):
    dealt = admitted.deal()
    assert dealt.is_new
    assert sorted(path.name for path in dealt.bundles.iterdir()) == [
        "aggregator.bundle",
        "p1.bundle",
        "p2.bundle",
        "p3.bundle",
    ]
    assert read_bundle(admitted.bundle("aggregator")).sealed_share == b""
    assert load_credential(admitted.federation.operator).signed_roster.roster == dealt.roster


def test_deal_again_changes_nothing_and_asks_nothing(joined):
    before, ask = files(joined), AskPassword()
    dealt = joined.deal(ask)
    assert not dealt.is_new
    assert (files(joined), ask.asked) == (before, 0)


def test_deal_that_fails_leaves_nothing_dealt(admitted):
    before = files(admitted)

    def fail(**_: Any) -> Dealing:
        raise StateError("the machine stopped here")

    with pytest.raises(StateError):
        deal_keys(admitted.federation, ask_password=AskPassword(), deal=fail, random=admitted.random, now=NOW)
    assert set(files(admitted)) - set(before) <= {".lock"}
    assert admitted.deal().is_new


def test_deal_that_fails_while_writing_leaves_nothing_dealt(admitted):
    def deal_too_few(**arguments: Any) -> Dealing:
        dealing = deal_known_primes(**arguments)
        return type(dealing)(dealing.key, dealing.shares[:-1])

    with pytest.raises(ValueError, match="shorter"):
        deal_keys(admitted.federation, ask_password=AskPassword(), deal=deal_too_few, random=admitted.random, now=NOW)
    assert admitted.federation.latest_epoch() == 0
    assert list(admitted.federation.epochs.iterdir()) == []
    assert not admitted.federation.bundles.exists()


def test_deal_removes_what_a_killed_run_left(admitted):
    leftover = admitted.federation.epochs / ".dealing-left"
    leftover.mkdir(parents=True)
    (leftover / "roster.json").write_text("half")
    admitted.deal()
    assert not leftover.exists()


def test_deal_again_after_a_crash_completes_link_and_credential(joined):
    joined.federation.bundles.unlink()
    (joined.federation.operator / "credential.json").unlink()
    dealt = joined.deal()
    assert not dealt.is_new
    assert joined.bundle("p1").is_file()
    assert load_credential(joined.federation.operator).signed_roster.roster == dealt.roster


def test_deal_with_lost_bundles_does_not_deal_the_same_epoch_again(joined):
    shutil.rmtree(joined.federation.epoch_folder(1) / "bundles")
    assert not joined.deal().is_new
    assert not joined.bundle("p1").exists()


def test_deal_a_new_epoch_raises_serial_and_epoch_and_keeps_the_old(joined):
    old = joined.federation.latest_roster().roster
    dealt = joined.deal(new_epoch=True)
    assert (dealt.roster.serial, dealt.roster.key_epoch) == (2, 2)
    assert dealt.roster.key_digest != old.key_digest
    assert (joined.federation.epoch_folder(1) / "bundles" / "p1.bundle").is_file()
    assert read_bundle(joined.bundle("p1")).membership.roster == dealt.roster
    assert load_credential(joined.federation.operator).signed_roster.roster == dealt.roster


def test_new_epoch_replaces_the_old_at_a_party_and_never_goes_back(joined):
    old = joined.root / "old.bundle"
    shutil.copy(joined.bundle("p1"), old)
    joined.deal(new_epoch=True)
    assert joined.join(1).is_new
    with pytest.raises(ConfigurationError, match="never goes back"):
        joined.join(1, old)
    loaded = load_party_home(joined.party(1).root, PASSWORD, now=NOW)
    assert loaded.signed_roster.roster.key_epoch == 2


def test_party_whose_old_membership_was_put_back_neither_starts_nor_imports_an_old_bundle(joined):
    home, old = joined.party(1), joined.root / "old.bundle"
    membership = home.federation().root / "membership.json"
    shutil.copy(joined.bundle("p1"), old)
    before = membership.read_bytes()
    joined.deal(new_epoch=True)
    joined.join(1)
    membership.write_bytes(before)
    with pytest.raises(KeyFileError, match="holds the share of epoch 2") as refusal:
        load_party_home(home.root, PASSWORD, now=NOW)
    assert refusal.value.code == "key-file"
    membership.unlink()
    with pytest.raises(KeyFileError, match="never goes back"):
        joined.join(1, old)
    # The newest bundle repairs it.
    joined.join(1)
    assert load_party_home(home.root, PASSWORD, now=NOW).signed_roster.roster.serial == 2


def test_new_epoch_takes_in_a_replaced_party(joined):
    founder = joined.federation.record().fingerprint
    shutil.rmtree(joined.party(2).root)
    joined.admit(joined.make_party(2, founder), role=Role.PARTY, replace=True)
    joined.deal(new_epoch=True)
    assert joined.join(2).index == 2
