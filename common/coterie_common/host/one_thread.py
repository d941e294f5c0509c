# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One thread and one order of addition for the libraries that compute with matrices.

With several threads such a library divides the work by their number and by the size of a batch, and adds up in an order
that follows from both. Results that must not depend on a batch do not rely on this alone (see
``learning/row_functions`` and ``learning/network/blocks``), but a fixed order needs no argument. Many parties may also
share a machine.

The libraries read their settings when they are loaded: NumPy, SciPy and torch must not be loaded yet.
"""

from __future__ import annotations

import os
from typing import Final

SETTINGS: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # the same order of addition for any alignment of operands in memory
    "MKL_CBWR": "AUTO",
}


def keep_to_one_thread() -> None:
    """Apply these settings to this process, before it loads any of these libraries."""
    os.environ.update(SETTINGS)
