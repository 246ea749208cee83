#!/usr/bin/env bash
# tcp-diff - our TCP answers as the kernel's does, or docs/tcp-differences.md says why not
#
# timeout: 240
#
#   ┌── sluice-diff-PID ───────────────────────────────┐
#   │ the kernel's socket 10.0.0.1 ── tun ── tcp_diff.py │ 10.0.0.2, the scripted peer
#   │             fd00::1   our stack, behind    ┘        │ fd00::2
#   │                       its test ABI                 │
#   └──────────────────────────────────────────────────┘
#
# Played once, with the plain build: what the sanitizers could find here the conversations have found.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export BUILD=${BUILD:-$PWD/build} PYTHONDONTWRITEBYTECODE=1
if nm -D --undefined-only "$BUILD/tests/abi/libsluice_tcp_test.so" | grep -q __asan_init; then
    echo "ok is_played_with_the_plain_build"
    exit 0
fi
ns=sluice-diff-$$
trap 'ip netns del $ns 2>/dev/null' EXIT
ip netns add "$ns" || exit 1
# The kernel answers a packet within the write() that brings it, if only this program is let run.
rt=
chrt -f 10 true 2>/dev/null && rt='chrt -f 10'
# shellcheck disable=SC2086
ip netns exec "$ns" sh -c 'ip link set lo up; sysctl -qw net.ipv4.tcp_no_metrics_save=1; exec "$@"' \
    sh $rt python3 tests/net/tcp_diff.py ${SHOW:+--show} tun0 "$@"
