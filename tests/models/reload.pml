/* After a reload, no job begins or completes whose submitter, key, application or role the policy in force does not grant,
 * wherever the job was when it came; and a reload ends no job that both policies grant.
 *
 * Of: worker/cji_worker/keyholder/jobs.py (admit, _claimed, dispatch, end_unauthorised), admission.py (authorise_again).
 * A job is checked when it comes, again when a cell is free, again when the pool ledger has answered, and when a policy is
 * taken over. Job 0 is granted by every policy; job 1, with its token, by the policies with an even number.
 * Assumptions: the main thread does one step at a time, and a reload with its consequences is one step; a token is verified
 * when it comes, and what it showed is compared with each policy.
 * Bounds: 2 jobs, 3 reloads, 1 cell. ALONE: there is no pool ledger to ask. A job that waits is checked twice, at a reload and for
 * its cell; BREAK_WAITING takes out both, each alone is enough.
 */
mtype = { ABSENT, CLAIMING, WAITING, RUNNING, COMPLETED, REFUSED };
mtype state[2] = ABSENT;
byte policy; bool cell = true;
bool wrong, unjust;                   /* ghosts */

#define GRANTED(j) (j == 0 || policy % 2 == 0)

inline refuse(j) { state[j] = REFUSED; unjust = unjust || j == 0; printf("| job %d is refused under policy %d\n", j, policy) }

inline begin(j) { state[j] = RUNNING; wrong = wrong || !GRANTED(j); printf("| job %d begins under policy %d\n", j, policy) }

inline reserve(j) {                   /* a cell at once, and the pool ledger is asked; or a place in the queue */
    if
#ifndef ALONE
    :: cell -> cell = false; state[j] = CLAIMING
#else
    :: cell -> cell = false; begin(j)
#endif
    :: !cell -> state[j] = WAITING
    fi
}

inline end_unauthorised(j) {
    if
#ifndef BREAK_WAITING
    :: state[j] == WAITING && !GRANTED(j) -> refuse(j)
#endif
#ifndef BREAK_RUNNING
    :: state[j] == RUNNING && !GRANTED(j) -> cell = true; refuse(j)
#endif
    :: else -> skip
    fi
}

proctype Main() {
    do
    :: atomic { policy < 3 -> policy++; printf("| policy %d\n", policy); end_unauthorised(0); end_unauthorised(1);
#ifdef BREAK_JUST
           if :: state[0] == RUNNING -> cell = true; refuse(0) :: else -> skip fi                /* a reload ends everything */
#endif
       }
    :: atomic { state[0] == ABSENT -> reserve(0) }
    :: atomic { state[1] == ABSENT -> if :: GRANTED(1) -> reserve(1) :: else -> refuse(1) fi }
    :: atomic { state[0] == WAITING && cell -> reserve(0) }
#ifndef BREAK_WAITING
    :: atomic { state[1] == WAITING && cell -> if :: GRANTED(1) -> reserve(1) :: else -> refuse(1) fi }
#else
    :: atomic { state[1] == WAITING && cell -> reserve(1) }
#endif
    :: atomic { state[0] == CLAIMING -> begin(0) }
    :: atomic { state[1] == CLAIMING ->
#ifndef BREAK_CLAIMED
           if :: GRANTED(1) -> begin(1) :: else -> cell = true; refuse(1) fi
#else
           begin(1)
#endif
       }
    :: atomic { state[0] == RUNNING -> state[0] = COMPLETED; cell = true }
    :: atomic { state[1] == RUNNING -> state[1] = COMPLETED; cell = true; wrong = wrong || !GRANTED(1); printf("| job 1 completes under policy %d\n", policy) }
    :: (state[0] == COMPLETED || state[0] == REFUSED) && (state[1] == COMPLETED || state[1] == REFUSED) -> break
    od
}

init { run Main() }

ltl granted { [] !wrong }
ltl just { [] !unjust }
ltl use { [] !(state[0] == COMPLETED && state[1] == COMPLETED && policy == 2) }
