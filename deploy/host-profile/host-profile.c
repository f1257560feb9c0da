/* The host profile cji-host-1: started by the kernel as PID 1, denies what reads the memory of others, becomes the real
 * init. Every process of the machine inherits the filter, root's too, and none can take it off (seccomp(2)).
 *
 * The kernel's own helpers (core_pattern pipes, modprobe, request-key) are started by the kernel, not by PID 1, and have
 * no filter. So they lose every capability: root can still choose such a helper, but it can do nothing that root under
 * the filter cannot. The bounding set of helpers can only shrink (kernel/umh.c). /proc/PID/mem needs no call that a
 * filter can tell apart; Yama's scope 3 closes it until the next boot.
 *
 * Anything that cannot be established stops the boot: PID 1 exits, and the kernel panics. There are no options. Tests
 * compile with FILTER_ONLY, which leaves the settings of their machine alone, and run the program in argv.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define X32 0x40000000u
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define DENY(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1), RETURN(SECCOMP_RET_ERRNO | EPERM)

static struct sock_filter filter[] = {
    /* another architecture has other numbers for the same calls */
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    /* so has x32; -1 is no call at all */
    LOAD(nr),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 2),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffffu, 1, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    /* the same calls, in the same order, as worker/cji_worker/host/profile.py; a test compares them */
    DENY(bpf), DENY(perf_event_open),
    DENY(kexec_load), DENY(kexec_file_load),
    DENY(init_module), DENY(finit_module), DENY(delete_module),
    DENY(ptrace), DENY(process_vm_readv), DENY(process_vm_writev),
    DENY(iopl), DENY(ioperm),
    DENY(userfaultfd), DENY(kcmp),
    RETURN(SECCOMP_RET_ALLOW),
};

#ifndef FILTER_ONLY
static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, text, strlen(text));
    close(fd);
    return written == (ssize_t)strlen(text) ? 0 : -1;
}

static char **prepared(char **argv)
{
    static char *init[] = {"/sbin/init", NULL};

    (void)argv; /* words of the kernel's command line; systemd reads it itself */
    /* mounted already if an initrd ran before */
    if (access("/proc/sys", F_OK) != 0 && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0))
        return NULL;
    if (write_file("/proc/sys/kernel/usermodehelper/bset", "0 0") ||
        write_file("/proc/sys/kernel/usermodehelper/inheritable", "0 0") ||
        write_file("/proc/sys/kernel/yama/ptrace_scope", "3"))
        return NULL;
    return init;
}
#else
static char **prepared(char **argv)
{
    return argv + 1;
}
#endif

int main(int argc, char **argv)
{
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    char **next = argc > 0 ? prepared(argv) : NULL;

    if (next && next[0] && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0)
        execv(next[0], next);
    perror("host-profile");
    return 1;
}
