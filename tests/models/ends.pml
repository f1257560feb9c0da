/* A job has one end, a receipt or a failure receipt; nothing of it is released before the end exists, and nothing else
 * afterwards; no more attempts begin than the pool allows, and none is given up for want of attempts before they began; and
 * a machine that is gone keeps nobody from ending the job.
 *
 * Of: core/cji_core/pool/one_end.py (Reading, Ending, may_fail), core/cji_core/pool/entries.py, worker/cji_worker/keyholder/
 * settlement.py, by_reference.py, pool_exchanges.py.
 * Two workers take the same job again and again until they know its end. `att` are its attempt entries, `ends` the blobs
 * {job}/end, {job}/end.1, ...; both are created once and never changed, with an HMAC under the ledger key of the job's key
 * version. Somebody who can create blobs and has no key puts foreign ones in their place. A fleet process that was taken over
 * says that no attempt is left.
 * Assumptions: the trail is durable and each worker alone writes its own; storage creates if absent, one at a time; the
 * proof of an entry cannot be forged, and every worker that reads one has its key (`retired` is about those that lack it).
 * Bounds: 2 workers, TRIES attempts, 1 crash, 1 lost answer, 1 foreign blob, 1 attempt that fails, 1 lie; a worker
 * that crashes may stay away, never the last one; CANCEL: the submitter may ask for the end at any time.
 * The end has the document itself, so that whoever finds it can publish it. After a crash a receipt of the trail is offered
 * again; a failure receipt is not, and the job is given up once more.
 */
#ifndef TRIES
#define TRIES 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef LOST
#define LOST 1
#endif
#ifndef FOREIGN
#define FOREIGN 1
#endif
#ifndef FAILS
#define FAILS 1
#endif
#ifndef LIES
#define LIES 1
#endif
#define NUMBERS 6
#define STRANGE 9                     /* a blob that is no entry */
#define EMPTY 8                       /* an entry of kind `none`: given up before an attempt, counts nothing */
#define ATTEMPT(w) (1 + w)
#define RECEIPT(w) (1 + w)
#define FAILURE(w) (5 + w)

byte att[NUMBERS], ends[3];           /* durable */
bool on_disk[7], dropped[7];           /* durable: documents in the trails of their workers, and those recorded as superseded */
bool gone[2];
byte crashes = CRASHES, lost = LOST, strange = FOREIGN, fails = FAILS, lies = LIES;
bool cancelled;

byte begun, made, genuine, out;       /* ghosts: attempts that began, entries of attempts, ends that count, the document that left */
byte the_end;                         /* ghost: the document that the first end names */
bool other_left, took_over;           /* ghosts: one left that is not the end; an attempt that another worker's absence left */

#define CRASH(w) atomic { crashes > 0 -> crashes--; printf("| worker %d crashes\n", w); goto crashed }
#define AWAY atomic { lost > 0 -> lost--; printf("| an answer of the ledger is lost\n"); goto again }

inline leave(w, what) {
    if :: out == 0 -> out = what :: else -> skip fi;
    other_left = other_left || what != out || what != the_end;
    printf("| worker %d lets document %d out\n", w, what)
}

inline put_end(w, what) {             /* `number` is the next name */
    ends[number] = what; genuine++; printf("| worker %d creates the end: document %d\n", w, what);
    if :: the_end == 0 -> the_end = what :: else -> skip fi
}

