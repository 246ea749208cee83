#!/usr/bin/env bash
# cli - sluice against a daemon with canned facts: every command, every status, every kind of trouble
#
#   sluice ──── control.sock ──── fake_daemon (the product's control.c, no datapath)
#
# timeout: 120
# shellcheck disable=SC2016 # jq's own variables
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$root/build}
sluice=$BUILD/cli/sluice
tmp=$(mktemp -d "${TMPDIR:-/tmp}/sluice-cli.XXXXXX")
sock=$tmp/control.sock
status_all=0

cleanup() {
    tmux -L "cli-$$" kill-server 2>/dev/null
    [ -z "${daemon:-}" ] || kill -KILL "$daemon" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

start_daemon() { # words…
    local line
    mkfifo "$tmp/ready"
    "$BUILD/tests/unit/daemon/fake_daemon" "$sock" "$@" >"$tmp/ready" 2>"$tmp/daemon.err" &
    daemon=$!
    read -r line <"$tmp/ready"
    rm "$tmp/ready"
    [ "$line" = ready ] || { cat "$tmp/daemon.err" >&2; exit 1; }
}

run() { timeout 30 "$sluice" --socket "$sock" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null; }

verdict() { # claim, true or false
    if "$2"; then
        echo "ok $1"
    else
        echo "not ok $1"
        { echo "$1: out:"; cat "$tmp/out"; echo "err:"; cat "$tmp/err"; } >&2
        status_all=1
    fi
}

said() { # pattern: empty for nothing at all
    if [ -n "$1" ]; then grep -Eq -- "$1" "$tmp/out"; else [ ! -s "$tmp/out" ]; fi
}

# claim, status, pattern in stdout, arguments…
says() {
    local name=$1 want=$2 pattern=$3 good=true
    shift 3
    run "$@"
    [ $? -eq "$want" ] && said "$pattern" && [ ! -s "$tmp/err" ] || good=false
    verdict "$name" $good
}

# claim, status, pattern on stderr (one line), arguments…
tells() {
    local name=$1 want=$2 pattern=$3 good=true
    shift 3
    run "$@"
    [ $? -eq "$want" ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -Eq -- "$pattern" "$tmp/err" || good=false
    verdict "$name" $good
}

# claim, jq filter that must be true, arguments…
answers() {
    local name=$1 filter=$2 good=true
    shift 2
    run "$@" && [ "$(wc -l <"$tmp/out")" -eq 1 ] && jq -e "$filter" "$tmp/out" >/dev/null || good=false
    verdict "$name" $good
}

### usage: nobody is asked

run; rc=$?
verdict nothing_said_is_wrong_usage "$([ $rc -eq 2 ] && grep -q '^usage: sluice' "$tmp/err" && echo true || echo false)"
tells unknown_command_is_told 2 'there is no command "frobnicate"' frobnicate
tells near_command_is_offered 2 'did you mean status' statsu
tells unknown_global_option_is_told 2 'no option --frob' --frob status
tells unknown_option_is_told 2 'status has no option --frob' status --frob
tells option_of_another_command_is_told 2 'status has no option --force' status --force
tells missing_argument_is_told 2 'attach lacks an argument; usage: sluice attach URI' attach
tells surplus_argument_is_told 2 'list has too many arguments' list x
tells missing_value_is_told 2 '--name needs a value' attach nbd://h/x --name
tells letters_that_stand_together_are_told_apart 2 'status has no option -x;' status -xh
tells letters_before_the_command_are_told_apart 2 'no option -x before' -xh status
tells unknown_reserve_view_is_told 2 'reserve frob is not known' reserve frob
tells unknown_fault_lists_all_four 2 'starve on\|off, level green\|yellow\|red\|off, leak OWNER N, or refill N' fault starve maybe
tells top_without_a_terminal_is_told 2 'top needs a terminal' top
says help_is_good 0 '^usage: sluice .*COMMAND' --help
# Every option there is in the source is in the text that lists them.
options_are_listed() { # source, command…
    local option source=$1
    shift
    "$@" >"$tmp/out" 2>"$tmp/err"
    while read -r option; do
        grep -qE -- "--$option\b" "$tmp/out" || { echo "--$option is not listed"; return 1; }
    done < <(sed -nE 's/^\t\{"([a-z-]+)", (no|required)_argument.*/\1/p' "$root/$source")
}
verdict every_option_of_the_client_is_listed "$(options_are_listed cli/main.c "$sluice" --help >&2 && echo true || echo false)"
verdict every_option_of_the_daemon_is_listed "$(options_are_listed daemon/main.c "$BUILD/daemon/sluiced" --help >&2 && echo true || echo false)"
plain=$BUILD/tests/unit/daemon/sluice_plain
"$plain" --help >"$tmp/out" 2>"$tmp/err"
verdict build_without_faults_shows_none "$(grep -q attach "$tmp/out" && ! grep -qw fault "$tmp/out" && echo true || echo false)"
"$plain" fault starve on >"$tmp/out" 2>"$tmp/err"; rc=$?
verdict build_without_faults_knows_none "$([ $rc -eq 2 ] && grep -q 'there is no command "fault"' "$tmp/err" && echo true || echo false)"
says help_of_a_command_is_good 0 'sluice.* detach NAME \[--force ' detach -h
says version_is_said 0 '^sluice [0-9]+\.' version
answers version_as_json '.version | test("^[0-9]+\\.")' --json version

# modprobe takes what follows the first name as that module's parameters.
verdict documents_load_each_module "$(cd "$root" && ! grep -rnE 'modprobe [a-z][a-z_-]+ [a-z]' README.md docs >&2 && echo true || echo false)"

### nobody there

tells absent_daemon_is_told 1 'no sluiced answers at .*control.sock.*start it' status
run --json list; rc=$?
verdict absent_daemon_as_json "$([ $rc -eq 1 ] && jq -e '.error.message | test("no sluiced")' "$tmp/out" >/dev/null && echo true || echo false)"
verdict absent_daemon_has_a_code "$(jq -e '.error.code == -32020 and .error.name == "no-daemon"' "$tmp/out" >/dev/null && echo true || echo false)"
tells empty_socket_path_is_named 1 'sluice: --socket is empty' --socket '' status
python3 -c 'import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])' "$sock"
tells dead_daemon_is_told 1 'no sluiced answers at' status
long=$(printf 'x%.0s' {1..200})
run --socket "/tmp/$long" status; rc=$?
verdict overlong_socket_path_is_told "$([ $rc -eq 1 ] && grep -q 'longer than 107 bytes' "$tmp/err" && echo true || echo false)"

### a daemon

start_daemon
says status_shows_the_guarantee 0 '^guarantee: partial: no hugepages' status
says status_shows_ports 0 '^p0 +0000:00:03.0 +net_e1000_em +up +1500 .*10.0.0.2/24 fd00::2/64' status
says status_tells_of_a_shortage 0 '^the kernel is short of memory: non-storage traffic' status
says status_shows_uptime_in_words 0 'up 1 h 2 min' status
answers status_as_json '.pid == 4242 and .protected_drops == 0 and (.ports | length) == 1' status --json
says no_volumes_is_said 0 'no volumes; `sluice attach URI`' list
says attach_prints_the_device_alone 0 '^/dev/ublkb0$' attach nbd://10.0.0.9/disk
says late_attach_is_waited_for 0 '^/dev/ublkb1$' attach nbd://10.0.0.9/late
answers attach_as_json '.device == "/dev/ublkb2" and .name == "mine"' attach --json nbd://10.0.0.9/x --name mine
says list_shows_volumes 0 '^mine +/dev/ublkb2 +ready +10 GiB +4096' list
answers list_as_json 'length == 3' list --json
tells refused_attach_carries_the_daemons_words 1 '^sluice: 10.0.0.9:10809 refused the connection$' attach nbd://10.0.0.9/refuse
run --json detach nobody; rc=$?
verdict refusal_has_the_daemons_code "$([ $rc -eq 1 ] && jq -e '.error.code == -32001 and .error.name == "not-found"' "$tmp/out" >/dev/null && echo true || echo false)"
says detach_is_silent 0 '' detach mine
tells unknown_volume_is_told 1 'there is no volume mine' detach mine
says attach_mounted 0 '^/dev/ublkb2$' attach nbd://10.0.0.9/mounted
tells mounted_volume_is_kept 1 'mounted is in use' detach mounted
says mounted_volume_goes_by_force 0 '' detach mounted --force
says attach_evil 0 '^/dev/ublkb2$' attach nbd://10.0.0.9/evil
run list
verdict server_cannot_write_to_the_terminal "$(! grep -q "$(printf '\033')" "$tmp/out" && grep -q 'evil: error: bad?\]0;magic' "$tmp/out" && echo true || echo false)"
says reserve_shows_owners_as_a_tree 0 '^  ring +256 +256' reserve
says reserve_explain_shows_the_sum 0 '^subtotal 412 x safety 1.25 = 515$' reserve explain
says reserve_leaks_names_the_owner 0 '^p0q0 +hold +7 +2\.5 s' reserve leaks
says stats_are_flat_lines 0 '^net\.0\.rx_packets +1234567$' stats
says stats_as_openmetrics 0 '^sluice_net_rx_packets_total\{worker="0"\} 1234567$' stats --openmetrics
verdict openmetrics_end_with_their_mark "$([ "$(tail -n 1 "$tmp/out")" = '# EOF' ] && echo true || echo false)"
says probe_shows_words_and_bytes 0 '^size_bytes +10737418240 \(10 GiB\)$' probe nbd://10.0.0.9/disk
says doctor_asks_the_daemon 1 '^MISSING +ublk' doctor
says starve_is_said 0 '^starve is on$' fault starve on
says starve_ends 0 '^starve is off$' fault starve off
printf q | TERM=xterm timeout 30 script -qec "$sluice --socket $sock top" /dev/null >"$tmp/out" 2>"$tmp/err"; rc=$?
verdict top_draws_and_ends_at_q "$([ $rc -eq 0 ] && grep -q 'guarantee partial (no hugepages)' "$tmp/out" && grep -q 'p0q0' "$tmp/out" && echo true || echo false)"
TERM=dumb timeout 30 script -qec "$sluice --socket $sock top" /dev/null >"$tmp/out" 2>"$tmp/err" </dev/null; rc=$?
verdict top_refuses_a_dumb_terminal "$([ $rc -eq 1 ] && grep -q 'cannot draw on a terminal of type "dumb"' "$tmp/out" && echo true || echo false)"

### on terminals of 80 and of 50 columns nothing is wider, and nothing is missing

# columns, arguments…: what a terminal shows, in $tmp/out
on_terminal() {
    local columns=$1
    shift
    timeout 30 script -qec "stty cols $columns rows 24; $sluice --socket $sock $*" /dev/null 2>"$tmp/err" </dev/null |
        tr -d '\r' >"$tmp/out"
}
fits() { [ "$(wc -L <"$tmp/out")" -le "$1" ]; }
shows() { # words…: each stands somewhere
    local word
    for word; do grep -qF -- "$word" "$tmp/out" || { echo "$word is missing" >&2; return 1; }; done
}
facts=(p0 0000:00:03.0 net_e1000_em 1500 1234567 7654321 02:00:00:00:00:01 10.0.0.2/24 fd00::2/64 p0q0 2048 515 1792 late /dev/ublkb1
    '10 GiB' 10.0.0.9:10809)
for columns in 80 50; do
    on_terminal $columns status
    verdict "status_fits_${columns}_columns" "$(fits $columns && shows "${facts[@]}" && echo true || echo false)"
    for view in list reserve 'reserve leaks' doctor; do
        on_terminal $columns "$view"
        verdict "${view// /_}_fits_${columns}_columns" "$([ -s "$tmp/out" ] && fits $columns && echo true || echo false)"
    done
done
on_terminal 80 status
verdict status_fits_24_lines "$([ "$(wc -l <"$tmp/out")" -le 24 ] && echo true || echo false)"
run status
verdict status_in_a_file_is_not_folded "$([ "$(grep -c '^PORT' "$tmp/out")" = 1 ] && echo true || echo false)"

# The whole screen as a person sees it. More volumes than lines: they are counted, and the pools stay.
screen() { # columns, lines
    tmux -L "cli-$$" -f /dev/null new-session -d -x "$1" -y "$2" "$sluice --socket $sock top"
    for ((i = 0; i < 200; i++)); do
        tmux -L "cli-$$" capture-pane -p >"$tmp/out"
        # Twice the same: tmux is through with what curses wrote.
        grep -q p0q0 "$tmp/out" && cmp -s "$tmp/out" "$tmp/before" && break
        cp "$tmp/out" "$tmp/before"
        read -rt 0.05 <> <(:)
    done
    tmux -L "cli-$$" kill-server
}
for ((n = 0; n < 20; n++)); do run attach "nbd://10.0.0.9/v$n"; done
screen 80 24
verdict top_is_whole_on_80_by_24 "$(shows 'guarantee partial (no hugepages)' 'protected drops 0' 'IN FLIGHT' '/dev/ublkb1' 'more: `sluice list`' \
    'DIPS' 2048 1500 && echo true || echo false)"
screen 60 12
verdict top_keeps_its_lines_on_60_columns "$([ "$(grep -c '^VOLUME' "$tmp/out")" = 1 ] && grep -A1 '^POOL' "$tmp/out" | grep -q '^p0q0' &&
    [ "$(grep -vc . "$tmp/out")" -ge 2 ] && fits 60 && echo true || echo false)"
says shutdown_is_taken 0 '' shutdown
wait "$daemon"; rc=$?
verdict daemon_ended "$([ $rc -eq 0 ] && echo true || echo false)"
tells ended_daemon_is_told 1 'no sluiced answers' status

### a daemon that knows less than we do

start_daemon old
says status_of_an_old_daemon 0 '^no ports$' status
says reserve_of_an_old_daemon 0 '^(POOL)?$' reserve
says explain_of_an_old_daemon 0 '^subtotal - x safety - = -$' reserve explain
says leaks_of_an_old_daemon 0 '^(POOL)?$' reserve leaks
run shutdown

### doctor and bench without a daemon

printf 'ports:\n- device: 0000:ff:1f.7\n  address: 10.0.0.2/24\n' >"$tmp/c.yaml"
says doctor_works_alone 1 '^MISSING +device +there is no PCI device 0000:ff:1f.7' doctor -c "$tmp/c.yaml"
printf 'ports:\n- devise: x\n' >"$tmp/c.yaml"
says doctor_tells_a_bad_file 1 'c.yaml:2: ports\[0\].devise: unknown key; did you mean device' doctor -c "$tmp/c.yaml"
# A machine with a device of ours mounted and no daemon.
mkdir -p "$tmp/machine/sys/block/ublkb3" "$tmp/machine/proc/self" "$tmp/machine/proc/sys/kernel/random" "$tmp/machine$tmp/run"
echo 259:3 >"$tmp/machine/sys/block/ublkb3/dev"
echo '40 27 259:3 / /srv rw - ext4 /dev/ublkb3 rw' >"$tmp/machine/proc/self/mountinfo"
echo a-boot >"$tmp/machine/proc/sys/kernel/random/boot_id"
printf 'version 1\nboot a-boot\ndevice 3\nvolume.name disk\nend\n' >"$tmp/machine$tmp/run/ublk-3.state"
printf 'ports:\n- device: 0000:00:03.0\n  address: 10.0.0.2/24\nrun_dir: %s/run\n' "$tmp" >"$tmp/c.yaml"
SLUICE_SYSFS_ROOT=$tmp/machine says doctor_tells_of_a_mounted_device_without_a_daemon 1 \
    '^MISSING +left device +/dev/ublkb3 \(volume disk\) is mounted, and no sluiced serves it' doctor -c "$tmp/c.yaml"
sluiced=$BUILD/daemon/sluiced
timeout 30 "$sluiced" -c "$tmp/none.yaml" --bench nbd://h/x --json >"$tmp/out" 2>"$tmp/err"; rc=$?
verdict bench_that_fails_answers_in_json "$([ $rc -eq 1 ] && grep -q '^sluiced: ' "$tmp/err" && [ "$(wc -l <"$tmp/out")" -eq 1 ] &&
    jq -e '.error.code < 0 and (.error.message | test("none.yaml"))' "$tmp/out" >/dev/null && echo true || echo false)"
