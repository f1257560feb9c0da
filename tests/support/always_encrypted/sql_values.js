// The plaintext of a cell by its SQL type, as Microsoft.Data.SqlClient writes it, and back to canonical text.
// Neither tedious nor this file pads char(n), nchar(n) or binary(n).
"use strict";

const DAY = 864000000000n; // of 100 ns
const DATE_OF = { date: "0001-01-01", datetime: "1900-01-01" };
const INTEGERS = ["bit", "tinyint", "smallint", "int", "bigint"];

function parseType(text) {
  const found = /^([a-z0-9]+)(?:\((max|\d+)(?:,\s*(\d+))?\))?(?: (cp\d+|utf-8))?$/.exec(text);
  if (!found) throw new Error(`no SQL type: ${text}`);
  const [, base, first, second, page] = found;
  return { base, first: first === "max" ? -1 : Number(first ?? NaN), second: Number(second ?? 0), page };
}

function integer(value, bytes) {
  const made = Buffer.alloc(8);
  made.writeBigInt64LE(BigInt.asIntN(64, value));
  return made.subarray(0, bytes);
}

function unsigned(bytes) {
  let value = 0n;
  for (let at = bytes.length - 1; at >= 0; at--) value = (value << 8n) | BigInt(bytes[at]);
  return value;
}

function scaled(text, scale) {
  const negative = text.startsWith("-");
  const [whole, part = ""] = text.replace(/^[-+]/, "").split(".");
  const value = BigInt(whole + part.padEnd(scale, "0").slice(0, scale));
  return { negative, value };
}

function digits(value, scale) {
  const text = value.toString().padStart(scale + 1, "0");
  return scale ? `${text.slice(0, -scale)}.${text.slice(-scale)}` : text;
}

const daysSince = (text, since) => {
  const at = new Date(`${text}T00:00:00Z`), from = new Date(`${since}T00:00:00Z`);
  return BigInt(Math.round((at - from) / 86400000));
};
const dayText = (days, since) => {
  const at = new Date(`${since}T00:00:00Z`);
  at.setTime(at.getTime() + Number(days) * 86400000);
  return at.toISOString().slice(0, 10);
};

function ticks(text) {
  const [clock, part = ""] = text.split(".");
  const [h, m, s = "0"] = clock.split(":");
  return (BigInt(h) * 3600n + BigInt(m) * 60n + BigInt(s)) * 10000000n + BigInt(part.padEnd(7, "0").slice(0, 7) || "0");
}

