// The bytes of a sealed job of the suite classical-1. Numbers in brackets are sections of docs/format.md.

import { constants, createCipheriv, createDecipheriv, createHash, createHmac, createPrivateKey, createPublicKey } from "node:crypto";
import { privateDecrypt, publicEncrypt, randomBytes, sign, timingSafeEqual } from "node:crypto";

const SEGMENT = 1 << 20; // E
const OVERHEAD = 4 + 12 + 16; // length, siv, tag
const PLAIN = SEGMENT - OVERHEAD;
const HEADER = 74;
const ROTATION = ~((1n << 20n) - 1n);

export const sha384 = (data) => createHash("sha384").update(data).digest();
const ascii = (text) => Buffer.from(text, "latin1");

function u32be(n) {
  const made = Buffer.alloc(4);
  made.writeUInt32BE(n);
  return made;
}

function u64be(n) {
  const made = Buffer.alloc(8);
  made.writeBigUInt64BE(BigInt.asUintN(64, n));
  return made;
}

export const PARAMETERS = Buffer.concat([Buffer.from([0, 0]), u32be(SEGMENT), u32be(32)]); // [3] P

// HKDF-Expand of RFC 5869 with SHA-384; Node's own hkdf extracts first.
export function expand(key, info, length) {
  let [block, made] = [Buffer.alloc(0), Buffer.alloc(0)];
  for (let n = 1; made.length < length; n += 1) {
    block = createHmac("sha384", key).update(Buffer.concat([block, info, Buffer.from([n])])).digest();
    made = Buffer.concat([made, block]);
  }
  return made.subarray(0, length);
}

