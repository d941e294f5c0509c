# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The built-in algorithms and what they share; networks are a package of their own."""
