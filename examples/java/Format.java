package cji;

// The bytes of a sealed job of the suite classical-1: streams, keys, boxes, signatures. Numbers in brackets are sections of
// docs/format.md.

import java.io.*;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.security.interfaces.*;
import java.security.spec.*;
import java.util.*;
import java.util.regex.*;
import javax.crypto.*;
import javax.crypto.spec.*;

final class Format {
    static final int SEGMENT = 1 << 20, OVERHEAD = 32, PLAIN = SEGMENT - OVERHEAD, HEADER = 74;
    static final SecureRandom RANDOM = new SecureRandom();

    // ---- [3] FLOE

    static final byte[] PARAMETERS = cat(new byte[2], u32(SEGMENT), u32(32));

    record Floe(byte[] key, byte[] beginning, byte[] aad) {
        byte[] derive(byte[] from, byte[] purpose, int length) throws Exception {
            return expand(from, cat(beginning, purpose, aad), length);
        }

        byte[] tag() throws Exception {
            return derive(key, ascii("HEADER_TAG:"), 32);
        }

        byte[] messageKey() throws Exception {
            return derive(key, ascii("MESSAGE_KEY:"), 48);
        }

        byte[] dek(byte[] messageKey, long i) throws Exception {
            return derive(messageKey, cat(ascii("DEK:"), u64(i & -(1L << 20))), 32);
        }

        byte[] segment(int mode, long i, boolean last, byte[] siv, byte[] data) throws Exception {
            return gcm(mode, dek(messageKey(), i), siv, data, cat(u64(i), new byte[] {(byte) (last ? 1 : 0)}));
        }
    }

    static List<byte[]> seal(byte[] key, byte[] aad, byte[] plain) throws Exception {
        List<byte[]> pieces = new ArrayList<>(), sivs = new ArrayList<>();
        for (int at = 0; at == 0 || at < plain.length; at += PLAIN) {
            pieces.add(Arrays.copyOfRange(plain, at, Math.min(at + PLAIN, plain.length)));
            sivs.add(random(12));
        }
        return sealWith(key, aad, random(32), sivs, pieces);
    }

    /** The same with given random values, for comparison with vectors. Never use a value twice. */
    static List<byte[]> sealWith(byte[] key, byte[] aad, byte[] iv, List<byte[]> sivs, List<byte[]> pieces) throws Exception {
        Floe floe = new Floe(key, cat(PARAMETERS, iv), aad);
        List<byte[]> segments = new ArrayList<>();
        for (int i = 0; i < pieces.size(); i++) {
            boolean last = i == pieces.size() - 1;
            byte[] piece = pieces.get(i), siv = sivs.get(i);
            byte[] segment = cat(u32(last ? piece.length + OVERHEAD : -1), siv, floe.segment(Cipher.ENCRYPT_MODE, i, last, siv, piece));
            segments.add(i == 0 ? cat(floe.beginning, floe.tag(), segment) : segment);
        }
        return segments;
    }

    static byte[] open(byte[] key, byte[] aad, List<byte[]> segments) throws Exception {
        byte[] first = segments.isEmpty() ? new byte[0] : segments.get(0);
        if (first.length < HEADER || !Arrays.equals(PARAMETERS, Arrays.copyOf(first, 10))) throw new IOException("a part has other parameters");
        Floe floe = new Floe(key, Arrays.copyOf(first, HEADER - 32), aad);
        if (!MessageDigest.isEqual(floe.tag(), Arrays.copyOfRange(first, HEADER - 32, HEADER))) throw new IOException("the header of a part is not genuine");
        ByteArrayOutputStream plain = new ByteArrayOutputStream();
        for (int i = 0; i < segments.size(); i++) {
            boolean last = i == segments.size() - 1;
            byte[] segment = i == 0 ? Arrays.copyOfRange(first, HEADER, first.length) : segments.get(i);
            boolean whole = last ? segment.length >= OVERHEAD && segment.length <= SEGMENT : segment.length == SEGMENT;
            if (!whole || ByteBuffer.wrap(segment).getInt() != (last ? segment.length : -1)) throw new IOException("a part is not complete");
            byte[] siv = Arrays.copyOfRange(segment, 4, 16), sealed = Arrays.copyOfRange(segment, 16, segment.length);
            plain.write(floe.segment(Cipher.DECRYPT_MODE, i, last, siv, sealed));
        }
        return plain.toByteArray();
    }

    // ---- [4] keys and boxes

    static byte[] box(byte[] dataKey, String purpose, byte[] plain) throws Exception {
        byte[] iv = random(12);
        return cat(iv, gcm(Cipher.ENCRYPT_MODE, expand(dataKey, ascii("cji-box/1\0" + purpose), 32), iv, plain, new byte[0]));
    }

