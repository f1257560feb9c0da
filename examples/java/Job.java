// A job of the suite classical-1 written from docs/format.md, with nothing but the JDK (17 or later).
//
//     java Job.java client.properties submission.txt out/
//
// A NIBRS submission goes in, one record a line; the operation is `validate`. Numbers in brackets are sections of
// docs/format.md. Messages of Protocol Buffers, the one Arrow schema that is sent, and the frames of gRPC are written
// out below: a program with more to do takes the libraries for them.
//
// The result is opened only if the receipt states the digests of everything that was sent and received here. Have the
// receipt's signature verified too (examples/receipt), with the key of evidence that `cji evidence verify` accepted.

import java.io.*;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.security.interfaces.ECPrivateKey;
import java.security.spec.*;
import java.time.*;
import java.util.*;
import java.util.regex.*;
import javax.crypto.*;
import javax.crypto.spec.*;
import javax.net.ssl.*;

public class Job {
    static final int SEGMENT = 1 << 20, OVERHEAD = 32, PLAIN = SEGMENT - OVERHEAD, HEADER = 74;
    static final SecureRandom RANDOM = new SecureRandom();

    public static void main(String[] args) {
        try {
            System.out.println(run(Path.of(args[0]), Path.of(args[1]), Path.of(args[2])));
        } catch (Exception error) {
            System.err.println("refused: " + error.getMessage());
            System.exit(1);
        }
    }

    static String run(Path file, Path submission, Path out) throws Exception {
        Properties given = new Properties();
        try (Reader reader = Files.newBufferedReader(file)) {
            given.load(reader);
        }
        Path folder = file.toAbsolutePath().getParent();
        HttpClient http = client(folder, given);
        String worker = "https://" + given.getProperty("target") + "/cji.worker.v1.CjiWorker/";

        // [4] the worker's key, if it is the one that its operator named out of band
        Message described = new Message(call(http, worker + "Describe", List.of(new byte[0])).get(0));
        String jwk = described.all(5).stream().map(Message::new).filter(key -> key.text(1).equals(given.getProperty("kek_id")))
            .map(key -> key.text(2)).findFirst().orElseThrow(() -> new IOException("the worker has no such key"));
        if (!thumbprint(jwk).equals(given.getProperty("kek_thumbprint"))) throw new IOException("the worker has another key");

        byte[] dataKey = random(32);
        List<byte[]> lines = new ArrayList<>();
        for (String line : Files.readString(submission, StandardCharsets.ISO_8859_1).split("\r?\n")) {
            lines.add(line.getBytes(StandardCharsets.ISO_8859_1));
        }
        byte[] header = header(given, jwk, dataKey, lines.size());
        List<byte[]> sent = seal(dataKey, cat(ascii("cji-part/1\0"), sha("SHA-384", header), u32(0)), Arrow.stream("segment", "nibrs.flat/3.1", lines));

        // [6] open, segments, finish; then accepted, segments, done
        List<byte[]> requests = new ArrayList<>();
        PrivateKey signing = key(folder.resolve(given.getProperty("signing_key")), "EC");
        byte[] signature = sign(signing, cat(ascii("cji-job-sig/1\0"), sha("SHA-384", header)));
        byte[] admission = admission(signing, header, new Message(call(http, worker + "Attest", List.of(new Writer().bytes(1, random(32)).done())).get(0)));
        requests.add(new Writer().bytes(1, new Writer().bytes(1, header).bytes(2, signature).bytes(5, admission).done()).done());
        for (int i = 0; i < sent.size(); i++) {
            requests.add(new Writer().bytes(2, new Writer().number(2, i).bytes(3, sent.get(i)).done()).done()); // part 0 is left out
        }
        requests.add(new Writer().bytes(3, new byte[0]).done());
        byte[] resultHeader = null;
        String receipt = null;
        SortedMap<Integer, List<byte[]>> parts = new TreeMap<>();
        for (byte[] response : call(http, worker + "Run", requests)) {
            Message message = new Message(response);
            if (message.has(3)) parts.computeIfAbsent((int) message.sub(3).number(1), n -> new ArrayList<>()).add(message.sub(3).first(3));
            if (message.has(4)) {
                receipt = message.sub(4).text(1);
                resultHeader = message.sub(4).first(2);
            }
        }
        if (receipt == null) throw new IOException("the run ended without a receipt; its reason is in a trailer, which java.net.http drops");

        // [8] what the receipt must state; [7] then the result is opened
        Message result = new Message(resultHeader);
        String claims = new String(Base64.getUrlDecoder().decode(receipt.split("\\.")[1]), StandardCharsets.UTF_8);
        require(claims, "header_sha384", hex(sha("SHA-384", header)));
        require(claims, "submitter_key", thumbprint(given.getProperty("signing_jwk")));
        require(claims, "result_header_sha384", hex(sha("SHA-384", resultHeader)));
        requirePart(claims, "records", cat(sent.toArray(byte[][]::new)));
        byte[] resultKey = rsa(Cipher.DECRYPT_MODE, key(folder.resolve(given.getProperty("recipient_key")), "RSA"), new Message(result.all(6).get(0)).first(2));
        Map<String, byte[]> files = new LinkedHashMap<>(Map.of("header.bin", header, "receipt.jws", ascii(receipt)));
        for (int n = 0; n < result.all(5).size(); n++) {
            String name = new Message(result.all(5).get(n)).text(1);
            requirePart(claims, name, cat(parts.get(n).toArray(byte[][]::new)));
            byte[] opened = open(resultKey, cat(ascii("cji-result/1\0"), sha("SHA-384", resultHeader), u32(n)), parts.get(n));
            files.put(name + ".arrows", opened);
            if (name.equals("row_status")) requireCount(claims, "rows_in", rows(opened));
            if (!name.equals("result")) continue;
            for (String count : List.of("rows_out", "subjects_out")) requireCount(claims, count, rows(opened));
            requireCount(claims, "chri_rows_out", 0); // findings are no criminal history
        }
        Files.createDirectories(out);
        for (var each : files.entrySet()) Files.write(out.resolve(each.getKey()), each.getValue());
        return lines.size() + " records, " + new TreeSet<>(files.keySet());
    }

