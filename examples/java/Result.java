package cji;

import static cji.Format.*;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;

/** [1], [7] What is opened of a job: its result header, and the names of who asked. */
final class Result {
    private static final int MOST_OUTPUTS = 16;

    /** The worker, the names of all parts, in order, and the first recipient's wrapped key. */
    record Header(String worker, List<String> parts, byte[] wrapped) {}

    /** The result header of the job with this header, its own. */
    static Header read(byte[] data, byte[] header) throws Exception {
        Wire.Message job = new Wire.Message(header), result = Wire.Message.canonical(data, Set.of(1), Set.of(2, 3, 4), Set.of(5, 6));
        boolean ours = result.number(1) == 1 && Arrays.equals(result.first(2), job.first(2));
        if (!ours || !Arrays.equals(result.first(3), sha("SHA-384", header))) throw new IOException("the result is that of another job");
        List<String> parts = new ArrayList<>();
        Set<String> names = new HashSet<>();
        for (byte[] each : result.all(5)) {
            Wire.Message output = Wire.Message.canonical(each, Set.of(3), Set.of(1, 2), Set.of());
            String name = output.text(1);
            long shards = output.number(3);
            boolean named = name.matches("[a-z][a-z0-9_]{0,63}") && output.text(2).matches("[a-z][a-z0-9_.]{0,47}/[0-9]{1,4}(\\.[0-9]{1,4}){0,2}");
            if (!named || !names.add(name) || shards == 1 || shards > 1024) throw new IOException("the result has an output of another form");
            parts.addAll(Collections.nCopies((int) Math.max(1, shards), name));
        }
        if (names.size() > MOST_OUTPUTS) throw new IOException("the result has too many outputs");
        if (!names.containsAll(List.of("result", "row_status"))) throw new IOException("the result lacks an output");
        List<byte[]> recipients = job.all(16), wrapped = result.all(6);
        if (recipients.isEmpty() || recipients.size() != wrapped.size()) throw new IOException("the result has other recipients");
        for (int n = 0; n < wrapped.size(); n++) check(new Wire.Message(recipients.get(n)), wrapped.get(n));
        return new Header(result.text(4), parts, result.sub(6).first(2));
    }

    private static void check(Wire.Message recipient, byte[] wrapped) throws Exception {
        Wire.Message found = Wire.Message.canonical(wrapped, Set.of(), Set.of(1, 2), Set.of());
        boolean same = found.text(1).equals(recipient.text(1)) && found.first(2).length == bytes(publicKey(recipient.text(2)));
        if (!same) throw new IOException("the result has other recipients");
    }

    /** The plaintext of `sealed_attribution`, by number: operator, requestor, secondary recipient, case number, reason. */
    static Wire.Message attribution(byte[] plain) throws Exception {
        int length = plain.length;
        while (length > 0 && plain[length - 1] == 0) length--;
        if (plain.length > 1536 || plain.length != (length + 255) / 256 * 256) throw new IOException("the attribution has another padding");
        Wire.Message found = Wire.Message.canonical(Arrays.copyOf(plain, length), Set.of(), Set.of(1, 2, 3, 4, 5), Set.of());
        for (int number = 1; number <= 5; number++) {
            if (!found.has(number) ? number != 3 && number != 4 : !isText(found.first(number))) throw new IOException("the attribution has a text of another form");
        }
        return found;
    }

    private static boolean isText(byte[] data) throws Exception {
        String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(data)).toString();
        return data.length <= 256 && text.matches("[^\\p{C}\\p{Z}](?:[^\\p{C}\\p{Z}]| (?! *$))*");
    }
}
