# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The entries of the roster: a party, and the aggregator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coterie_common.address import DNS_NAME_LONGEST, parse_host_name
from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.crypto.identity import PUBLIC_BYTES, VerifyKey
from coterie_common.errors import ConfigurationError, MalformedMessage
from coterie_common.fields import Fields
from coterie_common.identifiers import MemberId, PartyId, parse_member_id
from coterie_common.limits import MAX_HOST_NAMES, MAX_PARTIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One party in the roster.

    Attributes:
        party_id: stable id, as in its certificate.
        index: 1-based place among the members.
        certificate_fingerprint: SHA-256 of its TLS certificate.
        verify_key: checks the signatures of its messages.
        sealing_key: X25519 public key to which its share was sealed.
    """

    party_id: PartyId
    index: int
    certificate_fingerprint: bytes
    verify_key: VerifyKey
    sealing_key: bytes

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "party_id": self.party_id,
            "index": self.index,
            "certificate_fingerprint": self.certificate_fingerprint.hex(),
            "verify_key": self.verify_key.encoded.hex(),
            "sealing_key": self.sealing_key.hex(),
        }

    @classmethod
    def from_document(cls, value: Any) -> Member:
        """Parse; raises ``MalformedMessage``."""
        fields = Fields(value, "a member of the roster", cls.__slots__)
        return cls(
            party_id=PartyId(read_member_id(fields.text("party_id", longest=32))),
            index=fields.integer("index", minimum=1, maximum=MAX_PARTIES),
            certificate_fingerprint=fields.octets(
                "certificate_fingerprint", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES
            ),
            verify_key=read_verify_key(fields, "verify_key"),
            sealing_key=fields.octets("sealing_key", minimum=PUBLIC_BYTES, maximum=PUBLIC_BYTES),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorMember:
    """The aggregator in the roster.

    Attributes:
        id: stable id, as in its certificate.
        names: host names and addresses that its certificate is valid for.
        certificate_fingerprint: SHA-256 of its TLS certificate.
        verify_key: checks the signatures of its messages.

    Raises:
        MalformedMessage: no host name, or a malformed one.
    """

    id: MemberId
    names: tuple[str, ...]
    certificate_fingerprint: bytes
    verify_key: VerifyKey

    def __post_init__(self) -> None:
        try:
            canonical = tuple(map(parse_host_name, self.names))
        except ConfigurationError as cause:
            raise MalformedMessage("a host name of the aggregator is malformed") from cause
        if not canonical or canonical != self.names:
            raise MalformedMessage("the aggregator must have host names, each in its canonical form")

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "id": self.id,
            "names": list(self.names),
            "certificate_fingerprint": self.certificate_fingerprint.hex(),
            "verify_key": self.verify_key.encoded.hex(),
        }

    @classmethod
    def from_document(cls, value: Any) -> AggregatorMember:
        """Parse; raises ``MalformedMessage``."""
        fields = Fields(value, "the aggregator of the roster", cls.__slots__)
        return cls(
            id=read_member_id(fields.text("id", longest=32)),
            names=fields.texts("names", maximum=MAX_HOST_NAMES, longest=DNS_NAME_LONGEST),
            certificate_fingerprint=fields.octets(
                "certificate_fingerprint", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES
            ),
            verify_key=read_verify_key(fields, "verify_key"),
        )


def read_verify_key(fields: Fields, name: str) -> VerifyKey:
    """Return an Ed25519 public key; raises ``MalformedMessage``."""
    return VerifyKey(fields.octets(name, minimum=PUBLIC_BYTES, maximum=PUBLIC_BYTES))


def read_member_id(text: str) -> MemberId:
    """Return an id in its canonical form; raises ``MalformedMessage``."""
    try:
        return parse_member_id(text)
    except ConfigurationError as cause:
        raise MalformedMessage("an id in the roster is malformed") from cause
