# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's configuration file, ``aggregator.toml``. Paths are relative to the aggregator's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

from pydantic import Field, model_validator

from coterie_common.address import DEFAULT_PORT, ENROLMENT_PORT, Address
from coterie_common.crypto.certificates import Role
from coterie_common.errors import ConfigurationError
from coterie_common.host.config_types import AddressEntry, MemberIdEntry, PathEntry, from_text
from coterie_common.identifiers import parse_member_id
from coterie_common.strict_model import StrictModel

FILE_NAME: Final = "aggregator.toml"


def _person(text: str) -> str:
    role, _, member_id = text.partition("/")
    if role not in (Role.OPERATOR.value, Role.SCIENTIST.value):
        raise ConfigurationError('must be "operator/ID" or "scientist/ID"; a party leaves with a new epoch')
    return f"{role}/{parse_member_id(member_id)}"


PersonEntry: TypeAlias = Annotated[str, from_text(_person)]


class AggregatorConfig(StrictModel):
    """``aggregator.toml``.

    Attributes:
        id: this aggregator's id.
        listen: address and port to listen on; port 0 lets the system choose.
        enrolment: address and port for those who have an invitation, of an aggregator that was made with one itself.
        store: folder of the database and of the contributions on disk.
        denied: people who are not served any more, although their certificates are still valid, as ``ROLE/ID``.
    """

    id: MemberIdEntry
    listen: AddressEntry = Address("0.0.0.0", DEFAULT_PORT)  # noqa: S104  # parties connect from elsewhere
    enrolment: AddressEntry = Address("0.0.0.0", ENROLMENT_PORT)  # noqa: S104  # applicants connect from elsewhere
    store: PathEntry = Path("store")
    denied: Annotated[tuple[PersonEntry, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _check_ports(self) -> AggregatorConfig:
        if self.listen == self.enrolment and self.listen.port:
            raise ValueError("listen and enrolment must be two ports")
        return self


TEMPLATE: Final = """\
# Configuration of the aggregator. Paths are relative to this file's folder.

# This aggregator's id, as the founder admits it.
id = "{id}"

# Where to listen for parties, operators and scientists; [::] listens on IPv6 too.
# listen = "0.0.0.0:8443"

# Where to listen for those who have an invitation, if this aggregator was made with one.
# enrolment = "0.0.0.0:8444"

# Folder of the database and of the contributions on disk.
# store = "store"

# Operators and scientists who are not served any more, for a key that was lost or a person who left: their certificates
# cannot be taken back before they expire. Takes effect at the next start.
# denied = ["scientist/anna", "operator/olga"]
"""
