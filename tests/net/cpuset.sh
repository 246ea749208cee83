#!/usr/bin/env bash
# cpuset - workers are pinned to processors that the process may use, as cpuset, systemd's CPUAffinity= or taskset say
#
# timeout: 60
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

worker_cpus() { # of the only daemon in the namespace
    local pid task
    for pid in $(ip netns pids "$cli"); do
        for task in /proc/"$pid"/task/*; do
            [ "$(cat "$task/comm")" != sluice-worker ] || sed -n 's/^Cpus_allowed_list:\t//p' "$task/status"
        done
    done
}

start_server 10809 nbdkit -f -p 10809 memory 64M || exit 1
write_config af_packet:sl0
for cpu in $(taskset -pc $$ | sed 's/.*: //; s/[-,]/ /g'); do
    rm -f "$tmp/load"
    timeout 60 taskset -c "$cpu" ip netns exec "$cli" "$(program sluiced)" -c "$tmp/sluice.yaml" --bench \
        "nbd://$SERVER_IP/" --rw=randread --bs=4k --iodepth=1 --size=1m --runtime=30 >"$tmp/out" 2>"$tmp/load" &
    pid=$!
    wait_until 20 grep -qs "volume vol0: ready" "$tmp/load"
    claim "worker_stays_on_processor_$cpu" [ "$(worker_cpus)" = "$cpu" ]
    for p in $(ip netns pids "$cli"); do kill -TERM "$p"; done
    claim "bench_ends_well_on_processor_$cpu" wait $pid
    cat "$tmp/load" >&2
done
exit $status_all
