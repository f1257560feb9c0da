package cji;

import java.io.IOException;
import java.util.*;

/**
 * JSON as it occurs here: objects without repeated members, arrays, texts, whole numbers, true and false. The JDK has no
 * parser, and those of others take a repeated member unless they are told not to.
 */
final class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    static Object read(String text) throws IOException {
        Json reader = new Json(text);
        Object found = reader.value(0);
        if (reader.next() != 0) throw reader.wrong();
        return found;
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(Object value) throws IOException {
        if (value instanceof Map) return (Map<String, Object>) value;
        throw new IOException("it is no JSON object");
    }

    private IOException wrong() {
        return new IOException("it is not JSON as expected, at character " + at);
    }

    /** The next character that is no blank; 0 at the end. */
    private char next() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
        return at < text.length() ? text.charAt(at) : 0;
    }

    private boolean take(char expected) {
        boolean found = next() == expected;
        if (found) at++;
        return found;
    }

    private void require(char expected) throws IOException {
        if (!take(expected)) throw wrong();
    }

    private Object value(int depth) throws IOException {
        if (depth > 32) throw wrong();
        char first = next();
        if (first == '"') return string();
        if (take('{')) {
            Map<String, Object> found = new LinkedHashMap<>();
            for (boolean more = !take('}'); more; more = !take('}')) {
                if (!found.isEmpty()) require(',');
                next();
                String name = string();
                require(':');
                if (found.put(name, value(depth + 1)) != null) throw wrong();
            }
            return found;
        }
        if (take('[')) {
            List<Object> found = new ArrayList<>();
            for (boolean more = !take(']'); more; more = !take(']')) {
                if (!found.isEmpty()) require(',');
                found.add(value(depth + 1));
            }
            return found;
        }
        return word();
    }

    private Object word() throws IOException {
        int start = at;
        while (at < text.length() && (Character.isLetterOrDigit(text.charAt(at)) || text.charAt(at) == '-')) at++;
        String word = text.substring(start, at);
        if (word.equals("true") || word.equals("false")) return word.equals("true");
        if (!word.matches("0|-?[1-9][0-9]{0,18}")) throw wrong();
        return Long.valueOf(word);
    }

    private String string() throws IOException {
        if (at >= text.length() || text.charAt(at++) != '"') throw wrong();
        StringBuilder made = new StringBuilder();
        while (at < text.length()) {
            char c = text.charAt(at++);
            if (c == '"') return made.toString();
            if (c < ' ') throw wrong();
            made.append(c == '\\' ? escaped() : c);
        }
        throw wrong();
    }

    private char escaped() throws IOException {
        if (at + 5 > text.length()) throw wrong();
        char c = text.charAt(at++);
        int simple = "\"\\/bfnrt".indexOf(c);
        if (simple >= 0) return "\"\\/\b\f\n\r\t".charAt(simple);
        String digits = text.substring(at, at + 4);
        if (c != 'u' || !digits.matches("[0-9A-Fa-f]{4}")) throw wrong();
        at += 4;
        return (char) Integer.parseInt(digits, 16);
    }
}
