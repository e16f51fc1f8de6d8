#!/usr/bin/env bash
# Sets up, then runs every check and test. The last line is "N passed, N failed", and the status is 1 when one failed.
#
#   scripts/test.sh                    everything
#   scripts/test.sh --tests            all tests, without the checks of style and types
#   scripts/test.sh FILE.test.ts...    these files only, without the checks
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

checks=false
native=false
case ${1:-} in
  '') checks=true native=true ;;
  --tests)
    native=true
    shift
    ;;
esac
passed=0
failed=0
results=build/test-results
mkdir -p "$results"

# Runs one check, which counts as one test.
check() {
  local name=$1
  shift
  if "$@"; then
    echo "ok - $name"
    passed=$((passed + 1))
  else
    echo "not ok - $name"
    failed=$((failed + 1))
  fi
}

# Runs tests that end with a line "N passed, N failed", and adds these numbers.
counted() {
  local name=$1 status=0 counts
  shift
  "$@" 2>&1 </dev/null | tee "$results/$name" | sed -uE '/^[0-9]+ passed, [0-9]+ failed$/d' || status=$?
  counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$results/$name" | tail -n 1) || counts='0 passed, 1 failed'
  local now_passed now_failed
  read -r now_passed _ now_failed _ <<<"$counts"
  # It did not compile, it crashed, it was cut off: a failure, though no test says so.
  if [[ $status != 0 && $now_failed == 0 ]]; then now_failed=1; fi
  passed=$((passed + now_passed))
  failed=$((failed + now_failed))
}

run_tap() {
  node_modules/.bin/tap --reporter=tap "$@" | node scripts/tap-summary.mjs
}

bash scripts/setup.sh --test || {
  status=$?
  echo '0 passed, 1 failed'
  exit "$status"
}
check 'fixtures build' bash scripts/build-fixtures.sh
if $checks; then
  check 'biome' node_modules/.bin/biome check --error-on-warnings .
  check 'types of the tests' node_modules/.bin/tsc -p tsconfig.test.json
  check 'clang-format' bash scripts/lint-native.sh --format
  check 'clang-tidy' bash scripts/lint-native.sh --tidy
fi
if $native; then counted native bash native/test/run.sh; fi
counted tap run_tap "$@"

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
