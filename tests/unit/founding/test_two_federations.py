# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One folder belongs to the federations of two founders, in turn, with one ledger over the same data."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from coterie_common.crypto.certificates import Role
from coterie_common.errors import ConfigurationError, IdentityMismatch, KeyFileError, StorageError, WrongOrderError
from coterie_common.fingerprint import printed_fingerprint
from coterie_common.host.database import open_database
from coterie_common.identifiers import PartyId
from coterie_common.membership.file import MEMBERSHIP_NAME
from coterie_common.protocol.roster import Roster
from coterie_party.home import federation_folder
from coterie_party.home.federation_folder import FederationFolder, move_former
from coterie_party.home.home import PartyHome, load_party_home
from coterie_party.policy.budget import charges, total
from coterie_party.store import MIGRATIONS, AskedStep, PartyStore, Reservation
from tests.support.ceremony import NOW, PASSWORD, Ceremony, make_party_request
from tests.support.recorders import make_recorder
from tests.unit.party.test_budget import LIMIT, gaussian
from tests.unit.party.test_ledger_record import JOB


@pytest.fixture(scope="module")
def _both_folders(_founded_folder: Path, _joined_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first federation has dealt twice and p1 is in the second epoch; p1 is admitted to the other one, too."""
    root = tmp_path_factory.mktemp("both") / "all"
    shutil.copytree(_joined_folder, root / "first", symlinks=True)
    first, other = Ceremony(root / "first"), Ceremony(root / "other")
    first.deal(new_epoch=True)
    first.join(1)
    other.found()
    other.admit(first.request(1), *(make_party_request(name, name) for name in ("p2", "p3")))
    other.admit(other.make_aggregator(None), role=Role.AGGREGATOR)
    other.deal()
    return root


@pytest.fixture
def both(_both_folders: Path, tmp_path: Path) -> tuple[Ceremony, Ceremony]:
    shutil.copytree(_both_folders, tmp_path / "all", symlinks=True)
    return Ceremony(tmp_path / "all" / "first"), Ceremony(tmp_path / "all" / "other")


def founder(ceremony: Ceremony) -> str:
    return ceremony.federation.record().fingerprint


def pin(home: PartyHome, fingerprint: str) -> None:
    """As the steward does it."""
    text = home.config_path.read_text()
    mine = printed_fingerprint(home.config().founder)
    home.config_path.write_text(text.replace(mine, printed_fingerprint(fingerprint)))


def loaded(home: PartyHome) -> Roster:
    return load_party_home(home.root, PASSWORD, now=NOW).signed_roster.roster


def test_folder_takes_part_in_two_federations_in_turn_each_with_its_own_serials_and_shares(both):
    first, other = both
    home = first.party(1)
    assert loaded(home).serial == 2
    pin(home, founder(other))
    with pytest.raises(WrongOrderError, match="no membership of the founder that"):
        loaded(home)
    joined = first.join(1, other.bundle("p1"))
    assert (joined.is_new, joined.roster.serial, joined.index) == (True, 1, 1)
    assert loaded(home) == other.federation.latest_roster().roster
    # And back, without another import; the older roster of one founder stays refused.
    pin(home, founder(first))
    assert loaded(home) == first.federation.latest_roster().roster
    old = first.federation.epoch_folder(1) / "bundles" / "p1.bundle"
    with pytest.raises(ConfigurationError, match="never goes back"):
        first.join(1, old)
    (home.federation().root / MEMBERSHIP_NAME).unlink()
    with pytest.raises(KeyFileError, match="never goes back"):
        first.join(1, old)
    first.join(1)
    assert loaded(home).serial == 2
    # Shares of one epoch lie apart, and differ.
    paths = [FederationFolder(home.root, founder(each)).share_path(1) for each in both]
    assert len({path.read_bytes() for path in paths}) == 2


def test_bundle_of_another_founder_than_the_pinned_one_is_refused(both):
    first, other = both
    with pytest.raises(IdentityMismatch, match="another founder"):
        first.join(1, other.bundle("p1"))
    assert [path.name for path in (first.party(1).root / "federations").iterdir()] == [founder(first)]


def test_ledger_counts_what_both_federations_asked(both):
    root = both[0].party(1).root
    (root / "store").mkdir()
    engine = open_database(f"sqlite:///{root}/store/party.db", MIGRATIONS)
    cost = gaussian("0.01").to_document()
    for number, ceremony in enumerate(both, 1):
        store = PartyStore(engine, founder(ceremony), make_recorder(founder(ceremony), PartyId("p1")))
        # One name in both: jobs and promises are kept apart, what they cost adds up.
        store.record_job(JOB, [Reservation(1, cost), Reservation(2, cost)])
        store.accept_query(
            JOB.job_id, 1, bytes([number]) * 32, [PartyId("p1"), PartyId("p2"), PartyId("p3")], AskedStep(step=1)
        )
        assert len(store.jobs()) == 1
        assert total(charges(store.ledger(JOB.dataset), LIMIT, NOW)).squared_distance == Fraction(2 * number, 100)
    engine.dispose()


def as_earlier_versions_had_it(home: PartyHome) -> None:
    folder = home.federation()
    shutil.move(folder.root / MEMBERSHIP_NAME, home.root / MEMBERSHIP_NAME)
    shutil.move(folder.shares, home.root / "shares")
    shutil.rmtree(home.root / "federations")


def test_folder_without_its_configuration_makes_no_new_keys(both):
    home = both[0].party(1)
    home.config_path.unlink()
    with pytest.raises(ConfigurationError, match="would destroy the ones that were admitted"):
        both[0].make_party(1, founder(both[0]))


def test_folder_of_an_earlier_version_is_read_where_it_is_and_moved_by_the_next_import(both):
    first, other = both
    home = first.party(1)
    as_earlier_versions_had_it(home)
    assert loaded(home).serial == 2
    assert not first.join(1).is_new
    assert (home.root / MEMBERSHIP_NAME).is_file()
    with pytest.raises(ConfigurationError, match="never goes back"):
        first.join(1, first.federation.epoch_folder(1) / "bundles" / "p1.bundle")
    # The import for another founder moves it to its own.
    pin(home, founder(other))
    with pytest.raises(WrongOrderError, match="no membership of the founder"):
        loaded(home)
    assert first.join(1, other.bundle("p1")).is_new
    assert not (home.root / MEMBERSHIP_NAME).exists()
    assert not list((home.root / "shares").glob("*"))
    pin(home, founder(first))
    assert loaded(home).serial == 2


@pytest.mark.parametrize("moved", range(4))
def test_folder_that_was_moved_half_is_found_whole(both, monkeypatch, moved):
    home = both[0].party(1)
    as_earlier_versions_had_it(home)
    left = iter(range(moved))

    def stop(_: Path) -> None:
        if next(left, None) is None:
            raise OSError(28, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(federation_folder, "sync_folder", stop)
        with pytest.raises(StorageError):
            move_former(home.root, home.config().founder)
    assert loaded(home).serial == 2
    with pytest.raises(KeyFileError, match="holds the share of epoch 2"):
        home.federation().check_not_older(1)
    move_former(home.root, home.config().founder)
    assert loaded(home).serial == 2
    assert sorted(path.name for path in home.federation().shares.iterdir()) == ["1.key", "2.key"]
