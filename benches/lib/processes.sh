# shellcheck shell=bash disable=SC2154
# Read by benches/compare and benches/instructions: free ports, and the start and the end of processes. Expects `work`
# (a directory of our own) to be set.

export LC_ALL=C # decimal points, not commas, in every tool's numbers
PATH=$PATH:/usr/sbin:/sbin

started=() # ids of the processes that we started, and of nothing else

die() { echo "$0: $*" >&2; exit 1; }

# Ends what was started, gently first. Safe to call twice.
end_started() {
    end_processes "${started[@]}"
    started=()
}

end_processes() { # PID …
    local pid
    for pid in "$@"; do kill -TERM "$pid" 2>/dev/null; done
    for pid in "$@"; do
        for _ in {1..50}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
}

# A port below the range from which the kernel takes ports for outgoing connections, on which nobody listens and
# that was not given out before. Sets `port`.
free_port() {
    local hex
    for _ in {1..200}; do
        port=$((20000 + RANDOM % 10000))
        [[ " ${given_ports:-} " == *" $port "* ]] && continue
        printf -v hex ':%04X ' "$port"
        if ! awk '{ print $2 " " }' /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q "$hex"; then
            given_ports="${given_ports:-} $port"
            return
        fi
    done
    die "no free port found"
}

# wait_for_port PORT PID WHAT LOG. `scheme` may be https: of a certificate that nobody knows.
wait_for_port() {
    for _ in {1..150}; do
        kill -0 "$2" 2>/dev/null || { cat "$4" >&2; die "$3 ended at its start"; }
        # Host and path that one of the thousand routes takes, where there are any.
        curl --noproxy '*' -fksS ${version:+"$version"} -o /dev/null --max-time 2 -H 'Host: h0.test' \
            "${scheme:-http}://127.0.0.1:$1/p0/" 2>/dev/null && return
        sleep 0.1
    done
    cat "$4" >&2
    die "$3 does not answer on port $1"
}

# start NAME PORT CORES COMMAND …: runs it pinned to CORES and waits for its first good answer. Sets `pid`.
start() {
    local name=$1 its_port=$2 cores=$3
    shift 3
    taskset -c "$cores" "$@" >"$work/$name.log" 2>&1 </dev/null &
    pid=$!
    started+=("$pid")
    wait_for_port "$its_port" "$pid" "$name" "$work/$name.log"
}

# The cores that this process may use, as an array `cores`.
find_cores() {
    mapfile -t cores < <(awk '/^Cpus_allowed_list/ { n = split($2, parts, ",")
        for (i = 1; i <= n; i++) { m = split(parts[i], ends, "-"); for (c = ends[1]; c <= ends[m]; c++) print c } }' \
        /proc/self/status)
}

# The load generator, built if need be. build_loadgen PROFILE: sets `loadgen`.
# shellcheck disable=SC2034
build_loadgen() {
    local flags=() folder=debug
    [[ $1 == release ]] && flags=(--release) folder=release
    cargo build --locked --quiet "${flags[@]}" --example loadgen || die "the load generator cannot be built"
    loadgen=${CARGO_TARGET_DIR:-target}/$folder/examples/loadgen
}

number() { # number KEY LINE: a number out of the load generator's line of JSON
    local rest=${2#*"\"$1\":"}
    [[ $rest != "$2" ]] || die "no «$1» in: $2"
    echo "${rest%%[,\}]*}"
}
