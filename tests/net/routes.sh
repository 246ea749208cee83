#!/usr/bin/env bash
# routes - a machine with 100,000 routes whose default routes change all the time: the daemon reads them within a bounded share of a processor
#
# timeout: 120
#
# The interface's own address is the port's, so the daemon follows the kernel: each change of a default route makes it read links,
# addresses and routes again, and the kernel gives all its routes out for that. Changes come faster than one such reading takes.
AS_IT_COMES=1
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
ROUTES=100000 CHURN_S=5

ip -n "$cli" addr add $CLIENT_CIDR dev sl0
ip -n "$cli" link add sink type veth peer name drain && ip -n "$cli" link set sink up && ip -n "$cli" link set drain up || exit 1
awk -v n=$ROUTES 'BEGIN { for (i = 0; i < n; i++) printf "route add 100.%d.%d.%d/32 dev sink\n", i / 65536, i / 256 % 256, i % 256 }' >"$tmp/batch"
in_cli ip -batch "$tmp/batch" || exit 1
claim machine_has_100000_routes [ "$(in_cli ip route | wc -l)" -ge $ROUTES ]
printf 'ports:\n  - {name: net0, device: "af_packet:sl0"}\nrun_dir: %s\nsocket: %s/control.sock\n' "$tmp" "$tmp" >"$tmp/sluice.yaml"

daemon() { pgrep -x sluiced -P "$(pgrep -d, -x timeout -P "$load_pid")"; }
ticks() { # of the processor that the control thread has taken, in hundredths of a second
    awk '{ print $14 + $15 }' "/proc/$1/task/$1/stat"
}
churn() { # default routes come and go until it is enough; prints how often
    local end=$((SECONDS + CHURN_S)) n=0
    yes "$(printf 'route add default dev sink metric 900\nroute del default dev sink metric 900')" | head -n 200 >"$tmp/changes"
    while [ $SECONDS -lt $end ]; do
        in_cli ip -batch "$tmp/changes"
        n=$((n + 200))
    done
    echo $n
}

start_server 10809 nbdkit -f -p 10809 memory 64M || exit 1
: >"$tmp/load"
bench_good "nbd://$SERVER_IP/" --rw=randread --bs=4k --iodepth=4 --runtime=60 --size=16m 2>"$tmp/load" &
load_pid=$!
wait_until 30 grep -q 'volume vol0: ready' "$tmp/load" || exit 1
pid=$(daemon)
before=$(ticks "$pid") begin=$(date +%s%N)
changes=$(churn)
after=$(ticks "$pid") ms=$((($(date +%s%N) - begin) / 1000000))
echo "$changes changes in $ms ms cost the control thread $((after - before)) hundredths of a second" >&2
claim default_routes_changed_often [ "$changes" -ge 1000 ]
claim following_them_takes_less_than_a_tenth_of_a_processor [ $(((after - before) * 10)) -lt $((ms / 10)) ]
ip -n "$cli" addr add 10.66.0.3/24 dev sl0
claim address_that_comes_after_is_followed wait_until 20 grep -q '1 address(es) -> 2, as on sl0' "$tmp/load"
kill -TERM "$pid"
claim load_goes_on_meanwhile wait $load_pid
cat "$tmp/load" >&2
exit $status_all
