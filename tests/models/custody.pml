/* Every denial of a key by its vault becomes an event, also of a key that expired before, and ends its jobs; none
 * completes or begins once the worker knows of the denial.
 *
 * Of: worker/cji_worker/keyholder/custody.py, jobs.py (end_of_key).
 * One key version. The vault grants, denies or is away, and changes its mind at any time; the worker asks at any time, and
 * the held key expires. Two jobs may be admitted under the key and complete.
 * Assumptions: main thread and custody's thread take turns; an event waits until the main thread takes it.
 * Bounds: 2 jobs, 3 changes of the vault.
 */
mtype = { GRANTS, DENIES, AWAY };
mtype vault = GRANTS; byte changes = 3;
bool held = true, told, running[2], wrong, silent;
bool denied;                          /* the last answer of the vault */
bool waits;                           /* an event for the main thread */

proctype Vault() {
    do
    :: atomic { changes > 0 && vault != DENIES -> changes--; vault = DENIES; printf("| the vault denies\n") }
    :: atomic { changes > 0 && vault != AWAY -> changes--; vault = AWAY; printf("| the vault is away\n") }
    :: atomic { changes > 0 && vault != GRANTS -> changes--; vault = GRANTS }
    :: changes == 0 -> break
    od
}

proctype Custody() {
end0:
    do
    :: atomic { held && vault != GRANTS -> held = false; printf("| the key expires, its jobs go on\n") }
    :: atomic { vault == DENIES && !denied -> denied = true;
#ifndef BREAK_EXPIRED
           waits = true; held = false; printf("| denied: an event\n")
#else
           if :: held -> waits = true; held = false :: else -> silent = true; printf("| denied, but the key is not held: no event\n") fi
#endif
       }
    :: atomic { vault == GRANTS && !held && !waits -> held = true; denied = false; printf("| released\n") }
    od
}

proctype Main() {
    byte j;
end1:
    do
    :: atomic { waits -> waits = false; told = true;
#ifndef BREAK_JOBS
           running[0] = false; running[1] = false
#endif
       }
    :: atomic { held && !waits -> wrong = wrong || denied; if :: !running[0] -> running[0] = true :: !running[1] -> running[1] = true :: else -> skip fi }
    :: atomic { running[0] && !waits -> running[0] = false; wrong = wrong || denied; if :: denied -> printf("| a job completes under a denied key\n") :: else -> skip fi }
    od
}

init { atomic { run Vault(); run Custody(); run Main() } }

ltl recorded { [] !silent }
ltl keyed { [] !wrong }
ltl use { [] !(told && running[0]) }
