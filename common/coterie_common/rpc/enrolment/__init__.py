# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Enrolment over the network: the guest's side, and the messages of both."""
