#!/usr/bin/env bash
# process - the daemon as a process of a machine: signals, mounts, a log that nobody reads; and a bench that ends by itself
#
# timeout: 120
#
# The script runs in a mount namespace of its own, for each test elsewhere on the machine that is started meanwhile would
# take the disk mounted here along into its namespace.
[ -n "${PROCESS_UNSHARED:-}" ] || PROCESS_UNSHARED=1 exec unshare -m --propagation private "$0" "$@"
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sluice() { timeout 30 "$(program sluice)" --socket "$tmp/control.sock" "$@"; }
answers() { sluice status >/dev/null 2>&1; }
daemon_start() { # where standard error goes
    ip netns exec "$cli" "$(program sluiced)" -c "$tmp/sluice.yaml" --no-ublk >/dev/null 2>"$1" &
    daemon_pid=$!
    wait_until 40 answers
}
daemon_end() {
    kill -TERM "$daemon_pid" 2>/dev/null
    wait "$daemon_pid"
}
daemon_failed() { not_ok daemon_starts "no answer"; cat "$tmp/log" >&2; exit 1; }

write_config af_packet:sl0

### --runtime=0

start_server 10809 nbdkit -f -p 10809 memory 4M || exit 1
claim runtime_of_0_covers_the_export_once eval \
    'bench_good "nbd://$SERVER_IP/" --rw=read --bs=64k --runtime=0 && jq -e ".ios == 64" "$tmp/result"'

### a disk that was mounted when the daemon came

disk_make() {
    truncate -s 32M "$tmp/image" && loop=$(losetup -f --show "$tmp/image") && mkfs.ext4 -q "$loop" >&2 && mkdir "$tmp/disk" &&
        mount "$loop" "$tmp/disk"
}
disk_drop() {
    umount "$tmp/disk" 2>/dev/null
    [ -z "${loop:-}" ] || losetup -d "$loop"
}
trap 'disk_drop; cleanup' EXIT
disk_make || { not_ok disk_is_made "no loop device"; exit 1; }
daemon_start "$tmp/log" || daemon_failed
claim daemon_does_not_hold_the_disk_in_its_namespace eval '! grep -F "$tmp/disk" "/proc/$daemon_pid/mountinfo"'
claim disk_unmounted_while_the_daemon_runs_is_free eval 'umount "$tmp/disk" && mkfs.ext4 -q -F "$loop" </dev/null'

### signals

ignored() {
    local sig
    for sig in USR1 USR2 ALRM VTALRM PROF IO PWR STKFLT XCPU XFSZ TSTP TTIN TTOU RTMIN RTMAX; do
        kill -s "$sig" "$daemon_pid" || return 1
    done
    wait_until 10 eval '[ "$(grep -c "ignoring signal" "$tmp/log")" -ge 15 ]' && sluice status >/dev/null
}
claim signals_that_mean_nothing_are_logged_and_survived ignored
claim sigterm_ends_it daemon_end

### a log that nobody reads

mkfifo "$tmp/pipe"
exec 8<>"$tmp/pipe"
python3 - 8 <<'PY'
import os, sys
fd = int(sys.argv[1])
os.set_blocking(fd, False)
try:
    while True:
        os.write(fd, b"x" * 4096)
except BlockingIOError:
    pass
try:
    while True:
        os.write(fd, b"x")
except BlockingIOError:
    pass
os.set_blocking(fd, True)
PY
lost() { sluice stats --json | jq .log.lines_lost; }
many_lines() { # each signal is a line; more than the log keeps
    local i
    for i in $(seq 400); do kill -USR1 "$daemon_pid" || return 1; sluice version >/dev/null; done
    wait_until 10 eval '[ "$(lost)" -gt 0 ]'
}
commands() { sluice status && sluice list && sluice stats && sluice reserve && sluice probe "nbd://$SERVER_IP/"; }
daemon_start "$tmp/pipe" || { not_ok daemon_starts_with_a_full_pipe "no answer"; exit 1; }
claim every_command_works_while_nobody_reads_the_log commands
claim lost_lines_are_counted many_lines
claim commands_work_after_lines_were_lost commands
claim it_ends_while_nobody_reads_the_log eval 'SECONDS=0; daemon_end && [ $SECONDS -lt 10 ]'
exec 8>&-
exit $status_all
