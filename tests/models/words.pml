/* "Not released" is said only of a job whose result nobody has and nobody will ever have; "released" only of one that has
 * its receipt; and two machines that send one saved job get one receipt between them.
 *
 * Of: worker/cji_worker/keyholder/answers.py (GetReceipt), settlement.py (waits), core/cji_core/pool/one_end.py (Purpose.LOOK),
 * client/cji_client/transport.py. In a pool; the one machine there is says "not released" until its answer.
 * Two senders have the same sealed bytes and may sign admissions. Each sends to a worker, may lose its connection at any step,
 * and asks any worker until it has a word. A worker says "unknown" while an attempt of the job runs there or a receipt of it
 * is being settled, else what its trail or the end has; "unknown" if there is no end. An answer may be lost.
 * Assumptions: `ends` and `admission` hold; a sender that was told "unknown" asks again, sends again, asks for an end, or gives up.
 * Bounds: 2 senders, 2 workers, 2 attempts, 1 attempt that fails, 2 lost answers.
 */
mtype = { NONE, RECEIPT, FAILURE };
mtype = { NOWORD, RELEASED, NOT_RELEASED, UNKNOWN };
mtype = { IDLE, RUNNING, SETTLING };
#define TRIES 2
mtype end = NONE; byte attempts; byte receipts;
mtype at[2] = IDLE;                   /* what each worker does with the job */
bool in_trail[2];                     /* its trail has a receipt that is not superseded */
mtype word[2] = NOWORD; bool has_result[2];
byte fails = 1, lost = 2;
bool cancelled;

proctype Attempt(byte w; byte s; bool connected) {
    if
    :: atomic { fails > 0 -> fails--; at[w] = IDLE; printf("| the attempt at worker %d fails\n", w);
#ifdef BREAK_ASK
           if :: connected -> word[s] = NOT_RELEASED :: else -> skip fi            /* its error is taken for the end */
#endif
       }
       goto over
    :: atomic { at[w] = SETTLING; in_trail[w] = true; printf("| a receipt is in the trail of worker %d\n", w) }
    fi;
    atomic {
        if
        :: end == NONE -> end = RECEIPT; receipts++; printf("| it is the end\n");
            if :: connected -> has_result[s] = true; word[s] = RELEASED :: connected && lost > 0 -> lost--:: !connected fi
        :: else -> in_trail[w] = false; printf("| it is superseded\n")
        fi;
        at[w] = IDLE
    };
over:
    skip
}

proctype Sender(byte s) {
    byte w;
send:
    if :: w = 0 :: w = 1 fi;
    if
    :: atomic { end == NONE && attempts < TRIES && at[w] == IDLE -> attempts++; at[w] = RUNNING; printf("| sender %d: an attempt begins at worker %d\n", s, w);
           if :: run Attempt(w, s, true) :: run Attempt(w, s, false); printf("| its connection breaks\n") fi }
    :: atomic { !(end == NONE && attempts < TRIES && at[w] == IDLE) -> printf("| sender %d is refused\n", s) }
    :: atomic { lost > 0 -> lost-- }  /* no worker was reached */
    fi;
ask:
    if :: w = 0 :: w = 1 fi;
    if
    :: atomic { word[s] == RELEASED || word[s] == NOT_RELEASED -> goto over }
#ifndef BREAK_SETTLING
    :: atomic { word[s] != RELEASED && word[s] != NOT_RELEASED && at[w] != IDLE -> word[s] = UNKNOWN }
#else
    :: atomic { word[s] != RELEASED && word[s] != NOT_RELEASED && at[w] == RUNNING -> word[s] = UNKNOWN }
    :: atomic { word[s] != RELEASED && word[s] != NOT_RELEASED && at[w] == SETTLING -> word[s] = RELEASED; printf("| sender %d: released, by a receipt that is in the trail alone\n", s) }
#endif
    :: atomic { word[s] != RELEASED && word[s] != NOT_RELEASED && at[w] == IDLE ->
           if
           :: in_trail[w] -> word[s] = RELEASED
           :: !in_trail[w] && end == RECEIPT -> word[s] = RELEASED; printf("| sender %d: a worker reads the end: released\n", s)
           :: !in_trail[w] && end == FAILURE -> word[s] = NOT_RELEASED; printf("| sender %d: a worker reads the end: not released\n", s)
#ifndef BREAK_NO_END
           :: !in_trail[w] && end == NONE -> word[s] = UNKNOWN
#else
           :: !in_trail[w] && end == NONE -> word[s] = NOT_RELEASED; printf("| sender %d: no receipt was found\n", s)
#endif
           fi
       }
    :: atomic { lost > 0 && word[s] != RELEASED && word[s] != NOT_RELEASED -> lost--; printf("| sender %d: no answer\n", s);
#ifndef BREAK_SILENCE
           word[s] = UNKNOWN
#else
           word[s] = NOT_RELEASED
#endif
       }
    fi;
    if
    :: atomic { word[s] == UNKNOWN -> cancelled = true; goto ask }
    :: atomic { word[s] == UNKNOWN -> goto ask }
    :: atomic { word[s] == UNKNOWN -> goto send }
    :: skip                           /* gives up, or knows */
    fi;
over:
    skip
}

proctype Pool() {                     /* any worker: signs a failure when no attempt is left, or when it was asked to */
end0:
    do
    :: atomic { end == NONE && (attempts == TRIES || cancelled) -> end = FAILURE; printf("| a failure receipt is the end\n") }
    od
}

init { atomic { run Sender(0); run Sender(1); run Pool() } }

ltl not_released { [] ((word[0] == NOT_RELEASED || word[1] == NOT_RELEASED) -> receipts == 0) }
ltl released { [] ((word[0] == RELEASED || word[1] == RELEASED) -> receipts == 1) }
ltl one_receipt { [] (receipts <= 1 && !(has_result[0] && has_result[1])) }
ltl use { [] !(word[0] == RELEASED && word[1] == RELEASED) }
ltl use_not { [] !(word[0] == NOT_RELEASED && word[1] == NOT_RELEASED) }
ltl use_unknown { [] (word[0] != UNKNOWN) }
