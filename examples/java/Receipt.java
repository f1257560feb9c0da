package cji;

import static cji.Format.*;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.regex.Pattern;

/**
 * [8], [9] A receipt or failure receipt of classical-1. Its claims have one form, so one regular expression says all of it:
 * members, their order and their values, no blank, no repeated member and no escape that nobody needs.
 */
final class Receipt {
    private static final String TOKEN = "\"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}\"", SHA384 = "\"[0-9a-f]{96}\"",
        SHA256 = "\"[0-9a-f]{64}\"", JOB = "\"[0-9a-f]{32}\"", KEY = "\"[A-Za-z0-9_-]{43}\"", ORI = "\"[A-Z0-9]{9}\"",
        TIME = "\"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{2}Z\"", COUNT = "(?:0|[1-9][0-9]{0,18})",
        POSITIVE = "[1-9][0-9]{0,18}", FLAG = "(?:true|false)", TEXT = "\"(?:[^\"\\\\\\p{C}]|\\\\[\"\\\\]){1,256}\"",
        PART = object("name", TOKEN, "sha256", SHA256, "bytes", COUNT);

    private static final Pattern RECEIPT = Pattern.compile(object(
        "version", "1", "worker", TOKEN, "sequence", POSITIVE, "previous_sha384", SHA384, "job_id", JOB,
        "header_sha384", SHA384, "result_header_sha384", SHA384, "inputs", array(PART), "outputs", array(PART),
        "witnesses", "\\[\"front\",\"cell\"\\]", "submitter", TOKEN, "submitter_key", KEY, "originating_ori", ORI,
        "requesting_ori", ORI, "suite", "\"classical-1\"", "purpose_code", "\"[A-Z0-9]{1,3}\"", "operations", array(TOKEN),
        "recipients", array(KEY), "kek_id", "\"https://[A-Za-z0-9._:/-]{1,504}\"",
        "volumes", object("rows_in", COUNT, "rows_out", COUNT, "bytes_in", COUNT, "bytes_out", COUNT, "chri_rows_out", COUNT,
            "subjects_out", COUNT),
        "started", TIME, "ended", TIME, "region", TOKEN, "tee", TOKEN,
        "tcb", "\\{" + TOKEN + ":" + COUNT + "(?:," + TOKEN + ":" + COUNT + ")*+\\}",
        "accepted_advisories", "(?:\\[\\]|" + array(TOKEN) + ")", "evidence_sha384", SHA384, "maa_token_sha384", SHA384,
        "policy_sha384", SHA384, "config_sha384", SHA384, "code_sha384", SHA384, "tables_sha256", SHA256,
        "fips", object("name", TEXT, "version", TOKEN, "certificate", TOKEN, "mode", "\"(?:not_)?approved\""),
        "transport", object("protocol", TOKEN, "cipher", TOKEN, "bits", COUNT), "host_profile", TOKEN, "simulated", FLAG,
        "tpm", object("clock", COUNT, "reset_count", COUNT, "restart_count", COUNT), "trail", SHA384, "audit_anchor", COUNT));

    private static final Pattern FAILURE = Pattern.compile(object(
        "version", "1", "worker", TOKEN, "job_id", JOB, "header_sha384", SHA384, "submitter", TOKEN, "originating_ori", ORI,
        "requesting_ori", ORI, "suite", "\"classical-1\"", "attempts", "(?:0|[1-9][0-9]{0,2}|1000)", "reason", "\"[A-Z_]{4,40}\"",
        "stage", "\"(?:start|open|admit|unseal|compute|commit|receipt)\"", "queued", TIME, "failed", TIME, "tee", TOKEN,
        "evidence_sha384", SHA384, "maa_token_sha384", SHA384, "policy_sha384", SHA384, "config_sha384", SHA384,
        "code_sha384", SHA384, "simulated", FLAG));

    private static String object(String... members) {
        StringJoiner made = new StringJoiner(",", "\\{", "\\}");
        for (int i = 0; i < members.length; i += 2) made.add('"' + members[i] + "\":" + members[i + 1]);
        return made.toString();
    }

    private static String array(String of) {
        return "\\[" + of + "(?:," + of + ")*+\\]";
    }

    /** The claims of a receipt that was signed with this key. */
    static Map<String, Object> verify(String document, String jwk) throws Exception {
        return verify(document, jwk, "cji-receipt+jws", RECEIPT);
    }

    static Map<String, Object> verifyFailure(String document, String jwk) throws Exception {
        return verify(document, jwk, "cji-failure+jws", FAILURE);
    }

    private static Map<String, Object> verify(String document, String jwk, String typ, Pattern form) throws Exception {
        String[] parts = document.split("\\.", -1);
        if (parts.length != 3 || document.length() > 64 << 10) throw new IOException("it is no compact JWS");
        String header = "{\"alg\":\"ES384\",\"kid\":\"" + thumbprint(jwk) + "\",\"typ\":\"" + typ + "\"}";
        if (!header.equals(utf8(base64url(parts[0])))) throw new IOException("the receipt was not signed with this key");
        if (!verified(p384(jwk), ascii(parts[0] + "." + parts[1]), base64url(parts[2]))) {
            throw new IOException("the receipt was not signed with this key");
        }
        String claims = utf8(base64url(parts[1]));
        if (!form.matcher(claims).matches()) throw new IOException("the claims are not in their one form, or of another kind of job");
        return Json.object(Json.read(claims));
    }

    private static String utf8(byte[] data) throws IOException {
        return StandardCharsets.UTF_8.newDecoder().decode(java.nio.ByteBuffer.wrap(data)).toString();
    }
}
