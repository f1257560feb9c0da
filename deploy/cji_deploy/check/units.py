"""The systemd units, verified by systemd itself.

`systemd-analyze verify` needs `--recursive-errors=yes`; otherwise an unknown key is only a warning with exit code 0. It
also refuses a unit whose program is not installed, so it checks a copy with the program `/bin/true` that is otherwise
identical to the shipped unit.

Units that are each in order can still wait for each other in a circle. At boot systemd breaks one by leaving a unit
out, so all units of a folder are ordered together, enabled as their [Install] says.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from cji_deploy.check.outcome import Outcome, judged, not_run

__all__ = ["MAX_EXPOSURE", "MIN_SYSTEMD", "check_order", "check_sysusers", "check_unit", "systemd_version"]

MIN_SYSTEMD: Final = 255  # of Ubuntu 24.04, which the scale set runs; an older one does not know every key
MAX_EXPOSURE: Final = 2.6  # of 10.0; 0.6 of it for namespaces of cells, 0.4 for giving processes users of their own
_TIMEOUT_S: Final = 60
_KINDS: Final = frozenset({".service", ".socket", ".path", ".timer"})
_CIRCLE: Final = re.compile(
    r": Found (ordering cycle|dependency) on |^Unit multi-user\.target not found|did not end in"
)
# what a unit cannot do without: (pattern of a line, why)
_WORKER: Final = (
    (r"ExecStart=/\S+/cji serve --config /etc/cji/worker\.toml", "the supervisor is the unit's only program"),
    (r"ExecReload=/\S+/cji reload --config /etc/cji/worker\.toml", "a refused reload is a failed one"),
    (r"Type=notify", "systemd learns when jobs are served"),
    (r"WatchdogSec=\d+", "systemd restarts a worker with a stopped process"),
    (r"RestrictNamespaces=user pid net ipc", "cells live in namespaces of their own"),
    (r"RestartPreventExitStatus=76", "in each boot one worker can attest: another start is in vain"),
    (r"FailureAction=reboot", "after such a start only a reboot helps"),
    (r"Wants=cji-futile\.service", "a start in vain is not made"),
    (r"After=cji-futile\.service", "a start in vain is not made"),
    (r"ReadWritePaths=-/run/cji-start", "a start in vain is known by the value that is written there"),
    (r"StartLimitIntervalSec=0", "no other failure reboots the machine"),
    (r"After=systemd-pcrphase\.service", "evidence from before systemd's last measurement would be of another state"),
    (r"OpenFile=/sys/kernel/security/tpm0/binary_bios_measurements:firmware-log:read-only", "the log is root's file"),
    (r"OpenFile=/run/log/systemd/tpm2-measure\.log:userspace-log:read-only,graceful", "the log is root's file"),
    (r"KillMode=mixed", "SIGTERM goes to the supervisor alone, which drains; the rest is killed at the timeout"),
    (r"TimeoutStopSec=\S+", "jobs in flight need their deadline to end"),
    (r"LimitCORE=0", "a core file is plaintext on disk"),
    (r"LimitMEMLOCK=infinity", "secret memory counts against this limit"),
    (r"MemorySwapMax=0", "swapped memory is plaintext on disk"),
    (r"MemoryZSwapMax=0", "swapped memory is plaintext on disk"),
    (r"OOMPolicy=continue", "a cell out of memory costs one job, not the worker"),
    (r"DeviceAllow=/dev/tpmrm0 rw", "evidence and unwrapping come from the vTPM"),
    (r"SystemCallFilter=.*\bmemfd_secret\b.*", "memfd_secret is in none of systemd's call groups"),
    (r"SystemCallFilter=setgroups setresgid setresuid capset", "processes become users of their own"),
    (r"AmbientCapabilities=CAP_SETUID CAP_SETGID CAP_KILL", "processes become users of their own, and are ended"),
    (r"CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL", "no process can have another capability"),
    (r"User=(?!root$|0$).+", "the keyholder runs as this user"),
    (r"SystemCallFilter=.*@sandbox\b.*", "cells install seccomp and Landlock filters"),
    (
        r"ReadWritePaths=/run/cji-door /var/lib/cji",
        "the front makes its socket in the door's folder; trail and replay ledger",
    ),
    (r"SupplementaryGroups=tss cji-trail", "the worker reads what the deliverer states about the trail"),
    (r"ReadWritePaths=/run/cji-status", "the control process makes its status socket in the console's folder"),
    (r"RuntimeDirectory=cji/control", "the rest of /run/cji is the configuration, which is root's"),
    (r"ReadWritePaths=-/run/cji-fleet", "the front makes its second socket in the fleet's folder"),
)
_DOOR: Final = (
    (
        r'ExecStart=/usr/bin/env "NGINX=3;4;5;" /usr/sbin/nginx -e stderr -c /etc/cji/door\.conf',
        "the sockets of the socket unit, and the configuration that `cji door config` writes",
    ),
    (r"ExecStartPre=\+/usr/bin/systemctl reload cji-door-limit\.service", "rules that were flushed come back first"),
    (r"ExecStartPost=\+/\S+/cji door check --config \S+ --pid \$MAINPID", "a door outside the module does not serve"),
    (r"ExecReload=\+/\S+/cji door check --config \S+", "a refused reload is a failed one"),
    (r"Requires=cji-door\.socket cji-door-limit\.service", "no door without the limit of connections"),
    (r"After=cji-door\.socket cji-door-limit\.service", "no door without the limit of connections"),
    (r"NonBlocking=yes", "a worker of nginx must not wait for a connection that another one took"),
    (r"User=cji-door", "the door is a user of its own"),
    (r"SupplementaryGroups=cji-engine", "it reaches the socket for tasks, where it takes them from another machine"),
    (r"Group=cji-door", "its group alone may enter the folder of the worker's socket"),
    (r"PrivateNetwork=yes", "the door reaches nothing but the worker's socket"),
    (r"RestrictAddressFamilies=AF_UNIX", "the door reaches nothing but the worker's socket"),
    (r"CapabilityBoundingSet=", "the door needs no capability"),
    (r"NoNewPrivileges=yes", "nor ever gets one"),
    (r"LimitCORE=0", "a core file has TLS keys"),
    (r"MemorySwapMax=0", "swapped memory has TLS keys"),
    (r"MemoryMax=\S+", "what callers make it hold is bounded"),
    (r"KillSignal=SIGQUIT", "calls end before the door stops"),
)
_LIMIT: Final = (
    (r"ExecStart=/\S+/cji door limit --config /etc/cji/worker\.toml", "the rules are those of the configuration"),
    (r"ExecReload=/\S+/cji door limit --config /etc/cji/worker\.toml", "flushed rules come back"),
    (r"ReloadPropagatedFrom=nftables\.service", "the rules of the machine flush all others"),
    (r"PartOf=nftables\.service", "the rules of the machine flush all others"),
    (r"After=nftables\.service cji-bundle\.service", "the rules of the machine flush all others"),
    (r"RemainAfterExit=yes", "the door requires it"),
    (r"Restart=on-failure", "rules that the kernel does not take at once keep no door away"),
    (r"RestartMode=direct", "the door waits for the limit, and does not fail"),
    (r"CapabilityBoundingSet=CAP_NET_ADMIN", "it changes rules of the network, and can do nothing else as root"),
    (r"NoNewPrivileges=yes", "nor ever gets more"),
    (r"RestrictAddressFamilies=AF_NETLINK", "it speaks to the kernel alone"),
    (r"InaccessiblePaths=-/var/lib/cji .*", "replay ledger and trail are the worker's"),
    (r"ProtectSystem=strict", "it writes nothing"),
)
_AUDIT: Final = (
    (r"SystemCallFilter=capset", "it gives capabilities up, and ends where it cannot"),
    (r"ExecStart=/\S+/cji audit deliver --config /etc/cji/audit\.toml", "the deliverer is the unit's only program"),
    (r"User=cji-audit", "the deliverer is a user of its own"),
    (r"Group=cji-audit", "the group of the trail is one of its others"),
    (r"SupplementaryGroups=cji-trail", "it reads the trail by group"),
    (r"RestartPreventExitStatus=2 3", "a changed trail needs a person, a wrong configuration another file"),
    (r"ReadOnlyPaths=/var/lib/cji", "it reads the trail, and cannot write to it"),
    (r"ReadWritePaths=/var/lib/cji-audit", "its state is all that it writes"),
    (r"PrivateDevices=yes", "it has no TPM"),
    (r"CapabilityBoundingSet=", "it needs no capability"),
    (r"NoNewPrivileges=yes", "nor ever gets one"),
    (r"IPAddressDeny=any", "it reaches the configured services by the private network and nothing else"),
    (r"LimitCORE=0", "a core file has tokens of the identity"),
    (r"MemoryMax=\S+", "what services make it hold is bounded"),
)
_FLEET: Final = (
    (r"SystemCallFilter=capset", "it gives capabilities up, and ends where it cannot"),
    (r"LoadCredential=worker\.toml:/etc/cji/worker\.toml", "it needs no right to a file of the worker"),
    (
        r"ExecStart=/\S+/cji fleet run --config \$\{CREDENTIALS_DIRECTORY\}/worker\.toml",
        "the fleet process is the unit's only program",
    ),
    (r"User=cji-fleet", "the fleet process is a user of its own"),
    (r"Group=cji-fleet", "its group alone may enter the folder of the front's second socket"),
    (r"ReadWritePaths=/var/lib/cji-fleet -/run/cji-tasks", "it writes its state, and makes the socket for tasks"),
    (r"InaccessiblePaths=.*-/var/lib/cji .*", "replay ledger and trail are the worker's"),
    (r"InaccessiblePaths=.*-/run/cji-door .*", "it does not call the TLS door"),
    (r"PrivateDevices=yes", "it has no TPM"),
    (r"CapabilityBoundingSet=", "it needs no capability"),
    (r"NoNewPrivileges=yes", "nor ever gets one"),
    (r"IPAddressDeny=any", "it reaches storage by the private network and nothing else"),
    (r"LimitCORE=0", "a core file has tokens of the identity"),
    (r"MemoryMax=\S+", "what services make it hold is bounded"),
    (r"TimeoutStopSec=\S+", "attempts may finish"),
)
_CONSOLE: Final = (
    (r"ExecStart=/\S+/cji console --config /etc/cji/console\.toml", "the console is the unit's only program"),
    (r"User=cji-console", "the console is a user of its own"),
    (r"Group=cji-console", "its group alone may enter the folder of the status socket"),
    (r"CapabilityBoundingSet=", "the console needs no capability"),
    (r"NoNewPrivileges=yes", "nor ever gets one"),
    (r"SystemCallFilter=capset", "one that sends gives capabilities up, and ends where it cannot"),
    (r"IPAddressDeny=any", "it reaches the configured service by the private network and nothing else"),
    (
        r"IPAddressAllow=localhost 10\.0\.0\.0/8 172\.16\.0\.0/12 192\.168\.0\.0/16",
        "it reaches the configured service by the private network and nothing else",
    ),
    (r"PrivateDevices=yes", "the console has no TPM"),
    (r"InaccessiblePaths=.*-/var/lib/cji .*", "replay ledger and trail are the worker's"),
    (r"InaccessiblePaths=.*-/run/cji/control .*", "who shows a worker's state cannot reload it"),
    (r"ProtectSystem=strict", "the console writes nothing"),
    (r"LimitCORE=0", "a core file has a token of the identity"),
    (r"MemoryMax=\S+", "what clients make it hold is bounded"),
)
_PROBE: Final = (
    (r"ExecStart=/\S+/cji probe", "the probe is the unit's only program"),
    (r"User=cji-probe", "the probe is a user of its own"),
    (r"SupplementaryGroups=cji-console", "this group alone may enter the folder of the status socket"),
    (r"CapabilityBoundingSet=", "the probe needs no capability"),
    (r"NoNewPrivileges=yes", "nor ever gets one"),
    (r"IPAddressDeny=any", "the probe answers the load balancer and operators, and reaches nothing"),
    (
        r"IPAddressAllow=localhost 168\.63\.129\.16 10\.0\.0\.0/8 172\.16\.0\.0/12 192\.168\.0\.0/16",
        "the address of the load balancer's probe, and the private network",
    ),
    (r"SocketBindAllow=ipv4:tcp:9465", "the port of the load balancer's probe"),
    (r"RuntimeDirectoryPreserve=yes", "a notice outlives the process that wrote it"),
    (r"PrivateDevices=yes", "the probe has no TPM"),
    (r"InaccessiblePaths=.*-/var/lib/cji .*", "replay ledger and trail are the worker's"),
    (r"ProtectSystem=strict", "the probe writes one file"),
    (r"LimitCORE=0", "a core file has the worker's state"),
    (r"MemoryMax=\S+", "what clients make it hold is bounded"),
)
_DRAIN: Final = (
    (r"ExecStart=/usr/bin/systemctl stop cji-fleet\.service cji-worker\.service", "both drain when they are stopped"),
    (r"RemainAfterExit=yes", "the notice stays, and the drain is done once"),
    (r"ExecStart=/usr/bin/touch /run/cji-drain/drained", "an interruption is asked for and let through with it"),
    (r"ExecStart=/\S+/cji audit delivered .*", "a machine that is deleted takes its trail with it"),
    (r"ExecStart=/usr/bin/touch /run/cji-drain/delivered", "the end is asked for and let through with it"),
    (r"RuntimeDirectoryPreserve=yes", "what was drained stays drained if the delivery fails"),
    (r"TimeoutStartSec=31min", "the worker's own limit is 15 minutes, and so is that of the delivery"),
    (r"CapabilityBoundingSet=", "a request to systemd needs no capability"),
    (r"PrivateNetwork=yes", "it reaches systemd, and nothing else"),
)
_DRAIN_PATH: Final = (
    (r"PathExists=/run/cji-probe/terminate", "the file that the probe writes"),
    (r"WantedBy=multi-user\.target", "nothing else starts it"),
)
_RESUME: Final = (
    (r"ExecStart=/usr/bin/systemctl reboot", "a worker starts once in each boot"),
    (r"CapabilityBoundingSet=", "a request to systemd needs no capability"),
    (r"PrivateNetwork=yes", "it reaches systemd, and nothing else"),
)
_RESUME_PATH: Final = (
    (r"PathExists=/run/cji-probe/resume", "the file that the probe writes"),
    (r"WantedBy=multi-user\.target", "nothing else starts it"),
)
_ENGINE: Final = (
    (r"User=cji-engine", "anyone who has any certificate of the engine runs code as this user, who has no other right"),
    (r"Group=cji-engine", "the worker's and the trail's groups are others"),
    (r"CapabilityBoundingSet=", "the engine needs no capability"),
    (r"NoNewPrivileges=yes", "nor ever gets one"),
    (r"IPAddressDeny=any", "the engine reaches the private network and nothing else"),
    (r"SocketBindDeny=any", "it listens on one port"),
    (
        r"InaccessiblePaths=-/var/lib/cji -/var/lib/cji-audit -/var/lib/cji-fleet .*",
        "replay ledger, trail, state of others",
    ),
    (r"InaccessiblePaths=-/run/cji/control -/run/cji-door -/run/cji-status -/run/cji-fleet .*", "sockets of others"),
    (r"NoExecPaths=/", "it starts no program"),
    (r"ProtectSystem=strict", "the engine writes nothing"),
    (r"ProtectProc=invisible", "it sees no process of another user"),
    (r"ProcSubset=all", "Dask does not start where /proc/meminfo is hidden"),
    (r"PrivateDevices=yes", "the engine has no TPM"),
    (r"MemorySwapMax=0", "nothing of it reaches a disk"),
    (r"LimitCORE=0", "nothing of it reaches a disk"),
    (r"MemoryMax=\S+", "what clients make it hold is bounded"),
)
_BUNDLE: Final = (
    (r"ExecStart=/\S+/cji bundle apply --persist", "nothing of the configuration is in force before it was verified"),
    (r"Type=oneshot", "the other units start when it has ended well"),
    (r"RemainAfterExit=yes", "it is applied once in a boot"),
    (
        r"Before=cji-worker\.service cji-door\.socket cji-door\.service cji-door-limit\.service "
        r"cji-door-enroll\.service cji-audit\.service "
        r"cji-console\.service cji-fleet\.service cji-drain\.service cji-engine-enroll\.service",
        "no unit reads a file before its bundle is measured",
    ),
    (
        r"RequiredBy=cji-worker\.service cji-door\.service cji-door-limit\.service cji-door-enroll\.service "
        r"cji-audit\.service "
        r"cji-console\.service cji-fleet\.service cji-drain\.service cji-engine-enroll\.service",
        "no unit starts without a verified bundle",
    ),
    (r"AssertPathExists=/usr/share/cji/bundle-keys", "the keys are those of the measured image"),
    (r"CapabilityBoundingSet=CAP_CHOWN", "it gives files to groups, and can do nothing else as root"),
    (r"NoNewPrivileges=yes", "nor ever gets more"),
    (r"DeviceAllow=/dev/tpmrm0 rw", "the bundle is measured into the vTPM"),
    (r"SupplementaryGroups=tss", "without a capability root needs the group of the vTPM"),
    (r"ExecStartPost=\+\S+ restart cji-broker\.service", "the broker reads the configuration that there is now"),
    (r"RuntimeDirectory=cji cji-bundle", "the configuration is in memory; so is the code that the probe shows"),
    (r"RuntimeDirectoryPreserve=yes", "the configuration outlives a stop of this unit"),
    (r"StateDirectory=cji-bundle", "the last serial number outlives the boot"),
    (r"ReadWritePaths=/run/log/systemd", "the measurement has a record"),
    (r"ProtectSystem=strict", "it writes nothing else"),
    (r"InaccessiblePaths=-/var/lib/cji .*", "replay ledger and trail are the worker's"),
    (r"IPAddressDeny=any", "it reaches storage by the private network and nothing else"),
    (r"SocketBindDeny=any", "it listens nowhere"),
    (r"LimitCORE=0", "a core file has a token of the identity"),
    (r"MemoryMax=\S+", "what services make it hold is bounded"),
    (r"TimeoutStartSec=infinity", "an outage at boot ends by itself, and then the machine starts"),
    (r"RestartMode=direct", "units that require it do not fail while it is tried again"),
    (r"StandardError=journal\+console", "nobody can log in to a machine that has no configuration"),
)
_UPDATE: Final = (
    (r"ExecStart=/\S+/cji bundle update --reload-door", "it takes what needs no restart, and nothing else"),
    (r"ConditionPathExists=/run/cji/config/bundle\.head", "it follows a bundle that was measured"),
    (r"CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE", "files for groups, the worker's socket, and no more as root"),
    (r"NoNewPrivileges=yes", "nor ever gets more"),
    (r"PrivateDevices=yes", "nothing is measured after the start"),
    (r"StateDirectory=cji-bundle", "the last serial number outlives the boot"),
    (r"ReadWritePaths=/run/cji/config", "the files of the configuration"),
    (r"ProtectSystem=strict", "it writes nothing else"),
    (r"InaccessiblePaths=-/var/lib/cji .*", "replay ledger and trail are the worker's"),
    (r"IPAddressDeny=any", "it reaches storage by the private network and nothing else"),
    (r"SocketBindDeny=any", "it listens nowhere"),
    (r"LimitCORE=0", "a core file has a token of the identity"),
    (r"MemoryMax=\S+", "what services make it hold is bounded"),
    (r"TimeoutStartSec=5min", "one attempt ends before the next begins"),
)
_ENROLLS: Final = (
    (r"InaccessiblePaths=-/var/lib/cji .*", "replay ledger and trail are the worker's"),
    (r"InaccessiblePaths=-/run/cji/control .*", "it cannot reload the worker"),
    (r"PrivateDevices=yes", "it has no TPM"),
    (r"CapabilityBoundingSet=", "it needs no capability"),
    (r"NoNewPrivileges=yes", "nor ever gets one"),
    (r"IPAddressDeny=any", "it reaches the authority by the private network and nothing else"),
    (r"SocketBindDeny=any", "it listens nowhere"),
    (r"LimitCORE=0", "a core file has the TLS key"),
    (r"MemorySwapMax=0", "swapped memory has the TLS key"),
    (r"MemoryMax=\S+", "what services make it hold is bounded"),
)
_ENROLL: Final = (
    (r"ExecStart=/\S+/cji door enroll --config /etc/cji/worker\.toml", "the key is made here and certified"),
    (r"ExecStartPost=\+\S+ --no-block reload-or-restart cji-door\.service", "the door uses the new certificate"),
    (r"Before=cji-door\.service", "the door starts with a certificate"),
    (r"User=cji-door", "the key is the door's"),
    (r"Group=cji-door", "the key is the door's"),
    (r"SupplementaryGroups=cji", "it reads worker.toml by group, and has no other right of the worker's"),
    (r"RuntimeDirectory=cji-tls", "the key is in memory"),
    (r"RuntimeDirectoryMode=0711", "others read the certificate, and list nothing"),
    (r"RuntimeDirectoryPreserve=yes", "the key outlives this unit"),
    (r"UMask=0077", "the key is for this user alone"),
    *_ENROLLS,
)
_ENGINE_ENROLL: Final = (
    (
        r"ExecStart=/\S+/python -I -B -m cji_worker\.door\.engine /etc/cji/engine\.toml /run/cji-engine",
        "the keys are made here and certified",
    ),
    (r"RequiredBy=cji-engine-scheduler\.service cji-engine-worker\.service", "the engine starts with certificates"),
    (r"RestartMode=direct", "the engine waits for a certificate, and does not fail"),
    (r"User=cji-door", "the engine's own user makes no keys, and reaches no authority"),
    (r"RuntimeDirectory=cji-engine", "the keys are in memory"),
    (r"RuntimeDirectoryMode=0700", "the engine gets the files of its role as credentials"),
    (r"RuntimeDirectoryPreserve=yes", "the keys outlive this unit"),
    (r"UMask=0077", "the keys are for this user alone"),
    *_ENROLLS,
)
_BROKER: Final = (
    (r"SystemCallFilter=capset", "it gives capabilities up, and ends where it cannot"),
    (r"ExecStart=/\S+/python -I -B -m cji_worker\.broker \$\{CREDENTIALS_DIRECTORY\}", "it is the unit's only program"),
    (r"LoadCredential=worker\.toml:/etc/cji/worker\.toml", "identities and audiences are those of the configuration"),
    (r"LoadCredential=audit\.toml:/etc/cji/audit\.toml", "those of the deliverer too"),
    (r"LoadCredential=console\.toml:/etc/cji/console\.toml", "that of the console too"),
    (r"SetCredential=worker\.toml:#", "before there is a bundle, there is no configuration"),
    (r"PartOf=cji-worker\.service", "a restart of the worker takes a changed configuration"),
    (r"User=cji-broker", "the broker is a user of its own, the only one that the rules of the image let through"),
    (r"CapabilityBoundingSet=", "it needs no capability"),
    (r"NoNewPrivileges=yes", "nor ever gets one"),
    (r"IPAddressDeny=any", "it reaches the metadata service and nothing else"),
    (r"IPAddressAllow=169\.254\.169\.254/32", "it reaches the metadata service and nothing else"),
    (r"SocketBindDeny=any", "it listens nowhere"),
    (r"InaccessiblePaths=.*-/var/lib/cji .*", "replay ledger and trail are the worker's"),
    (r"PrivateDevices=yes", "it has no TPM"),
    (r"LimitCORE=0", "a core file has tokens of all identities"),
    (r"MemorySwapMax=0", "swapped memory has tokens of all identities"),
    (r"MemoryMax=\S+", "what peers make it hold is bounded"),
)
_PROVISIONED: Final = (
    (r"ExecStart=/\S+/python -I -B -m cji_worker\.provisioned", "it is the unit's only program"),
    (r"User=cji-provisioned", "it is a user of its own, the only one that the rules of the image let through"),
    (r"IPAddressDeny=any", "it reaches the wire server and nothing else"),
    (r"IPAddressAllow=168\.63\.129\.16/32", "it reaches the wire server and nothing else"),
    (r"RestrictAddressFamilies=AF_INET", "it asks no process of this machine for anything"),
    (r"CapabilityBoundingSet=", "it needs no capability"),
    (r"NoNewPrivileges=yes", "nor ever gets one"),
    (r"PrivateDevices=yes", "it has no TPM"),
    (r"SocketBindDeny=any", "it listens nowhere"),
)
_FUTILE: Final = (
    (r"ExecCondition=/\S+/futile-start /dev/tpmrm0 /run/cji-start/pcr15", "what is not known reboots no machine"),
    (r"ExecStart=\+\S+/systemctl --no-block reboot", "only a reboot helps"),
    (r"DynamicUser=yes", "it is a user of its own"),
    (r"DeviceAllow=/dev/tpmrm0 rw", "it reads one PCR"),
    (r"PrivateNetwork=yes", "it reaches nothing"),
    (r"CapabilityBoundingSet=", "it needs no capability"),
    (r"NoNewPrivileges=yes", "nor ever gets one"),
    (r"TimeoutStartSec=\d+", "a TPM that does not answer holds up no start"),
)
_SIGNS: Final = (
    (r"StateDirectoryMode=0700", "what it signed is its memory, for this user alone"),
    (r"SocketBindDeny=any", "it listens on one port"),
    (r"IPAddressDeny=169\.254\.0\.0/16 168\.63\.129\.16", "it needs no token of its machine"),
    (r"ProtectSystem=strict", "its state is all that it writes"),
    (r"PrivateDevices=yes", "it has no TPM"),
    (r"CapabilityBoundingSet=", "it needs no capability"),
    (r"NoNewPrivileges=yes", "nor ever gets one"),
    (r"RestartPreventExitStatus=2 3", "a state that does not fit needs a person"),
    (r"LimitCORE=0", "a core file has the private keys"),
    (r"MemorySwapMax=0", "swapped memory has the private keys"),
    (r"MemoryMax=\S+", "what callers make it hold is bounded"),
)


def _credentials(role: str) -> tuple[tuple[str, str], ...]:
    """Its files of TLS, which a process of the engine reads without a right to a folder."""
    return tuple(
        (
            rf"LoadCredential={re.escape(name)}:/etc/cji-engine/{re.escape(name)}",
            "it has no right to another role's key",
        )
        for name in ("ca.pem", f"{role}.pem", f"{role}.key")
    )


_NEEDED: Final = {
    "cji-log.service": (
        (r"ExecStart=/\S+/cji log serve --config /etc/cji-log/log\.toml", "the log is the unit's only program"),
        (r"User=cji-log", "the log is a user of its own"),
        *_SIGNS,
    ),
    "cji-witness.service": (
        (r"ExecStart=/\S+/cji witness serve --config /etc/cji-witness/witness\.toml", "it is the unit's only program"),
        (r"User=cji-witness", "the witness is a user of its own"),
        *_SIGNS,
    ),
    "cji-broker.service": _BROKER,
    "cji-futile.service": _FUTILE,
    "cji-provisioned.service": _PROVISIONED,
    "cji-bundle.service": _BUNDLE,
    "cji-bundle-update.service": _UPDATE,
    "cji-door-enroll.service": _ENROLL,
    "cji-door-limit.service": _LIMIT,
    "cji-engine-enroll.service": _ENGINE_ENROLL,
    "cji-engine-scheduler.service": (
        *_credentials("scheduler"),
        (r"ExecStart=/\S+/cji-cluster scheduler .*", "the scheduler is the unit's only program"),
        (r"InaccessiblePaths=.* -/run/cji-tasks .*", "no task runs on the scheduler"),
        *_ENGINE,
    ),
    "cji-engine-worker.service": (
        *_credentials("worker"),
        (r"ExecStart=/\S+/cji-cluster worker .*", "the engine's worker is the unit's only program"),
        *_ENGINE,
    ),
    "cji-worker.service": _WORKER,
    "cji-door.service": _DOOR,
    "cji-audit.service": _AUDIT,
    "cji-fleet.service": _FLEET,
    "cji-console.service": _CONSOLE,
    "cji-probe.service": _PROBE,
    "cji-drain.service": _DRAIN,
    "cji-drain.path": _DRAIN_PATH,
    "cji-resume.service": _RESUME,
    "cji-resume.path": _RESUME_PATH,
}


def check_unit(path: Path) -> list[Outcome]:
    """Outcomes for one unit file: its required lines, verification by systemd, and its exposure."""
    lines = path.read_text(encoding="utf-8").splitlines()
    problems = [
        f"needs a line {pattern!r}: {why}"
        for pattern, why in _NEEDED[path.name]
        if not any(re.fullmatch(pattern, line) for line in lines)
    ]
    problems += [*_reaching_metadata(path.name, lines), *_giving_up(lines)]
    outcomes = [judged("unit: needed lines", path.name, problems)]
    analyze, missing = _analyze()
    if missing:
        return [*outcomes, *(not_run(check, path.name, missing) for check in ("unit: verify", "unit: exposure"))]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        for other in path.parent.glob("*.socket"):
            shutil.copy(other, folder)
        # with all others: systemd looks for those that it requires
        for unit in (each for each in {path, *path.parent.glob("*.service")} if each.is_file()):
            Path(folder, unit.name).write_text(_without_programs(unit))
        verify = _run([analyze, "verify", "--man=no", "--recursive-errors=yes", str(copy)])
        outcomes.append(judged("unit: verify", path.name, verify))
        if path.suffix != ".service":
            return outcomes  # only a service runs a program
        limit = f"--threshold={round(MAX_EXPOSURE * 10)}"
        exposure = _run([analyze, "security", "--offline=true", "--no-pager", limit, str(copy)])
        outcomes.append(judged("unit: exposure", path.name, exposure[-1:]))
    return outcomes


def check_order(folder: Path) -> Outcome:
    """Outcome for all units of a folder, enabled: systemd finds an order in which every one of them starts."""
    analyze, missing = _analyze()
    if missing:
        return not_run("unit: order", folder.name, missing)
    with tempfile.TemporaryDirectory() as copies:
        for unit in (each for each in folder.iterdir() if each.suffix in _KINDS):
            text = _without_programs(unit)
            Path(copies, unit.name).write_text(text)
            for key, targets in re.findall(r"(?m)^(WantedBy|RequiredBy)=(.+)$", text):
                for target in targets.split():
                    links = Path(copies, f"{target}.{'wants' if key == 'WantedBy' else 'requires'}")
                    links.mkdir(exist_ok=True)
                    (links / unit.name).symlink_to(Path(copies, unit.name))
        # systemd's own targets, with their default dependencies, lie in its folders, which come after this one
        _, printed = _printed([analyze, "verify", "--man=no", "multi-user.target"], SYSTEMD_UNIT_PATH=f"{copies}:")
    # not the status: systemd reports none for a circle that it can break, and other units of a machine may fail
    return judged("unit: order", folder.name, [line for line in printed if _CIRCLE.search(line)])


def _reaching_metadata(name: str, lines: list[str]) -> list[str]:
    """A line for each address list that has the metadata service, but for the broker's."""
    reached = [line for line in lines if line.startswith("IPAddressAllow=") and re.search(r"link-local|169\.254", line)]
    return [] if name == "cji-broker.service" else [f"{line}: the broker alone reaches the service" for line in reached]


