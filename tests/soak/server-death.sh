#!/usr/bin/env bash
# server-death - the server dies 20 times below a verifying load, and the link for 200 seconds: see tests/net/server-death.sh
#
# timeout: 1200
SLUICE_TURNS=${SLUICE_TURNS:-20} SLUICE_LINK_DOWN_S=${SLUICE_LINK_DOWN_S:-200} exec bash "$(dirname "${BASH_SOURCE[0]}")/../net/server-death.sh"
