# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's folder: its contents, how it is created, how it is loaded.

- ``tls.key``: TLS key, unencrypted, 0600: it opens no reply.
- ``member.key``: signing and sealing key, locked under the party's password.
- ``ID.request``: the enrolment request, for the founder.
- ``policy.toml``: the steward's policy, with cautious defaults until it is edited.
- ``party.toml``: configuration, written last when the folder is made.
- ``federations/FOUNDER/``: certificate, roster, threshold key and key shares, after the import of a bundle
  (``federation_folder``).
- ``store/``: promises and spending for all founders, so that one folder counts everything they ask of its data.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from coterie_common import document
from coterie_common.address import DEFAULT_PORT, Address
from coterie_common.crypto.certificates import Role, TlsKey, make_tls_key
from coterie_common.crypto.identity import SEED_BYTES, SealingKey, SigningKey
from coterie_common.crypto.keystore import lock, unlock
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey
from coterie_common.errors import ConfigurationError, KeyFileError, PeerError, WrongOrderError
from coterie_common.fields import Fields
from coterie_common.files import PRIVATE, make_private_folder, read_bytes, write_atomically
from coterie_common.fingerprint import printed_fingerprint
from coterie_common.host.config import load
from coterie_common.identifiers import MemberId, PartyId
from coterie_common.limits import KEY_FILE_BYTES
from coterie_common.membership.enrolment import Applicant, EnrolmentRequest, read_request, refuse_former_request
from coterie_common.membership.file import require_no_membership
from coterie_common.membership.key_files import read_tls_key, write_tls_key
from coterie_common.membership.membership import OwnKeys, TlsCredentials
from coterie_common.protocol.roster import SignedRoster
from coterie_common.randomness import RandomSource
from coterie_common.secret import Password
from coterie_party.home.config import FILE_NAME, TEMPLATE, PartyConfig
from coterie_party.home.federation_folder import FEDERATIONS, FederationFolder
from coterie_party.policy.policy import DEFAULT_POLICY_TOML, POLICY_FILE_NAME

_KEYS_KIND: Final = "party-keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberKeys:
    """A party's keys besides TLS and its share: one signs, the other opens the share on its way from the founder."""

    signing_key: SigningKey
    sealing_key: SealingKey


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyMembership:
    """Everything that a party needs to take part, verified.

    Attributes:
        config: ``party.toml``.
        signed_roster: in force, signed by the pinned founder.
        key: the threshold public key.
        share: own key share, checked against its verification key.
        signing_key: the party's own.
        tls: for connecting to the aggregator.
    """

    config: PartyConfig
    signed_roster: SignedRoster
    key: ThresholdPublicKey
    share: KeyShare
    signing_key: SigningKey
    tls: TlsCredentials

    @property
    def aggregator_address(self) -> Address:
        """Address to connect to: as configured, else the first name of the aggregator in the roster."""
        return self.config.aggregator or Address(self.signed_roster.roster.aggregator.names[0], DEFAULT_PORT)


