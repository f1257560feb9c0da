package cji;

// Messages of Protocol Buffers by number, and calls of gRPC. A program with more to do takes the libraries for them.

import static cji.Format.*;

import java.io.*;
import java.net.URI;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.time.Duration;
import java.util.*;
import javax.net.ssl.*;

final class Wire {
    private static final int MESSAGE_BYTES = 4 << 20, ANSWER_BYTES = 128 << 20, OBJECT_BYTES = 64; // an empty message costs memory too

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
                    long length = varint(rest); // the contract has no other wire types in what is read here
                    if (length < 0 || length > rest.remaining()) throw new IllegalArgumentException("a message is cut off");
                    byte[] value = new byte[(int) length];
                    rest.get(value);
                    fields.computeIfAbsent((int) (tag >> 3), n -> new ArrayList<>()).add(value);
                }
            }
        }

        /** A message in its one encoding: known fields in ascending order, none with its default value, varints in their shortest form. */
        static Message canonical(byte[] data, Set<Integer> numbers, Set<Integer> values, Set<Integer> repeated) throws IOException {
            Message found = new Message(data);
            if (!numbers.containsAll(found.numbers.keySet())) throw new IOException("the message has an unknown field");
            Writer again = new Writer();
            SortedSet<Integer> fields = new TreeSet<>(found.fields.keySet());
            fields.addAll(found.numbers.keySet());
            for (int field : fields) {
                boolean once = values.contains(field) && found.all(field).size() == 1 && found.first(field).length > 0;
                if (!once && !repeated.contains(field) && !numbers.contains(field)) throw new IOException("the message has another form");
                again.number(field, found.number(field));
                for (byte[] value : found.all(field)) again.bytes(field, value);
            }
            if (data.length == 0 || data.length > 32 << 10 || !Arrays.equals(again.done(), data)) throw new IOException("the message has another encoding");
            return found;
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
        byte[] sent = cat(messages.stream().map(message -> cat(new byte[1], u32(message.length), message)).toArray(byte[][]::new));
        HttpRequest request = HttpRequest.newBuilder(URI.create(url)).header("content-type", "application/grpc").header("te", "trailers")
            .header("grpc-timeout", "600S").timeout(Duration.ofMinutes(10)).POST(HttpRequest.BodyPublishers.ofByteArray(sent)).build();
        HttpResponse<InputStream> response = http.send(request, HttpResponse.BodyHandlers.ofInputStream());
        try (DataInputStream body = new DataInputStream(response.body())) {
            return messages(response, body);
        }
    }

    /** Nothing is attested yet: what is kept of an answer is bounded here, whatever lengths it names. */
    private static List<byte[]> messages(HttpResponse<InputStream> response, DataInputStream body) throws IOException {
        String status = response.headers().firstValue("grpc-status").orElse("0"); // a refusal has no body and its status here
        if (response.statusCode() != 200 || !status.equals("0")) {
            throw new IOException("status " + status + ", " + response.headers().firstValue("grpc-message").orElse("HTTP " + response.statusCode()));
        }
        List<byte[]> found = new ArrayList<>();
        long kept = 0;
        while (body.read() >= 0) {
            int length = body.readInt();
            kept += OBJECT_BYTES + length;
            if (length < 0 || length > MESSAGE_BYTES || kept > ANSWER_BYTES) throw new IOException("the worker's answer is too long");
            byte[] message = new byte[length];
            body.readFully(message);
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

}
