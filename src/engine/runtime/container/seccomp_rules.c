/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/seccomp_rules.h"

#include <sched.h>
#include <stddef.h>
#include <sys/socket.h>

/* Names that an architecture lacks are skipped. */
const char *const sk_seccomp_allowed[] = {
	/* clang-format off */
	/* files and folders */
	"access", "chdir", "chmod", "chown", "chown32", "close", "close_range", "copy_file_range",
	"creat", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fadvise64", "fadvise64_64",
	"fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat",
	"fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fremovexattr",
	"fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate",
	"ftruncate64", "futimesat", "getcwd", "getdents", "getdents64", "getxattr", "ioctl",
	"lchown", "lchown32", "lgetxattr", "link", "linkat", "listxattr", "llistxattr", "_llseek",
	"lremovexattr", "lseek", "lsetxattr", "lstat", "lstat64", "memfd_create", "mkdir",
	"mkdirat", "mknod", "mknodat", "newfstatat", "open", "openat", "openat2", "pipe", "pipe2",
	"pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readahead",
	"readlink", "readlinkat", "readv", "removexattr", "rename", "renameat", "renameat2",
	"rmdir", "sendfile", "sendfile64", "setxattr", "splice", "stat", "stat64", "statfs",
	"statfs64", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs",
	"arm_sync_file_range", "sync_file_range2", "tee", "truncate", "truncate64", "umask",
	"unlink", "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes", "vmsplice",
	"write", "writev", "landlock_add_rule", "landlock_create_ruleset",
	"landlock_restrict_self", "cachestat",
	/* waiting for something to happen */
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait",
	"epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2",
	"inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel",
	"io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup",
	"io_submit", "_newselect", "poll", "ppoll", "ppoll_time64", "pselect6",
	"pselect6_time64", "select", "signalfd", "signalfd4", "timerfd_create",
	"timerfd_gettime", "timerfd_gettime64", "timerfd_settime", "timerfd_settime64",
	/* memory */
	"brk", "get_mempolicy", "madvise", "map_shadow_stack", "mbind", "membarrier",
	"memfd_secret", "mincore", "mlock", "mlock2", "mlockall", "mmap", "mmap2", "mprotect",
	"mremap", "mseal", "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free",
	"pkey_mprotect", "remap_file_pages", "set_mempolicy", "process_mrelease",
	/* processes and threads */
	"arch_prctl", "arm_fadvise64_64", "breakpoint", "cacheflush", "set_tls", "capget",
	"capset", "execve", "execveat", "exit", "exit_group", "fork", "futex", "futex_requeue",
	"futex_time64", "futex_wait", "futex_waitv", "futex_wake", "getcpu", "getpgid", "getpgrp",
	"getpid", "getppid", "getpriority", "getrandom", "getrlimit", "get_robust_list",
	"getrusage", "getsid", "get_thread_area", "gettid", "ioprio_get", "ioprio_set", "kill",
	"pause", "pidfd_open", "pidfd_send_signal", "prctl", "prlimit64", "rseq",
	"sched_getaffinity", "sched_getattr", "sched_getparam", "sched_get_priority_max",
	"sched_get_priority_min", "sched_getscheduler", "sched_rr_get_interval",
	"sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam",
	"sched_setscheduler", "sched_yield", "seccomp", "setpgid", "setpriority", "setrlimit",
	"set_robust_list", "setsid", "set_thread_area", "set_tid_address", "sysinfo", "tgkill",
	"times", "tkill", "ugetrlimit", "uname", "vfork", "wait4", "waitid", "waitpid",
	/* signals */
	"rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn",
	"rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo",
	"sigaltstack", "signal", "sigpending", "sigprocmask", "sigreturn", "sigaction",
	"sigsuspend", "restart_syscall",
	/* time */
	"alarm", "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64",
	"clock_nanosleep", "clock_nanosleep_time64", "getitimer", "gettimeofday", "nanosleep",
	"setitimer", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
	"timer_gettime64", "timer_settime", "timer_settime64",
	/* users and groups, within the capsule's own range */
	"getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups",
	"getgroups32", "getresgid", "getresgid32", "getresuid", "getresuid32", "getuid",
	"getuid32", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32",
	"setgroups", "setgroups32", "setregid", "setregid32", "setresgid", "setresgid32",
	"setresuid", "setresuid32", "setreuid", "setreuid32", "setuid", "setuid32",
	/* network and messages between processes */
	"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt",
	"listen", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive",
	"mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "msgctl",
	"msgget", "msgrcv", "msgsnd", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64",
	"recvmsg", "semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "send",
	"sendmmsg", "sendmsg", "sendto", "setsockopt", "shmat", "shmctl", "shmdt", "shmget",
	"shutdown", "socketpair",
	/* clang-format on */
	NULL,
};

const char *const sk_seccomp_refused[] = {
	/* clang-format off */
	"acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_adjtime64",
	"clock_settime", "clock_settime64", "delete_module", "fanotify_init", "finit_module",
	"fsconfig", "fsmount", "fsopen", "fspick", "init_module", "io_uring_enter",
	"io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load",
	"kexec_load", "keyctl", "lookup_dcookie", "modify_ldt", "mount", "mount_setattr", "move_mount",
	"move_pages", "migrate_pages", "name_to_handle_at", "nfsservctl", "open_by_handle_at",
	"open_tree", "perf_event_open", "pidfd_getfd", "pivot_root", "process_madvise",
	"process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "quotactl_fd", "reboot",
	"request_key", "setdomainname", "sethostname", "setns", "settimeofday", "stime",
	"swapoff", "swapon", "syslog", "umount", "umount2", "unshare", "userfaultfd", "uselib",
	"ustat", "vhangup",
	/* clang-format on */
	NULL,
};

#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | \
	 CLONE_NEWCGROUP)

/*
 * Of the sockets not AF_ALG and AF_VSOCK: the kernel's own cryptography and the way to a hypervisor. The
 * kernel looks at 32 bits, the filter at 64, so what is not meant must be left out, not taken away.
 */
const struct sk_seccomp_condition sk_seccomp_conditions[] = {
	/* clang-format off */
	{ "clone",	 SK_SECCOMP_NONE_OF, NAMESPACES },
	{ "socket",	 SK_SECCOMP_BELOW,   AF_ALG },
	{ "socket",	 SK_SECCOMP_IS,	     AF_NFC },
	{ "socket",	 SK_SECCOMP_IS,	     AF_QIPCRTR },
	{ "personality", SK_SECCOMP_IS,	     0 },
	{ "personality", SK_SECCOMP_IS,	     8 },
	{ "personality", SK_SECCOMP_IS,	     0x20000 },
	{ "personality", SK_SECCOMP_IS,	     0x20008 },
	{ "personality", SK_SECCOMP_IS,	     0xffffffff },
	{ NULL, 0, 0 },
	/* clang-format on */
};
