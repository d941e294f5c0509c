# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whole rounds between real daemons, sealed and unsealed."""
