# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The credential of an operator or scientist: a certificate, the authority, the roster once there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from coterie_common import document
from coterie_common.crypto.certificates import Identity, TlsKey, check_belongs, identity_of
from coterie_common.crypto.hashing import Label
from coterie_common.crypto.identity import PUBLIC_BYTES, SIGNATURE_BYTES, SigningKey, VerifyKey
from coterie_common.errors import IdentityMismatch
from coterie_common.fields import Fields
from coterie_common.fingerprint import printed_fingerprint
from coterie_common.limits import KEY_FILE_BYTES
from coterie_common.membership.membership import CERTIFICATE_LONGEST
from coterie_common.protocol.roster import SignedRoster, founder_fingerprint

_FORMAT: Final = "coterie-credential"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCredential:
    """The founder's answer to a person's request; nothing in it is trusted before ``verify``.

    Attributes:
        certificate: the person's, PEM.
        authority: the authority's, PEM.
        founder_key: the founder's public key.
        signed_roster: the roster, once keys have been dealt.
        signature: the founder's, over all of it.
    """

    certificate: bytes
    authority: bytes
    founder_key: VerifyKey
    signed_roster: SignedRoster | None
    signature: bytes

    @classmethod
    def create(
        cls, certificate: bytes, authority: bytes, signed_roster: SignedRoster | None, founder: SigningKey
    ) -> IssuedCredential:
        """Put a credential together and sign it as the founder."""
        roster_bytes = signed_roster.to_bytes() if signed_roster else b""
        return cls(
            certificate=certificate,
            authority=authority,
            founder_key=founder.verify_key,
            signed_roster=signed_roster,
            signature=founder.sign(Label.CREDENTIAL, certificate, authority, roster_bytes),
        )

    def verify(self, founder: str) -> None:
        """Check that the founder with this fingerprint issued it.

        Raises:
            IdentityMismatch: another founder issued it.
            InvalidSignature: it was altered.
        """
        signed_by = founder_fingerprint(self.founder_key)
        if signed_by != founder:
            raise IdentityMismatch(
                f"the credential is another founder's than the pinned one: its founder's fingerprint is "
                f"{printed_fingerprint(signed_by)}, pinned here is {printed_fingerprint(founder)}"
            )
        roster_bytes = self.signed_roster.to_bytes() if self.signed_roster else b""
        self.founder_key.verify(self.signature, Label.CREDENTIAL, self.certificate, self.authority, roster_bytes)
        if self.signed_roster:
            self.signed_roster.verify(founder)

    def verify_owner(self, founder: str, key: TlsKey) -> Identity:
        """Check that this founder issued it for this key, and return the identity that it gives.

        Raises:
            IdentityMismatch: another founder's, or for another key.
            InvalidSignature: it was altered.
        """
        self.verify(founder)
        check_belongs(self.certificate, key)
        return identity_of(self.certificate)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of the credential file."""
        roster: Any = self.signed_roster.to_document() if self.signed_roster else None
        return document.encode(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "certificate": self.certificate.decode("ascii"),
                "authority": self.authority.decode("ascii"),
                "founder_key": self.founder_key.encoded.hex(),
                "signed_roster": roster,
                "signature": self.signature.hex(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> IssuedCredential:
        """Parse a credential file without verifying; raises ``MalformedMessage``."""
        value = document.decode(data, "the credential", maximum=KEY_FILE_BYTES)
        fields = Fields.of_file(value, "the credential", _FORMAT, _VERSION, cls.__slots__)
        roster = fields.value("signed_roster")
        return cls(
            certificate=fields.text("certificate", longest=CERTIFICATE_LONGEST).encode("utf-8"),
            authority=fields.text("authority", longest=CERTIFICATE_LONGEST).encode("utf-8"),
            founder_key=VerifyKey(fields.octets("founder_key", minimum=PUBLIC_BYTES, maximum=PUBLIC_BYTES)),
            signed_roster=None if roster is None else SignedRoster.from_document(roster),
            signature=fields.octets("signature", minimum=SIGNATURE_BYTES, maximum=SIGNATURE_BYTES),
        )
