package cji;

// Runs what this program reads against the conformance kit:
//
//     java -cp build/java cji.Kit [FOLDER]
//
// A case is read as its group's `about` says. What is valid must open and have what `expected` says, what is invalid must
// not open, and what is acceptable may do either. Prints the number of cases of each group, and those that went wrong.

import static cji.Format.*;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.*;
import java.util.function.Predicate;
import java.util.stream.Stream;

public final class Kit {
    private interface Reader {
        Map<String, Object> read(Data data) throws Exception;
    }

    /** `cases` says which of a group this program reads at all; of all others `lacks` says why not. */
    private record Group(Predicate<Data> cases, Reader reader, String lacks) {}

    private record Data(Map<String, Object> members) {
        String text(String name) {
            return (String) members.get(name);
        }

        byte[] hex(String name) {
            return HexFormat.of().parseHex(text(name));
        }

        Data of(String name) throws IOException {
            return new Data(Json.object(members.get(name)));
        }

        List<byte[]> list(String name) {
            return ((List<?>) members.get(name)).stream().map(each -> HexFormat.of().parseHex((String) each)).toList();
        }
    }

    private static final String HYBRID = "hybrid-1: the JDK before 24 has neither ML-KEM nor ML-DSA";

    private final Path folder;
    private final Data keys;
    private final Map<String, Group> groups = new TreeMap<>();

    private Kit(Path folder) throws Exception {
        this.folder = folder;
        keys = new Data(read("keys")).of("rsa");
        Predicate<Data> all = data -> true, classical = data -> "classical-1".equals(data.text("suite"));
        Predicate<Data> ofHeader = data -> new Wire.Message(data.hex("header")).number(7) == 1;
        Predicate<Data> ofDocument = data -> !claims(data.text("document")).contains("\"suite\":\"hybrid-1\"");
        groups.put("admissions", new Group(ofHeader, this::admission, HYBRID));
        groups.put("boxes", new Group(all, this::box, ""));
        groups.put("data-keys", new Group(classical, this::dataKey, HYBRID));
        groups.put("derived", new Group(all, this::derived, ""));
        groups.put("failures", new Group(ofDocument, data -> Map.of("claims", Receipt.verifyFailure(data.text("document"), data.text("jwk"))), HYBRID));
        groups.put("nonce-paths", new Group(all, this::noncePath, ""));
        groups.put("receipts", new Group(ofDocument, data -> Map.of("claims", Receipt.verify(data.text("document"), data.text("jwk"))), HYBRID));
        groups.put("result-keys", new Group(classical, this::resultKey, HYBRID));
        groups.put("signatures", new Group(ofHeader, this::signature, HYBRID));
        groups.put("streams", new Group(all, this::stream, ""));
        String worker = "a worker reads them";
        for (String name : List.of("headers", "records", "statements", "tickets")) groups.put(name, new Group(data -> false, null, worker));
        groups.put("attributions", new Group(all, this::attribution, ""));
        groups.put("jobs", new Group(classical, this::job, HYBRID));
        groups.put("result-headers", new Group(ofHeader, data -> Map.of("parts", Result.read(data.hex("result_header"), data.hex("header")).parts()), HYBRID));
    }

    /** What the document says, well-formed or not. */
    private static String claims(String document) {
        String[] parts = document.split("\\.");
        return new String(Base64.getUrlDecoder().decode(parts[Math.min(1, parts.length - 1)]), StandardCharsets.UTF_8);
    }

    private Map<String, Object> read(String name) throws IOException {
        return Json.object(Json.read(Files.readString(folder.resolve(name + ".json"))));
    }

    public static void main(String[] args) throws Exception {
        if (!new Kit(Path.of(args.length > 0 ? args[0] : "docs/vectors/kit")).run()) System.exit(1);
    }

    private boolean run() throws Exception {
        boolean right = true;
        List<String> names;
        try (Stream<Path> files = Files.list(folder)) {
            names = files.map(each -> each.getFileName().toString().replace(".json", "")).sorted().toList();
        }
        for (String name : names) {
            if (name.equals("keys") || name.equals("schema")) continue;
            Group group = groups.getOrDefault(name, new Group(data -> false, null, "this program does not know the group"));
            int passed = 0, others = 0;
            List<Object> wrong = new ArrayList<>();
            for (Object each : (List<?>) read(name).get("cases")) {
                Map<String, Object> found = Json.object(each);
                if (!group.cases.test(new Data(Json.object(found.get("data"))))) others++;
                else if (passes(group.reader, found)) passed++;
                else wrong.add(found.get("id"));
            }
            String lacks = others == 0 ? "" : ": " + group.lacks;
            System.out.println(name + ": " + passed + " passed, " + wrong.size() + " failed, " + others + " not supported" + lacks);
            for (Object id : wrong) System.out.println("  wrong: " + id);
            right &= wrong.isEmpty();
        }
        return right;
    }

