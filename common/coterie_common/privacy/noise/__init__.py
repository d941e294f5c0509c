# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The noise mechanisms: one file each, behind one interface, and their registration."""
