# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
#
# The aggregator's part: makes its keys, is admitted, imports its bundle. Run again, it takes over the configuration only.
# usage: aggregator.sh HOST
. /ceremony/steps.sh

if [ ! -e membership.json ]; then
    await founder founding
    coterie-aggregator init --name "$1" --founder "$(fingerprint)"
    publish aggregator.request
    await aggregator.bundle founding
    coterie-aggregator keys import /exchange/aggregator.bundle
fi
cp /examples/config/aggregator.toml aggregator.toml
