# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The checks of a message before anyone acts on it: one file per kind of message, numbered, cheap ones first."""
