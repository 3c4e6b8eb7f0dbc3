#!/bin/bash
# Install or remove the ranger's post on a Debian-like system.
# Usage: systemd/install-post.sh install|uninstall
#   DESTDIR  another root to install into; nothing outside it is touched and no service started.
#   PYTHON   the interpreter for the virtual environment under /opt.
# A configuration that is there is kept, and so is what the post has recorded.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/.." && pwd)
root=${DESTDIR:-}
root=${root%/}
python=${PYTHON:-python3}
home=/opt/rainwatch-post
unit=/etc/systemd/system/rainwatch-post.service
users=/usr/lib/sysusers.d/rainwatch-post.conf
config=/etc/rainwatchd/rainwatch-post.yaml
command=/usr/local/bin/rainwatch-post

if [[ -z $root && $EUID -ne 0 ]]; then
    echo "run as root: sudo make $1-post" >&2
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
    [[ -n $root ]] || "$checkout/.ci/system-packages" "$python"
    "$python" -m venv "$root$home"
    "$root$home/bin/python" -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: --constraint "$checkout/.ci/constraints.txt" "$checkout[post]"
    [[ -z $root ]] || find "$root$home/bin" -type f -exec sed -i "1s|^#!$root|#!|" {} +
    for example in rainwatch-post.yaml mosquitto.conf mosquitto.acl; do
        put "configs/$example" "$home/share/$example"
    done
    [[ -e $root$config ]] || put configs/rainwatch-post.yaml "$config"
    put systemd/rainwatch-post.service "$unit"
    put systemd/rainwatch-post.sysusers "$users"
    install -d "$root${command%/*}"
    ln -sf "$home/bin/rainwatch-post" "$root$command"
    systemd-sysusers --root="${root:-/}" "${users##*/}"
    if systemd_runs; then
        systemctl daemon-reload
        systemctl enable --quiet rainwatch-post
        systemctl restart rainwatch-post
    fi
    echo "installed; edit $config, then: rainwatch-post --config $config --check"
    echo "to let others than this machine in: listen.host in it, and as root: rainwatch-post" \
        "--config $config --add-user NAME"
    ;;
uninstall)
    if systemd_runs && [[ -e $unit ]]; then
        systemctl disable --now --quiet rainwatch-post
    fi
    rm -rf "$root$home"
    rm -f "$root$unit" "$root$users"
    [[ $(readlink "$root$command") != "$home/"* ]] || rm -f "$root$command"
    if systemd_runs; then
        systemctl daemon-reload
        systemctl reset-failed --quiet rainwatch-post 2>/dev/null || true
    fi
    echo "removed; kept: $config, /var/lib/rainwatch-post, the user rainwatch-post and" \
        "/etc/credstore/rainwatch-post-mqtt-password, if there is one"
    ;;
*)
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
    ;;
esac
