# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The enrolment request: one file in which an applicant asks the founder for admission with their own public keys.

It only proposes role, id and host names; the authority writes them into the certificate, together with the
federation's name, which the applicant need not know. Each private key proves its possession: the TLS key signs the
certificate request, which is bound to everything else, and the signing key signs that certificate request. So nobody
can be enrolled with somebody else's key. (A sealing key is proven later: without it the share does not open.)

People verify the origin of a request: the founder and the applicant compare its fingerprint.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coterie_common import document
from coterie_common.address import DNS_NAME_LONGEST, parse_host_name
from coterie_common.crypto.authority import check_request, create_request
from coterie_common.crypto.certificates import Role, TlsKey
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.identity import PUBLIC_BYTES, SIGNATURE_BYTES, SigningKey, VerifyKey
from coterie_common.errors import ConfigurationError, KeyFileError, MalformedMessage, PeerError
from coterie_common.fields import Fields
from coterie_common.files import read_bytes
from coterie_common.fingerprint import readable_fingerprint
from coterie_common.identifiers import MemberId, parse_member_id
from coterie_common.limits import KEY_FILE_BYTES, MAX_HOST_NAMES

_FORMAT: Final = "coterie-enrolment-request"
_VERSION: Final = 1
_PEM_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """The identity and keys that an applicant asks to be enrolled with.

    Attributes:
        role: party, aggregator, operator or scientist.
        id: unique in the federation.
        names: host names and addresses; one to sixteen for an aggregator, none for others.
        verify_key: Ed25519 key of its messages; parties and aggregators only.
        sealing_key: X25519 key for its share; parties only.

    Raises:
        MalformedMessage: names or keys that do not fit the role.
    """

    role: Role
    id: MemberId
    names: tuple[str, ...] = ()
    verify_key: VerifyKey | None = None
    sealing_key: bytes | None = None

    def __post_init__(self) -> None:
        signs = self.role in (Role.PARTY, Role.AGGREGATOR)
        if signs != (self.verify_key is not None) or (self.role is Role.PARTY) != (self.sealing_key is not None):
            raise MalformedMessage(f"the keys in the request are not those of a {self.role.value}")
        if (self.role is Role.AGGREGATOR) != bool(self.names) or len(self.names) > MAX_HOST_NAMES:
            raise MalformedMessage(f"an aggregator has 1 to {MAX_HOST_NAMES} host names, every other role none")

    @property
    def digest(self) -> bytes:
        """The digest that the certificate request is bound to."""
        verify_key = self.verify_key.encoded if self.verify_key else None
        return tuple_hash(Label.REQUEST_BINDING, self.role.value, self.id, self.names, verify_key, self.sealing_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRequest:
    """An applicant with proofs that the keys are its own; ``from_bytes`` returns only requests whose proofs hold.

    Attributes:
        applicant: the applicant and the requested role.
        certificate_request: PEM, signed by the TLS key and bound to the applicant.
        signature: of the signing key over the certificate request; empty for roles without one.
    """

    applicant: Applicant
    certificate_request: bytes
    signature: bytes

    @classmethod
    def create(cls, applicant: Applicant, tls_key: TlsKey, signing_key: SigningKey | None) -> EnrolmentRequest:
        """Ask to be enrolled; ``signing_key`` belongs to ``applicant.verify_key``."""
        certificate_request = create_request(tls_key, binding=applicant.digest)
        signature = signing_key.sign(Label.CERTIFICATE_REQUEST, certificate_request) if signing_key else b""
        return cls(applicant=applicant, certificate_request=certificate_request, signature=signature)

    @property
    def fingerprint(self) -> str:
        """The fingerprint that founder and applicant compare."""
        return readable_fingerprint(Label.REQUEST_FINGERPRINT, self.to_bytes())

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        applicant = self.applicant
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "role": applicant.role.value,
            "id": applicant.id,
            "names": list(applicant.names),
            "verify_key": applicant.verify_key.encoded.hex() if applicant.verify_key else "",
            "sealing_key": (applicant.sealing_key or b"").hex(),
            "certificate_request": self.certificate_request.decode("ascii"),
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_document(cls, value: Any) -> EnrolmentRequest:
        """Parse a request and check every proof in it.

        Raises:
            MalformedMessage: not a request, or the certificate request is not bound to it.
            InvalidSignature: the signing key did not sign it.
        """
        names = ("role", "id", "names", "verify_key", "sealing_key", "certificate_request", "signature")
        fields = Fields.of_file(value, "the enrolment request", _FORMAT, _VERSION, names)
        request = cls(
            applicant=_applicant(fields),
            certificate_request=fields.text("certificate_request", longest=_PEM_LONGEST).encode("utf-8"),
            signature=fields.octets("signature", minimum=0, maximum=SIGNATURE_BYTES),
        )
        check_request(request.certificate_request, binding=request.applicant.digest)
        if request.applicant.verify_key:
            request.applicant.verify_key.verify(
                request.signature, Label.CERTIFICATE_REQUEST, request.certificate_request
            )
        elif request.signature:
            raise MalformedMessage("the enrolment request has a signature but no key for it")
        return request

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of the request file."""
        return document.encode(self.to_document())

    @classmethod
    def from_bytes(cls, data: bytes) -> EnrolmentRequest:
        """Parse a request file and check every proof in it; raises as ``from_document`` does."""
        return cls.from_document(document.decode(data, "the enrolment request", maximum=KEY_FILE_BYTES))


def refuse_former_request(folder: Path) -> None:
    """Refuse a folder of an earlier version, whose request would not be found, so that no second key is made beside it.

    Raises:
        ConfigurationError: there is one; the message says how to keep it.
    """
    for former in sorted(folder.glob("*.csr")):
        raise ConfigurationError(f"{former} was written by an earlier version; rename it to {former.stem}.request")


def read_request(path: Path) -> EnrolmentRequest:
    """Read a request file of any role and check its proofs.

    Raises:
        ConfigurationError: it is missing.
        KeyFileError: it is not a request, or it was altered.
    """
    data = read_bytes(path, "the enrolment request", maximum=KEY_FILE_BYTES)
    try:
        return EnrolmentRequest.from_bytes(data)
    except PeerError as cause:
        raise KeyFileError(f"{path} cannot be used: {cause.message}") from cause


def _applicant(fields: Fields) -> Applicant:
    verify_key = fields.octets("verify_key", minimum=0, maximum=PUBLIC_BYTES)
    sealing_key = fields.octets("sealing_key", minimum=0, maximum=PUBLIC_BYTES)
    if len(sealing_key) not in (0, PUBLIC_BYTES):
        raise MalformedMessage(f"sealing_key of the enrolment request must have {PUBLIC_BYTES} bytes")
    try:
        return Applicant(
            role=Role(fields.text("role", longest=16)),
            id=parse_member_id(fields.text("id", longest=32)),
            names=tuple(
                _canonical(name) for name in fields.texts("names", maximum=MAX_HOST_NAMES, longest=DNS_NAME_LONGEST)
            ),
            verify_key=VerifyKey(verify_key) if verify_key else None,
            sealing_key=sealing_key or None,
        )
    except (ConfigurationError, ValueError) as cause:
        raise MalformedMessage("the enrolment request has a malformed role, id or host name") from cause


def _canonical(name: Any) -> str:
    if parse_host_name(name) != name:
        raise MalformedMessage("a host name of the enrolment request is not in its canonical form")
    return str(name)
