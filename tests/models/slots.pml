/* A resident reference is used only by jobs of its own submitter and only while its key is held; a job that ends late
 * touches no later tenancy of its slot, and no cell maps a slot that is being wiped.
 *
 * Of: worker/cji_worker/keyholder/references.py (Tenancy, find, assign, retain, abandon), effects.py.
 * One slot, jobs of two submitters one after another and beside each other. Cells may end by themselves at any time; their
 * job hears of it later. Submitter 1 is hostile: its cells end early, its callers are slow.
 * Assumptions: the main thread does one step at a time; the zygote wipes when it was told to.
 * Bounds: 1 slot, 3 jobs, 1 expiry, 1 end of a key (with its jobs, or without if the version only expired).
 */
mtype = { FREE, FILLING, RESIDENT, LEAVING, WIPING };
mtype state = FREE;
byte generation, owner, content;      /* content: whose reference the memory holds, 0 none */
byte cells;                           /* bits: cells that map the slot */
bool held = true; bool expiry = true;
bool stranger, unheld, lost, mapped;  /* ghosts */

#ifndef BREAK_CELLS
inline sweep() { if :: state == LEAVING && cells == 0 -> state = WIPING :: else -> skip fi }
#else
inline sweep() { if :: state == LEAVING -> state = WIPING :: else -> skip fi }
#endif

#ifndef BREAK_GENERATION
#define SAME (mine == generation)
#else
#define SAME true
#endif

proctype Job(byte n; byte who) {
    byte mine; bool fills, wrote;
    /* find, and assign in the same step */
    atomic {
        if
        :: state == FREE -> fills = true; mine = generation; state = FILLING; cells = cells | (1 << n); printf("| job %d of submitter %d fills the slot\n", n, who)
#ifndef BREAK_OWNER
        :: state == RESIDENT && owner == who ->
#else
        :: state == RESIDENT ->
#endif
               mine = generation; cells = cells | (1 << n); printf("| job %d of submitter %d uses the slot\n", n, who);
               if :: content != who -> stranger = true :: else -> skip fi
        :: else -> goto over
        fi
    };
    if
    :: atomic { fills && (cells & (1 << n)) -> content = who; wrote = true }
    :: skip
    fi;
    if
    :: atomic { cells = cells & ~(1 << n); printf("| the cell of job %d ends by itself\n", n); sweep() }
    :: skip
    fi;
    /* its end: with a receipt, and a wish to retain, which both witnesses vouch for; or without */
    if
    :: atomic { !fills || wrote ->
           if
           :: state == FILLING && SAME ->
#ifndef BREAK_KEY
               if :: held -> state = RESIDENT; owner = who; printf("| job %d: retained for submitter %d\n", n, who) :: else -> state = LEAVING; sweep() fi
#else
               state = RESIDENT; owner = who; if :: !held -> unheld = true :: else -> skip fi
#endif
           :: else -> skip
           fi
       }
    :: skip
    fi;
    atomic {
        if
        :: state == FILLING && SAME -> state = LEAVING; if :: mine != generation -> lost = true :: else -> skip fi; printf("| job %d: abandoned\n", n)
        :: else -> skip
        fi; sweep()
    };
over:
    atomic { cells = cells & ~(1 << n); sweep() }                       /* killed; the zygote says that it is gone */
}

proctype Zygote() {
end0:
    do
    :: atomic { state == WIPING -> if :: cells != 0 -> mapped = true :: else -> skip fi; content = 0 ; owner = 0; state = FREE; generation++ ; printf("| wiped\n") }
    od
}

proctype World() {
    if :: atomic { held -> held = false; printf("| the key version ends\n"); if :: state == RESIDENT -> state = LEAVING; sweep() :: else -> skip fi } :: skip fi;
    if :: atomic { state == RESIDENT && expiry -> expiry = false; state = LEAVING; sweep() } :: skip fi
}

init { atomic { run Job(0, 1); run Job(1, 1); run Job(2, 2); run Zygote(); run World() } }

ltl own { [] (!stranger && (state == RESIDENT -> (content == owner || content == 0))) }
ltl key { [] !unheld }
ltl untouched { [] !lost }
ltl unmapped { [] !mapped }
ltl use { [] !(state == RESIDENT && owner == 2) }
ltl use_again { [] !(state == RESIDENT && cells != 0 && owner == 1 && generation > 0) }
