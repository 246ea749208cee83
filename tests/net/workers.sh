#!/usr/bin/env bash
# workers - one volume on two workers: data right, each reply at its worker, FLUSH behind every WRITE
#
# timeout: 240
#
# af_packet with two queue pairs is a NIC that spreads flows by a hash nobody can foretell, so the workers must find the local
# ports that bring replies home. The server is nbdkit; what it was asked, and when, is read from its log filter.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
RUNTIME=${RUNTIME:-4}

config() { # queues, more lines
    printf 'ports:\n  - {name: net0, device: "af_packet:sl0", queues: %s, address: ["%s", "fd00:66::2/64"]}\n' "$1" "$CLIENT_CIDR"
    printf 'run_dir: %s\nsocket: %s/control.sock\n' "$tmp" "$tmp"
    printf '%s\n' "${@:2}"
}

result() { jq -e "$1" "$tmp/result"; }

start_server 10809 nbdkit -f -p 10809 memory 256M || exit 1
config 2 >"$tmp/sluice.yaml"
claim mixed_sizes_verify_over_two_workers bench_good "nbd://$SERVER_IP/" --rw=randrw --bs=4k-256k --iodepth=16 \
    --runtime="$RUNTIME" --size=64m --verify
claim both_workers_carry_traffic result '.parts == 2 and (.workers | all(.rx_packets > 100 and .tx_packets > 100))'
claim no_connection_stays_astray result '.connections_astray == 0'
# When one ring is full the kernel gives the packet to the other: some are misdirected for good reason, more on a slower machine.
claim nearly_all_packets_arrive_at_their_worker result '(.workers | map(.stray_out) | add) * 10 < (.workers | map(.rx_packets) | add)'
claim small_blocks_verify_over_two_workers_and_ipv6 bench_good 'nbd://[fd00:66::1]/' --rw=randrw --bs=4k --iodepth=32 \
    --runtime="$RUNTIME" --size=16m --verify
claim both_workers_carry_ipv6 result '.parts == 2 and .connections_astray == 0'
config 3 "volumes: [{uri: \"nbd://$SERVER_IP/\", connections: 2}]" >"$tmp/sluice.yaml"
claim volume_is_on_as_many_workers_as_it_has_connections eval 'bench_good "nbd://$SERVER_IP/" --rw=randread --runtime=1 &&
    result ".parts == 2 and (.spread | length > 0)"'
stop_server

config 2 >"$tmp/sluice.yaml"
start_server 10810 nbdkit -f -p 10810 --filter=multi-conn memory 64M multi-conn-mode=disable || exit 1
claim one_connection_means_one_worker eval 'bench_good "nbd://$SERVER_IP:10810/" --rw=randrw --iodepth=8 --runtime=1 --size=16m --verify &&
    result ".parts == 1 and (.spread | test(\"CAN_MULTI_CONN\"))"'
stop_server

# The second half of the disk, which is the second worker's, is slow to write. Each worker writes one block and then flushes:
# the first one's FLUSH is due long before the other's WRITE is answered, and must not be sent until it is.
flush_order() {
    start_server 10811 nbdkit -f -p 10811 -t 8 --filter=log eval logfile="$tmp/nbd.log" \
        thread_model='echo parallel' get_size='echo 1048576' can_multi_conn='exit 0' can_write='exit 0' can_flush='exit 0' pread='head -c $3 /dev/zero' \
        pwrite='cat >/dev/null; [ $4 -lt 524288 ] || sleep 1' flush='exit 0' || return 1
    bench "nbd://$SERVER_IP:10811/" --rw=write --bs=512k --iodepth=2 --size=1m >"$tmp/result"
    stop_server
    grep -E 'Write|Flush' "$tmp/nbd.log"
    awk '/ Write id=/ { open++; writes++ }
        /[.]Write id=/ { open-- }
        / Flush id=/ { flushes++; early += open > 0 }
        END { print writes + 0, flushes + 0, early + 0; exit !(writes == 2 && flushes >= 2 && early == 0) }' "$tmp/nbd.log"
}
claim flush_waits_for_the_other_workers_write flush_order
exit $status_all
