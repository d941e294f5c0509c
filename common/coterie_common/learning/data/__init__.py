# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Data sets: schemas, and the files from which records are read."""
