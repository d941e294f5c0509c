# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What nobody in a federation can do: with every key share in hand, look into single replies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from coterie_common.crypto import threshold
from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import Message, Query
from coterie_common.protocol.session import SessionFields
from tests.support.federation import Federation


def sealed_vector(
    federation: Federation, reply: EncryptedReply, fields: SessionFields, padded: bytes = b""
) -> NDArray[np.int64]:
    """Return the noised integers that a party sealed, with the errors of its pad, if any; Int64[length]."""
    key, sealing = federation.dealing.key, federation.sealing(fields.terms)
    ciphertexts = sealing.check_ciphertexts(reply.contribution.key_part)
    shares = federation.dealing.shares[: key.decryption_threshold]
    partials = {share.index: threshold.partial_decrypt(key, share, ciphertexts) for share in shares}
    total = sealing.new_padded_sum(fields.session_id)
    total.add(padded)
    return sealing.open(threshold.combine(key, ciphertexts, partials), 1, total)


def sum_of_replies(
    federation: Federation,
    messages: Iterable[tuple[str, Message]],
    round_number: int,
    padded: Mapping[PartyId, bytes] = MappingProxyType({}),
) -> list[float]:
    """Return the sum of all replies to one round among ``messages``, each opened by itself, in unscaled units.

    ``padded`` are their padded parts, where they have any.
    """
    said = [message for _, message in messages]
    fields = next(m.fields for m in said if isinstance(m, Query) and m.fields.round_number == round_number)
    replies = {
        m.contribution.party_id: m for m in said if isinstance(m, EncryptedReply) and m.round_number == round_number
    }
    vectors = [sealed_vector(federation, reply, fields, padded.get(who, b"")) for who, reply in replies.items()]
    total = np.sum(vectors, axis=0)
    return list(fields.terms.encoding.decode(total))
