#!/usr/bin/env bash
# Looks for what building and testing Fyrhus needs, on a Debian-like machine. When everything is
# there it does nothing and needs no network. Otherwise it says what is missing and why, and as root
# installs it, printing each command first; not as root it prints the one line to run and stops.
#
#   image/prepare.sh          what `make demo` and `make test` need
#   image/prepare.sh audit    what `make audit` needs on top
#   image/prepare.sh proof    what `make proof` needs on top
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()  # Debian packages
why=()

need() { # COMMAND PACKAGE REASON
    command -v "$1" >/dev/null 2>&1 && return
    missing+=("$2")
    why+=("  $2: $3")
}

run() {
    echo "+ $*" >&2
    "$@"
}

need cc build-essential "links Rust and compiles SQLite"
if [ "${1:-}" = proof ]; then
    need c++ build-essential "compiles libFuzzer"
fi
need node nodejs "builds the web pages"
need npm npm "fetches the web pages' libraries, once"
need git git "tells which files are part of the project"
need chromium chromium "shows the pages to the browser tests"
need systemd-analyze systemd "reads the systemd units in the tests"
need openssl openssl "tries which versions of TLS the portfolio speaks, in the tests"
need tinyproxy tinyproxy-bin "stands between gateway and portfolio in the tests"
need mosquitto_sub mosquitto-clients "speaks MQTT with the gateway in the tests"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || {
    missing+=(postgresql)
    why+=("  postgresql: the portfolio's other database, of which each test starts its own")
}
need python3 python3 "runs the independent Modbus server and M-Bus decoder of the tests"
echo '#include <modbus/modbus.h>' | cc -E - >/dev/null 2>&1 || {
    missing+=(libmodbus-dev)
    why+=("  libmodbus-dev: the other Modbus client and server, in the tests and the bench")
}
python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || {
    missing+=(python3-venv)
    why+=("  python3-venv: keeps those two apart from the system's Python")
}

if [ ${#missing[@]} -gt 0 ]; then
    {
        echo "Fyrhus needs ${#missing[@]} package(s) that this machine does not have:"
        printf '%s\n' "${why[@]}"
    } >&2
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "This machine has no apt-get: install them its own way, then try again." >&2
        exit 1
    elif [ "$(id -u)" -eq 0 ]; then
        run apt-get update -q
        DEBIAN_FRONTEND=noninteractive run apt-get install -y -q --no-install-recommends "${missing[@]}"
    else
        echo "Run this, then try again:" >&2
        echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
fi

# Rust: rustup fetches the version of rust-toolchain.toml by itself when cargo is first run.
if ! command -v cargo >/dev/null 2>&1; then
    if [ -x "$HOME/.cargo/bin/cargo" ]; then
        echo "cargo is in $HOME/.cargo/bin, which is not on the PATH. Run: . \"$HOME/.cargo/env\"" >&2
        exit 1
    elif [ "$(id -u)" -eq 0 ] && apt-cache show rustup >/dev/null 2>&1; then
        echo "Fyrhus needs Rust, which rustup manages:" >&2
        DEBIAN_FRONTEND=noninteractive run apt-get install -y -q --no-install-recommends rustup
    else
        echo "Fyrhus needs Rust, and this machine has no cargo: install rustup, then try again." >&2
        exit 1
    fi
fi
if ! cargo --version >/dev/null 2>&1; then
    echo "The toolchain of rust-toolchain.toml is missing; rustup installs it:" >&2
    run rustup toolchain install
fi

# Node: what the front end's tools run on.
node_major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
if [ "$node_major" -lt 20 ]; then
    echo "Node $(node --version) is too old for the front end's tools: they need 20 or newer." >&2
    exit 1
fi

# An independent Modbus server, M-Bus decoder, MQTT client and one who asks the APIs whatever their descriptions
# allow, for the tests, in a folder of their own.
peers=target/peers
if ! "$peers/bin/python" -c 'import pymodbus, meterbus, paho.mqtt, schemathesis' >/dev/null 2>&1; then
    echo "The tests use pymodbus, pyMeterBus, paho and schemathesis, which are not all there yet:" >&2
    run python3 -m venv "$peers"
    run "$peers/bin/pip" install -q --disable-pip-version-check \
        "pymodbus==3.16.1" "pymeterbus==0.8.5" "paho-mqtt==2.1.0" "schemathesis==4.32.5" || {
        if [ -n "${CI:-}" ]; then exit 1; fi
        echo "They cannot be had now: the tests with them will be skipped." >&2
    }
fi

if [ "${1:-}" = audit ] && ! command -v cargo-deny >/dev/null 2>&1; then
    echo "make audit needs cargo-deny, which takes about five minutes to build:" >&2
    run cargo install --locked cargo-deny
fi

if [ "${1:-}" = proof ] && ! command -v cargo-fuzz >/dev/null 2>&1; then
    echo "make proof needs cargo-fuzz, which builds libFuzzer into the targets of tests/fuzz; it takes" >&2
    echo "about two minutes to build:" >&2
    run cargo install --locked cargo-fuzz@0.13.2
fi
