#!/usr/bin/env bash
# Runs a command under a kernel that has sch_netem, for machines whose own kernel lacks it: Debian's
# User-mode Linux, which boots in two seconds and sees the same files. Needs no privileges of its own
# beyond those that the command's files need.
#
#   scripts/with-netem-kernel.sh COMMAND [ARGUMENT...]
#
# The command runs as root of that kernel, in this directory, with this environment, and its output
# and exit code are passed on. It has one slow processor, 1 GB of memory (UML_MEMORY), and no network
# but the namespaces it makes. Needs the Debian packages user-mode-linux and kmod.
set -euo pipefail

die() {
    echo "with-netem-kernel.sh: $*" >&2
    exit 2
}

[ $# -gt 0 ] || die "no command given; usage: $0 COMMAND [ARGUMENT...]"
command -v linux.uml >/dev/null || die "linux.uml is missing: apt-get install user-mode-linux"
command -v insmod >/dev/null || die "insmod is missing: apt-get install kmod"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

{
    echo '#!/bin/bash'
    echo 'mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t tmpfs run /run'
    # shellcheck disable=SC2016 # expanded in the other kernel
    echo 'modules=/usr/lib/uml/modules/$(uname -r)/kernel'
    for module in drivers/net/veth drivers/net/tun net/sched/{sch_netem,sch_prio,cls_u32}; do
        echo "insmod \$modules/$module.ko 2>/dev/null || echo 'no module $module' >&2"
    done
    echo 'ip link set lo up'
    export -p
    printf 'cd %q\n' "$PWD"
    printf '%q ' "$@"
    printf '>%q/out 2>&1 </dev/null\n' "$work"
    # shellcheck disable=SC2016
    printf 'echo $? >%q/status\n' "$work"
    echo 'sync; echo o >/proc/sysrq-trigger; sleep 60'
} >"$work/init"
chmod +x "$work/init"
: >"$work/out"

# Processors with AMX have more register state than this kernel has room for, and the host refuses a
# write of only a part of it (EFAULT), so the first process dies. This completes such a write with what
# is there already. The kernel's own code never touches the rest.
if grep -qw amx_tile /proc/cpuinfo; then
    command -v cc >/dev/null || die "cc is missing: this processor (AMX) needs a shim; apt-get install gcc libc6-dev"
    cat >"$work/whole-xstate.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#define NT_X86_XSTATE 0x202

long ptrace(enum __ptrace_request request, ...) {
    static long (*next)(enum __ptrace_request, ...);
    static char whole[1 << 16] __attribute__((aligned(64)));
    if (!next) next = (long (*)(enum __ptrace_request, ...))dlsym(RTLD_NEXT, "ptrace");
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE) {
        struct iovec *part = data, all = {whole, sizeof whole};
        if (next(PTRACE_GETREGSET, pid, address, &all) == 0 && all.iov_len > part->iov_len) {
            memcpy(whole, part->iov_base, part->iov_len);
            return next(request, pid, address, &all);
        }
    }
    return next(request, pid, address, data);
}
C
    cc -O2 -shared -fPIC -o "$work/whole-xstate.so" "$work/whole-xstate.c" -ldl
    preload=$work/whole-xstate.so
fi

tail -f "$work/out" --pid=$$ 2>/dev/null &
tail=$!
LD_PRELOAD=${preload:-} linux.uml root=/dev/root rootfstype=hostfs rootflags=/ rw init="$work/init" \
    con=null con0=fd:0,fd:1 mem="${UML_MEMORY:-1G}" quiet </dev/null >"$work/console" 2>&1 || true
sleep 0.2 # tail looks once more
kill "$tail" 2>/dev/null || true
if [ ! -s "$work/status" ]; then
    tail -n 20 "$work/console" >&2
    die "the kernel ended before the command did"
fi
exit "$(cat "$work/status")"
