# shellcheck shell=bash disable=SC2154
# Read by benches/compare: load over HTTP/2, by h2load (Debian: nghttp2-client), told in the load generator's words.

# load_http2 PRODUCT CONNECTIONS STREAMS SECONDS: a line as the load generator's. h2load logs each request as
# «begin, status, microseconds»; what it ends with is the count of what was answered well, and not.
load_http2() {
    local scheme=http log=$work/h2load.log said cpu
    [[ $tls ]] && scheme=https
    rm -f "$log"
    local TIMEFORMAT='%3U %3S'
    { cpu=$({ time taskset -c "$load_cores" h2load --log-file="$log" --duration="$4" --warm-up-time=0 --threads=1 \
        --clients="$2" --max-concurrent-streams="$3" --groups=X25519 "$scheme://127.0.0.1:${port_of[$1]}/" \
        >"$work/h2load.out" 2>&1; } 2>&1) || { cat "$work/h2load.out"; return 1; }; }
    said=$(grep -E '^(requests|status codes|finished in|traffic):' "$work/h2load.out")
    http2_times "$log" | http2_line "$4" "$cpu" "$said"
}

# The median and the 99th and 99.9th percentile of the times that were logged.
http2_times() { # LOG
    cut -f 3 "$1" | sort -n | awk '
        { t[NR] = $1 }
        function at(share,    i) { i = int(NR * share + 0.999); return i < 1 ? t[1] : t[i] }
        END { printf "%d %d %d\n", at(0.5), at(0.99), at(0.999) }'
}

# What had begun when the time was over is neither answered nor failed.
http2_line() { # SECONDS «USER SYSTEM» SAID
    awk -v seconds="$1" -v cpu="$2" -v said="$3" -v body="$origin_body_bytes" '
        function number_before(word,    m) { return match(said, "[0-9]+ " word) ? substr(said, RSTART, RLENGTH) + 0 : 0 }
        {
            split(cpu, used, " ")
            good = number_before("2xx")
            failed = number_before("failed") + number_before("3xx") + number_before("4xx") + number_before("5xx")
            # Answers that were cut short would show in the bytes of all bodies.
            match(said, /\([0-9]+\) data/)
            bytes = substr(said, RSTART + 1, RLENGTH) + 0
            if (bytes < good * body) failed += 1
            kinds = failed ? sprintf("{\"h2load\":%d}", failed) : "{}"
            printf "{\"cpu_us\":%d,\"errors\":%s,\"failed\":%d,\"p50_us\":%s,\"p99_us\":%s,\"p999_us\":%s,\"rate\":%.2f,\"requests\":%d}\n",
                (used[1] + used[2]) * 1e6, kinds, failed, $1, $2, $3, good / seconds, good
        }'
}
