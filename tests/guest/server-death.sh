#!/usr/bin/env bash
# server-death - the server dies, falls silent or is cut off below a block device in use: hold loses nothing, fail answers in time
#
# timeout: 900
#
# Three volumes of one server: one holds, under fio, which checks every block it reads back; one fails after two seconds; one
# knows a second server of the same disk. They are on files, so what was acknowledged outlives a server. SLUICE_TURNS kills,
# one silence, one dead link of SLUICE_LINK_DOWN_S seconds, one wrong disk. The daemon is there before its servers are.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SERVER='exec tests/guest/serverd'
TURNS=${SLUICE_TURNS:-3}
LINK_DOWN_S=${SLUICE_LINK_DOWN_S:-12}
dir=/tmp/sluice-guest-death-$$

serve() { server up 10809 nbdkit -f file dir="$dir"; }

volume() { # name, jq expression
    sluice list --json | jq -e --arg name "$1" ".[] | select(.name == \$name) | $2" >/dev/null
}

device_of() { sluice list --json | jq -r --arg name "$1" '.[] | select(.name == $name) | .device'; }

fio_load() { # writes and reads back, again and again, until it is enough
    until [ -e /run/enough ]; do
        fio_verify --size=8M --bsrange=4k-64k --verify_backlog=32 || return 1
    done
}

moved() { [ "$(finished_count)" -gt $((before + 50)) ]; }
io_goes_on() { # seconds
    before=$(finished_count)
    wait_until "$1" moved
}

fails_in_time() { # a read of the failing volume, which nobody answers: EIO, and neither at once nor late
    local begin=$SECONDS
    if timeout 60 dd if="$failing" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/run/said; then
        echo "no error"
        return 1
    fi
    echo "$(cat /run/said) after $((SECONDS - begin)) s"
    grep -q 'Input/output error' /run/said && [ $((SECONDS - begin)) -le 10 ]
}

reads_again() { timeout 20 dd if="$failing" of=/dev/null bs=4k count=1 iflag=direct status=none; }

# The kernel has given each tag's buffer back with an error: its next WRITE must not go there yet, and must not get lost either.
writes_fail_on_every_tag() {
    timeout 90 fio --name=fails --filename="$failing" --direct=1 --ioengine=io_uring --iodepth=64 --rw=randwrite --bs=4k --size=1M \
        --number_ios=256 --continue_on_error=write --output-format=json >/run/fails.json 2>/run/said
    jq -e '.jobs[0].total_err | debug | . >= 128' /run/fails.json
}
writes_arrive_whole() { device=$failing fio_verify --size=4M --bsrange=4k-64k --iodepth=64 >/run/whole.log 2>&1 || { tail -n 5 /run/whole.log; false; }; }

kills() {
    local turn
    for ((turn = 1; turn <= TURNS; turn++)); do
        io_goes_on 60 || die "io_goes_on_after_kill_$((turn - 1))" "it stands still"
        server kill 10809
        [ $turn -gt 1 ] || claim eio_within_the_deadline_with_fail fails_in_time
        serve || die server_starts_again "it does not"
    done
    claim "io_goes_on_after_${TURNS}_kills" io_goes_on 60
    claim failing_volume_comes_back wait_until 60 reads_again
    claim device_of_the_failing_volume_stayed test -b "$failing"
}

several_uris() {
    local reader=$several
    claim second_uri_serves_where_the_first_does_not wait_until 40 \
        volume several '.connections_ready > 0 and (.server | endswith(":10809"))'
    server up 10819 nbdkit -f -p 10819 file dir="$dir"
    server kill 10809
    claim the_first_uri_takes_over wait_until 40 volume several '.connections_ready > 0 and (.server | endswith(":10819"))'
    claim reads_go_to_the_other_server timeout 20 dd if="$reader" of=/dev/null bs=64k count=16 iflag=direct status=none
    serve
}

