# shellcheck shell=bash disable=SC2154
# Read by benches/compare and benches/instructions: the origin, and the same job in each product's words.
#
# What a row varies stands in these; write_all reads them.
#   workers    worker threads or processes of each proxy
#   backends   ADDRESS:PORT of each backend
#   most_clients  connections of clients that HAProxy must be told to expect
#   interval   of the health checks, in seconds
#   large      1: the peers' buffers are those that suit bodies of 64 KiB and more best; 0: those that suit the others
#   tls        kind of the certificate, ecdsa or rsa; empty: HTTP in clear
#   http2      1: clients speak HTTP/2, by ALPN with TLS, else by its preface; empty: HTTP/1.1
#   routes     number of rules «host and path prefix»; 0: everything goes to the pool

readonly origin_body_bytes=200
readonly hosts_of_routes=100 # the rest of the number are path prefixes below each host

origin_files() { # the bodies that the origin serves
    mkdir -p "$work/www"
    head -c 16384 /dev/zero | tr '\0' x >"$work/www/16k"
    head -c 1048576 /dev/zero | tr '\0' x >"$work/www/1m"
    head -c "$origin_body_bytes" /dev/zero | tr '\0' x >"$work/www/post"
    ln -sf 16k "$work/www/chunked"
}

# write_origin NAME ADDRESS:PORT …
# /post answers only after the whole body: `mirror` reads it before anything else is done, the file then refuses POST,
# and the refusal is turned into the answer. /chunked: server-side includes make the length unknown.
write_origin() {
    local name=$1 body address
    shift
    origin_files
    printf -v body '%*s' "$origin_body_bytes" ''
    cat >"$work/$name.conf" <<END
daemon off;
worker_processes 1;
pid $work/$name.pid;
error_log stderr warn;
events { worker_connections 16384; }
http {
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    default_type text/plain;
    sendfile on;
    tcp_nopush on;
    etag off;
    open_file_cache max=16 inactive=1h;
    open_file_cache_valid 1h;
    client_body_buffer_size 128k;
$(temp_paths "$name")
    server {
$(for address in "$@"; do echo "        listen $address backlog=4096;"; done)
        root $work/www;
        location / { return 200 "${body// /x}"; }
        location = /16k { }
        location = /1m { }
        location = /chunked { ssi on; ssi_types *; }
        location = /post { mirror /read; error_page 405 =200 /posted; }
        location = /read { internal; return 204; }
        location = /posted { internal; return 200 "${body// /x}"; }
    }
}
END
}

# The certificate of row and run, alone in its chain: $work/crm.pem, $work/crm.key, and both in $work/crm.both.pem.
make_certificate() {
    local key=(ec -pkeyopt ec_paramgen_curve:prime256v1)
    [[ $tls == rsa ]] && key=(rsa:2048)
    openssl req -x509 -newkey "${key[@]}" -noenc -keyout "$work/crm.key" -out "$work/crm.pem" -days 30 \
        -subj /CN=compare.test -addext subjectAltName=DNS:compare.test -addext basicConstraints=critical,CA:FALSE \
        2>"$work/openssl.log" &&
        cat "$work/crm.pem" "$work/crm.key" >"$work/crm.both.pem"
}

# nginx wants to write below /var/lib unless it is told otherwise.
temp_paths() {
    local kind
    for kind in client_body proxy fastcgi uwsgi scgi; do
        echo "    ${kind}_temp_path $work/$1-$kind;"
    done
}

# Each rule as «HOST PREFIX», and as what the load asks for.
route_list() {
    local rule
    for ((rule = 0; rule < routes; rule++)); do
        echo "h$((rule % hosts_of_routes)).test /p$((rule / hosts_of_routes))/"
    done
}

write_targets() { route_list | sed 's/$/item?id=1/' >"$work/targets"; }

write_nginx() { # PORT
    local balanced
    balanced=$(cat <<'END'
            proxy_pass http://crm;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
END
)
    cat >"$work/nginx.conf" <<END
daemon off;
worker_processes $workers;
pid $work/nginx.pid;
error_log stderr warn;
events { worker_connections 16384; }
http {
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 75s;
    server_names_hash_max_size 4096;
    client_body_buffer_size 128k;
$(nginx_buffers)
$(temp_paths nginx)
    upstream crm {
        zone crm 4m;
$(printf '        server %s;\n' "${backends[@]}")
        keepalive 4096;
        keepalive_requests 100000000;
    }
$(nginx_servers "$1" "$balanced")
}
END
}

