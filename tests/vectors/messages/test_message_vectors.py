# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Signed messages keep their bytes on the wire, and their signatures the bytes that they cover."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from coterie_common.crypto.identity import SigningKey
from coterie_common.protocol import acceptance as a
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.signed import UNSIGNED, Signed
from coterie_common.wire.federation import aggregator_message_from_wire, party_message_from_wire
from tests.vectors.messages.make_vectors import FOLDER, FROM_PARTIES, to_wire, vectors

FILES = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_message_of_a_vector_verifies_and_is_signed_alike(file):
    vector = json.loads(file.read_text())
    key, data = SigningKey(bytes.fromhex(vector["seed"])), bytes.fromhex(vector["wire"])
    from_party = vector["message"] in {kind.__name__ for kind in FROM_PARTIES}
    message = party_message_from_wire(data) if from_party else aggregator_message_from_wire(data)
    assert (type(message).__name__, to_wire(message)) == (vector["message"], data)
    if isinstance(message, EncryptedReply):
        contribution, session_id = message.contribution, message.session_id
        contribution.verify(key.verify_key, session_id)
        assert replace(contribution, signature=UNSIGNED).signed_by(key, session_id) == contribution
        return
    if isinstance(message, a.Encapsulations | a.RelayedEncapsulations):
        for each in message.encapsulations:
            each.verify(key.verify_key)
            assert replace(each, signature=UNSIGNED).signed_by(key) == each
        return
    assert isinstance(message, Signed)
    message.verify(key.verify_key)
    assert replace(message, signature=UNSIGNED).signed_by(key) == message


def test_vectors_hold_every_message_that_bears_a_signature():
    named = {json.loads(file.read_text())["message"] for file in FILES}
    # Two kinds of signed statements travel in another message alone.
    carried = {"Encapsulation": {"Encapsulations", "RelayedEncapsulations"}, "Contribution": {"EncryptedReply"}}
    signed = {kind.__name__ for kind in Signed.__subclasses__()}
    assert named == (signed - carried.keys()).union(*carried.values())


def test_generator_makes_exactly_these_vectors():
    assert dict(vectors()) == {file.stem: json.loads(file.read_text()) for file in FILES}
