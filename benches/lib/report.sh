# shellcheck shell=bash disable=SC2154
# Read by benches/compare: the tables, from the lines that each measurement left in $results/ROW.tsv:
#   row product round requests cost rate p50 p99 p999 failed errors peak_kib busy load_busy others
# (times in us; cost: CPU us per request, in the row «idle» KiB per connection).

# shellcheck disable=SC2016 # $ is awk's, ` is markdown's

# Functions that all tables share. A ratio is taken within each round, and the median over the rounds is told.
readonly table_functions='
function median(list,    v, n, i, j, t) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function ratio(one, other,    a, b, n, i, list) {
    n = split(cost[one], a, " "); split(cost[other], b, " ")
    for (i = 1; i <= n; i++) list = list " " (b[i] > 0 ? a[i] / b[i] : 0)
    return median(list)
}
BEGIN { FS = "\t" }
{
    key = $1 SUBSEP $2
    if (!(key in cost)) { keys[++count] = key; row_of[key] = $1; product_of[key] = $2 }
    cost[key] = cost[key] " " $5; rate[key] = rate[key] " " $6
    p50[key] = p50[key] " " $7; p99[key] = p99[key] " " $8; p999[key] = p999[key] " " $9
    failed[key] += $10; requests[key] += $4 + $10
    if ($11 != "{}") kinds[key] = kinds[key] " " $11
    if ($12 > peak[key]) peak[key] = $12
    if ($15 > others[key]) others[key] = $15
    busy[key] = busy[key] " " $13; load_busy[key] = load_busy[key] " " $14
}'

results_of() { # ROW …: the lines of those rows that were measured
    local row
    for row in "$@"; do [[ -s $results/$row.tsv ]] && cat "$results/$row.tsv"; done
    return 0
}

main_table() {
    echo '| row | product | CPU µs/request | Equipoise ÷ it | requests/s | p50 ms | p99 ms | p99.9 ms | failed | peak MiB | core busy |'
    echo '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |'
    results_of "${all_rows[@]}" | awk "$table_functions"'
    END {
        for (i = 1; i <= count; i++) {
            key = keys[i]; row = row_of[key]
            if (row == "idle") continue
            own = row SUBSEP "equipoise"
            printf "| %s | %s | %.2f | %s | %.0f | %.2f | %.2f | %.2f | %d | %.1f | %.0f %% |\n", row, product_of[key],
                median(cost[key]), key == own ? "" : sprintf("%.2f", ratio(own, key)), median(rate[key]),
                median(p50[key]) / 1000, median(p99[key]) / 1000, median(p999[key]) / 1000, failed[key],
                peak[key] / 1024, median(busy[key])
        }
    }'
}

idle_table() {
    [[ -s $results/idle.tsv ]] || return 0
    printf '\n**%s**: what the resident memory of all processes grows by, for each.\n\n' "${title_of[idle]}"
    echo '| product | KiB/connection | Equipoise ÷ it | peak MiB | ended by it |'
    echo '| --- | ---: | ---: | ---: | ---: |'
    results_of idle | awk "$table_functions"'
    END {
        for (i = 1; i <= count; i++) {
            key = keys[i]; own = "idle" SUBSEP "equipoise"
            printf "| %s | %.2f | %s | %.1f | %d |\n", product_of[key], median(cost[key]),
                key == own ? "" : sprintf("%.2f", ratio(own, key)), peak[key] / 1024, failed[key]
        }
    }'
}

growth_table() {
    [[ -s $results/workers.tsv && -s $results/small.tsv ]] || return 0
    printf '\n**Two workers**: CPU per request, divided by that of one worker (row small).\n\n'
    echo '| product | one | two | growth |'
    echo '| --- | ---: | ---: | ---: |'
    results_of small workers | awk "$table_functions"'
    END {
        for (i = 1; i <= count; i++) if (row_of[keys[i]] == "workers") {
            key = keys[i]; one = "small" SUBSEP product_of[key]
            printf "| %s | %.2f | %.2f | %.2f |\n", product_of[key], median(cost[one]), median(cost[key]),
                median(cost[key]) / median(cost[one])
        }
    }'
}

# ROW <tab> ratio to the better peer <tab> that peer, a line for each row that was measured.
better_peers() { # ROW …
    results_of "$@" | awk "$table_functions"'
    END {
        for (i = 1; i <= count; i++) {
            key = keys[i]; row = row_of[key]
            if (product_of[key] == "equipoise") { order[++rows] = row; continue }
            r = ratio(row SUBSEP "equipoise", key)
            if (r > worst[row]) { worst[row] = r; peer[row] = product_of[key] }
        }
        # A row without peers has nothing to be compared with.
        for (i = 1; i <= rows; i++) if (order[i] in peer) printf "%s\t%.2f\t%s\n", order[i], worst[order[i]], peer[order[i]]
    }'
}

