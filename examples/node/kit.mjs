// Run what this program reads against the conformance kit: node examples/node/kit.mjs [FOLDER], by default docs/vectors/kit
//
// A case is read as its group's `about` says. What is valid must open and have what `expected` says, what is invalid must
// not open, and what is acceptable may do either. Prints the number of cases of each group, and those that went wrong; if
// there are any, it ends with status 1.

import { createPrivateKey, createPublicKey, verify as verified } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

import { PARAMETERS, admissionMessage, expand, jobMessage, opened, sealedWith, sha384, stream, thumbprint, unboxed, unwrapped } from "./format.mjs";

const folder = process.argv[2] ?? fileURLToPath(new URL("../../docs/vectors/kit", import.meta.url));
const json = (name) => JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
const bytes = (hex) => Buffer.from(hex, "hex");
const hex = (data) => Buffer.from(data).toString("hex");
const keys = json("keys").rsa;
const pem = (name) => createPrivateKey({ key: bytes(keys[name]), format: "der", type: "pkcs8" }).export({ format: "pem", type: "pkcs8" });

// [4] A key of 32 bytes under RSA-OAEP.
function key(name, wrapped) {
  const found = unwrapped(pem(name), bytes(wrapped));
  if (found.length !== 32) throw new Error("not a key");
  return hex(found);
}

function streamOf(data) {
  const [key, aad] = [bytes(data.key), bytes(data.aad)];
  const found = {};
  let sent = data.data?.map(bytes);
  if (data.pieces) {
    sent = sealedWith(key, aad, bytes(data.iv), data.sivs.map(bytes), pieces(data.pieces));
    const whole = Buffer.concat(sent);
    Object.assign(found, { data_bytes: whole.length, data_sha384: hex(sha384(whole)) });
  }
  const plain = opened(key, aad, sent);
  const floe = stream(key, sent[0].subarray(0, 42), aad);
  return { ...found, plaintext: hex(plain), plaintext_bytes: plain.length, plaintext_sha384: hex(sha384(plain)), dek_0: hex(floe.dek(0n)) };
}

// 00 01 ... ff repeated, cut into pieces of these lengths.
function pieces(lengths) {
  let next = 0;
  return lengths.map((length) => Buffer.from(Uint8Array.from({ length }, () => next++ & 255)));
}

// What a worker verifies: the header's members by number, its suite and the keys that it names.
function named(header, wanted) {
  for (let at = 0; at < header.length; ) {
    const number = () => {
      let [value, shift] = [0, 0];
      for (; header[at] > 127; shift += 7) value |= (header[at++] & 127) << shift;
      return value | (header[at++] << shift);
    };
    const tag = number();
    const value = number();
    if (tag >> 3 === wanted) return (tag & 7) === 2 ? header.subarray(at, at + value) : value;
    if ((tag & 7) === 2) at += value;
  }
  return undefined;
}

const classicalHeader = ({ header }) => named(bytes(header), 7) === 1;

function check(jwk, thumb, message, signature) {
  const key = createPublicKey({ key: JSON.parse(jwk), format: "jwk" });
  if (thumbprint(JSON.parse(jwk)) !== thumb.toString("base64url")) throw new Error("the header names another key");
  if (!verified("sha384", message, { key, dsaEncoding: "ieee-p1363" }, bytes(signature))) throw new Error("not signed with this key");
}

function signatureOf({ jwk, header, signature }) {
  check(jwk, named(bytes(header), 8), jobMessage(bytes(header)), signature);
  return {};
}

function admissionOf({ header, nonce, receipt_jwk, attempt, submitter_jwk, send_jwk, signature }) {
  const receiptKey = Buffer.from(thumbprint(JSON.parse(receipt_jwk)), "base64url");
  const message = admissionMessage(bytes(nonce), receiptKey, bytes(header), attempt);
  const sender = named(bytes(header), 9);
  check(sender ? send_jwk : submitter_jwk, sender ?? named(bytes(header), 8), message, signature);
  return { message: hex(message) };
}

