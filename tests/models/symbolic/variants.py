"""Write the symbolic models of the protocol for Scyther: `python variants.py FOLDER`. README.md has how to check them.

The adversary is the network (Dolev and Yao): doors, storage, other submitters, the database of sealed columns. Each
protocol has a variant with every guard, and one for each guard that is removed, so that a proof is never empty.
"""

import sys
from pathlib import Path

COMMON = """# {why}
const pool, HW: Agent;
const kek: Function; secret kekPrivate: Function; inversekeyfunctions (kek, kekPrivate);          # of the pool, pinned
const receiptKey: Function; secret receiptPrivate: Function; inversekeyfunctions (receiptKey, receiptPrivate);
const recipientKey: Function; secret recipientPrivate: Function; inversekeyfunctions (recipientKey, recipientPrivate);
hashfunction h; hashfunction result; hashfunction mac; hashfunction kdf;
const attest, evidence, admit, job, part, receipt, seen, rewrap, cell, attempt, end: Ticket;
usertype Record; usertype Identifier; usertype Scope;
# another authorised submitter, recipient and agency of the pool, who is the adversary
const Eve: Agent; untrusted Eve; compromised recipientPrivate(Eve);
"""


def direct(*, bound: str = "worker", evidence: bool = True, pinned: bool = True, observed: bool = False) -> str:
    """A direct job: evidence, header, admission signature, parts, result header and receipt.

    `bound`: what the admission signature covers beside the header: "worker", "nonce" (no receipt key), or "nothing".
    """

    def header(recipient: str) -> str:
        wrapped = "{dek}kek(pool)" if pinned else "{dek}kek(K)"
        return f"(id,pool,C,{wrapped},recipientKey({recipient}))"

    def admission(mine: str) -> str:
        covered = {"worker": f"nw,{mine},", "nonce": "nw,", "nothing": ""}[bound]
        return "{{admit,{}h({})}}sk(C)".format(covered, header("C"))

    def sending(recipient: str, mine: str) -> str:
        own = header(recipient)
        signed = admission(mine).replace(header("C"), own)
        return f"C,{own},{{job,h({own})}}sk(C),{signed},{{part,h({own}),rec}}dek"

    def answer(recipient: str, mine: str, submitter: str) -> str:
        head = f"{{rk}}recipientKey({recipient})"
        return f"{head},result(rec),{{receipt,h({header(recipient)}),h({head},result(rec)),{submitter}}}{mine}"

    shown = "receiptKey(W)" if evidence else "receiptKey(K)"
    signer = "receiptPrivate(W)" if evidence else "receiptPrivate(K)"
    proof = "{evidence,n,receiptKey(W)}sk(HW),nw" if evidence else "receiptKey(K),nw"
    worker_kek = header("R").replace("kek(K)", "kek(pool)")
    text = f"""
protocol direct({"C,W,X" if observed else "C,W"})
{{
  role C {{  # the submitter, who is its own recipient
    fresh n: Nonce; fresh id: Identifier; fresh dek: SessionKey; fresh rec: Record;
    var rk: SessionKey; var nw: Nonce;{" var K: Agent;" if not (evidence and pinned) else ""}
    send_!1(C,W, attest,n);
    recv_!2(W,C, {proof});
{"" if pinned else "    recv_!7(W,C, kek(K));" + chr(10)}    claim(C,Running,W,id,dek,rec,nw);
    send_!3(C,W, {sending("C", shown)});
    claim(C,Secret,rec);
    claim(C,Secret,dek);
    recv_!4(W,C, {answer("C", signer, "C")});
    claim(C,Commit,W,id,dek,rec,rk);
  }}
  role W {{  # front, keyholder and cell of one worker
    fresh rk: SessionKey; fresh nw: Nonce;{" fresh admission: Nonce;" if observed else ""}
    var n: Nonce; var id: Identifier; var dek: SessionKey; var rec: Record; var R: Agent;
    recv_!1(C,W, attest,n);
    send_!2(W,C, {{evidence,n,receiptKey(W)}}sk(HW),nw);
    recv_!3(C,W, {sending("R", "receiptKey(W)").replace("kek(K)", "kek(pool)")});
    claim(W,Commit,C,id,dek,rec,nw);
    claim(W,Running,C,id,dek,rec,rk);
{"    send_!5(W,X, {seen,C,id,admission}receiptPrivate(W));" + chr(10) if observed else ""}\
    send_!4(W,C, {answer("R", "receiptPrivate(W)", "C").replace(header("R"), worker_kek)});
    claim(W,Secret,rec);
    claim(W,Secret,rk);
  }}
"""
    if observed:
        text += """  role X {  # sees two admissions of one sending: reachable or not
    var id: Identifier; var a,b: Nonce;
    recv_!5(W,X, {seen,C,id,a}receiptPrivate(W));
    recv_!6(W,X, {seen,C,id,b}receiptPrivate(W));
    not match(a,b); not match(C,Eve);
    claim(X,Reachable);
  }
"""
        text = "\n".join(line for line in text.split("\n") if "claim(" not in line or "Reachable" in line)
    if not evidence:
        text = text.replace("\nprotocol", "compromised receiptPrivate(Eve);\n\nprotocol", 1)
    if not pinned:
        text = text.replace("\nprotocol", "compromised kekPrivate(Eve);\n\nprotocol", 1)
    return text + "}\n"


