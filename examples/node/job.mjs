// A job of the suite classical-1 written from docs/format.md: sealed, run, compared with its receipt, opened.
//
//     node job.mjs client.properties people.csv out/
//
// It has nothing of the worker's own code but the contract, worker.proto. Numbers in brackets are sections of
// docs/format.md. The operation is `validate` by the NCIC tables; the CSV file has columns of person/1.
//
// The result is opened only if the receipt states the digests of everything that was sent and received here, and written
// only if the outputs have the numbers of rows that it states. Two checks
// are left to others: `cji evidence verify out/evidence.json` appraises the machine, ../receipt/verify.mjs verifies the
// receipt's signature. Do not rely on a result before both have accepted.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createHash, randomBytes } from "node:crypto";
import { get } from "node:https";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import { Schema, Table, Utf8, tableFromIPC, tableToIPC, vectorFromArray } from "apache-arrow";
import { admission, box, inputAad, opened, outputAad, outputsOf, padded, sealed, sha384, signature, signingKey, submitter, thumbprint } from "./format.mjs";
import { unwrapped, wrapped } from "./format.mjs";

const PROTOS = resolve(dirname(fileURLToPath(import.meta.url)), "../../protos");
const CONTRACT = loader.loadSync("cji/worker/v1/worker.proto", { includeDirs: [PROTOS], keepCase: true, defaults: true, oneofs: true });
const { CjiWorker } = grpc.loadPackageDefinition(CONTRACT).cji.worker.v1;
const message = (name) => CONTRACT[`cji.worker.v1.${name}`];
const NAME = "records";

// Lines `name = value`. Names of files are relative to the folder of the settings.
function settings(file) {
  const lines = readFileSync(file, "utf8").split("\n").filter((line) => line.includes("=") && !line.startsWith("#"));
  const found = Object.fromEntries(lines.map((line) => line.split(/\s*=\s*(.*)/s, 2).map((each) => each.trim())));
  return { ...found, read: (name) => readFileSync(resolve(dirname(file), found[name])) };
}

