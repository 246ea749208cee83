#!/usr/bin/env bash
# platforms - the guest tests on the newer kernel, on Debian 13's user land and on the NIC models that ./check leaves out
#
# timeout: 7200
#
# Each line is what tests/matrix/table takes: suite, kernel, NIC, tests.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
status=0
while read -r suite kernel nic tests; do
    # shellcheck disable=SC2086 # several tests
    tests/matrix/table guest "$suite" "$kernel" "$nic" $tests </dev/null || status=1
done <<'LIST'
bookworm 7.3 virtio recover server-death ublk lifecycle starve swap
bookworm 7.3 e1000e verify starve
bookworm 6.12 e1000 verify starve
trixie 6.12 virtio verify recover server-death ublk lifecycle starve
trixie 7.3 virtio verify
bookworm 6.12 igb verify starve
LIST
exit $status
