#!/usr/bin/env bash
# errors - each wrong set-up is told in one line with its remedy, and leaves nothing behind
#
# timeout: 300
# beside others: mostly waits
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The command must fail with 1 or 2 and say one line on stderr that matches (log lines of the daemon apart).
told() { # claim, pattern, command…
    local name=$1 pattern=$2 rc
    shift 2
    timeout 60 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    rc=$?
    grep '^sluiced: \|^sluice: ' "$tmp/err" >"$tmp/said"
    if { [ $rc -eq 1 ] || [ $rc -eq 2 ]; } && [ "$(wc -l <"$tmp/said")" -eq 1 ] && grep -Eqi "$pattern" "$tmp/said"; then
        ok "$name"
    else
        not_ok "$name" "status $rc, wanted /$pattern/, said: $(cat "$tmp/err")"
    fi
}

sluiced=$(program sluiced)
bench_told() { # claim, pattern, URI
    told "$1" "$2" ip netns exec "$cli" "$sluiced" -c "$tmp/sluice.yaml" --bench "$3" --runtime=1
}

start_server 10809 nbdkit -f -p 10809 --filter=exportname memory 64M \
    exportname-strict=true exportname=disk || exit 1
write_config af_packet:sl0
bench_told unreachable_server_is_told 'no answer|does not answer|unreachable|no route' "nbd://10.66.0.77/disk"
bench_told refused_connection_is_told 'refused' "nbd://$SERVER_IP:9/disk"
bench_told unknown_export_is_told 'export' "nbd://$SERVER_IP/no-such-export"
bench_told host_outside_every_network_is_told 'no port reaches' "nbd://192.0.2.1/disk"
bench_told bad_uri_is_told 'nbd' "http://$SERVER_IP/"
bench_told unix_socket_is_refused_with_the_reason 'unix' "nbd+unix:///?socket=/tmp/x"
stop_server

# stderr of a short good run with this log_level
said_at() { # level
    start_server 10809 nbdkit -f -p 10809 memory 16M || return
    write_config af_packet:sl0 "log_level: $1"
    bench "nbd://$SERVER_IP/" --runtime=1 2>&1 >/dev/null
    stop_server
}
said_at info >"$tmp/info"
said_at error >"$tmp/error"
claim log_level_info_says_what_is_guaranteed grep -q 'guarantee: partial' "$tmp/info"
claim log_level_error_is_silent_when_all_is_well sh -c '! grep . "$1"' _ "$tmp/error"
write_config af_packet:sl0

start_server 10812 nbdkit -f -p 10812 memory 0 || exit 1
bench_told empty_export_is_told 'size|empty' "nbd://$SERVER_IP:10812/"
stop_server
start_server 10813 nbdkit -f -p 10813 memory 511 || exit 1
bench_told export_below_a_sector_is_told 'less than one block' "nbd://$SERVER_IP:10813/"
stop_server
start_server 10814 python3 -m http.server 10814 --bind $SERVER_IP || exit 1
bench_told server_that_is_not_nbd_is_told 'not.*NBD|NBD server|does not answer' "nbd://$SERVER_IP:10814/"
stop_server

printf 'ports:\n  - name: [\n' >"$tmp/sluice.yaml"
told bad_yaml_names_file_and_line 'sluice.yaml:[0-9]+' "$sluiced" --check -c "$tmp/sluice.yaml"
printf 'ports:\n  - name: p\n    device: af_packet:lo\n    adress: 10.0.0.1/24\n' >"$tmp/sluice.yaml"
told unknown_key_names_line_and_key 'sluice.yaml:4.*adress' "$sluiced" --check -c "$tmp/sluice.yaml"
told missing_file_is_told 'sluice' "$sluiced" --check -c "$tmp/nowhere.yaml"
write_config af_xdp:sl0
sed -i 's/^    address/    mtu: 9000\n    address/' "$tmp/sluice.yaml"
bench_told mtu_the_driver_has_not_is_told 'mtu: 9000.*at most' "nbd://$SERVER_IP/"
write_config af_packet:sl0
sed -i 's/^    address/    cpus: [77]\n    address/' "$tmp/sluice.yaml"
bench_told cpu_the_machine_has_not_is_told 'cannot run on CPU 77: .*cpus:' "nbd://$SERVER_IP/"
write_config af_packet:sl0
told dpdks_own_reason_is_passed_on 'DPDK did not start: .*\(DPDK: .*net_bogus0' \
    ip netns exec "$cli" "$sluiced" -c "$tmp/sluice.yaml" --no-ublk -- --vdev=net_bogus0
told unknown_load_is_told 'rw=foo is not known; give read, write' "$sluiced" -c "$tmp/sluice.yaml" --bench "nbd://$SERVER_IP/" --rw=foo
write_config af_packet:nothere
told missing_interface_is_told 'nothere' ip netns exec "$cli" "$sluiced" -c "$tmp/sluice.yaml" --bench "nbd://$SERVER_IP/" --runtime=1
[ -e /dev/ublk-control ] || {
    write_config af_packet:sl0
    told no_ublk_in_the_kernel_is_told 'ublk' ip netns exec "$cli" "$sluiced" -c "$tmp/sluice.yaml"
}
claim nothing_is_left_behind test ! -e "$tmp/control.sock"
# What a disk says of lost writes arrives at whoever flushes; the WRITEs themselves were answered well.
start_server 10816 nbdkit -f -p 10816 eval get_size='echo 16M' pread='head -c "$3" /dev/zero' pwrite='cat >/dev/null' \
    can_write='exit 0' can_flush='exit 0' flush='echo EIO lost >&2; exit 1' || exit 1
claim failed_flush_fails_the_load eval \
    '! bench "nbd://$SERVER_IP:10816/" --rw=write --bs=4k --iodepth=4 --size=64k --runtime=1 >"$tmp/result" 2>"$tmp/said"'
claim failed_flush_is_counted_as_an_error jq -e '.ios > 0 and .errors >= 1' "$tmp/result"
stop_server
exit $status_all
