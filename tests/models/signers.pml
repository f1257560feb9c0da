/* While a submitter changes its signing key and the workers of a pool take the new policy one after another, no job is
 * refused for good, no job under a key that was never granted begins, and afterwards the old key opens nothing.
 *
 * Of: core/cji_core/format/configuration (policy), worker/cji_worker/fleet/slot.py, keyholder/admission.py.
 * Policies: 1 has the old key, 2 both, 3 the new one. Two workers reload in any order and at any time; the submitter signs
 * with the new key once it saw policy 2 somewhere. A refusal by policy is of one worker and one moment until the header's
 * not_after: the ticket is visible again.
 * Assumptions: the operator publishes policy 3 only after every worker has policy 2 and no job under the old key waits.
 * Bounds: 2 workers, 2 jobs under granted keys, 1 under a key of nobody.
 */
#define OLD 1
#define NEW 2
#define ALIEN 4
byte policy[2] = 1; byte offered = 1;
byte key[3]; bool begun[3]; bool refused[3]; bool expired[3];
bool late, stranger;                  /* ghosts */

proctype Reload(byte w) {
end0:
    do
    :: atomic { policy[w] < offered -> policy[w]++; printf("| worker %d has policy %d\n", w, policy[w]) }
    od
}

#define WAITS(j) (key[j] != 0 && !begun[j] && !refused[j] && !expired[j])
#define GRANTED(w, j) ((policy[w] != 3 && key[j] == OLD) || (policy[w] >= 2 && key[j] == NEW))
#ifndef BREAK_CHECK
#define MAY(w, j) GRANTED(w, j)
#else
#define MAY(w, j) true
#endif

inline begin(w, j) {
    begun[j] = true; printf("| worker %d, policy %d, begins job %d, signed with key %d\n", w, policy[w], j, key[j]);
    stranger = stranger || key[j] == ALIEN;
    late = late || (key[j] == OLD && policy[w] == 3)
}

proctype Worker(byte w) {
end0:
    do
    :: atomic { WAITS(0) && MAY(w, 0) -> begin(w, 0) }
    :: atomic { WAITS(1) && MAY(w, 1) -> begin(w, 1) }
    :: atomic { WAITS(2) && MAY(w, 2) -> begin(w, 2) }
    :: atomic { WAITS(2) && !MAY(w, 2) -> expired[2] = true }           /* its not_after passes */
#ifdef BREAK_REFUSAL
    :: atomic { WAITS(0) && !MAY(w, 0) -> refused[0] = true; printf("| worker %d, policy %d, refuses job 0 for good\n", w, policy[w]) }
    :: atomic { WAITS(1) && !MAY(w, 1) -> refused[1] = true; printf("| worker %d, policy %d, refuses job 1 for good\n", w, policy[w]) }
#endif
    od
}

proctype Operator() {
#ifndef BREAK_TWO
    offered = 2; printf("| policy 2: both keys\n");
    policy[0] >= 2 && policy[1] >= 2;
    atomic { (key[0] != OLD || begun[0]) && (key[1] != OLD || begun[1]) && key[0] != 0 && key[1] != 0 -> offered = 3; printf("| policy 3: the new key\n") }
#else
    atomic { offered = 3; policy[0] = 3; printf("| policy 3, at once\n"); policy[1] = 3 }
#endif
}

proctype Submitter() {
    byte n;
    do
    :: n < 2 -> atomic { if :: key[n] = OLD :: policy[0] >= 2 || policy[1] >= 2 -> key[n] = NEW fi; printf("| job %d is signed with key %d\n", n, key[n]) }; n++
    :: n == 2 -> break
    od;
    key[2] = ALIEN
}

init { atomic { run Reload(0); run Reload(1); run Worker(0); run Worker(1); run Operator(); run Submitter() } }

ltl kept { [] (!refused[0] && !refused[1]) }
ltl authorised { [] (!stranger && !late) }
/* every granted job begins */
ltl served { <> (begun[0] && begun[1]) }
ltl use { [] !(begun[0] && begun[1] && key[0] == OLD && key[1] == NEW && policy[0] == 3 && policy[1] == 3) }
