/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a hostile program tries inside a capsule. One line per attempt: its name and "open" when the
 * kernel let it through, or the error that it got. Static, so that it is the whole image.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *name, long r)
{
	printf("%s %s\n", name, r >= 0 ? "open" : strerrorname_np(errno));
	(void)fflush(stdout);
}

/* Each in a process of its own: some of these would change or kill the one that asks. */
#define TRY(name, expression)                           \
	do {                                            \
		int status;                             \
		pid_t pid = fork();                     \
                                                        \
		if (pid == 0) {                         \
			errno = 0;                      \
			tell(name, (long)(expression)); \
			_exit(0);                       \
		}                                       \
		(void)waitpid(pid, &status, 0);         \
		if (WIFSIGNALED(status))                \
			printf("%s KILLED\n", name);    \
		(void)fflush(stdout);                   \
	} while (0)

static char zeros[256];

static long try_open(const char *path, int flags)
{
	return open(path, flags | O_CLOEXEC, 0600);
}

static long try_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -1 : write(fd, text, strlen(text));
}

static long clone3_newuser(void)
{
	unsigned long long args[11] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };

	return syscall(SYS_clone3, args, sizeof(args));
}

static long raise_limit(int what)
{
	struct rlimit l;

	if (getrlimit(what, &l) < 0 || l.rlim_max == RLIM_INFINITY)
		return 0;
	l.rlim_cur = l.rlim_max = l.rlim_max + 1;
	return setrlimit(what, &l);
}

