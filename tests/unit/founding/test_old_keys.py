# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A federation whose key an earlier version dealt: refused everywhere with one code, until a new epoch is dealt."""

import shutil

import pytest

from coterie.credential_folder import load_credential
from coterie.founding.leaving import members
from coterie_aggregator.home.home import load_aggregator_home
from coterie_aggregator.home.joining import import_bundle as import_aggregator_bundle
from coterie_common.errors import ConfigurationError, KeyFileError, OldKeyError
from coterie_common.membership.bundle import read_bundle
from coterie_party.home.home import load_party_home
from tests.support.ceremony import NOW, PARTIES, PASSWORD, Ceremony
from tests.support.former_files import make_dealt, make_former


@pytest.fixture
def former(joined: Ceremony) -> Ceremony:
    make_former(joined)
    return joined


@pytest.fixture
def dealt(joined: Ceremony) -> Ceremony:
    make_dealt(joined)
    return joined


USES = {
    "the party's daemon": lambda c: load_party_home(c.party(1).root, PASSWORD, now=NOW),
    "the aggregator's daemon": lambda c: load_aggregator_home(c.aggregator.root, now=NOW),
    "a party's import": lambda c: c.join(1),
    "the aggregator's import": lambda c: import_aggregator_bundle(c.aggregator, c.bundle("aggregator"), now=NOW),
    "a bundle": lambda c: read_bundle(c.bundle("p2")),
    "a credential": lambda c: load_credential(c.federation.operator),
    "the founder's roster": lambda c: c.federation.latest_roster(),
    "the founder's list of members": lambda c: members(c.federation),
    "dealing without a new epoch": lambda c: c.deal(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_every_use_of_an_old_key_is_refused_with_the_way_out(former, use):
    with pytest.raises(OldKeyError, match="coterie keys deal --new-epoch") as refusal:
        use(former)
    assert refusal.value.code == "old-key"
    assert isinstance(refusal.value, KeyFileError)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_every_use_of_a_roster_that_knew_dealt_keys_only_is_refused_with_the_way_out(dealt, use):
    with pytest.raises(OldKeyError, match="coterie keys deal --new-epoch") as refusal:
        use(dealt)
    assert refusal.value.code == "old-key"


def test_parameters_of_the_federation_are_kept(former, joined):
    parameters = former.federation.record().parameters
    assert (parameters.parties, parameters.key_holders) == (PARTIES, PARTIES)
    assert parameters.holder_corruption_bound == parameters.corruption_bound


def check_new_epoch_brings_everybody_back(ceremony: Ceremony) -> None:
    dealt = ceremony.deal(new_epoch=True)
    assert (dealt.roster.serial, dealt.roster.key_epoch) == (2, 2)
    ceremony.join_everybody()
    loaded = load_party_home(ceremony.party(1).root, PASSWORD, now=NOW)
    assert loaded.signed_roster.roster == dealt.roster
    assert load_aggregator_home(ceremony.aggregator.root, now=NOW).key == loaded.key
    assert load_credential(ceremony.federation.operator).signed_roster.roster == dealt.roster
    assert [entry.index for entry in members(ceremony.federation)][:PARTIES] == list(range(1, PARTIES + 1))


def test_new_epoch_brings_everybody_back(former):
    check_new_epoch_brings_everybody_back(former)


def test_new_epoch_brings_everybody_back_whose_roster_knew_dealt_keys_only(dealt):
    check_new_epoch_brings_everybody_back(dealt)


@pytest.mark.parametrize("make_old", [make_former, make_dealt])
def test_serial_of_an_old_roster_still_counts(joined, make_old):
    # A new federation under the same founder begins at 1 again: no member goes back to that.
    bundle = joined.root / "first.bundle"
    shutil.copy(joined.bundle("p1"), bundle)
    aggregators = joined.root / "first-aggregator.bundle"
    shutil.copy(joined.bundle("aggregator"), aggregators)
    make_old(joined)
    for importing in (
        lambda: joined.join(1, bundle),
        lambda: import_aggregator_bundle(joined.aggregator, aggregators, now=NOW),
    ):
        with pytest.raises(ConfigurationError, match="never goes back to an older roster"):
            importing()


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format":"coterie-membership","version":1}'])
def test_old_membership_that_is_damaged_is_called_damaged(former, damage):
    (former.aggregator.root / "membership.json").write_bytes(damage)
    with pytest.raises(KeyFileError, match="is damaged") as refusal:
        load_aggregator_home(former.aggregator.root, now=NOW)
    assert refusal.value.code == "key-file"
