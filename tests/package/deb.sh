#!/usr/bin/env bash
# deb - the Debian package: built, judged by lintian, installed, upgraded, removed and purged in fresh root file systems
#
#     tests/package/deb.sh [SUITE…]       bookworm by default; SUITES in the environment says the same
#
# timeout: 900
#
# Two roots of tests/matrix/root for each suite, both below an overlay that ends with the run: one with the build dependencies of
# debian/control, in which the package is built (tests/package/build) and judged; one with what debootstrap makes and systemd, in
# which apt installs the package, so that a dependency it forgets is missed. The first run of a suite makes the roots: minutes.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
# Mounts and processes of the run end with it.
[ "${1:-}" = inside ] || exec unshare --mount --pid --fork --kill-child --mount-proc "$0" inside "$@"
shift
suites=("$@")
[ $# -gt 0 ] || read -ra suites <<<"${SUITES:-bookworm}"
tmp=$(mktemp -d) status_all=0
trap 'umount -R "$tmp"/{build,install} 2>/dev/null; rm -rf "$tmp"' EXIT

claim() { # name, command…
    local name=$suite-$1
    shift
    if "$@" >"$tmp/claim" 2>&1; then
        echo "ok $name"
    else
        echo "not ok $name"
        tail -n 30 "$tmp/claim" >&2
        status_all=1
    fi
}

# Mounts root $2 below an overlay whose changes stay in memory until the suite is done.
overlay() { # label, root
    local dir=$tmp/$1
    mkdir -p "$dir"
    mount -t tmpfs -o size=3G,mode=755 "$1" "$dir"
    mkdir -p "$dir"/{upper,work,all}
    mount -t overlay -o "lowerdir=$2,upperdir=$dir/upper,workdir=$dir/work" "$1" "$dir/all"
    mount -t proc proc "$dir/all/proc"
    mkdir -p "$dir/all/exchange"
    mount --bind "$tmp/exchange" "$dir/all/exchange"
}

within() { # label, shell command
    chroot "$tmp/$1/all" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        bash -ec "$2"
}

build_it() {
    local deb
    deb=$(tests/package/build "$suite") && cp "$(dirname "$deb")"/*.deb "$(dirname "$deb")"/*.changes "$(dirname "$deb")"/*.buildinfo \
        "$tmp/exchange/"
}

lint_it() { within build 'cd /exchange && lintian --allow-root --fail-on error ./*.changes'; }

# A package of an earlier version: the same files under a smaller number.
make_older() {
    within build '
        cd /exchange && mkdir -p older && dpkg-deb -R sluice_*_amd64.deb /root/older
        sed -i "s/^Version: .*/Version: 0.0.9/" /root/older/DEBIAN/control
        dpkg-deb -b /root/older older/sluice_0.0.9_amd64.deb'
}

files_there() {
    within install '
        for file in /usr/sbin/sluiced /usr/bin/sluice /usr/share/man/man8/sluiced.8.gz /usr/share/man/man1/sluice.1.gz \
            /usr/share/man/man5/sluice.yaml.5.gz /lib/systemd/system/sluiced.service /lib/systemd/system/sluice@.service \
            /lib/udev/rules.d/65-sluice.rules /etc/sluice/volumes.d; do
            test -e "$file" || { echo "$file is missing"; exit 1; }
        done'
}

# The daemon itself, with its drivers: a configuration is judged, and DPDK starts on a packet socket of lo or refuses it by name.
programs_run() {
    within install '
        sluice --version; sluiced --version
        printf "ports:\n  - {name: s, device: \"0000:00:03.0\", address: 192.0.2.10/24}\n" >/root/a.yaml
        test "$(sluiced -c /root/a.yaml --memory)" -gt 16
        ls /usr/lib/x86_64-linux-gnu/dpdk/pmds-*/librte_net_virtio.so* /usr/lib/x86_64-linux-gnu/dpdk/pmds-*/librte_mempool_{ring,stack}.so* \
            /usr/lib/x86_64-linux-gnu/dpdk/pmds-*/librte_bus_{pci,vdev}.so*'
}

units_are_right() {
    within install '
        systemd-analyze verify --man=no sluiced.service sluice@data.service default.target 2>&1 | grep -v "^Failed to .*bus" |
            grep -i "sluice\|cycle" && exit 1
        systemctl is-enabled sluiced.service
        systemd-analyze security --offline=true --threshold=40 sluiced.service | tail -n 1'
}

one_suite() {
    builder=$(tests/matrix/root --package "$suite") && bare=$(tests/matrix/root --bare "$suite") || {
        [ $? -eq 77 ] && echo "skip $suite the archive cannot be reached" && return
        claim roots_are_made false
        return
    }
    mkdir -p "$tmp/exchange"
    overlay build "$builder" && overlay install "$bare" || { claim roots_are_mounted false; return; }
    claim dpkg-buildpackage_builds_it build_it
    claim lintian_finds_no_error lint_it
    claim older_package_is_made make_older
    within install 'find / -xdev -path /exchange -prune -o -path "/var/*" -prune -o -print | sort >/exchange/before'
    claim older_one_is_installed within install 'apt-get -qy install --no-install-recommends /exchange/older/sluice_*.deb'
    claim files_are_there files_there
    claim programs_run programs_run
    claim units_are_right_and_exposure_is_4_0_at_most units_are_right
    claim upgrade_keeps_the_configuration within install '
        echo "ports: []  # mine" >/etc/sluice/sluice.yaml; echo x >/etc/sluice/volumes.d/kept.yaml
        apt-get -qy --no-install-recommends install "$(echo /exchange/sluice_*_amd64.deb)"
        dpkg-query -W -f "\${Version}\n" sluice | grep -vx 0.0.9
        grep -q mine /etc/sluice/sluice.yaml; grep -q x /etc/sluice/volumes.d/kept.yaml'
    claim remove_keeps_the_configuration within install '
        apt-get -qy remove sluice; test ! -e /usr/sbin/sluiced; grep -q mine /etc/sluice/sluice.yaml'
    claim purge_leaves_nothing within install '
        dpkg-query -W -f "\${Status}" sluice | grep -q config-files; dpkg -P sluice; apt-get -qy autoremove --purge
        find / -xdev -path /exchange -prune -o -path "/var/*" -prune -o -print | sort >/exchange/after
        ! comm -13 /exchange/before /exchange/after | grep -i sluice'
    umount -R "$tmp/build" "$tmp/install"
    rm -rf "$tmp/exchange"
}

for suite in "${suites[@]}"; do
    one_suite
done
exit $status_all
