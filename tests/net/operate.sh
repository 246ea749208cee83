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

write_config af_packet:sl0 "volumes_dir: $tmp/volumes.d"
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

### drops: each reason by name, and a packet with a wrong checksum among them

count_of() { sluice drops --json | jq --arg name "$1" '[.[] | select(.counter == $name) | .count] | add'; }
claim drops_name_every_place eval 'sluice drops --json | jq -e "
    [.[] | .where | split(\" \")[0]] | unique | index(\"port\") and index(\"worker\") and index(\"pool\")"'
before=$(count_of net.rx_bad_csum)
in_srv tests/net/frame bad-ping sl1 "$(in_cli cat /sys/class/net/sl0/address)" 10.66.0.2
claim packets_with_a_wrong_checksum_are_counted wait_until 10 eval '[ "$(count_of net.rx_bad_csum)" -ge $((before + 3)) ]'
claim drops_show_them eval 'sluice drops | grep -Eq "^worker 0 +net\.rx_bad_csum +dropped +[0-9]+ +Packets with a wrong checksum"'
claim drops_leave_out_what_is_0 eval '! sluice drops | grep -q rx_errors && sluice drops all | grep -q rx_errors'

### programs at the socket

converse '{"jsonrpc":"2.0","method":"list"}' '{"jsonrpc":"2.0","id":5,"method":"list"}' >"$tmp/said"
claim notification_is_not_answered [ "$(jq -c .id "$tmp/said")" = 5 ]
converse '{"jsonrpc":"2.0","id":6,"method":"detach","params":{"name":"nobody"}}' >"$tmp/said"
claim refusal_has_its_code jq -e '.error.code == -32001 and .error.data.name == "not-found"' "$tmp/said"

### options of attach are keys of the file; without ublk the attach itself is refused, and nothing is saved

refuses() { ! sluice attach "$@" 2>"$tmp/said"; }
claim option_out_of_range_is_refused eval 'refuses "nbd://$SERVER_IP" --queue-depth 65537 && grep -q "queue_depth must be a whole number from 1 to" "$tmp/said"'
claim option_has_the_rules_of_its_key eval 'refuses "nbd://$SERVER_IP" --on-dead hang && grep -q "on_dead: \"hang\" is not known; give hold or fail" "$tmp/said"'
claim same_server_twice_is_refused eval 'refuses "nbd://$SERVER_IP" "nbd://$SERVER_IP" && grep -q "the same URI is given twice" "$tmp/said"'
claim attach_that_fails_is_not_saved eval 'refuses "nbd://$SERVER_IP/a" --name kept --read-only --io-size-max 128k --save; ! ls "$tmp/volumes.d" 2>/dev/null'

### the file read again: what waits for ublk here is attached, detached and changed like what is served

volumes_are() { # names, in order, of what is there
    [ "$(sluice list --json | jq -r '[.[].name] | sort | join(" ")')" = "$1" ]
}
write() { write_config af_packet:sl0 "volumes_dir: $tmp/volumes.d" "$@"; }
reload() { sluice reload --json >"$tmp/said"; }
reload_says() { reload && jq -e "$1" "$tmp/said"; }

write "volumes:" "  - {name: one, uri: \"nbd://$SERVER_IP/1\"}" "  - {name: two, uri: \"nbd://$SERVER_IP/2\"}"
claim reload_adds_volumes eval 'reload_says ".added == [\"one\", \"two\"] and .removed == []" && wait_until 10 volumes_are "one two"'
is_waiting() { sluice list --json | jq -e --arg n "$1" '.[] | select(.name == $n) | .state == "waiting" and .error != ""'; }
claim volumes_wait wait_until 20 eval 'is_waiting one && is_waiting two'
claim reload_of_the_same_changes_nothing eval 'sluice reload | grep -qx "nothing has changed"'
cp "$tmp/sluice.yaml" "$tmp/good.yaml"
# What an AoE frame is to the classifier: its count grows by the frames sent.
classes() { sluice stats --json | jq -c '.workers[0].classes'; }
class_of_a_frame() {
    local before
    before=$(classes)
    in_srv python3 -c '
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("sl1", 0))
for _ in range(64):
    s.send(b"\xff" * 6 + b"\x02\0\0\0\0\x09" + b"\x88\xa2" + bytes(46))'
    has_grown() { jq -en --argjson b "$before" --argjson n "$(classes)" '[$n | to_entries[] | select(.value - $b[.key] >= 64) | .key] == [$class]' --arg class "$1" >/dev/null; }
    if wait_until 5 eval 'has_grown other || has_grown protected'; then has_grown other && echo other || echo protected; fi
}
claim frame_of_no_rule_is_an_exception [ "$(class_of_a_frame)" = other ]
write "volumes:" "  - {name: one, uri: \"nbd://$SERVER_IP/1\", queue_dept: 3}"
claim file_with_a_mistake_is_refused eval '! sluice reload 2>"$tmp/said" && grep -Eq "sluice.yaml:[0-9]+: volumes\[0\].queue_dept: unknown key" "$tmp/said"'
claim file_with_a_mistake_changes_nothing volumes_are "one two"
write "log_level: debug" "protect:" "  - {address: 192.0.2.7, port: 3260}" \
    "  - ethertype: 0x88a2" "volumes:" "  - {name: one, uri: \"nbd://$SERVER_IP/1\", queue_depth: 7}"
mkdir -p "$tmp/volumes.d"
printf 'volumes:\n  - {name: three, uri: "nbd://%s/3"}\n' "$SERVER_IP" >"$tmp/volumes.d/three.yaml"
kill -HUP "$daemon_pid"
claim sighup_reloads wait_until 10 volumes_are "one three"
claim sighup_says_what_it_did wait_until 10 eval 'tail -n 3 "$tmp/sluiced.log" | grep -q "1 volume(s) added, 1 removed, 1 changed, 0 busy"'
claim new_rule_is_in_force eval '[ "$(class_of_a_frame)" = protected ]'
rm "$tmp/volumes.d/three.yaml"
cp "$tmp/good.yaml" "$tmp/sluice.yaml"
sed -i 's/^    address:/    queues: 1\n    mtu: 1400\n&/' "$tmp/sluice.yaml"
claim reload_names_what_needs_a_restart eval 'reload_says ".restart == [\"ports\"] and .protect and .log_level and .removed == [\"three\"] and .changed == [\"one\"] and .added == [\"two\"]"'
claim and_does_the_rest wait_until 10 volumes_are "one two"
claim detached_by_hand_comes_back_with_a_reload eval 'sluice detach one && volumes_are two && reload_says ".added == [\"one\"]"'

stop_server
kill -TERM "$daemon_pid"
claim daemon_ends_well wait "$daemon_pid"

### an attach that is refused is told once, and says each thing once

ip netns exec "$cli" "$(program sluiced)" -c "$tmp/sluice.yaml" --bench "nbd://$SERVER_IP/x" --runtime=1 >"$tmp/said" 2>&1
claim refused_connection_is_told_once eval '[ "$(grep -c "connection refused" "$tmp/said")" = 1 ] && grep -q "start the server" "$tmp/said"'
claim refused_connection_names_the_server_once eval '[ "$(grep "connection refused" "$tmp/said" | grep -o "$SERVER_IP" | wc -l)" = 1 ]'
claim nobody_speaks_of_requests_that_fail eval '! grep "requests fail" "$tmp/said"'
exit $status_all
