#!/usr/bin/env bash
# two-ports - two networks, one server on both: what is attached goes by the port whose network answers
#
# timeout: 150
# beside others: mostly waits
#
#   ┌── client ──────────────────────┐               ┌── server ──────────────────┐
#   │ sluiced: port a, 10.66.0.2 ────┼── sl0 ── sl1 ─┼─ 10.66.0.1  nbdkit 10809,  │
#   │          port b, 10.67.0.2 ────┼── sl2 ── sl3 ─┼─ 10.67.0.1  on both        │
#   └────────────────────────────────┘               └────────────────────────────┘
#
# The first network is there, has lost its carrier, or carries nothing back. Both interfaces are as the system makes them. A block
# device that goes from one port to the other with its requests is in tests/guest/two-ports.sh.
AS_IT_COMES=1
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ip -n "$cli" link add sl2 type veth peer name sl3 netns "$srv" && ip -n "$srv" addr add 10.67.0.1/24 dev sl3 &&
    ip -n "$cli" link set sl2 up && ip -n "$srv" link set sl3 up || exit 1
start_server 10809 nbdkit -f -p 10809 memory 64M || exit 1
{
    printf 'ports:\n  - {name: a, device: "af_packet:sl0", address: "%s"}\n' "$CLIENT_CIDR"
    printf '  - {name: b, device: "af_packet:sl2", address: "10.67.0.2/24"}\nrun_dir: %s\nsocket: %s/control.sock\n' "$tmp" "$tmp"
    printf 'volumes:\n  - {name: v, uris: ["nbd://%s/", "nbd://10.67.0.1/"]}\n' $SERVER_IP
} >"$tmp/sluice.yaml"

goes_by() { # address of the server: a load verifies over it
    bench_good "nbd://$SERVER_IP/" --rw=randrw --bs=4k-64k --iodepth=8 --runtime=1 --size=16m --verify 2>"$tmp/said"
    local rc=$?
    cat "$tmp/said" >&2
    [ $rc -eq 0 ] && grep -q "volume v: $1:10809: connection 1 of 1 is up" "$tmp/said"
}

claim both_networks_the_first_uri_serves goes_by $SERVER_IP
ip -n "$srv" link set sl1 down
claim first_network_without_carrier_the_second_port_serves goes_by 10.67.0.1
claim the_port_it_turns_to_is_named grep -q 'trying 10.67.0.1 through port b' "$tmp/said"
ip -n "$srv" link set sl1 up
in_srv nft "add table inet cut; add chain inet cut out { type filter hook output priority 0; }; add rule inet cut out ip saddr $SERVER_IP drop" || exit 1
claim first_network_that_swallows_all_the_second_port_serves goes_by 10.67.0.1
in_srv nft delete table inet cut
ip -n "$srv" link set sl1 down
ip -n "$srv" link set sl3 down
begin=$SECONDS
claim no_network_the_attach_ends eval '! bench "nbd://$SERVER_IP/" --runtime=1 >/dev/null 2>"$tmp/said"; grep "sluiced: 10.67.0.1:10809: " "$tmp/said"'
claim it_ends_before_a_client_gives_up [ $((SECONDS - begin)) -lt 110 ]
exit $status_all
