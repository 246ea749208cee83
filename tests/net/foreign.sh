#!/usr/bin/env bash
# foreign - servers as people run them: the data lands, or one clear line says why not
#
# nbd-real-servers.sh shows that the client and the servers mean the same protocol. Here are their set-ups: several exports, read
# only, copies on write, images with a backing file, filters in front of a disk, scripts, odd sizes and odd names. Each set-up is
# written and read back with --verify, or refused with a sentence that names what is wrong.
#
# timeout: 300
# shellcheck source=tests/net/servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

lands() { # name, export, depth: written while read, read back, nothing wrong
    claim "$1" run --rw randrw --bs 4k-64k --runtime-ms 300 --verify --iodepth "${3:-16}" "$(uri "${2:-}")"
    claim "$1-verified" result '.verified > 20 and .errors == 0 and .verify_errors == 0 and .protocol_errors == 0'
}
reads() { claim "$1" run --rw randread --bs 4k --runtime-ms 200 "$(uri "${2:-}")"; }
refuses_writes() { claim "$1" eval '! run --rw write "$(uri "'"${2:-}"'")" && said read-only'; }

# ---- nbd-server: exports of one daemon ----
truncate -s 16M "$tmp"/{plain,ro,cow}.img
nbd_server() {
    server_stop
    port=$(port_free)
    {
        printf '[generic]\n\tallowlist = true\n\tport = %s\n\tlistenaddr = 127.0.0.1\n' "$port"
        printf '[plain]\n\texportname = %s/plain.img\n\tflush = true\n\tfua = true\n' "$tmp"
        printf '[ro]\n\texportname = %s/ro.img\n\treadonly = true\n' "$tmp"
        printf '[cow]\n\texportname = %s/cow.img\n\tcopyonwrite = true\n' "$tmp"
    } >"$tmp/nbd-server.conf"
    nbd-server -d -C "$tmp/nbd-server.conf" -p "$tmp/nbd-server.pid" >>"$tmp/server.log" 2>&1 &
    server_pid=$!
    listens_soon
}
nbd_server # with -d it ends with its first client
lands nbd-server-plain plain
nbd_server
reads nbd-server-read-only-reads ro
nbd_server
refuses_writes nbd-server-read-only-refuses-writes ro
nbd_server # one request at a time: with more it writes blocks to wrong places (findings/nbd-server-copyonwrite.sh)
lands nbd-server-copy-on-write cow 1
claim nbd-server-copy-on-write-keeps-the-disk cmp -s "$tmp/cow.img" "$tmp/ro.img"

# ---- qemu: images and daemons ----
qemu-img create -q -f raw "$tmp/base.img" 16M
qemu-img create -q -f qcow2 -b "$tmp/base.img" -F raw "$tmp/mid.qcow2"
qemu-img create -q -f qcow2 -b "$tmp/mid.qcow2" -F qcow2 "$tmp/top.qcow2"
server qemu-nbd -f qcow2 --bind=127.0.0.1 --port=PORT -t "$tmp/top.qcow2"
lands qemu-nbd-backing-chain-for-one-client
claim qemu-nbd-backing-file-is-left-alone eval '[ "$(tr -d "\0" <"$tmp/base.img" | wc -c)" = 0 ]'
server qemu-nbd -f qcow2 --bind=127.0.0.1 --port=PORT -t --shared=4 "$tmp/top.qcow2"
claim qemu-nbd-shared-serves-four-connections \
    run --rw randrw --bs 4k --runtime-ms 300 --verify --connections 4 --quota-mbufs 400 "$(uri)"
server qemu-nbd -f raw --read-only --bind=127.0.0.1 --port=PORT -t "$tmp/base.img"
refuses_writes qemu-nbd-read-only-refuses-writes
server qemu-storage-daemon --blockdev driver=file,node-name=f,filename="$tmp/plain.img" \
    --nbd-server addr.type=inet,addr.host=127.0.0.1,addr.port=PORT \
    --export type=nbd,id=e,node-name=f,name=disk,writable=on
lands qemu-storage-daemon disk

# ---- nbdkit: filters and scripts in front of a disk ----
# An MBR with one partition: 8192 sectors from sector 2048 on.
printf '\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x20\0\0' | dd of="$tmp/base.img" bs=1 seek=446 conv=notrunc status=none
printf '\x55\xaa' | dd of="$tmp/base.img" bs=1 seek=510 conv=notrunc status=none
kit --filter=partition file "$tmp/base.img" partition=1
lands nbdkit-partition
claim nbdkit-partition-has-its-own-size run --probe "$(uri)"
claim nbdkit-partition-is-4-mib result '.size == 4194304'
gzip -c "$tmp/ro.img" >"$tmp/ro.img.gz"
kit --filter=gzip file "$tmp/ro.img.gz"
refuses_writes nbdkit-gzip-refuses-writes
reads nbdkit-gzip-reads
kit --filter=cow file "$tmp/ro.img"
lands nbdkit-cow
kit --filter=protect memory 16M protect=0-4095
claim nbdkit-protected-range-is-an-error eval '! run --rw write --bs 4k --size 64k "$(uri)" && result ".errors >= 1 and .protocol_errors == 0"'
kit --filter=retry memory 16M
lands nbdkit-retry
kit --filter=blocksize-policy memory 16M blocksize-minimum=4096 blocksize-maximum=32K blocksize-error-policy=error
lands nbdkit-small-requests
: >"$tmp/script.img"
truncate -s 4M "$tmp/script.img"
for fua in none emulate native; do
    flags='get_size=echo 4M' # one file, by dd; each call is a process
    kit eval "$flags" pread="dd if=$tmp/script.img iflag=skip_bytes,count_bytes skip=\$4 count=\$3 status=none" \
        pwrite="dd of=$tmp/script.img oflag=seek_bytes conv=notrunc seek=\$4 status=none" \
        can_write='exit 0' can_flush='exit 0' flush=: can_fua="echo $fua"
    claim "nbdkit-eval-script-with-fua-$fua" run --rw randrw --bs 4k --size 256k --runtime-ms 300 --verify --iodepth 2 "$(uri)"
done

# ---- sizes ----
for size in 1 511; do
    kit memory "$size"
    claim "size-of-$size-is-refused" refused "($size bytes) is less than one block"
done
kit memory 9223372036854775807 # 2^63 - 1: its last 511 bytes are no sector
claim size-of-2-to-the-63-less-1-is-served run --rw randrw --bs 4k --size 1m --runtime-ms 200 --verify "$(uri)"
claim size-of-2-to-the-63-less-1-is-told said 'the last 511 bytes of the export are not served'

# ---- names ----
kit --filter=exportname memory 4M exportname-strict=true exportname='two words' exportname='Gerät-ß' \
    exportname="$(printf 'n%.0s' $(seq 4000))"
lands name-with-a-space 'two%20words'
lands name-in-utf-8 'Ger%C3%A4t-%C3%9F'
lands name-in-plain-utf-8 'Gerät-ß'
lands name-of-4000-bytes "$(printf 'n%.0s' $(seq 4000))"
claim name-of-4097-bytes-is-refused eval '! run "$(uri "$(printf "n%.0s" $(seq 4097))")" && said 4096'
server_stop
exit $status_all
