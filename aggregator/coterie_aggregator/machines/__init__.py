# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The state machines of a job and of a round, pure, and the driver that persists what they do."""
