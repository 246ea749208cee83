#!/usr/bin/env bash
# swap - ten swap storms quiet and ten flooded on /dev/ublkb0, and the kernel's nbd beside them
#
# timeout: 9600
#
# tests/pressure/swap.sh, BOOTS times, two of each kind in a boot, in the first PEER_BOOTS boots with kernel nbd beside. What is
# claimed: each of ours finishes with its data whole; the median of ours is not above the kernel's median, quiet and flooded; a
# flood costs ours no more than 15 percent. The flood is made by the same machine, so the last is claimed against the same flood
# that passes by, which costs the host's part of it; where there are FLOOD_CPUS processors, against none too.
#
# The machine below changes its speed by half within minutes. So what a flood costs is taken from storms within which it comes and
# goes (pulse.c), over all of them; beside it stand the ratios of whole storms, flooded to quiet, for each boot.
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

cost() { # a pulsed kind: how many times as long a page takes while the flood is on, over all such storms; 0: there were none
    sed -n "s/^swap: $1 pulses: quiet \([0-9]*\) pages in \([0-9]*\) ms, flooded \([0-9]*\) pages in \([0-9]*\) ms$/\1 \2 \3 \4/p" "$tmp/log" |
        awk '{ q += $1; qms += $2; f += $3; fms += $4 } END { printf "%.2f", qms && f ? q / qms / (f / fms) : 0 }'
}
at_most() { awk -v a="$1" -v b="$2" -v share="$3" 'BEGIN { exit !(a > 0 && b > 0 && a <= b * share) }'; } # 0: nothing was seen
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f s to %.1f s, %.2f", a, b, b ? a / b : 0 }'; }

OURS='ours:quiet ours:flood ours:pulsed ours:pulsed-passing ours:pulsed-passing ours:pulsed ours:flood ours:quiet'
PEERS='nbd:quiet nbd:flood nbd:pulsed'
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
whole=$(ratios flood quiet) flood=$(cost 'ours pulsed') passing=$(cost 'ours pulsed-passing')
for kind in quiet flood; do echo "median, ours $kind: $(median "ours $kind") s" >&2; done
seen="$flood, the host's part $passing, the kernel's nbd $(cost 'nbd pulsed'); whole storms of each boot ${whole//$'\n'/ }"
claim flood_costs_at_most_15_percent_more_than_one_that_passes_by "$seen" at_most "$flood" "$passing" 1.15
if [ "$(nproc)" -ge $FLOOD_CPUS ]; then
    claim flood_costs_at_most_15_percent "$seen" at_most "$flood" 1 1.15
else
    echo "skip flood_costs_at_most_15_percent fewer than $FLOOD_CPUS processors: $seen"
fi
[ "$(grep -c '^not ok' "$tmp/claims")" -eq 0 ] || { grep '^not ok' "$tmp/claims" | sort | uniq -c >&2; status_all=1; }
exit $status_all
