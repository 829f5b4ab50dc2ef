# shellcheck shell=bash disable=SC2154,SC2034
# Read by benches/compare: the rows of the table, each a shape of load and what it changes in the configurations.

readonly all_rows=(small 16k 1m connection close post1k post64k sequence rate idle reload backends routes active workers
    tls tls-handshake tls-resumed tls-rsa tls-hybrid h2 h2c h2-streams)

readonly -A title_of=(
    [small]="small answers, kept connections"
    [16k]="16 KiB answers"
    [1m]="1 MiB answers"
    [connection]="a new connection for each request"
    [close]="the same, with Connection: close"
    [post1k]="POST of 1 KiB"
    [post64k]="POST of 64 KiB"
    [sequence]="one connection, one request after the other"
    [rate]="5,000 requests/s whatever the answers do"
    [idle]="5,000 idle client connections"
    [reload]="3,000 requests/s through 10 reloads"
    [backends]="1,000 backends"
    [routes]="1,000 routes"
    [active]="4,000 active client connections"
    [workers]="two workers, small answers"
    [tls]="TLS, small answers, kept connections"
    [tls-handshake]="TLS, a full handshake for each request"
    [tls-resumed]="TLS, a resumed session for each request"
    [tls-rsa]="TLS, a full handshake with RSA-2048 for each request"
    [tls-hybrid]="TLS, a full handshake with ML-KEM-768 for each request"
    [h2]="HTTP/2 over TLS, one stream at a time"
    [h2c]="HTTP/2 in clear, one stream at a time"
    [h2-streams]="HTTP/2 over TLS, 32 connections with 8 streams each"
)

readonly most_tries=3 # of a measurement that others disturbed
readonly idle_connections=5000 active_connections=4000 reload_count=10 reload_rate=3000 reload_seconds=10

# shape_of ROW: sets what the row varies.
#   products   who takes part
#   flags      of the load generator, before the mode
#   mode       of the load generator; «http2 CONNECTIONS STREAMS SECONDS» is h2load's
#   saturates  whether the load is meant to keep the proxy's core busy
#   most_others  percent of a core that others may use before a measurement is made again. The kernel counts by its
#              clock: where the cores are not full, a load that keeps time with the clock is counted far too low or high
#   proxy_cores, load_cores
#   and workers, backends, interval, routes, large, most_clients, tls, http2 of lib/configurations.sh
shape_of() {
    products=(equipoise nginx haproxy)
    flags=(--expect "$origin_body_bytes")
    mode=(kept --connections "$connections" --seconds "$seconds")
    saturates=1 most_others=20 workers=1 interval=2 routes=0 large=0 most_clients=1000 tls='' http2=''
    proxy_cores=${cores[0]} load_cores=${cores[1]}
    backends=("127.0.0.1:$origin1" "127.0.0.1:$origin2" "127.0.0.1:$origin3")
    case $1 in
        small) ;;
        16k) flags=(--path /16k --expect 16384) products+=(haproxy-splice) ;;
        1m)
            flags=(--path /1m --expect 1048576) products+=(haproxy-splice)
            large=1 mode=(kept --connections 16 --seconds "$seconds")
            ;;
        connection) mode=(each --sources 100 --connections "$connections" --seconds "$seconds") ;;
        close) flags+=(--close) mode=(each --sources 100 --connections "$connections" --seconds "$seconds") ;;
        post1k) flags+=(--path /post --post 1024) ;;
        post64k) large=1 flags+=(--path /post --post 65536) ;;
        sequence) saturates=0 most_others=60 mode=(kept --connections 1 --seconds "$seconds") ;;
        rate) saturates=0 most_others=60 mode=(rate --rate 5000 --connections 64 --seconds "$seconds") ;;
        idle) most_clients=6000 saturates=0 most_others=60 mode=(kept --connections 16 --seconds 1) ;;
        reload) saturates=0 most_others=60 mode=(rate --rate "$reload_rate" --connections 64 --seconds "$reload_seconds") ;;
        backends) interval=60 backends=("${thousand_backends[@]}") ;;
        routes) routes=1000 flags+=(--targets "$work/targets") ;;
        active) most_clients=6000 mode=(kept --connections "$active_connections" --seconds "$seconds") ;;
        workers)
            workers=2 proxy_cores=${cores[0]},${cores[1]} load_cores=${cores[0]},${cores[1]} saturates=0
            ;;
        h2) tls=ecdsa http2=1 mode=(http2 "$connections" 1 "$seconds") ;;
        h2c) http2=1 mode=(http2 "$connections" 1 "$seconds") ;;
        h2-streams) tls=ecdsa http2=1 mode=(http2 32 8 "$seconds") ;;
        tls) tls=ecdsa flags+=(--tls full) ;;
        tls-*)
            tls=ecdsa flags+=(--tls full)
            mode=(each --sources 100 --connections "$connections" --seconds "$seconds")
            case $1 in
                tls-handshake) ;;
                tls-resumed) flags=("${flags[@]/full/resumed}") ;;
                tls-rsa) tls=rsa ;;
                # OpenSSL 3.0, which the peers are built with, does not speak it.
                tls-hybrid) products=(equipoise) flags+=(--group hybrid) ;;
                *) no_row "$1" ;;
            esac
            ;;
        *) no_row "$1" ;;
    esac
}

