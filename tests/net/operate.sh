#!/usr/bin/env bash
# operate - what an administrator sees of a running daemon: its log, its counters, its answers to programs
#
# timeout: 180
#
# A real daemon on af_packet, asked through `sluice` and through its socket. No block device is made, so any kernel will do.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sluice() { timeout 30 "$(program sluice)" --socket "$tmp/control.sock" "$@"; }
answers() { sluice status >/dev/null 2>&1; }

daemon_start() {
    ip netns exec "$cli" "$(program sluiced)" -c "$tmp/sluice.yaml" --no-ublk >"$tmp/sluiced.log" 2>&1 &
    daemon_pid=$!
    wait_until 40 answers || { not_ok daemon_starts "no answer"; cat "$tmp/sluiced.log" >&2; exit 1; }
}

# Lines in, lines out, as a program talks to the socket.
converse() {
    python3 - "$tmp/control.sock" "$@" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
s.sendall("".join(line + "\n" for line in sys.argv[2:]).encode())
s.shutdown(socket.SHUT_WR)
while True:
    got = s.recv(65536)
    if not got:
        break
    sys.stdout.write(got.decode())
PY
}

logged_count() { grep -Ec -- "$1" "$tmp/sluiced.log"; }

write_config af_packet:sl0
daemon_start

### the log, which is a file here

stamp='^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z sluiced\[[0-9]+\]( error| warning| debug)?: '
claim log_in_a_file_has_time_and_name eval 'grep -Eq "$stamp.* is up: " "$tmp/sluiced.log" && ! grep -q "^<[0-9]>" "$tmp/sluiced.log"'

start_server 10809 nbdkit -f -p 10809 memory 64M || exit 1
claim export_is_probed eval 'sluice probe "nbd://$SERVER_IP" | grep -q "^size_bytes *67108864 "'
claim its_end_is_logged_once [ "$(logged_count 'volume probe-1: gone')" = 1 ]

### counters

sluice stats --json >"$tmp/stats"
sluice stats --openmetrics >"$tmp/metrics"
claim stats_have_what_the_nic_counts jq -e '.ports[0] | .name == "net0" and .rx_packets > 0 and .tx_packets > 0 and
    ([.rx_missed, .rx_errors, .tx_errors, .rx_nombuf] | all(type == "number"))' "$tmp/stats"
claim stats_in_text_have_it_too eval 'sluice stats | grep -Eq "^ports\.net0\.rx_missed +[0-9]+$"'
# Whatever is exported to a monitoring system is in stats by the same name.
named_in_stats() {
    local family rest missing=0
    while IFS=_ read -r _ family rest; do
        jq -e --arg name "${rest%_total}" '[.. | objects | keys[]] | index($name)' "$tmp/stats" >/dev/null && continue
        echo "not in stats: $family $rest"
        missing=1
    done < <(sed -n 's/^\(sluice_[a-z_]*\){.*/\1/p' "$tmp/metrics" | grep -v '_pool_' | sort -u)
    return $missing
}
claim stats_have_every_counter_that_is_exported named_in_stats

### programs at the socket

converse '{"jsonrpc":"2.0","method":"list"}' '{"jsonrpc":"2.0","id":5,"method":"list"}' >"$tmp/said"
claim notification_is_not_answered [ "$(jq -c .id "$tmp/said")" = 5 ]
converse '{"jsonrpc":"2.0","id":6,"method":"detach","params":{"name":"nobody"}}' >"$tmp/said"
claim refusal_has_its_code jq -e '.error.code == -32001 and .error.data.name == "not-found"' "$tmp/said"

stop_server
kill -TERM "$daemon_pid"
claim daemon_ends_well wait "$daemon_pid"

### an attach that is refused is told once, and says each thing once

ip netns exec "$cli" "$(program sluiced)" -c "$tmp/sluice.yaml" --bench "nbd://$SERVER_IP/x" --runtime=1 >"$tmp/said" 2>&1
claim refused_connection_is_told_once eval '[ "$(grep -c "connection refused" "$tmp/said")" = 1 ] && grep -q "start the server" "$tmp/said"'
claim refused_connection_names_the_server_once eval '[ "$(grep "connection refused" "$tmp/said" | grep -o "$SERVER_IP" | wc -l)" = 1 ]'
claim nobody_speaks_of_requests_that_fail eval '! grep "requests fail" "$tmp/said"'
exit $status_all
