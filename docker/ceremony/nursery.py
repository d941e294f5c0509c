# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Prints one party's part of the Nursery data, or the part that no party has: the parts that ``scripts/demo`` makes.

usage: nursery.py PART|held-out PARTS, where PART is 1 to PARTS
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from coterie_lab.local_federation.data import read_rows, split

part, parts = sys.argv[1], int(sys.argv[2])
parted = split(read_rows(Path("/examples/data/nursery.csv.gz")), parts)
rows = parted.held_out if part == "held-out" else parted.parties[int(part) - 1]
writer = csv.DictWriter(sys.stdout, rows[0].keys())
writer.writeheader()
writer.writerows(rows)
