/* Nothing of a direct job's result can be read by anybody before its receipt is in the trail and is the end of the job,
 * and the client opens nothing before it verified the receipt.
 *
 * Of: worker/cji_worker/front/job_stream.py, keyholder/lifecycle.py, client/cji_client/transport.py.
 * A result of two segments. Whatever the keyholder gives to the front counts as sent, since a front that was taken over
 * sends what it has; the recipient has the key of the result header. Either may end the connection at every step.
 * Assumptions: who lacks the result header cannot read a segment; the keyholder gives the header to nobody else.
 * Bounds: 1 job, 1 competing worker, which may make the end first.
 */
byte sent;                            /* segments that left */
bool header, receipt;                 /* that left */
bool line;                            /* durable: the receipt is in the trail */
mtype = { NOBODY, MINE, OTHER };
mtype end = NOBODY;
bool shown, gone, altered;            /* rows that the client gave to its caller; the door altered some */

#define LEFT atomic { gone -> goto stop }

proctype Keyholder() {
#ifdef BREAK_LAST
    atomic { header = true; printf("| the result header travels with `accepted`\n") };
#endif
    if :: sent = 1 :: LEFT fi;
#ifdef BREAK_LINE
    atomic { header = true; printf("| the header leaves before the line is durable\n") };
#endif
    if :: atomic { line = true; printf("| the receipt is in the trail\n") } :: LEFT :: goto stop fi;       /* or a crash */
#ifdef BREAK_END
    atomic { header = true; sent = 2; receipt = true };
#endif
    if
    :: atomic { end == NOBODY -> end = MINE; printf("| it is the end of the job\n") }
    :: atomic { end == OTHER -> printf("| superseded\n");
#ifndef BREAK_SUPERSEDED
           goto stop
#endif
       }
    fi;
    atomic { header = true; sent = 2; receipt = true; printf("| held segments, result header, receipt\n") };
stop:
    skip
}

proctype Other() { if :: atomic { end == NOBODY -> end = OTHER } :: skip fi }

proctype Door() { if :: atomic { !shown -> altered = true; printf("| the door altered a segment on its way\n") } :: skip fi }

proctype Client() {
    do
    :: atomic { gone = true; printf("| the client hangs up\n"); break }
#ifndef BREAK_SPOOL
    :: atomic { header && receipt -> if :: !altered -> shown = true; printf("| verified, and opened\n") :: altered -> skip fi; break }
#else
    :: atomic { header && receipt -> shown = true; printf("| opened before it verified anything\n"); break }
#endif
    od
}

init { atomic { run Keyholder(); run Other(); run Door(); run Client() } }

ltl unreadable { [] ((header && sent > 0) -> (line && end == MINE)) }
ltl unopened { [] !(shown && altered) }
ltl use { [] !shown }