compact_table() {
    local row ratio peer
    printf '\n**Equipoise ÷ the better peer** (CPU per request; in the row idle, memory per connection)\n\n'
    echo '| row | what | ratio | better peer |'
    echo '| --- | --- | ---: | --- |'
    while IFS=$'\t' read -r row ratio peer; do
        echo "| $row | ${title_of[$row]} | $ratio | $peer |"
    done < <(better_peers "${all_rows[@]}")
}

# What must be known to read the figures: where the proxy was not the bottleneck, and what failed.
notes() {
    local row
    for row in "${all_rows[@]}"; do
        [[ -s $results/$row.tsv ]] || continue
        shape_of "$row"
        results_of "$row" | awk -v saturates="$saturates" -v limit="$most_others" "$table_functions"'
        END {
            for (i = 1; i <= count; i++) {
                key = keys[i]
                if (saturates && median(busy[key]) < 90)
                    printf "- %s: %s was not the bottleneck (its core was %.0f %% busy, that of origin and load %.0f %%): its " \
                        "requests/s and times say more about these; its CPU per request stands.\n",
                        row_of[key], product_of[key], median(busy[key]), median(load_busy[key])
                if (others[key] > limit)
                    printf "- %s: in a round of %s somebody else used %d %% of a core, also when it was measured again.\n",
                        row_of[key], product_of[key], others[key]
                if (failed[key])
                    printf "- %s: %s failed %d of %d:%s\n", row_of[key], product_of[key], failed[key], requests[key], kinds[key]
            }
        }'
    done
}

describe_machine() {
    local row
    echo "- $(awk -F': *' '/^model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) cores, Linux $(uname -r)," \
        "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo) memory"
    echo "- $("$equipoise" --version | head -n 1); $(nginx -v 2>&1 | sed 's/.*: //'); $(haproxy -v | sed -n '1s/ - .*//p')"
    echo "- each row: N rounds, in each round every product in turn; the proxy on core ${cores[0]} with one worker," \
        "origin (nginx) and load generator on core ${cores[1]}; row workers: two workers, nothing pinned to one core"
    echo "- small answers have $origin_body_bytes bytes of body; $connections kept client connections unless the row says otherwise"
    for row in "${all_rows[@]}"; do [[ -s $results/$row.tsv ]] && cat "$results/$row.about"; done | awk -F '\t' '
        !($2 in rows) { order[++count] = $2 }
        { rows[$2] = rows[$2] (rows[$2] ? ", " : "") $1 }
        END { for (i = 1; i <= count; i++) printf "- %s: %s\n", rows[order[i]], order[i] }'
}

describe_configurations() {
    local file base
    for file in nginx.conf haproxy.cfg equipoise.toml; do
        [[ -s $results/$file ]] || continue
        printf '\n### %s\n\n```\n' "$file"
        grep -v '^$' "$results/$file" | sed "s#$work#/run/compare#g"
        echo '```'
    done
    if [[ -s $results/tls-nginx.conf ]]; then
        printf '\n### Rows tls…, in place of or in addition to the above\n\n```\n'
        for file in nginx.conf haproxy.cfg equipoise.toml; do
            base=$results/$file
            [[ -s $base ]] || base=/dev/null
            added "$base" "$results/tls-$file" '^ *(listen|bind [0-9]|ssl_|.listener.tls|certificates|min_version)' |
                sed "s#$work#/run/compare#g"
        done
        echo '```'
    fi
    if [[ -s $results/h2-nginx.conf ]]; then
        printf '\n### Rows h2…, in place of or in addition to those of tls\n\n```\n'
        for file in nginx.conf haproxy.cfg equipoise.toml; do
            added "$results/tls-$file" "$results/h2-$file" '^ *(listen|bind [0-9]|protocols)'
        done
        echo '```'
    fi
    [[ -s $results/haproxy-splice.cfg ]] || return 0
    printf '\n### Rows 1m and post64k, in place of the above\n\n```\n'
    added "$results/nginx.conf" "$results/large-nginx.conf" '^ *proxy_.*buffer'
    added "$results/haproxy.cfg" "$results/large-haproxy.cfg" 'tune\.'
    printf '```\n\n### haproxy-splice, in addition to haproxy.cfg\n\n```\n'
    grep splice "$results/haproxy-splice.cfg"
    echo '```'
}

# Lines of the second file that match and that the first does not have.
added() { # FIRST SECOND PATTERN
    grep -E "$3" "$2" | grep -vxFf "$1"
}

report() {
    describe_configurations
    printf '\n### Medians\n\n'
    describe_machine
    echo
    main_table
    idle_table
    growth_table
    compact_table
    echo
    notes
}
