#!/usr/bin/env bash
# Runs a command under a kernel with sch_netem, for machines whose kernel lacks it: Debian's
# User-mode Linux, which boots in two seconds and sees the same files. It needs no privileges,
# except those that the files of the command need.
#
#   scripts/with-netem-kernel.sh COMMAND [ARGUMENT...]
#
# The command runs as root of that kernel, in this directory and with this environment. The script
# passes on its output and exit code. The kernel has one slow processor, 1 GB of memory
# (UML_MEMORY), and no network except namespaces that the command makes. Needs the Debian packages
# user-mode-linux and kmod.
#
# UML_CLOCK=virtual gives the kernel a virtual clock. While all processes wait, the clock jumps to
# the next timer, so waiting takes no real time. While a process runs, the clock almost stops, so a
# slow or busy machine makes nothing late: `sleep 100` ends at once, and 100 s have passed. Each
# reading of the clock advances it by 1 us, and a process that yields while it waits advances it by
# 0.5 ms. Needs cc.
set -euo pipefail

die() {
    echo "with-netem-kernel.sh: $*" >&2
    exit 2
}

[ $# -gt 0 ] || die "no command given; usage: $0 COMMAND [ARGUMENT...]"
case $1 in
-h | --help)
    sed -n '2,/^set -/s/^# \{0,1\}//p' "$0"
    exit
    ;;
esac
command -v linux.uml >/dev/null || die "linux.uml is missing: apt-get install user-mode-linux"
command -v insmod >/dev/null || die "insmod is missing: apt-get install kmod"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

{
    echo '#!/bin/bash'
    echo 'mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t tmpfs run /run'
    # shellcheck disable=SC2016 # expanded in the other kernel
    echo 'modules=/usr/lib/uml/modules/$(uname -r)/kernel'
    for module in drivers/net/{veth,tun} net/ipv4/tcp_bbr \
        net/sched/{sch_netem,sch_prio,sch_tbf,cls_u32}; do
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

shims=()
shim() { # shim NAME REASON: compiles what is on standard input, to be loaded before the kernel
    command -v cc >/dev/null || die "cc is missing: $2; apt-get install gcc libc6-dev"
    cc -O2 -shared -fPIC -o "$work/$1.so" -x c - -ldl
    shims+=("$work/$1.so")
}

# Processors with AMX have more register state than this kernel reserves. The host refuses to write
# a part of it (EFAULT), and the first process dies. This library completes such a write with the
# current state, which the kernel never changes.
if grep -qw amx_tile /proc/cpuinfo; then
    shim whole-xstate "this processor (AMX) needs a shim" <<'C'
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
fi

# The kernel reads the host's clock with clock_gettime, has one timer, whose SIGALRM is its tick,
# and idles in sigsuspend. This library replaces these calls.
case ${UML_CLOCK:-real} in
real) ;;
virtual)
    shim clock "a virtual clock needs a shim" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define READING 1000LL
#define YIELD 500000LL
/* While something runs, this many of the host's nanoseconds are one: few enough to interrupt a
   process that waits for another one without a system call. */
#define SLOWNESS 100
/* Booting, the kernel measures its processor with the clock. */
#define BOOT SECOND

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Where both clocks began; how far the timer has leapt; when the tick is due, if it is. */
static long long start, wall, leapt, due, period;
static timer_t timer;

static long long number(const struct timespec *t) { return t->tv_sec * SECOND + t->tv_nsec; }
static struct timespec spec(long long ns) { return (struct timespec){ns / SECOND, ns % SECOND}; }

static long long host(clockid_t clock) {
    static int (*next)(clockid_t, struct timespec *);
    struct timespec t;
    if (!next) next = NEXT(clock_gettime);
    next(clock, &t);
    return number(&t);
}

static long long since_start(void) {
    if (!start) wall = host(CLOCK_REALTIME), start = host(CLOCK_MONOTONIC);
    return host(CLOCK_MONOTONIC) - start;
}

static long long now(void) {
    long long spent = since_start();
    return leapt + (spent < BOOT ? spent : BOOT + (spent - BOOT) / SLOWNESS);
}

/* The host's timer is there for whatever does not look at the clock. */
static int set_host_timer(long long left) {
    static int (*next)(timer_t, int, const struct itimerspec *, struct itimerspec *);
    long long times = since_start() < BOOT ? 1 : SLOWNESS;
    struct itimerspec value = {spec(period * times), spec(left * times)};
    if (!next) next = NEXT(timer_settime);
    return next(timer, 0, &value, NULL);
}

static void tick(void) {
    due = period ? due + period : 0;
    set_host_timer(period);
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGALRM);
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    leapt += READING;
    long long at = now();
    *t = spec((clock == CLOCK_REALTIME ? wall : start) + at);
    if (due && due <= at) tick();
    return 0;
}

int timer_create(clockid_t clock, struct sigevent *event, timer_t *made) {
    int result = NEXT(timer_create)(clock, event, made);
    timer = *made;
    return result;
}

int timer_settime(timer_t id, int flags, const struct itimerspec *value, struct itimerspec *old) {
    long long left = number(&value->it_value);
    (void)id, (void)flags, (void)old;
    period = number(&value->it_interval);
    due = left ? now() + left : 0;
    return set_host_timer(left);
}

int timer_gettime(timer_t id, struct itimerspec *value) {
    long long left = due - now();
    (void)id;
    *value = (struct itimerspec){spec(period), spec(!due ? 0 : left > 0 ? left : 1)};
    return 0;
}

int sigsuspend(const sigset_t *mask) {
    long long at = now();
    if (due) {
        if (due > at) leapt += due - at;
        tick();
    }
    return syscall(SYS_rt_sigsuspend, mask, 8);
}

long ptrace(enum __ptrace_request request, ...) {
    static long (*next)(enum __ptrace_request, ...);
    if (!next) next = NEXT(ptrace);
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    long result = next(request, pid, address, data);
    if (request == PTRACE_GETREGS && ((struct user_regs_struct *)data)->orig_rax == SYS_sched_yield)
        leapt += YIELD;
    return result;
}
C
    ;;
*) die "UML_CLOCK is real or virtual, not $UML_CLOCK" ;;
esac

# The kernel and its processes take turns, so on one processor they run twice as fast as on several.
# Kernels that start together have process numbers in a row.
processors=()
while IFS=- read -r -d , first last; do
    for ((processor = first; processor <= ${last:-$first}; processor++)); do
        processors+=("$processor")
    done
done <<<"$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status),"
pin=()
if command -v taskset >/dev/null; then
    pin=(taskset -c "${processors[$$ % ${#processors[@]}]}")
fi

tail -f "$work/out" --pid=$$ 2>/dev/null &
tail=$!
LD_PRELOAD="${shims[*]}" "${pin[@]}" linux.uml root=/dev/root rootfstype=hostfs rootflags=/ rw \
    init="$work/init" con=null con0=fd:0,fd:1 mem="${UML_MEMORY:-1G}" quiet \
    </dev/null >"$work/console" 2>&1 || true
sleep 0.2 # tail looks once more
kill "$tail" 2>/dev/null || true
if [ ! -s "$work/status" ]; then
    tail -n 20 "$work/console" >&2
    die "the kernel ended before the command did"
fi
exit "$(cat "$work/status")"
