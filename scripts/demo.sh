#!/usr/bin/env bash
# Sets up, then profiles the example service: examples/level-service/demo.js. Takes its options.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

bash scripts/setup.sh
exec node examples/level-service/demo.js "$@"
