#!/usr/bin/env bash
# clang-format and clang-tidy over the native sources.
#
#   scripts/lint-native.sh             check
#   scripts/lint-native.sh --format    check the format only, which is quick
#   scripts/lint-native.sh --tidy      clang-tidy only
#   scripts/lint-native.sh --fix       format in place, then clang-tidy
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

mode=${1:---check}
mapfile -t files < <(native_sources cc h)
[[ ${#files[@]} != 0 ]] || exit 0

case $mode in
  --check) clang-format --dry-run -Werror "${files[@]}" ;;
  --format) exec clang-format --dry-run -Werror "${files[@]}" ;;
  --fix) clang-format -i "${files[@]}" ;;
  --tidy) ;;
  *) fail "lint-native.sh: unknown option $mode" ;;
esac

mapfile -t units < <(native_sources cc)
common_flags=(-std=c++17 -D_GNU_SOURCE -DNAPI_VERSION=8
  -isystem "$(node --print 'require("node-addon-api").include_dir')"
  -isystem "$(node_dir)/include/node")
native_flags=(-DFORKHEAP_VERSION='""' -DNODE_ADDON_API_DISABLE_DEPRECATED -DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS)
other_flags=(-DNAPI_CPP_EXCEPTIONS)

# One file, with the options that follow. What it includes of the project, all unchanged since it passed, passes again.
# clang-tidy also counts the warnings that it does not show: shown on failure only.
tidy() {
  local output includes state passed=build/clang-tidy/$1
  includes=$(clang -MM -MT '' "$1" "${@:2}" | tr -d ':\\\n') || return 1
  state=$(printf '%s ' "${@:2}" | cat - .clang-tidy $includes | sha256sum)
  if [[ -f $passed && $(<"$passed") == "$state" ]]; then return; fi
  output=$(clang-tidy --quiet "$1" -- "${@:2}" 2>&1) || { printf '%s\n' "$output" >&2 && return 1; }
  mkdir -p "$(dirname "$passed")" && printf '%s\n' "$state" >"$passed"
}
export -f tidy
for unit in "${units[@]}"; do
  flags=("${other_flags[@]}")
  [[ $unit != native/* ]] || flags=("${native_flags[@]}")
  printf '%q ' tidy "$unit" "${common_flags[@]}" "${flags[@]}"
  printf '\0'
done | xargs --null --max-args=1 --max-procs="$(nproc)" bash -c
