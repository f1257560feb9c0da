// Verify a receipt of the suite classical-1 with Node's own crypto, and nothing of the worker's own code.
//
//     node verify.mjs receipt.jws key.jwk expected.json header_sha384=header.bin inputs.records=sealed-input ...
//
// Arguments, output and exit status are those of verify.py.

import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

const ALWAYS = { version: 1, suite: "classical-1", simulated: false, witnesses: ["front", "cell"] };
const ABSENT = { column_keys: undefined, privacy: undefined };
const WHOLE = ["header_sha384", "result_header_sha384"];

const digest = (hash, data, form = "hex") => createHash(hash).update(data).digest(form);
const json = (file) => JSON.parse(readFileSync(file, "utf8"));

// The P-384 key and the RFC 7638 thumbprint; a pair with ML-DSA ends with the point of its P-384 half.
function receiptKey(jwk) {
  const pair = jwk.kty === "AKP";
  const members = pair ? ["alg", "kty", "pub"] : ["crv", "kty", "x", "y"];
  const thumbprint = digest("sha256", JSON.stringify(jwk, members), "base64url");
  const point = pair ? Buffer.from(jwk.pub, "base64url").subarray(-97) : null;
  const half = (from, to) => point.subarray(from, to).toString("base64url");
  const { x, y } = pair ? { x: half(1, 49), y: half(49) } : jwk;
  return [createPublicKey({ key: { kty: "EC", crv: "P-384", x, y }, format: "jwk" }), thumbprint];
}

// Names of claims that are not as expected, and of parts for which no file was given.
function differing(claims, expected, files) {
  const wanted = Object.entries({ ...ALWAYS, ...ABSENT, ...expected });
  const found = wanted.filter(([name, value]) => !isDeepStrictEqual(claims[name], value)).map(([name]) => name);
  const missing = new Set(WHOLE);
  for (const side of ["inputs", "outputs"]) for (const each of claims[side]) missing.add(`${side}.${each.name}`);
  for (const [name, file] of files) {
    missing.delete(name);
    if (file === "-") continue;
    const data = readFileSync(file);
    const [side, ...rest] = name.split(".");
    const part = { name: rest.join("."), sha256: digest("sha256", data), bytes: data.length };
    const same = WHOLE.includes(name)
      ? claims[name] === digest("sha384", data)
      : ["inputs", "outputs"].includes(side) && claims[side].some((each) => isDeepStrictEqual(each, part));
    if (!same) found.push(name);
  }
  return [...found, ...[...missing].sort()];
}

function main(receipt, key, expected, ...files) {
  const parts = readFileSync(receipt, "latin1").trim().split(".");
  const [publicKey, kid] = receiptKey(json(key));
  const header = JSON.stringify({ alg: "ES384", kid, typ: "cji-receipt+jws" });
  if (parts.length !== 3 || parts[0] !== Buffer.from(header).toString("base64url")) return "refused: header";
  const signature = Buffer.from(parts[2], "base64url");
  const options = { key: publicKey, dsaEncoding: "ieee-p1363" };
  if (signature.toString("base64url") !== parts[2]) return "refused: signature"; // Node skips characters of no alphabet
  if (!verify("sha384", Buffer.from(`${parts[0]}.${parts[1]}`), options, signature)) return "refused: signature";
  const claims = JSON.parse(Buffer.from(parts[1], "base64url").toString("utf8"));
  const named = files.map((each) => [each.slice(0, each.indexOf("=")), each.slice(each.indexOf("=") + 1)]);
  const wrong = differing(claims, json(expected), named);
  return wrong.length ? `refused: ${wrong.join(", ")}` : `verified: job ${claims.job_id}, worker ${claims.worker}`;
}

const outcome = main(...process.argv.slice(2));
console.log(outcome);
process.exitCode = outcome.startsWith("refused") ? 1 : 0;