static void namespaces(void)
{
	TRY("clone-newuser", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
	TRY("clone-newns", syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0));
	/* High bits that the kernel does not look at must not hide the low ones. */
	TRY("clone-newuser-high",
	    syscall(SYS_clone, 0x100000000UL | CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
	TRY("clone3-newuser", clone3_newuser());
	TRY("unshare-newuser", syscall(SYS_unshare, CLONE_NEWUSER));
	TRY("setns", syscall(SYS_setns, try_open("/proc/self/ns/net", O_RDONLY), 0));
	TRY("chroot", syscall(SYS_chroot, "/proc"));
	TRY("pivot_root", syscall(SYS_pivot_root, "/", "/"));
	TRY("uid_map", try_write("/proc/self/uid_map", "0 0 1\n"));
	TRY("sethostname", syscall(SYS_sethostname, "x", 1));
}

static void mounts(void)
{
	TRY("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL));
	TRY("remount", syscall(SYS_mount, NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
	TRY("umount", syscall(SYS_umount2, "/proc/keys", MNT_DETACH));
	TRY("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
	TRY("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
	TRY("move_mount", syscall(SYS_move_mount, -1, "", AT_FDCWD, "/tmp", 4));
	TRY("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, zeros, 32));
	TRY("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, zeros, 0));
	TRY("mknod", mknod("/tmp/sda", S_IFBLK | 0600, makedev(8, 0)));
	TRY("mknod-mem", mknod("/tmp/mem", S_IFCHR | 0600, makedev(1, 1)));
}

static void kernel(void)
{
	TRY("keyctl", syscall(SYS_keyctl, 0, -3, 0, 0, 0));
	TRY("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
	TRY("request_key", syscall(SYS_request_key, "user", "x", NULL, 0));
	TRY("bpf", syscall(SYS_bpf, 0, zeros, 72));
	TRY("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC | 1));
	TRY("perf_event_open", syscall(SYS_perf_event_open, zeros, 0, -1, -1, 0));
	TRY("io_uring_setup", syscall(SYS_io_uring_setup, 8, zeros));
	TRY("init_module", syscall(SYS_init_module, zeros, 1, ""));
	TRY("finit_module", syscall(SYS_finit_module, 0, "", 0));
	TRY("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	TRY("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
	TRY("syslog", syscall(SYS_syslog, 3, zeros, sizeof(zeros)));
	TRY("acct", syscall(SYS_acct, NULL));
	TRY("swapon", syscall(SYS_swapon, "/tmp/x", 0));
	TRY("settimeofday", syscall(SYS_settimeofday, zeros, NULL));
	TRY("quotactl", syscall(SYS_quotactl, 0, NULL, 0, NULL));
	TRY("fanotify_init", syscall(SYS_fanotify_init, 0, 0));
}

static void processes(void)
{
	TRY("ptrace", syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
	TRY("process_vm_readv", syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
	TRY("pidfd_getfd", syscall(SYS_pidfd_getfd, -1, 0, 0));
	TRY("kcmp", syscall(SYS_kcmp, 1, 1, 0, 0, 0));
	TRY("personality", personality(ADDR_NO_RANDOMIZE));
	TRY("more-files", raise_limit(RLIMIT_NOFILE));
	TRY("core-dumps", raise_limit(RLIMIT_CORE));
	TRY("nice", setpriority(PRIO_PROCESS, 0, -5));
	TRY("realtime", sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ 1 }));
	TRY("oom-score", try_write("/proc/self/oom_score_adj", "-900"));
#ifdef __x86_64__
	TRY("modify_ldt", syscall(SYS_modify_ldt, 1, zeros, 16));
	TRY("iopl", syscall(SYS_iopl, 3));
	TRY("ioperm", syscall(SYS_ioperm, 0x80, 1, 1));
	/* getpid() in the 32-bit way */
	TRY("int80", ({
		    long r;
		    __asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory");
		    r;
	    }));
	TRY("x32", syscall(0x40000000L | SYS_getpid));
#endif
}

static void sockets(void)
{
	TRY("vsock", syscall(SYS_socket, 40, SOCK_STREAM, 0));
	TRY("alg", syscall(SYS_socket, 38, SOCK_SEQPACKET, 0));
	TRY("alg-high", syscall(SYS_socket, 0x100000000UL | 38, SOCK_SEQPACKET, 0));
	TRY("packet", syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0));
	TRY("raw", syscall(SYS_socket, AF_INET, SOCK_RAW, 1));
	TRY("tiocsti", ioctl((int)try_open("/dev/tty", O_RDWR), TIOCSTI, "x"));
}

static void files(void)
{
	TRY("kcore", try_open("/proc/kcore", O_RDONLY));
	TRY("kmsg", try_open("/proc/kmsg", O_RDONLY));
	TRY("dev-mem", try_open("/dev/mem", O_RDONLY));
	TRY("dev-kmsg", try_open("/dev/kmsg", O_RDWR));
	TRY("dev-fuse", try_open("/dev/fuse", O_RDWR));
	TRY("sysrq", try_write("/proc/sysrq-trigger", "h"));
	TRY("core_pattern", try_write("/proc/sys/kernel/core_pattern", "|/x"));
	TRY("modprobe", try_write("/proc/sys/kernel/modprobe", "/x"));
	TRY("binfmt", try_write("/proc/sys/fs/binfmt_misc/register", "x"));
	TRY("ns-sysctl", try_write("/proc/sys/net/ipv4/ip_forward", "1"));
	TRY("uevent_helper", try_write("/sys/kernel/uevent_helper", "/x"));
	TRY("cgroup", try_write("/sys/fs/cgroup/cgroup.procs", "1"));
	TRY("release_agent", try_write("/sys/fs/cgroup/release_agent", "/x"));
	TRY("root", try_open("/x", O_WRONLY | O_CREAT));
	TRY("image", try_open("/escape", O_WRONLY));
	TRY("debugfs", try_open("/sys/kernel/debug/sched", O_RDONLY));
	TRY("security", try_open("/sys/kernel/security/lsm", O_RDONLY));
}

/* No call: what must be open for programs to work, so that the list means something. */
static void must_work(void)
{
	TRY("ok-fork", syscall(SYS_getpid));
	TRY("ok-tmp", open("/tmp/f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	TRY("ok-inet", socket(AF_INET, SOCK_STREAM, 0));
	TRY("ok-inet6", socket(AF_INET6, SOCK_DGRAM, 0));
	TRY("ok-unix", socket(AF_UNIX, SOCK_STREAM, 0));
	TRY("ok-netlink", socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	TRY("ok-personality", personality(0xffffffff));
	TRY("ok-memfd", memfd_create("x", MFD_CLOEXEC));
}

int main(void)
{
	namespaces();
	mounts();
	kernel();
	processes();
	sockets();
	files();
	must_work();
	return 0;
}
