# shellcheck shell=bash disable=SC2154
# Read by benches/compare: what a product uses, from /proc.

children_of() {
    local child
    # shellcheck disable=SC2013 # words are wanted
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
        echo "$child"
        children_of "$child"
    done
}

# Nanoseconds of CPU that the product's processes used, user and system, ended children included. The scheduler's own
# sum is exact but forgets ended threads; /proc/PID/stat forgets none but counts in ticks, cut off below: both are
# lower bounds, and the higher one is taken.
cpu_ns_of() { # PID
    local pid stat fields exact ticks ns total=0 tick_ns=$((1000000000 / $(getconf CLK_TCK)))
    for pid in "$1" $(children_of "$1"); do
        { stat=$(<"/proc/$pid/stat"); } 2>/dev/null || continue
        read -ra fields <<<"${stat##*) }"
        exact=$(cat "/proc/$pid/task/"*/schedstat 2>/dev/null | awk '{ ns += $1 } END { printf "%.0f", ns }')
        ticks=$(((fields[11] + fields[12]) * tick_ns))
        ns=$((exact > ticks ? exact : ticks))
        ((total += ns + (fields[13] + fields[14]) * tick_ns))
    done
    echo "$total"
}

# memory_kib_of PID FIELD: VmRSS (now) or VmHWM (at its highest) over all processes of the product. Pages that these
# share are counted once for each.
memory_kib_of() {
    local pid
    for pid in "$1" $(children_of "$1"); do cat "/proc/$pid/status" 2>/dev/null; done |
        awk -v field="$2:" '$1 == field { kib += $2 } END { print kib + 0 }'
}

# Milliseconds for which the two cores did anything at all, or were taken from us by the hypervisor.
used_ms() {
    awk -v one="cpu${cores[0]}" -v two="cpu${cores[1]}" -v hz="$(getconf CLK_TCK)" '
        $1 == one || $1 == two { for (i = 2; i <= 9; i++) if (i != 5 && i != 6) ticks += $i }
        END { printf "%.0f", ticks / hz * 1000 }' /proc/stat
}

calculate() { awk "BEGIN { printf \"$1\", $2 }"; } # calculate FORMAT EXPRESSION
