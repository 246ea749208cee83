#!/usr/bin/env bash
# as-it-comes - af_packet and af_xdp on an interface whose offloads nobody has switched off
#
# timeout: 180
#
# A veth as `ip link add` makes it: the server's end leaves checksums unfinished and sends segments of 64 KiB uncut, since both
# ends are on one host. And one whose end merges segments (GRO), as every physical NIC's does.
AS_IT_COMES=1
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Where frames were cut short or refused this made one I/O in 8 s, or no connection.
load() {
    bench_good "nbd://$SERVER_IP/" --rw=randrw --bs=4k-256k --iodepth=16 --runtime=3 --size=64m --verify 2>"$tmp/load" &&
        jq -e '.ios > 300 and .tcp.rto == 0 and .tcp.retrans_segs <= .tcp.tx_segs / 50' "$tmp/result"
}

received_long_frames() { jq -e '.ios > 300 and .mb_s * .seconds * 1e6 / 2 / .workers[0].rx_packets > 3000' "$tmp/result"; }

start_server 10809 nbdkit -f -p 10809 memory 256M || exit 1
for driver in af_packet af_xdp; do
    write_config $driver:sl0
    claim "${driver}_works_on_a_veth_as_it_comes" load
    cat "$tmp/load" >&2
done
write_config af_packet:sl0
in_srv ethtool -K sl1 tso off gso off tx off >/dev/null && in_cli ethtool -K sl0 gro on >/dev/null || exit 1
claim af_packet_works_with_gro load
claim gro_frames_are_taken_whole received_long_frames
exit $status_all
