/* A job makes no step that needs a line of the trail before that line is on disk, also when lines of several jobs share a
 * sync: no key before the admission, no receipt before its line. Receipts on disk are one sequence without a gap, and an
 * admission on disk of a job that is over has exactly one end; one that is lost has none.
 *
 * Of: worker/cji_worker/trail/file.py, trail/waiting.py, keyholder/lifecycle.py, keyholder/receipts.py.
 * A group is written and synced by a thread while other lines gather; then both jobs are told, in any order. A sync may
 * fail, which loses the group and what gathered, and a crash may keep any first lines of a group that was not synced.
 * A caller may leave while its line waits: then all that waits is synced or lost first.
 * Assumptions: what was synced stays; the trail goes on after a fault only with what was acknowledged (`recover`).
 * Bounds: 2 jobs, 1 crash, 2 failures.
 */
#define N 2
mtype = { NEW, ADMITTING, RUNNING, COMPLETING, OVER };
mtype = { NONE, GATHERED, GROUP, DISK, LOST };
mtype at[N] = NEW, line[N] = NONE;
bool admitted[N], completed[N], ended[N];      /* durable */
byte last;                                     /* durable: the number of the last receipt */
bool key[N], receipt[N];                       /* left: keys to the cell, the receipt to the front */
byte number[N], place[N], next; bool owed[N], fault;
byte syncs, failures, crashes; bool gap, orphan;          /* ghosts */

#define WAITS(j) (line[j] == GATHERED || line[j] == GROUP)
#define FIRST (place[0] <= place[1] -> 0 : 1)

inline enter(j) { line[j] = GATHERED; place[j] = next; next++ }
inline durable(j) {
    if
    :: number[j] == 0 -> admitted[j] = true
    :: else -> completed[j] = true; gap = gap || number[j] != last + 1; last = number[j];
       orphan = orphan || ended[j] || !admitted[j]
    fi;
    line[j] = DISK
}
inline end(j) { orphan = orphan || !admitted[j] || completed[j] || ended[j]; ended[j] = true }
inline lose(j) {
    if
    :: line[j] == GROUP -> line[j] = LOST
#ifndef BREAK_GATHERED
    :: line[j] == GATHERED -> line[j] = LOST
#endif
    :: else -> skip
    fi
}
inline group() {
    if :: line[0] == GATHERED -> line[0] = GROUP :: else -> skip fi;
    if :: line[1] == GATHERED -> line[1] = GROUP :: else -> skip fi
}
inline sync() {                                /* of the group, if there is one */
    if
    :: line[0] != GROUP && line[1] != GROUP -> skip
    :: else ->
       if
       :: a = FIRST;
          if :: line[a] == GROUP -> durable(a) :: else -> skip fi;
          if :: line[1 - a] == GROUP -> durable(1 - a) :: else -> skip fi;
          syncs++; printf("| the group is on disk\n")
       :: failures < 2 -> failures++; lose(0); lose(1); fault = true; printf("| the sync fails\n")
       fi
    fi
}

active proctype Keyholder() {
    byte j, a;
    do
    :: atomic { if :: j = 0 :: j = 1 fi;
           if
           :: at[j] == NEW && !fault -> at[j] = ADMITTING; enter(j); printf("| the admission of job %d waits\n", j)
           :: at[j] == RUNNING && !fault -> at[j] = COMPLETING; number[j] = last + 1;
#ifndef BREAK_NUMBER
              if :: at[1 - j] == COMPLETING && WAITS(1 - j) -> number[j] = last + 2 :: else -> skip fi;
#endif
              enter(j); printf("| receipt %d of job %d waits\n", number[j], j)
           :: at[j] == ADMITTING && line[j] == DISK -> key[j] = true; at[j] = RUNNING; line[j] = NONE
           :: at[j] == COMPLETING && line[j] == DISK -> receipt[j] = true; at[j] = OVER; line[j] = NONE
#ifdef BREAK_TOLD
           :: at[j] == ADMITTING && line[j] == GROUP -> key[j] = true
           :: at[j] == COMPLETING && line[j] == GROUP -> receipt[j] = true
#endif
           :: at[j] == ADMITTING && line[j] == LOST -> at[j] = OVER; line[j] = NONE; printf("| job %d is refused\n", j)
           :: at[j] == COMPLETING && line[j] == LOST -> at[j] = OVER; line[j] = NONE; owed[j] = true
           :: at[j] == RUNNING -> at[j] = OVER; printf("| the caller of job %d leaves\n", j);
              if :: fault -> owed[j] = true :: !fault -> end(j) fi
           :: at[j] == ADMITTING && WAITS(j) -> printf("| the caller of job %d leaves while its admission waits\n", j);
#ifndef BREAK_SETTLE
              sync(); if :: !fault -> group(); sync() :: else -> skip fi;
#endif
              at[j] = OVER;
              if
#ifndef BREAK_END
              :: line[j] != DISK -> skip
#else
              :: line[j] != DISK -> owed[j] = true
#endif
              :: line[j] == DISK && fault -> owed[j] = true
              :: line[j] == DISK && !fault -> end(j)
              fi;
              if :: !WAITS(j) -> line[j] = NONE :: else -> skip fi
           :: else -> skip
           fi; j = 0; a = 0
       }
    :: atomic { line[0] != GROUP && line[1] != GROUP && !fault && (line[0] == GATHERED || line[1] == GATHERED) -> group() }
    :: atomic { line[0] == GROUP || line[1] == GROUP -> sync(); a = 0 }
    :: atomic { fault -> fault = false; printf("| the trail goes on\n");
           if :: owed[0] -> end(0); owed[0] = false :: else -> skip fi;
           if :: owed[1] -> end(1); owed[1] = false :: else -> skip fi }
    :: atomic { crashes == 0 -> crashes++; printf("| a crash\n");
           a = FIRST;
           if
           :: line[a] == GROUP -> durable(a); if :: line[1 - a] == GROUP -> durable(1 - a) :: true -> skip fi
           :: line[a] != GROUP && line[1 - a] == GROUP -> durable(1 - a)
           :: true -> skip
           fi;
           fault = false;
           for (j : 0 .. 1) {
               if :: at[j] != NEW -> at[j] = OVER :: else -> skip fi;
               line[j] = NONE; owed[j] = false;
               if :: admitted[j] && !completed[j] && !ended[j] -> end(j) :: else -> skip fi
           }
           j = 0; a = 0 }
    :: at[0] == OVER && at[1] == OVER -> break
    od
}

ltl key_after { [] ((!key[0] || admitted[0]) && (!key[1] || admitted[1])) }
ltl receipt_after { [] ((!receipt[0] || completed[0]) && (!receipt[1] || completed[1])) }
ltl sequence { [] !gap }
ltl one_end { [] !orphan }
ltl has_end { [] ((at[0] == OVER && admitted[0] -> completed[0] || ended[0] || owed[0]) && (at[1] == OVER && admitted[1] -> completed[1] || ended[1] || owed[1])) }
ltl use { [] !(receipt[0] && receipt[1] && syncs < 4) }
ltl use_again { [] !(failures == 1 && crashes == 1 && receipt[1]) }
