# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The one hash of the protocol: TupleHash256 (NIST SP 800-185) with a label per purpose.

TupleHash frames its strings, so no two different tuples meet by concatenation. Every list or structure enters as the
TupleHash of its own items, never flattened; every item carries its type, so that 1, "1" and b"1" differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeAlias, Union

from Crypto.Hash import TupleHash256

DIGEST_BYTES: Final = 32

Item: TypeAlias = Union[bytes, str, int, "Sequence[Item]", None]


class Label(StrEnum):
    """Domain separation labels: one per purpose, never reused, version in the name."""

    LIST = "coterie/list/1"
    PUBLIC_KEY = "coterie/public-key/2"
    THRESHOLD_KEY = "coterie/threshold-key/2"
    KEY_RECORD_CHECK = "coterie/key-record-check/1"
    KEY_MAKING = "coterie/key-making/1"
    ROSTER = "coterie/roster/2"
    ROSTER_SIGNATURE = "coterie/roster-signature/1"
    SHARE_DELIVERY = "coterie/share-delivery/1"
    CERTIFICATE_REQUEST = "coterie/certificate-request/1"
    REQUEST_BINDING = "coterie/request-binding/1"
    BUNDLE = "coterie/bundle/1"
    CREDENTIAL = "coterie/credential/1"
    FOUNDER_FINGERPRINT = "coterie/founder-fingerprint/1"
    REQUEST_FINGERPRINT = "coterie/request-fingerprint/1"
    INVITATION = "coterie/invitation/1"
    INVITATION_SIGNATURE = "coterie/invitation-signature/1"
    INVITATION_SEED = "coterie/invitation-seed/1"
    INVITATION_KEY = "coterie/invitation-key/1"
    INVITATION_TEXT = "coterie/invitation-text/1"
    APPLICATION = "coterie/application/1"
    APPLICATION_CHANNEL = "coterie/application-channel/1"
    REQUEST = "coterie/request/1"
    PUBLISHED = "coterie/published/1"
    PHRASE = "coterie/phrase/1"
    DESK_GREETING = "coterie/desk-greeting/1"
    DESK_ORDER = "coterie/desk-order/1"
    JOB_SPEC = "coterie/job-spec/1"
    JOB_TERMS = "coterie/job-terms/1"
    PROPOSAL = "coterie/proposal/1"
    JOB_REPLY = "coterie/job-reply/2"
    ACCEPTANCE = "coterie/acceptance/1"
    ACCEPTANCES = "coterie/acceptances/1"
    ACCEPTANCES_SIGNATURE = "coterie/acceptances-signature/1"
    ENCAPSULATION = "coterie/encapsulation/1"
    MASKED_REPLY = "coterie/masked-reply/1"
    MASKED_REPLY_DIGEST = "coterie/masked-reply-digest/1"
    REPLY_LIST = "coterie/reply-list/1"
    QUERY_BODY = "coterie/query-body/1"
    QUERY_SIGNATURE = "coterie/query-signature/1"
    SESSION = "coterie/session/1"
    CONTRIBUTION = "coterie/contribution/1"
    KEY_PART = "coterie/key-part/1"
    PADDED_PART = "coterie/padded-part/1"
    TRANSCRIPT = "coterie/transcript/1"
    TRANSCRIPT_SIGNATURE = "coterie/transcript-signature/1"
    TRANSCRIPT_RECEIPT = "coterie/transcript-receipt/1"
    PARTIAL_DECRYPTION = "coterie/partial-decryption/2"
    PARTIAL_DECRYPTION_PROOF = "coterie/partial-decryption-proof/2"
    PARTIAL_DECRYPTION_WEIGHT = "coterie/partial-decryption-weight/2"
    PLAINTEXT_KNOWLEDGE = "coterie/plaintext-knowledge/1"
    MODEL = "coterie/model/1"
    MODEL_DELIVERY = "coterie/model-delivery/1"
    MODEL_RECEIPT = "coterie/model-receipt/1"
    JOB_END = "coterie/job-end/1"
    FRAME = "coterie/frame/1"
    SET_ASIDE = "coterie/set-aside/1"
    PAD = "coterie/pad/1"
    PAIR = "coterie/pair/1"
    MASK = "coterie/mask/1"
    MASKED_PART = "coterie/masked-part/1"
    GENERATION_PARAMETERS = "coterie/generation-parameters/1"
    GENERATION_SESSION = "coterie/generation-session/1"
    GENERATION_MESSAGE = "coterie/generation-message/1"
    GENERATION_BODY = "coterie/generation-body/1"
    GENERATION_STEP = "coterie/generation-step/1"
    GENERATION_CHANNEL = "coterie/generation-channel/1"
    GENERATION_SEAL = "coterie/generation-seal/1"
    GENERATION_PART = "coterie/generation-part/1"
    GENERATION_SALTED_PART = "coterie/generation-salted-part/1"
    GENERATION_LEAF = "coterie/generation-leaf/1"
    GENERATION_LEAVES = "coterie/generation-leaves/1"
    GENERATION_BASE = "coterie/generation-base/1"
    GENERATION_COMMITMENT = "coterie/generation-commitment/1"
    GENERATION_BASES = "coterie/generation-bases/1"
    GENERATION_TRIAL = "coterie/generation-trial/1"
    AUDIT_ENTRY = "coterie/audit-entry/1"
    AUDIT_SIGNATURE = "coterie/audit-signature/1"
    AUDIT_MESSAGE = "coterie/audit-message/1"
    AUDIT_LEDGER = "coterie/audit-ledger/1"


def tuple_hash(label: Label, *items: Item, digest_bytes: int = DIGEST_BYTES) -> bytes:
    """Hash a tuple under a label.

    Args:
        label: the purpose of the digest.
        items: bytes, text, integers of any size and sign, ``None``, or sequences of these, nested as deep as needed.
        digest_bytes: length of the result; 8 or more.

    Source: NIST SP 800-185, TupleHash256; the label is its customisation string.
    """
    state = TupleHash256.new(digest_bytes=digest_bytes, custom=label.encode())
    for item in items:
        state.update(_framed(item))
    return bytes(state.digest())


def long_hash(label: Label, content: bytes) -> bytes:
    """Hash content that may be long: its length and its SHA-256 enter the one hash of the protocol.

    Processors have instructions for SHA-256; TupleHash alone takes five times as long, and copies its input. Every
    receiver of content in pieces computes the same hash.
    """
    return tuple_hash(label, len(content), hashlib.sha256(content).digest())


class LongDigest:
    """``long_hash`` of content that comes piece by piece; the cuts make no difference."""

    def __init__(self, label: Label) -> None:
        self._label = label
        self._content = hashlib.sha256()
        self._bytes = 0

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Add the next piece."""
        self._content.update(piece)
        self._bytes += len(piece)

    def digest(self) -> bytes:
        """Return the digest of all pieces so far."""
        return tuple_hash(self._label, self._bytes, self._content.digest())


def challenge(label: Label, *items: Item, bits: int) -> int:
    """Return an integer below ``2**bits`` derived from the tuple; ``bits`` a multiple of 8, at least 64."""
    return int.from_bytes(tuple_hash(label, *items, digest_bytes=bits // 8), "big")


def _framed(item: Item) -> bytes:
    if isinstance(item, bytes):
        return b"b" + item
    if isinstance(item, str):
        return b"s" + item.encode("utf-8")
    if item is None:
        return b"n"
    if isinstance(item, int):
        return b"i" + item.to_bytes(item.bit_length() // 8 + 1, "big", signed=True)
    return b"l" + tuple_hash(Label.LIST, *item)
