#!/usr/bin/env bash
# starve - with no normal mbuf left storage goes on from the reserve, and without a reserve it stops
#
# timeout: 300
#
# af_xdp takes each replacement buffer from our pool, so a starved pool without a reserve leaves its ring empty. af_packet
# drops a frame it cannot get an mbuf for. Both must go on from the reserve, and stall without one. Beside the load runs a flood that
# nobody asked for, and the sum of what the ledger allows is compared with the sum of what was held: accurate, not merely generous.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server 10809 nbdkit -f -p 10809 memory 256M || exit 1
starved() {
    local flood status
    : >"$tmp/flood"
    in_srv "$(program udp_flood)" --to=10.66.0.2 --rate=20000 --bytes=1400 --while="$tmp/flood" --limit=60 >&2 &
    flood=$!
    verified
    status=$?
    kill $flood # its program ends with its parent
    return $status
}
verified() { bench_good "nbd://$SERVER_IP/" --rw=randrw --bs=4k-256k --iodepth=16 --runtime=5 --size=64m --verify --starve; }
no_io() { ! BENCH_TIMEOUT=25 bench "nbd://$SERVER_IP/" --rw=randread --bs=4k --iodepth=16 --runtime=5 --size=64m --starve >"$tmp/stalled"; }

for driver in af_packet af_xdp; do
    write_config $driver:sl0
    claim "io_continues_on_the_reserve_over_$driver" starved
    jq -r '[.reserve.owners[] | select(.parent == -1 and .limit > 0)] | (map(.limit) | add) as $limits | (map(.peak) | add) as $peaks |
        "limits \($limits), peaks \($peaks): \($limits / $peaks * 100 | floor / 100)"' "$tmp/result" >&2
    # af_packet takes an mbuf for a frame it is handing over and none for its ring, so of the ring's term nothing is used.
    [ $driver = af_packet ] || claim "limits_are_at_most_three_times_the_peaks_over_$driver" jq -e '[.reserve.owners[] |
        select(.parent == -1 and .limit > 0)] | (map(.limit) | add) <= 3 * (map(.peak) | add)' "$tmp/result"
    claim "refills_came_from_the_reserve_over_$driver" jq -e '.reserve.dips > 0' "$tmp/result"
    write_config $driver:sl0 'reserve: {size: 0}'
    claim "io_stalls_without_a_reserve_over_$driver" no_io
done
exit $status_all
