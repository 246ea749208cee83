#!/usr/bin/env bash
# stacked - tests/net/stacked.sh on the VM's kernel, which has bonds and VLANs
#
# timeout: 600
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export BUILD=${BUILD:-$PWD/build}
exec tests/guest/run --no-bind -- bash -c 'modprobe -a bonding 8021q br_netfilter veth; exec tests/net/stacked.sh'