    // [1] fields in ascending order, without those that have their default value
    static byte[] header(Properties given, String jwk, byte[] dataKey, int rows) throws Exception {
        Writer attribution = new Writer().text(1, given.getProperty("operator_id")).text(2, given.getProperty("requestor")).text(5, given.getProperty("reason"));
        byte[] names = attribution.done();
        byte[] padded = Arrays.copyOf(names, (names.length + 255) / 256 * 256);
        long now = Instant.now().getEpochSecond();
        byte[] validate = new Writer().text(1, "nibrs/3.1").text(2, LocalDate.now(ZoneOffset.UTC).toString()).done();
        String recipient = given.getProperty("recipient_jwk");
        return new Writer()
            .number(1, 1).bytes(2, random(16)).text(3, given.getProperty("audience"))
            .text(4, given.getProperty("originating_ori")).text(5, given.getProperty("requesting_ori"))
            .bytes(6, box(dataKey, "attribution", padded)).number(7, 1).bytes(8, Base64.getUrlDecoder().decode(thumbprint(given.getProperty("signing_jwk"))))
            .text(11, given.getProperty("purpose_code"))
            .bytes(12, new Writer().text(1, "records").text(2, "nibrs.flat/3.1").number(3, rows).done())
            .bytes(13, new Writer().bytes(1, validate).done())
            .text(14, given.getProperty("kek_id")).bytes(15, rsa(Cipher.ENCRYPT_MODE, publicKey(jwk), dataKey))
            .bytes(16, new Writer().text(1, thumbprint(recipient)).text(2, recipient).done())
            .bytes(17, new Writer().number(1, now).done()).bytes(18, new Writer().number(1, now + 3600).done()).number(19, 1).done();
    }

