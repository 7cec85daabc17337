"""Runs airbyte-source-salesforce against the address of the first argument, with the arguments after it."""

import sys

import redirect  # type: ignore[import-not-found]
from source_salesforce.run import run  # type: ignore[import-not-found]

if __name__ == "__main__":
    redirect.to(sys.argv.pop(1))
    run()