class PartyHome:
    """Paths and contents of a party's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config_path = root / FILE_NAME
        self.tls_key_path = root / "tls.key"
        self.keys_path = root / "member.key"

    @property
    def is_initialised(self) -> bool:
        """Whether ``create`` was completed here."""
        return self.config_path.is_file()

    def config(self) -> PartyConfig:
        """Read ``party.toml``.

        Raises:
            WrongOrderError: the folder was not made yet.
            ConfigurationError: something in it cannot be used.
        """
        if not self.is_initialised:
            raise WrongOrderError(
                f"{self.root.absolute()} is no party's folder; name yours with --home FOLDER, or, for a new party, run"
                " 'coterie-party init ID --founder FINGERPRINT' first"
            )
        return load(PartyConfig, self.config_path, "the configuration")

    def password_file(self, given: Path | None) -> Path | None:
        """Return the source of the password: as given on the command line, else as configured."""
        configured = self.config().password_file if self.is_initialised else None
        return given or (self.root / configured if configured else None)

    def request_path(self, party_id: str) -> Path:
        """Path of the enrolment request."""
        return self.root / f"{party_id}.request"

    def federation(self) -> FederationFolder:
        """The folder of the pinned founder's federation; raises as ``config``."""
        return FederationFolder(self.root, self.config().founder)

    def create(
        self,
        party_id: PartyId,
        founder: str,
        aggregator: Address | None,
        *,
        password: Password,
        random: RandomSource,
    ) -> EnrolmentRequest:
        """Make the party's keys, its request and its configuration; the configuration is written last.

        Args:
            party_id: the id asked for.
            founder: the founder's fingerprint, canonical.
            aggregator: where the aggregator listens, if known.
            password: locks the keys, and later the share.
            random: source of the keys.

        Raises:
            KeyFileError: the password is empty.
            ConfigurationError: the folder already belongs to a member.
        """
        keys = MemberKeys(signing_key=SigningKey.generate(random), sealing_key=SealingKey.generate(random))
        tls_key = make_tls_key()
        applicant = Applicant(
            role=Role.PARTY,
            id=MemberId(party_id),
            verify_key=keys.signing_key.verify_key,
            sealing_key=keys.sealing_key.public,
        )
        request = EnrolmentRequest.create(applicant, tls_key, keys.signing_key)
        seeds = {"signing_key": keys.signing_key.seed().hex(), "sealing_key": keys.sealing_key.seed().hex()}
        locked = lock(document.encode(seeds), password, kind=_KEYS_KIND, random=random)
        line = f'aggregator = "{aggregator}"' if aggregator else f'# aggregator = "aggregator.example:{DEFAULT_PORT}"'
        config = TEMPLATE.format(id=party_id, founder=printed_fingerprint(founder), aggregator=line)
        for place in (self.root, *(self.root / FEDERATIONS).glob("*")):
            require_no_membership(place, self.config_path)
        make_private_folder(self.root)
        write_tls_key(self.tls_key_path, tls_key)
        write_atomically(self.keys_path, locked, mode=PRIVATE)
        write_atomically(self.request_path(party_id), request.to_bytes())
        write_atomically(self.root / POLICY_FILE_NAME, DEFAULT_POLICY_TOML.encode("utf-8"))
        write_atomically(self.config_path, config.encode("utf-8"))
        return request

    def existing_request(self, party_id: PartyId, founder: str) -> EnrolmentRequest:
        """Return the request of a folder that was made before, if it was made with the same arguments.

        Raises:
            ConfigurationError: the folder is another party's, or pins another founder.
        """
        config = self.config()
        if (config.id, config.founder) != (party_id, founder):
            raise ConfigurationError(
                f"{self.root} is already the folder of the party {config.id}, and pins the founder "
                f"{printed_fingerprint(config.founder)}; "
                "take another folder with --home; to take part in another federation with the same data and ledger, "
                f"send its founder {self.request_path(config.id)}, and pin that founder in {self.config_path}"
            )
        refuse_former_request(self.root)
        return read_request(self.request_path(party_id))

    def unlock_keys(self, password: Password) -> MemberKeys:
        """Read the party's keys; raises ``KeyFileError``."""
        content = unlock(read_bytes(self.keys_path, "the key file", maximum=KEY_FILE_BYTES), password, kind=_KEYS_KIND)
        try:
            what = "the party's keys"
            fields = Fields(
                document.decode(content, what, maximum=KEY_FILE_BYTES), what, ("signing_key", "sealing_key")
            )
            return MemberKeys(
                signing_key=SigningKey(fields.octets("signing_key", minimum=SEED_BYTES, maximum=SEED_BYTES)),
                sealing_key=SealingKey(fields.octets("sealing_key", minimum=SEED_BYTES, maximum=SEED_BYTES)),
            )
        except PeerError as cause:
            raise KeyFileError(f"{self.keys_path} is damaged: {cause.message}") from cause

    def own_keys(self, config: PartyConfig, keys: MemberKeys, tls_key: TlsKey) -> OwnKeys:
        """Return what must be found again in a membership."""
        return OwnKeys(
            role=Role.PARTY,
            id=config.id,
            tls_key=tls_key,
            verify_key=keys.signing_key.verify_key,
            sealing_key=keys.sealing_key.public,
        )


def load_party_home(root: Path, password: Password, *, now: datetime) -> PartyMembership:
    """Load everything that a party needs to take part, and check that it belongs together.

    Args:
        root: the party's folder.
        password: unlocks keys and share.
        now: the time by which certificates are judged.

    Raises:
        WrongOrderError: the folder was not made, or no bundle was imported; names the missing command.
        KeyFileError: wrong password, or a file that is damaged or does not belong to the others.
        ConfigurationError: something in ``party.toml`` cannot be used.
    """
    home = PartyHome(root)
    config = home.config()
    folder = home.federation()
    membership = folder.require_membership()
    keys, tls_key = home.unlock_keys(password), read_tls_key(home.tls_key_path)
    try:
        membership.verify(config.founder)
        membership.check_owner(home.own_keys(config, keys, tls_key), now=now)
    except PeerError as cause:
        raise KeyFileError(f"the membership in {root} cannot be used: {cause.message}") from cause
    folder.check_not_older(membership.roster.key_epoch)
    share = folder.unlock_share(membership.key, membership.roster.key_epoch, password)
    if share.index != membership.roster.holder_index(config.id):
        raise KeyFileError(f"the key share in {root} has another index than the roster says")
    return PartyMembership(
        config=config,
        signed_roster=membership.signed_roster,
        key=membership.key,
        share=share,
        signing_key=keys.signing_key,
        tls=TlsCredentials(key=tls_key, certificate=membership.certificate, authority=membership.authority),
    )
