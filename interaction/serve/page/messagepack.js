// MessagePack, as much of it as the protocol has (github.com/msgpack/msgpack, spec.md).

const text = new TextEncoder();
const utf8 = new TextDecoder();

/** Plain objects, arrays, strings, numbers, Uint8Array (as binary), true, false and null. */
export function encode(value) {
  const parts = [];
  write(value, parts);
  const bytes = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

// Lengths take four bytes always: longer by a little than they need be, and as valid.
function write(value, parts) {
  if (value === null) parts.push([0xc0]);
  else if (typeof value === "boolean") parts.push([value ? 0xc3 : 0xc2]);
  else if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) {
    parts.push(head(0xce, value));
  } else if (typeof value === "number") {
    const float = new DataView(new ArrayBuffer(9));
    float.setUint8(0, 0xcb);
    float.setFloat64(1, value);
    parts.push(new Uint8Array(float.buffer));
  } else if (typeof value === "string") {
    const bytes = text.encode(value);
    parts.push(head(0xdb, bytes.length), bytes);
  } else if (value instanceof Uint8Array) {
    parts.push(head(0xc6, value.length), value);
  } else if (Array.isArray(value)) {
    parts.push(head(0xdd, value.length));
    for (const each of value) write(each, parts);
  } else {
    const fields = Object.entries(value);
    parts.push(head(0xdf, fields.length));
    for (const field of fields) for (const each of field) write(each, parts);
  }
}

const head = (first, n) => [first, n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];

/** Raises RangeError when the message is cut off or holds what the protocol has not. */
export function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;

  function take(length) {
    if (at + length > bytes.length) throw new RangeError("the message is cut off");
    at += length;
    return bytes.subarray(at - length, at);
  }
  function number(method, width) {
    at += width;
    return view[method](at - width);
  }
  const size = (width) => number(`getUint${8 * width}`, width);
  const string = (length) => utf8.decode(take(length));
  const list = (length) => Array.from({ length }, read);
  const map = (length) =>
    Object.fromEntries(Array.from({ length }, () => [read(), read()]));

  function read() {
    const first = size(1);
    if (first < 0x80) return first;
    if (first < 0x90) return map(first & 15);
    if (first < 0xa0) return list(first & 15);
    if (first < 0xc0) return string(first & 31);
    if (first >= 0xe0) return first - 256;
    switch (first) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return take(size(1 << (first - 0xc4)));
      case 0xca: return number("getFloat32", 4);
      case 0xcb: return number("getFloat64", 8);
      case 0xcc: case 0xcd: case 0xce: return size(1 << (first - 0xcc));
      case 0xcf: return Number(number("getBigUint64", 8));
      case 0xd0: return number("getInt8", 1);
      case 0xd1: return number("getInt16", 2);
      case 0xd2: return number("getInt32", 4);
      case 0xd3: return Number(number("getBigInt64", 8));
      case 0xd9: case 0xda: case 0xdb: return string(size(1 << (first - 0xd9)));
      case 0xdc: case 0xdd: return list(size(2 << (first - 0xdc)));
      case 0xde: case 0xdf: return map(size(2 << (first - 0xde)));
      default: throw new RangeError(`MessagePack has ${first.toString(16)}; not read here`);
    }
  }
  return read();
}
