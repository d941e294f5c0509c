# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
#
# The founder's part: founds the federation, admits everybody, deals the keys. Run again, it changes nothing.
# usage: founder.sh FEDERATION PARTY...
. /ceremony/steps.sh

federation=$1
shift
make_password
parties=$*

coterie found "$federation" --parties $# --key-bits "$KEY_BITS" --password-file /etc/coterie/password
publish operator/founder

# Here a person compares the fingerprints of the requests with those that each applicant reads out; --yes confirms that.
requests=""
for party in $parties; do
    await "$party.request" "join-$party"
    requests="$requests /exchange/$party.request"
done
await aggregator.request join-aggregator
await operator-1.request join-operator
# shellcheck disable=SC2086  # one word per request
coterie admit $requests --role party --yes --password-file /etc/coterie/password
coterie admit /exchange/aggregator.request --role aggregator --yes --password-file /etc/coterie/password
coterie admit /exchange/operator-1.request --role operator --yes --password-file /etc/coterie/password
coterie keys deal --password-file /etc/coterie/password
publish bundles/*.bundle credentials/operator-1.credential
