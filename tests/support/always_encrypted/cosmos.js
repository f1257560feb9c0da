// Documents by @azure/cosmos: its own EncryptionProcessor, with local keys in place of the vault and no service.
// One request on standard input, one answer on standard output, both JSON.
"use strict";
const crypto = require("crypto");
const path = require("path");

const of = (name) => require(path.join(process.argv[2], "@azure/cosmos/dist/commonjs/encryption", name));
const { EncryptionProcessor } = of("EncryptionProcessor.js");
const { EncryptionManager } = of("EncryptionManager.js");

// masterKeys: address in the vault -> PEM
function resolver(masterKeys) {
  const oaep = (pem) => ({ key: pem, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" });
  return {
    encryptionKeyResolverName: "AZURE_KEY_VAULT",
    wrapKey: async (at, _, key) => crypto.publicEncrypt(oaep(crypto.createPublicKey(masterKeys[at])), key),
    unwrapKey: async (at, _, key) => crypto.privateDecrypt(oaep(masterKeys[at]), key),
  };
}

async function processor({ policy, keys, masterKeys, partitionKeyPaths }) {
  // without a cache: 4.10.1 keeps opened keys under the address of the vault's key, and mixes up two under one
  const manager = new EncryptionManager(resolver(masterKeys), 0);
  const database = { _rid: "rid", id: "database" };
  await manager.encryptionSettingsCache.create("rid/container", "container", partitionKeyPaths, policy);
  for (const key of keys)
    manager.clientEncryptionKeyPropertiesCache.set(`rid/${key.id}`, {
      id: key.id,
      encryptionAlgorithm: key.encryptionAlgorithm,
      wrappedDataEncryptionKey: new Uint8Array(Buffer.from(key.wrappedDataEncryptionKey, "base64")),
      encryptionKeyWrapMetadata: key.keyWrapMetadata,
      etag: "1",
    });
  return new EncryptionProcessor("container", "container", database, undefined, manager);
}

const operations = {
  async seal(request) {
    const by = await processor(request), made = [];
    for (const document of request.documents) made.push((await by.encrypt(document)).body);
    return made;
  },
  async open(request) {
    const by = await processor(request), made = [];
    for (const document of request.documents) made.push((await by.decrypt(document)).body);
    return made;
  },
  // a client encryption key as the database stores it
  async key(request) {
    const manager = new EncryptionManager(resolver(request.masterKeys), 0);
    const [at] = Object.keys(request.masterKeys);
    const of_ = manager.keyEncryptionKeyCache.getOrCreate(request.name, at, manager.encryptionKeyStoreProvider);
    const wrapped = await of_.wrapEncryptionKey(Buffer.from(request.cek, "hex"));
    return {
      id: request.id,
      encryptionAlgorithm: "AEAD_AES_256_CBC_HMAC_SHA256",
      wrappedDataEncryptionKey: wrapped.toString("base64"),
      keyWrapMetadata: { type: "AZURE_KEY_VAULT", name: request.name, value: at, algorithm: "RSA-OAEP" },
    };
  },
};

(async () => {
  const request = JSON.parse(require("fs").readFileSync(0, "utf8"));
  process.stdout.write(JSON.stringify(await operations[request.operation](request)), () => process.exit(0)); // the SDK has timers
})().catch((error) => {
  process.stderr.write(`${error.message}\n`, () => process.exit(1));
});
