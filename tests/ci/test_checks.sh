#!/usr/bin/env bash
# test_checks - each check of .ci/ catches what it is there for
#
# A check that never complains is worse than none. Each case below plants one violation in a small tree that is otherwise
# right and wants it named; the tree without it must pass, so a check that always complains fails here too.
set -u
ci=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.ci" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

fresh_tree() {
    rm -rf "$tmp/tree"
    mkdir -p "$tmp/tree"/{config/host,mempool_reserve,classifier,dataplane/{net/{link,ip,tcp},exception},nbd_client/{ublk,bench},daemon/{engine,admin},cli,tests/unit}
    cd "$tmp/tree" || exit 1
    printf '#include <stdint.h>\nint limits(uint32_t n);\n' >config/limits.h
    printf '#include <stdint.h>\nint stream(uint32_t n);\n' >dataplane/net/stream.h
    printf 'int tcp(void);\n' >dataplane/net/tcp.h
    printf '#include "dataplane/net/stream.h"\n#include "config/limits.h"\n' >nbd_client/nbd.c
    printf '#include <rte_ethdev.h>\n#include "nbd_client/nbd.h"\n' >dataplane/port.c
    printf '#include "dataplane/net/stream.h"\n#include "dataplane/net/link/arp.h"\n' >dataplane/net/tcp/tcp.c
    printf '#include "dataplane/net/tcp.h"\n#include <rte_ethdev.h>\n' >tests/unit/test_tcp.c
}

result() { # name, good?, log
    if [ "$2" -eq 1 ]; then
        echo "ok $1"
    else
        echo "not ok $1"
        cat "$3" >&2
        failed=1
    fi
}

passes() { # name, command…
    local name=$1 good=0
    shift
    "$@" >"$tmp/log" 2>&1 && good=1
    result "$name" $good "$tmp/log"
}

catches() { # name, what it must print, command…
    local name=$1 pattern=$2 good=0
    shift 2
    if ! "$@" >"$tmp/log" 2>&1 && grep -qE -- "$pattern" "$tmp/log"; then
        good=1
    fi
    result "$name" $good "$tmp/log"
}

plant() { # name, file, what must be printed, text to append
    fresh_tree
    printf '%b' "$4" >>"$2"
    catches "layers_$1" "^$2:[0-9]+: .*$3" "$ci/check-layers" "$tmp/tree"
}

fresh_tree
passes layers_clean_tree_passes "$ci/check-layers" "$tmp/tree"
plant upward_call_is_caught classifier/flow.c 'may not include dataplane/net' '#include "dataplane/net/stream.h"\n'
plant private_net_header_is_caught nbd_client/nbd.c 'private' '#include "dataplane/net/tcp.h"\n'
plant private_net_header_is_caught_in_roof dataplane/worker.c 'private' '#include "dataplane/net/tcp.h"\n'
plant nbd_client_reaching_reserve_is_caught nbd_client/nbd.c 'mempool_reserve' '#include "mempool_reserve/reserve.h"\n'
plant client_reaching_dataplane_is_caught cli/main.c 'cli' '#include "dataplane/port.h"\n'
plant unrooted_include_is_caught config/conf.c 'root' '#include "limits.h"\n'
plant second_ethdev_door_is_caught dataplane/worker.c 'one door' '#include <rte_ethdev.h>\n'
plant second_liburing_door_is_caught nbd_client/nbd.c 'one door' '#include <liburing.h>\n'
plant second_libnl_door_is_caught daemon/main.c 'one door' '#include <netlink/netlink.h>\n'
plant keys_reaching_host_is_caught config/conf.c 'may not include config/host' '#include "config/host/host.h"\n'
plant link_reaching_ip_is_caught dataplane/net/link/arp.c 'may not include dataplane/net/ip' '#include "dataplane/net/ip/ip.h"\n'
plant ip_reaching_tcp_is_caught dataplane/net/ip/ip4.c 'may not include dataplane/net/tcp' '#include "dataplane/net/tcp/tcp.h"\n'
plant net_base_reaching_link_is_caught dataplane/net/frame.c 'may not include dataplane/net/link' '#include "dataplane/net/link/arp.h"\n'
plant ublk_reaching_worker_is_caught nbd_client/ublk/q.c 'may not include dataplane' '#include "dataplane/worker.h"\n'
plant exception_reaching_port_is_caught dataplane/exception/o.c 'may not include dataplane' '#include "dataplane/port.h"\n'
plant engine_reaching_admin_is_caught daemon/engine/e.c 'may not include daemon/admin' '#include "daemon/admin/report.h"\n'
plant worker_reaching_engine_is_caught dataplane/worker.c 'may not include daemon/engine' '#include "daemon/engine/engine.h"\n'
plant mbuf_in_nbd_client_is_caught nbd_client/nbd.c 'mbufs stop' 'struct rte_mbuf *m;\n'
fresh_tree
mkdir util
echo 'int list;' >util/list.c
catches layers_stranger_room_is_caught '^util/list.c:1: .*in no folder' "$ci/check-layers" "$tmp/tree"

body() { # lines
    local i
    for ((i = 0; i < $1; i++)); do echo '	x++; /* } */'; done
}

