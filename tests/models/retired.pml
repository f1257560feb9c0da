/* A job id is used under one header only, also when its key version is retired and another one comes, and whatever workers
 * hold which versions; a worker that lacks the key of an entry decides nothing about its job.
 *
 * Of: core/cji_core/pool/entries.py (read_entry), one_end.py (UNDECIDED), keyholder/ledger_keys.py, pool_exchanges.py.
 * An entry is proved by a key that only a worker with the released key version of its header has. A submitter seals a job
 * under version 1, and another job with the same id under version 2. Workers gain version 2 and lose version 1 at any time.
 * Whoever has a token of the storage puts a blob there that names a version and has no proof.
 * Assumptions: a proof cannot be forged, and is checked by who has the version; an entry is never removed or changed.
 * Bounds: 2 workers, which take a job once and twice; 2 versions, 2 headers, 1 foreign blob, 3 attempts. An end is the entry at ENDS here.
 */
#define ENDS 3                        /* places 0 to 2 are attempts, 3 and 4 ends */
#define PLACES 5
#define JUNK 10                       /* and the version that it names */

byte blob[PLACES];                    /* 1, 2: an entry of header 1 or 2, proved by the version of that number */
byte holds[2] = 1;                    /* bits of versions: 1 is version 1, 2 is version 2 */
bool began[3], completed[3];          /* ghosts, by header */
bool unheld;                          /* ghost: something was decided by a worker that lacked a key of the job's entries */

#define HELD(w, v) ((holds[w] & v) != 0)
#define VERSION(b) (b > JUNK -> b - JUNK : b)

proctype Worker(byte w) {
    byte h, n, at, found; bool of_unheld;
    atomic { if :: HELD(w, 1) -> h = 1 :: HELD(w, 2) -> h = 2 fi };
reading:
    do                                /* attempts until one is absent, then ends until one is absent */
    :: atomic { n < ENDS && blob[n] == 0 && n != 0 -> at = n; n = ENDS }
    :: atomic { n == 0 && blob[0] == 0 -> at = 0; break }
    :: atomic { n >= ENDS && (n == PLACES || blob[n] == 0) -> break }
    :: atomic { n < PLACES && blob[n] != 0 -> found = blob[n];
           if
#ifndef BREAK_UNDECIDED
           :: !HELD(w, VERSION(found)) -> printf("| worker %d, header %d: an entry under version %d, undecided\n", w, h, VERSION(found)); goto over
#else
           :: !HELD(w, VERSION(found)) -> of_unheld = of_unheld || found < JUNK; n++           /* as a foreign one: passed over */
#endif
           :: HELD(w, VERSION(found)) && found > JUNK -> n++                                   /* foreign: no valid proof */
#ifndef BREAK_HEADER
           :: HELD(w, VERSION(found)) && found < JUNK && found != h -> printf("| worker %d: header %d is replayed\n", w, h); goto over
#else
           :: HELD(w, VERSION(found)) && found < JUNK && found != h -> n++
#endif
           :: HELD(w, VERSION(found)) && found == h ->
               if :: n >= ENDS -> goto over :: else -> n++ fi
           fi;
           if :: n == ENDS && blob[ENDS - 1] != 0 -> goto over :: else -> skip fi              /* no place left: refused */
       }
    od;
    if
    :: atomic { blob[at] == 0 -> blob[at] = h; began[h] = true; unheld = unheld || of_unheld; printf("| worker %d begins under header %d, entry %d\n", w, h, at) }
    :: atomic { blob[at] != 0 -> n = at; goto reading }                /* somebody was faster: read as any other */
    fi;
    if
    :: atomic { skip -> goto over }   /* the attempt fails */
    :: n = ENDS
    fi;
    do                                /* the end */
    :: atomic { n == PLACES -> goto over }
    :: atomic { n < PLACES && blob[n] == 0 -> blob[n] = h; completed[h] = true; printf("| header %d has its end\n", h); goto over }
#ifndef BREAK_UNDECIDED
    :: atomic { n < PLACES && blob[n] != 0 && !HELD(w, VERSION(blob[n])) -> goto over }
    :: atomic { n < PLACES && blob[n] > JUNK && HELD(w, VERSION(blob[n])) -> n++ }
#else
    :: atomic { n < PLACES && blob[n] != 0 && (blob[n] > JUNK || !HELD(w, VERSION(blob[n]))) -> n++ }
#endif
    :: atomic { n < PLACES && blob[n] != 0 && blob[n] < JUNK && HELD(w, VERSION(blob[n])) -> goto over }
    od;
over:
    skip
}

proctype Keys() {
    byte w;
    do
    :: atomic { if :: w = 0 :: w = 1 fi;
           if
           :: holds[w] == 1 -> holds[w] = 3; printf("| worker %d has version 2 too\n", w)
           :: holds[w] == 3 -> holds[w] = 2; printf("| worker %d has version 1 no more\n", w)
           :: holds[w] == 1 -> holds[w] = 2; printf("| worker %d starts with version 2 alone\n", w)
           :: else -> skip
           fi; w = 0 }
    :: break
    od
}

proctype Squatter() {                 /* at the next free name of an attempt, or of an end */
    byte n;
    if :: n = 0 :: n = ENDS :: goto over fi;
    atomic { do :: n < PLACES && blob[n] != 0 -> n++ :: else -> break od;
        if :: n < PLACES -> if :: blob[n] = JUNK + 1 :: blob[n] = JUNK + 2 fi; printf("| a blob without a proof at place %d names version %d\n", n, blob[n] - JUNK) :: else -> skip fi };
over:
    skip
}

init { atomic { run Worker(0); run Worker(1); run Worker(1); run Keys(); run Squatter() } }

ltl one_header { [] !(began[1] && began[2]) }
ltl one_end { [] !(completed[1] && completed[2]) }
ltl decided { [] !unheld }
ltl use { [] !(completed[1] && holds[0] == 2) }
ltl use_other { [] !completed[2] }
ltl use_junk { [] !(completed[1] && blob[0] > JUNK) }
