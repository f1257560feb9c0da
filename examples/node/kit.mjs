// Run what this program opens against the conformance kit: node examples/node/kit.mjs [FOLDER], by default docs/vectors/kit
//
// A case is read as its group's `about` says. What is valid must open and have what `expected` says, what is invalid must
// not open, and what is acceptable may do either. Prints the number of cases of each group, or the cases that went wrong,
// and then ends with status 1.

import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { opened, unwrapped } from "./format.mjs";

const folder = process.argv[2] ?? fileURLToPath(new URL("../../docs/vectors/kit", import.meta.url));
const json = (name) => JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
const bytes = (hex) => Buffer.from(hex, "hex");
const keys = json("keys").rsa;
const pem = (name) => createPrivateKey({ key: bytes(keys[name]), format: "der", type: "pkcs8" }).export({ format: "pem", type: "pkcs8" });

function resultKey({ recipient, wrapped_dek }) {
  const key = unwrapped(pem(recipient), bytes(wrapped_dek));
  if (key.length !== 32) throw new Error("not a key");
  return { result_key: key.toString("hex") };
}

// The cases that this program can read: classical-1 alone, and no stream that is only described.
const READERS = {
  streams: [(data) => "data" in data, ({ key, aad, data }) => ({ plaintext: opened(bytes(key), bytes(aad), data.map(bytes)).toString("hex") })],
  "result-keys": [({ suite }) => suite === "classical-1", resultKey],
};

function answer(read, data) {
  try {
    return read(data);
  } catch {
    return null;
  }
}

for (const [group, [mine, read]] of Object.entries(READERS)) {
  const cases = json(group).cases.filter((each) => mine(each.data));
  const wrong = cases.filter((each) => {
    const found = answer(read, each.data);
    if (found === null) return each.result === "valid";
    return each.result === "invalid" || Object.entries(found).some(([name, value]) => each.expected[name] !== value);
  });
  console.log(wrong.length ? `${group}: wrong in ${wrong.map((each) => each.id).join("; ")}` : `${group}: ${cases.length} cases`);
  if (wrong.length) process.exitCode = 1;
}