    // [6] the proof of the first attempt, for the worker that sent this nonce with its evidence
    static byte[] admission(PrivateKey key, byte[] header, Message attested) throws Exception {
        byte[] nonce = attested.first(7), receiptKey = Base64.getUrlDecoder().decode(thumbprint(attested.text(3)));
        byte[] signature = sign(key, cat(ascii("cji-admit/1\0"), nonce, receiptKey, sha("SHA-384", header), u32(1)));
        return new Writer().bytes(1, nonce).bytes(2, receiptKey).number(3, 1).bytes(4, signature).done();
    }

    // [2] raw r ‖ s
    static byte[] sign(PrivateKey key, byte[] message) throws Exception {
        Signature signature = Signature.getInstance("SHA384withECDSAinP1363Format");
        signature.initSign(key);
        signature.update(message);
        return signature.sign();
    }

    // ---- [3] FLOE

    static final byte[] PARAMETERS = cat(new byte[2], u32(SEGMENT), u32(32));

    record Floe(byte[] key, byte[] beginning, byte[] aad) {
        byte[] derive(byte[] from, byte[] purpose, int length) throws Exception {
            return expand(from, cat(beginning, purpose, aad), length);
        }

        byte[] tag() throws Exception {
            return derive(key, ascii("HEADER_TAG:"), 32);
        }

        byte[] segment(int mode, long i, boolean last, byte[] siv, byte[] data) throws Exception {
            byte[] messageKey = derive(key, ascii("MESSAGE_KEY:"), 48);
            byte[] dek = derive(messageKey, cat(ascii("DEK:"), u64(i & -(1L << 20))), 32);
            return gcm(mode, dek, siv, data, cat(u64(i), new byte[] {(byte) (last ? 1 : 0)}));
        }
    }

    static List<byte[]> seal(byte[] key, byte[] aad, byte[] plain) throws Exception {
        Floe floe = new Floe(key, cat(PARAMETERS, random(32)), aad);
        List<byte[]> segments = new ArrayList<>();
        for (int at = 0, i = 0; at == 0 || at < plain.length; at += PLAIN, i++) {
            boolean last = at + PLAIN >= plain.length;
            byte[] part = Arrays.copyOfRange(plain, at, Math.min(at + PLAIN, plain.length)), siv = random(12);
            byte[] segment = cat(u32(last ? part.length + OVERHEAD : -1), siv, floe.segment(Cipher.ENCRYPT_MODE, i, last, siv, part));
            segments.add(i == 0 ? cat(floe.beginning, floe.tag(), segment) : segment);
        }
        return segments;
    }

