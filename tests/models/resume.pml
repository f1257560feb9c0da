/* After `cji audit resume` no job id that was used before runs again, although the trail that knew it is lost, the clock
 * was set back or is slow, and the header's own time says nothing that its sender could not choose.
 *
 * Of: worker/cji_worker/trail/ (floor), keyholder/replay.py, keyholder/quotes.py.
 * Time is a number. The machine's clock shows any time up to SLOW behind; an attestation token has the true time of its
 * issue, by the attestation service. The trail is lost and resumed: from then on a header created at the floor or before is
 * refused. A captured header was used before the loss; its expiry is true time too.
 * Assumptions: the submitter's clock is right; Azure Attestation's time is right, and a token from further ahead than LEEWAY is
 * refused, so the floor is that much behind at most. LEEWAY is no more than SKEW, which the comparison of headers adds.
 * Bounds: TIME ticks, 1 loss, 1 captured header, 1 fresh one.
 */
#define TIME 8
#define LIFE 3                        /* of a header */
#ifndef SLOW
#define SLOW 3
#endif
#define SKEW 1
#ifndef LEEWAY
#define LEEWAY 1
#endif
byte now = 4, clock = 4;              /* true time, the machine's */
byte floor; bool lost, resumed, attested, decided;
byte created = 200; bool used, again; /* the captured header */
byte fresh = 200; bool fresh_ran;

proctype Time() {
    do
    :: atomic { now < TIME -> now++; if :: clock < now -> clock++ :: skip fi }
    :: atomic { now < TIME && clock > 0 && clock + SLOW > now -> clock--; printf("| the clock is set back to %d, it is %d\n", clock, now) }
    :: now == TIME -> break
    od
}

#define ADMISSIBLE(c) (c + LIFE > clock && c <= clock + SKEW)

proctype Machine() {
    if :: atomic { ADMISSIBLE(now) -> created = now; used = true; printf("| job created at %d runs\n", created) } :: skip fi;
    atomic { lost = true; printf("| the trail is lost at %d\n", now) };
    atomic { resumed = true; floor = clock; printf("| resumed at %d, the clock shows %d\n", now, clock) };
#ifndef BREAK_ATTESTATION
    atomic { now <= clock + LEEWAY -> floor = clock; attested = true; printf("| attested at %d, the clock shows %d, which is the floor\n", now, clock) };
#else
    attested = true;                  /* the floor stays what the clock showed */
#endif
    do
    :: atomic { used && !again && ADMISSIBLE(created) ->
#ifndef BREAK_FLOOR
           created > floor + SKEW ->
#endif
           again = true; printf("| the captured job runs again\n") }
    :: atomic { fresh != 200 && !fresh_ran && ADMISSIBLE(fresh) && fresh > floor + SKEW -> fresh_ran = true; printf("| a fresh job, created at %d, runs\n", fresh) }
    :: now == TIME -> break
    od
}

#ifdef BREAK_WAIT
proctype Early() { resumed; atomic { !attested && used && !again && ADMISSIBLE(created) && created > floor + SKEW -> again = true; printf("| admitted before the first attestation\n") } }
#endif

proctype Submitter() { atomic { attested -> fresh = now } }

init { atomic { run Time(); run Machine(); run Submitter();
#ifdef BREAK_WAIT
    run Early()
#endif
} }

ltl once { [] !again }
ltl use { [] !fresh_ran }