function clock(value, scale) {
  const seconds = value / 10000000n, two = (part) => part.toString().padStart(2, "0");
  const text = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`;
  const part = (value % 10000000n).toString().padStart(7, "0").slice(0, scale);
  return scale ? `${text}.${part}` : text;
}

const floating = (value) => (Object.is(value, -0) ? "-0" : String(value));

function dateAndTime(days, time) {
  return Buffer.concat([integer(time, 5), integer(days, 3)]);
}

function written(type, text, char, guidToArray) {
  const { base, first, second, page } = type;
  if (INTEGERS.includes(base)) return integer(BigInt(text), 8);
  switch (base) {
    case "real": { const made = Buffer.alloc(4); made.writeFloatLE(Number(text)); return made; }
    case "float": { const made = Buffer.alloc(8); made.writeDoubleLE(Number(text)); return made; }
    case "decimal": case "numeric": {
      const { negative, value } = scaled(text, second);
      return Buffer.concat([Buffer.from([negative ? 0 : 1]), integer(value & 0xffffffffffffffffn, 8), integer(value >> 64n, 8)]);
    }
    case "money": case "smallmoney": {
      const { negative, value } = scaled(text, 4), signed = BigInt.asUintN(64, negative ? -value : value);
      return Buffer.concat([integer(signed >> 32n, 4), integer(signed & 0xffffffffn, 4)]);
    }
    case "date": return integer(daysSince(text, DATE_OF.date), 3);
    case "time": return integer(ticks(text), 5);
    case "datetime2": return dateAndTime(daysSince(text.slice(0, 10), DATE_OF.date), ticks(text.slice(11)));
    case "datetimeoffset": {
      const [, sign, h, m] = /([+-])(\d\d):(\d\d)$/.exec(text);
      const minutes = (sign === "-" ? -1n : 1n) * (BigInt(h) * 60n + BigInt(m));
      const all = daysSince(text.slice(0, 10), DATE_OF.date) * DAY + ticks(text.slice(11, -6)) - minutes * 600000000n;
      return Buffer.concat([dateAndTime(all / DAY, all % DAY), integer(minutes, 2)]);
    }
    case "datetime": {
      const time = (ticks(text.slice(11)) * 300n + 5000000n) / 10000000n;
      return Buffer.concat([integer(daysSince(text.slice(0, 10), DATE_OF.datetime), 4), integer(time, 4)]);
    }
    case "smalldatetime":
      return Buffer.concat([integer(daysSince(text.slice(0, 10), DATE_OF.datetime), 2), integer(ticks(text.slice(11)) / 600000000n, 2)]);
    case "char": case "varchar": return char.validate(text, { codepage: page === "utf-8" ? "utf-8" : (page ?? "cp1252").toUpperCase() });
    case "nchar": case "nvarchar": return Buffer.from(text, "utf16le");
    case "binary": case "varbinary": return Buffer.from(text, "hex");
    case "uniqueidentifier": return Buffer.from(guidToArray(text));
    default: throw new Error(`no SQL type: ${base}`);
  }
}

function read(type, plain, iconv, guid) {
  const { base, first, second, page } = type;
  if (INTEGERS.includes(base)) return plain.readBigInt64LE().toString();
  switch (base) {
    case "real": return floating(plain.readFloatLE());
    case "float": return floating(plain.readDoubleLE());
    case "decimal": case "numeric": return (plain[0] ? "" : "-") + digits(unsigned(plain.subarray(1)), second);
    case "money": case "smallmoney": {
      const value = (BigInt(plain.readInt32LE(0)) << 32n) | BigInt(plain.readUInt32LE(4));
      return (value < 0n ? "-" : "") + digits(value < 0n ? -value : value, 4);
    }
    case "date": return dayText(unsigned(plain), DATE_OF.date);
    case "time": return clock(unsigned(plain), first);
    case "datetime2": return `${dayText(unsigned(plain.subarray(5)), DATE_OF.date)}T${clock(unsigned(plain.subarray(0, 5)), first)}`;
    case "datetimeoffset": {
      const minutes = BigInt(plain.readInt16LE(8)), size = minutes < 0n ? -minutes : minutes;
      const all = unsigned(plain.subarray(5, 8)) * DAY + unsigned(plain.subarray(0, 5)) + minutes * 600000000n;
      return `${dayText(all / DAY, DATE_OF.date)}T${clock(all % DAY, first)}${minutes < 0n ? "-" : "+"}${clock(size * 600000000n, 0).slice(0, 5)}`;
    }
    case "datetime": {
      const time = (BigInt(plain.readUInt32LE(4)) * 10000n + 1500n) / 3000n * 10000n;
      return `${dayText(BigInt(plain.readInt32LE(0)), DATE_OF.datetime)}T${clock(time, 3)}`;
    }
    case "smalldatetime": return `${dayText(BigInt(plain.readUInt16LE(0)), DATE_OF.datetime)}T${clock(BigInt(plain.readUInt16LE(2)) * 600000000n, 0).slice(0, 5)}`;
    case "char": case "varchar": return iconv.decode(plain, page ?? "cp1252");
    case "nchar": case "nvarchar": return plain.toString("utf16le");
    case "binary": case "varbinary": return plain.toString("hex");
    case "uniqueidentifier": return guid.bufferToLowerCaseGuid(plain);
    default: throw new Error(`no SQL type: ${base}`);
  }
}

module.exports = { parseType, written, read };
