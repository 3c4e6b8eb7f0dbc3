# Sourced by install.sh and install-post.sh: what installing either has in common. They set
# `service`, which is the name of the service, of its program, its user and its folder.
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=${DESTDIR:-}
root=${root%/}
python=${PYTHON:-python3}
home=/opt/$service
link=/usr/local/bin/$service
credential=/etc/credstore/$service-mqtt-password
unit=/etc/systemd/system/$service.service
users=/usr/lib/sysusers.d/$service.conf
config=/etc/rainwatchd/$service.yaml

# need_root TARGET: name the make target that wants it.
need_root() {
    if [[ -z $root && $EUID -ne 0 ]]; then
        echo "run as root: sudo make $1" >&2
        exit 1
    fi
}

systemd_runs() {
    [[ -z $root && -d /run/systemd/system ]]
}

put() {
    install -D -m 644 "$checkout/$1" "$root$2"
}

# install_service EXTRA EXAMPLES [PACKAGE...]: the package's extra, files of configs/, and what apt
# must bring.
install_service() {
    local extra=$1 examples=$2 example
    shift 2
    if [[ $(getconf LONG_BIT) != 64 ]]; then
        echo "this system is 32-bit ($(uname -m)): ONNX Runtime has no wheels for it; install a 64-bit system, such as Raspberry Pi OS (64-bit)" >&2
        exit 1
    fi
    [[ -n $root ]] || "$checkout/.ci/system-packages" "$python" "$@"
    "$python" -m venv "$root$home"
    # Wheels only: a small board has no compiler, and no memory to run one.
    "$root$home/bin/python" -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: --constraint "$checkout/.ci/constraints.txt" "$checkout$extra"
    [[ -z $root ]] || find "$root$home/bin" -type f -exec sed -i "1s|^#!$root|#!|" {} +
    mkdir -p "$root${link%/*}"
    ln -sfn "$home/bin/$service" "$root$link"
    for example in $examples; do
        put "configs/$example" "$home/share/$example"
    done
    [[ -e $root$config ]] || put "configs/$service.yaml" "$config"
    put "systemd/$service.service" "$unit"
    put "systemd/$service.sysusers" "$users"
    systemd-sysusers --root="${root:-/}" "${users##*/}"
    if systemd_runs; then
        systemctl daemon-reload
        systemctl enable --quiet "$service"
        systemctl restart "$service"
    fi
}

# uninstall_service: everything but the configuration, what was recorded, user and password.
uninstall_service() {
    local kept
    if systemd_runs && [[ -e $unit ]]; then
        systemctl disable --now --quiet "$service"
    fi
    rm -rf "$root$home"
    rm -f "$root$unit" "$root$users"
    if [[ $(readlink "$root$link") == "$home/bin/$service" ]]; then
        rm "$root$link"
    fi
    if systemd_runs; then
        systemctl daemon-reload
        # A service that had failed would be listed for ever, as one that isn't found.
        systemctl reset-failed "$service" 2>/dev/null || true
    fi
    kept="/etc/rainwatchd, /var/lib/$service, the user $service"
    if [[ -e $root$credential ]]; then
        kept+=" and the broker's password, $credential"
    fi
    echo "removed; kept: $kept"
}

usage() {
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
}
