# shellcheck shell=bash disable=SC2154
# Read by benches/compare and benches/instructions: free ports, the origin, the same job for each product, and
# the end of all that was started. Needs bash; expects `work` (a directory of its own) to be set.

export LC_ALL=C # decimal points, not commas, in every tool's numbers

readonly origin_body_bytes=200
started=() # ids of the processes that we started, and of nothing else

die() { echo "$0: $*" >&2; exit 1; }

# Ends what was started, gently first. Safe to call twice.
end_started() {
    local pid
    for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    for pid in "${started[@]}"; do
        for _ in {1..50}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    started=()
}

need() { # need COMMAND PACKAGE …
    while (($# > 1)); do
        command -v "$1" >/dev/null || die "$1 is missing: install Debian's package $2"
        shift 2
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
        if ! cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '{print $2 " "}' | grep -q "$hex"; then
            given_ports="${given_ports:-} $port"
            return
        fi
    done
    die "no free port found"
}

wait_for_port() { # wait_for_port PORT PID WHAT LOG
    for _ in {1..150}; do
        kill -0 "$2" 2>/dev/null || { cat "$4" >&2; die "$3 ended at its start"; }
        curl --noproxy '*' -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$1/" 2>/dev/null && return
        sleep 0.1
    done
    cat "$4" >&2
    die "$3 does not answer on port $1"
}

# start NAME PORT CORE COMMAND …: runs it pinned to CORE and waits for its first good answer. Sets `pid`.
start() {
    local name=$1 its_port=$2 core=$3
    shift 3
    taskset -c "$core" "$@" >"$work/$name.log" 2>&1 </dev/null &
    pid=$!
    started+=("$pid")
    wait_for_port "$its_port" "$pid" "$name" "$work/$name.log"
}

write_origin() { # PORT1 PORT2 PORT3
    local body
    printf -v body '%*s' "$origin_body_bytes" ''
    cat >"$work/origin.conf" <<END
daemon off;
worker_processes 1;
pid $work/origin.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    default_type text/plain;
$(temp_paths origin)
    server {
        listen 127.0.0.1:$1 backlog=1024;
        listen 127.0.0.1:$2 backlog=1024;
        listen 127.0.0.1:$3 backlog=1024;
        location / { return 200 "${body// /x}"; }
    }
}
END
}

write_nginx() { # PORT BACKEND1 BACKEND2 BACKEND3
    cat >"$work/nginx.conf" <<END
daemon off;
worker_processes 1;
pid $work/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 75s;
$(temp_paths nginx)
    upstream crm {
        zone crm 64k;
        server 127.0.0.1:$2;
        server 127.0.0.1:$3;
        server 127.0.0.1:$4;
        keepalive 128;
        keepalive_requests 100000000;
    }
    server {
        listen 127.0.0.1:$1 backlog=1024;
        location / {
            proxy_pass http://crm;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host \$http_host;
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
        }
    }
}
END
}

# nginx wants to write below /var/lib unless it is told otherwise.
temp_paths() {
    local kind
    for kind in client_body proxy fastcgi uwsgi scgi; do
        echo "    ${kind}_temp_path $work/$1-$kind;"
    done
}

write_haproxy() { # PORT BACKEND1 BACKEND2 BACKEND3
    cat >"$work/haproxy.cfg" <<END
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 2s
    timeout client 75s
    timeout server 30s
    option forwardfor
    http-reuse always
frontend web
    bind 127.0.0.1:$1 backlog 1024
    default_backend crm
backend crm
    balance roundrobin
    option httpchk GET /
    server app1 127.0.0.1:$2 check inter 2s
    server app2 127.0.0.1:$3 check inter 2s
    server app3 127.0.0.1:$4 check inter 2s
END
}

write_equipoise() { # PORT ADMIN_PORT BACKEND1 BACKEND2 BACKEND3
    cat >"$work/equipoise.toml" <<END
[server]
workers = 1

[admin]
bind = "127.0.0.1:$2"

[[listener]]
bind = "127.0.0.1:$1"
pool = "crm"

[pool.crm]
balance = "round-robin"
backends = ["127.0.0.1:$3", "127.0.0.1:$4", "127.0.0.1:$5"]

[pool.crm.health]
path = "/"
interval = "2s"
END
}
