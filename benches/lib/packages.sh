# shellcheck shell=bash
# Read by tests/run and by the scripts of benches/: installs the Debian packages that are missing, and says so.

export DEBIAN_FRONTEND=noninteractive

# install_missing PACKAGE=COMMAND …: installs each PACKAGE whose COMMAND (a name, or the path of a file) is not there.
install_missing() {
    local entry packages=()
    for entry in "$@"; do
        present "${entry#*=}" || packages+=("${entry%%=*}")
    done
    ((${#packages[@]})) || return 0
    echo "installing Debian packages: ${packages[*]}"
    install_packages "${packages[@]}"
}

present() {
    case $1 in
        /*) [[ -e $1 ]] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

install_packages() {
    local as_root=() quiet status
    if ((EUID != 0)); then
        sudo -n true 2>/dev/null || { echo "not root and no sudo: please install $*"; return 1; }
        as_root=(sudo -n --preserve-env=DEBIAN_FRONTEND)
    fi
    # Debian starts a package's service at once unless this file says no; it is taken away again if it is ours.
    quiet=/usr/sbin/policy-rc.d
    if [[ -e $quiet ]]; then quiet=; else
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$quiet" >/dev/null
        "${as_root[@]}" chmod 755 "$quiet"
    fi
    "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
    status=$?
    [[ -z $quiet ]] || "${as_root[@]}" rm -f "$quiet"
    return $status
}