without_link() {
    local end=$((SECONDS + LINK_DOWN_S))
    server link down
    claim eio_without_link_with_fail fails_in_time
    claim eio_for_each_write_without_link writes_fail_on_every_tag
    [ $SECONDS -ge $end ] || sleep $((end - SECONDS)) # the outage itself
    server link up
    claim "io_goes_on_after_${LINK_DOWN_S}_s_without_link" io_goes_on 90
    claim failing_volume_comes_back_with_the_link wait_until 60 reads_again
    claim writes_after_a_failure_arrive_whole writes_arrive_whole
}

# Nobody answers and nobody will: by force the device goes, and who waits for it gets an error.
given_up() {
    local waits
    server kill 10809
    timeout 200 dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/run/said &
    waits=$!
    is_waiting() { awk '{ exit !($1 + $2 > 0) }' "/sys/block/$(basename "$device")/inflight"; }
    wait_until 20 is_waiting
    claim detach_of_a_device_in_use_is_refused eval '! SLUICE_TIMEOUT=60 sluice detach held'
    claim force_takes_it_without_a_server eval 'SLUICE_TIMEOUT=100 sluice detach held --force'
    claim who_waited_gets_an_error eval '! wait "$waits"; grep "Input/output error" /run/said'
    claim the_device_is_gone test ! -e "$device"
}

inside() {
    start_daemon "volumes:" \
        "  - {name: failing, uri: \"nbd://$SLUICE_SERVER/failing\", on_dead: fail, dead_timeout: 2s, request_timeout: 4s}" \
        "  - {name: several, uris: [\"nbd://$SLUICE_SERVER:10819/several\", \"nbd://$SLUICE_SERVER/several\"]}"
    claim volumes_of_the_file_wait_for_their_server wait_until 60 volume failing '.state == "waiting" and (.error | test("refused"))'
    claim a_name_that_waits_is_taken eval '! sluice attach --name failing "nbd://$SLUICE_SERVER/x" 2>/run/said; grep "waits to be attached" /run/said'
    ask_serverd || die serverd_answers "no serverd at $KERNEL_NIC_SERVER"
    server run mkdir -p "$dir"
    server run truncate -s 64M "$dir/disk" "$dir/failing" "$dir/several"
    serve || die server_starts "it does not"
    device=$(SLUICE_TIMEOUT=60 sluice attach --name held "nbd://$SLUICE_SERVER/disk")
    wait_until 90 volume failing '.step == "serving"' || die volumes_are_served "$(sluice list)"
    wait_until 90 volume several '.step == "serving"' || die volume_of_several_uris_is_served "$(sluice list)"
    failing=$(device_of failing) several=$(device_of several)
    fio_load >/run/fio.log 2>&1 &
    load=$!
    kills
    server stop 10809
    before=$(finished_count)
    claim silence_is_noticed wait_until 30 volume held '.timeouts > 0 or .reconnects > 0 or .error != ""'
    server cont 10809
    claim io_goes_on_after_a_silence io_goes_on 60
    without_link
    several_uris
    server kill 10809
    server run mv "$dir/disk" "$dir/kept"
    server run truncate -s 32M "$dir/disk"
    serve
    claim another_size_is_refused_in_words wait_until 60 volume held '.error | test("came back with 33554432 bytes, it had 67108864")'
    claim the_device_stays test -b "$device"
    server kill 10809
    server run mv "$dir/kept" "$dir/disk"
    serve
    claim io_goes_on_with_the_old_disk io_goes_on 60
    touch /run/enough
    claim fio_saw_no_error_and_no_wrong_byte wait "$load"
    tail -n 4 /run/fio.log >&2
    sluice list >&2
    grep -c 'requests wait, trying' /run/sluiced.log >&2
    claim losses_are_one_line_each eval 'grep "volume held: .*requests wait, trying" /run/sluiced.log | head -n 3'
    given_up
    stop_daemon
    server run rm -r "$dir"
}

case ${1:-} in
    inside) inside ;;
    *) NICS=${NICS_DEATH:-virtio} in_guests --kernel-nic --server-port 7000 --timeout "${SLUICE_GUEST_S:-880}" ;;
esac
exit $status_all
