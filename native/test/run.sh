#!/usr/bin/env bash
# Builds and runs the native tests. The last line is "N passed, N failed", and the status is 1 when one failed.
#
#   native/test/run.sh [NAME]    only the programs whose names begin so: gate, core, table, unwinder, cfi
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

out=build/native-test
mkdir -p "$out"
only=${1:-}
passed=0
failed=0

flags=(-std=c++17 -D_GNU_SOURCE -g -Wall -Wextra -Werror -pthread)
tests=native/test
core=native/core
address=(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
unwinder=("$core"/{unwinder,cfi,cfi_rows,code_map,code_rule,code_sites,frame_lookup,gate,instruction,loaded_code,log}.cc)
everything=("$core"/{block_table,cfi,cfi_rows,code_map,code_rule,code_sites,control,files,frame_lookup,gate,gperftools,instruction,loaded_code,log,manifest,options,overhead,proc,samples,sampling,stack_table,symbols,tree_limits,unwinder}.cc)

# build NAME COMPILER ARGUMENT...
build() {
  "$2" "${flags[@]}" "${@:3}" -o "$out/$1" -ldl || {
    echo "not ok - native: $1 builds"
    return 1
  }
}

# A program that ends with another status than its tests' has crashed: one more failure.
run() {
  local status=0 output
  output=$(ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 TSAN_OPTIONS=die_after_fork=0 \
    UBSAN_OPTIONS=print_stacktrace=1 timeout 400 "$out/$1" "${@:2}" 2>&1) || status=$?
  printf '%s\n' "$output"
  local good bad
  good=$(grep -c '^ok - ' <<<"$output" || true)
  bad=$(grep -c '^not ok - ' <<<"$output" || true)
  if [[ $status != 0 && ($status != 1 || $bad == 0) ]]; then
    echo "not ok - native: $1 ended with status $status"
    bad=$((bad + 1))
  fi
  passed=$((passed + good))
  failed=$((failed + bad))
}

# test NAME COMPILER ARGUMENT... [-- ARGUMENTS OF THE PROGRAM]
test_program() {
  local build_arguments=()
  while [[ $# != 0 && $1 != -- ]]; do
    build_arguments+=("$1")
    shift
  done
  [[ $# == 0 ]] || shift
  [[ -z $only || ${build_arguments[0]} == "$only"* ]] || return 0
  if build "${build_arguments[@]}"; then
    run "${build_arguments[0]}" "$@"
  else
    failed=$((failed + 1))
  fi
}

test_program gate-model g++ -O2 "$tests/gate_model_test.cc"
test_program gate-guest-model g++ -O2 "$tests/gate_guest_model_test.cc"
test_program gate g++ -O2 "$tests/gate_test.cc" "$core/gate.cc"
test_program gate-steps g++ -O2 "$tests/gate_steps_test.cc" "$core/gate.cc"
test_program gate-tsan clang++ -O1 -fsanitize=thread "$tests/gate_test.cc" "$core/gate.cc"
test_program code-sites g++ -O1 "${address[@]}" "$tests/code_sites_test.cc" "$core/code_sites.cc"
test_program core g++ -O1 "${address[@]}" "$tests"/{core,control,files,manifest,overhead,sampling,text}_test.cc \
  "${everything[@]}"
table=("$tests/table_test.cc" "$core"/{block_table,stack_table}.cc)
test_program table g++ -O2 "-DPROGRAM=\"table\"" "${table[@]}"
test_program table-asan g++ -O1 "${address[@]}" "-DPROGRAM=\"table, ASan\"" "${table[@]}"
test_program table-tsan clang++ -O1 -fsanitize=thread "-DPROGRAM=\"table, TSan\"" "${table[@]}"
test_program unwinder-O0 g++ -O0 "-DPROGRAM=\"unwinder, -O0\"" "$tests/unwinder_test.cc" "${unwinder[@]}"
test_program unwinder-O2 g++ -O2 -fomit-frame-pointer "-DPROGRAM=\"unwinder, -O2\"" "$tests/unwinder_test.cc" \
  "${unwinder[@]}"
test_program unwinder-clang clang++ -O2 "-DPROGRAM=\"unwinder, clang\"" "$tests/unwinder_test.cc" "${unwinder[@]}"
test_program unwinder-steps-O0 g++ -O0 -Wl,-z,now "-DPROGRAM=\"unwinder, -O0, step by step\"" \
  "$tests/unwinder_steps_test.cc" "${unwinder[@]}"
test_program unwinder-steps-O2 g++ -O2 -fomit-frame-pointer -Wl,-z,now "-DPROGRAM=\"unwinder, -O2, step by step\"" \
  "$tests/unwinder_steps_test.cc" "${unwinder[@]}"
test_program unwinder-steps-clang clang++ -O2 -Wl,-z,now "-DPROGRAM=\"unwinder, clang, step by step\"" \
  "$tests/unwinder_steps_test.cc" "${unwinder[@]}"
test_program unwinder-known-O0 g++ -O0 "-DPROGRAM=\"known stack, -O0\"" "$tests/known_stack_test.cc" "${unwinder[@]}"
test_program unwinder-known-O2 g++ -O2 -fomit-frame-pointer "-DPROGRAM=\"known stack, -O2\"" \
  "$tests/known_stack_test.cc" "${unwinder[@]}"
test_program unwinder-known-clang clang++ -O2 "-DPROGRAM=\"known stack, clang\"" "$tests/known_stack_test.cc" \
  "${unwinder[@]}"
# tableless NAME COMPILER OPTION...: walks through code that is built with these options, and without unwind tables.
tableless() {
  "$2" -Wall -Wextra -Werror -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-stack-protector "${@:3}" \
    -c "$tests/no_tables.c" -o "$out/no-tables-$1.o"
  test_program "unwinder-$1" g++ -O1 "-DPROGRAM=\"no unwind tables, $2 ${*:3}\"" "$tests/code_rule_test.cc" \
    "$out/no-tables-$1.o" "${unwinder[@]}"
}
tableless tableless-O0 gcc -O0 -fomit-frame-pointer
tableless tableless-O2 gcc -O2 -fomit-frame-pointer
tableless tableless-fp gcc -O2 -fno-omit-frame-pointer
tableless tableless-cet gcc -Os -fomit-frame-pointer -fcf-protection=full
tableless tableless-clang clang -O2 -fomit-frame-pointer
test_program unwinder-tableless-asan g++ -O1 "${address[@]}" "-DPROGRAM=\"no unwind tables, ASan\"" \
  "$tests/code_rule_test.cc" "$out/no-tables-tableless-O2.o" "${unwinder[@]}"
# Walking a stack with a wrong rbp reads whatever lies there, so not with the address sanitizer.
test_program unwinder-ubsan g++ -O1 -fsanitize=undefined -fno-sanitize-recover=undefined \
  "-DPROGRAM=\"unwinder, UBSan\"" "$tests/unwinder_test.cc" "${unwinder[@]}"
mapfile -t libraries < <(ldd "$out/unwinder-O2" | awk '$3 ~ /^\// { print $3 }')
test_program cfi g++ -O1 -rdynamic "${address[@]}" "$tests/cfi_test.cc" "$core"/{cfi,cfi_rows,loaded_code}.cc -- \
  "${libraries[@]}" "$(node --print process.execPath)"

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