// [5] An Arrow stream of text columns; an empty field is null. The quotes of RFC 4180 are all that is read of CSV here.
function records(csv, schema) {
  const row = (line) => [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map((m) => m[1]?.replaceAll('""', '"') ?? m[2]);
  const [names, ...rows] = csv.trim().split(/\r?\n/).map(row);
  const columns = names.map((name, i) => [name, vectorFromArray(rows.map((each) => each[i] || null), new Utf8())]);
  const table = new Table(Object.fromEntries(columns));
  const tagged = new Schema(table.schema.fields, new Map([["cji.schema", schema]]));
  return [Buffer.from(tableToIPC(new Table(tagged, table.batches), "stream")), rows.length];
}

// [1] The header's bytes, serialized once. Fields with their default value are left out.
function header(given, kek, signing, dataKey, rows) {
  const { operator_id, requestor, reason, audience, originating_ori, requesting_ori, purpose_code, kek_id } = given;
  const attribution = message("Attribution").serialize({ operator_id, requestor, reason });
  const now = Math.floor(Date.now() / 1000);
  return message("JobHeader").serialize({
    version: 1,
    job_id: randomBytes(16),
    audience,
    originating_ori,
    requesting_ori,
    sealed_attribution: box(dataKey, "attribution", padded(attribution)),
    suite: "CLASSICAL_1",
    submitter: submitter(signing),
    purpose_code,
    inputs: [{ name: NAME, schema: "person/1", rows_declared: rows }],
    operations: [{ validate: { rule_set: "ncic/1", as_of: new Date().toISOString().slice(0, 10) } }],
    kek_id,
    wrapped_dek: wrapped(kek, dataKey),
    recipients: [{ key_id: thumbprint(JSON.parse(given.recipient_jwk)), jwk: given.recipient_jwk }],
    created: { seconds: now },
    not_after: { seconds: now + 3600 },
    size_class: "EXACT",
  });
}

const call = (client, method, request) =>
  new Promise((done, fail) => client[method](request, (error, answer) => (error ? fail(error) : done(answer))));

// [4] The worker's key from Describe, if it is the one that its operator named out of band.
async function pinned(client, { kek_id, kek_thumbprint }) {
  const { keys } = await call(client, "Describe", {});
  const jwk = JSON.parse(keys.find((key) => key.kek_id === kek_id)?.public_jwk ?? "{}");
  if (thumbprint(jwk) !== kek_thumbprint) throw new Error("the worker has another key than the pinned one");
  return jwk;
}

// [8] The worker's answer to a new nonce, as the file that `cji evidence verify` reads and as it was received.
async function evidence(client, { maa_url, cloud, read, maa_ca }) {
  const nonce = randomBytes(32);
  const answer = await call(client, "Attest", { nonce });
  const options = maa_ca ? { ca: read("maa_ca") } : {};
  const jwks = await new Promise((done, fail) => {
    const request = get(`${maa_url}/certs`, options, async (response) => done(Buffer.concat(await response.toArray())));
    request.on("error", fail);
  });
  const { receipt_jwk, maa_token, bundle_update, admission_nonce, ...bytes } = answer;
  const base64 = Object.fromEntries(Object.entries({ ...bytes, nonce, jwks }).map(([k, v]) => [k, v.toString("base64")]));
  const attested_at = new Date().toISOString();
  const shown = { version: 6, cloud, attested_at, ...base64, receipt_jwk, maa_token, bundle_update, maa_url, reference: "" };
  return [shown, answer];
}

// [6] Sends open, segments, finish; returns the segments by output part, then the receipt and the result header.
async function run(client, open, segments) {
  const stream = client.Run({ deadline: Date.now() + 600_000 });
  const received = { parts: new Map() };
  const ended = new Promise((done, fail) => {
    stream.on("data", ({ segment, done: end }) => {
      if (segment) received.parts.set(segment.part, [...(received.parts.get(segment.part) ?? []), segment.data]);
      if (end) [received.receipt, received.header] = [end.receipt, end.result_header];
    });
    stream.on("error", fail);
    stream.on("end", done);
  });
  const send = async (request) => stream.write(request) || (await Promise.race([new Promise((go) => stream.once("drain", go)), ended]));
  await send({ open });
  for (const [index, data] of segments.entries()) await send({ segment: { part: 0, index, data } });
  await send({ finish: {} });
  stream.end();
  await ended;
  return received;
}

// [8] Throws unless the counts are those of the parts and of the opened outputs; `rows` by the name of the output.
function compareCounts({ volumes, ...parts }, outputs, rows) {
  const bytes = (side) => parts[side].reduce((sum, each) => sum + each.bytes, 0);
  const schema = (name) => outputs.find((each) => each.name === name).schema;
  const ledger = outputs.find((each) => each.schema === "ledger/1") ?? { name: "result" };
  const counted = {
    rows_in: rows.row_status,
    rows_out: rows.result,
    chri_rows_out: schema("result").startsWith("chri_") ? rows.result : 0,
    subjects_out: rows[ledger.name],
    bytes_in: bytes("inputs"),
    bytes_out: bytes("outputs"),
  };
  const wrong = Object.keys(counted).filter((name) => volumes[name] !== counted[name]);
  if (wrong.length) throw new Error(`volumes: the receipt states another ${wrong.join(", ")}. Do not use this result`);
}

// [8] Throws unless the receipt states what was sent and received here.
function compare(receipt, job, signing, sent, received, { worker_id, outputs }) {
  const claims = JSON.parse(Buffer.from(receipt.split(".")[1], "base64url").toString());
  const part = (name, data) => ({ name, sha256: createHash("sha256").update(data).digest("hex"), bytes: data.length });
  const expected = {
    worker: worker_id,
    header_sha384: sha384(job).toString("hex"),
    submitter_key: submitter(signing).toString("base64url"),
    result_header_sha384: sha384(received.header).toString("hex"),
    inputs: [part(NAME, Buffer.concat(sent))],
    outputs: outputs.map(({ name }, n) => part(name, Buffer.concat(received.parts.get(n)))),
    witnesses: ["front", "cell"],
  };
  const text = (of) => JSON.stringify(of, (_, v) => (v?.constructor === Object ? Object.fromEntries(Object.entries(v).sort()) : v));
  const wrong = Object.keys(expected).filter((name) => text(claims[name]) !== text(expected[name]));
  if (wrong.length) throw new Error(`the receipt states another ${wrong.join(", ")}`);
  return claims;
}

async function main(file, csv, out) {
  const given = settings(file);
  const tls = grpc.credentials.createSsl(given.read("ca"), given.read("private_key"), given.read("certificate"));
  const client = new CjiWorker(given.target, tls);
  try {
    const kek = await pinned(client, given);
    const [shown, attested] = await evidence(client, given);
    const dataKey = randomBytes(32);
    const [plain, rows] = records(readFileSync(csv, "utf8"), "person/1");
    const signing = signingKey(given.read("signing_key"));
    const job = header(given, kek, signing, dataKey, rows);
    const sent = sealed(dataKey, inputAad(job, 0), plain);
    const open = { header: job, signature: signature(signing, job), admission: admission(signing, job, attested) };
    const received = await run(client, open, sent);

    // [7] the result
    const result = message("ResultHeader").deserialize(received.header);
    const outputs = outputsOf(result, job);
    const claims = compare(received.receipt, job, signing, sent, received, result);
    const resultKey = unwrapped(given.read("recipient_key"), result.recipients[0].wrapped_dek);
    const files = { "header.bin": job, "receipt.jws": received.receipt, "evidence.json": JSON.stringify(shown, null, 2) };
    for (const [n, { name }] of outputs.entries()) {
      files[`${name}.arrows`] = opened(resultKey, outputAad(received.header, n), received.parts.get(n));
    }
    const counted = outputs.map(({ name }) => [name, tableFromIPC(files[`${name}.arrows`]).numRows]);
    compareCounts(claims, outputs, Object.fromEntries(counted));
    mkdirSync(out, { recursive: true });
    for (const [name, data] of Object.entries(files)) writeFileSync(join(out, name), data);
    console.log(`job ${claims.job_id}: ${rows} rows, ${outputs.map(({ name }) => name).join(", ")} in ${out}`);
    for (const { row, column, code } of tableFromIPC(files["result.arrows"])) console.log(`row ${row}: ${column} ${code}`);
  } finally {
    client.close();
  }
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(`refused: ${error.details ?? error.message}`);
  process.exitCode = 1;
});
