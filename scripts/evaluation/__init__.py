# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the method is worth: models of this system against its alternatives, its noise against the formula, attacks."""
