#!/bin/sh
# The system tools that set-up and tests like to have.
#
#   setup_tools.sh               strace, for the tests that watch system calls, sshd, for those that speak with one, and
#                                gpg and ssh-keygen, for those that sign; without them they are skipped
#   setup_tools.sh venv PYTHON   what `PYTHON -m venv` needs; Debian packs it apart
#   setup_tools.sh torture PYTHON  what the full torture likes besides: FUSE for power cuts, XFS, a clock that jumps
#
# The first form never fails: a missing tool costs only the tests that need it.

can_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1
}

install() {
    # Short waits and no questions: without a network this must give up soon.
    quick="-o Acquire::Retries=0 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15 -o DPkg::Lock::Timeout=60"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    apt-get $quick install -y --no-install-recommends "$@" >/dev/null 2>&1 || {
        apt-get $quick update >/dev/null 2>&1
        apt-get $quick install -y --no-install-recommends "$@" >/dev/null 2>&1
    }
}

have_venv() {
    "$1" -c 'import ensurepip' >/dev/null 2>&1
}

if [ "${1-}" = venv ]; then
    have_venv "$2" && exit 0
    can_install && install "$(basename "$2")-venv"
    have_venv "$2" && exit 0
    echo "error: $2 cannot make virtual environments: it has no ensurepip" >&2
    echo "do: apt-get install python3-venv" >&2
    exit 1
fi

if [ "${1-}" = torture ]; then
    # Whatever stays missing, its cases are skipped, and the table says why.
    can_install && install fuse3 libfuse2 e2fsprogs xfsprogs faketime
    "$2" -m pip install --quiet --disable-pip-version-check mfusepy atheris || true
fi

have_sshd() {
    command -v sshd >/dev/null 2>&1 || [ -x /usr/sbin/sshd ]
}

command -v strace >/dev/null 2>&1 || { can_install && install strace; }
have_sshd || { can_install && install openssh-server; }
command -v gpg >/dev/null 2>&1 || { can_install && install gnupg; }
command -v ssh-keygen >/dev/null 2>&1 || { can_install && install openssh-client; }
command -v strace >/dev/null 2>&1 || echo "note: strace is not here; the tests that watch system calls will be skipped" >&2
for name in gpg ssh-keygen; do
    command -v $name >/dev/null 2>&1 || echo "note: $name is not here; tests of signatures will be skipped" >&2
done
have_sshd || echo "note: sshd is not here; the tests that speak with one will be skipped" >&2
exit 0