    static byte[] open(byte[] key, byte[] aad, List<byte[]> segments) throws Exception {
        byte[] first = segments.get(0);
        if (!Arrays.equals(PARAMETERS, Arrays.copyOf(first, 10))) throw new IOException("a part has other parameters");
        Floe floe = new Floe(key, Arrays.copyOf(first, HEADER - 32), aad);
        if (!MessageDigest.isEqual(floe.tag(), Arrays.copyOfRange(first, HEADER - 32, HEADER))) throw new IOException("the header of a part is not genuine");
        ByteArrayOutputStream plain = new ByteArrayOutputStream();
        for (int i = 0; i < segments.size(); i++) {
            boolean last = i == segments.size() - 1;
            byte[] segment = i == 0 ? Arrays.copyOfRange(first, HEADER, first.length) : segments.get(i);
            boolean whole = last ? segment.length <= SEGMENT : segment.length == SEGMENT;
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

    static PublicKey publicKey(String jwk) throws Exception {
        return KeyFactory.getInstance("RSA").generatePublic(new RSAPublicKeySpec(new BigInteger(1, member(jwk, "n")), new BigInteger(1, member(jwk, "e"))));
    }

    // RFC 7638: the required members in alphabetical order, and nothing else
    static String thumbprint(String jwk) throws Exception {
        StringJoiner required = new StringJoiner(",", "{", "}");
        boolean rsa = jwk.contains("\"RSA\""), pair = jwk.contains("\"AKP\"");
        for (String name : rsa ? List.of("e", "kty", "n") : pair ? List.of("alg", "kty", "pub") : List.of("crv", "kty", "x", "y")) {
            required.add("\"" + name + "\":\"" + text(jwk, name) + "\"");
        }
        return Base64.getUrlEncoder().withoutPadding().encodeToString(sha("SHA-256", ascii(required.toString())));
    }

    static byte[] member(String jwk, String name) throws IOException {
        return Base64.getUrlDecoder().decode(text(jwk, name));
    }

    static String text(String json, String name) throws IOException {
        Matcher found = Pattern.compile("\"" + name + "\"\\s*:\\s*\"([A-Za-z0-9_-]+)\"").matcher(json);
        if (!found.find()) throw new IOException("the key has no member " + name);
        return found.group(1);
    }

    static void require(String claims, String name, String value) throws IOException {
        if (!claims.contains("\"" + name + "\":\"" + value + "\"")) throw new IOException("the receipt states another " + name);
    }

    /** The counts are stated by the cell, so that only who opens the outputs can compare them. */
    static void requireCount(String claims, String name, long rows) throws IOException {
        if (Pattern.compile("\"" + name + "\":" + rows + "[,}]").matcher(claims).find()) return;
        throw new IOException("volumes: the receipt states another " + name + " than the " + rows + " that were counted. Do not use this result");
    }

    /** [5] The rows of an Arrow stream: messages of ffffffff, the length of the metadata, the metadata, the body. */
    static long rows(byte[] stream) {
        ByteBuffer data = ByteBuffer.wrap(stream).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        long rows = 0;
        for (int at = 0; data.getInt(at + 4) != 0;) {
            int message = at + 8 + data.getInt(at + 8), header = field(data, message, 2), body = field(data, message, 3);
            int batch = field(data, header + data.getInt(header), 0);
            if (data.get(field(data, message, 1)) == 3 && batch != 0) rows += data.getLong(batch); // a RecordBatch
            at += 8 + data.getInt(at + 4) + (body == 0 ? 0 : (int) data.getLong(body));
        }
        return rows;
    }

    /** Where field n of a flatbuffer's table is; 0 if it has its default value. */
    static int field(ByteBuffer data, int table, int n) {
        int fields = table - data.getInt(table), entry = 4 + 2 * n;
        int offset = entry < data.getShort(fields) ? data.getShort(fields + entry) : 0;
        return offset == 0 ? 0 : table + offset;
    }

    static void requirePart(String claims, String name, byte[] data) throws Exception {
        for (Matcher part = Pattern.compile("\\{[^{}]*\"name\":\"" + name + "\"[^{}]*\\}").matcher(claims); part.find();) {
            if (part.group().contains("\"sha256\":\"" + hex(sha("SHA-256", data)) + "\"") && part.group().matches(".*\"bytes\":" + data.length + "[,}].*")) return;
        }
        throw new IOException("the receipt states another " + name);
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

    // ---- Protocol Buffers: fields by number

    static class Writer {
        private final ByteArrayOutputStream made = new ByteArrayOutputStream();

        Writer number(int field, long value) {
            if (value != 0) varint(field << 3).varint(value);
            return this;
        }

        Writer text(int field, String value) {
            byte[] data = value.getBytes(StandardCharsets.UTF_8);
            return data.length == 0 ? this : bytes(field, data);
        }

        Writer bytes(int field, byte[] value) { // an empty message is written: it has a meaning
            varint(field << 3 | 2).varint(value.length).made.writeBytes(value);
            return this;
        }

        private Writer varint(long value) {
            for (; (value & ~0x7FL) != 0; value >>>= 7) made.write((int) (value & 0x7F | 0x80));
            made.write((int) value);
            return this;
        }

        byte[] done() {
            return made.toByteArray();
        }
    }

    static class Message {
        private final Map<Integer, List<byte[]>> fields = new TreeMap<>();
        private final Map<Integer, Long> numbers = new TreeMap<>();

        Message(byte[] data) {
            for (ByteBuffer rest = ByteBuffer.wrap(data); rest.hasRemaining();) {
                long tag = varint(rest);
                if ((tag & 7) == 0) {
                    numbers.put((int) (tag >> 3), varint(rest));
                } else {
                    byte[] value = new byte[(int) varint(rest)]; // the contract has no other wire types in what is read here
                    rest.get(value);
                    fields.computeIfAbsent((int) (tag >> 3), n -> new ArrayList<>()).add(value);
                }
            }
        }

        private static long varint(ByteBuffer from) {
            long value = 0;
            for (int shift = 0;; shift += 7) {
                byte next = from.get();
                value |= (long) (next & 0x7F) << shift;
                if (next >= 0) return value;
            }
        }

        boolean has(int field) {
            return fields.containsKey(field);
        }

        List<byte[]> all(int field) {
            return fields.getOrDefault(field, List.of());
        }

        byte[] first(int field) {
            return all(field).isEmpty() ? new byte[0] : all(field).get(0);
        }

        Message sub(int field) {
            return new Message(first(field));
        }

        String text(int field) {
            return new String(first(field), StandardCharsets.UTF_8);
        }

        long number(int field) { // 0 is left out by the sender: part 0, index 0
            return numbers.getOrDefault(field, 0L);
        }
    }

    // ---- gRPC over HTTP/2: each message behind five bytes

    static List<byte[]> call(HttpClient http, String url, List<byte[]> messages) throws Exception {
        byte[] body = cat(messages.stream().map(message -> cat(new byte[1], u32(message.length), message)).toArray(byte[][]::new));
        HttpRequest request = HttpRequest.newBuilder(URI.create(url)).header("content-type", "application/grpc").header("te", "trailers")
            .header("grpc-timeout", "600S").timeout(Duration.ofMinutes(10)).POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
        HttpResponse<byte[]> response = http.send(request, HttpResponse.BodyHandlers.ofByteArray());
        String status = response.headers().firstValue("grpc-status").orElse("0"); // a refusal has no body and its status here
        if (response.statusCode() != 200 || !status.equals("0")) {
            throw new IOException("status " + status + ", " + response.headers().firstValue("grpc-message").orElse("HTTP " + response.statusCode()));
        }
        List<byte[]> found = new ArrayList<>();
        for (ByteBuffer rest = ByteBuffer.wrap(response.body()); rest.hasRemaining();) {
            rest.get();
            byte[] message = new byte[rest.getInt()];
            rest.get(message);
            found.add(message);
        }
        return found;
    }

    static HttpClient client(Path folder, Properties given) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12"), own = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        own.load(null, null);
        for (var each : certificates(folder.resolve(given.getProperty("ca")))) trusted.setCertificateEntry("ca" + trusted.size(), each);
        own.setKeyEntry("own", key(folder.resolve(given.getProperty("private_key")), "EC"), new char[0], certificates(folder.resolve(given.getProperty("certificate"))));
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(own, new char[0]);
        SSLContext tls = SSLContext.getInstance("TLSv1.3");
        tls.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).sslContext(tls).build();
    }

    static java.security.cert.Certificate[] certificates(Path pem) throws Exception {
        try (InputStream in = Files.newInputStream(pem)) {
            return CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(java.security.cert.Certificate[]::new);
        }
    }

    // the key of this kind in a PEM file; a file for both suites has an ML-DSA key too
    static PrivateKey key(Path pem, String kind) throws Exception {
        for (Matcher block = Pattern.compile("-----BEGIN PRIVATE KEY-----([^-]+)-----END").matcher(Files.readString(pem)); block.find();) {
            try {
                return KeyFactory.getInstance(kind).generatePrivate(new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(block.group(1))));
            } catch (InvalidKeySpecException other) {
                continue;
            }
        }
        throw new IOException(pem.getFileName() + " has no key for " + kind);
    }

