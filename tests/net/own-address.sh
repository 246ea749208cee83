#!/usr/bin/env bash
# own-address - af_packet with the address that the kernel has on the interface, which is the default
#
# timeout: 120
#
#   ┌── client ─────────────────────────┐              ┌── server ──────────┐
#   │ the kernel, 10.66.0.2 ──┐         │              │ nbdkit 10809       │
#   │ sluiced,    10.66.0.2 ──┴─── sl0 ─┼──────── sl1 ─│ 10.66.0.1          │
#   └───────────────────────────────────┘              └────────────────────┘
#
# Both hear every packet. The kernel knows nothing of our connections, and must not reset them; nor we its.
AS_IT_COMES=1
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

transfer=$root/tests/net/transfer
ip -n "$cli" addr add $CLIENT_CIDR dev sl0
printf 'ports:\n  - {name: net0, device: "af_packet:sl0"}\nrun_dir: %s\nsocket: %s/control.sock\n' "$tmp" "$tmp" >"$tmp/sluice.yaml"

listens() { [ -n "$("$1" ss -Hltn "sport = :$2")" ]; }
both_ways() { # where it is served, where it runs, address, port, megabytes
    "$1" timeout 30 "$transfer" serve "$4" &
    local server=$!
    wait_until 10 listens "$1" "$4" && "$2" "$transfer" run "$3" "$4" "$5" && wait $server
}
has_table() { in_cli nft list tables | grep -q sluice-; }
no_table() { ! has_table; }
daemon() { pgrep -x sluiced -P "$(pgrep -d, -x timeout -P "$load_pid")"; }

start_server 10809 nbdkit -f -p 10809 memory 256M || exit 1
bench_good "nbd://$SERVER_IP/" --rw=randrw --bs=4k-64k --iodepth=8 --runtime=60 --size=64m --verify 2>"$tmp/load" &
load_pid=$!
claim connects_with_the_interfaces_own_address wait_until 20 grep -q 'volume vol0: ready' "$tmp/load"
claim tcp_into_the_kernel_meanwhile both_ways in_cli in_srv 10.66.0.2 5001 4
claim tcp_out_of_the_kernel_meanwhile both_ways in_srv in_cli $SERVER_IP 5002 4
claim table_is_there_while_it_runs has_table
kill -TERM $(daemon)
claim load_verifies_with_the_interfaces_own_address wait $load_pid
claim table_goes_at_the_end no_table
cat "$tmp/load" >&2
bench_good "nbd://$SERVER_IP/" --rw=randread --bs=4k --iodepth=1 --runtime=60 --size=1m 2>"$tmp/load" &
load_pid=$!
wait_until 20 grep -q 'volume vol0: ready' "$tmp/load" || exit 1
kill -KILL $(daemon)
wait $load_pid
claim table_goes_with_a_killed_daemon wait_until 5 no_table
exit $status_all
