#!/usr/bin/env bash
# packets - a flood of ten times the storage's bytes with normal packet memory gone: the reserve carries it, without one it stops
#
# timeout: 700
#
# bench/pressure in short phases, on either NIC model; its head says what is measured and why that is fair. The claims are ratios
# of one boot. The last part of each boot, on a daemon without a reserve, shows that the first could have failed.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
export BUILD=${BUILD:-$root/build}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/sluice-packets.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
status_all=0

claim() { # claim, jq filter, file
    if jq -e "$2" "$3" >&2; then echo "ok $1"; else echo "not ok $1"; status_all=1; fi
}

for nic in ${NICS:-virtio e1000e}; do
    bench/pressure --nic "$nic" --seconds "${PHASE_SECONDS:-6}" --out "$tmp" || status_all=1
    result=$tmp/$nic.json
    [ -s "$result" ] || { echo "not ok pressure_is_measured_on_$nic"; status_all=1; continue; }
    claim "storage_keeps_nine_tenths_under_pressure_on_$nic" '.pressed_ratio >= 0.9' "$result"
    claim "storage_collapses_without_a_reserve_on_$nic" '.bare_ratio <= 0.2' "$result"
    claim "flood_was_there_on_$nic" '.phases.pressed.other_pps >= 5000' "$result"
    claim "iperf3_goes_on_beside_it_on_$nic" '.phases.pressed.iperf_mb_s >= 0.1' "$result"
    claim "no_owner_was_over_its_limit_on_$nic" '.over_limit == []' "$result"
done
exit $status_all