fresh_tree
{ printf 'struct wide {\n'; body 90; printf '};\nstatic int fits(int x)\n{\n'; body 57; printf '}\n'; } >config/fits.c
passes functions_of_60_lines_pass "$ci/check-functions" "$tmp/tree"
{ printf 'static int\nlong_one(int x, char c)\n{\n'; body 57; printf '}\n'; } >tests/unit/long.c
catches functions_of_61_lines_are_caught '^tests/unit/long.c:1: long_one\(\) has 61' "$ci/check-functions" "$tmp/tree"
fresh_tree
{ body 501 | sed 's/.*/extern int y;/'; } >config/long.c
catches functions_file_of_501_lines_is_caught '^config/long.c:500: 501 lines' "$ci/check-functions" "$tmp/tree"
mv config/long.c tests/unit/long.c
passes functions_long_test_file_passes "$ci/check-functions" "$tmp/tree"

fresh_tree
printf '%*s\n' 100 '/* fits */' >config/fits.c
printf '%*s\n| %*s |\n    %*s\n' 140 'prose' 200 'cell' 200 'code' >fits.md
passes lines_clean_tree_passes "$ci/check-lines" "$tmp/tree"
printf '%*s\n' 101 '/* too long */' >config/wide.c
catches lines_of_101_columns_are_caught '^config/wide.c:1: 101 columns' "$ci/check-lines" "$tmp/tree"
printf '\tint %*s;\n' 90 'x' >config/wide.c
catches lines_count_a_tab_as_eight '^config/wide.c:1: 103 columns' "$ci/check-lines" "$tmp/tree"
rm config/wide.c
printf '%*s\n' 141 'prose' | sed 's/^ /x/' >wide.md
catches lines_of_prose_are_held_to_140 '^wide.md:1: 141 columns' "$ci/check-lines" "$tmp/tree"

fresh_tree
printf 'void f(void) { log_warn("cpu 3 cannot be used: name another"); } /* what is to be had */\n' >config/f.c
passes messages_clean_tree_passes "$ci/check-messages" "$tmp/tree"
printf 'void g(void) { log_warn("cpu 3 is not to be had"); }\n' >config/g.c
catches messages_riddle_is_caught '^config/g.c:1: "to be had"' "$ci/check-messages" "$tmp/tree"
printf 'void g(void) { log_warn("refused: is it running?"); }\n' >config/g.c
catches messages_question_is_caught '^config/g.c:1: "\?"' "$ci/check-messages" "$tmp/tree"
fresh_tree
passes headers_clean_tree_passes "$ci/check-headers" "$tmp/tree"
echo 'int needs(uint64_t n);' >config/needs.h
catches headers_not_self_contained_is_caught '^config/needs.h:1:.*uint64_t' "$ci/check-headers" "$tmp/tree"
fresh_tree
echo 'struct twice { int a; };' >config/twice.h
catches headers_without_guard_is_caught 'config/twice.h.*redefinition' "$ci/check-headers" "$tmp/tree"
fresh_tree
{ echo '#pragma once'; yes '/* a line */' | head -120; } >daemon/long.h
for i in 1 2 3; do echo '#include "daemon/long.h"' >daemon/user$i.c; done
passes headers_long_one_of_three_files_passes "$ci/check-headers" "$tmp/tree"
echo '#include "daemon/long.h"' >daemon/user4.c
catches headers_long_one_of_four_files_is_caught '^daemon/long.h: 121 lines' "$ci/check-headers" "$tmp/tree"

commit() { # subject
    git -c user.name=t -c user.email=t@invalid commit -q --allow-empty -m "$1"
}

commits_of() { # subjects…: a repository of its own, outside of any other
    rm -rf "$tmp/repo"
    mkdir "$tmp/repo"
    cd "$tmp/repo" || exit 1
    git init -q -b work
    local subject
    for subject in "$@"; do commit "$subject"; done
}

check_commits() { CHECK_ROOT=$tmp/repo "$ci/check-commits"; }

bad_commit() { # name, what must be printed, subject
    commits_of 'config: read the file' "$3"
    catches "commits_$1" "$2" check_commits
}

fresh_tree
printf 'static void f(void)\n{\n\tassert_between(1, 0, 2);\n}\n' >>tests/unit/test_tcp.c
passes ranges_by_the_macro_pass "$ci/check-ranges" "$tmp/tree"
printf 'static void g(void)\n{\n\tassert_in_range(1, 0, 2);\n}\n' >>tests/unit/test_tcp.c
catches ranges_of_cmocka_are_caught '^tests/unit/test_tcp.c:[0-9]+:' "$ci/check-ranges" "$tmp/tree"

commits_of 'config: read the file' 'dataplane/net: count what is dropped'
passes commits_good_subjects_pass check_commits
bad_commit without_room_is_caught 'room:' 'Read the file'
bad_commit fixup_is_caught 'room:' 'fixup! config: read the file'
bad_commit full_stop_is_caught 'full stop' 'config: read the file.'
bad_commit long_subject_is_caught 'at most 60' 'config: read the file that the operator wrote with his own hand'
bad_commit past_tense_is_caught 'no imperative' 'config: added a file'
commits_of 'config: read the file'
git checkout -q -b side && commit 'config: one' && git checkout -q work && commit 'config: two' &&
    git -c user.name=t -c user.email=t@invalid merge -q -m 'config: bring both together' side
catches commits_merge_is_caught 'merge' check_commits
exit $failed
