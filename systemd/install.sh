#!/bin/bash
# Install or remove rainwatchd on a Debian-like system.
# Usage: systemd/install.sh install|uninstall
#   DESTDIR  another root to install into; nothing outside it is touched and no service started.
#   PYTHON   the interpreter for the virtual environment under /opt.
# A configuration that is there is kept, and so is what the daemon has recorded.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/.." && pwd)
root=${DESTDIR:-}
root=${root%/}
python=${PYTHON:-python3}
home=/opt/rainwatchd
link=/usr/local/bin/rainwatchd
credential=/etc/credstore/rainwatchd-mqtt-password
unit=/etc/systemd/system/rainwatchd.service
users=/usr/lib/sysusers.d/rainwatchd.conf
config=/etc/rainwatchd/rainwatchd.yaml

if [[ -z $root && $EUID -ne 0 ]]; then
    echo "run as root: sudo make $1" >&2
    exit 1
fi

systemd_runs() {
    [[ -z $root && -d /run/systemd/system ]]
}

put() {
    install -D -m 644 "$checkout/$1" "$root$2"
}

case ${1:-} in
install)
    if [[ $(getconf LONG_BIT) != 64 ]]; then
        echo "this system is 32-bit ($(uname -m)): ONNX Runtime has no wheels for it; install a 64-bit system, such as Raspberry Pi OS (64-bit)" >&2
        exit 1
    fi
    [[ -n $root ]] || "$checkout/.ci/system-packages" "$python" libportaudio2
    "$python" -m venv "$root$home"
    # Wheels only: a small board has no compiler, and no memory to run one.
    "$root$home/bin/python" -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: --constraint "$checkout/.ci/constraints.txt" "$checkout"
    [[ -z $root ]] || find "$root$home/bin" -type f -exec sed -i "1s|^#!$root|#!|" {} +
    mkdir -p "$root${link%/*}"
    ln -sfn "$home/bin/rainwatchd" "$root$link"
    for example in "$checkout"/configs/*.yaml; do
        put "configs/${example##*/}" "$home/share/${example##*/}"
    done
    [[ -e $root$config ]] || put configs/rainwatchd.yaml "$config"
    put systemd/rainwatchd.service "$unit"
    put systemd/rainwatchd.sysusers "$users"
    systemd-sysusers --root="${root:-/}" "${users##*/}"
    if systemd_runs; then
        systemctl daemon-reload
        systemctl enable --quiet rainwatchd
        systemctl restart rainwatchd
    fi
    echo "installed; edit $config, then: sudo rainwatchd --check; sudo systemctl restart rainwatchd"
    ;;
uninstall)
    if systemd_runs && [[ -e $unit ]]; then
        systemctl disable --now --quiet rainwatchd
    fi
    rm -rf "$root$home"
    rm -f "$root$unit" "$root$users"
    if [[ $(readlink "$root$link") == "$home/bin/rainwatchd" ]]; then
        rm "$root$link"
    fi
    if systemd_runs; then
        systemctl daemon-reload
        # A service that had failed would be listed for ever, as one that isn't found.
        systemctl reset-failed rainwatchd 2>/dev/null || true
    fi
    kept="/etc/rainwatchd, /var/lib/rainwatchd, the user rainwatchd"
    if [[ -e $root$credential ]]; then
        kept+=" and the broker's password, $credential"
    fi
    echo "removed; kept: $kept"
    ;;
*)
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
    ;;
esac