    // ---- [5] an Arrow stream of one column of bytes, in one batch; https://arrow.apache.org/docs/format/Columnar.html

    static class Arrow {
        private static final int SCHEMA = 1, RECORD_BATCH = 3, BINARY = 4;
        private static final short V5 = 4;

        static byte[] stream(String column, String schema, List<byte[]> values) {
            Object field = new Object[] {column, (byte) 1, (byte) BINARY, new Object[0], null, List.of()};
            Object tag = new Object[] {"cji.schema", schema};
            ByteBuffer offsets = little(4 * values.size() + 4);
            offsets.putInt(0);
            for (byte[] value : values) offsets.putInt(offsets.getInt(offsets.position() - 4) + value.length);
            byte[] at = padded(offsets.array()), data = cat(values.toArray(byte[][]::new)), body = cat(at, padded(data));
            byte[] nodes = longs(values.size(), 0), buffers = longs(0, 0, 0, offsets.capacity(), at.length, data.length);
            Object batch = new Object[] {(long) values.size(), new Structs(1, nodes), new Structs(3, buffers)};
            return cat(
                message(SCHEMA, new Object[] {null, List.of(field), List.of(tag)}, new byte[0]),
                message(RECORD_BATCH, batch, body), new byte[] {-1, -1, -1, -1, 0, 0, 0, 0});
        }