def reference(*, named: bool) -> str:
    """A resident reference: the job that leaves it, and a later job of the submitter that owns it, who gets hits."""

    def header(recipient: str) -> str:
        return f"(id,pool,{'C,' if named else ''}{{dek}}kek(pool),recipientKey({recipient}))"

    def first(recipient: str) -> str:
        own = header(recipient)
        return f"C,{own},{{job,h({own})}}sk(C),{{admit,nw,receiptKey(W),h({own})}}sk(C),{{part,h({own}),ref}}dek"

    left = f"h({{part,h({header('R')}),ref}}dek)"
    used = f"(id2,pool,{'C,' if named else ''}{{dek2}}kek(pool),recipientKey(C),{left})"
    return f"""
protocol reference(C,W)
{{
  role C {{
    fresh n: Nonce; fresh id: Identifier; fresh dek: SessionKey; fresh ref: Record; var nw: Nonce;
    send_!1(C,W, attest,n);
    recv_!2(W,C, {{evidence,n,receiptKey(W)}}sk(HW),nw);
    send_!3(C,W, {first("C")});
    claim(C,Secret,ref);
  }}
  role W {{
    fresh nw: Nonce; var n: Nonce; var id,id2: Identifier; var dek,dek2: SessionKey; var ref: Record; var R: Agent;
    recv_!1(C,W, attest,n);
    send_!2(W,C, {{evidence,n,receiptKey(W)}}sk(HW),nw);
    recv_!3(C,W, {first("R")});
    recv_!4(C,W, C,{used},{{job,h({used})}}sk(C));
    send_!5(W,C, {{result(ref),ref}}recipientKey(C));
  }}
}}
"""


def columns(statement: str, *, whole: str = "S,A,sc") -> str:
    """A column key that its agency rewraps to the pool, for one submitter and scope; the database is the network."""
    head = f"(id,pool,S,{{dek}}kek(pool),recipientKey(S),h({statement}))"
    sent = f"S,{head},{{job,h({head})}}sk(S),{statement},{{part,h({head}),{{cell,val}}cek}}dek"
    return f"""
protocol columns(A,S,W)
{{
  role A {{  # custodian and writer of the agency
    fresh cek: SessionKey; fresh val: Record; fresh sc: Scope;
    match(W,pool);
    send_!1(A,S, {statement});
    claim(A,Running,W,cek,{whole});
    send_!2(A,S, {{cell,val}}cek);
    claim(A,Secret,cek);
    claim(A,Secret,val);
  }}
  role S {{  # an honest submitter, who takes both from the database as they lie there, and can open neither
    fresh id: Identifier; fresh dek: SessionKey; var cek: SessionKey; var val: Record; var sc: Scope;
    match(W,pool);
    recv_!1(A,S, {statement});
    recv_!2(A,S, {{cell,val}}cek);
    send_!3(S,W, {sent});
    recv_!4(W,S, {{val}}recipientKey(S));
  }}
  role W {{
    var id: Identifier; var dek,cek: SessionKey; var val: Record; var sc: Scope;
    match(W,pool);
    recv_!3(S,W, {sent});
    claim(W,Commit,A,cek,{whole});
    send_!4(W,S, {{val}}recipientKey(S));
  }}
}}
"""


