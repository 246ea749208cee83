#!/usr/bin/env bash
# slow-server - a server that takes long is waited for, on one connection, with all defaults; a frozen one is given up by on_dead: fail
#
# timeout: 180
# beside others: mostly waits
#
#   sluiced --bench ── sl0 ── sl1 ── nbdkit, its FLUSH taking 20 s, or its rate limited to 384 kB/s, or stopped by SIGSTOP (qemu-nbd)
#
# Each case lasts longer than the 15 s after which a request used to be given up and sent again.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

volume() { # more lines: a configuration with one volume
    write_config af_packet:sl0 "volumes:" "  - name: disk" "    uri: \"nbd://$SERVER_IP:10809/\"" "${@/#/    }"
}

load() { # options…: its JSON in $tmp/result, its log in $tmp/log
    BENCH_TIMEOUT=60 bench "nbd://$SERVER_IP:10809/" "$@" >"$tmp/result" 2>"$tmp/log"
}
show() { tail -n 20 "$tmp/log" >&2; cat "$tmp/result" >&2; }
is() { jq -e "$1" "$tmp/result"; }
one_connection() { [ "$(grep -c 'connection 1 of 1 is up' "$tmp/log")" -eq 1 ]; }
said() { grep -Eq "$1" "$tmp/log"; }

slow_flush() {
    start_server 10809 nbdkit -f -p 10809 eval get_size='echo 64M' pread='head -c "$3" /dev/zero' pwrite='cat >/dev/null' \
        flush="echo >>$tmp/flushes; sleep 20" can_write='exit 0' can_flush='exit 0' || exit 1
    volume
    claim load_ends_well_over_a_flush_of_20_s load --rw=write --bs=4k --iodepth=4 --size=64k --runtime=1
    claim flush_of_20_s_is_no_error is '.errors == 0'
    claim flush_of_20_s_keeps_its_connection one_connection
    claim slow_server_is_told_once eval '[ "$(grep -c "is slow" "$tmp/log")" -eq 1 ]'
    claim flush_is_sent_once eval '[ "$(wc -l <"$tmp/flushes")" -eq 1 ]'
    show
    stop_server
}

slow_link() { # 64 requests of 128k at 384 kB/s: each takes 21 s from its taking to its answer
    start_server 10809 nbdkit -f -p 10809 --filter=rate memory 64M rate=3M || exit 1
    volume
    claim load_ends_well_over_384_kB_a_second load --rw=write --bs=128k --iodepth=64 --size=16M --runtime=5
    claim slow_server_fails_nothing is '.errors == 0'
    claim slow_server_is_as_fast_as_it_can is '.mb_s > 0.25'
    claim slow_server_keeps_its_connection one_connection
    show
    stop_server
}

frozen() {
    local begin load_pid
    # Not nbdkit: its 1.32 has been seen to abort when its connections are cut.
    truncate -s 64M "$tmp/disk"
    start_server 10809 qemu-nbd --format=raw --port=10809 --persistent --shared=8 --export-name= "$tmp/disk" || exit 1
    volume 'on_dead: fail' 'dead_timeout: 3s'
    : >"$tmp/log"
    load --rw=randread --bs=4k --iodepth=4 --size=16M --runtime=10 &
    load_pid=$!
    wait_until 20 said 'disk: ready'
    begin=$SECONDS
    kill -STOP "$server_pid"
    claim frozen_server_is_given_up_within_the_deadline wait_until 15 said 'no answer for 3000 ms: [1-9][0-9]* requests failed'
    claim frozen_server_is_given_up_in_time [ $((SECONDS - begin)) -le 6 ]
    kill -CONT "$server_pid"
    claim thawed_server_serves_again wait_until 20 eval '[ "$(grep -c "disk: ready" "$tmp/log")" -eq 2 ]'
    wait "$load_pid"
    show
    stop_server
}

slow_flush
slow_link
frozen
exit $status_all
