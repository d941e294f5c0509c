# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's messages as details of an entry: everything that a third party needs to recompute their signatures.

``evidence`` reads these details. Of a round the entry keeps the protocol version, every field of the session id
with the terms in their canonical form, and of a decryption request each contribution's two digests and signature.

Invariant: only digests and sizes in it depend on the party's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, assert_never

from coterie_common import document
from coterie_common.document import Document
from coterie_common.limits import AUDIT_TOLD_BYTES
from coterie_common.protocol.acceptance import Acceptances, RelayedEncapsulations
from coterie_common.protocol.encrypted_reply import Contribution
from coterie_common.protocol.masked_reply import ReplyList
from coterie_common.protocol.messages import (
    AggregatorMessage,
    DecryptionRequest,
    JobEnd,
    JobProposal,
    ModelDelivery,
    Query,
    Rejection,
    Welcome,
)
from coterie_common.protocol.reason import one_line
from coterie_common.protocol.session import PROTOCOL_VERSION, SessionFields

Details = Mapping[str, Document]
NOTHING_TOLD: Final[Details] = MappingProxyType({})

_LISTS: Final = ("contributions", "contributors", "previous_replies", "parties", "cohort")
"""The lists that make an entry long."""


def told(message: AggregatorMessage) -> Details:
    """Return the facts of a message of the aggregator, and its signature."""
    match message:
        case JobProposal():
            said: dict[str, Document] = {
                "spec_digest": message.spec_digest.hex(),
                "terms_digest": message.terms_digest.hex(),
                "roster_digest": message.roster_digest.hex(),
            }
        case Acceptances():
            said = {"acceptances": message.digest.hex(), "parties": [reply.party_id for reply in message.replies]}
        case Query():
            said = _asked(message.fields) | _listed(message.previous)
        case DecryptionRequest():
            said = _asked(message.fields) | {
                "transcript_digest": message.transcript_digest.hex(),
                "contributors": [contribution.party_id for contribution in message.contributions],
                "contributions": [_contribution(contribution) for contribution in message.contributions],
            }
        case ModelDelivery():
            said = {"model_digest": message.model_digest.hex(), "bytes": len(message.model)}
        case JobEnd():
            said = {"outcome": message.outcome.value, "reason": one_line(message.reason)}
        case RelayedEncapsulations() | Welcome() | Rejection():
            return NOTHING_TOLD
        case _:
            assert_never(message)
    return said | {"aggregator_signature": message.signature.hex()}


def told_briefly(message: AggregatorMessage) -> Details:
    """Return the same for a refused message, without its lists where they are too long.

    Nobody may fill a party's disk with long lists of invented members. Without its lists, a message proves nothing.
    """
    said = dict(told(message))
    for name in _LISTS:
        if len(document.encode(said)) <= AUDIT_TOLD_BYTES:
            break
        said.pop(name, None)
    return said


def _asked(fields: SessionFields) -> dict[str, Document]:
    """Return everything that the session id of a round covers, except job and round, which the entry has itself."""
    return {
        "protocol_version": PROTOCOL_VERSION,
        "session_id": fields.session_id.hex(),
        "roster_digest": fields.roster_digest.hex(),
        "key_epoch": fields.key_epoch,
        "spec_digest": fields.spec_digest.hex(),
        "plan_step": fields.plan_step,
        "body_digest": fields.body_digest.hex(),
        "terms": fields.terms.to_document(),
        "cohort": list(fields.cohort),
        "round_quorum": fields.round_quorum,
        "previous_transcript": fields.previous_transcript.hex(),
        # Only of rounds that are sealed completely, so that the entries of all others stay as they are.
        **({"acceptances": fields.acceptances.hex()} if fields.acceptances else {}),
    }


def _listed(previous: ReplyList | None) -> dict[str, Document]:
    """Return the replies that a query lists; their digest is its previous transcript."""
    if previous is None:
        return {}
    listed: list[Document] = [f"{party_id} {digest.hex()}" for party_id, digest in previous.replies]
    return {"previous_session": previous.session_id.hex(), "previous_replies": listed}


def _contribution(contribution: Contribution) -> str:
    return (contribution.key_part.digest + contribution.padded_digest + contribution.signature).hex()
