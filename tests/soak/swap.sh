#!/usr/bin/env bash
# swap - ten swap storms quiet and ten flooded on /dev/ublkb0, and the kernel's nbd beside them
#
# timeout: 9600
#
# tests/pressure/swap.sh, BOOTS times, two of each kind in a boot, in the first PEER_BOOTS boots with kernel nbd beside. What is
# claimed: each of ours finishes with its data whole; the median of ours is not above the kernel's median, quiet and flooded; a
# flood costs ours no more than 15 percent. The flood is made by the same machine, so the last is claimed against the storm that
# the same flood passed by, which pays for the host's part of it; where there are FLOOD_CPUS processors, against the quiet one too.
#
# The machine below changes its speed by half within minutes. So what a flood costs is a ratio within one boot, in which the kinds
# stand in an order that reads the same from both ends, and the median of the boots' ratios counts.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
export BUILD=${BUILD:-$root/build}
BOOTS=${BOOTS:-5}
PEER_BOOTS=${PEER_BOOTS:-2}
FLOOD_CPUS=4
tmp=$(mktemp -d "${TMPDIR:-/tmp}/sluice-soak.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
status_all=0

claim() { # claim, what was seen, command…
    if "${@:3}"; then echo "ok $1"; else echo "not ok $1"; status_all=1; fi
    echo "$1: $2" >&2
}

times() { sed -n "s/^swap: $1 finished in \([0-9.]*\) s$/\1/p" "${2:-$tmp/log}"; }
count() { times "$1" | wc -l; }
middle() { sort -n | awk '{ a[NR] = $1 } END { print NR ? (a[int((NR + 1) / 2)] + a[int((NR + 2) / 2)]) / 2 : 0 }'; }
median() { times "$1" | middle; }
mean() { times "$1" "$2" | awk '{ n += $1 } END { print NR ? n / NR : 0 }'; }

ratios() { # a kind of ours, another: of the first to the second, a line for each boot
    local log a b
    for log in "$tmp"/log.*; do
        a=$(mean "ours $1" "$log") b=$(mean "ours $2" "$log")
        awk -v a="$a" -v b="$b" 'BEGIN { if (b > 0) printf "%.2f\n", a / b }'
    done
}
at_most() { awk -v a="$1" -v b="$2" -v share="$3" 'BEGIN { exit !(b > 0 && a <= b * share) }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f s to %.1f s, %.2f", a, b, b ? a / b : 0 }'; }

OURS='ours:quiet ours:flood ours:passing ours:passing ours:flood ours:quiet'
PEERS='nbd:quiet nbd:flood'
export GUEST_TIMEOUT=${GUEST_TIMEOUT:-1800}
for ((boot = 1; boot <= BOOTS; boot++)); do
    storms=$OURS
    [ "$boot" -gt "$PEER_BOOTS" ] || storms+=" $PEERS"
    SLUICE_STORMS=$storms tests/pressure/swap.sh >>"$tmp/claims" 2>"$tmp/log.$boot"
    cat "$tmp/log.$boot" >>"$tmp/log"
    echo "boot $boot:" "$(grep -c '^swap: .* finished' "$tmp/log") storms have finished" >&2
done
cat "$tmp/log" >&2
for kind in quiet flood; do
    ours=$(median "ours $kind") theirs=$(median "nbd $kind")
    claim "all_storms_finish_$kind" "$(count "ours $kind") of $((2 * BOOTS))" [ "$(count "ours $kind")" -eq $((2 * BOOTS)) ]
    [ "$PEER_BOOTS" -eq 0 ] || claim "no_slower_than_kernel_nbd_$kind" "$(ratio "$ours" "$theirs")" at_most "$ours" "$theirs" 1.0
done
passing=$(ratios flood passing) quiet=$(ratios flood quiet)
for kind in quiet flood passing; do echo "median, ours $kind: $(median "ours $kind") s" >&2; done
claim flood_costs_at_most_15_percent_more_than_one_that_passes_by "${passing//$'\n'/ }" at_most "$(middle <<<"$passing")" 1 1.15
if [ "$(nproc)" -ge $FLOOD_CPUS ]; then
    claim flood_costs_at_most_15_percent "${quiet//$'\n'/ }" at_most "$(middle <<<"$quiet")" 1 1.15
else
    echo "skip flood_costs_at_most_15_percent fewer than $FLOOD_CPUS processors: $(middle <<<"$quiet") (${quiet//$'\n'/ }), the kernel's nbd" \
        "$(ratio "$(median 'nbd flood')" "$(median 'nbd quiet')")"
fi
[ "$(grep -c '^not ok' "$tmp/claims")" -eq 0 ] || { grep '^not ok' "$tmp/claims" | sort | uniq -c >&2; status_all=1; }
exit $status_all
