#!/usr/bin/env bash
# DPDK 22.11: a dynamically linked program loads every driver in its directory, whatever it is asked for
#
# Seen with Debian 12's dpdk 22.11.11-0+deb12u1. rte_eal_init() opens each shared object in dpdk/pmds-23.0 (128 of them) and what it
# links, OpenSSL and libIPSec_MB among it, although the program has no PCI device and names one virtual driver. Naming that driver
# with -d does not narrow it: -d adds to the directory. In a program that locks its memory (mlockall) all of it stays resident.
#
# The script starts dpdk-testpmd with one net_null, once as it is and once with -d, and counts in /proc/PID/maps the drivers that are
# mapped. Output seen:
#     without -d: 128 of 128 drivers, libcrypto yes
#     with -d:    128 of 128 drivers, libcrypto yes
#
# Exit status: 0, it is still so; 1, it is not; 2, it cannot run (no root).
set -eu
[ "$(id -u)" -eq 0 ] || { echo "needs root" >&2; exit 2; }
tmp=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$tmp"' EXIT
command -v dpdk-testpmd >/dev/null ||
    apt-get -qy install --no-install-recommends dpdk-dev=22.11.11-0+deb12u1 >"$tmp/install" 2>&1 || { cat "$tmp/install" >&2; exit 2; }
drivers=$(dirname "$(find /usr/lib -path '*/dpdk/pmds-*/librte_net_null.so' -print -quit)")
all=$(find "$drivers" -type f -name 'librte_*.so.*' | wc -l)
mkfifo "$tmp/keys"

mapped() { # options: prints how many drivers a testpmd has mapped, and whether libcrypto
    dpdk-testpmd --no-huge -m 64 --no-pci --no-shconf --file-prefix=finding "$@" --vdev=net_null0 -- -i --total-num-mbufs=2048 \
        <"$tmp/keys" >"$tmp/out" 2>&1 &
    pid=$!
    exec 3>"$tmp/keys"
    for _ in $(seq 100); do
        grep -q 'testpmd>' "$tmp/out" && break
        sleep 0.1
    done
    grep -q 'testpmd>' "$tmp/out" || { cat "$tmp/out" >&2; exit 2; }
    count=$(grep -o "$drivers/librte_[^ ]*" "/proc/$pid/maps" | sort -u | wc -l)
    crypto=$(grep -q '/libcrypto\.so' "/proc/$pid/maps" && echo yes || echo no)
    echo quit >&3
    exec 3>&-
    wait "$pid" || true
    pid=
}

mapped
echo "without -d: $count of $all drivers, libcrypto $crypto"
first="$count $crypto"
mapped -d "$drivers/librte_net_null.so"
echo "with -d:    $count of $all drivers, libcrypto $crypto"
[ "$first" = "$all yes" ] && [ "$count $crypto" = "$all yes" ]
