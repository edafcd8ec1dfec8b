#!/usr/bin/env bash
# The journeys in a real browser: starts the demo with the programs of the debug build, and a second
# gateway that nobody has claimed yet, runs every *.test.js against them, and stops them.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v chromium >/dev/null 2>&1; then
    echo "SKIPPED: no chromium; image/prepare.sh installs it" >&2
    if [ -n "${CI:-}" ]; then exit 1; fi
    exit 0
fi
[ -d tests/browser/node_modules/playwright-core ] || (cd tests/browser && npm ci --no-audit --no-fund)

data=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$data"
}
trap stop EXIT

# What is written into this pipe reaches the simulated building: "silence METER on".
mkfifo "$data/control"
exec 3<>"$data/control"
target/debug/demo --data "$data/demo" --port 28080 --portfolio-port 28090 --base-port 28100 \
    --history-days "${FYRHUS_HISTORY_DAYS:-45}" --contract-later <"$data/control" >"$data/demo.log" 2>&1 &
demo=$!
pids+=("$demo")

mkdir -p "$data/fresh"
cat >"$data/fresh.toml" <<TOML
[paths]
state = "$data/fresh"
[web]
listen = "127.0.0.1:28071"
http = "127.0.0.1:28070"
[clock]
source = "host"
TOML
target/debug/fyrhus run --config "$data/fresh.toml" --ready-json >"$data/fresh.json" 2>"$data/fresh.log" &
pids+=("$!")

# A third one, which nobody has claimed either, beside a riser of twenty meters to commission.
target/debug/meter-sim run tests/browser/riser.toml --base-port 28300 >"$data/riser.json" 2>"$data/riser.log" &
pids+=("$!")
mkdir -p "$data/new"
sed "s#$data/fresh#$data/new#; s#28071#28076#; s#28070#28075#" "$data/fresh.toml" >"$data/new.toml"
target/debug/fyrhus run --config "$data/new.toml" --ready-json >"$data/new.json" 2>"$data/new.log" &
pids+=("$!")

for _ in $(seq 1500); do
    if grep -q '^Ready after' "$data/demo.log" && grep -q '"ready":true' "$data/new.json" && grep -q '"ready":true' "$data/fresh.json"; then break; fi
    if ! kill -0 "$demo" 2>/dev/null; then break; fi
    sleep 0.2
done
if ! grep -q '^Ready after' "$data/demo.log"; then
    echo "The demo did not start:" >&2
    cat "$data/demo.log" >&2
    tail -n 20 "$data"/demo/*.log >&2
    exit 1
fi

value() { node -p "JSON.parse(require('fs').readFileSync('$1','utf8').split('\n')[0] === '{' ? require('fs').readFileSync('$1','utf8') : require('fs').readFileSync('$1','utf8').split('\n')[0]).$2"; }
access="$data/demo/access.json"
export FYRHUS_URL PORTFOLIO_URL FYRHUS_USER FYRHUS_PASSWORD PORTFOLIO_USER PORTFOLIO_PASSWORD
FYRHUS_URL=$(value "$access" gateway_url)
FYRHUS_USER=$(value "$access" gateway_user)
FYRHUS_PASSWORD=$(value "$access" gateway_password)
PORTFOLIO_URL=$(value "$access" portfolio_url)
PORTFOLIO_USER=$(value "$access" portfolio_user)
PORTFOLIO_PASSWORD=$(value "$access" portfolio_password)
export FYRHUS_DEMO_CONTROL="$data/control"
export FYRHUS_TLS_PORT=28100
export FYRHUS_FRESH_URL=http://127.0.0.1:28070
FYRHUS_FRESH_CODE=$(value "$data/fresh.json" claim_code)
export FYRHUS_FRESH_CODE
export FYRHUS_NEW_URL=http://127.0.0.1:28075 FYRHUS_NEW_PORT=tcp://127.0.0.1:28300
FYRHUS_NEW_CODE=$(value "$data/new.json" claim_code)
export FYRHUS_NEW_CODE FYRHUS_NEW_METERS="$data/riser.json"

node --test --test-concurrency=1 "$@" tests/browser/*.test.js
