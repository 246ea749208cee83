#!/usr/bin/env bash
# adversary-guest - a lying server beside an honest volume, through block devices: see tests/guest/nbd.sh
#
# timeout: 900
SLUICE_PARTS=liar SLUICE_GUEST_S=800 exec bash "$(dirname "${BASH_SOURCE[0]}")/../guest/nbd.sh"
