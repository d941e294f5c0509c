# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The running service's work on jobs and rounds, around one single-writer loop."""
