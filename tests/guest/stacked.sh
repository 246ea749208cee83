#!/usr/bin/env bash
# stacked - tests/net/stacked.sh on the VM's kernel, which has bonds and VLANs
#
# timeout: 600
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
    inside)
        modprobe -a bonding 8021q br_netfilter veth
        exec tests/net/stacked.sh
        ;;
    *) in_guests --no-bind ;;
esac
exit $status_all
