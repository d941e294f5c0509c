# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The bundle that the founder hands to one member after dealing the keys.

A membership and, for a party, its key share sealed to its sealing key. The founder signs both together. The share is
bound to the roster, the party's index and the key epoch: it does not open anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coterie_common import document
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.identity import SIGNATURE_BYTES, SealingKey, SigningKey, seal_to
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey
from coterie_common.errors import KeyFileError, OldKeyError, PeerError
from coterie_common.fields import Fields
from coterie_common.files import read_bytes
from coterie_common.limits import KEY_FILE_BYTES
from coterie_common.membership.membership import Membership, is_former_file
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.roster.members import Member

_FORMAT: Final = "coterie-bundle"
_VERSION: Final = 2
_MAX_SHARE_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One member's bundle; nothing in it is trusted before ``verify``.

    Attributes:
        membership: certificate, authority, signed roster, threshold key.
        sealed_share: the party's share, sealed to it; empty for the aggregator.
        signature: the founder's, over membership and sealed share.
    """

    membership: Membership
    sealed_share: bytes
    signature: bytes

    @classmethod
    def create(cls, membership: Membership, sealed_share: bytes, founder: SigningKey) -> Bundle:
        """Put a bundle together and sign it as the founder."""
        signature = founder.sign(Label.BUNDLE, membership.to_bytes(), sealed_share)
        return cls(membership=membership, sealed_share=sealed_share, signature=signature)

    def verify(self, founder: str) -> None:
        """Check that the founder with this fingerprint made it; raises as ``Membership.verify`` does."""
        self.membership.verify(founder)
        key = self.membership.signed_roster.founder_key
        key.verify(self.signature, Label.BUNDLE, self.membership.to_bytes(), self.sealed_share)

    def open_share(self, member: Member, sealing_key: SealingKey) -> KeyShare:
        """Open the share and check it against its verification key, after ``verify``.

        Args:
            member: the party's own entry in the bundle's roster.
            sealing_key: the party's.

        Raises:
            KeyFileError: the share is missing, does not open, or is not the share of that index.
        """
        if not self.sealed_share:
            raise KeyFileError("the bundle holds no key share: it is not a party's")
        info, associated = _delivery(self.membership.roster, member)
        share = KeyShare.from_bytes(
            self.membership.key, sealing_key.open(self.sealed_share, info=info, associated=associated)
        )
        if share.index != self.membership.roster.holder_index(member.party_id):
            raise KeyFileError("the key share in the bundle has another index than in the roster")
        return share

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of the bundle file."""
        return document.encode(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "membership": self.membership.to_document(),
                "sealed_share": self.sealed_share.hex(),
                "signature": self.signature.hex(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Bundle:
        """Parse a bundle file without verifying.

        Raises:
            OldKeyError: it was made by an earlier version.
            MalformedMessage: it is no bundle.
        """
        value = document.decode(data, "the bundle", maximum=KEY_FILE_BYTES)
        if is_former_file(value, _FORMAT):
            raise OldKeyError("the bundle")
        fields = Fields.of_file(value, "the bundle", _FORMAT, _VERSION, cls.__slots__)
        return cls(
            membership=Membership.from_document(fields.value("membership")),
            sealed_share=fields.octets("sealed_share", minimum=0, maximum=_MAX_SHARE_BYTES),
            signature=fields.octets("signature", minimum=SIGNATURE_BYTES, maximum=SIGNATURE_BYTES),
        )


def seal_share(share: KeyShare, key: ThresholdPublicKey, roster: Roster, member: Member) -> bytes:
    """Seal a share to its owner.

    Security: HPKE in base mode; the bundle's signature authenticates the sealer.
    """
    info, associated = _delivery(roster, member)
    return seal_to(member.sealing_key, share.to_bytes(key), info=info, associated=associated)


def _delivery(roster: Roster, member: Member) -> tuple[bytes, bytes]:
    index = roster.holder_index(member.party_id)
    associated = tuple_hash(Label.SHARE_DELIVERY, roster.digest, index, roster.key_epoch)
    return Label.SHARE_DELIVERY.encode(), associated


def read_bundle(path: Path) -> Bundle:
    """Read a bundle file without verifying it.

    Raises:
        ConfigurationError: the file is missing.
        OldKeyError: an earlier version made it.
        KeyFileError: it is not a bundle, or it is damaged.
    """
    data = read_bytes(path, "the bundle", maximum=KEY_FILE_BYTES)
    try:
        return Bundle.from_bytes(data)
    except OldKeyError:
        raise
    except (PeerError, KeyFileError) as cause:
        raise KeyFileError(f"{path} is no bundle, or damaged: {cause.message}") from cause
