#!/usr/bin/env bash
# How long a put takes that is durable on three nodes of this machine, against the same file copied three times by plain `cp` with
# one `sync`. Both alternate in one run, on the same disk, each round with a new file.
#
#     benches/put_vs_cp.sh [MIB [ROUNDS]]        default: 1024 MiB, 3 rounds; TMPDIR says on which disk
set -euo pipefail
cd "$(dirname "$0")/.."

mib=${1:-1024}
rounds=${2:-3}
forever=${FOREVER:-}
if [[ -z $forever ]]; then
    cargo build --release -p forever-net-tokio --locked --quiet
    forever=${CARGO_TARGET_DIR:-target}/release/forever
fi

place=$(mktemp -d)
nodes=()
finish() {
    for node in "${nodes[@]}"; do
        kill "$node" 2>/dev/null && wait "$node" || true
    done
    rm -rf "$place"
}
trap finish EXIT

# now: microseconds.
now() {
    printf '%s\n' "${EPOCHREALTIME/[.,]/}"
}

start_node() {
    local data=$place/$1 ready
    shift
    "$forever" --data "$data" init ${key:+--cluster-key "$key"} >"$data.init"
    key=${key:-$data/cluster.key}
    mkfifo "$data.ready"
    "$forever" --data "$data" node --listen 127.0.0.1:0 --api 127.0.0.1:0 "$@" >"$data.ready" &
    nodes+=($!)
    # The line that a node prints when it serves; anything else on the way is an error.
    read -r ready <"$data.ready"
    listen=$(sed -n 's/^ready listen=\([^ ]*\) .*/\1/p' <<<"$ready")
    [[ -n $listen ]]
}

key=
start_node one
peers=(--peer "$listen")
start_node two "${peers[@]}"
peers+=(--peer "$listen")
start_node three "${peers[@]}"
until "$forever" --data "$place/three" --json status | grep -q '"peers_connected":2'; do :; done

printf '%-6s %12s %12s %7s\n' round 'put' 'cp + sync' ratio
for ((round = 1; round <= rounds; round++)); do
    head -c "$((mib << 20))" /dev/urandom >"$place/file"
    sync
    start=$(now)
    "$forever" --data "$place/three" --json put "$place/file" --as "file-$round" >"$place/put.json"
    put=$(($(now) - start))
    grep -q '"replicas":3' "$place/put.json"

    sync
    start=$(now)
    for copy in 1 2 3; do
        cp "$place/file" "$place/copy-$copy"
    done
    sync
    copied=$(($(now) - start))
    rm "$place"/copy-*

    awk -v round="$round" -v put="$put" -v cp="$copied" -v mib="$mib" 'BEGIN {
        printf "%-6d %6.0f MiB/s %6.0f MiB/s %7.2f\n", round, mib / put * 1e6, mib / cp * 1e6, put / cp
    }'
done