def _giving_up(lines: list[str]) -> list[str]:
    """A line for a unit that is started again, but not for as long as it takes."""
    again = any(line.startswith("Restart=") for line in lines) and "StartLimitIntervalSec=0" not in lines
    return ["needs a line 'StartLimitIntervalSec=0': systemd's limit would end it for good"] if again else []


def _without_programs(unit: Path) -> str:
    """The unit with a program that every machine has."""
    return re.sub(r"(?m)^(Exec\w+=\+?)/\S+", r"\1/bin/true", unit.read_text(encoding="utf-8"))


def _analyze() -> tuple[str, str]:
    """The program `systemd-analyze`, and why it cannot be asked: one of both is empty."""
    analyze = shutil.which("systemd-analyze")
    version = systemd_version(analyze)
    if analyze is None or version < MIN_SYSTEMD:
        return "", f"needs systemd-analyze {MIN_SYSTEMD}, here is {version or 'none'}"
    return analyze, ""


def systemd_version(analyze: str | None) -> int:
    """Major version of a `systemd-analyze` program, 0 when there is none."""
    if analyze is None:
        return 0
    done = subprocess.run([analyze, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
    found = re.match(r"systemd (\d+)", done.stdout)
    return int(found[1]) if found else 0


def check_sysusers(path: Path) -> Outcome:
    """Outcome for one sysusers.d file, read by systemd-sysusers without writing anything."""
    program = shutil.which("systemd-sysusers")
    if program is None:
        return not_run("unit: users", path.name, "systemd-sysusers is not installed")
    return judged("unit: users", path.name, _run([program, "--dry-run", str(path)]))


def _run(command: list[str]) -> list[str]:
    """Nothing if the command succeeds, else the lines that it printed."""
    status, printed = _printed(command)
    return printed if status else []


def _printed(command: list[str], **environment: str) -> tuple[int, list[str]]:
    """The exit status of a command and the lines that it printed, at least one if it failed."""
    try:
        done = subprocess.run(  # noqa: S603
            command, env=os.environ | environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, [f"{command[1]} did not end in {_TIMEOUT_S} s"]
    printed = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
    if done.returncode and not printed:
        printed = [f"{command[1]} ended with {done.returncode} and said nothing"]
    return done.returncode, printed
