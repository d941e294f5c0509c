# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Everything behind the commands in scripts/: local federations, demonstration, benchmarks, evaluation."""
