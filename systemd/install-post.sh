#!/bin/bash
# Install or remove the ranger's post on a Debian-like system.
# Usage: systemd/install-post.sh install|uninstall
#   DESTDIR  another root to install into; nothing outside it is touched and no service started.
#   PYTHON   the interpreter for the virtual environment under /opt.
# A configuration that is there is kept, and so is what the post has recorded.
service=rainwatch-post
source "$(dirname "$0")/install-common.sh"
need_root "${1:-install}-post"

case ${1:-} in
install)
    install_service "[post]" "rainwatch-post.yaml mosquitto.conf mosquitto.acl"
    echo "installed; edit $config, then: sudo rainwatch-post --config $config --check;" \
        "sudo systemctl restart rainwatch-post"
    echo "to let others than this machine in: listen.host in it, and as root:" \
        "rainwatch-post --config $config --add-user NAME"
    ;;
uninstall)
    uninstall_service
    ;;
*)
    usage
    ;;
esac
