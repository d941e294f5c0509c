# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Networks by name: built-in ones, and those that users register by an entry point of the group ``coterie.networks``.

An entry point names a function of two numbers, inputs and outputs, that returns a ``torch.nn.Module``: from
Float32[records, inputs] to one logit per class, Float32[records, outputs]. Inputs are the features of a record between
−1 and 1, in the order of the schema.

The number of parameters of a network must be known before it is built: a party plans a job in the process that holds
its key, and runs no network there. So the built-in ones have formulas, and jobs state the number for others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import distributions, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coterie_common.errors import ConfigurationError, MissingLibrary
from coterie_common.learning.libraries import check_library, needing

if TYPE_CHECKING:
    from torch import nn

GROUP: Final = "coterie.networks"
BUILT_IN: Final = ("cnn", "mlp")


def network_names() -> tuple[str, ...]:
    """Return the names of all installed networks, sorted."""
    return tuple(sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))}))


def build(name: str, inputs: int, outputs: int) -> nn.Module:
    """Return a new module; loads torch and the user's code.

    Raises:
        InvalidJob: it cannot take these inputs.
        MissingLibrary: there is no network of that name, or its imports are not installed.
        ConfigurationError: a registered network cannot be loaded.
    """
    with needing("torch", f"the network {name[:80]!r}"):
        return _load(name)(inputs, outputs)


def check_network(name: str, folders: Sequence[Path]) -> None:
    """Check that a network is installed; it is not loaded.

    Args:
        name: of the network.
        folders: searched in addition to this interpreter's module path.

    Raises:
        MissingLibrary: the network or torch is not installed.
    """
    check_library("torch", folders)
    if name in BUILT_IN:
        return
    found = (package.entry_points for package in distributions(path=[*sys.path, *map(str, folders)]))
    if not any(entry.group == GROUP and entry.name == name for entries in found for entry in entries):
        raise MissingLibrary(f"this host lacks the network {name[:80]!r}: no package that is installed registers it")


def _load(name: str) -> Callable[[int, int], nn.Module]:
    if name in BUILT_IN:
        # imported here: torch takes more than a second
        from coterie_common.learning.network import built_in

        return built_in.cnn if name == "cnn" else built_in.mlp
    found = tuple(entry_points(group=GROUP, name=name))
    if not found:
        raise MissingLibrary(f"there is no network {name[:80]!r}; installed are {', '.join(network_names())}")
    try:
        make: Callable[[int, int], nn.Module] = found[0].load()
    except AttributeError as cause:
        raise ConfigurationError(f"network {name!r} cannot be loaded from {found[0].value}: {cause}") from cause
    return make
