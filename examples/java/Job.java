package cji;

// A job of the suite classical-1 written from docs/format.md, with nothing but the JDK (17 or later).
//
//     java -cp build/java cji.Job client.properties submission.txt out/
//
// A NIBRS submission goes in, one record a line; the operation is `validate`. Numbers in brackets are sections of
// docs/format.md.
//
// The result is opened only if the receipt is signed with the key that the worker showed, and states the digests of everything
// that was sent and received here. Whether that key belongs to an attested machine is left to `cji evidence verify`.

import static cji.Format.*;
import static cji.Wire.*;

import java.io.IOException;
import java.io.Reader;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.PrivateKey;
import java.time.*;
import java.util.*;
import javax.crypto.Cipher;

public final class Job {
    private final Properties given = new Properties();
    private final Path folder;
    private final HttpClient http;
    private final String worker;

    private Job(Path file) throws Exception {
        try (Reader reader = Files.newBufferedReader(file)) {
            given.load(reader);
        }
        folder = file.toAbsolutePath().getParent();
        http = client(folder, given);
        worker = "https://" + given.getProperty("target") + "/cji.worker.v1.CjiWorker/";
    }

    public static void main(String[] args) {
        try {
            System.out.println(new Job(Path.of(args[0])).run(Path.of(args[1]), Path.of(args[2])));
        } catch (Exception error) {
            System.err.println("refused: " + error.getMessage());
            System.exit(1);
        }
    }

    private String run(Path submission, Path out) throws Exception {
        String jwk = pinned();
        List<byte[]> lines = new ArrayList<>();
        for (String line : Files.readString(submission, StandardCharsets.ISO_8859_1).split("\r?\n")) {
            lines.add(line.getBytes(StandardCharsets.ISO_8859_1));
        }
        byte[] dataKey = random(32), header = header(jwk, dataKey, lines.size());
        byte[] aad = cat(ascii("cji-part/1\0"), sha("SHA-384", header), u32(0));
        List<byte[]> sent = seal(dataKey, aad, Arrow.stream("segment", "nibrs.flat/3.1", lines));
        Message attested = new Message(call(http, worker + "Attest", List.of(new Writer().bytes(1, random(32)).done())).get(0));
        Answer answer = exchange(header, sent, attested);
        Map<String, byte[]> files = new LinkedHashMap<>(Map.of("header.bin", header, "receipt.jws", ascii(answer.receipt)));
        files.putAll(opened(header, sent, answer, attested.text(3)));
        Files.createDirectories(out);
        for (var each : files.entrySet()) Files.write(out.resolve(each.getKey()), each.getValue());
        return lines.size() + " records, " + new TreeSet<>(files.keySet());
    }

    /** [4] The worker's key, if it is the one that its operator named out of band. */
    private String pinned() throws Exception {
        Message described = new Message(call(http, worker + "Describe", List.of(new byte[0])).get(0));
        String jwk = described.all(5).stream().map(Message::new).filter(key -> key.text(1).equals(given.getProperty("kek_id")))
            .map(key -> key.text(2)).findFirst().orElseThrow(() -> new IOException("the worker has no such key"));
        if (!thumbprint(jwk).equals(given.getProperty("kek_thumbprint"))) throw new IOException("the worker has another key");
        return jwk;
    }

    /** [1] Fields in ascending order, without those that have their default value. */
    private byte[] header(String jwk, byte[] dataKey, int rows) throws Exception {
        byte[] names = new Writer().text(1, given.getProperty("operator_id")).text(2, given.getProperty("requestor"))
            .text(5, given.getProperty("reason")).done();
        byte[] padded = Arrays.copyOf(names, (names.length + 255) / 256 * 256);
        long now = Instant.now().getEpochSecond();
        byte[] validate = new Writer().text(1, "nibrs/3.1").text(2, LocalDate.now(ZoneOffset.UTC).toString()).done();
        String recipient = given.getProperty("recipient_jwk");
        return new Writer()
            .number(1, 1).bytes(2, random(16)).text(3, given.getProperty("audience"))
            .text(4, given.getProperty("originating_ori")).text(5, given.getProperty("requesting_ori"))
            .bytes(6, box(dataKey, "attribution", padded)).number(7, 1).bytes(8, base64url(thumbprint(given.getProperty("signing_jwk"))))
            .text(11, given.getProperty("purpose_code"))
            .bytes(12, new Writer().text(1, "records").text(2, "nibrs.flat/3.1").number(3, rows).done())
            .bytes(13, new Writer().bytes(1, validate).done())
            .text(14, given.getProperty("kek_id")).bytes(15, rsa(Cipher.ENCRYPT_MODE, publicKey(jwk), dataKey))
            .bytes(16, new Writer().text(1, thumbprint(recipient)).text(2, recipient).done())
            .bytes(17, new Writer().number(1, now).done()).bytes(18, new Writer().number(1, now + 3600).done()).number(19, 1).done();
    }

    private record Answer(SortedMap<Integer, List<byte[]>> parts, String receipt, byte[] header) {}