    static byte[] rsa(int mode, Key key, byte[] data) throws Exception {
        Cipher cipher = Cipher.getInstance("RSA/ECB/OAEPPadding");
        cipher.init(mode, key, new OAEPParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, PSource.PSpecified.DEFAULT));
        return cipher.doFinal(data);
    }

    /** [4] A key of 32 bytes under RSA-OAEP-256. */
    static byte[] unwrap(PrivateKey key, byte[] wrapped) throws Exception {
        if (wrapped.length != bytes(key)) throw new IOException("the wrapped key has another length");
        byte[] found = rsa(Cipher.DECRYPT_MODE, key, wrapped);
        if (found.length != 32) throw new IOException("it is no key of 32 bytes");
        return found;
    }

    /** The length of what is wrapped for an RSA key. */
    static int bytes(Key key) {
        return (((RSAKey) key).getModulus().bitLength() + 7) / 8;
    }

    static byte[] unbox(byte[] dataKey, String purpose, byte[] box) throws Exception {
        if (box.length < 12) throw new IOException("the box is too short");
        byte[] key = expand(dataKey, ascii("cji-box/1\0" + purpose), 32);
        return gcm(Cipher.DECRYPT_MODE, key, Arrays.copyOf(box, 12), Arrays.copyOfRange(box, 12, box.length), new byte[0]);
    }

    // ---- [1] keys as JWK

    static final Map<String, List<String>> HASHED =
        Map.of("RSA", List.of("e", "kty", "n"), "EC", List.of("crv", "kty", "x", "y"), "AKP", List.of("alg", "kty", "pub"));
    static final Map<String, Map<String, String>> LABELLED =
        Map.of("RSA", Map.of("alg", "RSA-OAEP-256", "use", "enc"), "EC", Map.of("alg", "ES384", "use", "sig"), "AKP", Map.of());

    /** The members that RFC 7638 hashes. No member may be there that the kind of key does not have. */
    static Map<String, String> members(String jwk) throws Exception {
        Map<String, Object> found = Json.object(Json.read(jwk));
        List<String> names = HASHED.getOrDefault(String.valueOf(found.get("kty")), List.of("kty"));
        Map<String, String> hashed = new LinkedHashMap<>();
        for (String name : names) {
            if (!(found.remove(name) instanceof String value) || value.isEmpty()) throw new IOException("the key has no member " + name);
            hashed.put(name, value);
        }
        for (var each : found.entrySet()) {
            Object label = LABELLED.getOrDefault(hashed.get("kty"), Map.of()).get(each.getKey());
            boolean own = each.getKey().equals("kid") && each.getValue().equals(thumbprint(hashed));
            if (!own && !each.getValue().equals(label)) throw new IOException("the key has a wrong member " + each.getKey());
        }
        return hashed;
    }

    /** RFC 7638: the required members in alphabetical order, and nothing else. */
    static String thumbprint(Map<String, String> members) throws Exception {
        StringJoiner required = new StringJoiner(",", "{", "}");
        members.forEach((name, value) -> required.add("\"" + name + "\":\"" + value + "\""));
        return base64url(sha("SHA-256", ascii(required.toString())));
    }

    static String thumbprint(String jwk) throws Exception {
        return thumbprint(members(jwk));
    }

    static PublicKey publicKey(String jwk) throws Exception {
        Map<String, String> members = members(jwk);
        byte[] n = base64url(members.getOrDefault("n", ""));
        BigInteger modulus = new BigInteger(1, n);
        boolean fits = modulus.bitLength() >= 3072 && modulus.bitLength() <= 8192 && modulus.testBit(0) && n[0] != 0;
        if (!fits || !members.get("e").equals("AQAB")) throw new IOException("it is no RSA key as it must be");
        return KeyFactory.getInstance("RSA").generatePublic(new RSAPublicKeySpec(modulus, BigInteger.valueOf(65537)));
    }

    /** The P-384 key that verifies, which of a pair is the second half. */
    static ECPublicKey p384(String jwk) throws Exception {
        Map<String, String> members = members(jwk);
        byte[] point;
        if ("P-384".equals(members.get("crv"))) {
            point = cat(new byte[] {4}, base64url(members.get("x")), base64url(members.get("y")));
        } else if ("ML-DSA-87-ES384".equals(members.get("alg"))) {
            byte[] pub = base64url(members.get("pub"));
            point = Arrays.copyOfRange(pub, Math.min(2592, pub.length), pub.length);
        } else {
            throw new IOException("it is no key that verifies signatures");
        }
        if (point.length != 97 || point[0] != 4) throw new IOException("it is no point of P-384");
        AlgorithmParameters curve = AlgorithmParameters.getInstance("EC");
        curve.init(new ECGenParameterSpec("secp384r1"));
        ECPoint at = new ECPoint(new BigInteger(1, Arrays.copyOfRange(point, 1, 49)), new BigInteger(1, Arrays.copyOfRange(point, 49, 97)));
        return (ECPublicKey) KeyFactory.getInstance("EC").generatePublic(new ECPublicKeySpec(at, curve.getParameterSpec(ECParameterSpec.class)));
    }

    /** [2] What names a submitter in a header of classical-1. */
    static byte[] submitter(ECPublicKey key) throws Exception {
        Map<String, String> members = new LinkedHashMap<>(Map.of("crv", "P-384"));
        members.put("kty", "EC");
        members.put("x", base64url(coordinate(key.getW().getAffineX())));
        members.put("y", base64url(coordinate(key.getW().getAffineY())));
        return base64url(thumbprint(members));
    }

    private static byte[] coordinate(BigInteger value) {
        byte[] data = value.toByteArray(), made = new byte[48];
        int length = Math.min(48, data.length);
        System.arraycopy(data, data.length - length, made, 48 - length, length);
        return made;
    }

    static byte[] base64url(String text) throws IOException {
        byte[] data = Base64.getUrlDecoder().decode(text);
        if (!base64url(data).equals(text)) throw new IOException("it is not base64url in its one form");
        return data;
    }

    static String base64url(byte[] data) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(data);
    }

    // ---- [2] signatures: raw r ‖ s

    static byte[] sign(PrivateKey key, byte[] message) throws Exception {
        Signature signature = Signature.getInstance("SHA384withECDSAinP1363Format");
        signature.initSign(key);
        signature.update(message);
        return signature.sign();
    }

    static boolean verified(PublicKey key, byte[] message, byte[] given) throws Exception {
        Signature signature = Signature.getInstance("SHA384withECDSAinP1363Format");
        signature.initVerify(key);
        signature.update(message);
        return given.length == 96 && signature.verify(given);
    }

    static byte[] jobMessage(byte[] header) throws Exception {
        return cat(ascii("cji-job-sig/1\0"), sha("SHA-384", header));
    }

    /** [6] */
    static byte[] admissionMessage(byte[] nonce, byte[] receiptKey, byte[] header, int attempt) throws Exception {
        return cat(ascii("cji-admit/1\0"), nonce, receiptKey, sha("SHA-384", header), u32(attempt));
    }

    // the key of this kind in a PEM file; a file for both suites has an ML-DSA key too
    static PrivateKey key(Path pem, String kind) throws Exception {
        Pattern form = Pattern.compile("-----BEGIN PRIVATE KEY-----([^-]+)-----END");
        for (Matcher block = form.matcher(Files.readString(pem)); block.find();) {
            try {
                return KeyFactory.getInstance(kind).generatePrivate(new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(block.group(1))));
            } catch (InvalidKeySpecException other) {
                continue;
            }
        }
        throw new IOException(pem.getFileName() + " has no key for " + kind);
    }

    // ---- primitives

    static byte[] expand(byte[] key, byte[] info, int length) throws Exception {
        Mac mac = Mac.getInstance("HmacSHA384");
        mac.init(new SecretKeySpec(key, "HmacSHA384"));
        byte[] made = new byte[0], block = new byte[0];
        for (int n = 1; made.length < length; n++) {
            block = mac.doFinal(cat(block, info, new byte[] {(byte) n}));
            made = cat(made, block);
        }
        return Arrays.copyOf(made, length);
    }

    static byte[] gcm(int mode, byte[] key, byte[] iv, byte[] data, byte[] aad) throws Exception {
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(mode, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, iv));
        cipher.updateAAD(aad);
        return cipher.doFinal(data);
    }

    static byte[] sha(String name, byte[] data) throws Exception {
        return MessageDigest.getInstance(name).digest(data);
    }

    static byte[] random(int length) {
        byte[] made = new byte[length];
        RANDOM.nextBytes(made);
        return made;
    }

    static byte[] cat(byte[]... parts) {
        ByteArrayOutputStream made = new ByteArrayOutputStream();
        for (byte[] part : parts) made.writeBytes(part);
        return made.toByteArray();
    }

    static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    static String hex(byte[] data) {
        return HexFormat.of().formatHex(data);
    }

    static byte[] u32(int n) {
        return ByteBuffer.allocate(4).putInt(n).array();
    }

    static byte[] u64(long n) {
        return ByteBuffer.allocate(8).putLong(n).array();
    }
}
