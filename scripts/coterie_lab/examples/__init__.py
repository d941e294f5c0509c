# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``scripts/example``: private models of gradients on real data, with real daemons, compared with the alternatives."""
