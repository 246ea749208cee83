#!/usr/bin/env bash
# probe - what `sluice probe` tells of a server is what nbdinfo, another client altogether, tells of it
#
# timeout: 120
#
# The same URI at the same server, asked by both; the facts that both know must agree word for word. nbdinfo runs in the
# server's namespace, over the kernel's sockets.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sluice() { timeout 30 "$(program sluice)" --socket "$tmp/control.sock" "$@"; }
answers() { sluice status >/dev/null 2>&1; }

# Both answers in one shape. Block sizes only where the server told them; nbdinfo leaves them out otherwise.
ours() {
    jq -S '{protocol, structured: .structured_replies, size: .size_bytes, is_read_only: .read_only, is_rotational: .rotational,
        can_cache, can_df, can_fast_zero, can_flush, can_fua, can_multi_conn, can_trim, can_zero: .can_write_zeroes,
        block_sizes: (if .block_min then [.block_min, .block_preferred, .block_max] else null end)}' "$tmp/ours"
}
theirs() {
    jq -S --argjson known "${known_size:-null}" '{protocol, structured} + (.exports[0] | {size: ($known // ."export-size"), is_read_only, is_rotational, can_cache, can_df,
        can_fast_zero, can_flush, can_fua, can_multi_conn, can_trim, can_zero,
        block_sizes: (if .block_size_minimum then [.block_size_minimum, .block_size_preferred, .block_size_maximum]
            else null end)})' "$tmp/theirs"
}

ask_both() { # URI's end
    sluice probe --json "nbd://$SERVER_IP:10809/$1" >"$tmp/ours" &&
        in_srv timeout 30 nbdinfo --no-content --json "nbd://$SERVER_IP:10809/$1" >"$tmp/theirs"
}
same() { diff <(theirs) <(ours); }

agree() { # claim, URI's end, command…
    start_server 10809 "${@:3}" || { not_ok "$1" "the server did not start"; return; }
    if ask_both "$2"; then claim "$1" same; else not_ok "$1" "somebody got no answer"; fi
}

# With -d it would end with its first client, without it goes on in the background.
nbd_server_stop() {
    kill "$(cat "$tmp/pid")" && wait_until 5 eval '! is_listening 10809'
}

agree_and_stop() { agree "$@"; stop_server; }

# Few ports, so that one the kernel had given out again while our TCP still waits in TIME-WAIT on it would soon be met.
in_cli sysctl -qw net.ipv4.ip_local_port_range='40000 40159'
write_config af_packet:sl0 "volumes:" "  - {name: later, uri: \"nbd://$SERVER_IP/later\"}"
ip netns exec "$cli" "$(program sluiced)" -c "$tmp/sluice.yaml" --no-ublk >"$tmp/sluiced.log" 2>&1 &
daemon_pid=$!
wait_until 40 answers || { not_ok daemon_starts "no answer"; cat "$tmp/sluiced.log" >&2; exit 1; }

# Without ublk it cannot be attached, as without its server: it waits, is shown, and goes on request.
is_waiting() { sluice list --json | jq -e '.[0] | .name == "later" and .state == "waiting" and .error != ""' >/dev/null; }
claim volume_of_the_file_waits wait_until 20 is_waiting
claim a_name_that_waits_is_taken eval '! sluice attach --name later "nbd://$SERVER_IP/x" 2>"$tmp/said"; grep "waits to be attached" "$tmp/said"'
claim a_volume_that_waits_can_be_detached eval 'sluice detach later && ! sluice detach later && [ "$(sluice list --json)" = "[]" ]'

kit() { echo nbdkit -f -p 10809; }
# shellcheck disable=SC2046
{
    agree_and_stop probe_agrees_on_nbdkit '' $(kit) memory 64M
    agree_and_stop probe_agrees_on_simple_replies '' $(kit) --no-sr memory 64M
    agree_and_stop probe_agrees_on_a_server_of_export_name_only '' $(kit) --mask-handshake=0 memory 64M
    agree_and_stop probe_agrees_on_block_sizes '' $(kit) --filter=blocksize-policy memory 64M blocksize-minimum=4096 \
        blocksize-preferred=64K blocksize-maximum=128K
    agree_and_stop probe_agrees_on_a_read_only_disk '' $(kit) --readonly --filter=multi-conn memory 64M multi-conn-mode=disable
    agree_and_stop probe_agrees_on_a_disk_that_turns '' $(kit) eval get_size='echo 64M' pread='exit 1' is_rotational='exit 0' \
        can_fua='echo none' can_flush='exit 3'
}
truncate -s 64M "$tmp/disk"
printf '[generic]\nallowlist=true\n[disk]\nexportname=%s/disk\nflush=true\nfua=true\ntrim=true\nrotational=true\n' "$tmp" >"$tmp/conf"
# Its INFO answers size 0; only GO tells. nbdinfo, which asks INFO alone, says 0, so what counts is the file's size.
known_size=67108864
agree probe_agrees_on_nbd_server_and_tells_its_size disk nbd-server -C "$tmp/conf" -p "$tmp/pid"
known_size=
nbd_server_stop
# Exports with names of their own, and none without: the list is the answer.
printf '[generic]\nallowlist=true\n' >"$tmp/conf3"
for name in one 'two words' "$(printf 'dr\303\266\303\237-\347\243\201')"; do
    printf '[%s]\nexportname=%s/disk\n' "$name" "$tmp" >>"$tmp/conf3"
