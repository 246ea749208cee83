#!/usr/bin/env bash
# hugepages - one page of 1 GiB is as good as 512 of 2 MiB
#
# timeout: 60
#
# Takes a page of 1 GiB from the machine for as long as it runs, if there is one and no pages of 2 MiB are free.
# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
pool=/sys/kernel/mm/hugepages/hugepages-1048576kB

give_back() {
    echo "$before" >$pool/nr_hugepages
    cleanup
}

skip() { echo "skip a_page_of_1_gib_will_do $1" && exit 0; }

[ -e $pool ] || skip "no pages of 1 GiB"
[ "$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages)" = 0 ] || skip "pages of 2 MiB are free"
before=$(cat $pool/nr_hugepages)
trap give_back EXIT
echo $((before + 1)) >$pool/nr_hugepages
[ "$(cat $pool/free_hugepages)" -gt 0 ] || skip "this machine has no GiB in one piece"

start_server 10809 nbdkit -f -p 10809 memory 64M || exit 1
write_config af_packet:sl0 'hugepages: true'
claim a_page_of_1_gib_will_do bench_good "nbd://$SERVER_IP/" --rw=randrw --bs=4k --iodepth=8 --runtime=2 --size=16m --verify
exit $status_all
