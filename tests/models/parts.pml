/* All statements behind the receipt of a job in parts are of one header, one plan and one set of decision tables, and a
 * consumer read only what a listed producer wrote, whatever the storage shows to whom; and after tables or release changed
 * everywhere the job can still be finished.
 *
 * Of: worker/cji_worker/keyholder/gathering.py, fleet/tasks/ (attempt.py, finishes.py), core/cji_core/trail/statements.py.
 * Two producers (tasks 0 and 1) and one consumer, which makes the output. Two workers, each of which changes its tables
 * once, at any time. Planning makes up to two plans under the old tables and one under the new ones; the storage shows any
 * plan and any stream to any attempt, and any statements to the worker that finishes, statements of another job included.
 * Assumptions: receipt keys and the statement key cannot be forged; tasks are deterministic for a plan and tables; a stream
 * has one digest. BREAK_NEWEST, BREAK_REPLAN: an honest fleet sends every statement of the first plan.
 * Bounds: 5 attempts in all, 2 of them by the consumer.
 */
#define RUNS 5
#define STREAM(k, p, t) (k * 6 + p * 2 + t)
#define PLAN_OF(x) ((x % 6) / 2)
#define TABLES_OF(x) (x % 2)
#define PLAN_TABLES(p) (p == 2)

/* a statement of producer 0 (from 0) or 1 (from 6) */
#define HAS(f) (wrote[f] || wrote[f + 1] || wrote[f + 2] || wrote[f + 3] || wrote[f + 4] || wrote[f + 5])
inline choose(v, f) {
    if
    :: wrote[f] -> v = f :: wrote[f + 1] -> v = f + 1 :: wrote[f + 2] -> v = f + 2
    :: wrote[f + 3] -> v = f + 3 :: wrote[f + 4] -> v = f + 4 :: wrote[f + 5] -> v = f + 5
    fi
}

/* what the worker that finishes refuses */
#ifndef BREAK_PROOF
#define FORGED c_forged[c]
#else
#define FORGED false
#endif
#ifndef BREAK_HEADER
#define FOREIGN c_alien[c]
#else
#define FOREIGN false
#endif
#ifndef BREAK_PLAN
#define OTHER_PLAN (c_plan[c] != p || PLAN_OF(x) != p || PLAN_OF(y) != p)
#else
#define OTHER_PLAN false
#endif
#ifndef BREAK_TABLES
#define OTHER_TABLES (c_tables[c] != tables[w] || TABLES_OF(x) != tables[w] || TABLES_OF(y) != tables[w] || PLAN_TABLES(p) != tables[w])
#else
#define OTHER_TABLES false
#endif
#ifndef BREAK_STREAMS
#define OTHER_STREAM (x != c_read0[c] || y != c_read1[c])
#else
#define OTHER_STREAM false
#endif
/* what an honest fleet cannot avoid sending */
#define BOTH(k) (wrote[STREAM(k, p, 0)] && wrote[STREAM(k, p, 1)])
#ifdef BREAK_NEWEST
#define TOO_MANY (BOTH(0) || BOTH(1) || (p == 2 && (planned[0] || planned[1])))   /* what ran before a plan has one name for all plans */
#else
#define TOO_MANY false
#endif
#ifdef BREAK_REPLAN
#define KEPT (p == 2 && (planned[0] || planned[1]))
#else
#define KEPT false
#endif

byte tables[2]; bool planned[3]; 
bool wrote[12];                       /* statements of producers: task, plan, tables */
byte runs = RUNS, consumers;
byte c_plan[2], c_tables[2], c_read0[2], c_read1[2]; bool c_alien[2], c_forged[2];
bool receipt, mixed, alien, unlisted, forged, renewed;  /* ghosts */

proctype Worker(byte w) {
    byte p, k, a, b;
    do
    :: atomic { tables[w] == 0 -> tables[w] = 1; printf("| worker %d has the new tables\n", w) }
    :: atomic { runs > 0 && !receipt ->
           if
           :: tables[w] == 0 && !planned[0] -> p = 0; planned[0] = true; runs--; printf("| plan 0\n")
           :: tables[w] == 0 && planned[0] && !planned[1] -> p = 1; planned[1] = true; printf("| plan 1, at the same time\n")
           :: tables[w] == 1 && !planned[2] -> planned[2] = true; printf("| plan 2, by the new tables\n")
           :: planned[0] -> p = 0; goto task
           :: planned[1] -> p = 1; goto task
           :: planned[2] -> p = 2; goto task
           fi; goto next;
task:      if
           :: k = 0 :: k = 1
           :: consumers < 2 && HAS(0) && HAS(6) -> k = 2
           fi;
           if
           :: k < 2 && !wrote[STREAM(k, p, tables[w])] -> wrote[STREAM(k, p, tables[w])] = true; runs--; printf("| worker %d, tables %d: producer %d under plan %d\n", w, tables[w], k, p)
           :: k == 2 ->
               choose(a, 0); choose(b, 6);
               c_plan[consumers] = p; c_tables[consumers] = tables[w]; c_read0[consumers] = a; c_read1[consumers] = b;
               consumers++; runs--; printf("| worker %d, tables %d: the consumer under plan %d reads %d and %d\n", w, tables[w], p, a, b)
           :: else -> skip
           fi
       }
next:  skip
    :: break
    od
}

proctype Stranger() {                 /* another job's consumer, or a statement by somebody without the data key */
    if
    :: atomic { consumers < 2 -> c_alien[consumers] = true; c_read0[consumers] = 0; c_read1[consumers] = 6; consumers++ }
    :: atomic { consumers < 2 -> c_forged[consumers] = true; c_read0[consumers] = 0; c_read1[consumers] = 6; consumers++ }
    :: skip
    fi
}

proctype Finisher(byte w) {
    byte p, c, x, y;
end0:
    do
    :: atomic { !receipt && consumers > 0 ->
           if :: planned[0] -> p = 0 :: planned[1] -> p = 1 :: planned[2] -> p = 2 fi;
           if :: c = 0 :: consumers > 1 -> c = 1 fi;
           /* the listed statements of the producers */
           x = c_read0[c]; y = c_read1[c];
           if :: skip :: HAS(0) -> choose(x, 0) fi;
           if
           :: FORGED || FOREIGN || OTHER_PLAN || OTHER_TABLES || OTHER_STREAM || TOO_MANY || KEPT || !wrote[x] || !wrote[y]
              -> skip
           :: else -> receipt = true; printf("| worker %d finishes: plan %d, consumer %d\n", w, p, c);
               mixed = c_tables[c] != TABLES_OF(c_read0[c]) || c_tables[c] != TABLES_OF(c_read1[c]) || PLAN_OF(c_read0[c]) != PLAN_OF(c_read1[c]) || c_plan[c] != PLAN_OF(c_read0[c]) || c_tables[c] != PLAN_TABLES(c_plan[c]);
               alien = c_alien[c]; forged = c_forged[c]; unlisted = x != c_read0[c];
               renewed = planned[0] && c_plan[c] == 2
           fi
       }
    od
}

init { atomic { run Worker(0); run Worker(1); run Stranger(); run Finisher(0) } }

ltl whole { [] !mixed }
ltl of_job { [] (!alien && !forged) }
ltl listed { [] !unlisted }
ltl use { [] !receipt }
/* planned under the old tables, finished under the new ones */
ltl use_renewed { [] !renewed }