done
start_server 10809 nbd-server -C "$tmp/conf3" -p "$tmp/pid"
listed() { [ "$(sluice probe --json "nbd://$SERVER_IP" | jq -c '[.exports[].name]')" = "$(printf '["one","two words","dr\303\266\303\237-\347\243\201"]')" ]; }
claim probe_of_no_name_lists_the_exports listed
claim probe_shows_utf8_in_text eval 'sluice probe "nbd://$SERVER_IP" >"$tmp/said" && grep -q "$(printf "^dr\303\266\303\237-\347\243\201")" "$tmp/said"'
nbd_server_stop
qemu-img create -q -f qcow2 "$tmp/qcow2" 64M
agree probe_agrees_on_qemu_nbd disk qemu-nbd --format=qcow2 --persistent --shared=8 --discard=unmap --export-name=disk \
    --description='a disk' "$tmp/qcow2"
names() { jq -c '[.exports[] | [.name // ."export-name", .description]]' "$1"; }
in_srv nbdinfo --no-content --list --json "nbd://$SERVER_IP:10809" >"$tmp/theirs"
claim probe_lists_the_same_exports [ "$(names "$tmp/theirs")" = "$(names "$tmp/ours")" ]
claim probe_shows_the_exports_in_text eval 'sluice probe "nbd://$SERVER_IP:10809/disk" | grep -Eq "^disk +a disk$"'
claim probe_gives_the_description [ "$(jq -r '.exports[0].description' "$tmp/ours")" = 'a disk' ]
claim probe_of_an_unknown_export_is_refused eval '! sluice probe "nbd://$SERVER_IP:10809/other" 2>"$tmp/said"; grep "no export" "$tmp/said"'

# Every way in refuses the same URIs, with the same sentence.
everywhere_refused() { # URI, sentence
    printf 'ports: [{name: p, device: "af_packet:sl0", address: 10.66.0.2/24}]\nvolumes: [{uri: "%s"}]\n' "$1" >"$tmp/uri.yaml"
    local way
    for way in 'sluice probe "$1"' 'sluice attach "$1"' 'in_cli "$(program sluiced)" --check -c "$tmp/uri.yaml"' \
        'sluice doctor -c "$tmp/uri.yaml"' 'in_cli "$(program sluiced)" -c "$tmp/sluice.yaml" --bench "$1"'; do
        ! eval "$way" >"$tmp/said" 2>&1 && grep -qF "$2" "$tmp/said" || { echo "$way:"; cat "$tmp/said"; return 1; }
    done
}
claim uri_that_asks_for_tls_is_refused_everywhere eval 'everywhere_refused "nbd://$SERVER_IP/disk?tls-type=x509" "TLS is not supported" &&
    everywhere_refused "nbds://$SERVER_IP/disk" "TLS is not supported"'
claim uri_of_a_unix_socket_is_refused_everywhere everywhere_refused "nbd://$SERVER_IP/disk?socket=/x" 'no packets to protect'
claim uri_with_a_broken_escape_is_refused_everywhere everywhere_refused "nbd://$SERVER_IP/%zz" 'two hex digits'
claim uri_with_a_fragment_is_refused_everywhere everywhere_refused "nbd://$SERVER_IP/disk#a" 'a fragment is not supported'
claim uri_with_an_unknown_parameter_is_warned_of eval 'sluice probe "NBD://$SERVER_IP:/disk?exprt=x" 2>"$tmp/said" && grep "exprt.*ignored" "$tmp/said"'
# A server without options is left in transmission, by DISC and our FIN first; so each probe leaves a TIME-WAIT.
again_and_again() {
    local n
    for ((n = 0; n < 60; n++)); do
        sluice probe "nbd://$SERVER_IP:10809" >"$tmp/said" 2>&1 || { echo "probe $n:"; cat "$tmp/said"; return 1; }
    done
}
stop_server
start_server 10809 nbdkit -f -p 10809 --mask-handshake=0 memory 64M || exit 1
claim connections_that_come_and_go_find_a_port_each again_and_again
stop_server
kill -TERM $daemon_pid
claim daemon_ends_well wait $daemon_pid
exit $status_all
