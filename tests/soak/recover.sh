#!/usr/bin/env bash
# recover - the daemon dies 40 times below fio and ext4, by kill -9 and by SIGTERM in turn: see tests/guest/recover.sh
#
# timeout: 7200
SLUICE_KILLS=${SLUICE_KILLS:-40} SLUICE_GUEST_S=7000 exec bash "$(dirname "${BASH_SOURCE[0]}")/../guest/recover.sh"
