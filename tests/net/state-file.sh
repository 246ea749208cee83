#!/usr/bin/env bash
# state-file - a daemon that finds a damaged state file names it, takes nothing over by it, and serves
#
# timeout: 60
#
#   run_dir: ublk-0.state, which says 60000 connections ── sluiced ── control.sock ── sluice status
#
# The daemon reads the file at start on any machine; no ublk device is needed for a file to be refused.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

state_file() { # volume.connections
    cat <<END
sluice-ublk-state 1
boot $(cat /proc/sys/kernel/random/boot_id)
device 0
queues 1
queue_depth 64
io_bytes_max 524288
user_copy 0
size_bytes 67108864
block_min 512
block_pref 4096
read_only 0
flush 1
fua 1
trim 1
write_zeroes 1
volume.connections $1
volume.queue_depth 64
volume.io_bytes_max 524288
volume.on_dead 0
volume.connect_ms 10000
volume.copy 0
volume.read_only 0
volume.name old
volume.cc cubic
volume.uri nbd://$SERVER_IP:10809/
end
END
}

run_daemon() { # until its control socket answers
    rm -f "$tmp/control.sock"
    ip netns exec "$cli" "$(program sluiced)" -c "$tmp/sluice.yaml" --no-ublk >"$tmp/log" 2>&1 </dev/null &
    daemon_pid=$!
    wait_until 5 answers
}
answers() { timeout 5 "$(program sluice)" --socket "$tmp/control.sock" status >/dev/null 2>&1; }
end_daemon() {
    kill -TERM "$daemon_pid"
    wait "$daemon_pid"
}

write_config af_packet:sl0
state_file 60000 >"$tmp/ublk-0.state"
claim daemon_with_a_damaged_state_file_serves run_daemon
claim damaged_state_file_is_named grep -q "$tmp/ublk-0.state: volume.connections is 60000, not from 0 to 8" "$tmp/log"
claim damaged_state_file_is_kept test -e "$tmp/ublk-0.state"
claim daemon_ends_well end_daemon
state_file 8 >"$tmp/ublk-0.state"
claim daemon_with_a_good_state_file_serves run_daemon
claim good_state_file_is_not_refused eval '! grep -q "ublk-0.state:" "$tmp/log"'
claim daemon_ends_well_again end_daemon
cat "$tmp/log" >&2
exit $status_all
