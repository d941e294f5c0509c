# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
#
# Functions shared by the steps of the ceremony. Sourced in a container; the working folder is the member's own volume.
set -eu
umask 077

# Waits for a file in the exchange, as a person would wait for mail.
# usage: await FILE WHO_SENDS_IT
await() {
    waited=0
    until [ -e "/exchange/$1" ]; do
        if [ "$waited" -ge "$WAIT_SECONDS" ]; then
            echo "error: $1 is not in the exchange after $WAIT_SECONDS s; it comes from $2: see its log" >&2
            exit 1
        fi
        waited=$((waited + 1))
        sleep 1
    done
}

# Puts files into the exchange, each whole or not at all.
publish() {
    for path in "$@"; do
        name=${path##*/}
        cp "$path" "/exchange/.$name.unfinished"
        mv "/exchange/.$name.unfinished" "/exchange/$name"
    done
}

# Makes this member's password, once.
make_password() {
    if [ ! -s /etc/coterie/password ]; then
        head -c 24 /dev/urandom | base64 >/etc/coterie/.password
        mv /etc/coterie/.password /etc/coterie/password
    fi
}

# The founder's fingerprint. Here it arrives by the same way as everything else, so comparing it protects nobody; people
# in different places compare it by telephone.
fingerprint() {
    cat /exchange/founder
}
