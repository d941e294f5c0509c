# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A job that is sealed completely, over real daemons: no decryption, and no secrets left on any disk."""

from __future__ import annotations

from pathlib import Path


def test_job_that_is_sealed_completely_completes_and_leaves_no_secrets(running):
    for party in running.parties:
        policy = running.party_folder(party) / "home/policy.toml"
        text = "".join(line for line in policy.read_text().splitlines(True) if not line.startswith("sealings"))
        policy.write_text('sealings = ["threshold", "complete"]\n' + text)

    job_id = running.submit(sealing="complete")
    status = running.finish(job_id)
    assert status["state"] == "completed", status
    for party in running.parties:
        running.wait_until(running.model_of(party, job_id).exists, f"the model at {party}")
        assert running.rows(party, "replies", job_id) == 2
        assert running.rows(party, "partials", job_id) == running.rows(party, "transcripts", job_id) == 0
        folder = running.party_folder(party) / "home/ephemeral"

        def is_empty(folder: Path = folder) -> bool:
            return not [path for path in folder.rglob("*") if path.is_file()]

        running.wait_until(is_empty, f"{party} to erase its secrets")
