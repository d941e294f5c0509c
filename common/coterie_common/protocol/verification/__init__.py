# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What must hold before anybody acts on a message: one file per kind of message, numbered checks, cheap ones first."""
