/* Fleet process and door, both taken over, get no token but those that the configuration gives to these users, and no token
 * makes an entry of the pool ledger: that takes a key that only the vault releases.
 *
 * Of: worker/cji_worker/broker/ (grants.py, server.py), core/cji_core/pool/entries.py.
 * Users 0 keyholder, 1 fleet process, 2 door. The metadata service gives any token to whoever reaches it; the firewall lets
 * only the broker reach it; the broker answers a user, as the kernel names it, with what the configuration grants it. Fleet
 * process and door are taken over: they ask for everything, pass tokens to each other, and write what they can.
 * Assumptions: kernel and firewall; the broker itself is not taken over; the ledger's container takes any blob from whoever
 * has a token of storage with the identity of the ledger.
 * Bounds: 3 users, 2 identities (ledger, fleet).
 */
#define LEDGER 1
#define FLEET 2
byte tokens[3];                       /* bits that each user has */
bool key0 = true;                     /* the keyholder has the released key */
bool blob, counts, served;            /* a blob of a process that was taken over; a reader counts it; ghost: honest entry */

#define GRANT(u) (u == 0 -> LEDGER : (u == 1 -> FLEET : 0))

proctype User(byte u) {
    byte named = u;
    do
    :: atomic { u != 0 -> 
#ifdef BREAK_PEER
           if :: named = 0 :: named = 1 fi                              /* states by itself who it is */
#else
           skip
#endif
       }
    :: atomic { tokens[u] != (tokens[u] | GRANT(named)) -> tokens[u] = tokens[u] | GRANT(named); printf("| the broker answers user %d as user %d\n", u, named) }
#ifdef BREAK_FIREWALL
    :: atomic { u != 0 && tokens[u] != 3 -> tokens[u] = 3; printf("| user %d asks the metadata service itself\n", u) }
#endif
#ifdef BREAK_GRANT
    :: atomic { u != 0 && tokens[u] != 3 -> tokens[u] = 3; printf("| the broker passes on any request of user %d\n", u) }
#endif
    :: atomic { u != 0 && tokens[u] != (tokens[u] | tokens[3 - u]) -> tokens[u] = tokens[u] | tokens[3 - u]; printf("| user %d has it from user %d\n", u, 3 - u) }
    :: atomic { u != 0 && (tokens[u] & LEDGER) && !blob -> blob = true; printf("| user %d writes to the ledger\n", u) }
    :: atomic { u == 0 && (tokens[0] & LEDGER) && key0 -> served = true }
    :: break
    od
}

/* for the second half of the promise a token has been stolen by other means */
proctype Thief() { if :: atomic { blob = true; printf("| somebody with a stolen token writes to the ledger\n") } :: skip fi }

proctype Reader() {
    blob;
#ifdef BREAK_PROOF
    counts = true
#else
    skip                              /* no proof by the job's key: foreign */
#endif
}

init { atomic { run User(0); run User(1); run User(2);
    run Thief(); run Reader() } }

ltl own { [] (!(tokens[1] & LEDGER) && !(tokens[2] & LEDGER)) }
ltl no_entry { [] !counts }
ltl use { [] !(served && (tokens[1] & FLEET)) }