timeout 30 "$sluiced" -c "$tmp/c.yaml" --bench nbd://h/x nbd://h/y >"$tmp/out" 2>"$tmp/err"; rc=$?
verdict second_uri_of_bench_is_refused "$([ $rc -eq 2 ] && grep -q 'takes one URI; "nbd://h/y" is one too many' "$tmp/err" && echo true || echo false)"
mkdir "$tmp/bin"
printf '#!/bin/sh\necho "$@"\nexit 7\n' >"$tmp/bin/sluiced"
chmod +x "$tmp/bin/sluiced"
cp "$sluice" "$tmp/bin/sluice"
sluice=$tmp/bin/sluice
says bench_becomes_the_daemon_beside_it 7 '^-c /etc/sluice/sluice.yaml --bench nbd://h/x --rw=randread$' bench nbd://h/x --rw=randread
says bench_passes_everything_through 7 '^--bench --json -c F nbd://h/x --verify$' --json bench -c F nbd://h/x --verify
mv "$tmp/bin/sluiced" "$tmp/sluiced"
PATH=$tmp:$PATH says bench_finds_the_daemon_in_path 7 '--bench nbd://h/x$' bench nbd://h/x
rm "$tmp/sluiced"
PATH=/usr/bin:/bin tells bench_without_a_daemon_is_told 1 'cannot run sluiced: .*install it beside sluice' bench nbd://h/x
exit $status_all
