# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The founder's folder: its contents, and reading them.

- ``founder.key``: the founder's signing key and the authority's key, locked under one password.
- ``federation.json``: name, parameters, key size, founder's public key, authority's certificate; written last.
- ``register.json``: everybody who was admitted, with request and certificate.
- ``invitations.json``: whom the founder invited, and where the aggregator receives them; no secret.
- ``epochs/N/``: the roster and bundles of key epoch N, renamed into place whole; ``bundles`` links to the newest.
- ``credentials/``: the files that operators and scientists import. ``operator/``: the founder's own credential.

Keep it off the hosts of the aggregator and the parties.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coterie_common import document
from coterie_common.crypto.authority import Authority
from coterie_common.crypto.certificates import TlsKey
from coterie_common.crypto.identity import PUBLIC_BYTES, SEED_BYTES, SigningKey, VerifyKey
from coterie_common.crypto.keystore import lock, unlock
from coterie_common.errors import ConfigurationError, KeyFileError, PeerError, WrongOrderError
from coterie_common.fields import Fields
from coterie_common.files import PRIVATE, read_bytes, write_atomically
from coterie_common.host.folder_lock import locked
from coterie_common.identifiers import FederationName, parse_federation_name
from coterie_common.limits import KEY_BITS, KEY_FILE_BYTES
from coterie_common.membership.membership import CERTIFICATE_LONGEST
from coterie_common.protocol.parameters import FederationParameters, with_all_as_holders
from coterie_common.protocol.roster import SignedRoster, founder_fingerprint
from coterie_common.randomness import RandomSource
from coterie_common.secret import Password

_FORMAT: Final = "coterie-federation"
_VERSION: Final = 2
_FORMER_VERSION: Final = 1
_SECRETS_KIND: Final = "founder-keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationRecord:
    """The public facts of a federation as its founder keeps them."""

    federation: FederationName
    parameters: FederationParameters
    key_bits: int
    founder_key: VerifyKey
    authority: bytes

    @property
    def fingerprint(self) -> str:
        """The founder's fingerprint, which every member pins."""
        return founder_fingerprint(self.founder_key)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document.encode(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "federation": self.federation,
                "parameters": self.parameters.to_document(),
                "key_bits": self.key_bits,
                "founder_key": self.founder_key.encoded.hex(),
                "authority": self.authority.decode("ascii"),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> FederationRecord:
        """Parse, also what an earlier version wrote; raises ``MalformedMessage`` or ``ConfigurationError``."""
        value = document.decode(data, "the federation's record", maximum=KEY_FILE_BYTES)
        is_former = isinstance(value, dict) and value.get("version") == _FORMER_VERSION
        version = _FORMER_VERSION if is_former else _VERSION
        fields = Fields.of_file(value, "the federation's record", _FORMAT, version, cls.__slots__)
        parameters = fields.value("parameters")
        if is_former:
            parameters = with_all_as_holders(parameters)
        return cls(
            federation=parse_federation_name(fields.text("federation", longest=32)),
            parameters=FederationParameters.from_document(parameters),
            key_bits=fields.integer("key_bits", minimum=min(KEY_BITS), maximum=max(KEY_BITS)),
            founder_key=VerifyKey(fields.octets("founder_key", minimum=PUBLIC_BYTES, maximum=PUBLIC_BYTES)),
            authority=fields.text("authority", longest=CERTIFICATE_LONGEST).encode("utf-8"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FounderKeys:
    """The founder's secrets: the key that signs rosters, and the certificate authority."""

    signing_key: SigningKey
    authority: Authority


class FederationHome:
    """Paths and contents of a founder's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.record_path = root / "federation.json"
        self.keys_path = root / "founder.key"
        self.register_path = root / "register.json"
        self.invitations_path = root / "invitations.json"
        self.operator = root / "operator"
        self.credentials = root / "credentials"
        self.epochs = root / "epochs"
        self.bundles = root / "bundles"

    @property
    def is_founded(self) -> bool:
        """True if founding was completed here."""
        return self.record_path.is_file()

    def record(self) -> FederationRecord:
        """Read the federation's public facts.

        Raises:
            WrongOrderError: no federation was founded here.
            KeyFileError: the record is damaged.
        """
        if not self.is_founded:
            raise WrongOrderError(f"{self.root} holds no federation; first run 'coterie found NAME --parties N'")
        data = read_bytes(self.record_path, "the federation's record", maximum=KEY_FILE_BYTES)
        try:
            return FederationRecord.from_bytes(data)
        except (PeerError, ConfigurationError) as cause:
            raise KeyFileError(f"{self.record_path} is damaged: {cause.message}") from cause

    def lock_keys(self, keys: FounderKeys, password: Password, random: RandomSource) -> None:
        """Write the founder's secrets, locked under the password."""
        content: Any = {
            "signing_key": keys.signing_key.seed().hex(),
            "authority_key": keys.authority.key.reveal().decode("ascii"),
        }
        locked = lock(document.encode(content), password, kind=_SECRETS_KIND, random=random)
        write_atomically(self.keys_path, locked, mode=PRIVATE)

    def unlock_keys(self, record: FederationRecord, password: Password) -> FounderKeys:
        """Read the founder's secrets.

        Raises:
            KeyFileError: the file is missing or damaged, the password is wrong, or it is another federation's.
        """
        data = read_bytes(self.keys_path, "the founder's key file", maximum=KEY_FILE_BYTES)
        content = unlock(data, password, kind=_SECRETS_KIND)
        try:
            fields = Fields(
                document.decode(content, "the founder's keys", maximum=KEY_FILE_BYTES),
                "the founder's keys",
                ("signing_key", "authority_key"),
            )
            signing_key = SigningKey(fields.octets("signing_key", minimum=SEED_BYTES, maximum=SEED_BYTES))
            authority_key = TlsKey(fields.text("authority_key", longest=CERTIFICATE_LONGEST).encode("ascii"))
        except PeerError as cause:
            raise KeyFileError(f"{self.keys_path} is damaged: {cause.message}") from cause
        if signing_key.verify_key != record.founder_key:
            raise KeyFileError(f"{self.keys_path} belongs to another federation than {self.record_path}")
        return FounderKeys(
            signing_key=signing_key, authority=Authority(key=authority_key, certificate=record.authority)
        )

    def epoch_folder(self, epoch: int) -> Path:
        """Return the folder of an epoch."""
        return self.epochs / str(epoch)

    def latest_epoch(self) -> int:
        """Return the newest key epoch that was dealt, 0 if none was."""
        if not self.epochs.is_dir():
            return 0
        return max((int(path.name) for path in self.epochs.iterdir() if path.name.isdecimal()), default=0)

    def latest_roster(self) -> SignedRoster | None:
        """Return the newest roster, ``None`` before keys were dealt.

        Raises:
            OldKeyError: an earlier version signed it.
            KeyFileError: it is damaged.
        """
        epoch = self.latest_epoch()
        if not epoch:
            return None
        path = self.epoch_folder(epoch) / "roster.json"
        try:
            return SignedRoster.from_bytes(read_bytes(path, "the roster", maximum=KEY_FILE_BYTES))
        except PeerError as cause:
            raise KeyFileError(f"{path} is damaged: {cause.message}") from cause

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this command.

        Raises:
            WrongOrderError: no federation was founded here.
            ConfigurationError: another command holds it.
        """
        self.record()
        with locked(self.root, "coterie"):
            yield
