# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``scripts/testbed``: the federation of docker/compose.yaml brought up, used, checked and removed.

Runs on the machine's own Python with nothing installed: standard library only.
"""