# Without buffering nginx moves large bodies with less, and small answers with more CPU.
nginx_buffers() {
    if ((large)); then
        printf '    proxy_%s;\n' 'buffering off' 'request_buffering off' 'buffer_size 32k' 'buffers 8 32k'
    else
        printf '    proxy_%s;\n' 'buffer_size 16k' 'buffers 8 32k' 'busy_buffers_size 64k' 'max_temp_file_size 0'
    fi
}

nginx_servers() { # PORT BALANCED
    local listen="127.0.0.1:$1 backlog=4096" host prefix number
    ((workers > 1)) && listen+=" reuseport"
    [[ $tls ]] && listen+=" ssl"
    [[ $http2 ]] && listen+=" http2"
    if ((routes == 0)); then
        printf '    server {\n        listen %s;%s\n        location / {\n%s\n        }\n    }\n' "$listen" "$(nginx_tls)" "$2"
        return
    fi
    printf '    server {\n        listen %s default_server;\n        return 404;\n    }\n' "$listen"
    for ((number = 0; number < hosts_of_routes; number++)); do
        printf '    server {\n        listen 127.0.0.1:%s;\n        server_name h%d.test;\n' "$1" "$number"
        for ((prefix = 0; prefix < routes / hosts_of_routes; prefix++)); do
            printf '        location /p%d/ {\n%s\n        }\n' "$prefix" "$2"
        done
        printf '        location / { return 404; }\n    }\n'
    done
}

# Tickets are on by default and need no store; a shared cache would be filled and, with 1.3, never read.
nginx_tls() {
    [[ $tls ]] || return 0
    printf '\n        ssl_%s;' "certificate $work/crm.pem" "certificate_key $work/crm.key" 'protocols TLSv1.3' \
        'ecdh_curve X25519' 'session_tickets on'
}

# write_haproxy FILE PORT [SPLICE]: with a third word the kernel moves the bodies. splice-auto alone never does: 2.6 does
# not recognise these answers as streams, whatever their length.
# The ratios: by default idle connections to backends are closed while many descriptors are in use.
write_haproxy() {
    local number=0 address secure='' protocol=http/1.1
    [[ $http2 ]] && protocol=h2
    [[ $tls ]] && secure=" ssl crt $work/crm.both.pem ssl-min-ver TLSv1.3 curves X25519 alpn $protocol"
    [[ $http2 && ! $tls ]] && secure=' proto h2'
    cat >"$work/$1" <<END
global
    nbthread $workers
    maxconn $most_clients
$( ((large)) && echo '    tune.bufsize 32768')
    tune.pool-low-fd-ratio 90
    tune.pool-high-fd-ratio 95
defaults
    mode http
    timeout connect 2s
    timeout client 75s
    timeout server 30s
    option forwardfor
    http-reuse always
${3:+    option splice-auto
    option splice-response
}frontend web
    bind 127.0.0.1:$2 backlog 4096$secure
END
    if ((routes == 0)); then
        echo "    default_backend crm" >>"$work/$1"
    else
        # A thousand «use_backend … if» are tried one after the other; a map of prefixes is a tree.
        route_list | sed 's/ //; s/$/ crm/' >"$work/routes.map"
        echo "    use_backend %[base,map_beg($work/routes.map)]" >>"$work/$1"
    fi
    {
        printf 'backend crm\n    balance roundrobin\n    option httpchk GET /\n'
        for address in "${backends[@]}"; do
            echo "    server app$((++number)) $address check inter ${interval}s"
        done
    } >>"$work/$1"
}

write_equipoise() { # PORT ADMIN_PORT
    cat >"$work/equipoise.toml" <<END
[server]
workers = $workers

[admin]
bind = "127.0.0.1:$2"

[[listener]]
bind = "127.0.0.1:$1"
$( ((routes)) || echo 'pool = "crm"')
$([[ $http2 ]] && echo 'protocols = "h2"')
$(equipoise_tls)

[pool.crm]
balance = "round-robin"
backends = [
$(printf '    "%s",\n' "${backends[@]}")
]

[pool.crm.health]
path = "/"
interval = "${interval}s"
END
    ((routes == 0)) || route_list | while read -r host prefix; do
        printf '\n[[route]]\nmatch.host = "%s"\nmatch.path_prefix = "%s"\npool = "crm"\n' "$host" "$prefix"
    done >>"$work/equipoise.toml"
}

equipoise_tls() {
    [[ $tls ]] || return 0
    printf '\n[listener.tls]\ncertificates = [{ cert = "%s", key = "%s" }]\nmin_version = "1.3"\n' \
        "$work/crm.pem" "$work/crm.key"
}