proctype Worker(byte w) {
    byte number, counted, seen, mine; bool giving_up, only_none;
again:
    atomic { number = 0; counted = 0; seen = 0; mine = 0; giving_up = false; only_none = false };
    if
    :: atomic { on_disk[RECEIPT(w)] && !dropped[RECEIPT(w)] -> mine = RECEIPT(w); goto ending }   /* without a known end: settled */
    :: atomic { else -> skip }
    fi;
reading:                              /* attempt entries, from 0, until one is absent */
    do
    :: atomic { att[number] == 0 -> break }
#ifndef BREAK_FOREIGN_ENTRY
    :: atomic { att[number] == STRANGE -> number++ }
#else
    :: atomic { att[number] == STRANGE -> counted++; number++ }
#endif
    :: atomic { att[number] == EMPTY -> only_none = true; number++ }
    :: atomic { att[number] != 0 && att[number] < EMPTY -> seen = att[number]; counted++; number++ }
    :: CRASH(w)
    :: AWAY
    od;
#ifdef BREAK_CLAIM
    if :: atomic { seen != 0 && seen != ATTEMPT(w) -> goto again } :: else -> skip fi;      /* a claim binds */
#endif
    /* the ends, unless there was no entry at all */
    if
    :: atomic { number != 0 && (ends[0] == 0 || (ends[0] == STRANGE && ends[1] == 0)) -> skip }
#ifndef BREAK_FOREIGN_END
    :: atomic { number != 0 && ends[0] != 0 && ends[0] != STRANGE -> seen = ends[0]; goto over }
    :: atomic { number != 0 && ends[0] == STRANGE && ends[1] != 0 -> seen = ends[1]; goto over }
#else
    :: atomic { number != 0 && ends[0] != 0 -> seen = ends[0]; goto over }
#endif
    :: atomic { number == 0 -> skip }
    :: CRASH(w)
    fi;
    if
#ifndef BREAK_CAP
    :: atomic { counted >= TRIES -> giving_up = true }
#else
    :: atomic { counted >= TRIES && begun < TRIES -> giving_up = true }
    :: atomic { counted >= TRIES -> skip }
#endif
    :: atomic { counted < TRIES && cancelled -> giving_up = true }
    :: atomic { counted < TRIES && lies > 0 -> lies--; giving_up = true; printf("| the fleet process of worker %d says that no attempt is left\n", w) }
    :: atomic { counted < TRIES -> skip }
    fi;
    if
    :: atomic { giving_up && (counted > 0 || only_none) -> goto failing }
    :: atomic { else -> skip }
    fi;
#ifdef BREAK_ENTRY
    atomic { begun++; printf("| worker %d begins before its entry exists\n", w) };
#endif
    /* create the next entry: of an attempt, or of giving up before there was one */
    if
    :: atomic { giving_up && att[number] == 0 -> att[number] = EMPTY; printf("| worker %d creates entry %d, which counts nothing\n", w, number) }
    :: atomic { !giving_up && att[number] == 0 -> att[number] = ATTEMPT(w); made++; printf("| worker %d creates entry %d\n", w, number) }
    :: atomic { !giving_up && att[number] == 0 && lost > 0 -> lost--; att[number] = ATTEMPT(w); made++; printf("| worker %d creates entry %d, and does not hear of it\n", w, number); goto again }
#ifndef BREAK_DENSE
    :: atomic { att[number] != 0 -> goto reading }
#else
    :: atomic { att[number] != 0 -> skip }                            /* takes what is there for its own */
#endif
    :: AWAY
    :: CRASH(w)
    fi;
    if :: atomic { giving_up -> goto failing } :: atomic { else -> skip } fi;
#ifndef BREAK_ENTRY
    atomic { begun++; took_over = took_over || gone[1 - w]; printf("| worker %d begins an attempt\n", w) };
#endif
    if
    :: atomic { fails > 0 -> fails--; printf("| the attempt fails\n"); goto again }
#ifndef BREAK_LINE
    :: atomic { mine = RECEIPT(w); on_disk[mine] = true; printf("| worker %d signs a receipt; it is in its trail\n", w) }
#else
    :: atomic { mine = RECEIPT(w) }   /* the end first */
#endif
    :: CRASH(w)
    fi;
    goto ending;
failing:
#ifndef BREAK_COUNT
    if :: atomic { counted < TRIES && !cancelled -> goto again } :: atomic { else -> skip } fi;      /* may_fail: INCOMPLETE */
#endif
    if
    :: atomic { mine = FAILURE(w); on_disk[mine] = true; printf("| worker %d signs a failure receipt; it is in its trail\n", w) }
    :: CRASH(w)
    fi;
#ifdef BREAK_FAILURE
    atomic { leave(w, mine); goto stop };                             /* published without an end */
#endif
ending:
    atomic { number = 0 };
#ifdef BREAK_ORDER
    atomic { leave(w, mine) };        /* released before the end exists */
#endif
create:
    if
    :: atomic { ends[number] == 0 -> put_end(w, mine) }
    :: atomic { ends[number] == 0 && lost > 0 -> lost--; put_end(w, mine); printf("| worker %d does not hear of it\n", w); goto create }
#ifdef BREAK_CREATE
    :: atomic { ends[number] != 0 && ends[number] != mine -> put_end(w, mine) }       /* written, not created */
#endif
    :: atomic { ends[number] == STRANGE -> number++; goto create }
#ifndef BREAK_OWN
    :: atomic { ends[number] == mine -> skip }                        /* its own: an answer was lost, or it started again */
    :: atomic { ends[number] != 0 && ends[number] != STRANGE && ends[number] != mine ->
#else
    :: atomic { ends[number] != 0 && ends[number] != STRANGE ->       /* every end that exists is another's */
#endif
#ifndef BREAK_SUPERSEDE
           dropped[mine] = true; seen = ends[number]; printf("| worker %d: superseded by document %d\n", w, seen); goto over
#else
           skip
#endif
       }
    :: AWAY
    :: CRASH(w)
    fi;
#ifdef BREAK_LINE
    if :: atomic { on_disk[mine] = true } :: CRASH(w) fi;
#endif
    if
#ifndef BREAK_ORDER
    :: atomic { leave(w, mine) }
#else
    :: skip
#endif
    :: CRASH(w)
    fi;
    goto stop;
over:                                 /* the end is known: its own after a restart, or another's */
#ifndef BREAK_CARRY
    atomic { leave(w, seen) };
#endif
    goto stop;
crashed:
    if :: atomic { !gone[1 - w] -> gone[w] = true; printf("| and does not come back\n"); goto stop } :: skip fi;
    goto again;
stop:
    skip
}

#ifdef CANCEL
proctype Submitter() { cancelled = true }
#endif

proctype Squatter() {                 /* has a token of the storage, and no key */
    byte n;
    do
    :: atomic { strange > 0 && ends[0] == 0 -> strange--; ends[0] = STRANGE; printf("| a foreign blob takes the name of the end\n") }
    :: atomic { strange > 0 -> n = 0; do :: att[n] != 0 -> n++ :: else -> break od; strange--; att[n] = STRANGE; printf("| a foreign blob takes the name of entry %d\n", n) }
    :: break
    od
}

init { atomic { run Worker(0); run Worker(1); run Squatter();
#ifdef CANCEL
    run Submitter()
#endif
} }

ltl one_end { [] (genuine <= 1) }
/* the document that left is the one that the end names, and no other one leaves */
ltl one_document { [] (!other_left) }
/* an end names a document that is on its worker's disk */
ltl backed { [] (the_end == 0 || on_disk[the_end]) }
ltl capped { [] (begun <= TRIES) }
/* a worker takes itself for superseded only by another end, and a job fails only for want of attempts */
ltl true_record { [] !(the_end != 0 && dropped[the_end]) }
ltl earned { [] ((the_end == FAILURE(0) || the_end == FAILURE(1)) -> (made >= TRIES || cancelled)) }
/* with a machine that serves, the submitter gets the end */
ltl reached { <> (out != 0) }
ltl use { [] (out != RECEIPT(0)) }
ltl use_failure { [] (out != FAILURE(1)) }
ltl use_takeover { [] !(took_over && out == RECEIPT(1)) }