function derived({ what, index, mk, iv, aad, data_key, header_sha384, plan_sha384 }) {
  if (what === "dek") {
    const rotated = Buffer.alloc(8);
    rotated.writeBigUInt64BE((BigInt(index) >> 20n) << 20n);
    const info = Buffer.concat([PARAMETERS, bytes(iv), Buffer.from("DEK:"), rotated, bytes(aad)]);
    return { key: hex(expand(bytes(mk), info, 32)) };
  }
  const info = Buffer.concat([Buffer.from(`cji-${what}-key/1\0`), bytes(header_sha384), bytes(what === "shuffle" ? plan_sha384 : "")]);
  return { key: hex(expand(bytes(data_key), info, what === "statement" ? 48 : 32)) };
}

function noncePath({ nonce, nonce_path }) {
  const path = bytes(nonce_path);
  if (path.length % 49 || path.length > 6 * 49) throw new Error("the nonce path has another length");
  let root = sha384(Buffer.concat([Buffer.from("\0cji-nonce/1\0"), bytes(nonce)]));
  for (let at = 0; at < path.length; at += 49) {
    const [side, partner] = [path[at], path.subarray(at + 1, at + 49)];
    if (side > 1) throw new Error("a partner is on neither side");
    root = sha384(Buffer.concat([Buffer.from([1]), ...(side ? [root, partner] : [partner, root])]));
  }
  return { root: hex(root) };
}

const box = ({ data_key, purpose, box }) => ({ plaintext: hex(unboxed(bytes(data_key), bytes(purpose).toString("latin1"), bytes(box))) });

// Which cases of a group this program reads, and how.
const all = () => true;
const classical = ({ suite }) => suite === "classical-1";
const READERS = {
  admissions: [classicalHeader, admissionOf],
  boxes: [all, box],
  "data-keys": [classical, ({ worker_key, wrapped_dek }) => ({ data_key: key(worker_key.rsa, wrapped_dek) })],
  derived: [all, derived],
  "nonce-paths": [all, noncePath],
  "result-keys": [classical, ({ recipient, wrapped_dek }) => ({ result_key: key(recipient, wrapped_dek) })],
  signatures: [classicalHeader, signatureOf],
  streams: [all, streamOf],
};

// Why it does not read the others.
const WORKER = "a worker reads them";
const LACKS = {
  headers: WORKER,
  records: WORKER,
  statements: WORKER,
  tickets: WORKER,
  receipts: "not the form of claims; examples/receipt/verify.mjs verifies the signature",
  failures: "not the form of claims",
  attributions: "no reader of canonical messages",
  "result-headers": "no reader of canonical messages",
  jobs: "its parts are in the groups above",
};
const HYBRID = "hybrid-1: Node 20 has neither ML-KEM nor ML-DSA";

function passes([, read], { result, data, expected = {} }) {
  let found;
  try {
    found = read(data);
  } catch {
    return result !== "valid";
  }
  const compared = Object.keys(expected).filter((name) => name in found);
  const same = compared.every((name) => isDeepStrictEqual(found[name], expected[name]));
  return result !== "invalid" && same && (compared.length > 0 || !Object.keys(expected).length);
}

for (const group of readdirSync(folder).map((file) => file.replace(".json", "")).sort()) {
  if (group === "keys" || group === "schema") continue;
  const reader = READERS[group];
  const { cases } = json(group);
  const mine = reader ? cases.filter(({ data }) => reader[0](data)) : [];
  const wrong = mine.filter((each) => !passes(reader, each));
  const others = cases.length - mine.length;
  const lacks = others ? `: ${reader ? HYBRID : LACKS[group] ?? "this program does not know the group"}` : "";
  console.log(`${group}: ${mine.length - wrong.length} passed, ${wrong.length} failed, ${others} not supported${lacks}`);
  for (const { id } of wrong) console.log(`  wrong: ${id}`);
  if (wrong.length) process.exitCode = 1;
}
