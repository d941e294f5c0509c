# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a process needs of its machine: configuration, console, logs, passwords, locks and a database."""
