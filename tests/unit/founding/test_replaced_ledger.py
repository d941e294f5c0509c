# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A machine that takes over from another one starts with that one's ledger, or somebody says that there is none."""

from __future__ import annotations

import shutil

import pytest

from coterie_common.crypto.certificates import Role
from coterie_party.cli import main


@pytest.fixture
def replaced(joined):
    founder = joined.federation.record().fingerprint
    shutil.rmtree(joined.party(2).root)
    joined.admit(joined.make_party(2, founder), role=Role.PARTY, replace=True)
    joined.deal(new_epoch=True)
    return joined


def import_keys(ceremony, capsys, tmp_path, *options):
    password = tmp_path / "password"
    password.write_text("x")
    password.chmod(0o600)
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "keys",
                "import",
                str(ceremony.bundle("p2")),
                "--home",
                str(ceremony.party(2).root),
                "--password-file",
                str(password),
                *options,
            ]
        )
    return ended.value.code, capsys.readouterr().err


def test_bundle_of_a_later_epoch_in_a_folder_without_a_ledger_is_refused_without_a_word(replaced, capsys, tmp_path):
    status, error = import_keys(replaced, capsys, tmp_path)
    assert status == 78
    assert "the privacy ledger in" in error
    assert "--ledger FILE" in error
    assert not list(replaced.party(2).shares.glob("*.key"))


def test_bundle_of_a_later_epoch_goes_in_with_a_word(replaced, capsys, tmp_path):
    # The password of the ceremony is another one: the ledger is no reason to refuse any more.
    _, error = import_keys(replaced, capsys, tmp_path, "--empty-ledger")
    assert "privacy ledger" not in error
