#!/usr/bin/env bash
# pmds - each class of driver receives from the reserve when normal memory is gone, and without a reserve stops
#
# timeout: 180
#
# No driver knows of the reserve: they ask the pool's ops, and the ops decide. af_packet drops a frame it has no
# mbuf for, af_xdp and memif leave theirs in the ring. (virtio and e1000e are tests/guest/starve.sh's.) The frames come from
# the server's namespace, where udp_flood sends to a neighbour that nobody has to answer for; memif gets them from a second
# memif device of the same process.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
MS=${MS:-1000}

pmd() { # label, device, options…, "--", EAL arguments…
    local label=$1 device=$2 own=()
    shift 2
    while [ "$1" != -- ]; do own+=("$1"); shift; done
    shift
    if ! timeout 60 ip netns exec "$cli" "$(program pmd_starve)" --no-huge -m 128 --no-pci --no-shconf --no-telemetry \
        --log-level=critical --lcores=0@0-1 "$@" -- --rx="$device" --ms="$MS" "${own[@]}" >"$tmp/result"; then
        not_ok "${label}_is_tested" "pmd_starve failed"
        return
    fi
    cat "$tmp/result" >&2
    claim "${label}_receives_from_the_reserve" jq -e '.dips > 0 and .reserve * 10 > .plenty' "$tmp/result"
    claim "${label}_is_deaf_without_one" jq -e '.bare == 0' "$tmp/result"
    claim "${label}_recovers_with_no_debt" jq -e '.again * 10 > .plenty and .ring_debt == 0' "$tmp/result"
    claim "${label}_had_its_long_run_of_failures_noticed" jq -e '.refused_run_max >= 16 and .alarms > 0' "$tmp/result"
}

# The flood goes to .9 of a network, whose address on the wire is the broadcast's: every interface takes it.
flood_on() { # namespace, interface, its network
    ip -n "$1" neigh replace "$3.9" lladdr ff:ff:ff:ff:ff:ff dev "$2" nud permanent
    : >"$tmp/flood"
    ip netns exec "$1" "$(program udp_flood)" --to="$3.9" --rate=5000 --bytes=200 --while="$tmp/flood" --limit=120 >&2 &
}

flood_off() {
    rm -f "$tmp/flood"
    kill $! && wait $!
}

flood_on "$srv" sl1 10.66.0
pmd af_packet net_af_packet0 -- --vdev=net_af_packet0,iface=sl0,blocksz=65536,framesz=2048,framecnt=512
pmd af_xdp net_af_xdp0 --fill=2560 -- --vdev=net_af_xdp0,iface=sl0,start_queue=0,queue_count=1
flood_off
pmd memif net_memif0 --feed=net_memif1 -- "--vdev=net_memif0,role=server,id=0,socket=$tmp/memif.sock,socket-abstract=no" \
    "--vdev=net_memif1,role=client,id=0,socket=$tmp/memif.sock,socket-abstract=no"
exit $status_all