    /** [6] Open, segments, finish; then accepted, segments, done. It is the first attempt, at the worker of this answer. */
    private Answer exchange(byte[] header, List<byte[]> sent, Message attested) throws Exception {
        PrivateKey signing = key(folder.resolve(given.getProperty("signing_key")), "EC");
        byte[] nonce = attested.first(7), receiptKey = base64url(thumbprint(attested.text(3)));
        byte[] signature = sign(signing, admissionMessage(nonce, receiptKey, header, 1));
        byte[] admission = new Writer().bytes(1, nonce).bytes(2, receiptKey).number(3, 1).bytes(4, signature).done();
        byte[] open = new Writer().bytes(1, header).bytes(2, sign(signing, jobMessage(header))).bytes(5, admission).done();
        List<byte[]> requests = new ArrayList<>(List.of(new Writer().bytes(1, open).done()));
        for (int i = 0; i < sent.size(); i++) {
            requests.add(new Writer().bytes(2, new Writer().number(2, i).bytes(3, sent.get(i)).done()).done()); // part 0 is left out
        }
        requests.add(new Writer().bytes(3, new byte[0]).done());
        SortedMap<Integer, List<byte[]>> parts = new TreeMap<>();
        for (byte[] response : call(http, worker + "Run", requests)) {
            Message message = new Message(response), segment = message.sub(3);
            if (message.has(3)) parts.computeIfAbsent((int) segment.number(1), n -> new ArrayList<>()).add(segment.first(3));
            if (message.has(4)) return new Answer(parts, message.sub(4).text(1), message.sub(4).first(2));
        }
        throw new IOException("the run ended without a receipt; its reason is in a trailer, which java.net.http drops");
    }

    /** [8] What the receipt must state; [7] then the outputs, if they have the rows that it states. */
    private Map<String, byte[]> opened(byte[] header, List<byte[]> sent, Answer answer, String receiptJwk) throws Exception {
        Map<String, Object> claims = Receipt.verify(answer.receipt, receiptJwk);
        Message job = new Message(header);
        Result.Header result = Result.read(answer.header, header);
        List<String> names = result.parts();
        Map<String, Object> ours = new TreeMap<>(Map.of(
            "job_id", hex(job.first(2)), "header_sha384", hex(sha("SHA-384", header)), "submitter_key", base64url(job.first(8)),
            "result_header_sha384", hex(sha("SHA-384", answer.header)), "inputs", List.of(part("records", sent)),
            "originating_ori", job.text(4), "requesting_ori", job.text(5), "purpose_code", job.text(11),
            "operations", List.of("validate"), "kek_id", job.text(14)));
        List<Object> outputs = new ArrayList<>();
        for (int n = 0; n < names.size(); n++) outputs.add(part(names.get(n), answer.parts.getOrDefault(n, List.of())));
        ours.put("outputs", outputs);
        ours.put("worker", result.worker());
        ours.put("recipients", List.of(job.sub(16).text(1)));
        ours.put("simulated", Boolean.valueOf(given.getProperty("simulated", "false")));
        for (var each : ours.entrySet()) require(claims, each.getKey(), each.getValue());
        requireCounts(claims, Map.of("bytes_in", length(sent), "bytes_out", answer.parts.values().stream().mapToLong(Job::length).sum()));

        byte[] resultKey = unwrap(key(folder.resolve(given.getProperty("recipient_key")), "RSA"), result.wrapped());
        Map<String, byte[]> files = new LinkedHashMap<>();
        for (int n = 0; n < names.size(); n++) {
            byte[] aad = cat(ascii("cji-result/1\0"), sha("SHA-384", answer.header), u32(n));
            files.put(names.get(n) + ".arrows", open(resultKey, aad, answer.parts.get(n)));
        }
        long in = Arrow.rows(files.get("row_status.arrows"), false), found = Arrow.rows(files.get("result.arrows"), false);
        requireCounts(claims, Map.of("rows_in", in, "rows_out", found, "subjects_out", found, "chri_rows_out", 0L)); // findings are no criminal history
        return files;
    }

    private static void requireCounts(Map<String, Object> claims, Map<String, Long> counted) throws IOException {
        Map<String, Object> volumes = Json.object(claims.get("volumes"));
        for (var each : new TreeMap<>(counted).entrySet()) {
            if (!each.getValue().equals(volumes.get(each.getKey()))) {
                throw new IOException("volumes: the receipt states another " + each.getKey() + " than the " + each.getValue()
                    + " that were counted. Do not use this result");
            }
        }
    }

    private static long length(List<byte[]> data) {
        return data.stream().mapToLong(each -> each.length).sum();
    }

    private static Map<String, Object> part(String name, List<byte[]> data) throws Exception {
        byte[] whole = cat(data.toArray(byte[][]::new));
        return Map.of("name", name, "sha256", hex(sha("SHA-256", whole)), "bytes", (long) whole.length);
    }

    private static void require(Map<String, Object> claims, String name, Object ours) throws IOException {
        if (!ours.equals(claims.get(name))) throw new IOException("the receipt states another " + name);
    }
}
