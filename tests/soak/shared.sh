#!/usr/bin/env bash
# shared - the NIC that storage was given is still the machine's, on either NIC model: see tests/guest/shared.sh
#
# timeout: 1800
exec bash "$(dirname "${BASH_SOURCE[0]}")/../guest/shared.sh"
