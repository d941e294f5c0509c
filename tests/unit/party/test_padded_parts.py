# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import stat
from dataclasses import replace

import pytest

from coterie_common.errors import AlreadyAnswered, StateError, StorageError
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import PaddedPart
from coterie_common.protocol.padded_part import padded_digest
from coterie_common.rpc.content import Ready, WithContent
from coterie_common.wire.federation import party_message_to_wire
from coterie_party.store.files.padded_parts import PaddedParts
from tests.support.rounds import make_contribution

JOB, OTHER = JobId("job-1"), JobId("job-2")
CONTENT = bytes(range(256)) * 5000


def keep(padded: PaddedParts, job_id: JobId = JOB, number: int = 1, content: bytes = CONTENT) -> None:
    draft = padded.begin(job_id, number)
    for start in range(0, len(content), 1 << 20):
        draft.write(content[start : start + (1 << 20)])
    draft.commit()


def content_of(padded: PaddedParts, job_id: JobId = JOB, number: int = 1) -> bytes | None:
    stream = padded.open(job_id, number)
    if stream is None:
        return None
    with stream:
        return stream.read()


def test_a_padded_part_is_there_once_it_is_committed_also_after_a_restart(tmp_path):
    padded = PaddedParts(tmp_path / "padded")
    assert padded.size(JOB, 1) is None
    assert padded.open(JOB, 1) is None
    draft = padded.begin(JOB, 1)
    draft.write(CONTENT)
    assert padded.size(JOB, 1) is None
    draft.commit()
    for again in (padded, PaddedParts(tmp_path / "padded")):
        assert again.size(JOB, 1) == len(CONTENT)
        assert content_of(again) == CONTENT
        assert again.size(JOB, 2) is None


def test_files_and_folders_are_their_owners_alone(tmp_path):
    keep(PaddedParts(tmp_path / "padded"))
    paths = [tmp_path / "padded", *(tmp_path / "padded").rglob("*")]
    assert {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in paths} == {True: 0o700, False: 0o600}


def test_where_nothing_is_written_committing_leaves_no_padded_part(tmp_path):
    padded = PaddedParts(tmp_path / "padded")
    padded.begin(JOB, 1).commit()
    assert padded.size(JOB, 1) is None


def test_beginning_removes_what_a_crash_left_and_nothing_else(tmp_path):
    padded = PaddedParts(tmp_path / "padded")
    keep(padded, number=11)
    left, other = padded.begin(JOB, 1), padded.begin(JOB, 2)
    left.write(b"half of i")
    other.write(b"another round's")
    again = PaddedParts(tmp_path / "padded").begin(JOB, 1)
    again.write(CONTENT)
    again.commit()
    other.commit()
    assert content_of(padded) == CONTENT
    assert content_of(padded, number=2) == b"another round's"
    assert sorted(path.name for path in (tmp_path / "padded" / JOB).iterdir()) == ["1", "11", "2"]


def test_a_padded_part_whose_reply_was_never_recorded_gives_way_to_the_next(tmp_path):
    padded = PaddedParts(tmp_path / "padded")
    keep(padded, content=b"never sent")
    keep(padded)
    assert content_of(padded) == CONTENT


def test_what_was_called_off_never_becomes_a_file(tmp_path):
    padded = PaddedParts(tmp_path / "padded")
    draft = padded.begin(JOB, 1)
    draft.write(CONTENT)
    draft.discard()
    with pytest.raises(StateError):
        draft.commit()
    assert list((tmp_path / "padded" / JOB).iterdir()) == []


def test_a_job_that_is_over_is_deleted_and_no_other(tmp_path):
    padded = PaddedParts(tmp_path / "padded")
    padded.delete_job(JOB)
    for job_id in (JOB, OTHER):
        keep(padded, job_id)
    stream = padded.open(JOB, 1)
    assert stream is not None
    padded.delete_job(JOB)
    padded.delete_job(JOB)
    assert padded.size(JOB, 1) is None
    assert content_of(padded, OTHER) == CONTENT
    # An upload that is under way is not disturbed.
    with stream:
        assert stream.read() == CONTENT


def test_where_the_file_system_refuses_it_raises(tmp_path):
    (tmp_path / "padded").write_text("no folder")
    padded = PaddedParts(tmp_path / "padded")
    for act in (padded.begin, padded.size, padded.open):
        with pytest.raises(StorageError):
            act(JOB, 1)
    with pytest.raises(StorageError, match="cannot delete"):
        padded.delete_job(JOB)


def reply_naming(content: bytes) -> EncryptedReply:
    contribution = replace(make_contribution(PartyId("party-1"), b"\1"), padded_digest=padded_digest(content))
    return EncryptedReply(job_id=JOB, round_number=1, session_id=bytes(32), contribution=contribution)


def test_a_stored_reply_goes_out_after_its_padded_part(tmp_path):
    padded = PaddedParts(tmp_path / "padded")
    keep(padded)
    stored = party_message_to_wire(reply_naming(CONTENT))
    part, reply = padded.outgoing(stored)
    assert reply == Ready(stored)
    assert isinstance(part, WithContent)
    assert part.message == PaddedPart(
        job_id=JOB, round_number=1, session_id=bytes(32), party_id=PartyId("party-1"), size=len(CONTENT)
    )
    assert (part.length, part.digest) == (len(CONTENT), padded_digest(CONTENT))
    stream = part.open()
    assert stream is not None
    with stream:
        assert stream.read() == CONTENT
    padded.delete_job(JOB)
    assert part.open() is None


def test_what_has_no_padded_part_goes_out_alone(tmp_path):
    stored = party_message_to_wire(reply_naming(b""))
    assert PaddedParts(tmp_path).outgoing(stored) == (Ready(stored),)


def test_what_was_deleted_is_never_made_again(tmp_path):
    padded = PaddedParts(tmp_path / "padded")
    for stored in (None, party_message_to_wire(reply_naming(CONTENT))):
        with pytest.raises(AlreadyAnswered, match="never made again"):
            padded.outgoing(stored)


def test_delete_before_leaves_the_later_ones(tmp_path):
    parts = PaddedParts(tmp_path / "padded")
    for number in (1, 2, 3):
        draft = parts.begin(JobId("job-1"), number)
        draft.write(b"part")
        draft.commit()
    parts.delete_before(JobId("job-1"), 3)
    assert [parts.size(JobId("job-1"), number) for number in (1, 2, 3)] == [None, None, 4]
    parts.delete_before(JobId("job-1"), 3)
    parts.delete_before(JobId("job-2"), 3)
