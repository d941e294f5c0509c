# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Names of federations, members and jobs, checked where they are made.

Identifiers are plain strings of a restricted alphabet: they appear in file names, certificate URIs, logs and URLs,
so nothing that needs quoting anywhere is allowed.
"""

from __future__ import annotations

import re
from typing import NewType

from coterie_common.errors import ConfigurationError

FederationName = NewType("FederationName", str)
MemberId = NewType("MemberId", str)
"""Of a party, operator, scientist or aggregator."""

PartyId = NewType("PartyId", str)
JobId = NewType("JobId", str)

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_JOB = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


def parse_federation_name(text: str) -> FederationName:
    """Check a federation's name.

    Raises:
        ConfigurationError: not 1–32 lower-case letters, digits and inner hyphens.
    """
    return FederationName(_checked("federation name", text, _NAME, 32))


def parse_member_id(text: str) -> MemberId:
    """Check the id of a party, operator, scientist or aggregator.

    Raises:
        ConfigurationError: not 1–32 lower-case letters, digits and inner hyphens.
    """
    return MemberId(_checked("id", text, _NAME, 32))


def parse_party_id(text: str) -> PartyId:
    """Check the id of a party; raises as ``parse_member_id``."""
    return PartyId(parse_member_id(text))


def parse_job_id(text: str) -> JobId:
    """Check a job's id.

    Raises:
        ConfigurationError: not 1–64 lower-case letters, digits and inner hyphens.
    """
    return JobId(_checked("job id", text, _JOB, 64))


def _checked(what: str, text: str, pattern: re.Pattern[str], longest: int) -> str:
    if not pattern.fullmatch(text):
        raise ConfigurationError(
            f"{what} {text[:80]!r} must be 1 to {longest} lower-case letters, digits and hyphens, "
            "and neither begin nor end with a hyphen"
        )
    return text
