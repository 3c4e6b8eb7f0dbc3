#!/bin/bash
# Install or remove rainwatchd on a Debian-like system.
# Usage: systemd/install.sh install|uninstall
#   DESTDIR  another root to install into; nothing outside it is touched and no service started.
#   PYTHON   the interpreter for the virtual environment under /opt.
# A configuration that is there is kept, and so is what the daemon has recorded.
service=rainwatchd
source "$(dirname "$0")/install-common.sh"
need_root "${1:-install}"

case ${1:-} in
install)
    install_service "" "$(cd "$checkout/configs" && echo *.yaml)" libportaudio2
    echo "installed; edit $config, then: sudo rainwatchd --check; sudo systemctl restart rainwatchd"
    ;;
uninstall)
    uninstall_service
    ;;
*)
    usage
    ;;
esac
