# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The founder's commands."""
