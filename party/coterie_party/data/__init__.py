# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's data sets: which files are bound, and which records are set aside."""
