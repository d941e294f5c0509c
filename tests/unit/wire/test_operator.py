# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from coterie_common.errors import MalformedMessage
from coterie_common.wire import operator as wire
from coterie_common.wire.pb import operator_pb2 as pb
from tests.support.message_strategies import job_statuses, model_infos, party_statuses


@given(job_statuses)
def test_job_status_round_trip_is_equal(status):
    assert wire.job_status_from_wire(wire.job_status_to_wire(status)) == status


@given(party_statuses)
def test_party_status_round_trip_is_equal(status):
    assert wire.party_status_from_wire(wire.party_status_to_wire(status)) == status


@given(model_infos)
def test_model_info_round_trip_is_equal(info):
    assert wire.model_info_from_wire(wire.model_info_to_wire(info)) == info


def test_missing_and_unknown_fields_are_malformed():
    cases: list[tuple[Callable[[Any], object], object]] = [
        (wire.job_status_from_wire, pb.JobStatus(job_id="a")),
        (wire.party_status_from_wire, pb.PartyStatus(index=1)),
        (wire.model_info_from_wire, pb.ModelInfo(job_id="a")),
        (wire.submission_from_wire, pb.SubmitJobRequest()),
        (wire.job_id_from_wire, pb.WatchJobRequest(job_id="A b")),
        (wire.job_id_from_wire, pb.CancelJobRequest.FromString(b"\x0a\x01a\xf8\x07\x01")),
    ]
    for convert, message in cases:
        with pytest.raises(MalformedMessage):
            convert(message)