def ledger(*, proved: bool = True, whole: bool = True, labelled: bool = True) -> str:
    """Attempt entry and end of a job in the pool ledger: one worker creates them, another one believes the end.

    The proof is a MAC under a key that is derived from the pool's KEK, over a label and the claims.
    """

    def entry(label: str, value: str) -> str:
        named = f"id,{value},receiptKey(W)"
        covered = f"{label},{named}" if labelled else named
        proof = f",mac(kdf(kekPrivate(pool)),{covered if whole else f'{label},id'})" if proved else ""
        return f"{label},{named}{proof}"

    return f"""
protocol ledger(W,V)
{{
  role W {{  # a worker to which the vault released the KEK
    fresh id: Identifier; fresh name, digest: Identifier;
    match(V,pool);
    send_!1(W,V, {entry("attempt", "name")});
    claim(W,Running,V,id,digest);
    send_!2(W,V, {entry("end", "digest")});
  }}
  role V {{  # another one, which publishes the document of this digest
    var id: Identifier; var digest: Identifier;
    match(V,pool);
    recv_!2(W,V, {entry("end", "digest")});
    claim(V,Commit,W,id,digest);
  }}
}}
"""


BOUND = "{rewrap,S,A,sc,{cek,rewrap,S,A,sc}kek(pool)}sk(A)"
VARIANTS = {
    "direct": ("every guard", direct()),
    "directLoose": ("the admission signature does not cover the receipt key", direct(bound="nonce")),
    "directFree": ("the admission signature covers the header alone", direct(bound="nothing")),
    "directUnattested": ("the client takes a receipt key without evidence", direct(evidence=False)),
    "directUnpinned": ("the client seals to any key that it is offered", direct(pinned=False)),
    "once": ("two admissions of one sending, every guard", direct(observed=True)),
    "onceFree": ("two admissions of one sending, without nonce", direct(observed=True, bound="nothing")),
    "reference": ("the header names its submitter", reference(named=True)),
    "referenceUnnamed": ("the header does not name its submitter", reference(named=False)),
    "columns": ("signer, submitter and scope stand inside what is sealed", columns(BOUND)),
    "columnsBeside": ("they stand beside it", columns("{rewrap,S,A,sc,{cek}kek(pool)}sk(A)")),
    "columnsUnsigned": ("nobody signs", columns("rewrap,S,A,sc,{cek,rewrap,S,A,sc}kek(pool)")),
    "columnsShared": (
        "the submitter is not inside",
        columns("{rewrap,A,sc,{cek,rewrap,A,sc}kek(pool)}sk(A)", whole="A,sc"),
    ),
    "ledger": ("an entry is proved by a key that is derived from the pool's KEK", ledger()),
    "ledgerBare": ("an entry is whatever somebody with a token created", ledger(proved=False)),
    "ledgerPart": ("the proof does not cover the digest", ledger(whole=False)),
    "ledgerUnlabelled": ("attempt entries and ends have one label", ledger(labelled=False)),
}

if __name__ == "__main__":
    for name, (why, body) in VARIANTS.items():
        protocol = body.split("protocol ", 1)[1].split("(", 1)[0]
        text = COMMON.format(why=f"{name}: {why}") + body.replace(f"protocol {protocol}(", f"protocol {name}(")
        Path(sys.argv[1], f"{name}.spdl").write_text(text)
