#!/usr/bin/env bash
# Installs what is missing (Debian packages, npm packages) and builds everything. Asks nothing; a second run is quick.
#
#   scripts/setup.sh           what running forkheap and its demo needs
#   scripts/setup.sh --test    and what the tests need
#
# Ends with status 2 and the command to type when packages are missing and may not be installed from here.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

with_tests=false
[[ ${1:-} == --test ]] && with_tests=true

# "command:package" is satisfied by the command, wherever it comes from; a plain name is a Debian package.
run_needs=(g++:g++ make:make python3:python3 libgoogle-perftools-dev libdw-dev)
test_needs=(cmake:cmake chromium:chromium go:golang-go clang:clang clang-format:clang-format
  clang-tidy:clang-tidy patchelf:patchelf valgrind:valgrind)

has_package() {
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

missing_packages() {
  local need
  for need in "$@"; do
    if [[ $need == *:* ]]; then
      command -v "${need%%:*}" >/dev/null || printf '%s\n' "${need#*:}"
    else
      has_package "$need" || printf '%s\n' "$need"
    fi
  done
}

# clang's sanitizers are in a package that has clang's version in its name.
clang_runtime() {
  local depends package
  if has_package clang; then
    depends=$(dpkg-query --show --showformat='${Depends}' clang)
  else
    depends=$(apt-cache depends clang 2>/dev/null) || return 0
  fi
  package=$(sed -n 's/.*\bclang-\([0-9]\+\).*/libclang-rt-\1-dev/p' <<<"$depends" | head -n 1)
  if [[ -n $package ]] && apt-cache show "$package" >/dev/null 2>&1; then printf '%s\n' "$package"; fi
}

# What the tests need and apt must be asked for: gperftools 2.17 and newer come without google-pprof.
late_needs() {
  clang_runtime
  if apt-cache show google-perftools >/dev/null 2>&1; then printf '%s\n' google-pprof:google-perftools; fi
}

# Runs a command as root, without asking for a password.
as_root() {
  if [[ $(id -u) == 0 ]]; then
    env DEBIAN_FRONTEND=noninteractive "$@" </dev/null
  else
    sudo -n env DEBIAN_FRONTEND=noninteractive "$@" </dev/null
  fi
}

install_packages() {
  local sudo=''
  [[ $(id -u) == 0 ]] || sudo='sudo '
  local command="${sudo}apt-get update && ${sudo}apt-get install -y $*"
  command -v apt-get >/dev/null || fail "this system has no apt-get; needed are the counterparts of: $*"
  if [[ $(id -u) != 0 ]] && ! sudo -n true 2>/dev/null; then
    fail "packages are missing and may not be installed from here; type this, then try again:"$'\n\n'"  $command"$'\n'
  fi
  echo "forkheap: installing $*" >&2
  { as_root apt-get update -q && as_root apt-get install -y -q --no-install-recommends "$@"; } >&2 ||
    fail "packages could not be installed; type this, then try again:"$'\n\n'"  $command"$'\n'
}

# npm ci refuses a lock file that lacks an optional package of another platform; npm install keeps to it and goes on.
npm_install() {
  local options=(--ignore-scripts --no-audit --no-fund --loglevel=error --prefix "$1")
  npm ci "${options[@]}" >/dev/null 2>&1 || npm install --no-save "${options[@]}" >&2
}

command -v node >/dev/null || fail 'Node.js 20.17 or newer is needed'
node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major * 1000 + +minor >= 20017 ? 0 : 1)' ||
  fail "Node.js 20.17 or newer is needed; this is $(node --version)"

needs=("${run_needs[@]}")
$with_tests && needs+=("${test_needs[@]}" $(late_needs))
mapfile -t missing < <(missing_packages "${needs[@]}")
[[ ${#missing[@]} == 0 ]] || install_packages "${missing[@]}"
if $with_tests; then # apt may have learnt only now what there is
  mapfile -t missing < <(missing_packages $(late_needs))
  [[ ${#missing[@]} == 0 ]] || install_packages "${missing[@]}"
fi

# npm packages. Install scripts are not needed: native parts are prebuilt, or built below.
folders=(. examples/level-service)
$with_tests && folders+=(bench test/leaks/workloads test/leaks/runners)
for dir in "${folders[@]}"; do
  if ! node scripts/npm-packages-complete.mjs "$dir"; then
    echo "forkheap: installing npm packages in $dir" >&2
    npm_install "$dir"
  fi
done

bash scripts/build-native.sh
# lib/cjs/package.json is what build-ts.mjs writes last.
if [[ ! -f lib/cjs/package.json || -n $(find src package.json tsconfig.json scripts/build-ts.mjs -newer lib/cjs/package.json -print -quit) ]]; then
  npm run --silent build:ts >&2
fi

# tap comes built with its default plugins; .taprc takes one away, and a run that builds tap anew runs with the old ones.
if $with_tests && grep -qs '@tapjs/typescript' node_modules/@tapjs/test/test-built/dist/esm/index.js; then
  node_modules/.bin/tap build >&2 </dev/null
fi
