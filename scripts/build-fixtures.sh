#!/usr/bin/env bash
# Builds the addons of test/fixtures/addons with cmake-js. They use Node-API only, whose headers come with cmake-js.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

for addon in test/fixtures/addons/*/; do
  output=$(node_modules/.bin/cmake-js compile --directory "$addon" --log-level warn 2>&1) || {
    printf '%s\n' "$output" >&2
    exit 1
  }
done
