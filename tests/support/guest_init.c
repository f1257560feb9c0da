/* The init of a guest that attacks its own host profile, as root; prints one line "who call result" for each attempt.
 *
 * Run again by the kernel as its core dump helper ("helper"), it makes the same attempts outside PID 1's descendants. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static FILE *console;

static void report(const char *who, const char *call, long result)
{
    fprintf(console, "@ %s %s %s\n", who, call, result < 0 ? strerrorname_np(errno) : "done");
}

static int opened(const char *path, int how)
{
    int fd = open(path, how);
    if (fd >= 0)
        close(fd);
    return fd;
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY), result = fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;
    return result;
}

/* the lines of a file that start with a word */
static void show(const char *who, const char *what, const char *path, const char *start)
{
    char line[256];
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, start, strlen(start)) == 0)
            fprintf(console, "@ %s %s %s", who, what, line + strlen(start));
}

/* `victim` is the id of another process */
static void attempts(const char *who, const char *victim)
{
    char memory[64];
    struct bpf_insn code[] = {{.code = 0xb7}, {.code = 0x95}}; /* return 0 */
    union bpf_attr load;
    memset(&load, 0, sizeof load);
    load.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
    load.insn_cnt = 2;
    load.insns = (unsigned long)code;
    load.license = (unsigned long)"GPL";
    report(who, "bpf", syscall(__NR_bpf, BPF_PROG_LOAD, &load, sizeof load));
    snprintf(memory, sizeof memory, "/proc/%s/mem", victim);
    report(who, "proc-mem", opened(memory, O_RDWR));
    show(who, "capabilities", "/proc/self/status", "CapEff:\t");
    show(who, "seccomp", "/proc/self/status", "Seccomp:\t");
}

int main(int argc, char **argv)
{
    struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    char victim[16], helper[64];
    pid_t sleeper;

    mount("devtmpfs", "/dev", "devtmpfs", 0, 0);
    console = fopen("/dev/console", "w");
    if (argc > 2 && strcmp(argv[1], "helper") == 0) {
        attempts("helper", argv[2]);
        return 0;
    }
    if ((sleeper = fork()) == 0) {
        pause();
        return 0;
    }
    snprintf(victim, sizeof victim, "%d", sleeper);
    snprintf(helper, sizeof helper, "|/sbin/init helper %s", victim);
    mount("proc", "/proc", "proc", 0, 0);
    mount("sysfs", "/sys", "sysfs", 0, 0);
    mount("securityfs", "/sys/kernel/security", "securityfs", 0, 0);
    fprintf(console, "\n");
    show("machine", "seccomp", "/proc/1/status", "Seccomp:\t");
    show("machine", "lockdown", "/sys/kernel/security/lockdown", "");
    attempts("shell", victim);
    report("shell", "kcore", opened("/proc/kcore", O_RDONLY));
    write_file("/proc/sys/kernel/usermodehelper/bset", "4294967295 511");
    show("machine", "helpers", "/proc/sys/kernel/usermodehelper/bset", "");
    report("shell", "ptrace-scope", write_file("/proc/sys/kernel/yama/ptrace_scope", "0"));
    report("shell", "core-pattern", write_file("/proc/sys/kernel/core_pattern", helper));
    fflush(console);
    if (fork() == 0) {
        setrlimit(RLIMIT_CORE, &none);
        abort();
    }
    wait(NULL);
    sleep(1);
    reboot(LINUX_REBOOT_CMD_POWER_OFF);
    return 0;
}
