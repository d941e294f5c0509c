# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What people are shown of parties, jobs and the reasons why jobs ended."""
