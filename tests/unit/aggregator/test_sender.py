# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whichever way a kind of message names a party, it must be its sender."""

from __future__ import annotations

import pytest
from hypothesis import given

from coterie_aggregator.service.sender import check_sender
from coterie_common.errors import IdentityMismatch, UnexpectedMessage
from coterie_common.identifiers import PartyId
from coterie_common.protocol.messages import Hello, Rejection
from tests.support.message_strategies import party_messages

STRANGER = PartyId("a-stranger-with-a-name-of-its-own")


def named_in(message: object) -> str | None:
    """The party id somewhere in a message of a party."""
    found: str | None = getattr(getattr(message, "contribution", message), "party_id", None)
    return found


@given(party_messages)
def test_message_passes_under_its_senders_id_alone(message):
    if isinstance(message, Hello):
        with pytest.raises(UnexpectedMessage):
            check_sender(message.party_id, message)
        return
    if isinstance(message, Rejection):
        assert named_in(message) is None
        check_sender(STRANGER, message)
        return
    assert named_in(message) is not None
    check_sender(PartyId(str(named_in(message))), message)
    with pytest.raises(IdentityMismatch) as refused:
        check_sender(STRANGER, message)
    assert (refused.value.code, refused.value.culprits) == ("identity-mismatch", (STRANGER,))
