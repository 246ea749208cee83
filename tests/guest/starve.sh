#!/usr/bin/env bash
# starve - with no normal mbuf left, storage traffic goes on from the reserve; without a reserve it stops
#
# timeout: 900
#
# The property Sluice exists for. `sluice fault starve on` makes the normal list answer "empty" while fio verifies: every
# refill of the RX ring must then come from the reserve. Progress is what the block layer finished, second by second, so one
# reply that never comes is seen although others still flow.
#
# The second half shows that the test can fail: same load, same fault, `reserve: {size: 0}`, and now the seconds must pass
# without progress. That device hangs for good; it is left hanging, and the VM is ended.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
exec {never}<> <(:) # nothing is written to it: a wait on it costs no program, of which the guest starts few while it is loaded

start_load() { # until end_load
    fio_verify --size=64M --time_based --runtime=280 --verify_backlog=512 >/run/fio.log 2>&1 &
    load_pid=$!
    wait_until 60 has_started || die load_starts "fio finished not 200 requests in 60 s"
}

has_started() { [ "$(finished_count)" -gt 200 ]; }

# fio that is interrupted finishes what it has begun, ends with 128 and leaves out its last pass: a run of its own stands for that.
load_verifies() {
    pkill -INT -o -x fio
    timeout 60 tail --pid="$load_pid" -f /dev/null || return
    wait "$load_pid"
    [ $? -eq 128 ] && grep 'err= 0' /run/fio.log && fio_verify --size=16M
}

# Prints in how many of the next seconds the device finished something, and the longest run without.
seconds_with_progress() { # seconds
    local i before now good=0 still=0 longest=0 each=''
    before=$(finished_count)
    for ((i = 0; i < $1; i++)); do
        read -r -t 1 -u "$never"
        now=$(finished_count)
        each+=" $((now - before))"
        if [ "$now" -gt "$before" ]; then
            good=$((good + 1)) still=0
        else
            still=$((still + 1))
            [ $still -le $longest ] || longest=$still
        fi
        before=$now
    done
    echo "finished in each second:$each" >&2
    echo "$good $longest"
}

with_reserve() {
    local dips_before dips_after good longest
    start_daemon
    attach
    start_load
    dips_before=$(reserve_number dips)
    sluice fault starve on >&2 || die fault_starve_works "sluice fault starve on failed"
    read -r good longest < <(seconds_with_progress 12)
    dips_after=$(SLUICE_TIMEOUT=60 reserve_number dips) # the load leaves it little of a busy machine
    echo "starved: progress in $good of 12 s, longest pause $longest s, dips $dips_before to $dips_after" >&2
    [ "$good" -ge 9 ] || { sluice list; sluice reserve; } >&2
    claim io_continues_on_the_reserve [ "$good" -ge 9 ]
    claim refills_come_from_the_reserve [ "${dips_after:-0}" -gt "${dips_before:-0}" ]
    claim data_verifies_while_starved load_verifies
    echo "dips by the end: $(reserve_number dips)" >&2
    claim protected_drops_stay_0_while_starved [ "$(counter protected_drops)" = 0 ]
    sluice fault starve off >&2
    detach
    # What was free at the start depends on how full the ring was then; now it is the ring's or free, all of it.
    is_back() { sluice reserve --json | jq -e '.[0] | [.owners[] | select(.parent == -1 and .owner != "ring") | .used] | add == 0' >&2; }
    claim every_mbuf_is_back_after_starving wait_until 10 is_back
    stop_daemon
}

without_reserve() {
    local good longest
    start_daemon 'reserve: {size: 0}'
    attach
    start_load
    sluice fault starve on >&2 || die fault_starve_works "sluice fault starve on failed"
    read -r good longest < <(seconds_with_progress 10)
    echo "starved without reserve: progress in $good of 10 s, longest pause $longest s" >&2
    claim io_stalls_without_a_reserve [ "$longest" -ge 8 ]
    kill -KILL "$load_pid" "$daemon_pid" 2>/dev/null
}

inside() {
    with_reserve
    without_reserve
}

case ${1:-} in
    inside) inside ;;
    *) in_guests ;;
esac
exit $status_all
