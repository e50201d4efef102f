#!/usr/bin/env bash
# Can every header be included alone? Ours as C11, the public ones as C++ too.
set -u
cd "$(dirname "$0")/../.."
failed=0
warnings=(-Wall -Wextra -Wpedantic -Wundef -Werror)
while IFS= read -r header; do
    gcc -std=c11 -D_GNU_SOURCE -DFETTLE_BRIDGE=1 -DFETTLE_TELEMETRY=1 "${warnings[@]}" -I. -Iinclude \
        -fsyntax-only -include "$header" -x c /dev/null || failed=1
done < <(find include runtime tensor actors simulate tools -name '*.h' | sort)
while IFS= read -r header; do
    g++ -std=c++11 "${warnings[@]}" -Iinclude -fsyntax-only -include "$header" -x c++ /dev/null || failed=1
done < <(find include -name '*.h' | sort)
[ $failed = 0 ] && echo "every header stands alone"
exit $failed
