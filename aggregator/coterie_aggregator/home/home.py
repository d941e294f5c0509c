# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's folder: its contents, how it is created, how it is loaded.

- ``tls.key``, ``signing.key``: unencrypted, 0600, so that the service starts by itself; neither opens a reply.
- ``ID.request``: the enrolment request, for the founder.
- ``token``: the invitation by which it was made, 0600; proves to other guests of the founder that it is the aggregator.
- ``enrolment/``: what applicants handed in, and what the founder published for them.
- ``founder``: the founder's fingerprint, pinned when the folder is made or by the first bundle.
- ``aggregator.toml``: configuration, written last when the folder is made.
- ``membership.json``: certificate, roster and threshold key, after the import of a bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coterie_aggregator.home.config import FILE_NAME, TEMPLATE, AggregatorConfig
from coterie_common.address import ENROLMENT_PORT, parse_host_name
from coterie_common.crypto.certificates import Role, make_tls_key
from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.threshold import ThresholdPublicKey
from coterie_common.errors import ConfigurationError, KeyFileError, PeerError, WrongOrderError
from coterie_common.files import PRIVATE, make_private_folder, write_atomically
from coterie_common.host.config import load
from coterie_common.identifiers import MemberId
from coterie_common.membership.enrolment import Applicant, EnrolmentRequest, read_request, refuse_former_request
from coterie_common.membership.file import MEMBERSHIP_NAME, require_membership, require_no_membership
from coterie_common.membership.founder_pin import check_pin, pin_founder, pinned_founder
from coterie_common.membership.invitations.token import Token
from coterie_common.membership.key_files import (
    read_private,
    read_signing_key,
    read_tls_key,
    write_signing_key,
    write_tls_key,
)
from coterie_common.membership.membership import OwnKeys, TlsCredentials
from coterie_common.protocol.roster import SignedRoster
from coterie_common.randomness import RandomSource


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorMembership:
    """Everything that the aggregator needs to serve, verified.

    Attributes:
        config: ``aggregator.toml``.
        signed_roster: in force, signed by the pinned founder.
        key: the threshold public key.
        signing_key: the aggregator's own.
        tls: for serving.
    """

    config: AggregatorConfig
    signed_roster: SignedRoster
    key: ThresholdPublicKey
    signing_key: SigningKey
    tls: TlsCredentials


