#!/usr/bin/env bash
# Cross-compiles for linux-arm64 what is not bound to x86-64, in the Debian 11 of build-native.sh, with Debian's cross
# compiler: the symbolizer, which the package brings for reading profiles there, and, to see that they build, the addon and
# native/core without the stack walk. Profiling on arm64 needs a stack walk for it: until there is one, native/core/cfi.h
# does not compile there, and `forkheap run` says so.
#
#   build-arm64.sh           into build/pack/linux-arm64; as root
#   build-arm64.sh --test    and runs their tests, with qemu-user
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

place=$PWD/build/pack
root=$place/debian11
work=$place/work
out=$place/linux-arm64
# What the package brings is built by build-native.sh's rules, and in its root.
[[ -e $root/.complete && -d $work ]] || fail 'pack: run scripts/pack/build-native.sh first'
[[ $(id -u) == 0 ]] || fail 'pack: the native parts are built in a chroot, which root alone can enter'

inside() {
  chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/tmp LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive "$@"
}

if [[ ! -e $root/.cross ]]; then
  echo 'forkheap: installing the cross compiler' >&2
  inside dpkg --add-architecture arm64
  inside apt-get update -qq >&2
  inside apt-get install -y -qq --no-install-recommends crossbuild-essential-arm64 libdw-dev:arm64 \
    libgoogle-perftools4:arm64 >"$place/cross.log" 2>&1 || fail "pack: see $place/cross.log"
  touch "$root/.cross"
fi

export PACK_ROOT=$root PACK_PROJECT=$PWD PACK_WORK=$work PACK_INCLUDE PACK_VERSION
PACK_INCLUDE=$(node_dir)/include
PACK_VERSION=$(node --print 'require("./package.json").version')
rm -rf "$out" "$work/arm64" "$work/native"
cp -a native "$work/"
mkdir -p "$out/lib" "$work/arm64"
unshare --mount bash -euo pipefail -c '
  mount --bind "$PACK_PROJECT" "$PACK_ROOT$PACK_PROJECT"
  mkdir -p "$PACK_ROOT/opt/node/include"
  mount --bind "$PACK_INCLUDE" "$PACK_ROOT/opt/node/include"
  exec chroot "$PACK_ROOT" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/tmp LANG=C.UTF-8 \
    VERSION="$PACK_VERSION" WORK="$PACK_WORK" PROJECT="$PACK_PROJECT" bash -euo pipefail -c '\''
    cd "$WORK"
    compiler=(aarch64-linux-gnu-g++ -std=c++17 -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE -DFORKHEAP_VERSION="\"$VERSION\"")
    library=(-shared -fPIC -fvisibility=hidden)
    "${compiler[@]}" -fno-exceptions -fno-rtti -o arm64/forkheap-symbolizer native/symbolizer/*.cc -ldw -lelf
    # The addon.
    "${compiler[@]}" "${library[@]}" -DNAPI_VERSION=8 -DNODE_ADDON_API_DISABLE_DEPRECATED \
      -DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS -I/opt/node/include/node -I"$PROJECT/node_modules/node-addon-api" \
      -o arm64/forkheap.node native/addon/addon.cc native/core/control.cc \
      -Wl,--no-as-needed -l:libtcmalloc_and_profiler.so.4 -Wl,--as-needed -ldl
    # native/core without the stack walk, and its tests.
    for name in code_map control files gate log options proc samples symbols tree_limits; do
      "${compiler[@]}" -fPIC -ftls-model=initial-exec -c -o "arm64/$name.o" "native/core/$name.cc"
    done
    for test in gate_model_test gate_guest_model_test; do
      "${compiler[@]}" -static -pthread -o "arm64/$test" "native/test/$test.cc"
    done
    "${compiler[@]}" -pthread -o arm64/gate_test native/test/gate_test.cc arm64/gate.o'\'''

objcopy=(inside aarch64-linux-gnu-objcopy)
strip=(inside aarch64-linux-gnu-strip)
# The paths inside are those outside, seen through the folder's own copy below the root.
cp "$work/arm64/forkheap-symbolizer" "$root/tmp/"
"${objcopy[@]}" --only-keep-debug /tmp/forkheap-symbolizer /tmp/forkheap-symbolizer.debug
"${strip[@]}" --strip-unneeded /tmp/forkheap-symbolizer
mkdir -p "$place/debug-arm64"
mv "$root/tmp/forkheap-symbolizer.debug" "$place/debug-arm64/"
mv "$root/tmp/forkheap-symbolizer" "$out/"
chmod 755 "$out/forkheap-symbolizer"
# shellcheck disable=SC2016
patchelf --force-rpath --set-rpath '$ORIGIN/lib' "$out/forkheap-symbolizer"
for name in libdw.so.1 libelf.so.1 libz.so.1 liblzma.so.5 libbz2.so.1.0; do
  file=$(find "$root/lib/aarch64-linux-gnu" "$root/usr/lib/aarch64-linux-gnu" -maxdepth 1 -name "$name" -print -quit)
  [[ -n $file ]] || fail "pack: $name is not installed for arm64"
  cp --dereference "$file" "$out/lib/$name"
  chmod 644 "$out/lib/$name"
done

[[ ${1:-} == --test ]] || exit 0
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64) ||
  fail 'pack: qemu-user is needed to test what is built for arm64: apt-get install qemu-user-static'
emulate=("$qemu" -L "$root/usr/aarch64-linux-gnu" -E "LD_LIBRARY_PATH=$root/usr/lib/aarch64-linux-gnu")
for name in gate_model_test gate_guest_model_test gate_test; do
  "${emulate[@]}" "$work/arm64/$name" >&2 || fail "pack: $name fails on arm64"
done
