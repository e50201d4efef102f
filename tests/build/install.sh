#!/usr/bin/env bash
# install.sh BUILD: installs BUILD into an empty folder, and uses the copy as its users do: with pkg-config, shared and
# static, and with find_package; the README's example too.
set -eu
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
mkdir "$work/outside" && cd "$work/outside"

cmake --install "$build" --prefix "$prefix" >"$work/log" || { cat "$work/log" && exit 1; }
(cd "$prefix" && find . -type f -o -type l | LC_ALL=C sort)
lib=$(dirname "$(find "$prefix" -name libfettle.a)")
export PKG_CONFIG_PATH=$lib/pkgconfig
cp "$here/install_program.c" program.c
strict=(-std=c11 -Wall -Wextra -Wpedantic -Werror)

# The README's first program is the same file as examples/readme_example.c, and stands on the installed copy alone.
awk '/^```c$/ { take = 1; next } /^```$/ && take { exit } take' "$top/README.md" >readme_example.c
cmp readme_example.c "$top/examples/readme_example.c" || {
    echo "README.md's first C block and examples/readme_example.c differ"
    exit 1
}

for source in program readme_example; do
    # shellcheck disable=SC2046 # flags are words
    gcc "${strict[@]}" $source.c $(pkg-config --cflags --libs fettle) -o $source.shared
    LD_LIBRARY_PATH=$lib ./$source.shared >"$work/said" || { echo "$source, shared: exit $?" && exit 1; }
    LD_LIBRARY_PATH=$lib ldd $source.shared | grep -q "$lib/libfettle.so.0" || { echo "$source: not shared" && exit 1; }
    # shellcheck disable=SC2046
    gcc "${strict[@]}" $source.c $(pkg-config --static --cflags --libs fettle | sed 's/-lfettle/-l:libfettle.a/') \
        -o $source.static
    ./$source.static >"$work/said" || { echo "$source, static: exit $?" && exit 1; }
    if ldd $source.static | grep libfettle; then echo "$source: not static" && exit 1; fi
done

cat >CMakeLists.txt <<'TXT'
cmake_minimum_required(VERSION 3.25)
project(outside C)
find_package(fettle 0.1 REQUIRED)
foreach(kind fettle fettle_static)
  add_executable(with_${kind} program.c)
  target_link_libraries(with_${kind} PRIVATE fettle::${kind})
endforeach()
TXT
{ cmake -G Ninja -S . -B out -DCMAKE_PREFIX_PATH="$prefix" && cmake --build out; } >"$work/log" 2>&1 ||
    { cat "$work/log" && exit 1; }
for program in out/with_fettle out/with_fettle_static; do
    ./$program || { echo "$program: exit $?" && exit 1; }
done

"$prefix/bin/fettle" --version
"$prefix/bin/fettle" record --quiet -o trace.csv.zst -- ls "$prefix" >"$work/said"
"$prefix/bin/fettle" replay trace.csv.zst --settle 0s >"$work/said" || { cat "$work/said" && exit 1; }
grep -rlI "$build" "$prefix" && { echo "the installed copy names the build folder (above)" && exit 1; }
echo "installed; used with pkg-config, shared and static, and with find_package"
