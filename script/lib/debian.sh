# What the scripts of this folder share: where they stand, what they say, which Debian packages they need.
# To be sourced by a script with `set -eu`; it may set no_install=1 before it calls need_packages.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
no_install=${no_install:-0}

packages_build=(gcc libc6-dev cmake ninja-build pkg-config libck-dev libzmq3-dev libyaml-dev libzstd-dev libdw-dev)
packages_test=(g++ libcriterion-dev spin tcc relacy-dev clang-format clang-tidy python3 zstd valgrind)
packages_bench=(libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4)
packages_coverage=(gcovr)

say() { printf '%s\n' "$*"; }
complain() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

# step NAME WHAT COMMAND...: one line with the seconds it took; the command's output only when it fails.
step() {
    local name=$1 what=$2 log started=$SECONDS dots
    shift 2
    printf '%-8s %s ' "$name" "$what"
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        printf -v dots '%*s' $((what_width > ${#what} ? what_width - ${#what} : 3)) ''
        printf '%s %3d s\n' "${dots// /.}" $((SECONDS - started))
        rm -f "$log"
    else
        printf 'failed after %d s\n' $((SECONDS - started))
        cat "$log"
        rm -f "$log"
        return 1
    fi
}
what_width=76

missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf '%s\n' "$package"
    done
}

# need_packages PACKAGE...: says what is missing and installs it, or says why it cannot and ends the script with 3.
need_packages() {
    local missing as_root=()
    if ! command -v dpkg-query >/dev/null; then
        if [ "$no_install" = 1 ]; then
            complain "this is no Debian, so what is installed is not checked; needed are what Debian calls: $*"
            return
        fi
        complain "this script installs packages on Debian and Ubuntu only. Install what Debian calls"
        complain "    $*"
        complain "your system's way, then call it with --no-install."
        exit 3
    fi
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$no_install" = 1 ]; then
        complain "these Debian packages are missing, and --no-install was given:"
        complain "    apt-get install ${missing[*]}"
        exit 3
    fi
    say "missing Debian packages, now installed with apt-get: ${missing[*]}"
    if ! command -v apt-get >/dev/null; then
        complain "there is no apt-get here; install them yourself and call again"
        exit 3
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            complain "this needs root, and there is no sudo. As root: apt-get install ${missing[*]}"
            exit 3
        fi
        as_root=(sudo)
        [ -t 0 ] || as_root=(sudo -n) # nobody is there to type a password
        if ! "${as_root[@]}" true; then
            complain "this needs root, and sudo refuses. As root: apt-get install ${missing[*]}"
            exit 3
        fi
    fi
    install_packages() {
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "$@"
    }
    if ! { step packages "their list, by apt-get update" install_packages update -q &&
        step packages "${#missing[@]} installed" install_packages install -y -q --no-install-recommends "${missing[@]}"; }; then
        complain "apt-get could not install them (its words stand above). By hand: apt-get install ${missing[*]}"
        exit 3
    fi
}
