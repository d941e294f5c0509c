# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What an eavesdropper sees, and who gets in."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import pytest

from coterie_common.secret import Password
from coterie_party.home.home import load_party_home
from tests.support.running import RunningFederation

TLS_HANDSHAKE = b"\x16\x03"
CLIENT_HELLO = 1


def test_connections_open_with_client_hello_and_carry_nothing_in_clear(running):
    job_id = running.submit()
    assert running.finish(job_id)["state"] == "completed"

    assert len(running.first_bytes) >= len(running.parties)
    for first in running.first_bytes.values():
        assert first[:2] == TLS_HANDSHAKE
        assert first[5] == CLIENT_HELLO

    recorded = [b"".join(pieces) for pieces in running.recorded.values()]
    assert sum(map(len, recorded)) > 100_000
    for what, marker in _markers(running, job_id).items():
        assert not any(marker in stream for stream in recorded), what


def _markers(running: RunningFederation, job_id: str) -> dict[str, bytes]:
    """Return bytes that would show in the streams if they went out unencrypted."""
    home = running.party_folder("party-1") / "home"
    password = (running.party_folder("party-1") / "password").read_text().strip().encode()
    member = load_party_home(home, Password(password), now=datetime.now(UTC))
    share = member.share.to_bytes(member.key)
    model = running.model_of("party-1", job_id).read_bytes()
    return {
        "a level that stands in data and job": b"slightly_prob",
        "the job": job_id.encode(),
        "the model": model[100:160],
        "the share": share[8:40],
        "the share in hexadecimal": share[8:40].hex().encode(),
        "a ciphertext's key": member.key.public_key.modulus.to_bytes(256, "big")[:32],
    }


def test_client_of_another_authority_gets_a_stable_code(running, tmp_path):
    (tmp_path / "password").write_text("another\n")
    (tmp_path / "password").chmod(0o600)
    done = running.run(
        "coterie", "found", "other", "--parties", 3, "--key-bits", 2048, "--password-file", "password", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    stranger = tmp_path / "federation/operator"
    done = running.run("coterie", "parties", "--aggregator", f"localhost:{running.port}", "--credential", stranger)
    assert done.returncode != 0
    assert "[unauthenticated]" in done.stderr
    assert "Traceback" not in done.stderr


def test_party_with_another_partys_id_is_turned_away(running, tmp_path):
    impostor = tmp_path / "home"
    shutil.copytree(running.party_folder("party-2") / "home", impostor, ignore=shutil.ignore_patterns("store", ".lock"))
    config = impostor / "party.toml"
    config.write_text(config.read_text().replace('id = "party-2"', 'id = "party-3"'))
    done = running.run(
        "coterie-party", "run", "--home", impostor, "--password-file", running.party_folder("party-2") / "password"
    )
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1, done.stderr
    assert "[key-file]" in done.stderr


@pytest.mark.parametrize("arguments", [("jobs", "list"), ("parties",), ("models", "list")])
def test_operator_without_credential_gets_one_clear_line(running, tmp_path, arguments):
    missing = tmp_path / "nowhere"
    done = running.run(
        "coterie", *arguments, "--aggregator", f"localhost:{running.port}", "--credential", missing, folder=tmp_path
    )
    assert done.returncode == 78
    assert done.stderr.strip().count("\n") == 0, done.stderr