        private static byte[] message(int kind, Object header, byte[] body) {
            byte[] metadata = padded(flat(new Object[] {V5, (byte) kind, header, (long) body.length}));
            return cat(little(8).putInt(-1).putInt(metadata.length).array(), metadata, body);
        }

        private record Structs(int count, byte[] data) {}

        private record Pending(int reference, Object node) {}

        // FlatBuffers: an Object[] is a table with its slots, a List a vector of references. Children follow their parents.
        private static byte[] flat(Object root) {
            ByteBuffer made = little(1 << 16).position(4);
            Deque<Pending> pending = new ArrayDeque<>(List.of(new Pending(0, root)));
            while (!pending.isEmpty()) {
                Pending next = pending.remove();
                int start = made.position() + 7 & -8;
                if (next.node instanceof Object[] slots) {
                    int vtable = start, length = 4;
                    start = vtable + 4 + 2 * slots.length + 7 & -8;
                    for (int i = 0; i < slots.length; i++) {
                        if (slots[i] == null) continue;
                        int size = slots[i] instanceof Byte ? 1 : slots[i] instanceof Short ? 2 : slots[i] instanceof Long ? 8 : 4;
                        length = length + size - 1 & -size;
                        made.putShort(vtable + 4 + 2 * i, (short) length).position(start + length);
                        if (slots[i] instanceof Byte value) made.put(value);
                        else if (slots[i] instanceof Short value) made.putShort(value);
                        else if (slots[i] instanceof Long value) made.putLong(value);
                        else pending.add(new Pending(start + length, slots[i]));
                        length += size;
                    }
                    made.putShort(vtable, (short) (4 + 2 * slots.length)).putShort(vtable + 2, (short) length);
                    made.putInt(start, start - vtable).position(start + length);
                } else if (next.node instanceof List<?> list) {
                    made.putInt(start, list.size());
                    for (int i = 0; i < list.size(); i++) pending.add(new Pending(start + 4 + 4 * i, list.get(i)));
                    made.position(start + 4 + 4 * list.size());
                } else if (next.node instanceof Structs structs) {
                    start += 4; // so that the first long is aligned
                    made.position(start).putInt(structs.count).put(structs.data);
                } else {
                    byte[] text = ascii((String) next.node);
                    made.position(start).putInt(text.length).put(text).put((byte) 0);
                }
                made.putInt(next.reference, start - next.reference);
            }
            return Arrays.copyOf(made.array(), made.position());
        }

        private static byte[] longs(long... values) {
            ByteBuffer made = little(8 * values.length);
            for (long value : values) made.putLong(value);
            return made.array();
        }

        private static byte[] padded(byte[] data) {
            return Arrays.copyOf(data, data.length + 7 & -8);
        }

        private static ByteBuffer little(int length) {
            return ByteBuffer.allocate(length).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        }
    }
}
