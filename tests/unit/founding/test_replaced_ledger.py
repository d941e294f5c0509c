# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A machine that takes over from another one starts with that one's ledger, or somebody says that there is none."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from coterie_common.crypto.certificates import Role
from coterie_party.cli import main
from coterie_party.cli.steward_view import open_lines
from coterie_party.home.home import PartyHome
from coterie_party.steward.ledger_file import LedgerFile
from coterie_party.store.records import LedgerEntry
from tests.support.ceremony import NOW, PASSWORD, Ceremony
from tests.unit.party.test_budget import COMMITTED, entry, gaussian

Lines = tuple[Mapping[str, Sequence[LedgerEntry]], Mapping[str, bytes]]


@pytest.fixture
def replaced(joined: Ceremony) -> Ceremony:
    founder = joined.federation.record().fingerprint
    shutil.rmtree(joined.party(2).root)
    joined.admit(joined.make_party(2, founder), role=Role.PARTY, replace=True)
    joined.deal(new_epoch=True)
    return joined


def import_keys(
    ceremony: Ceremony, capsys: pytest.CaptureFixture[str], tmp_path: Path, *options: Path | str, index: int = 2
) -> tuple[str | int | None, str]:
    password = tmp_path / "password"
    password.write_bytes(PASSWORD.reveal())
    password.chmod(0o600)
    home, bundle = ceremony.party(index).root, ceremony.bundle(f"p{index}")
    with pytest.raises(SystemExit) as ended:
        main(["keys", "import", str(bundle), "--home", str(home), "--password-file", str(password), *map(str, options)])
    return ended.value.code, capsys.readouterr().err


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """What the lost machine spent, as it was exported."""
    line = entry(gaussian("0.01"), COMMITTED)
    LedgerFile({"play": (line,)}, {"play": b"s" * 32}).write(tmp_path / "ledger.json")
    return tmp_path / "ledger.json"


def ledger(home: PartyHome) -> Lines:
    with open_lines(home.root) as lines:
        return lines.everything()


def test_bundle_of_a_later_epoch_in_a_folder_without_a_ledger_is_refused_without_a_word(replaced, capsys, tmp_path):
    status, error = import_keys(replaced, capsys, tmp_path)
    assert status == 78
    assert "the privacy ledger in" in error
    assert "--ledger FILE" in error
    assert not list(replaced.party(2).federation().shares.glob("*.key"))


def test_bundle_of_a_later_epoch_goes_in_with_the_ledger_of_the_lost_machine(replaced, capsys, tmp_path, exported):
    home = replaced.party(2)
    assert import_keys(replaced, capsys, tmp_path, "--ledger", exported)[0] == 0
    assert ledger(home) == ledger_of(exported)
    assert home.federation().share_path(2).is_file()
    # Again without a word: it is imported.
    assert import_keys(replaced, capsys, tmp_path)[0] == 0


def test_bundle_is_not_imported_with_a_ledger_that_was_altered(replaced, capsys, tmp_path, exported):
    exported.write_bytes(exported.read_bytes().replace(b"committed", b"releaseD"))
    status, error = import_keys(replaced, capsys, tmp_path, "--ledger", exported)
    assert (status, "was altered" in error) == (78, True)
    assert not list(replaced.party(2).federation().shares.glob("*.key"))


def test_bundle_of_a_later_epoch_goes_in_with_a_word(replaced, capsys, tmp_path):
    assert import_keys(replaced, capsys, tmp_path, "--empty-ledger")[0] == 0
    assert replaced.party(2).federation().share_path(2).is_file()


def test_later_epoch_in_a_folder_with_an_older_share_asks_where_the_ledger_is_empty(joined, capsys, tmp_path, exported):
    joined.deal(new_epoch=True)
    status, error = import_keys(joined, capsys, tmp_path, index=1)
    assert (status, "the privacy ledger in" in error) == (78, True)
    assert not joined.party(1).federation().share_path(2).is_file()
    with open_lines(joined.party(1).root) as lines:
        lines.add(*ledger_of(exported), NOW)
    # Far enough: the ledger is no reason to refuse any more.
    joined.party(1).keys_path.unlink()
    assert "privacy ledger" not in import_keys(joined, capsys, tmp_path, index=1)[1]


def ledger_of(file: Path) -> Lines:
    found = LedgerFile.read(file)
    return found.entries, found.salts
