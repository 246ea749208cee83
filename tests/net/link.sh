#!/usr/bin/env bash
# link - the interface goes down and comes back: the worker sleeps meanwhile, and I/O goes on after
#
# timeout: 120
# beside others: mostly waits
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

daemon() { pgrep -x sluiced -P "$(pgrep -d, -x timeout -P "$load_pid")"; }
ticks() { # of the processor that the worker has taken, in hundredths of a second
    local stat
    for stat in /proc/"$(daemon)"/task/*/stat; do
        case $(<"$stat") in *"(sluice-worker)"*) awk '{ print $14 + $15 }' "$stat" ;; esac
    done
}
received() { # bytes, by the server, on all connections
    in_srv ss -Htin 'sport = :10809' | grep -o 'bytes_received:[0-9]*' | awk -F: '{ n += $2 } END { print n + 0 }'
}
received_more() { [ "$(received)" -gt "$1" ]; }

start_server 10809 nbdkit -f -p 10809 memory 256M || exit 1
for driver in af_packet af_xdp; do
    write_config $driver:sl0
    bench_good "nbd://$SERVER_IP/" --rw=randrw --bs=4k-64k --iodepth=16 --runtime=60 --size=64m --verify 2>"$tmp/load" &
    load_pid=$!
    wait_until 20 grep -q 'volume vol0: ready' "$tmp/load" && wait_until 10 received_more 1000000 || exit 1
    ip -n "$cli" link set sl0 down
    before=$(ticks)
    sleep 3 # what is measured is the processor's time in it
    after=$(ticks)
    echo "$driver: $((after - before)) of 300 hundredths while the link is down" >&2
    claim "${driver}_worker_sleeps_while_the_link_is_down" [ $((after - before)) -lt 30 ]
    bytes=$(received)
    ip -n "$cli" link set sl0 up
    claim "${driver}_serves_again_when_the_link_is_back" wait_until 20 received_more $((bytes + 1000000))
    kill -TERM "$(daemon)"
    claim "${driver}_load_verifies_over_the_gap" wait $load_pid
    cat "$tmp/load" >&2
done
exit $status_all
