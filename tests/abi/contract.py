#!/usr/bin/env python3
"""contract - every sentence of the test ABI's contract, held against the library

Outside drivers are written against the contract, so what it says must be so to the letter: this is such a driver. Each claim
prints "ok NAME" or "not ok NAME" as ./check wants. Run by tests/net/abi.sh with BUILD set.

    contract.py [NAME…]       only these claims
"""
import sys

import claims
import contract_calls  # noqa: F401, for its claims
import contract_facts  # noqa: F401

sys.exit(claims.main(set(sys.argv[1:])))
