#!/usr/bin/env bash
# verify-7.3 - tests/guest/verify.sh on the newest kernel that Debian has for its stable release
#
# timeout: 600
here=$(dirname "${BASH_SOURCE[0]}")
"$here/kernel" 7.3 >/dev/null
if [ $? -eq 77 ]; then
    echo "skip verify no kernel 7.3 within reach of this machine's apt sources"
    exit 0
fi
SLUICE_GUEST_KERNEL=7.3 NICS=${NICS:-virtio} exec bash "$here/verify.sh"
