# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace

import pytest

from coterie_common.errors import Equivocation, MalformedMessage
from coterie_common.identifiers import JobId
from coterie_common.protocol.messages import ModelDelivery
from coterie_party.live.models import keep_model
from tests.support.models import make_model

MODEL = make_model()
JOB = JobId(MODEL.lineage.job_id)
SPEC = bytes.fromhex(MODEL.lineage.job_spec_digest)
ALLOWED = (MODEL.algorithm,)


def delivery(model: bytes = MODEL.to_bytes(), job_id: JobId = JOB) -> ModelDelivery:
    return ModelDelivery(job_id=job_id, model=model, signature=bytes(64))


def test_keep_model_writes_the_very_bytes_into_a_private_folder(tmp_path):
    folder = tmp_path / "models"
    path = keep_model(folder, delivery(), SPEC, ALLOWED).path
    assert path == folder / "tennis-1.json"
    assert path.read_bytes() == MODEL.to_bytes()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in folder.iterdir()] == ["tennis-1.json"]


def test_keep_model_again_changes_nothing(tmp_path):
    path = keep_model(tmp_path, delivery(), SPEC, ALLOWED).path
    before = path.stat()
    assert keep_model(tmp_path, delivery(), SPEC, ALLOWED).path == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_keep_model_of_another_content_raises_and_keeps_the_first(tmp_path):
    path = keep_model(tmp_path, delivery(), SPEC, ALLOWED).path
    with pytest.raises(Equivocation) as refusal:
        keep_model(tmp_path, delivery(replace(MODEL, name="golf").to_bytes()), SPEC, ALLOWED)
    assert refusal.value.code == "equivocation"
    assert path.read_bytes() == MODEL.to_bytes()


@pytest.mark.parametrize(
    ("message", "spec"),
    [
        (delivery(b"{}"), SPEC),
        (delivery(MODEL.to_bytes() + b" "), SPEC),
        (delivery(job_id=JobId("tennis-2")), SPEC),
        (delivery(), bytes(32)),
    ],
    ids=["no model", "not canonical", "another job", "another specification"],
)
def test_keep_model_of_what_does_not_fit_the_job_raises_and_writes_nothing(tmp_path, message, spec):
    with pytest.raises(MalformedMessage) as refusal:
        keep_model(tmp_path / "models", message, spec, ALLOWED)
    assert refusal.value.code == "malformed-message"
    assert not (tmp_path / "models").exists()


def test_unfinished_model_is_marked_and_no_other_model_takes_its_place(tmp_path):
    unfinished = MODEL.lineage.model_copy(update={"unfinished": "cancelled", "rounds_planned": 9})
    kept = keep_model(tmp_path, delivery(replace(MODEL, lineage=unfinished).to_bytes()), SPEC, ALLOWED)
    assert (kept.path.name, kept.is_finished) == ("tennis-1.unfinished.json", False)
    with pytest.raises(Equivocation):
        keep_model(tmp_path, delivery(), SPEC, ALLOWED)
    assert [file.name for file in tmp_path.iterdir()] == [kept.path.name]