class AggregatorHome:
    """Paths and contents of the aggregator's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config_path = root / FILE_NAME
        self.tls_key_path = root / "tls.key"
        self.signing_key_path = root / "signing.key"
        self.token_path = root / "token"
        self.desk = root / "enrolment"

    @property
    def is_initialised(self) -> bool:
        """Whether ``create`` was completed here."""
        return self.config_path.is_file()

    @property
    def is_member(self) -> bool:
        """Whether a bundle was imported here."""
        return (self.root / MEMBERSHIP_NAME).is_file()

    def config(self) -> AggregatorConfig:
        """Read ``aggregator.toml``.

        Raises:
            WrongOrderError: the folder was not made yet.
            ConfigurationError: something in it cannot be used.
        """
        if not self.is_initialised:
            raise WrongOrderError(
                f"{self.root.absolute()} is no aggregator's folder; name yours with --home FOLDER, or, for a new"
                " aggregator, run 'coterie-aggregator init --name HOST' first"
            )
        return load(AggregatorConfig, self.config_path, "the configuration")

    def request_path(self, aggregator_id: str) -> Path:
        """Path of the enrolment request."""
        return self.root / f"{aggregator_id}.request"

    def create(
        self,
        aggregator_id: MemberId,
        names: Sequence[str],
        founder: str | None,
        *,
        random: RandomSource,
        enrolment_port: int = ENROLMENT_PORT,
    ) -> EnrolmentRequest:
        """Make the aggregator's keys, its request and its configuration; the configuration is written last.

        Args:
            aggregator_id: the id asked for.
            names: host names and addresses under which parties reach it.
            founder: the founder's fingerprint to pin, canonical; ``None`` trusts the first bundle imported.
            random: source of the signing key.
            enrolment_port: for those who have an invitation.

        Raises:
            ConfigurationError: a name is neither a host name nor an address, or the folder already belongs to a member.
        """
        signing_key, tls_key = SigningKey.generate(random), make_tls_key()
        applicant = Applicant(
            role=Role.AGGREGATOR,
            id=aggregator_id,
            names=tuple(dict.fromkeys(map(parse_host_name, names))),
            verify_key=signing_key.verify_key,
        )
        request = EnrolmentRequest.create(applicant, tls_key, signing_key)
        require_no_membership(self.root, self.config_path)
        make_private_folder(self.root)
        write_tls_key(self.tls_key_path, tls_key)
        write_signing_key(self.signing_key_path, signing_key)
        if founder is not None:
            pin_founder(self.root, founder)
        write_atomically(self.request_path(aggregator_id), request.to_bytes())
        config = TEMPLATE.format(id=aggregator_id)
        if enrolment_port != ENROLMENT_PORT:
            line = f'enrolment = "0.0.0.0:{ENROLMENT_PORT}"'
            config = config.replace(f"# {line}", line.replace(str(ENROLMENT_PORT), str(enrolment_port)))
        write_atomically(self.config_path, config.encode("utf-8"))
        return request

    def keep_token(self, token: Token) -> None:
        """Keep the token by which this aggregator was invited; raises ``StorageError``."""
        write_atomically(self.token_path, f"{token.reveal()}\n".encode("ascii"), mode=PRIVATE)

    def token(self) -> Token | None:
        """Return the token by which this aggregator was invited, ``None`` if it was made without one.

        Raises:
            KeyFileError: others may read it.
            MistypedToken: it is damaged.
        """
        if not self.token_path.is_file():
            return None
        return Token.parse(read_private(self.token_path, "the token").decode("ascii", "replace"))

    def existing_request(
        self, aggregator_id: MemberId, names: Sequence[str] | None, founder: str | None
    ) -> EnrolmentRequest:
        """Return the request of a folder that was made before, if it was made with the same arguments.

        Without names it has those that it was made with.

        Raises:
            ConfigurationError: it was made with another id or other names, or pins another founder.
        """
        check_pin(self.root, founder)
        refuse_former_request(self.root)
        request = read_request(self.request_path(self.config().id))
        own = request.applicant.names
        canonical = own if names is None else tuple(dict.fromkeys(map(parse_host_name, names)))
        if (request.applicant.id, request.applicant.names) != (aggregator_id, canonical):
            raise ConfigurationError(
                f"{self.root} is already the folder of the aggregator {request.applicant.id} with the names "
                f"{', '.join(request.applicant.names)}; take another folder with --home"
            )
        return request

    def own_keys(self, config: AggregatorConfig) -> OwnKeys:
        """Return what must be found again in a membership."""
        return OwnKeys(
            role=Role.AGGREGATOR,
            id=config.id,
            tls_key=read_tls_key(self.tls_key_path),
            verify_key=read_signing_key(self.signing_key_path).verify_key,
        )


def load_aggregator_home(root: Path, *, now: datetime) -> AggregatorMembership:
    """Load everything that the aggregator needs to serve, and check that it belongs together.

    Args:
        root: the aggregator's folder.
        now: the time by which certificates are judged.

    Raises:
        WrongOrderError: the folder was not made, or no bundle was imported; names the missing command.
        KeyFileError: a file is damaged or does not belong to the others.
        ConfigurationError: something in ``aggregator.toml`` cannot be used.
    """
    home = AggregatorHome(root)
    config = home.config()
    membership = require_membership(root, "coterie-aggregator keys import BUNDLE")
    founder = pinned_founder(root)
    if founder is None:
        raise KeyFileError(f"{root} pins no founder; import the bundle again")
    own = home.own_keys(config)
    try:
        membership.verify(founder)
        membership.check_owner(own, now=now)
    except PeerError as cause:
        raise KeyFileError(f"the membership in {root} cannot be used: {cause.message}") from cause
    return AggregatorMembership(
        config=config,
        signed_roster=membership.signed_roster,
        key=membership.key,
        signing_key=read_signing_key(home.signing_key_path),
        tls=TlsCredentials(key=own.tls_key, certificate=membership.certificate, authority=membership.authority),
    )
