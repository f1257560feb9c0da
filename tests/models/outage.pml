/* A storage outage costs no waiting job an attempt: a failure receipt for want of attempts is signed only after the
 * pool's number of attempts began, and an outage wastes at most one lease of each slot.
 *
 * Of: worker/cji_worker/fleet/slot.py, core/cji_core/pool/one_end.py (after_attempt, may_fail).
 * Two slots take the tickets of two jobs. The queue always answers; Blob Storage, which holds submissions, results and
 * attempt entries, goes away OUTAGES times for any number of steps. `leases` is the queue's own count of deliveries.
 * Assumptions: an entry is created before anything of its attempt can fail; a lease that is dropped ends by itself.
 * Bounds: 2 slots, 2 jobs, 2 attempts each, OUTAGES outages, FAILS attempts that fail.
 */
#ifndef OUTAGES
#define OUTAGES 2
#endif
#ifndef FAILS
#define FAILS 1
#endif
#define TRIES 2
#define MOST 3                        /* the queue's count, as far as the model counts */

mtype = { NONE, RECEIPT, FAILURE };
mtype end[2] = NONE;
bool leased[2];
byte leases[2], entries[2], began[2];
bool away; byte outages = OUTAGES, fails = FAILS;
byte wasted;                          /* ghost: leases that met no storage */

proctype Slot() {
    byte job;
    do
    :: atomic { end[0] != NONE && end[1] != NONE -> break }
    :: atomic { else ->
#ifndef BREAK_TOUCH
           !away;                     /* the storage is touched before a ticket is leased */
#endif
           if
           :: !leased[0] && end[0] == NONE -> job = 0
           :: !leased[1] && end[1] == NONE -> job = 1
           :: else -> goto next
           fi
       }
       /* the storage may go away here */
       if
       :: atomic { !leased[job] && end[job] == NONE ->
              leased[job] = true; if :: leases[job] < MOST -> leases[job]++ :: else -> skip fi }
       :: atomic { else -> goto next }
       fi;
       if
       :: atomic { away -> leased[job] = false; wasted++; printf("| job %d: leased, and no storage\n", job) }
#ifdef BREAK_DELIVERIES
       :: atomic { !away && leases[job] > TRIES && end[job] == NONE -> end[job] = FAILURE; leased[job] = false; printf("| job %d is given up after %d deliveries\n", job, leases[job]) }
#endif
       :: atomic { !away && end[job] != NONE -> leased[job] = false }
       :: atomic { !away && entries[job] >= TRIES && end[job] == NONE -> end[job] = FAILURE; leased[job] = false; printf("| job %d is given up after %d attempts\n", job, began[job]) }
#ifndef BREAK_REFUSED
       :: atomic { !away && entries[job] < TRIES -> leased[job] = false }            /* refused before admission: not ready, draining, no memory */
#else
       :: atomic { !away && entries[job] < TRIES -> entries[job]++; leased[job] = false; printf("| job %d: a refusal counts\n", job) }
#endif
       :: atomic { !away && entries[job] < TRIES && end[job] == NONE -> entries[job]++; began[job]++; printf("| job %d: attempt %d begins\n", job, began[job]) };
          if
          :: atomic { !away -> if :: end[job] == NONE -> end[job] = RECEIPT; printf("| job %d has its receipt\n", job) :: else -> skip fi; leased[job] = false }
          :: atomic { fails > 0 -> fails--; leased[job] = false; printf("| job %d: the attempt fails\n", job) }
          :: atomic { away -> leased[job] = false; printf("| job %d: no storage in its attempt\n", job) }
          fi
       fi;
next:  skip
    od
}

proctype Storage() {
    do
    :: atomic { !away && outages > 0 -> outages--; away = true; printf("| Blob Storage goes away\n") }
    :: atomic { away -> away = false; printf("| Blob Storage is back\n") }
    :: atomic { !away -> break }
    od
}

init { atomic { run Slot(); run Slot(); run Storage() } }

ltl counted { [] ((end[0] == FAILURE -> began[0] >= TRIES) && (end[1] == FAILURE -> began[1] >= TRIES)) }
ltl leases_kept { [] (wasted <= 2 * OUTAGES) }
ltl use { [] !(end[0] == RECEIPT && end[1] == RECEIPT && outages == 0) }
ltl use_failure { [] (end[0] != FAILURE) }
