# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What an aggregator's operator writes into ``aggregator.toml``. Paths are relative to the aggregator's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coterie_common.address import DEFAULT_PORT, Address
from coterie_common.config_types import AddressEntry, MemberIdEntry, PathEntry
from coterie_common.strict_model import StrictModel

FILE_NAME: Final = "aggregator.toml"


class AggregatorConfig(StrictModel):
    """``aggregator.toml``.

    Attributes:
        id: this aggregator's id.
        listen: address and port to listen on; port 0 lets the system choose.
        store: folder of the database and of the contributions on disk.
    """

    id: MemberIdEntry
    listen: AddressEntry = Address("0.0.0.0", DEFAULT_PORT)  # noqa: S104  # parties connect from elsewhere
    store: PathEntry = Path("store")


TEMPLATE: Final = """\
# Configuration of the aggregator. Paths are relative to this file's folder.

# This aggregator's id, as the founder admits it.
id = "{id}"

# Where to listen for parties, operators and scientists; [::] listens on IPv6 too.
# listen = "0.0.0.0:8443"

# Folder of the database and of the contributions on disk.
# store = "store"
"""
