/* Nodes that publish attempts of a task at the same time lose none of them: a list only grows at its front, up to its
 * limit, no attempt is in it twice, and each node learns an attempt that readers take.
 *
 * Of: worker/cji_worker/fleet/tasks/published.py (publish, _read), core/cji_core/pool/store.py (create, replace).
 * The blob is created if absent, and replaced only in the version (ETag) that was read. An answer may be lost after its
 * write; the storage client then tries again, and sees that the blob exists, or that its version changed.
 * Assumptions: one write at a time; a version is never given twice.
 * Bounds: 3 nodes, a limit of 2, 2 lost answers; each node publishes one attempt, again or not.
 */
#define LIMIT 2
byte list[3]; byte length, version;   /* list[0] is the newest; attempts are numbered from 1 */
byte lost = 2;
byte learned[3];
bool gone, twice;                     /* ghosts */
bool was[4];

inline write_front(a) {
    if :: length > 0 && list[0] == a || length > 1 && list[1] == a -> twice = true :: else -> skip fi;
    list[2] = list[1]; list[1] = list[0]; list[0] = a; length++; version++; was[a] = true;
    printf("| attempt %d is published\n", a)
}

#define IN(a) (list[0] == a || list[1] == a || list[2] == a)
inline still_there() { gone = gone || (was[1] && !IN(1)) || (was[2] && !IN(2)) || (was[3] && !IN(3)) }

proctype Node(byte n; bool again) {
    byte seen, old[2], size;
create:
    if
    :: atomic { length == 0 -> write_front(n + 1); still_there(); learned[n] = n + 1; goto over }
    :: atomic { length == 0 && lost > 0 -> lost--; write_front(n + 1); still_there() }           /* tried again: it exists */
    :: atomic { length > 0 -> skip }
    fi;
    atomic { seen = version; old[0] = list[0]; old[1] = list[1]; size = length };
    if
#ifndef BREAK_IN
    :: atomic { old[0] == n + 1 || (size > 1 && old[1] == n + 1) || !again || size >= LIMIT -> learned[n] = old[0]; goto over }
    :: atomic { !(old[0] == n + 1 || (size > 1 && old[1] == n + 1) || !again || size >= LIMIT) -> skip }
#else
    :: atomic { !again || size >= LIMIT -> learned[n] = old[0]; goto over }
    :: atomic { again && size < LIMIT -> skip }
#endif
    fi;
    if
#ifndef BREAK_VERSION
    :: atomic { version == seen ->
#else
    :: atomic { true -> list[0] = old[0]; list[1] = (size > 1 -> old[1] : 0); list[2] = 0; length = size;
#endif
           write_front(n + 1); still_there(); learned[n] = n + 1;
           if :: lost > 0 -> lost--; learned[n] = 0; goto create :: goto over fi }               /* tried again: changed */
    :: atomic { version != seen -> goto create }
    fi;
over:
    skip
}

init { bool again; atomic {
    run Node(0, true); run Node(1, true);
    if :: again = true :: again = false fi; run Node(2, again) } }

ltl kept { [] !gone }
ltl once { [] !twice }
ltl limited { [] (length <= LIMIT) }
ltl learns { [] ((learned[0] == 0 || was[learned[0]]) && (learned[1] == 0 || was[learned[1]]) && (learned[2] == 0 || was[learned[2]])) }
ltl use { [] !(length == 2 && learned[0] != 0 && learned[1] != 0 && learned[2] != 0) }
