#!/usr/bin/env bash
# adversary - a server that cuts, lies, drips and falls silent, at a chosen byte: cut off each time, never believed, nothing lost
#
# timeout: 300
# beside others: mostly waits
#
# tests/net/liar goes through everything it knows while sluiced reads and writes with --verify. The stated policy is hold, so
# the load must end with no error at all and every byte right, whatever was said in between; and each lie must have been seen
# as one. What single lies do to a single request is in tests/unit/nbd_client; this is the same over real TCP, at full speed.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
STEP=${SLUICE_CUT_STEP:-4}
RUNTIME=${SLUICE_RUNTIME:-100}
truncate -s 64M "$tmp/disk"
URI="nbd://$SERVER_IP:10809/"

write_config af_packet:sl0 "volumes:" "  - name: liar" "    uri: \"$URI\"" "    request_timeout: 1s" "    connect_timeout: 2s"
ip netns exec "$srv" tests/net/liar 10809 "$tmp/disk" --cut-step "$STEP" >"$tmp/told" 2>"$tmp/liar.log" </dev/null &
wait_until 10 is_listening 10809 || { cat "$tmp/liar.log" >&2; exit 1; }

# Until it was ever ready a volume tries each address once: while the first handshakes are cut it is tried again by hand.
load() {
    local attempts
    for ((attempts = 0; attempts < 300; attempts++)); do
        BENCH_TIMEOUT=$((RUNTIME + 60)) bench "$URI" --rw=randrw --bs=4k-32k --iodepth=8 --size=24M --runtime="$RUNTIME" --verify \
            >"$tmp/result" 2>"$tmp/log" && return
        grep -q "^sluiced: .*$SERVER_IP:10809" "$tmp/log" || return 1
    done
}
load &
load_pid=$!
claim every_mischief_was_done wait_until "$RUNTIME" grep -q '^honest$' "$tmp/told"
sleep 1 # honest work, to be verified too
# shellcheck disable=SC2046
kill -INT $(ip netns pids "$cli")
claim load_against_a_liar_ends_well wait "$load_pid"
cat "$tmp/told" "$tmp/result" >&2
grep -v 'connection 1 of 1 is up\|ready\|held$' "$tmp/log" >&2
cat "$tmp/liar.log" >&2
claim load_against_a_liar_ends_with_no_error \
    jq -e '.ios > 100 and .errors == 0 and .verify_errors == 0 and .verified_blocks > 100' "$tmp/result"
claim server_never_saw_a_lie_of_ours eval '! grep -q "the client lies" "$tmp/liar.log"'
was_told() { grep -Eq "10.66.0.1:10809: .*($1)" "$tmp/log"; }
claim lies_in_the_handshake_are_seen eval 'was_told "not an NBD server" && was_told "description of 5000 bytes"'
claim wrong_magic_is_seen was_told 'bad magic 0x25609513 in a reply'
claim wrong_cookies_and_second_answers_are_seen was_told 'a request that is not in flight'
claim wrong_lengths_are_seen eval 'was_told "payload outside the READ" && was_told "answered in part only"'
claim payload_where_none_belongs_is_seen was_told 'payload for a request that is not a READ'
claim unknown_types_are_seen was_told 'chunk of type 0x5'
claim unknown_flags_are_ignored grep -q '^taken flags$' "$tmp/told"
claim reads_in_many_chunks_in_any_order_are_taken grep -q '^taken chunks$' "$tmp/told"
claim oversized_strings_are_seen was_told 'chunk of type 0x8001 with 6006 bytes'
claim silence_is_seen was_told 'not answered in time'
exit $status_all
