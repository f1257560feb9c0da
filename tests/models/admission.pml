/* One sending of a job is admitted at most once, only by the worker and in the boot for which it was signed, only with the
 * header that was signed, not after a later sending of the job was admitted there, not when its nonce is old, and no job more
 * often at a worker than it may have attempts there.
 *
 * Of: worker/cji_worker/keyholder/admissions.py, keyholder/replay.py, core/cji_core/format/envelope/admission.py.
 * An admission signature covers nonce, thumbprint of the receipt key, digest of the header, number of the attempt. A nonce is
 * a time with a MAC of this boot. Attempts are counted by the trail, so they survive a restart; the receipt key does not.
 * Everything that is sent is recorded; door and thief deliver any of it to any worker, with any header that they recorded,
 * at any time and as often as they want. The owner sends job 0 twice, then either job.
 * Assumptions: signatures and MACs cannot be forged; no receipt key is made twice; a worker's clock does not run backwards;
 * an attempt ends without a receipt, so that the next one may begin. The pause before it is left out.
 * Bounds: 2 workers, 2 boots each, 3 sendings, MOST attempts (three in the code), TIME ticks, nonces valid for AGE ticks.
 */
#define SENDINGS 3
#define TIME 4
#define AGE 1
#define MOST 2
#define NONE 9
#define KEY(w) (2 * boot[w] + w)

byte boot[2], now;
byte counted[4];                      /* durable: attempts of job j at worker w, at 2 * w + j */
byte made, given[SENDINGS], receipt_key[SENDINGS] = NONE, job[SENDINGS], attempt[SENDINGS];
byte admitted[SENDINGS]; bool elsewhere, mixed, late, old;              /* ghosts */

#ifndef BREAK_WORKER
#define FOR_THIS(w) (receipt_key[s] == KEY(w))
#else
#define FOR_THIS(w) (receipt_key[s] % 2 == w || receipt_key[s] % 2 != w)
#endif
#ifndef BREAK_AGE
#define FRESH (now - given[s] <= AGE)
#else
#define FRESH true
#endif
#ifndef BREAK_HEADER
#define SIGNED (job[s] == h)
#else
#define SIGNED true
#endif
#ifndef BREAK_MOST
#define LEFT(w) (counted[2 * w + h] < MOST)
#else
#define LEFT(w) (counted[2 * w + h] < SENDINGS)
#endif
#ifndef BREAK_ATTEMPT
#define NEXT(w) (attempt[s] == counted[2 * w + h])
#else
#define NEXT(w) true
#endif

proctype Network() {
    byte s, h, w;
end0:
    do
    :: atomic { made > 0 ->
           if :: s = 0 :: made > 1 -> s = 1 :: made > 2 -> s = 2 fi;
           if :: h = 0 :: h = 1 fi;
           if :: w = 0 :: w = 1 fi;
           if
           :: FOR_THIS(w) && FRESH && SIGNED && NEXT(w) && LEFT(w) && admitted[s] < 2 ->
               mixed = mixed || job[s] != h;
               elsewhere = elsewhere || receipt_key[s] != KEY(w);
               late = late || (s == 0 && admitted[1] > 0 && receipt_key[0] == receipt_key[1]);
               old = old || now - given[s] > AGE;
               admitted[s]++; counted[2 * w + h]++;
               printf("| worker %d, receipt key %d, admits sending %d with the header of job %d\n", w, KEY(w), s, h)
           :: else -> skip
           fi;
           s = 0; h = 0; w = 0
       }
    od
}

proctype World() {
    do
    :: atomic { now < TIME -> now++ }
    :: atomic { boot[0] == 0 -> boot[0] = 1; printf("| worker 0 starts again\n") }
    :: atomic { boot[1] == 0 -> boot[1] = 1; printf("| worker 1 starts again\n") }
    :: now == TIME -> break
    od
}

proctype Owner() {                    /* sendings 0 and 1 of job 0, then sending 2 of either */
    byte w;
    do
    :: atomic { made < SENDINGS ->
           if :: w = 0 :: w = 1 fi;
           receipt_key[made] = KEY(w); given[made] = now; job[made] = 0; if :: made == 2 -> job[made] = 1 :: true -> skip fi;
           attempt[made] = counted[2 * w + job[made]];
           printf("| sending %d of job %d, attempt %d, is signed for receipt key %d\n", made, job[made], attempt[made], receipt_key[made]);
           made++; w = 0 }
    :: made == SENDINGS -> break
    od
}

init { atomic { run Owner(); run World(); run Network() } }

ltl once { [] (admitted[0] <= 1 && admitted[1] <= 1 && admitted[2] <= 1) }
ltl here { [] !elsewhere }
ltl header { [] !mixed }
ltl in_order { [] !late }
ltl prompt { [] !old }
ltl few { [] (counted[0] <= MOST && counted[1] <= MOST && counted[2] <= MOST && counted[3] <= MOST) }
ltl use { [] !(admitted[1] == 1 && admitted[2] == 1 && job[2] == 1) }
ltl use_again { [] !(admitted[0] == 1 && admitted[1] == 1) }
