package cji;

// [5] An Arrow stream of one column of bytes, in one batch; https://arrow.apache.org/docs/format/Columnar.html

import static cji.Format.*;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.*;

final class Arrow {
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

    /**
     * [5] The rows of an Arrow stream: messages of ffffffff, the length of the metadata, the metadata, the body. [7] Behind it
     * are zeros up to the next power of two, if the job asked for them, or nothing.
     */
    static long rows(byte[] stream, boolean isPadded) throws IOException {
        ByteBuffer data = ByteBuffer.wrap(stream).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        long rows = 0;
        int at = 0;
        while (data.getInt(at + 4) != 0) {
            int message = at + 8 + data.getInt(at + 8), header = field(data, message, 2), body = field(data, message, 3);
            int batch = field(data, header + data.getInt(header), 0);
            if (data.get(field(data, message, 1)) == 3 && batch != 0) rows += data.getLong(batch); // a RecordBatch
            at += 8 + data.getInt(at + 4) + (body == 0 ? 0 : (int) data.getLong(body));
        }
        int end = at + 8, length = isPadded ? Integer.highestOneBit(end - 1) << 1 : end;
        boolean whole = data.getInt(at) == -1 && stream.length == length;
        for (int i = end; i < stream.length; i++) whole &= stream[i] == 0;
        if (!whole) throw new IOException("the table has no end, or something behind it");
        return rows;
    }

    /** Where field n of a flatbuffer's table is; 0 if it has its default value. */
    static int field(ByteBuffer data, int table, int n) {
        int fields = table - data.getInt(table), entry = 4 + 2 * n;
        int offset = entry < data.getShort(fields) ? data.getShort(fields + entry) : 0;
        return offset == 0 ? 0 : table + offset;
    }
}
