# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
#
# A party's part: makes its keys, is admitted, imports its bundle, gets its records. Run again, it takes over configuration
# and policy only.
# usage: party.sh ID PART PARTS
. /ceremony/steps.sh

id=$1
if [ ! -e membership.json ] && ! ls federations/*/membership.json >/dev/null 2>&1; then
    make_password
    await founder founding
    coterie-party init "$id" --founder "$(fingerprint)" --aggregator "$COTERIE_AGGREGATOR" \
        --password-file /etc/coterie/password
    publish "$id.request"
    await "$id.bundle" founding
    coterie-party keys import "/exchange/$id.bundle" --password-file /etc/coterie/password
fi

# The steward's files are the samples: only what differs between parties is filled in.
sed -e "s|^id = .*|id = \"$id\"|" -e "s|^founder = .*|$(grep '^founder = ' party.toml)|" \
    -e "s|^aggregator = .*|aggregator = \"$COTERIE_AGGREGATOR\"|" /examples/config/party.toml >.party.toml
mv .party.toml party.toml
cp /examples/config/policy.toml policy.toml
cp /examples/jobs/nursery-tree.toml nursery-tree.toml
if [ ! -e data/nursery.csv ]; then
    mkdir -p data
    PYTHONPATH=/scripts python3 /ceremony/nursery.py "$2" "$3" >data/.nursery.csv
    mv data/.nursery.csv data/nursery.csv
fi
