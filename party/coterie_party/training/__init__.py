# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Computing vectors in a process separate from the one that holds the party's keys."""
