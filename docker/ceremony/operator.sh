# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
#
# An operator's part: makes a key, is admitted, imports the credential. Run again, it does nothing.
# usage: operator.sh ID
. /ceremony/steps.sh

if [ ! -e held-out.csv ]; then
    await founder founding
    coterie credential init "$1" --role operator --founder "$(fingerprint)"
    publish "$1.request"
    await "$1.credential" founding
    coterie credential import "/exchange/$1.credential"
    PYTHONPATH=/scripts python3 /ceremony/nursery.py held-out 4 >.held-out.csv
    mv .held-out.csv held-out.csv
fi
