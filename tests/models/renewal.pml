/* The result of a direct job is neither thrown away because its worker renewed its token or drains, nor taken from a
 * receipt key that the client did not attest.
 *
 * Of: client/cji_client/transport.py, worker/cji_worker/keyholder/quotes.py.
 * A client attests a worker: it has the thumbprint of the receipt key (kid) and the token of that moment. The job runs
 * longer than a token lives. The receipt names kid and token; it is released under the attested kid, with or without the
 * evidence of that token, which travels with `done` where the worker can make it. Behind the
 * same name there is another worker, and each may start again, with another key. A hostile door sends whatever was sent.
 * Assumptions: evidence cannot be forged; a restart ends every job of the machine.
 * Bounds: 2 workers, RENEWALS renewals, 1 restart, 1 drain.
 */
#define RENEWALS 2
byte token = 1; byte renewals = RENEWALS; bool restarted, draining;
byte kid;                             /* attested by the client; keys: 1 the worker, 2 after its restart, 3 the other one's */
bool done; byte r_kid, r_token;
mtype = { WAITS, TAKEN, THROWN };
mtype result = WAITS; bool foreign;   /* ghost */
bool honest;                          /* ghost: the answer is the worker's */

proctype Worker() {
    kid != 0;
    do
    :: atomic { renewals > 0 -> renewals--; token++; printf("| the worker renews its token: %d\n", token) }
    :: atomic { !draining -> draining = true; printf("| the worker drains\n") }
    :: atomic { !done -> done = true; honest = true; r_kid = 1; r_token = token;
           printf("| receipt of key 1, token %d\n", token); break }
    od
}

proctype Door() {                     /* answers in the worker's place */
    if
    :: atomic { kid != 0 && !done -> done = true; r_kid = 3; r_token = 1; printf("| an answer of another key\n") }
    :: skip
    fi
}

proctype Client() {
    byte attested;
    atomic { kid = 1; attested = token };
    done;
    atomic {
        if
#ifndef BREAK_KID
        :: r_kid != kid -> result = THROWN
        :: r_kid == kid
#else
        :: true
#endif
           ->
#ifdef BREAK_AGAIN
           /* attests again, wherever the balancer leads: the evidence must have the receipt's token */
           if :: draining || r_token != token -> result = THROWN :: !draining && r_token == token -> result = TAKEN :: result = THROWN fi
#else
           result = TAKEN; foreign = r_kid != kid
#endif
        fi
    }
}

init { atomic { run Worker(); run Door(); run Client() } }

ltl kept { [] !(honest && result == THROWN) }
ltl attested { [] !foreign }
ltl use { [] !(result == TAKEN && renewals == 0 && draining) }