    private static boolean passes(Reader reader, Map<String, Object> given) throws IOException {
        Map<String, Object> found;
        try {
            found = reader.read(new Data(Json.object(given.get("data"))));
        } catch (Exception refused) {
            return !given.get("result").equals("valid");
        }
        Map<String, Object> expected = new HashMap<>(given.containsKey("expected") ? Json.object(given.get("expected")) : Map.of());
        int all = expected.size();
        expected.keySet().retainAll(found.keySet());
        boolean same = expected.entrySet().stream().allMatch(each -> each.getValue().equals(found.get(each.getKey())));
        return !given.get("result").equals("invalid") && same && (all == 0 || !expected.isEmpty());
    }

    private PrivateKey rsa(String name) throws Exception {
        return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(keys.hex(name)));
    }

    private Map<String, Object> stream(Data data) throws Exception {
        byte[] key = data.hex("key"), aad = data.hex("aad");
        Map<String, Object> found = new HashMap<>();
        List<byte[]> sent;
        if (data.members.containsKey("pieces")) {
            sent = sealWith(key, aad, data.hex("iv"), data.list("sivs"), pieces(data));
            byte[] whole = cat(sent.toArray(byte[][]::new));
            found.putAll(Map.of("data_bytes", (long) whole.length, "data_sha384", Format.hex(sha("SHA-384", whole))));
        } else {
            sent = data.list("data");
        }
        byte[] plain = open(key, aad, sent);
        Floe floe = new Floe(key, Arrays.copyOf(sent.get(0), HEADER - 32), aad);
        found.put("mk", Format.hex(floe.messageKey()));
        found.put("dek_0", Format.hex(floe.dek(floe.messageKey(), 0)));
        found.put("plaintext", Format.hex(plain));
        found.put("plaintext_sha384", Format.hex(sha("SHA-384", plain)));
        return found;
    }

    /** 00 01 ... ff repeated, cut into pieces of these lengths. */
    private static List<byte[]> pieces(Data data) {
        List<byte[]> made = new ArrayList<>();
        int at = 0;
        for (Object length : (List<?>) data.members.get("pieces")) {
            byte[] piece = new byte[((Long) length).intValue()];
            for (int i = 0; i < piece.length; i++) piece[i] = (byte) at++;
            made.add(piece);
        }
        return made;
    }

    private Map<String, Object> box(Data data) throws Exception {
        String purpose = new String(data.hex("purpose"), StandardCharsets.ISO_8859_1);
        return Map.of("plaintext", Format.hex(unbox(data.hex("data_key"), purpose, data.hex("box"))));
    }

    private Map<String, Object> derived(Data data) throws Exception {
        String what = data.text("what");
        if (what.equals("dek")) {
            Floe floe = new Floe(null, cat(PARAMETERS, data.hex("iv")), data.hex("aad"));
            return Map.of("key", Format.hex(floe.dek(data.hex("mk"), (Long) data.members.get("index"))));
        }
        byte[] plan = what.equals("shuffle") ? data.hex("plan_sha384") : new byte[0];
        byte[] info = cat(ascii("cji-" + what + "-key/1\0"), data.hex("header_sha384"), plan);
        return Map.of("key", Format.hex(expand(data.hex("data_key"), info, what.equals("statement") ? 48 : 32)));
    }

    private Map<String, Object> dataKey(Data data) throws Exception {
        return Map.of("data_key", Format.hex(unwrap(rsa(data.of("worker_key").text("rsa")), data.hex("wrapped_dek"))));
    }

    private Map<String, Object> resultKey(Data data) throws Exception {
        return Map.of("result_key", Format.hex(unwrap(rsa(data.text("recipient")), data.hex("wrapped_dek"))));
    }

    /** [2] As the worker verifies who sent a header. */
    private Map<String, Object> signature(Data data) throws Exception {
        byte[] header = data.hex("header");
        return verify(data.text("jwk"), new Wire.Message(header).first(8), jobMessage(header), data.hex("signature"));
    }

    /** [6] As the worker verifies an admission: by the send key, if the header names one. */
    private Map<String, Object> admission(Data data) throws Exception {
        byte[] header = data.hex("header");
        Wire.Message job = new Wire.Message(header);
        String jwk = data.text(job.has(9) ? "send_jwk" : "submitter_jwk");
        byte[] receiptKey = base64url(thumbprint(data.text("receipt_jwk")));
        byte[] message = admissionMessage(data.hex("nonce"), receiptKey, header, ((Long) data.members.get("attempt")).intValue());
        verify(jwk, job.first(job.has(9) ? 9 : 8), message, data.hex("signature"));
        return Map.of("message", Format.hex(message));
    }

    private static Map<String, Object> verify(String jwk, byte[] named, byte[] message, byte[] signature) throws Exception {
        if (!Arrays.equals(submitter(p384(jwk)), named)) throw new IOException("the header names another key");
        if (!verified(p384(jwk), message, signature)) throw new IOException("it was not signed with this key");
        return Map.of();
    }

    private Map<String, Object> noncePath(Data data) throws Exception {
        byte[] path = data.hex("nonce_path"), root = sha("SHA-384", cat(ascii("\0cji-nonce/1\0"), data.hex("nonce")));
        if (path.length % 49 != 0 || path.length > 6 * 49) throw new IOException("the nonce path has another length");
        for (int at = 0; at < path.length; at += 49) {
            byte[] side = Arrays.copyOfRange(path, at + 1, at + 49);
            if (path[at] >> 1 != 0) throw new IOException("a partner is on neither side");
            root = sha("SHA-384", path[at] == 0 ? cat(new byte[] {1}, side, root) : cat(new byte[] {1}, root, side));
        }
        return Map.of("root", Format.hex(root));
    }

    private Map<String, Object> attribution(Data data) throws Exception {
        Wire.Message found = Result.attribution(data.hex("plaintext"));
        return Map.of("operator_id", found.text(1), "requestor", found.text(2), "reason", found.text(5));
    }

    /** A job from end to end: as the worker opens it, then its result as the recipient does. */
    private Map<String, Object> job(Data data) throws Exception {
        byte[] header = data.hex("header"), result = data.hex("result_header");
        Wire.Message job = new Wire.Message(header);
        String submitter = data.of("submitter").text("jwk");
        verify(submitter, job.first(8), jobMessage(header), data.hex("signature"));
        Map<String, Object> admission = new HashMap<>(data.of("admission").members);
        admission.putAll(Map.of("header", data.text("header"), "receipt_jwk", data.text("receipt_jwk"), "submitter_jwk", submitter));
        admission(new Data(admission));
        byte[] dek = unwrap(privateKey(data.of("worker_key").text("cmk_private")), data.hex("wrapped_dek"));
        long rows = rows(parts(data, "inputs", "input"), dek, "cji-part/1\0", header, job.all(12).size() - 1, Integer.MAX_VALUE, false);
        Map<String, Object> claims = Receipt.verify(data.text("receipt"), data.text("receipt_jwk"));
        Result.Header found = Result.read(result, header);
        byte[] resultKey = unwrap(privateKey((String) ((List<?>) data.of("recipient").members.get("private")).get(0)), found.wrapped());
        int shards = Collections.frequency(found.parts(), "result"); // which come first here
        long back = rows(parts(data, "outputs", "output"), resultKey, "cji-result/1\0", result, 0, shards, job.number(19) == 2);
        if (!Json.object(claims.get("volumes")).get("rows_out").equals(back)) throw new IOException("the receipt states another number of rows");
        return Map.of("rows", rows, "dek", Format.hex(dek), "result_key", Format.hex(resultKey));
    }

    private static PrivateKey privateKey(String base64) throws Exception {
        return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(base64)));
    }

    private static List<?> parts(Data data, String several, String one) {
        Object all = data.members.get(several);
        return all == null ? List.of(data.members.get(one)) : (List<?>) all;
    }

    /** The rows of these parts from the first to the one before `end`; all parts must open. */
    private static long rows(List<?> parts, byte[] key, String aad, byte[] header, int first, int end, boolean padded) throws Exception {
        long rows = 0;
        for (int n = 0; n < parts.size(); n++) {
            byte[] plain = open(key, cat(ascii(aad), sha("SHA-384", header), u32(n)), new Data(Map.of("part", parts.get(n))).list("part"));
            long found = Arrow.rows(plain, padded);
            rows += n >= first && n < end ? found : 0;
        }
        return rows;
    }
}
