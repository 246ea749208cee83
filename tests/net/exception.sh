#!/usr/bin/env bash
# exception - the kernel goes on using the NIC that storage runs over
#
# timeout: 300
#
#   ┌── client ────────────────────────────────────┐              ┌── server ─────────────────────┐
#   │ ping, TCP of the kernel ── sluice0 ──┐       │              │ nbdkit 10809                  │
#   │                                   sluiced ───┼── sl0  sl1 ──│ ping, TCP  10.66.0.1          │
#   │ the bench's volume, verified ────────┘       │     veth     │                               │
#   └──────────────────────────────────────────────┘              └───────────────────────────────┘
#
# af_xdp takes every packet of sl0 from the kernel, as a NIC on vfio-pci would be gone from it. All traffic below shares sl0 with
# a storage load that verifies what it reads.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

transfer=$root/tests/net/transfer
load_pid=''

start_load() { # seconds, more options: the bench in the background, until it does I/O
    local seconds=$1
    shift
    BENCH_TIMEOUT=250     bench_good "nbd://$SERVER_IP/" --rw=randrw --bs=4k-32k --iodepth=4 --runtime="$seconds" --size=64m --verify "$@" 2>"$tmp/load" &
    load_pid=$!
    wait_until 30 grep -q 'volume vol0: ready' "$tmp/load"
}
has_mtu() { [ "$(in_cli cat /sys/class/net/sluice0/mtu)" = "$1" ]; }
end_load() { # as if its time were up
    local pid
    for pid in $(ip netns pids "$cli"); do
        [ "$(cat "/proc/$pid/comm")" != sluiced ] || kill -TERM "$pid"
    done
    wait "$load_pid"
}

pings() { # namespace function, more of ping's arguments: three of three
    local where=$1
    shift
    "$where" ping -q -c 3 -i 0.2 -W 5 "$@"
}

both_ways() { # where it is served, where it runs, address, port, megabytes
    "$1" timeout 60 "$transfer" serve "$4" &
    local server=$!
    wait_until 20 listens "$1" "$4" && "$2" "$transfer" run "$3" "$4" "$5" && wait $server
}
listens() { [ -n "$("$1" ss -Hltn "sport = :$2")" ]; }

arp_answers() { in_srv "$root/tests/net/frame" arp sl1 10.66.0.2; }

tag_passes() { # from: namespace function and interface, to: the same
    "$1" "$root/tests/net/frame" tag-send "$2" 5 "for VLAN 5" &
    local sender=$!
    "$3" "$root/tests/net/frame" tag-wait "$4" 5 "for VLAN 5"
    local status=$?
    wait $sender && return $status
}

shared() {
    local mac
    write_config af_xdp:sl0
    start_load 240 || { not_ok kernel_end_comes_up "$(cat "$tmp/load")"; return; }
    mac=$(in_cli cat /sys/class/net/sl0/address)
    claim kernel_end_has_the_nics_mac grep -qx "$mac" <(in_cli cat /sys/class/net/sluice0/address)
    claim kernel_end_has_the_ports_addresses grep -q '10.66.0.2/24 fd00:66::2/64' <(in_cli ip -br addr show sluice0)
    claim kernel_can_ping_out pings in_cli $SERVER_IP
    claim kernel_can_ping_out_in_fragments pings in_cli -s 5000 $SERVER_IP
    claim kernel_can_ping_out_over_ipv6 pings in_cli -s 5000 fd00:66::1
    claim port_answers_pings pings in_srv 10.66.0.2
    claim port_answers_pings_in_fragments pings in_srv -s 5000 10.66.0.2
    claim port_answers_pings_over_ipv6 pings in_srv fd00:66::2
    claim arp_is_answered_once [ "$(arp_answers)" = 1 ]
    claim kernel_resets_what_is_nobodys in_srv "$transfer" refused 10.66.0.2 9
    claim tcp_into_the_kernel both_ways in_cli in_srv 10.66.0.2 5001 4
    claim tcp_out_of_the_kernel both_ways in_srv in_cli $SERVER_IP 5001 4
    claim tcp_over_ipv6 both_ways in_cli in_srv fd00:66::2 5002 2
    in_srv ethtool -K sl1 txvlan off # a veth else carries the tag beside the frame, where af_xdp does not look
    claim vlan_tag_reaches_the_kernel tag_passes in_srv sl1 in_cli sluice0
    claim vlan_tag_leaves_the_kernel tag_passes in_cli sluice0 in_srv sl1
    ip -n "$cli" addr add 10.66.0.7/24 dev sluice0
    claim a_new_address_is_followed wait_until 10 grep -q '2 address(es) -> 3, as on sluice0' "$tmp/load"
    claim a_new_address_answers pings in_srv 10.66.0.7
    ip -n "$cli" link set sluice0 mtu 1400
    claim a_smaller_mtu_is_followed wait_until 10 grep -q 'MTU 1500 -> 1400, as on sluice0' "$tmp/load"
    ip -n "$cli" link set sluice0 mtu 9000
    claim a_larger_mtu_is_set_back wait_until 10 has_mtu 1500
    claim storage_verifies_meanwhile end_load
    cat "$tmp/load" "$tmp/result" >&2
}

# Starved, every packet comes in a buffer of the reserve, and the level is yellow for as long as that lasts.
yellow() {
    write_config af_xdp:sl0
    start_load 60 --starve || { not_ok kernel_end_comes_up_at_yellow "$(cat "$tmp/load" "$tmp/server.log")"; return; }
    claim tcp_into_the_kernel_at_yellow both_ways in_cli in_srv 10.66.0.2 5001 4
    claim tcp_out_of_the_kernel_at_yellow both_ways in_srv in_cli $SERVER_IP 5001 4
    claim storage_verifies_at_yellow end_load
    claim all_came_from_the_reserve jq -e '.reserve.dips > 1000' "$tmp/result"
    cat "$tmp/load" >&2
}

red() {
    write_config af_xdp:sl0 'protect: [{port: 3260}]'
    start_load 60 --level=red || { not_ok kernel_end_comes_up_at_red "$(cat "$tmp/load" "$tmp/server.log")"; return; }
    not() { ! "$@"; }
    claim other_traffic_is_shed_at_red not pings in_cli -c 1 -W 1 $SERVER_IP
    claim port_answers_pings_at_red pings in_srv 10.66.0.2
    claim what_a_rule_protects_passes_at_red both_ways in_cli in_srv 10.66.0.2 3260 2
    claim storage_verifies_at_red end_load
    cat "$tmp/load" >&2
}

alone() {
    write_config af_packet:sl0
    bench_good "nbd://$SERVER_IP/" --rw=randread --bs=4k --iodepth=4 --runtime=1 --size=1m 2>"$tmp/load"
    claim af_packet_has_none_of_itself grep -q 'no exception port: .*(af_packet)' "$tmp/load"
    write_config af_xdp:sl0 >/dev/null
    sed -i 's/^    address:/    exception: off\n&/' "$tmp/sluice.yaml"
    bench_good "nbd://$SERVER_IP/" --rw=randread --bs=4k --iodepth=4 --runtime=1 --size=1m 2>"$tmp/load"
    claim off_means_off grep -q 'no exception port: other traffic is dropped (exception: off)' "$tmp/load"
}

# Each part has a server of its own, so that what befalls one is not taken for a fault of the next.
for part in shared yellow red alone; do
    start_server 10809 nbdkit -f -p 10809 memory 256M || exit 1
    $part
    stop_server
done
exit $status_all
