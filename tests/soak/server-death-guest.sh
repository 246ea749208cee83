#!/usr/bin/env bash
# server-death-guest - the server dies 20 times below fio, and the link for 200 seconds: see tests/guest/server-death.sh
#
# timeout: 3600
SLUICE_TURNS=${SLUICE_TURNS:-20} SLUICE_LINK_DOWN_S=${SLUICE_LINK_DOWN_S:-200} SLUICE_GUEST_S=3500 \
    exec bash "$(dirname "${BASH_SOURCE[0]}")/../guest/server-death.sh"
