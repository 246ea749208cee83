#!/usr/bin/env bash
# stacked - af_packet on an interface that lies on another one, and af_xdp on one whose frames are longer than a page
#
# timeout: 240
#
# Each kind of interface is put on sl0 and carries the load. A kernel that lacks a kind skips it; the VM's has all
# (tests/soak/stacked.sh). br_netfilter, where it is loaded, calls netfilter for frames of a bridge, as on a machine with Docker.
AS_IT_COMES=1
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

load() {
    bench_good "nbd://$SERVER_IP/" --rw=randrw --bs=4k-256k --iodepth=16 --runtime=3 --size=64m --verify 2>"$tmp/load" &&
        jq -e '.ios > 30 and .tcp.retrans_segs <= .tcp.tx_segs / 10' "$tmp/result"
}

put_macvlan() { ip -n "$cli" link add link sl0 name top type macvlan; }
put_bridge() {
    in_cli sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || echo "no br_netfilter here" >&2
    ip -n "$cli" link add top type bridge && ip -n "$cli" link set sl0 master top
}
put_bond() {
    ip -n "$cli" link add top type bond mode active-backup miimon 100 && ip -n "$cli" link set sl0 down &&
        ip -n "$cli" link set sl0 master top && ip -n "$cli" link set sl0 up
}
put_vlan() {
    ip -n "$cli" link add link sl0 name top type vlan id 5 && ip -n "$srv" link add link sl1 name sl1.5 type vlan id 5 &&
        ip -n "$srv" addr del $SERVER_IP/24 dev sl1 && ip -n "$srv" addr add $SERVER_IP/24 dev sl1.5 && ip -n "$srv" link set sl1.5 up
}
take_off() { # the address goes with the VLAN's end, so VLAN is the last
    ip -n "$cli" link set sl0 nomaster
    ip -n "$cli" link del top
}

has_kind() { # kind: does this kernel have it? Asked with an interface of its own, so that a fault of put_* is no skip
    local on=() more=()
    case $1 in vlan) on=(link sl0) more=(id 9) ;; macvlan) on=(link sl0) ;; esac
    ip -n "$cli" link add "${on[@]}" name probe type "$1" "${more[@]}" 2>"$tmp/kind" || return 1
    ip -n "$cli" link del probe
}

mtu_9000() { sed -i 's/^    address/    mtu: 9000\n    address/' "$tmp/sluice.yaml"; }
long_frames_arrive() { # the server's are of 9000 bytes, for segments of 64 KiB are cut
    load && jq -e '.mb_s * .seconds * 1e6 / 2 / .workers[0].rx_packets > 3000' "$tmp/result"
}

start_server 10809 nbdkit -f -p 10809 memory 256M || exit 1
in_srv ethtool -K sl1 tso off gso off >/dev/null && ip -n "$srv" link set sl1 mtu 9000 || exit 1
write_config af_packet:sl0
mtu_9000
claim af_packet_takes_an_mtu_of_9000 long_frames_arrive
cat "$tmp/load" >&2
ip -n "$srv" link set sl1 mtu 1500 && ip -n "$cli" link set sl0 mtu 1500 && in_srv ethtool -K sl1 tso on gso on >/dev/null || exit 1
for kind in macvlan bridge bond vlan; do
    if ! has_kind $kind; then
        echo "skip af_packet_works_on_a_$kind this kernel has no $kind: $(tail -n 1 "$tmp/kind")"
        continue
    fi
    put_$kind && in_cli sysctl -qw net.ipv6.conf.top.disable_ipv6=1 && ip -n "$cli" link set top up || exit 1
    write_config af_packet:top
    claim "af_packet_works_on_a_$kind" load
    cat "$tmp/load" >&2
    take_off
done

# XDP without multi-buffer takes frames of one page; on a veth the peer's MTU counts.
says_what_to_do() {
    bench "nbd://$SERVER_IP/" --rw=randread --bs=4k --runtime=1 >"$tmp/result" 2>&1
    cat "$tmp/result" >&2
    grep -q 'port net0: the kernel refuses XDP on sl0: set an MTU of 3500 or less (on both ends' "$tmp/result"
}
long_frames_are_refused() {
    bench "nbd://$SERVER_IP/" --rw=randread --bs=4k --runtime=1 >"$tmp/result" 2>&1
    cat "$tmp/result" >&2
    grep -q 'port net0: mtu: 9000, and driver net_af_xdp takes [0-9]* at most' "$tmp/result"
}
write_config af_xdp:sl0
ip -n "$srv" link set sl1 mtu 9000
claim af_xdp_refused_for_the_peers_mtu_says_what_to_do says_what_to_do
mtu_9000
claim af_xdp_with_an_mtu_of_9000_is_refused_by_the_key long_frames_are_refused
exit $status_all