function gcm(key, iv, plain, aad = Buffer.alloc(0)) {
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(aad);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function ungcm(key, iv, sealed, aad) {
  const cipher = createDecipheriv("aes-256-gcm", key, iv).setAAD(aad).setAuthTag(sealed.subarray(-16));
  return Buffer.concat([cipher.update(sealed.subarray(0, -16)), cipher.final()]);
}

// [2] The P-384 key of a PEM file. A file for both suites has an ML-DSA key too, which Node may not know.
export function signingKey(pem) {
  const blocks = pem.toString("ascii").match(/-----BEGIN [^]+?-----END [A-Z ]+-----/g);
  for (const block of blocks) {
    try {
      const key = createPrivateKey(block);
      if (key.asymmetricKeyDetails?.namedCurve === "secp384r1") return key;
    } catch {
      // of another kind
    }
  }
  throw new Error("the file of the signing key has no P-384 key");
}

export const jobMessage = (header) => Buffer.concat([ascii("cji-job-sig/1\0"), sha384(header)]);
export const signature = (key, header) => sign("sha384", jobMessage(header), { key, dsaEncoding: "ieee-p1363" });

export const admissionMessage = (nonce, receiptKey, header, attempt) =>
  Buffer.concat([ascii("cji-admit/1\0"), nonce, receiptKey, sha384(header), u32be(attempt)]);

// [6] The proof of the first attempt at a job, for the worker that sent this nonce with its evidence.
export function admission(key, header, { admission_nonce, receipt_jwk }) {
  const receiptKey = Buffer.from(thumbprint(JSON.parse(receipt_jwk)), "base64url");
  const message = admissionMessage(admission_nonce, receiptKey, header, 1);
  const signed = sign("sha384", message, { key, dsaEncoding: "ieee-p1363" });
  return { nonce: admission_nonce, receipt_key: receiptKey, attempt: 1, signature: signed };
}

// [4] RFC 7638: the required members in alphabetical order, and nothing else.
const MEMBERS = { RSA: ["e", "kty", "n"], EC: ["crv", "kty", "x", "y"], AKP: ["alg", "kty", "pub"] };

export function thumbprint(jwk) {
  const required = Object.fromEntries(MEMBERS[jwk.kty].map((name) => [name, jwk[name]]));
  return createHash("sha256").update(JSON.stringify(required)).digest("base64url");
}

// [2] What names the submitter in the header.
export const submitter = (key) => Buffer.from(thumbprint(createPublicKey(key).export({ format: "jwk" })), "base64url");

const oaep = (key) => ({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" });
export const wrapped = (jwk, dataKey) => publicEncrypt(oaep(createPublicKey({ key: jwk, format: "jwk" })), dataKey);
export const unwrapped = (pem, sealed) => privateDecrypt(oaep(createPrivateKey(pem)), sealed);

// [4] A small secret of the job under its data key.
export function box(dataKey, purpose, plain) {
  const iv = randomBytes(12);
  return Buffer.concat([iv, gcm(expand(dataKey, ascii(`cji-box/1\0${purpose}`), 32), iv, plain)]);
}

export function unboxed(dataKey, purpose, box) {
  if (box.length < 28) throw new Error("the box is too short");
  return ungcm(expand(dataKey, ascii(`cji-box/1\0${purpose}`), 32), box.subarray(0, 12), box.subarray(12), Buffer.alloc(0));
}

// [1] Zeros up to the next multiple of 256.
export const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc((256 - (bytes.length % 256)) % 256)]);

// [3] The AAD of part n: of an input with the job's header, of an output with the result's.
export const inputAad = (header, n) => Buffer.concat([ascii("cji-part/1\0"), sha384(header), u32be(n)]);
export const outputAad = (header, n) => Buffer.concat([ascii("cji-result/1\0"), sha384(header), u32be(n)]);

// [7] The outputs of a result header, if it is of this job. Their names become names of files.
export function outputsOf({ job_header_sha384, outputs }, header) {
  if (!job_header_sha384.equals(sha384(header))) throw new Error("the result is that of another job");
  const names = new Set(outputs.map(({ name }) => name).filter((name) => /^[a-z][a-z0-9_]{0,63}$/.test(name)));
  if (outputs.length > 16 || names.size !== outputs.length) throw new Error("the result has too many outputs, or of another form");
  return outputs;
}

// [3] The functions that both directions share; P ‖ iv is the beginning of the stream.
export function stream(key, beginning, aad) {
  const derive = (from, purpose, length) => expand(from, Buffer.concat([beginning, purpose, aad]), length);
  const messageKey = derive(key, ascii("MESSAGE_KEY:"), 48);
  return {
    tag: derive(key, ascii("HEADER_TAG:"), 32),
    dek: (i) => derive(messageKey, Buffer.concat([ascii("DEK:"), u64be(i & ROTATION)]), 32),
    segmentAad: (i, last) => Buffer.concat([u64be(i), Buffer.from([last ? 1 : 0])]),
  };
}

// [3] The `data` of each Segment message of one part. There is always a last segment, which may be empty.
export function sealed(key, aad, plain) {
  const pieces = [];
  for (let at = 0; at === 0 || at < plain.length; at += PLAIN) pieces.push(plain.subarray(at, at + PLAIN));
  return sealedWith(key, aad, randomBytes(32), pieces.map(() => randomBytes(12)), pieces);
}

// The same with given random values, for comparison with vectors. Never use a value twice.
export function sealedWith(key, aad, iv, sivs, pieces) {
  const beginning = Buffer.concat([PARAMETERS, iv]);
  const floe = stream(key, beginning, aad);
  return pieces.map((piece, i) => {
    const last = i === pieces.length - 1;
    const length = last ? u32be(piece.length + OVERHEAD) : Buffer.alloc(4, 0xff);
    const segment = Buffer.concat([length, sivs[i], gcm(floe.dek(BigInt(i)), sivs[i], piece, floe.segmentAad(BigInt(i), last))]);
    return i === 0 ? Buffer.concat([beginning, floe.tag, segment]) : segment;
  });
}

// [3] The plaintext of a complete part, from the `data` of its Segment messages in order. Refuses any other stream.
export function opened(key, aad, [first, ...rest]) {
  if (!first.subarray(0, 10).equals(PARAMETERS)) throw new Error("the part has other parameters");
  const floe = stream(key, first.subarray(0, HEADER - 32), aad);
  if (!timingSafeEqual(floe.tag, first.subarray(HEADER - 32, HEADER))) throw new Error("the part's header is not genuine");
  const segments = [first.subarray(HEADER), ...rest];
  const plain = segments.map((segment, n) => {
    const last = n === segments.length - 1;
    const length = segment.readUInt32BE();
    const whole = last ? length === segment.length : length === 0xffffffff && segment.length === SEGMENT;
    if (!whole || segment.length > SEGMENT) throw new Error("the part is not complete");
    return ungcm(floe.dek(BigInt(n)), segment.subarray(4, 16), segment.subarray(16), floe.segmentAad(BigInt(n), last));
  });
  return Buffer.concat(plain);
}
