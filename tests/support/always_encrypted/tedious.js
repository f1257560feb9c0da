// Cells and encrypted keys by tedious: one request on standard input, one answer on standard output, both JSON.
"use strict";
const crypto = require("crypto");
const path = require("path");
const { parseType, written, read } = require("./sql_values.js");

const modules = process.argv[2];
const of = (name) => require(path.join(modules, name));
const { AeadAes256CbcHmac256Algorithm: Algorithm, algorithmName } = of("tedious/lib/always-encrypted/aead-aes-256-cbc-hmac-algorithm.js");
const { AeadAes256CbcHmac256EncryptionKey: Key } = of("tedious/lib/always-encrypted/aead-aes-256-cbc-hmac-encryption-key.js");
const { SQLServerEncryptionType: Kind } = of("tedious/lib/always-encrypted/types.js");
const char = of("tedious/lib/data-types/char.js");
const guid = of("tedious/lib/guid-parser.js");
const iconv = of("iconv-lite");

const algorithm = (request) =>
  new Algorithm(new Key(Buffer.from(request.cek, "hex"), algorithmName), request.deterministic ? Kind.Deterministic : Kind.Randomized);

// tedious' provider of the vault, with a local key in place of the vault
function provider(pem) {
  const { ColumnEncryptionAzureKeyVaultProvider: Provider } = of("tedious/lib/always-encrypted/keystore-provider-azure-key-vault.js");
  const local = new Provider("client", "secret", "tenant");
  const privateKey = crypto.createPrivateKey(pem), publicKey = crypto.createPublicKey(privateKey);
  const n = Buffer.from(publicKey.export({ format: "jwk" }).n, "base64url");
  const padding = crypto.constants.RSA_PKCS1_OAEP_PADDING;
  const info = Buffer.from("3031300d060960864801650304020105000420", "hex"); // DigestInfo of SHA-256
  const raw = crypto.constants.RSA_PKCS1_PADDING;
  local.getMasterKey = async () => ({ name: "local", key: { kty: "RSA", n } });
  local.createCryptoClient = () => ({
    sign: async (_, digest) => ({ result: crypto.privateEncrypt({ key: privateKey, padding: raw }, Buffer.concat([info, digest])) }),
    verify: async (_, digest, signature) => ({
      result: crypto.publicDecrypt({ key: publicKey, padding: raw }, signature).equals(Buffer.concat([info, digest])),
    }),
    wrapKey: async (_, key) => ({ result: crypto.publicEncrypt({ key: publicKey, padding, oaepHash: "sha1" }, key) }),
    unwrapKey: async (_, key) => ({ result: crypto.privateDecrypt({ key: privateKey, padding, oaepHash: "sha1" }, key) }),
  });
  return local;
}

const operations = {
  seal(request) {
    const by = algorithm(request), type = parseType(request.type);
    return request.values.map((v) => (v === null ? null : by.encryptData(written(type, v, char, guid.guidToArray)).toString("hex")));
  },
  open(request) {
    const by = algorithm(request), type = parseType(request.type);
    return request.cells.map((c) => (c === null ? null : read(type, by.decryptData(Buffer.from(c, "hex")), iconv, guid)));
  },
  // CPU seconds in which tedious opens all cells once, without reading values
  seconds(request) {
    const by = algorithm(request), cells = request.cells.map((c) => Buffer.from(c, "hex"));
    const began = process.cpuUsage();
    for (const cell of cells) by.decryptData(cell);
    const { user, system } = process.cpuUsage(began);
    return (user + system) / 1e6;
  },
  async encryptedValue(request) {
    const made = await provider(request.pem).encryptColumnEncryptionKey(request.path, "RSA_OAEP", Buffer.from(request.cek, "hex"));
    return made.toString("hex");
  },
  async openEncryptedValue(request) {
    const key = await provider(request.pem).decryptColumnEncryptionKey(request.path, "RSA_OAEP", Buffer.from(request.value, "hex"));
    return key.toString("hex");
  },
};

(async () => {
  const request = JSON.parse(require("fs").readFileSync(0, "utf8"));
  process.stdout.write(JSON.stringify(await operations[request.operation](request)));
})().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
