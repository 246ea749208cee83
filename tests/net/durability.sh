#!/usr/bin/env bash
# durability - a server that answers before it has stored is killed amid writes and comes back without them
#
# timeout: 120
#
# nbdkit keeps what is written in a cache of its own (--filter=cache, cache=writeback) until a FLUSH or a FUA asks for it. SIGKILL
# takes the cache away. The load reads back and compares what it wrote, before and after: with `unstable: trust` it finds blocks of
# before, with `unstable: through` none.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
truncate -s 64M "$tmp/disk"

kit() { start_server 10809 nbdkit -f -p 10809 --filter=cache file "$tmp/disk" cache=writeback; }

received() { in_srv cat /sys/class/net/sl1/statistics/rx_bytes; }
writes_flow() { [ "$(received)" -gt $((since + 400000)) ]; }
flows() { since=$(received); wait_until 20 writes_flow; }

# What the load says of a server that was killed and came back.
result_with() { # mode
    write_config af_packet:sl0 volumes: '  - name: disk' "    uri: nbd://$SERVER_IP/" "    unstable: $1"
    kit || return
    bench "nbd://$SERVER_IP/" --rw=randrw --bs=4k --iodepth=16 --size=32M --runtime=6 --verify >"$tmp/result" 2>"$tmp/log" &
    load_pid=$!
    flows || return
    kill -KILL "$server_pid"
    wait "$server_pid" 2>/dev/null
    kit || return
    flows || return
    wait "$load_pid"
    stop_server
    echo "$1: $(jq -c '{ios, errors, verify_errors, verified_blocks}' "$tmp/result")" >&2
    jq -e '.errors == 0 and .verified_blocks > 50' "$tmp/result" >&2
}

wrong_blocks() { jq .verify_errors "$tmp/result"; }

claim load_survives_with_trust result_with trust
claim trust_loses_what_was_not_flushed [ "$(wrong_blocks)" -gt 0 ]
claim trust_says_what_may_be_lost grep -q 'bytes were answered and not flushed' "$tmp/log"
claim load_survives_with_through result_with through
claim through_loses_nothing [ "$(wrong_blocks)" -eq 0 ]
exit $status_all
