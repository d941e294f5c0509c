# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Host names and network addresses that people write, in one canonical spelling."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from coterie_common.errors import ConfigurationError

DEFAULT_PORT: Final = 8443
"""Of the aggregator, for members and people."""

ENROLMENT_PORT: Final = 8444
"""Of the aggregator, for those who have an invitation."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
DNS_NAME_LONGEST: Final = 253
_ADDRESS: Final = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<name>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_MAX_PORT: Final = 65_535


def parse_host_name(text: str) -> str:
    """Check a DNS name or IP address.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        lowered = text.lower()
        if len(lowered) > DNS_NAME_LONGEST or not _DNS_NAME.fullmatch(lowered):
            raise ConfigurationError(f"{text[:80]!r} is neither a host name nor an IP address") from None
        return lowered


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port.

    Attributes:
        host: canonical, as ``parse_host_name`` returns it.
        port: 0 to 65535; 0 lets the system choose where something listens.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse ``host:port`` or ``[IPv6]:port``.

        Raises:
            ConfigurationError: another form, or a malformed host.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None or int(match["port"]) > _MAX_PORT:
            raise ConfigurationError(f"{text[:80]!r} is not of the form host:port, such as 'aggregator.example:8443'")
        return cls(parse_host_name(match["six"] or match["name"]), int(match["port"]))

    @classmethod
    def parse_with_port(cls, text: str, port: int) -> Address:
        """Parse a host, or a host with its port as ``parse`` does; without one it has ``port``."""
        try:
            return cls(parse_host_name(text), port)
        except ConfigurationError:
            return cls.parse(text)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