no_row() { die "no row «$1»; there are: ${all_rows[*]}"; }

# Descriptors that one process needs for the row. HAProxy does not start with fewer than two for each client.
descriptors_of() {
    case $1 in
        idle | active) echo 12500 ;;
        *) echo 4096 ;;
    esac
}

# A thousand addresses of three ports each: 127.0.1.1 to 127.0.1.250 and 127.0.2.1 to 127.0.2.84.
list_thousand_backends() {
    local number address
    thousand_backends=()
    for ((number = 0; number < 334; number++)); do
        address=127.0.$((1 + number / 250)).$((1 + number % 250))
        thousand_backends+=("$address:$origin1" "$address:$origin2" "$address:$origin3")
    done
    thousand_backends=("${thousand_backends[@]:0:1000}")
}

start_products() { # ROW
    local product
    write_targets
    [[ ! $tls ]] || make_certificate || die "no certificate could be made"
    for product in "${products[@]}"; do start_product "$product" "$1"; done
}

start_product() { # PRODUCT ROW
    local product=$1 flags_of_haproxy=(-db) scheme=http version='' # start reads the last two
    [[ ! $tls ]] || scheme=https
    [[ ! $http2 || $tls ]] || version=--http2-prior-knowledge
    free_port; port_of[$product]=$port
    local its_port=$port
    case $product in
        equipoise)
            free_port; admin_port=$port
            write_equipoise "$its_port" "$admin_port"
            start equipoise "$its_port" "$proxy_cores" "$equipoise" run -c "$work/equipoise.toml"
            ;;
        nginx)
            write_nginx "$its_port"
            start nginx "$its_port" "$proxy_cores" nginx -c "$work/nginx.conf"
            ;;
        haproxy)
            [[ $2 == reload ]] && flags_of_haproxy=(-W -db) # only a master can reload
            write_haproxy haproxy.cfg "$its_port"
            start haproxy "$its_port" "$proxy_cores" haproxy "${flags_of_haproxy[@]}" -f "$work/haproxy.cfg"
            ;;
        haproxy-splice)
            write_haproxy haproxy-splice.cfg "$its_port" splice
            start haproxy-splice "$its_port" "$proxy_cores" haproxy -db -f "$work/haproxy-splice.cfg"
            ;;
    esac
    pid_of[$product]=$pid
}

end_product() { # PRODUCT
    local pid kept=()
    end_processes "${pid_of[$1]}"
    for pid in "${started[@]}"; do [[ $pid == "${pid_of[$1]}" ]] || kept+=("$pid"); done
    started=("${kept[@]}")
}

load() { # load PRODUCT: the load generator's line
    if [[ ${mode[0]} == http2 ]]; then
        load_http2 "$1" "${mode[@]:1}"
        return
    fi
    taskset -c "$load_cores" "$loadgen" --address "127.0.0.1:${port_of[$1]}" "${flags[@]}" "${mode[@]}"
}

# Sends the product as many reloads as the row wants, evenly over the time of the load.
reload_repeatedly() { # PRODUCT
    local count pause signal=HUP
    [[ $1 == haproxy ]] && signal=USR2
    pause=$(calculate %.3f "$reload_seconds / ($reload_count + 1)")
    for ((count = 1; count <= reload_count; count++)); do
        sleep "$pause"
        # A file that did change, so that there is something to swap.
        [[ $1 != equipoise ]] || sed -i "s/^interval = .*/interval = \"$((2 + count % 2))s\"/" "$work/equipoise.toml"
        kill -"$signal" "${pid_of[$1]}"
    done
}

reloads_done() { # how many reloads Equipoise says it has made
    curl --noproxy '*' -fsS "http://127.0.0.1:$admin_port/metrics" |
        awk '/^equipoise_config_reloads_total\{result="ok"\}/ { n = $2 } END { print n + 0 }'
}
