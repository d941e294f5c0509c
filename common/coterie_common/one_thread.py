# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One thread, and one way to add up, for the libraries that compute with matrices.

With several threads such a library divides the work by their number and by the size of a batch, and adds up in an order
that follows from both. Nothing that must not depend on a batch relies on that alone (``learning/row_functions`` and
``learning/network/blocks`` say on what), but what differs nowhere needs no argument. Many parties may share a machine,
too.

The libraries read their settings when they are loaded: NumPy, SciPy and torch must not be yet.
"""

from __future__ import annotations

import os
from typing import Final

SETTINGS: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # the same order of addition wherever operands lie in memory
    "MKL_CBWR": "AUTO",
}


def keep_to_one_thread() -> None:
    """Set it for this process, before it loads any of these libraries."""
    os.environ.update(SETTINGS)
