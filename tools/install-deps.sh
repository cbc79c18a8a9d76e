#!/bin/sh
# Install what is missing to build or to test, from Debian's packages only.
#
#   tools/install-deps.sh build    compiler, Meson, libraries
#   tools/install-deps.sh test     also what the tests use
#   tools/install-deps.sh clients  also the languages of the clients that the tests run
#   tools/install-deps.sh fuzz     also clang and its sanitizers
#
# When nothing is missing it does nothing and needs no network. Who is not root is told what to type.
set -eu

build="gcc libc6-dev meson ninja-build pkg-config python3 zlib1g-dev liblz4-dev libzstd-dev \
libsnappy-dev libroaring-dev libssl-dev libjansson-dev libpcre2-dev \
libcurl4-openssl-dev libmicrohttpd-dev liburing-dev"
test="$build libcmocka-dev clang-format-14 python3-venv kcat amqp-tools"
fuzz="$test clang libclang-rt-14-dev"

case ${1:-} in
build) wanted=$build ;;
test | clients) wanted=$test ;;
fuzz) wanted=$fuzz ;;
*)
    echo "usage: $0 build|test|clients|fuzz" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "$0: not a Debian system; install the counterparts of: $wanted" >&2
    exit 0
fi

# What somebody may have from elsewhere is asked for by its command: package:command.
[ "$1" != clients ] || tools="default-jdk-headless:javac maven:mvn nodejs:node npm:npm golang-go:go \
cargo-web:cargo redis-server:redis-server prometheus:promtool"
[ "$1" != clients ] || libraries="ruby-bunny php-amqplib php-cli"

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package in $wanted; do
    is_installed "$package" || missing="$missing $package"
done
for tool in ${tools:-}; do
    command -v "${tool#*:}" >/dev/null || optional="${optional:-} ${tool%:*}"
done
for package in ${libraries:-}; do
    is_installed "$package" || optional="${optional:-} $package"
done
if [ -n "${optional:-}" ] && [ "$(id -u)" != 0 ]; then
    echo "without these packages the tests leave some clients out:$optional" >&2
else
    missing=$missing${optional:-}
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "missing packages; please run: sudo apt-get install$missing" >&2
    exit 1
fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# The lists may be old or missing: fetch them when they do not know a package.
# shellcheck disable=SC2086
apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 || {
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends $missing >/dev/null
}
