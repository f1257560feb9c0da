/* On a machine that stands alone no job id is used twice, although trail, replay ledger and the vTPM's counter were removed;
 * in a pool its ledger prevents that.
 *
 * Of: worker/cji_worker/keyholder/anchor.py (establish, _begin), trail/opening.py, core/cji_core/pool/one_end.py.
 * The host stops the machine, removes any of trail, replay ledger and counter, or puts an older copy of the trail back, and
 * starts it. A vTPM whose counter was removed begins the next one above the last value, so that it shows that it was used.
 * A person decides once, by `cji audit resume`, that the trail is lost: headers from before are refused from then on.
 * Assumptions: the vTPM is the machine's own; a job that the host sends again has a header from before a resumption.
 * Bounds: 1 job, 2 starts after the first. POOL: there is a pool ledger.
 */
bool line, old_line;                  /* the trail has the job; a copy from before has not */
bool trail = true;                    /* the trail exists */
byte counter = 1, highest = 1;        /* of the vTPM; 0: removed */
byte anchor = 1;                      /* the last anchor of the trail */
bool ended;                           /* pool ledger: JOB/end */
bool up, floor, resumed; byte starts = 2; byte receipts; byte identity = 1; bool decided;

#if defined(POOL) && !defined(BREAK_END)
#define ENDED ended
#else
#define ENDED false
#endif

proctype Machine() {
    do
    :: atomic { !up && starts > 0 -> starts--;
           if
           :: trail && anchor == counter -> up = true; printf("| starts with its trail\n")
#ifndef BREAK_COUNTER
           :: trail && anchor != counter -> printf("| trail and counter differ: refused\n"); decided = true
#else
           :: trail && anchor != counter -> up = true; printf("| starts with an older trail\n")
#endif
           :: !trail && counter != 0 -> printf("| no trail, but a counter: refused\n"); decided = true
           :: !trail && counter == 0 ->
#ifdef POOL
               trail = true; line = false; identity++; highest++; counter = highest; anchor = highest; up = true; printf("| a new trail, %d\n", identity)
#else
#ifndef BREAK_HIGHEST
               printf("| no trail, and the vTPM was used before: refused\n"); decided = true
#else
               trail = true; line = false; identity++; highest++; counter = highest; anchor = highest; up = true; printf("| a new trail, %d\n", identity)
#endif
#endif
           fi
       }
    :: atomic { up && !floor && !line && !ENDED && receipts < 3 -> line = true; ended = true; receipts++; counter++; anchor = counter; highest = counter; printf("| the job runs: receipt %d, trail %d\n", receipts, identity) }
    :: starts == 0 -> break
    od
}

proctype Person() {
end0:
    atomic { decided && !up -> resumed = true; floor = true; trail = true; line = false; identity++;
        if :: counter == 0 -> highest++; counter = highest :: else -> counter++; highest = counter fi; anchor = counter; up = true; printf("| cji audit resume\n")
#ifdef BREAK_FLOOR
        floor = false
#endif
    }
}

proctype Host() {
    byte n;
    do
    :: atomic { up && n < 2 -> up = false; n++;
           if :: trail = false; anchor = 0; line = false; printf("| the host removes trail and ledger\n") :: line = false; anchor = 1; printf("| the host puts an old trail back\n") :: skip fi;
           if :: counter = 0; printf("| the host removes the counter\n") :: skip fi }
    :: n == 2 -> break
    od
}

init { atomic { up = true; run Machine(); run Host(); run Person() } }

ltl once { [] (receipts <= 1) }
ltl use { [] !(receipts == 1 && resumed) }
ltl use_start { [] !(receipts == 1 && starts == 0 && !resumed && up) }
